//! What can go wrong with a cluster, in words for people.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeconfigError, LoadDataError};
use kube::core::Status;

use super::exec_plugin::PluginError;
use super::leftovers::Leftovers;
use crate::timeline::bounded::{io_problem, json_problem};
use crate::timeline::{format_duration, readable};

/// Why the cluster did not do what was asked. Each reads well after "failed to ...: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("the API server {server} cannot be reached: {why}")]
    Unreachable { server: String, why: String },
    /// Nothing listens at the API server's address.
    #[error("the API server {server} cannot be reached: {why}")]
    Refused { server: String, why: String },
    #[error("{what}: no answer from the API server {server} within {}", format_duration(*within))]
    Timeout { what: String, server: String, within: Duration },
    /// It has not the certificate that the kubeconfig wants, or does not take ours.
    #[error("the certificate of the API server {server} or of this user is not accepted: {why}")]
    Certificate { server: String, why: String },
    /// The user's credentials are not accepted, or can't be had.
    #[error("the API server {server} does not accept this user's credentials: {why}")]
    Unauthorized { server: String, why: String },
    #[error("{what}: not allowed: {why}")]
    Forbidden { what: String, why: String },
    #[error("{what}: {why}")]
    AlreadyExists { what: String, why: String },
    /// No such object, or the server has no such kind.
    #[error("{what}: {why}")]
    NotFound { what: String, why: String },
    #[error("{what}: {why} (status {code})")]
    Api { what: String, code: u16, why: String },
    #[error("{what}: unexpected response from the API server: {why}")]
    Answer { what: String, why: String },
    /// Something answers, but not as an API server does.
    #[error("the server {server} did not answer as a Kubernetes API server: {why}")]
    NotKubernetes { server: String, why: String },
    #[error("the kubeconfig cannot be used: {why}")]
    Kubeconfig { why: String },
    /// One of the kubeconfig files can't be used.
    #[error("the kubeconfig {} cannot be used: {why}", path.display())]
    KubeconfigFile { path: PathBuf, why: String },
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("no kubeconfig: {}", missing(.paths))]
    NoKubeconfig { paths: Vec<PathBuf> },
    #[error("no context {name} in the kubeconfig")]
    NoSuchContext {
        name: String,
        /// Those that are there, most similar first.
        available: Vec<String>,
    },
    /// Neither the command line nor the kubeconfig names a context.
    #[error("the kubeconfig has no current context")]
    NoCurrentContext { available: Vec<String> },
    /// It did not come to pass in time.
    #[error("{what} within {}: {why}", format_duration(*within))]
    TooSlow { what: String, within: Duration, why: String },
    /// The pod that leads into a node does not run, and will not.
    #[error("start a helper pod on node {node} from image {image}: {why}")]
    HelperPod { node: String, image: String, why: String },
    #[error("the namespace {namespace} was not deleted within {}: {}", format_duration(*within), left.why())]
    NamespaceStays { namespace: String, within: Duration, left: Leftovers },
}

fn missing(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "neither KUBECONFIG nor HOME is set".into();
    }
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    format!("{} not found", paths.join(", "))
}

/// kube's reason for an answer that is not a Kubernetes status; the message is then its body.
const NOT_A_STATUS: &str = "Failed to parse error data";

impl ClusterError {
    /// What a person can do about it, where there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        self.hint_through("kubectl")
    }

    /// The same where a command that asks this cluster begins with `kubectl`, as with a context or
    /// a kubeconfig of its own.
    pub(crate) fn hint_through(&self, kubectl: &str) -> Option<String> {
        Some(match self {
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Timeout { .. } => format!(
                "is the cluster running, and no active fault taking its API server down? \
                 `{kubectl} cluster-info` uses the same connection"
            ),
            Self::Certificate { .. } => {
                "a recreated cluster has a new certificate; for a kind cluster, `kind export kubeconfig --name NAME` \
                 fetches it"
                    .into()
            }
            Self::Unauthorized { .. } => {
                format!("`{kubectl} auth whoami` with the same context shows whether the credentials are still valid")
            }
            Self::NotKubernetes { .. } => {
                "this may be another kind of server: check `server` in the kubeconfig".into()
            }
            Self::NoKubeconfig { .. } => "name one with --kubeconfig or KUBECONFIG".into(),
            Self::NoSuchContext { available, .. } | Self::NoCurrentContext { available } if available.is_empty() => {
                "the kubeconfig has no contexts at all".into()
            }
            Self::NoSuchContext { name, available } => match available.first().filter(|first| similar(name, first)) {
                Some(first) => format!("did you mean {first}? there are: {}", available.join(", ")),
                None => format!("there are: {}", available.join(", ")),
            },
            Self::NoCurrentContext { available } => format!("name one with --context; there are: {}", available.join(", ")),
            Self::NamespaceStays { namespace, left, .. } => left.hint(namespace, kubectl),
            Self::Plugin(error) => return error.hint.clone(),
            _ => return None,
        })
    }

    /// The same for the answer to a question that every API server answers everybody who may ask at
    /// all: its version.
    pub(super) fn of_version(self, server: &str) -> Self {
        let why = match self {
            Self::NotFound { .. } => "status 404".into(),
            Self::Answer { why, .. } => why,
            Self::Api { code, why, .. } if code < 500 && code != 429 => {
                // Neither a page nor kube's own words help.
                match why.is_empty() || why.contains(['<', '{']) || why == NOT_A_STATUS {
                    true => format!("status {code}"),
                    false => format!("{} (status {code})", readable(&why)),
                }
            }
            other => return other,
        };
        Self::NotKubernetes { server: server.to_owned(), why }
    }

    /// Whether the server answered 404.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether the server could not be asked at all (as opposed to: answered with an error).
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Refused { .. } | Self::Timeout { .. })
    }

    /// Whether the kubeconfig shows no way to any server.
    pub(crate) fn is_of_kubeconfig(&self) -> bool {
        matches!(
            self,
            Self::Kubeconfig { .. }
                | Self::KubeconfigFile { .. }
                | Self::NoKubeconfig { .. }
                | Self::NoSuchContext { .. }
                | Self::NoCurrentContext { .. }
        )
    }

    /// Whether somebody else was faster: what was to be changed is not what was read any more.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Api { code: 409, .. })
    }

    /// Whether it may be over in a moment, also where nobody changes anything: the server can't be
    /// asked, has no etcd, or has just started (until it has read the roles it forbids everything
    /// to everybody); or somebody else was faster, and it is to be read again.
    pub(crate) fn may_pass(&self) -> bool {
        self.is_unreachable()
            || matches!(
                self,
                Self::Forbidden { .. } | Self::Api { code: 409 | 429 | 500..=599, .. }
            )
    }

    pub(super) fn from_kube(what: impl Into<String>, server: &str, error: kube::Error) -> Self {
        let (what, server) = (what.into(), server.to_owned());
        match error {
            kube::Error::Api(status) => Self::from_status(what, server, &status),
            kube::Error::SerdeError(error) => Self::Answer { what, why: json_problem(&error) },
            kube::Error::Discovery(error) => Self::NotFound { what, why: error.to_string() },
            kube::Error::InferKubeconfig(error) => error.into(),
            other => Self::from_transport(server, &other),
        }
    }

    fn from_status(what: String, server: String, status: &Status) -> Self {
        let why =
            if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        match status.code {
            401 => Self::Unauthorized { server, why },
            403 => Self::Forbidden { what, why },
            404 => Self::NotFound { what, why },
            409 if status.is_already_exists() => Self::AlreadyExists { what, why },
            code => Self::Api { what, code, why },
        }
    }

    fn from_transport(server: String, error: &kube::Error) -> Self {
        if let Some(plugin) = causes(error).find_map(|cause| cause.downcast_ref::<PluginError>()) {
            return Self::Plugin(plugin.clone());
        }
        let why = chain(error);
        if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return Self::Certificate { server, why };
        }
        let kinds = causes(error).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        match kinds.map(std::io::Error::kind).any(|kind| kind == ErrorKind::ConnectionRefused) {
            true => Self::Refused { server, why },
            false => Self::Unreachable { server, why },
        }
    }
}

impl From<KubeconfigError> for ClusterError {
    fn from(error: KubeconfigError) -> Self {
        Self::Kubeconfig { why: kubeconfig_problem(&error) }
    }
}

/// What is wrong with a kubeconfig. Its text is not quoted: there are secrets in it.
pub(super) fn kubeconfig_problem(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => io_problem(error),
        KubeconfigError::Parse(_) => "it is not a kubeconfig".to_owned(),
        KubeconfigError::LoadClusterOfContext(name) => format!("it has no cluster {name}"),
        KubeconfigError::MissingClusterUrl => "its cluster has no `server`".to_owned(),
        KubeconfigError::LoadCertificateAuthority(LoadDataError::ReadFile(error, path)) => {
            let (path, why) = (path.display(), io_problem(error));
            format!("the certificate authority {path} cannot be read: {why}")
        }
        KubeconfigError::LoadCertificateAuthority(LoadDataError::DecodeBase64(_)) => {
            "its certificate authority is not valid base64".to_owned()
        }
        KubeconfigError::ParseCertificates(_) => {
            "its certificate authority is not a PEM certificate".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether two names are so near that one is a likely slip of the other.
fn similar(name: &str, other: &str) -> bool {
    strsim::jaro_winkler(name, other) > 0.8
}

/// The innermost words of an error: its outer layers only say that something failed.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    // An outer text that repeats its cause says nothing more.
    let last = texts.pop().unwrap_or_default();
    let names_more = |text: &&String| {
        !text.contains(&last)
            && !text.starts_with("client error")
            && !text.starts_with("ServiceError")
    };
    match texts.iter().rev().find(names_more) {
        Some(outer) if outer.len() < 60 => format!("{outer}: {last}"),
        _ => last,
    }
}

/// An error and its causes. An `io::Error` leaves what it wraps out of its own causes.
pub(super) fn causes<'e>(
    error: &'e (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'e (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_in_a_context_is_answered_with_the_likely_name() {
        let error = ClusterError::NoSuchContext {
            name: "knd-a".into(),
            available: vec!["kind-a".into(), "prod".into()],
        };
        assert_eq!(error.hint().unwrap(), "did you mean kind-a? there are: kind-a, prod");
        let error = ClusterError::NoSuchContext {
            name: "staging".into(),
            available: vec!["kind-a".into()],
        };
        assert_eq!(error.hint().unwrap(), "there are: kind-a");
    }

    #[test]
    fn without_a_home_no_empty_path_is_named() {
        let error = ClusterError::NoKubeconfig { paths: Vec::new() };
        assert_eq!(error.to_string(), "no kubeconfig: neither KUBECONFIG nor HOME is set");
        let error = ClusterError::NoKubeconfig { paths: vec!["/a".into(), "/b".into()] };
        assert_eq!(error.to_string(), "no kubeconfig: /a, /b not found");
    }

    #[test]
    fn a_server_that_is_not_kubernetes_is_named() {
        let of = |code: u16, body: &str| {
            let status = Status::failure(body, NOT_A_STATUS).with_code(code);
            let error = kube::Error::Api(status.boxed());
            ClusterError::from_kube("read the server's version", "https://x", error)
                .of_version("https://x")
        };
        for (code, body, why) in [
            (404, "", "status 404"),
            (404, "<html>", "status 404"),
            (403, "", "not allowed"),
            (
                400,
                "Client sent an HTTP request to an HTTPS server.\n",
                "an HTTPS server. (status 400)",
            ),
            (405, "<html>", "status 405"),
        ] {
            let error = of(code, body);
            assert!(error.to_string().contains(why), "{error}");
            if code != 403 {
                assert!(error.to_string().starts_with("the server https://x did not"), "{error}");
                assert!(error.hint().unwrap().contains("check `server` in the kubeconfig"));
            }
        }
        assert!(of(503, "").may_pass());
    }

    #[test]
    fn statuses_are_told_apart() {
        let of = |code: u16, reason: &str| {
            let status = Status::failure("words", reason).with_code(code);
            ClusterError::from_kube("list nodes", "https://x", kube::Error::Api(status.boxed()))
        };
        assert!(matches!(of(401, "Unauthorized"), ClusterError::Unauthorized { .. }));
        assert!(matches!(of(403, "Forbidden"), ClusterError::Forbidden { .. }));
        assert!([403, 409, 429, 500, 503].iter().all(|code| of(*code, "").may_pass()));
        assert!([401, 404, 422].iter().all(|code| !of(*code, "").may_pass()));
        assert!(of(404, "NotFound").is_not_found());
        assert!(matches!(of(409, "AlreadyExists"), ClusterError::AlreadyExists { .. }));
        assert!(of(409, "Conflict").is_conflict() && !of(409, "AlreadyExists").is_conflict());
        assert_eq!(of(500, "InternalError").to_string(), "list nodes: words (status 500)");
    }
}

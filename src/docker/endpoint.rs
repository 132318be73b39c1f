//! Which engine: the same answer that the docker CLI would give, worked out once, so that kind can
//! be handed the same.

use std::fs;
use std::path::{Path, PathBuf};

use crate::timeline::bounded;

/// In an address, what comes before the directory of its certificates.
const CERTIFICATES: &str = "?certs=";

/// What of the environment decides which engine is used. The caller fills it in; nothing here reads
/// the environment.
#[derive(Clone, Debug)]
pub(crate) struct EngineEnv {
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub docker_context: Option<String>,
    /// `DOCKER_CONFIG`: the directory of docker's settings. Default: `~/.docker`.
    pub docker_config: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set to anything.
    pub docker_tls_verify: bool,
    /// `DOCKER_CERT_PATH`: the directory of the certificates. Default: docker's settings.
    pub docker_cert_path: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// The system's own socket. Default: `/var/run/docker.sock`.
    pub system_socket: PathBuf,
}

impl Default for EngineEnv {
    fn default() -> Self {
        Self {
            docker_host: None,
            docker_context: None,
            docker_config: None,
            docker_tls_verify: false,
            docker_cert_path: None,
            xdg_runtime_dir: None,
            home: None,
            system_socket: "/var/run/docker.sock".into(),
        }
    }
}

/// An engine's address, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `unix:///path` or `tcp://host:port`, and for TLS `tcp://host:port?certs=/path`: all that
    /// another process needs.
    pub address: String,
    /// Where it comes from, for people: `DOCKER_HOST`, `docker context colima`, `found at this
    /// path`.
    pub origin: String,
}

/// Why no engine could be chosen. Fits after "failed to".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// Nothing names an engine and no socket is where one is expected.
    #[error("find a container engine: no socket at {}", .looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotFound { looked: Vec<PathBuf> },
    /// The docker context that is in use does not exist.
    #[error("find docker context {name}, named by {origin}")]
    NoSuchContext {
        name: String,
        /// What names it.
        origin: String,
    },
    /// The address can't be used.
    #[error("use the container engine at {address} ({origin}): {why}")]
    Unsupported {
        address: String,
        /// Where it comes from.
        origin: String,
        why: String,
        /// What helps.
        hint: String,
    },
}

impl EndpointError {
    /// What a person can do.
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotFound { .. } => {
                "install Docker and start it, or name a running engine with DOCKER_HOST=unix:///path/to.sock".into()
            }
            Self::NoSuchContext { .. } => {
                "`docker context ls` lists those that exist; `docker context use default` switches back".into()
            }
            Self::Unsupported { hint, .. } => hint.clone(),
        }
    }
}

impl Endpoint {
    /// Chooses the engine: `explicit`, then `DOCKER_HOST`, then docker's context, then the first
    /// socket that exists of the system's, the rootless ones, Podman's and those of Docker Desktop,
    /// Colima, OrbStack and Rancher Desktop. Looks at files, calls nobody.
    pub(crate) fn resolve(explicit: Option<&str>, env: &EngineEnv) -> Result<Self, EndpointError> {
        let typed = explicit.map(|address| Self::new(address, "given on the command line"));
        let host = env.docker_host.as_deref().filter(|host| !host.is_empty());
        let named = typed.or_else(|| host.map(|host| Self::new(host, "DOCKER_HOST")));
        let Self { address, origin } = match named {
            Some(named) => named,
            None => match context_in_use(env) {
                Some(context) => context_host(env, context)?,
                None => first_socket(env)?,
            },
        };
        Ok(Self { address: checked(&address, &origin, env)?, origin })
    }

    fn new(address: impl Into<String>, origin: impl Into<String>) -> Self {
        Self { address: address.into(), origin: origin.into() }
    }

    /// What to give to other programs (kind, docker) as `DOCKER_HOST`.
    pub(crate) fn docker_host(&self) -> &str {
        parts(&self.address).0
    }

    /// The directory of `ca.pem`, `cert.pem` and `key.pem`, where the engine uses TLS.
    pub(crate) fn certificates(&self) -> Option<&Path> {
        parts(&self.address).1.map(Path::new)
    }

    pub(super) fn host_and_port(&self) -> &str {
        self.docker_host().trim_start_matches("tcp://")
    }

    /// What an address leads to: two ways to one socket are one engine.
    pub(crate) fn identity(address: &str) -> String {
        let (address, _) = parts(address);
        let place = address.split_once("://").map_or(address, |(_, place)| place);
        fs::canonicalize(place).map_or(place.to_owned(), |path| path.display().to_string())
    }

    pub(crate) fn socket(&self) -> Option<&Path> {
        self.address.strip_prefix("unix://").map(Path::new)
    }
}

/// An address, and the directory of its certificates.
fn parts(address: &str) -> (&str, Option<&str>) {
    match address.split_once(CERTIFICATES) {
        Some((host, directory)) => (host, Some(directory)),
        None => (address, None),
    }
}

/// The address as it is used. A bare path is a socket: docker does not take it, people type it.
fn checked(address: &str, origin: &str, env: &EngineEnv) -> Result<String, EndpointError> {
    let unsupported = |why: &str, hint: String| {
        Err(EndpointError::Unsupported {
            address: address.into(),
            origin: origin.into(),
            why: why.into(),
            hint,
        })
    };
    match address.split_once("://") {
        None if address.starts_with('/') => Ok(format!("unix://{address}")),
        Some(("unix", path)) if path.starts_with('/') => Ok(address.to_owned()),
        Some(("tcp" | "http" | "https", rest)) if !rest.is_empty() => {
            let (host, directory) = parts(rest);
            let asked = env.docker_tls_verify || address.starts_with("https:");
            let directory = match directory {
                Some(directory) => Some(PathBuf::from(directory)),
                None if asked => env.docker_cert_path.clone().or_else(|| config_dir(env)),
                None => None,
            };
            // Another process may undo, and start elsewhere.
            let absolute = directory.map(|path| std::path::absolute(&path).unwrap_or(path));
            Ok(match absolute {
                Some(path) => format!("tcp://{host}{CERTIFICATES}{}", path.display()),
                None => address.to_owned(),
            })
        }
        Some(("ssh", host)) => unsupported("ssh is not supported", tunnel_hint(host)),
        _ => unsupported(
            "it is neither unix:///path nor tcp://host:port",
            "the usual one is DOCKER_HOST=unix:///var/run/docker.sock".into(),
        ),
    }
}

fn tunnel_hint(host: &str) -> String {
    format!(
        "forward the socket and use the local end: `ssh -nNT -L \
         /tmp/docker.sock:/var/run/docker.sock {host}` and DOCKER_HOST=unix:///tmp/docker.sock"
    )
}

fn config_dir(env: &EngineEnv) -> Option<PathBuf> {
    env.docker_config.clone().or_else(|| Some(env.home.as_ref()?.join(".docker")))
}

/// A context of docker, and what names it.
struct Context {
    name: String,
    origin: String,
}

/// `None` for the default context, which is the system's socket.
fn context_in_use(env: &EngineEnv) -> Option<Context> {
    let (name, origin) = match env.docker_context.clone().filter(|c| !c.is_empty()) {
        Some(name) => (name, "DOCKER_CONTEXT".to_owned()),
        None => {
            let file = config_dir(env)?.join("config.json");
            let config = json(&file)?;
            (config.get("currentContext")?.as_str()?.to_owned(), file.display().to_string())
        }
    };
    (!name.is_empty() && name != "default").then_some(Context { name, origin })
}

/// Contexts lie in directories named by a hash of their name; each says its name itself, so that no
/// hash is needed.
fn context_host(
    env: &EngineEnv,
    Context { name, origin }: Context,
) -> Result<Endpoint, EndpointError> {
    let entries = config_dir(env).and_then(|dir| fs::read_dir(dir.join("contexts/meta")).ok());
    let found = entries.into_iter().flatten().find_map(|entry| {
        let path = entry.ok()?.path();
        let meta = json(&path.join("meta.json")).filter(|meta| meta["Name"] == *name)?;
        // Its certificates are in a directory of the same name.
        let certificates = path.parent()?.parent()?.join("tls").join(path.file_name()?);
        Some((meta["Endpoints"]["docker"].clone(), certificates.join("docker")))
    });
    let Some((docker, certificates)) = found else {
        return Err(EndpointError::NoSuchContext { name, origin });
    };
    let host = docker["Host"].as_str().unwrap_or_default();
    let origin = format!("docker context {name}");
    if docker["SkipTLSVerify"] == true {
        return Err(EndpointError::Unsupported {
            address: host.into(),
            origin,
            why:
                "TLS without a check of the engine's certificate (skip-tls-verify) is not supported"
                    .into(),
            hint: format!(
                "give the context its CA: `docker context update {name} --docker \
                 host={host},ca=ca.pem,cert=cert.pem,key=key.pem`"
            ),
        });
    }
    let certificates = Some(certificates).filter(|path| host.starts_with("tcp:") && path.exists());
    let directory = certificates.map(|path| format!("{CERTIFICATES}{}", path.display()));
    Ok(Endpoint::new(format!("{host}{}", directory.unwrap_or_default()), origin))
}

fn json(file: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&bounded::read(file).ok()?).ok()
}

fn first_socket(env: &EngineEnv) -> Result<Endpoint, EndpointError> {
    let under = |base: &Option<PathBuf>, paths: &[&str]| -> Vec<PathBuf> {
        base.iter().flat_map(|base| paths.iter().map(|path| base.join(path))).collect()
    };
    let mut looked = vec![env.system_socket.clone()];
    looked.extend(under(&env.xdg_runtime_dir, &["docker.sock", "podman/podman.sock"]));
    let of_desktops = [
        ".docker/run/docker.sock",
        ".docker/desktop/docker.sock",
        ".colima/default/docker.sock",
        ".orbstack/run/docker.sock",
        ".rd/docker.sock",
    ];
    looked.extend(under(&env.home, &of_desktops));
    match looked.iter().find(|path| path.exists()) {
        Some(path) => Ok(Endpoint::new(format!("unix://{}", path.display()), "found there")),
        None => Err(EndpointError::NotFound { looked }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, EngineEnv) {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        fs::create_dir_all(home.join(".docker/contexts/meta/abc123")).unwrap();
        fs::write(
            home.join(".docker/contexts/meta/abc123/meta.json"),
            r#"{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///c.sock","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        let env = EngineEnv {
            home: Some(home),
            xdg_runtime_dir: Some(dir.path().join("xdg")),
            system_socket: dir.path().join("docker.sock"),
            ..EngineEnv::default()
        };
        (dir, env)
    }

    fn address(explicit: Option<&str>, env: &EngineEnv) -> String {
        Endpoint::resolve(explicit, env).unwrap().address
    }

    #[test]
    fn each_source_wins_over_the_next() {
        let (dir, mut env) = world();
        assert!(
            matches!(Endpoint::resolve(None, &env), Err(EndpointError::NotFound { looked }) if looked.len() == 8)
        );
        fs::create_dir_all(dir.path().join("xdg/podman")).unwrap();
        fs::write(dir.path().join("xdg/podman/podman.sock"), "").unwrap();
        assert!(address(None, &env).ends_with("xdg/podman/podman.sock"));
        fs::write(&env.system_socket, "").unwrap();
        assert_eq!(address(None, &env), format!("unix://{}", env.system_socket.display()));
        fs::write(
            env.home.as_ref().unwrap().join(".docker/config.json"),
            r#"{"currentContext":"colima"}"#,
        )
        .unwrap();
        let endpoint = Endpoint::resolve(None, &env).unwrap();
        assert_eq!(
            (endpoint.docker_host(), endpoint.origin.as_str()),
            ("unix:///c.sock", "docker context colima")
        );
        env.docker_host = Some("tcp://10.0.0.1:2375".into());
        assert_eq!(address(None, &env), "tcp://10.0.0.1:2375");
        assert_eq!(address(Some("/x.sock"), &env), "unix:///x.sock");
    }

    #[test]
    fn the_default_context_is_the_systems_socket() {
        let (_dir, mut env) = world();
        fs::write(&env.system_socket, "").unwrap();
        env.docker_context = Some("default".into());
        assert_eq!(address(None, &env), format!("unix://{}", env.system_socket.display()));
    }

    #[test]
    fn tls_is_used_where_docker_would_use_it() {
        let (dir, mut env) = world();
        let home = env.home.clone().unwrap();
        assert_eq!(address(Some("tcp://far:2376"), &env), "tcp://far:2376");
        env.docker_tls_verify = true;
        let of_home = format!("tcp://far:2376?certs={}", home.join(".docker").display());
        assert_eq!(address(Some("tcp://far:2376"), &env), of_home);
        env.docker_cert_path = Some("/certs".into());
        let endpoint = Endpoint::resolve(Some("tcp://far:2376"), &env).unwrap();
        assert_eq!(endpoint.address, "tcp://far:2376?certs=/certs");
        assert_eq!(endpoint.docker_host(), "tcp://far:2376", "for kind");
        assert_eq!(endpoint.certificates(), Some(Path::new("/certs")));
        assert_eq!(
            address(Some(&of_home), &EngineEnv::default()),
            of_home,
            "an undo entry has all that a watchdog needs"
        );
        assert_eq!(Endpoint::identity(&of_home), Endpoint::identity("tcp://far:2376"));
        assert_eq!(address(Some("/x.sock"), &env), "unix:///x.sock");

        let contexts = home.join(".docker/contexts");
        let meta = contexts.join("meta/abc123/meta.json");
        fs::create_dir_all(contexts.join("tls/abc123/docker")).unwrap();
        let docker = |skip: bool| {
            format!(
                r#"{{"Name":"far","Endpoints":{{"docker":{{"Host":"tcp://far:2376","SkipTLSVerify":{skip}}}}}}}"#
            )
        };
        fs::write(&meta, docker(false)).unwrap();
        env.docker_context = Some("far".into());
        let directory = contexts.join("tls/abc123/docker");
        assert_eq!(
            address(None, &env),
            format!("tcp://far:2376?certs={}", directory.display()),
            "a context has its own certificates"
        );
        fs::write(&meta, docker(true)).unwrap();
        let error = Endpoint::resolve(None, &env).unwrap_err();
        assert!(error.to_string().contains("skip-tls-verify"), "{error}");
        drop(dir);
    }

    #[test]
    fn what_can_not_be_used_says_why_and_what_helps() {
        let (_dir, mut env) = world();
        env.docker_context = Some("gone".into());
        let error = Endpoint::resolve(None, &env).unwrap_err();
        assert_eq!(error.to_string(), "find docker context gone, named by DOCKER_CONTEXT");
        let error = Endpoint::resolve(Some("ssh://me@far"), &env).unwrap_err();
        assert_eq!(
            error.to_string(),
            "use the container engine at ssh://me@far (given on the command line): ssh is not supported"
        );
        assert!(error.hint().contains("ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock me@far"));
        assert!(Endpoint::resolve(Some("npipe:////./pipe/docker_engine"), &env).is_err());
    }
}

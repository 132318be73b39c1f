//! The user's kubeconfig, read and never written.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kube::config::{
    AuthInfo, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ClusterError, kubeconfig_problem};
use crate::timeline::bounded::{self, ReadError};
use crate::yaml::tree::Node;
use crate::yaml::{self, json};

/// Where kubectl would look: the explicit file alone; else the files of a `KUBECONFIG` list; else
/// `~/.kube/config`.
pub(crate) fn kubeconfig_paths(
    explicit: Option<&Path>,
    kubeconfig_env: Option<&OsStr>,
    home: Option<&Path>,
) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    let listed: Vec<PathBuf> = kubeconfig_env
        .map(|list| {
            std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
        })
        .unwrap_or_default();
    if !listed.is_empty() {
        return listed;
    }
    home.map(|home| home.join(".kube").join("config")).into_iter().collect()
}

/// The names of the contexts in these files; none of files that cannot be read.
pub(crate) fn context_names(paths: &[PathBuf]) -> Vec<String> {
    let contexts = read_files(paths).map_or(Vec::new(), |config| config.contexts);
    contexts.into_iter().map(|context| context.name).collect()
}

/// Reads and merges kubeconfig files as kubectl does: the first to say something wins, files that
/// are not there are skipped.
pub(super) fn read_files(paths: &[PathBuf]) -> Result<Kubeconfig, ClusterError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let unusable = |why| ClusterError::KubeconfigFile { path: path.clone(), why };
        let text = match bounded::read_text(path) {
            Ok(text) => text,
            Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(unusable(error.to_string())),
        };
        let next = absolute_paths(parse(&text).map_err(unusable)?, path);
        merged = Some(match merged {
            None => next,
            Some(before) => {
                before.merge(next).map_err(|error| unusable(kubeconfig_problem(&error)))?
            }
        });
    }
    merged.ok_or_else(|| ClusterError::NoKubeconfig { paths: paths.to_vec() })
}

pub(super) fn read_text(text: &str) -> Result<Kubeconfig, ClusterError> {
    parse(text).map_err(|why| ClusterError::Kubeconfig { why })
}

/// Reads a text as a kubeconfig, and each of its contexts (for `cli::fuzz`).
pub(crate) fn kubeconfig_of(text: &str) {
    let Ok(mut read) = read_text(text) else { return };
    let _ = context_name(&read, None);
    for context in read.contexts.iter().map(|context| context.name.clone()).collect::<Vec<_>>() {
        let _ = complete_cluster(&mut read, &context);
    }
}

/// Reads a kubeconfig as kubectl does. Errors with what is wrong with its text, and where. Nothing
/// of it is quoted.
fn parse(text: &str) -> Result<Kubeconfig, String> {
    let mut merged = Kubeconfig::default();
    for document in yaml::documents(text)?.iter().filter(|document| !document.is_null()) {
        let read = Kubeconfig::deserialize(json::of_node(document)).map_err(|_| {
            let place = misfit(document).focus().place();
            format!("{place}: a field is missing or has a value of the wrong type")
        })?;
        merged = merged.merge(read).map_err(|error| kubeconfig_problem(&error))?;
    }
    Ok(as_kubectl_reads(merged))
}

/// What of a kubeconfig is not as it must be: an entry of its lists, or the whole.
fn misfit(document: &Node) -> &Node {
    fn first<'n, T: DeserializeOwned>(document: &'n Node, key: &str) -> Option<&'n Node> {
        let list = document.get(key)?;
        let fits = |node: &Node| T::deserialize(json::of_node(node)).is_ok();
        list.items().iter().find(|item| !fits(item))
    }
    first::<NamedCluster>(document, "clusters")
        .or_else(|| first::<NamedContext>(document, "contexts"))
        .or_else(|| first::<NamedAuthInfo>(document, "users"))
        .unwrap_or(document)
}

/// Paths in a kubeconfig are relative to its own; a plugin without a `/` is looked for in PATH.
fn absolute_paths(mut read: Kubeconfig, file: &Path) -> Kubeconfig {
    let directory = file.parent().unwrap_or(Path::new(""));
    let absolute = |path: &mut Option<String>| {
        if let Some(path) = path {
            *path = directory.join(&*path).to_string_lossy().into_owned();
        }
    };
    for cluster in read.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in read.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        if let Some(exec) = &mut user.exec
            && exec.command.as_ref().is_some_and(|command| command.contains('/'))
        {
            absolute(&mut exec.command);
        }
    }
    read
}

/// Where kube's reader differs: an empty current context is none, and base64 may have several
/// lines.
fn as_kubectl_reads(mut read: Kubeconfig) -> Kubeconfig {
    let joined = |text: &str| text.replace(['\r', '\n'], "");
    read.current_context = read.current_context.filter(|name| !name.is_empty());
    for cluster in read.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.certificate_authority_data =
            cluster.certificate_authority_data.as_deref().map(joined);
    }
    for user in read.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        user.client_certificate_data = user.client_certificate_data.as_deref().map(joined);
        let key = user.client_key_data.as_ref().map(|key| joined(key.expose_secret()));
        user.client_key_data = key.map(Into::into);
    }
    read
}

/// One context of a kubeconfig, ready to connect with.
pub(super) struct Chosen {
    pub(super) context: String,
    /// The name of its user.
    pub(super) user: Option<String>,
    pub(super) config: kube::Config,
}

/// Takes one context: the named one, else the current one.
pub(super) async fn choose(
    mut kubeconfig: Kubeconfig,
    context: Option<&str>,
) -> Result<Chosen, ClusterError> {
    let context = context_name(&kubeconfig, context)?;
    complete_cluster(&mut kubeconfig, &context)?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let user = named.and_then(|named| named.context.as_ref()?.user.clone());
    let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    Ok(Chosen { context, user, config })
}

fn context_name(kubeconfig: &Kubeconfig, asked: Option<&str>) -> Result<String, ClusterError> {
    let mut available: Vec<String> =
        kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let current = || kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = asked.or_else(current) else {
        return Err(ClusterError::NoCurrentContext { available });
    };
    if available.iter().any(|have| have == name) {
        return Ok(name.to_owned());
    }
    available
        .sort_by(|a, b| strsim::jaro_winkler(name, b).total_cmp(&strsim::jaro_winkler(name, a)));
    Err(ClusterError::NoSuchContext { name: name.to_owned(), available })
}

/// Completes the server's URL, and refuses what is not supported.
fn complete_cluster(kubeconfig: &mut Kubeconfig, context: &str) -> Result<(), ClusterError> {
    let Kubeconfig { contexts, clusters, auth_infos, .. } = kubeconfig;
    let named = contexts.iter().find(|named| named.name == context);
    let Some(context) = named.and_then(|named| named.context.as_ref()) else { return Ok(()) };
    let user = auth_infos.iter().find(|named| Some(&named.name) == context.user.as_ref());
    let user = user.and_then(|named| named.auth_info.as_ref());
    let cluster = clusters.iter_mut().find(|named| named.name == context.cluster);
    let Some(cluster) = cluster.and_then(|named| named.cluster.as_mut()) else { return Ok(()) };
    // What a proxy leads to may be reachable no other way.
    if let Some(url) = cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        let url = without_password(url);
        let why = format!("its cluster is behind the proxy {url}, which is not supported");
        return Err(ClusterError::Kubeconfig { why });
    }
    if let Some(server) = cluster.server.take().filter(|server| !server.is_empty()) {
        cluster.server = Some(complete_server(&server, speaks_tls(cluster, user))?);
    }
    Ok(())
}

/// Whether a server without a scheme is asked through TLS, by client-go's rule.
fn speaks_tls(cluster: &kube::config::Cluster, user: Option<&AuthInfo>) -> bool {
    let has_authority =
        cluster.certificate_authority.is_some() || cluster.certificate_authority_data.is_some();
    let has_certificate = user.is_some_and(|user| {
        user.client_certificate.is_some() || user.client_certificate_data.is_some()
    });
    has_authority || has_certificate || cluster.insecure_skip_tls_verify == Some(true)
}

/// A server's URL; a host, with or without a port, gets a scheme as client-go gives it one.
fn complete_server(server: &str, tls: bool) -> Result<String, ClusterError> {
    let has_scheme = server.contains("://");
    let scheme = if tls { "https" } else { "http" };
    let url = if has_scheme { server.to_owned() } else { format!("{scheme}://{server}") };
    let is_valid = url.parse::<http::Uri>().is_ok_and(|parsed| {
        matches!(parsed.scheme_str(), Some("http" | "https"))
            && parsed.host().is_some_and(|host| !host.is_empty())
            && (has_scheme || parsed.path() == "/")
    });
    if is_valid {
        return Ok(url);
    }
    let server = without_password(server);
    let why = format!("its server {server} is neither an http(s) URL nor HOST:PORT");
    Err(ClusterError::Kubeconfig { why })
}

/// A URL as it may be shown.
fn without_password(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Kubeconfig {
        read_text(text).unwrap()
    }

    fn sample(current: &str) -> Kubeconfig {
        config(&format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: '{current}'\ncontexts:\n- name: kind-a\n  context: {{cluster: a, user: a}}\n\
             - name: prod\n  context: {{cluster: b, user: a}}\nclusters:\n- name: a\n  cluster: {{server: 'https://127.0.0.1:1'}}\n\
             - name: b\n  cluster: {{server: 'https://127.0.0.1:2', proxy-url: 'http://proxy:3128'}}\nusers:\n- name: a\n  user: {{}}\n"
        ))
    }

    #[test]
    fn paths_are_kubectls() {
        let home = Path::new("/home/u");
        assert_eq!(
            kubeconfig_paths(Some(Path::new("x")), Some(OsStr::new("/a:/b")), Some(home)),
            [PathBuf::from("x")]
        );
        assert_eq!(
            kubeconfig_paths(None, Some(OsStr::new("/a::/b")), Some(home)),
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
        assert_eq!(
            kubeconfig_paths(None, Some(OsStr::new("")), Some(home)),
            [home.join(".kube/config")]
        );
        assert!(kubeconfig_paths(None, None, None).is_empty());
    }

    #[test]
    fn contexts_are_chosen_or_missed_with_words() {
        assert_eq!(context_name(&sample("prod"), None).unwrap(), "prod");
        assert_eq!(context_name(&sample("prod"), Some("kind-a")).unwrap(), "kind-a");
        assert!(matches!(
            context_name(&sample(""), None),
            Err(ClusterError::NoCurrentContext { .. })
        ));
        let missed = context_name(&sample("prod"), Some("knd-a")).unwrap_err();
        assert!(missed.hint().unwrap().starts_with("did you mean kind-a?"));
    }

    #[tokio::test]
    async fn a_proxy_is_refused_and_not_ignored() {
        assert!(choose(sample("kind-a"), None).await.is_ok());
        let error = choose(sample("prod"), None).await.err().unwrap();
        assert!(error.to_string().contains("proxy http://proxy:3128"), "{error}");
    }

    #[test]
    fn files_are_merged_and_the_first_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&first, "current-context: one\n").unwrap();
        std::fs::write(
            &second,
            "current-context: two\ncontexts:\n- name: two\n  context: {cluster: c, user: u}\n",
        )
        .unwrap();
        let merged = read_files(&[folder.path().join("missing"), first, second]).unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("one"));
        assert_eq!(merged.contexts.len(), 1);
        assert!(matches!(
            read_files(&[folder.path().join("missing")]),
            Err(ClusterError::NoKubeconfig { .. })
        ));
    }

    /// What clientcmd and client-go's `DefaultServerURL` make of it.
    #[tokio::test]
    async fn a_server_without_a_scheme_gets_client_gos() {
        for (server, more, user, url) in [
            ("localhost:8080", "", "", Some("http://localhost:8080/")),
            ("10.0.0.1", "", "", Some("http://10.0.0.1/")),
            ("[::1]:8080", "", "", Some("http://[::1]:8080/")),
            ("a:1", ", insecure-skip-tls-verify: true", "", Some("https://a:1/")),
            ("a:1", "", "client-certificate: /c", Some("https://a:1/")),
            ("http://a:1/k8s", ", insecure-skip-tls-verify: true", "", Some("http://a:1/k8s")),
            ("a:1/k8s", "", "", None),
            ("/foo bar", "", "", None),
            ("https://", "", "", None),
            ("ftp://a:1", "", "", None),
        ] {
            let text = format!(
                "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: '{server}'{more}}}}}]\n\
                 users: [{{name: u, user: {{{user}}}}}]\n"
            );
            let chosen = choose(config(&text), None).await;
            let found = chosen.as_ref().ok().map(|chosen| chosen.config.cluster_url.to_string());
            assert_eq!(found.as_deref(), url, "{server}{more} {user}");
            if let Err(error) = chosen {
                assert!(error.to_string().contains(server), "{error}");
            }
        }
    }

    #[test]
    fn base64_may_have_several_lines_and_an_empty_context_is_none() {
        let read = config(
            "current-context: ''\nclusters:\n- name: c\n  cluster:\n    certificate-authority-data: |\n      QUJD\n      REVG\n\
             users:\n- name: u\n  user:\n    client-key-data: |\n      QUJD\n      REVG\n",
        );
        assert_eq!(read.current_context, None);
        let cluster = read.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("QUJDREVG"));
        let user = read.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(user.client_key_data.as_ref().unwrap().expose_secret(), "QUJDREVG");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_and_its_secrets_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good");
        std::fs::write(&good, "current-context: a\n").unwrap();
        for text in [
            "users:\n- name: u\n  user:\n    token: hunter2\n   bad: [x\n",
            "users: [{name: u, user: {token: [hunter2]}}]\n",
            "users: [{name: u, user: hunter2}]\n",
            "users: hunter2\n",
            "users: [{name: u, user: {password: !hunter2}}]\n",
            "users: [{name: u, user: {password: !hunter2!x}}]\n",
            "users: [{name: u, user: {password: *hunter2}}]\n",
            "clusters: [{name: c, cluster: {insecure-skip-tls-verify: hunter2}}]\n",
        ] {
            let bad = folder.path().join("bad");
            std::fs::write(&bad, text).unwrap();
            let error = read_files(&[good.clone(), bad.clone()]).unwrap_err().to_string();
            let named = format!("the kubeconfig {} cannot be used: line ", bad.display());
            assert!(error.starts_with(&named) && error.contains("column"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
        }
        let error = read_files(&[good, folder.path().to_owned()]).unwrap_err().to_string();
        let named = format!("the kubeconfig {} cannot be used: ", folder.path().display());
        assert!(error.starts_with(&named) && error.contains("directory"), "{error}");
    }
}

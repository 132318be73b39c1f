//! The user's kubeconfig, read and never written.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::error::{ClusterError, chain};

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

/// Reads and merges kubeconfig files as kubectl does: the first to say something wins, files that
/// are not there are skipped.
pub(super) fn read_files(paths: &[PathBuf]) -> Result<Kubeconfig, ClusterError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let next = Kubeconfig::read_from(path)
            .map_err(|error| ClusterError::Kubeconfig { why: chain(&error) })?;
        merged = Some(match merged {
            None => next,
            Some(before) => before
                .merge(next)
                .map_err(|error| ClusterError::Kubeconfig { why: chain(&error) })?,
        });
    }
    merged.ok_or_else(|| ClusterError::NoKubeconfig { paths: paths.to_vec() })
}

/// One context of a kubeconfig, ready to connect with.
pub(super) struct Chosen {
    pub(super) context: String,
    pub(super) config: kube::Config,
}

/// Takes one context: the named one, else the current one.
pub(super) async fn choose(
    kubeconfig: Kubeconfig,
    context: Option<&str>,
) -> Result<Chosen, ClusterError> {
    let context = context_name(&kubeconfig, context)?;
    refuse_proxy(&kubeconfig, &context)?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| ClusterError::Kubeconfig { why: chain(&error) })?;
    Ok(Chosen { context, config })
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

/// A proxy of the kubeconfig's can't be ignored: what it leads to may be reachable no other way.
fn refuse_proxy(kubeconfig: &Kubeconfig, context: &str) -> Result<(), ClusterError> {
    let cluster = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref());
    let cluster = cluster
        .and_then(|context| kubeconfig.clusters.iter().find(|named| named.name == context.cluster));
    let proxy = cluster
        .and_then(|named| named.cluster.as_ref()?.proxy_url.as_deref())
        .filter(|url| !url.is_empty());
    match proxy {
        Some(url) => Err(ClusterError::Kubeconfig {
            why: format!("its cluster is behind the proxy {url}, which is not supported"),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
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
}

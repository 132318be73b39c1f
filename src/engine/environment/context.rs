//! The cluster of a context of the user's kubeconfig: a kind cluster of this machine's container
//! engine where it is one, and any other through its API alone.

use std::path::{Path, PathBuf};

use crate::cluster::{Cluster, ClusterError};
use crate::engine::environment::claim::claim_identity;
use crate::engine::environment::handle::{
    ApiNodes, ClusterHandle, Environment, Nodes, Preparing, Say,
};
use crate::engine::environment::kind;
use crate::engine::error::RunError;
use crate::timeline::ClusterKind;

/// Finds the cluster. Where no container engine can be reached nobody can tell whether it is kind's.
pub(super) async fn find(
    kubeconfig: &[PathBuf],
    context: Option<&str>,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<ClusterHandle, RunError> {
    let mut tell = |text: &str| say(Preparing::Detail(text));
    let cluster = match &environment.connected {
        Some(cluster) => cluster.clone(),
        None => Cluster::from_files(kubeconfig, context, &mut tell)
            .await
            .map_err(RunError::refused_by)?,
    };
    // A later process may be started in another directory.
    let kubeconfig: Vec<PathBuf> = kubeconfig.iter().map(|path| absolute(path)).collect();
    let no_engine = match kind::connect(environment).await {
        Ok(docker) => {
            let found = kind::of_context(&cluster, &kubeconfig, &docker, environment, say).await?;
            if let Some(handle) = found {
                return Ok(handle);
            }
            None
        }
        Err(error) => {
            let context = cluster.context();
            say(Preparing::Step(&format!(
                "the container engine cannot be used, so context {context} is reached through its API alone: {}",
                error.line()
            )));
            Some(error)
        }
    };
    through_the_api(cluster, kubeconfig, no_engine, environment).await
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

async fn through_the_api(
    cluster: Cluster,
    kubeconfig: Vec<PathBuf>,
    no_engine: Option<RunError>,
    environment: &Environment<'_>,
) -> Result<ClusterHandle, RunError> {
    let context = cluster.context().to_owned();
    let identity = cluster.identity().await.map_err(RunError::refused_by)?;
    let claimed = claim_identity(environment, (&context, &identity), None)?;
    let nodes = match cluster.nodes().await {
        // The preflight refuses the run, and lists all that the user may not do.
        Err(ClusterError::Forbidden { .. }) => Vec::new(),
        nodes => nodes.map_err(RunError::refused_by)?,
    };
    let mut facts = cluster.facts_of(nodes, ClusterKind::Context, &context, None, &[]).await;
    facts.0.context = Some(cluster.context_facts());
    let helper_image = environment.helper_image.map(str::to_owned);
    let binary = kind::binary(environment)?;
    let nodes = Nodes::Api(ApiNodes { kubeconfig, identity, helper_image, binary, no_engine });
    Ok(ClusterHandle::new(cluster, facts, claimed, nodes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::engine::existing_tests;
    use crate::engine::granted::Granted;
    use crate::engine::preflight::{Preflight, role_of_missing};
    use crate::preflight::{Check, Level};

    /// A cluster whose user may do nothing but ask what may be done.
    async fn forbidden(root: &Path) -> ClusterHandle {
        let api = FakeApi::with("/nothing", json!({}));
        api.before_each(|objects, call| {
            // Each review is another object without a name.
            objects.retain(|path, _| !path.contains("reviews"));
            (!call.contains("reviews")).then_some(403)
        });
        let program = std::env::current_exe().unwrap();
        let environment =
            Environment { program, only_look: true, ..existing_tests::environment(root) };
        let away = RunError::refused("no engine");
        through_the_api(api.cluster(), Vec::new(), Some(away), &environment).await.unwrap()
    }

    #[tokio::test]
    async fn a_run_that_cannot_read_what_it_probes_is_refused_for_all_missing_rights() {
        let root = tempfile::tempdir().unwrap();
        let handle = forbidden(root.path()).await;
        let asked = ["http: {service: web}", "http: {ingress: web}"];
        let experiment = existing_tests::EXPERIMENT.replacen(asked[0], asked[1], 1);
        let run = existing_tests::run_once(&handle, &experiment, root.path()).await;
        let refused = run.err().expect("it is refused");
        assert!(refused.causes[0].starts_with("the user cannot list "), "{refused:?}");
        assert!(refused.hint.is_some_and(|hint| hint.contains("kubectl outage rbac")));
    }

    #[tokio::test]
    async fn whoever_may_not_list_the_nodes_is_told_all_else() {
        let root = tempfile::tempdir().unwrap();
        let (handle, granted) = (forbidden(root.path()).await, Granted::default());
        let (parsed, runs_dir) = (None, root.path());
        let preflight = Preflight { handle: &handle, parsed, runs_dir, granted: &granted };
        let found = preflight.all(None).await;
        let levels = |check: Check| -> Vec<Level> {
            found.findings.iter().filter(|it| it.check == check).map(|it| it.level).collect()
        };
        assert_eq!(levels(Check::Nodes), [Level::Error]);
        assert_eq!(levels(Check::Engine), [Level::Warning], "it may be a kind cluster");
        assert!(levels(Check::Rights).contains(&Level::Error));
        assert_eq!(levels(Check::Disk), [Level::Ok]);
        let role = role_of_missing(&found.missing).unwrap();
        assert!(role.contains("kind: ClusterRole\n"), "{role}");
        let missing: Vec<String> = found.missing.iter().map(|it| it.of.to_string()).collect();
        assert!(missing.contains(&"list nodes".to_owned()), "{missing:?}");
    }
}

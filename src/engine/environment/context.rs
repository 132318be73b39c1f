//! The cluster of a context of the user's kubeconfig: a kind cluster of this machine's container
//! engine where it is one, and any other through its API alone.

use std::path::{Path, PathBuf};

use crate::cluster::Cluster;
use crate::engine::environment::claim::{lock, refuse_pending};
use crate::engine::environment::handle::{
    ApiNodes, ClusterHandle, Environment, Nodes, Preparing, Say,
};
use crate::engine::environment::kind;
use crate::engine::environment::state_dir::StateDir;
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
    match kind::connect(environment).await {
        Ok(docker) => {
            let found = kind::of_context(&cluster, &kubeconfig, &docker, environment, say).await?;
            if let Some(handle) = found {
                return Ok(handle);
            }
        }
        Err(error) => say(Preparing::Step(&format!(
            "the container engine cannot be used, so context {} is reached through its API alone: {}",
            cluster.context(),
            error.line()
        ))),
    }
    through_the_api(cluster, kubeconfig, environment).await
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

async fn through_the_api(
    cluster: Cluster,
    kubeconfig: Vec<PathBuf>,
    environment: &Environment<'_>,
) -> Result<ClusterHandle, RunError> {
    let context = cluster.context().to_owned();
    let identity = cluster.identity().await.map_err(RunError::refused_by)?;
    let state = StateDir::of_identity(environment.state_dir, &context, &identity);
    let claimed = lock(environment, state)?;
    refuse_pending(&claimed.state)?;
    let facts = cluster.facts(ClusterKind::Context, &context, None, &[]).await;
    let mut facts = facts.map_err(RunError::refused_by)?;
    facts.0.context = Some(cluster.context_facts());
    let helper_image = environment.helper_image.map(str::to_owned);
    let binary = kind::binary(environment)?;
    let nodes = Nodes::Api(ApiNodes { kubeconfig, identity, helper_image, binary });
    Ok(ClusterHandle::new(cluster, facts, claimed, nodes))
}

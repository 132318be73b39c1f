//! A cluster that is running, by its context: what it is, read and nothing changed.

use std::path::Path;

use super::env::Env;
use crate::cluster::{Cluster, kubeconfig_paths};
use crate::engine::error::RunError;
use crate::timeline::{ClusterFacts, ClusterKind};

/// The cluster of a context, or of the current one.
pub(super) async fn cluster(
    context: Option<&str>,
    kubeconfig: Option<&Path>,
    env: &Env,
) -> Result<Cluster, RunError> {
    let paths = kubeconfig_paths(kubeconfig, env.kubeconfig.as_deref(), env.home.as_deref());
    let mut tell = |text: &str| complain!("{text}");
    Cluster::from_files(&paths, context, &mut tell).await.map_err(RunError::refused_by)
}

/// The facts of a context's cluster (its name is the context's), and what could not be read of its
/// settings.
pub(super) async fn facts(
    context: Option<&str>,
    kubeconfig: Option<&Path>,
    env: &Env,
) -> Result<(ClusterFacts, Vec<String>), RunError> {
    facts_of(&cluster(context, kubeconfig, env).await?).await
}

pub(super) async fn facts_of(cluster: &Cluster) -> Result<(ClusterFacts, Vec<String>), RunError> {
    cluster
        .facts(ClusterKind::Context, cluster.context(), None, &[])
        .await
        .map_err(RunError::refused_by)
}

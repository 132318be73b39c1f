//! The cluster that an experiment's kind config asks for, before it is there: what predictions and plans start from.

use std::path::Path;

use super::failure::Failure;
use super::{exit, load};
use crate::cluster::KindConfig;
use crate::engine::environment::provision;
use crate::engine::error::RunError;
use crate::experiment::{Cluster, Parsed};
use crate::model::Topology;
use crate::plan::Node;
use crate::prediction::Ground;
use crate::timeline::NodeRole;

/// A cluster that could be made.
pub(super) struct ExpectedCluster {
    /// Its nodes and settings, with the experiment's workload on it.
    pub ground: Ground,
    /// What it is, for people.
    pub name: String,
}

/// The cluster of `config`, else of the experiment's own kind config; `None` where there is neither. Errors when the config can't be used.
pub(super) fn expected(
    parsed: &Parsed,
    config: Option<&Path>,
    kubernetes: &str,
) -> Result<Option<ExpectedCluster>, Failure> {
    let (path, text, tuning) = match (config, &parsed.kind_config, &parsed.experiment.cluster) {
        (Some(path), ..) => (path.display().to_string(), load::kind_config(path)?, None),
        (None, Some(file), Cluster::Kind { tuning, .. }) => {
            (file.path.clone(), file.text.clone(), *tuning)
        }
        _ => return Ok(None),
    };
    let unusable = |error| Failure { code: exit::USAGE, ..Failure::from(error) };
    let config = provision::asked(&path, &text, tuning).map_err(unusable)?;
    let nodes = kubernetes_nodes(&config);
    let (name, count) = (&config.name, nodes.len());
    let name = format!(
        "kind cluster {name} as {path} describes it (Kubernetes {kubernetes}, {count} nodes)"
    );
    let ground = with_workload(Ground::new(nodes, config.expected(kubernetes), kubernetes), parsed);
    Ok(Some(ExpectedCluster { ground, name }))
}

/// The ground of the experiment's own kind config with the version of today, where it can be had: for hints, which must not fail.
pub(super) fn ground_today(parsed: &Parsed) -> Option<Ground> {
    expected(parsed, None, load::TODAY).ok().flatten().map(|cluster| cluster.ground)
}

/// A ground with the experiment's workload on it.
pub(super) fn with_workload(ground: Ground, parsed: &Parsed) -> Ground {
    ground.with_workload(&parsed.workload)
}

/// The nodes of the experiment's own kind config, and the load balancer that kind makes before several control planes. `None`: it names
/// no config. Errors when the config can't be used.
pub(super) fn nodes(parsed: &Parsed) -> Result<Option<Vec<Node>>, RunError> {
    let (Some(file), Cluster::Kind { tuning, .. }) =
        (&parsed.kind_config, &parsed.experiment.cluster)
    else {
        return Ok(None);
    };
    let config = provision::asked(&file.path, &file.text, *tuning)?;
    let node =
        |(name, role)| Node { name, role, labels: Default::default(), ready: true, address: None };
    let balancer = format!("{}-external-load-balancer", config.name);
    let balancer = (config.count(NodeRole::ControlPlane) > 1)
        .then_some((balancer, NodeRole::ExternalLoadBalancer));
    Ok(Some(kubernetes_nodes(&config).into_iter().chain(balancer).map(node).collect()))
}

/// What Kubernetes knows as nodes in the cluster of a kind config: how kind names them, and their roles.
fn kubernetes_nodes(config: &KindConfig) -> Vec<(String, NodeRole)> {
    let (control_planes, workers) =
        (config.count(NodeRole::ControlPlane), config.count(NodeRole::Worker));
    let nodes = Topology::kind(&config.name, control_planes, workers).nodes;
    nodes.into_iter().map(|node| (node.name, node.role)).collect()
}

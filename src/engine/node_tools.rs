//! What the nodes of a real cluster are reached by: a container engine, or helper pods.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster;
use crate::engine::environment::handle::{ApiNodes, ClusterHandle, KindNodes};
use crate::engine::error::RunError;
use crate::engine::undo::hit_control_planes::HitControlPlanes;
use crate::engine::undo::ledger::Access;
use crate::engine::undo::recover::Tools;
use crate::engine::undo::uploads::RecordedUploads;
use crate::experiment::Experiment;
use crate::fault::NodeTarget;
use crate::helper::{HelperPods, HelperSpec};
use crate::node::NodeAccess;
use crate::plan::RunLength;
use crate::timeline::NodeRole;

/// What stands for a container engine's address in the ledger of a cluster that is reached through
/// its API alone.
const API: &str = "api";

/// How much longer than its run a helper pod may run.
const HELPER_MARGIN: Duration = Duration::from_secs(900);

pub(super) struct NodeTools {
    pub tools: Tools,
    /// The nodes, and kind's load balancer.
    pub machines: Vec<NodeTarget>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// How a later process reaches the cluster.
    pub access: Access,
    /// The container engine's address, as the ledger has it.
    pub engine: String,
}

impl NodeTools {
    pub(super) fn of_kind(handle: &ClusterHandle, nodes: &KindNodes) -> Self {
        let (docker, kind) = (Some(nodes.docker.clone()), nodes.kind.clone());
        let (cluster, hit) = (Some(handle.cluster.clone()), HitControlPlanes::default());
        Self {
            tools: Tools { docker, helpers: None, kind, cluster, hit },
            machines: nodes_of(handle, nodes.machines()),
            binary: nodes.binary.clone(),
            access: nodes.access.clone(),
            engine: nodes.engine.clone(),
        }
    }

    /// Those of a run with this id, in its namespace.
    pub(super) async fn through_the_api(
        handle: &ClusterHandle,
        nodes: &ApiNodes,
        experiment: &Experiment,
        (run, namespace): (&str, &str),
    ) -> Result<Self, RunError> {
        let cluster = handle.cluster.clone();
        let image = nodes.image(experiment).to_owned();
        let access = Access::Api {
            kubeconfig: nodes.kubeconfig.clone(),
            context: cluster.context().to_owned(),
            identity: nodes.identity.clone(),
            helper_image: image.clone(),
        };
        let helpers = experiment.works_in_nodes().then(|| {
            HelperPods::new(HelperSpec {
                cluster: cluster.clone(),
                namespace: namespace.to_owned(),
                run: run.to_owned(),
                image,
                lasts: RunLength::of(experiment).at_most + HELPER_MARGIN,
            })
        });
        let machine = |node: cluster::Node| {
            let addresses = node.addresses.iter().filter_map(|it| it.parse().ok()).collect();
            NodeTarget {
                node: node.name.clone(),
                container_id: node.uid,
                container_name: node.name,
                role: node.role,
                addresses: BTreeMap::from([(String::new(), addresses)]),
                cluster: String::new(),
            }
        };
        let machines = cluster.nodes().await.map_err(RunError::refused_by)?;
        Ok(Self {
            tools: Tools::through_the_api(Some(cluster), helpers),
            machines: machines.into_iter().map(machine).collect(),
            binary: nodes.binary.clone(),
            access,
            engine: API.into(),
        })
    }
}

impl Tools {
    /// The way into the nodes for what is uploaded; `uploads` is where that is recorded until it has
    /// ended.
    pub(super) fn way_in(&self, uploads: &Path) -> Result<Arc<dyn NodeAccess>, RunError> {
        if let Some(helpers) = &self.helpers {
            return Ok(Arc::new(helpers.clone()));
        }
        let docker = self.docker()?.clone();
        Ok(Arc::new(RecordedUploads::new(docker, uploads.to_owned())))
    }
}

pub(super) fn machine<'m>(
    machines: &'m [NodeTarget],
    node: &str,
) -> Result<&'m NodeTarget, RunError> {
    machines.iter().find(|machine| machine.node == node).ok_or_else(|| {
        RunError::refused(format!("node {node} matches no container on this Docker host"))
    })
}

/// The containers that are the cluster's nodes: by label, and by an address that agrees with the
/// Node's; and the load balancer that the label gives them. Nothing else is touched.
fn nodes_of(handle: &ClusterHandle, mut machines: Vec<NodeTarget>) -> Vec<NodeTarget> {
    let nodes = &handle.facts.nodes;
    machines.retain(|machine| {
        machine.role == NodeRole::ExternalLoadBalancer
            || nodes.iter().any(|node| node.container.as_ref() == Some(&machine.container_id))
    });
    machines
}

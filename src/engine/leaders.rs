//! Who leads each part of a control plane at this moment, before any run: by the leases, and by the
//! etcd members' own word.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::environment::handle::{ClusterHandle, KindNodes, Nodes};
use crate::engine::error::RunError;
use crate::timeline::{Component, NodeRole};

/// An etcd member that takes longer is not heard.
const PATIENCE: Duration = Duration::from_secs(5);
/// Whether a member leads, as it says itself where kubeadm lets it tell its metrics. (A kind node
/// has curl.)
const ASK: &str = "curl --silent --max-time 2 http://127.0.0.1:2381/metrics | grep --quiet '^etcd_server_is_leader 1'";

/// The nodes of those leaders that are known. Refused when the API server does not list its leases.
pub(crate) async fn now(handle: &ClusterHandle) -> Result<BTreeMap<Component, String>, RunError> {
    let mut leaders = handle.cluster.leaders().await.map_err(RunError::refused_by)?;
    if let Nodes::Kind(nodes) = &handle.nodes {
        leaders.extend(etcd(nodes).await.map(|node| (Component::Etcd, node)));
    }
    Ok(leaders)
}

async fn etcd(nodes: &KindNodes) -> Option<String> {
    for container in
        nodes.containers.iter().filter(|container| container.role == NodeRole::ControlPlane)
    {
        let answer =
            nodes.docker.exec_within(PATIENCE, &container.id, &["sh", "-c", ASK], None).await;
        if answer.is_ok_and(|answer| answer.code == 0) {
            return Some(container.name.clone());
        }
    }
    None
}

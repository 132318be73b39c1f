//! What the modelled cluster is made of: nodes, pods and their owners, by index.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::timeline::{NodeRole, Tolerations};

/// A node: its place in [`Topology::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// A pod, numbered in the order of creation, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub usize);

/// A ReplicaSet, numbered in the order of creation, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub usize);

/// A taint that somebody sets, numbered as the model came to know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaintId(pub usize);

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The nodes. Those with the role control-plane carry an API server, an etcd member, a
    /// scheduler and a controller manager each (kubeadm's stacked control plane).
    pub nodes: Vec<NodeSpec>,
}

impl Topology {
    /// So many control-plane nodes, named as kind names them (`NAME-control-plane`,
    /// `NAME-control-plane2`, ...), and so many workers, all in one zone.
    pub fn kind(name: &str, control_planes: usize, workers: usize) -> Self {
        let numbered = |role: &str, i: usize| {
            if i == 0 { format!("{name}-{role}") } else { format!("{name}-{role}{}", i + 1) }
        };
        let control_planes =
            (0..control_planes).map(|i| (numbered("control-plane", i), NodeRole::ControlPlane));
        let workers = (0..workers).map(|i| (numbered("worker", i), NodeRole::Worker));
        Self::of(control_planes.chain(workers))
    }

    /// Nodes of these names and roles, all in one zone, tainted as kind leaves them: kubeadm taints
    /// control planes, and kind removes the taint from an only node (`len(allNodes) == 1` in
    /// its `kubeadminit/init.go`).
    pub fn of(nodes: impl IntoIterator<Item = (String, NodeRole)>) -> Self {
        let mut nodes: Vec<NodeSpec> =
            nodes.into_iter().map(|(name, role)| NodeSpec::new(name, role)).collect();
        if let [only] = &mut nodes[..] {
            only.tainted = false;
        }
        Self { nodes }
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }

    pub fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name == name).map(NodeId)
    }

    /// As Node objects: names and labels.
    pub fn objects(&self) -> Vec<NodeObject> {
        let object = |id: NodeId| {
            let NodeSpec { name, labels, .. } = &self.nodes[id.0];
            NodeObject { id, object: json!({"metadata": {"name": name, "labels": labels}}) }
        };
        self.ids().map(object).collect()
    }

    pub fn with_role(&self, role: NodeRole) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(move |node| self.nodes[node.0].role == role)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    pub name: String,
    pub role: NodeRole,
    /// Those that it registers with.
    pub labels: BTreeMap<String, String>,
    /// Whether pods without a toleration are kept off it (the control plane's taint).
    pub tainted: bool,
}

impl NodeSpec {
    /// A node with the labels that kubeadm gives; of the control plane: tainted.
    pub fn new(name: impl Into<String>, role: NodeRole) -> Self {
        let name = name.into();
        let mut labels = BTreeMap::from([
            ("kubernetes.io/hostname".to_owned(), name.clone()),
            ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ]);
        if role == NodeRole::ControlPlane {
            labels.insert(NodeRole::CONTROL_PLANE_LABEL.to_owned(), String::new());
        }
        Self { name, role, labels, tainted: role == NodeRole::ControlPlane }
    }

    /// `topology.kubernetes.io/zone`; empty where it has none.
    pub fn zone(&self) -> &str {
        self.labels.get("topology.kubernetes.io/zone").map_or("", String::as_str)
    }
}

/// A Node in the API, as far as the scheduler looks at it.
#[derive(Clone, Debug)]
pub struct NodeObject {
    /// In the model.
    pub id: NodeId,
    /// With its metadata.
    pub object: Value,
}

/// How long a pod tolerates a NoExecute taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tolerates {
    /// For so long after the taint came; zero is not at all.
    For(Duration),
    /// For ever, as a DaemonSet's pods do.
    Forever,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSpec {
    /// How long it tolerates `node.kubernetes.io/not-ready`. The admission plugin
    /// DefaultTolerationSeconds gives 300 s.
    pub tolerates_not_ready: Tolerates,
    /// How long it tolerates `node.kubernetes.io/unreachable`. 300 s as well.
    pub tolerates_unreachable: Tolerates,
    /// Whether it tolerates the control plane's taint.
    pub tolerates_control_plane: bool,
    /// All of them, as its template has them.
    pub tolerations: Arc<[Value]>,
    /// Where the scheduler places pods of the same owner.
    pub spread: Spread,
    /// The node that it names itself (`nodeName`, or a DaemonSet's pod): the scheduler is not
    /// asked.
    pub pinned: Option<NodeId>,
    /// Nodes that it may run on (nodeSelector, affinity); all where empty.
    pub only_on: Vec<NodeId>,
    /// From the kubelet's first sight of it to its containers running and ready.
    pub starts_in: Duration,
    /// From SIGTERM to the end of its containers.
    pub stops_in: Duration,
}

impl Default for PodSpec {
    /// Kubernetes' defaults, ready 1 s after it was bound and ended 100 ms after it was asked to.
    fn default() -> Self {
        Self::tolerating(Tolerations::default())
    }
}

impl PodSpec {
    /// A pod that says nothing, where the API server adds these tolerations.
    pub fn tolerating(Tolerations { not_ready, unreachable }: Tolerations) -> Self {
        Self {
            tolerates_not_ready: Tolerates::For(not_ready),
            tolerates_unreachable: Tolerates::For(unreachable),
            tolerates_control_plane: false,
            tolerations: Arc::default(),
            spread: Spread::Prefer,
            pinned: None,
            only_on: Vec::new(),
            starts_in: Duration::from_secs(1),
            stops_in: Duration::from_millis(100),
        }
    }
}

/// What becomes of pods that are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Controller {
    /// A bare pod is not replaced.
    None,
    /// The pods of a Deployment, a ReplicaSet or a Job are replaced as soon as they are being
    /// deleted.
    #[default]
    ReplicaSet,
    /// A StatefulSet's pod is replaced when the old one is out of the API: on a dead node never, by
    /// itself.
    StatefulSet,
    /// One pod a node, which stays there.
    DaemonSet,
    /// A custom resource: what it does is not known.
    Other,
}

impl Controller {
    /// Whether lost pods are made anew, on whichever node.
    pub fn replaces(self) -> bool {
        matches!(self, Controller::ReplicaSet | Controller::StatefulSet)
    }
}

/// To which ready endpoints kube-proxy sends a new connection to a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Routing {
    /// To any, at random.
    #[default]
    Any,
    /// To the one that it sent the client's last connection to (`sessionAffinity: ClientIP`).
    Sticky,
    /// To those on the client's own node (`internalTrafficPolicy: Local`).
    Local,
    /// Both: to the last one on the client's own node.
    StickyLocal,
}

impl Routing {
    /// Whether only endpoints on the client's own node count.
    pub fn is_local(self) -> bool {
        matches!(self, Routing::Local | Routing::StickyLocal)
    }

    /// Whether a client stays with its endpoint.
    pub fn is_sticky(self) -> bool {
        matches!(self, Routing::Sticky | Routing::StickyLocal)
    }
}

/// Where the pods of one owner go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// On the node with the fewest of them: the scheduler's own default.
    Prefer,
    /// Never two on one node: required anti-affinity.
    Require,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_only_node_takes_pods_and_several_control_planes_do_not() {
        let tainted = |control_planes, workers| -> Vec<bool> {
            Topology::kind("k", control_planes, workers).nodes.iter().map(|n| n.tainted).collect()
        };
        assert_eq!(tainted(1, 0), [false]);
        assert_eq!(tainted(3, 0), [true; 3]);
        assert_eq!(tainted(1, 1), [true, false]);
    }
}

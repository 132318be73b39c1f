//! What an experiment can say. These types are the schema: every field says its default.
//!
//! They are plain data and can be written as JSON (the timeline's header holds one) and read again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asking::{ApiServer, ApiVerb, DnsName};
use super::claim::Claim;
use crate::timeline::{Component, NodeRole};

/// The `apiVersion` of every experiment.
pub const API_VERSION: &str = "outage/v1alpha1";

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// `metadata.name`: a DNS label.
    pub name: String,
    /// What it asks, in a sentence. Default: none.
    pub question: Option<String>,
    /// Claims that the verdict, or some of the expectations, decide. Default: none.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// What it runs on.
    pub cluster: Cluster,
    /// Files of Kubernetes objects, relative to the experiment's file. They live in a namespace of the run's own. Default: none.
    pub workload: Vec<PathBuf>,
    /// How long the workload may take to become ready. Default: 120 s.
    pub workload_timeout: Duration,
    /// What is asked, and how often.
    pub probes: Vec<Probe>,
    /// What must hold before any harm, and again afterwards.
    pub steady_state: Vec<Condition>,
    /// How long the steady state may take to be reached. Default: 120 s.
    pub steady_state_timeout: Duration,
    /// What is done, in this order.
    pub method: Vec<Step>,
    /// What must be so. Default: nothing (the run measures only).
    pub expect: Vec<Expectation>,
    /// How much may be harmed at once.
    pub blast_radius: BlastRadius,
}

/// What an experiment runs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cluster {
    /// A kind cluster, made when it is absent.
    Kind {
        /// The kind config, relative to the experiment's file; it must have a `name:`.
        config: PathBuf,
        /// Settings of failure detection that replace the config's. The cluster's name then ends in them.
        tuning: Option<TuningRequest>,
    },
    /// The context that the command line names, or the current one.
    Context,
}

/// Settings of failure detection that are asked for. What is absent stays as the kind config has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TuningRequest {
    /// The kubelet's `nodeStatusUpdateFrequency`.
    pub node_status_update_frequency: Option<Duration>,
    /// The controller manager's `--node-monitor-period`.
    pub node_monitor_period: Option<Duration>,
    /// The controller manager's `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Option<Duration>,
}

/// A question asked at a fixed rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name: a DNS label, unique in the experiment.
    pub name: String,
    /// What is asked.
    pub ask: Ask,
    /// From where. Default: a control-plane node. A canary is the host's.
    pub from: From,
    /// Whether each attempt has a connection of its own. Default: new.
    pub connection: Connection,
    /// Attempts a second, 1 to 1000 (`50/s`); of a canary, 0.01 to 5 (`3/min`). Default: 10; of a canary, its own.
    pub rate: f64,
    /// The time that the whole of an attempt may take. Default: 1 s; of a canary, its own.
    pub timeout: Duration,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// An HTTP GET. Success: 2xx and 3xx (redirects are not followed).
    Http {
        /// Whom.
        target: Target,
        /// The path and query. Default: `/`. Of a `url`, its own.
        path: String,
        /// Statuses that are success. Default: 200 to 399.
        success: StatusRange,
        /// Headers to send besides Host. Default: none.
        headers: BTreeMap<String, String>,
        /// The response header that names the back end. Default: `x-backend`. Where the answer has none, the back end is unknown.
        backend_header: String,
        /// For an `https` URL: accept any certificate. Default: no.
        insecure: bool,
    },
    /// A TCP connection, opened and closed. With `connection: reused` it is kept, and checked to be still open.
    Tcp {
        /// Whom.
        target: Target,
    },
    /// The API server, from this program, with the kubeconfig's credentials. Success: 2xx.
    Api {
        /// What.
        verb: ApiVerb,
        /// Which one. Default: the balancer.
        server: ApiServer,
    },
    /// The cluster's DNS. Success: an address.
    Dns {
        /// Whose address.
        name: DnsName,
        /// Whether an answer is used again for as long as it holds, as a client with a cache does. Default: no.
        cached: bool,
    },
    /// Something that the control plane is asked to do, in the run's namespace. Success: it is done.
    Canary(Canary),
}

/// What the control plane is asked to do, each time anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Canary {
    /// A new pod is to run, which takes the scheduler and a kubelet.
    Scheduling,
    /// A Deployment is to have one pod more or less, which takes the controller manager.
    Reconciliation,
    /// An autoscaler is to bring its target back to its least size, which takes the controller manager's autoscaler.
    Autoscaling,
}

impl Canary {
    /// Its name in an experiment.
    pub const fn name(self) -> &'static str {
        match self {
            Canary::Scheduling => "scheduling",
            Canary::Reconciliation => "reconciliation",
            Canary::Autoscaling => "autoscaling",
        }
    }
}

impl Ask {
    /// Its name in an experiment.
    pub fn kind(&self) -> &'static str {
        match self {
            Ask::Http { .. } => "http",
            Ask::Tcp { .. } => "tcp",
            Ask::Api { .. } => "api",
            Ask::Dns { .. } => "dns",
            Ask::Canary(_) => "canary",
        }
    }

    /// Whom it asks; `None`: the control plane, or DNS.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Ask::Http { target, .. } | Ask::Tcp { target } => Some(target),
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    /// Whom it asks, to be changed.
    pub fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Ask::Http { target, .. } | Ask::Tcp { target } => Some(target),
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    /// The Service that it asks, if it is one.
    pub fn service(&self) -> Option<&str> {
        match self.target() {
            Some(Target::Service { name, .. }) => Some(name),
            _ => None,
        }
    }

    /// What it asks the control plane to do, if it does.
    pub fn canary(&self) -> Option<Canary> {
        match self {
            Ask::Canary(canary) => Some(*canary),
            _ => None,
        }
    }
}

/// Whom a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A Service of the run's namespace, by its ClusterIP (from a pod: by its DNS name).
    Service {
        /// Its name.
        name: String,
        /// Its port. Default: its only one.
        port: Option<u16>,
    },
    /// A pod, directly.
    Pod {
        /// Labels that choose it; the first by name.
        labels: BTreeMap<String, String>,
        /// The port.
        port: u16,
    },
    /// A host and port (for `http`, of an `http://` or `https://` URL).
    Address {
        /// The host: a name or an address.
        host: String,
        /// The port.
        port: u16,
        /// Whether TLS is spoken.
        tls: bool,
    },
}

/// Statuses that count as success, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusRange {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

impl Default for StatusRange {
    fn default() -> Self {
        Self { from: 200, to: 399 }
    }
}

/// Where a probe asks from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// A node's own network.
    Node(NodeSelector),
    /// A pod's network and its DNS.
    Pod {
        /// Labels that choose it; the first by name, in the run's namespace.
        labels: BTreeMap<String, String>,
    },
    /// The machine on which this program runs.
    Host,
}

/// Whether attempts share connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connection {
    /// Each attempt opens its own.
    #[default]
    New,
    /// Attempts use one that is open and idle; only where there is none a new one.
    Reused,
}

/// Which nodes. All that is given must agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    /// By name.
    pub name: Option<String>,
    /// By role.
    pub role: Option<NodeRole>,
    /// By labels.
    pub labels: BTreeMap<String, String>,
    /// Those with the most ready endpoints of this Service: `web`, or `kube-system/kube-dns` of another namespace.
    pub most_endpoints_of: Option<String>,
    /// The one on which this part of the control plane leads. Of targets only.
    #[serde(default)]
    pub leader: Option<Component>,
    /// Those on which this part of the control plane runs and does not lead. Of targets only.
    #[serde(default)]
    pub followers: Option<Component>,
    /// Those that this step hits, by its name: it lasts for as long as they are hit so. Of targets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// How many of those that fit. Of targets only. Default: 1.
    #[serde(default)]
    pub count: Count,
}

/// How many nodes a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Count {
    /// So many, 1 at least.
    Exactly(u32),
    /// All that fit.
    All,
}

impl Default for Count {
    fn default() -> Self {
        Self::Exactly(1)
    }
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// Nodes are Ready: `all`, or at least so many.
    NodesReady(Quantity),
    /// A Service has at least so many ready endpoints.
    EndpointsReady {
        /// The Service.
        service: String,
        /// How many.
        at_least: u32,
    },
    /// A probe succeeds.
    Probe {
        /// The probe.
        name: String,
        /// The least share of attempts that succeed, 0 to 1.
        success_ratio: f64,
        /// For how long.
        hold: Duration,
    },
}

/// All, or at least a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    /// All of them.
    All,
    /// At least so many.
    AtLeast(u32),
}

/// One step of a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Harm is done, held, and undone.
    Fault {
        /// By what others speak of it: a DNS label, unique in the experiment. Default: none.
        #[serde(default)]
        name: Option<String>,
        /// What is done.
        fault: Fault,
        /// How long it lasts, from its confirmation.
        hold: Duration,
        /// What is done one after the other from its confirmation on, beside it; it may outlast the fault. Default: nothing.
        #[serde(default)]
        meanwhile: Vec<Step>,
    },
    /// Nothing is done for a while.
    Pause {
        /// For how long.
        hold: Duration,
    },
}

/// Ways to harm. Each has a file of its own in `fault/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// An orderly shutdown (`docker stop`).
    NodeStop {
        /// Which node.
        target: NodeSelector,
        /// How long the node may take to shut down before it is killed. Default: 10 s, as Docker has it.
        grace: Duration,
    },
    /// Power loss (`docker kill`).
    NodeKill {
        /// Which node.
        target: NodeSelector,
    },
    /// Power off and on again at once.
    NodeReboot {
        /// Which node.
        target: NodeSelector,
    },
    /// A freeze (`docker pause`).
    NodePause {
        /// Which node.
        target: NodeSelector,
    },
    /// The network cable is cut, by a packet filter inside the node; its address stays.
    NodeDisconnect {
        /// Which node.
        target: NodeSelector,
    },
    /// Only the kubelet stops: the node's pods go on answering.
    KubeletStop {
        /// Which node.
        target: NodeSelector,
    },
    /// A part of the control plane ends and is held down: its static pod's manifest is moved away.
    ComponentStop {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A part of the control plane is killed; its kubelet starts it again by itself.
    ComponentKill {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A part of the control plane freezes (SIGSTOP).
    ComponentPause {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A node is cut off from some others only, or in one direction only, by a packet filter inside it.
    Partition {
        /// Which node.
        target: NodeSelector,
        /// From whom. Default: all.
        from: Side,
        /// Which packets are dropped, as the node sees them. Default: both.
        direction: Direction,
    },
    /// A node is cordoned, and its pods are evicted, as `kubectl drain` does it (through the API).
    NodeDrain {
        /// Which node.
        target: NodeSelector,
    },
    /// The only etcd member's data directory is moved away (never deleted), so that etcd starts with an empty one; then it is moved back.
    EtcdDataLoss {
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A Deployment is given another number of replicas (through the API); then as many as before.
    DeploymentScale {
        /// Its namespace. Default: the run's.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// How many it is given.
        replicas: u32,
    },
    /// A Deployment's pods are moved (through the API): all to one node, or to several and each to its own; then they may be where they
    /// might be before.
    DeploymentPlace {
        /// Its namespace. Default: the run's.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// To which nodes: chosen by role, name or labels.
        on: Box<NodeSelector>,
    },
    /// Pods are deleted (through the API). Nothing takes that back: whoever made them makes others, or nobody does.
    PodDelete {
        /// Which pods.
        pods: PodSelector,
    },
    /// The processes of pods' containers are killed inside their nodes; the kubelet starts the containers again by itself.
    ContainerKill {
        /// Which pods.
        pods: PodSelector,
        /// Which container of each. Default: all of them.
        container: Option<String>,
    },
}

/// From whom a node is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// From everything outside of it.
    #[default]
    All,
    /// Only its kubelet, kube-proxy and pods from the API servers, and these from its kubelet; all else goes on.
    ApiServer,
    /// From the other nodes and their pods; what goes on between it and the API servers is not touched.
    Peers,
}

impl Side {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Side); 3] = [("apiServer", Side::ApiServer), ("peers", Side::Peers), ("all", Side::All)];
}

/// Which packets, as the node sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Both.
    #[default]
    Both,
    /// Only those that come in.
    In,
    /// Only those that go out.
    Out,
}

impl Direction {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Direction); 3] = [("both", Direction::Both), ("in", Direction::In), ("out", Direction::Out)];
}

/// Which pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    /// Their namespace. Default: the run's.
    pub namespace: Option<String>,
    /// Labels that all of them carry.
    pub labels: BTreeMap<String, String>,
    /// How many of those, chosen by the seed. Default: 1.
    pub count: Count,
}

impl Fault {
    /// Which node it hits; `None`: none, but objects of a namespace.
    pub fn target(&self) -> Option<&NodeSelector> {
        match self {
            Fault::NodeStop { target, .. }
            | Fault::NodeKill { target }
            | Fault::NodeReboot { target }
            | Fault::NodePause { target }
            | Fault::NodeDisconnect { target }
            | Fault::KubeletStop { target }
            | Fault::ComponentStop { target, .. }
            | Fault::ComponentKill { target, .. }
            | Fault::ComponentPause { target, .. }
            | Fault::Partition { target, .. }
            | Fault::NodeDrain { target }
            | Fault::EtcdDataLoss { target } => Some(target),
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => None,
            Fault::PodDelete { .. } | Fault::ContainerKill { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn target_mut(&mut self) -> Option<&mut NodeSelector> {
        match self {
            Fault::NodeStop { target, .. }
            | Fault::NodeKill { target }
            | Fault::NodeReboot { target }
            | Fault::NodePause { target }
            | Fault::NodeDisconnect { target }
            | Fault::KubeletStop { target }
            | Fault::ComponentStop { target, .. }
            | Fault::ComponentKill { target, .. }
            | Fault::ComponentPause { target, .. }
            | Fault::Partition { target, .. }
            | Fault::NodeDrain { target }
            | Fault::EtcdDataLoss { target } => Some(target),
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => None,
            Fault::PodDelete { .. } | Fault::ContainerKill { .. } => None,
        }
    }

    /// The namespace of the objects that it hits, if it is not the run's.
    pub fn foreign_namespace(&self) -> Option<&str> {
        match self {
            Fault::DeploymentScale { namespace, .. } | Fault::DeploymentPlace { namespace, .. } => namespace.as_deref(),
            Fault::PodDelete { pods } | Fault::ContainerKill { pods, .. } => pods.namespace.as_deref(),
            _ => None,
        }
    }

    /// The pods that it hits, if it hits pods.
    pub fn pods(&self) -> Option<&PodSelector> {
        match self {
            Fault::PodDelete { pods } | Fault::ContainerKill { pods, .. } => Some(pods),
            _ => None,
        }
    }

    /// The objects that it hits, for people: `the Deployment kube-system/coredns, to 0 replicas`; `None`: it hits a node.
    pub fn objects(&self) -> Option<String> {
        let space = self.foreign_namespace().map_or(String::new(), |namespace| format!("{namespace}/"));
        if let Fault::DeploymentScale { name, replicas, .. } = self {
            return Some(format!("the Deployment {space}{name}, to {replicas} replicas"));
        }
        if let Fault::DeploymentPlace { name, .. } = self {
            return Some(format!("the pods of the Deployment {space}{name}"));
        }
        let pods = self.pods()?;
        let labels: Vec<String> = pods.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let count = match pods.count {
            Count::All => "all".to_owned(),
            Count::Exactly(count) => count.to_string(),
        };
        let space = space.strip_suffix('/').map_or(String::new(), |namespace| format!(" of {namespace}"));
        Some(format!("{count} of the pods{space} with {}", labels.join(",")))
    }

    /// The part of the control plane that it hits; `None`: the node itself.
    pub fn component(&self) -> Option<Component> {
        match self {
            Fault::ComponentStop { component, .. }
            | Fault::ComponentKill { component, .. }
            | Fault::ComponentPause { component, .. } => Some(*component),
            Fault::EtcdDataLoss { .. } => Some(Component::Etcd),
            _ => None,
        }
    }

    /// Whether it takes the node's machine or network away, and so all that runs there: a probe, etcd.
    pub fn takes_node(&self) -> bool {
        match self {
            Fault::NodeStop { .. } | Fault::NodeKill { .. } | Fault::NodeReboot { .. } => true,
            Fault::NodePause { .. } | Fault::NodeDisconnect { .. } => true,
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            _ => false,
        }
    }

    /// Whether the node's machine is off for a while: the engine then gives its address to the next that starts.
    pub fn frees_address(&self) -> bool {
        matches!(self, Fault::NodeStop { .. } | Fault::NodeKill { .. } | Fault::NodeReboot { .. })
    }

    /// Whether the node's etcd may be lost with it.
    pub fn takes_etcd(&self) -> bool {
        match self {
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            Fault::NodeDrain { .. } => false,
            _ => self.component().is_none_or(|component| component == Component::Etcd),
        }
    }

    /// Whether it makes the node less than it was: a drained one is well, and so are those whose pods are hit.
    pub fn harms_node(&self) -> bool {
        self.target().is_some() && !matches!(self, Fault::NodeDrain { .. })
    }

    /// Whether it may hit a node that `other` has hit and still does: where neither touches what the other did. A drain is the API's
    /// alone, and the parts of a control plane are processes of their own.
    pub fn may_share_node(&self, other: &Fault) -> bool {
        let parts = matches!((self.component(), other.component()), (Some(this), Some(other)) if this != other);
        parts || self.harms_node() != other.harms_node()
    }

    /// Its name in an experiment.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::NodeStop { .. } => "nodeStop",
            Fault::NodeKill { .. } => "nodeKill",
            Fault::NodeReboot { .. } => "nodeReboot",
            Fault::NodePause { .. } => "nodePause",
            Fault::NodeDisconnect { .. } => "nodeDisconnect",
            Fault::KubeletStop { .. } => "kubeletStop",
            Fault::ComponentStop { .. } => "componentStop",
            Fault::ComponentKill { .. } => "componentKill",
            Fault::ComponentPause { .. } => "componentPause",
            Fault::Partition { .. } => "partition",
            Fault::NodeDrain { .. } => "nodeDrain",
            Fault::EtcdDataLoss { .. } => "etcdDataLoss",
            Fault::DeploymentScale { .. } => "deploymentScale",
            Fault::DeploymentPlace { .. } => "deploymentPlace",
            Fault::PodDelete { .. } => "podDelete",
            Fault::ContainerKill { .. } => "containerKill",
        }
    }
}

/// How long something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenBound", into = "WrittenBound")]
pub enum Bound {
    /// So long.
    Fixed(Duration),
    /// As long as the model says that it takes at most, with the cluster's own settings.
    Predicted,
}

/// A bound as a file has it: a duration, or the word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenBound {
    Fixed(Duration),
    Word(BoundWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BoundWord {
    Predicted,
}

impl std::convert::From<WrittenBound> for Bound {
    fn from(written: WrittenBound) -> Self {
        match written {
            WrittenBound::Fixed(length) => Bound::Fixed(length),
            WrittenBound::Word(BoundWord::Predicted) => Bound::Predicted,
        }
    }
}

impl std::convert::From<Bound> for WrittenBound {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Fixed(length) => WrittenBound::Fixed(length),
            Bound::Predicted => WrittenBound::Word(BoundWord::Predicted),
        }
    }
}

/// What must be so for the run to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// The node is noticed: from the fault until its Ready condition is no longer True.
    Detection {
        /// The step whose node it is, by its name. Default: those that hit a node as a whole.
        #[serde(default)]
        of: Option<String>,
        /// A step without whose undo it can't be noticed: not before that was requested, and `within` counts from its confirmation.
        /// Default: none.
        #[serde(default)]
        after: Option<String>,
        /// At most so long after the fault was requested.
        within: Bound,
        /// And at least so long after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// The endpoints on the node left their Service: from the fault until the last is not ready.
    EndpointRemoval {
        /// Which Service. Default: that of the first probe that asks one.
        service: Option<String>,
        /// At most so long after the fault was requested.
        within: Bound,
    },
    /// The errors that a probe's clients saw between the fault and its undo, from the first to the last. One of the bounds at least.
    ErrorWindow {
        /// The probe.
        probe: String,
        /// At most so long (judged on the window's upper end).
        at_most: Option<Bound>,
        /// At least so long (judged on the window's lower end).
        #[serde(default)]
        at_least: Option<Duration>,
    },
    /// The share of a probe's attempts that failed, over the whole of fault and recovery.
    FailedShare {
        /// The probe.
        probe: String,
        /// At most this share, 0 to 1.
        at_most: f64,
    },
    /// No attempt failed.
    NoErrors {
        /// The probe.
        probe: String,
    },
    /// A part of the control plane gets a new leader: from the fault that hit the old one.
    LeaderChange {
        /// The part.
        component: Component,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// The longest time in which nobody leads a part of the control plane.
    LeaderGap {
        /// The part.
        component: Component,
        /// At most so long.
        at_most: Duration,
        /// And at least so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// A leader that was frozen, and has been replaced meanwhile, gives up once it is thawed.
    OldLeader {
        /// The part.
        component: Component,
        /// It lives on beside the new one for at most so long.
        at_most: Duration,
        /// And for at least so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// No attempt succeeded that was sent while a fault was in effect: after it was confirmed, and answered before its undo.
    NoSuccess {
        /// The probe.
        probe: String,
        /// The step whose fault it is. Default: every fault of the method.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// No node but those that were hit ever left Ready.
    NodesUntouched,
    /// No node that was hit is noticed before its undo: a glitch is not taken for an outage.
    NotDetected,
    /// What a fault took from a Service is ready elsewhere: so many new back ends on other nodes as it had on those that were hit.
    Rescheduled {
        /// The Service.
        service: String,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// Pods that were there before the first fault, on a node that was hit or hit themselves, are neither moved nor replaced before the
    /// last undo.
    NotRescheduled {
        /// Labels that choose them; in the run's namespace.
        labels: BTreeMap<String, String>,
    },
    /// A container of a pod that was hit was started again in place: the same pod, another container.
    Restarted {
        /// Labels that choose the pods; in the run's namespace.
        labels: BTreeMap<String, String>,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// Every object that was there before the first fault is there after the recovery, with the uid that it had, and unchanged. What
    /// controllers make is theirs to replace.
    ObjectsKept,
    /// The steady state is back.
    Recovery {
        /// At most so long after the confirmed undo.
        within: Bound,
    },
}

impl Expectation {
    /// Its kind, as it stands in an experiment.
    pub fn kind(&self) -> &'static str {
        match self {
            Expectation::Detection { .. } => "detection",
            Expectation::EndpointRemoval { .. } => "endpointRemoval",
            Expectation::ErrorWindow { .. } => "errorWindow",
            Expectation::FailedShare { .. } => "failedShare",
            Expectation::NoErrors { .. } => "noErrors",
            Expectation::LeaderChange { .. } => "leaderChange",
            Expectation::LeaderGap { .. } => "leaderGap",
            Expectation::OldLeader { .. } => "oldLeader",
            Expectation::NoSuccess { .. } => "noSuccess",
            Expectation::NodesUntouched => "nodesUntouched",
            Expectation::NotDetected => "notDetected",
            Expectation::Rescheduled { .. } => "rescheduled",
            Expectation::NotRescheduled { .. } => "notRescheduled",
            Expectation::Restarted { .. } => "restarted",
            Expectation::ObjectsKept => "objectsKept",
            Expectation::Recovery { .. } => "recovery",
        }
    }

    /// The probe that it judges, if it judges one.
    pub fn probe(&self) -> Option<&str> {
        match self {
            Expectation::ErrorWindow { probe, .. } | Expectation::FailedShare { probe, .. } => Some(probe),
            Expectation::NoErrors { probe } | Expectation::NoSuccess { probe, .. } => Some(probe),
            _ => None,
        }
    }

    /// What it is about, besides its kind: a probe, a Service, a step, a part of the control plane.
    fn subject(&self) -> Option<&str> {
        match self {
            Expectation::Detection { of, .. } => of.as_deref(),
            Expectation::EndpointRemoval { service, .. } => service.as_deref(),
            Expectation::Rescheduled { service, .. } => Some(service),
            Expectation::LeaderChange { component, .. }
            | Expectation::LeaderGap { component, .. }
            | Expectation::OldLeader { component, .. } => Some(component.name()),
            _ => self.probe(),
        }
    }

    /// By what a claim speaks of it, as kubectl speaks of objects: `noErrors/web`; where its kind is all that there is, `recovery`.
    pub fn name(&self) -> String {
        self.subject().map_or(self.kind().to_owned(), |subject| format!("{}/{subject}", self.kind()))
    }
}

/// How much may be harmed at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// Workers that may be down at once. Default: 1.
    pub max_workers: u32,
    /// Control-plane nodes that may be down, or lack a part, at once. Default: 0. More than etcd's quorum allows also needs `quorum_loss`.
    pub max_control_planes: u32,
    /// Whether etcd may lose its quorum. Default: no.
    pub quorum_loss: bool,
    /// Whether the load balancer before the API servers may be lost. Default: no.
    #[serde(default)]
    pub load_balancer: bool,
    /// Whether the cluster's data may be away for a while. Default: no.
    #[serde(default)]
    pub data_loss: bool,
    /// Namespaces besides the run's whose objects may be harmed. Default: none.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

impl Default for BlastRadius {
    fn default() -> Self {
        let (max_workers, max_control_planes) = (1, 0);
        let (quorum_loss, load_balancer, data_loss) = (false, false, false);
        Self { max_workers, max_control_planes, quorum_loss, load_balancer, data_loss, namespaces: Vec::new() }
    }
}

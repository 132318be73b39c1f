//! The cluster that a run stands on, as it was found or made: its facts, what its nodes are made of,
//! its state directory and its lock.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Cluster, Kind};
use crate::docker::{Container, Docker, Endpoint};
use crate::embedded::Embedded;
use crate::engine::environment::embedded_folder::Folder;
use crate::engine::environment::kept_workload::KeptWorkload;
use crate::engine::environment::state_dir::{Claim, Lock, StateDir};
use crate::engine::error::RunError;
use crate::engine::granted::Granted;
use crate::engine::undo::hit_control_planes::HitControlPlanes;
use crate::engine::undo::ledger::Access;
use crate::engine::undo::settings::SettingsFiles;
use crate::experiment::{self, Experiment};
use crate::fault::{CLOSED_WITHIN, NodeTarget};
use crate::helper;
use crate::plan::{Node, Platform};
use crate::timeline::{ClusterFacts, NodeRole, Ready, Tuning};

/// The margin of a timer that undoes a fault itself, and not only when its run has died. The timer
/// counts from the injection, the fault's duration from the confirmation: a shorter one would undo
/// the fault before the run says so.
const OWN_TIMER_MARGIN: Duration = CLOSED_WITHIN.saturating_add(Duration::from_secs(2));

/// What the command line and the environment say about the handle.
#[derive(Clone, Debug)]
pub(crate) struct Environment<'a> {
    /// The container engine. What is absent is only missed when it is needed.
    pub engine: Result<Endpoint, RunError>,
    /// Where programs are looked for.
    pub path: &'a OsStr,
    /// This program's own file: the watchdog is started from it, and the prober in a node.
    pub program: PathBuf,
    /// Another build of this program for the nodes.
    pub agent_binary: Option<&'a Path>,
    pub state_dir: &'a Path,
    /// The node image for a cluster that is made.
    pub node_image: Option<&'a str>,
    /// The context whose cluster faults may hit although it is not kind's.
    pub allow_context: Option<&'a str>,
    /// The image of the pods that lead into the nodes of a cluster that is not kind's.
    pub helper_image: Option<&'a str>,
    /// The cluster of the context, where the command is connected to it already.
    pub connected: Option<Cluster>,
    /// Whether nothing may be changed, not even in the state directory.
    pub only_look: bool,
    /// Grace period before the watchdog undoes an overdue fault.
    pub undo_timer_margin: Duration,
    /// What the user was found to be allowed.
    pub granted: Granted,
    /// The folder for what a person needs who asks why: it has a folder for each run.
    pub artifacts: Option<&'a Path>,
}

impl Environment<'_> {
    /// The container engine. Refused where there is none.
    pub(crate) fn engine(&self) -> Result<&Endpoint, RunError> {
        self.engine.as_ref().map_err(Clone::clone)
    }
}

/// The handle, ready: the lock is held as long as this lives.
pub(crate) struct ClusterHandle {
    pub cluster: Cluster,
    pub facts: ClusterFacts,
    /// What a reader should know of it.
    pub warnings: Vec<String>,
    pub state: StateDir,
    /// What its nodes are made of.
    pub nodes: Nodes,
    /// The workload that stays between two runs.
    pub(in crate::engine) workload: KeptWorkload,
    _lock: Lock,
}

impl ClusterHandle {
    /// `facts`: with what a reader should know of them.
    pub(in crate::engine) fn new(
        cluster: Cluster,
        (facts, warnings): (ClusterFacts, Vec<String>),
        Claim { state, lock }: Claim,
        nodes: Nodes,
    ) -> Self {
        let workload = KeptWorkload::default();
        Self { cluster, facts, warnings, state, nodes, workload, _lock: lock }
    }

    /// Whether it is the model inside this program.
    pub(crate) fn is_model(&self) -> bool {
        matches!(self.nodes, Nodes::Embedded(_))
    }

    /// The kubeconfig context through which it is reached; the model has none that says anything.
    pub(crate) fn context(&self) -> Option<&str> {
        (!self.is_model()).then(|| self.cluster.context())
    }

    /// The nodes as they are now, and the machines beside them that a fault may hit.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        let nodes = self.cluster.nodes().await.map_err(RunError::refused_by)?;
        let nodes = nodes.into_iter().map(Node::from).collect();
        Ok(match &self.nodes {
            Nodes::Kind(kind) => with_machines(nodes, &kind.machines()),
            Nodes::Api(_) | Nodes::Embedded(_) => nodes,
        })
    }

    /// The undos that stay in the ledger between runs: of changed settings, and of a workload that the
    /// next run takes over.
    pub(in crate::engine) fn kept(&self) -> Vec<u64> {
        let retuned = match &self.nodes {
            Nodes::Kind(nodes) => nodes.retuned.as_ref().map(|retuned| retuned.entry),
            Nodes::Api(_) | Nodes::Embedded(_) => None,
        };
        retuned.into_iter().chain(self.workload.get().map(|kept| kept.entry)).collect()
    }

    /// Grace period before an overdue fault is undone. Where the way into a node leads through what a
    /// fault hits, the node's own timer undoes it, on time.
    pub(crate) fn undo_timer_margin(&self, wanted: Duration) -> Duration {
        match self.nodes {
            Nodes::Api(_) => OWN_TIMER_MARGIN,
            _ => wanted,
        }
    }

    /// Whether this program has made the cluster, and not found it.
    pub(crate) fn is_made_here(&self) -> bool {
        matches!(&self.nodes, Nodes::Kind(nodes) if nodes.made)
    }
}

impl From<crate::cluster::Node> for Node {
    fn from(node: crate::cluster::Node) -> Self {
        let ready = node.ready == Ready::True;
        Self {
            address: node.addresses.into_iter().next(),
            name: node.name,
            role: node.role,
            labels: node.labels,
            ready,
            provider_id: node.provider_id,
            platform: Platform { system: node.system, processor: node.processor },
            api_only: false,
            protected: node.protected,
        }
    }
}

/// What a cluster's nodes are made of.
pub(crate) enum Nodes {
    /// The containers of a kind cluster.
    Kind(Box<KindNodes>),
    /// Whatever they are: the cluster is reached through its API alone.
    Api(ApiNodes),
    /// The model inside this program.
    Embedded(EmbeddedNodes),
}

/// What a dry run finds.
pub(crate) enum Found {
    ClusterHandle(Box<ClusterHandle>),
    /// It would be made, with this name.
    Absent(String),
}

/// Tells how far the making of a cluster has come.
pub(crate) type Say<'a> = &'a mut (dyn FnMut(Preparing<'_>) + Send);

/// How far a cluster has been prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preparing<'t> {
    Step(&'t str),
    /// Something about the step, or a step inside it.
    Detail(&'t str),
}

/// Nodes that are the containers of a kind cluster.
pub(crate) struct KindNodes {
    /// The container engine.
    pub docker: Docker,
    /// Its address, as kind and a later process are told it.
    pub engine: String,
    /// The kind program, where it is needed.
    pub kind: Result<Kind, RunError>,
    /// How a later process reaches the cluster.
    pub access: Access,
    pub containers: Vec<Container>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// Whether this program has just made the cluster.
    pub made: bool,
    /// What this program's runs have hit.
    pub hit: HitControlPlanes,
    /// The settings that it had, where this program has changed them.
    pub(in crate::engine) retuned: Option<Retuned>,
}

/// What the settings of the nodes were before they were changed.
#[derive(Clone)]
pub(in crate::engine) struct Retuned {
    /// The undo in the ledger. It stays there while the nodes have other settings.
    pub entry: u64,
    pub files: Vec<SettingsFiles>,
    pub tuning: Tuning,
    /// Whether the nodes were seen to work with them.
    pub is_restored: bool,
}

/// Nodes that are reached through the cluster's API alone.
pub(crate) struct ApiNodes {
    /// The kubeconfig's files.
    pub kubeconfig: Vec<PathBuf>,
    /// What tells the cluster from any other.
    pub identity: String,
    /// The image of the pods that lead into the nodes, where the command names one.
    pub helper_image: Option<String>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// Why nobody could tell whether it is a kind cluster of this machine; `None`: it is not.
    pub no_engine: Option<RunError>,
}

/// Nodes that are in the model alone.
pub(crate) struct EmbeddedNodes {
    /// The cluster. Its sockets close when it is dropped.
    pub embedded: Embedded,
    /// `None` where nothing may be written.
    pub(in crate::engine) _folder: Option<Folder>,
}

impl Nodes {
    /// This program for the nodes; `None`: nothing runs in a model's.
    pub(crate) fn binary(&self) -> Option<&[u8]> {
        match self {
            Nodes::Kind(nodes) => Some(&nodes.binary),
            Nodes::Api(nodes) => Some(&nodes.binary),
            Nodes::Embedded(_) => None,
        }
    }
}

impl ApiNodes {
    /// The image of helper pods: the command's, else the file's.
    pub(crate) fn image<'a>(&'a self, experiment: &'a Experiment) -> &'a str {
        let of_file = match &experiment.cluster {
            experiment::Cluster::NamedContext { helper_image, .. } => helper_image.as_deref(),
            _ => None,
        };
        self.helper_image.as_deref().or(of_file).unwrap_or(helper::DEFAULT_IMAGE)
    }
}

impl KindNodes {
    pub(crate) fn machines(&self) -> Vec<NodeTarget> {
        self.containers.iter().map(|machine| NodeTarget::new(&machine.name, machine)).collect()
    }
}

/// The nodes, those that are not containers marked, and kind's load balancer: a machine, but not a
/// node of Kubernetes. Selection knows it; nobody waits for it to be Ready.
pub(crate) fn with_machines(mut nodes: Vec<Node>, machines: &[NodeTarget]) -> Vec<Node> {
    for node in &mut nodes {
        node.api_only = machines.iter().all(|machine| machine.container_name != node.name);
    }
    let balancers = machines.iter().filter(|it| it.role == NodeRole::ExternalLoadBalancer);
    let machine = |machine: &NodeTarget| Node {
        address: machine.addresses.values().flatten().next().map(ToString::to_string),
        ..Node::ready(machine.container_name.clone(), machine.role)
    };
    nodes.extend(balancers.map(machine));
    nodes
}

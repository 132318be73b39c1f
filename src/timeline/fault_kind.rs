//! The kinds of faults, and what the rest of the program must know of each, in one table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::Component;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impact {
    MachineOff,
    MachineFrozen,
    Network,
    /// The node has no network to some others, or in one direction.
    SomeNetwork,
    /// The node's kubelet, and so its heartbeats; its pods go on.
    Kubelet,
    /// The node's kubelet lacks CPU time: its heartbeats may come late, or not at all.
    KubeletSlow,
    /// The process of a part of the control plane is gone.
    ProcessGone,
    /// The process of a part of the control plane is frozen.
    ProcessFrozen,
    EtcdData,
    Containers,
    /// Objects of the API are changed or deleted.
    Objects,
    /// What a command of the user's does: only they know.
    Command,
    /// Not known: a fault of another version of this program.
    Unknown,
}

impl Impact {
    /// Whether the whole node is away: off, frozen or without a network.
    pub fn whole_node(self) -> bool {
        matches!(self, Impact::MachineOff | Impact::MachineFrozen | Impact::Network)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Any machine: a node, or kind's load balancer.
    Machine,
    Node,
    /// A part of the control plane, on one of its nodes.
    Component,
    Deployment,
    Pods,
    /// An object that a controller acts on: what that hits is not known.
    Object,
    /// Not known: a fault of another version of this program.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It lasts until it is undone.
    Undone,
    /// By itself: its undo waits for that, and helps where it does not come.
    ByItself,
    /// It is over when its effect is seen, and there is nothing to undo: whoever made the pod or
    /// the container makes another.
    Confirmed,
}

/// The container engine's events on a machine that a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineActions {
    pub effect: &'static str,
    pub undo: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultWords {
    /// Its request: `stop requested`.
    pub request: &'static str,
    /// Its effect: `down`.
    pub effect: &'static str,
    /// Its end: `node started`.
    pub undo: &'static str,
}

/// A fault as far as it decides what becomes of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    pub traits: FaultTraits,
    /// How long the node may take to shut down, where it is shut down.
    pub grace: Option<Duration>,
    /// The part of the control plane that it hits; `None`: the node itself.
    pub component: Option<Component>,
    /// Whose packets it drops; `None`: nobody's.
    pub cut: Option<Cut>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// From everybody.
    All,
    /// From the API servers of other nodes; its pods can be reached.
    ApiServer,
    /// From some nodes, or in one direction: heartbeats may still get through.
    Partly,
}

/// What the program must know of a kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultTraits {
    /// Its name in an experiment and in a timeline.
    pub name: &'static str,
    pub words: FaultWords,
    pub impact: Impact,
    pub target: TargetKind,
    /// The container engine's events that show it; `None`: it knows nothing of it.
    pub engine: Option<EngineActions>,
    pub ends: Ends,
    /// Whether the etcd member of the node that it hits may be lost with it. For a part of the
    /// control plane: where that part is etcd.
    pub may_cost_etcd: bool,
    /// The longest time from its request to the node's last heartbeat. `None`: they go on.
    pub last_heartbeat: Option<Duration>,
    /// Whether the node's kubelet ends, and has to start again.
    pub ends_kubelet: bool,
    /// Whether commands of the user's inject and undo it, so that nobody knows beforehand when it
    /// takes effect.
    pub by_command: bool,
}

impl FaultTraits {
    /// Whether the node's machine is off for a while: the engine then gives its address to the next
    /// that starts.
    pub fn frees_address(&self) -> bool {
        self.impact == Impact::MachineOff
    }

    /// Whether pods are as they were when it is undone: it hits a node, its kubelet or a process of
    /// the control plane, and neither objects nor containers.
    pub fn leaves_pods(&self) -> bool {
        let impact = self.impact;
        let on_kubelet = matches!(impact, Impact::Kubelet | Impact::KubeletSlow);
        let on_process = matches!(impact, Impact::ProcessGone | Impact::ProcessFrozen);
        let leaves =
            impact.whole_node() || impact == Impact::SomeNetwork || on_kubelet || on_process;
        leaves && !self.by_command
    }

    /// Whether a part of the control plane is asked to end, which takes it a while, and is kept from
    /// starting again.
    pub fn holds_down(&self) -> bool {
        self.impact == Impact::ProcessGone && self.ends == Ends::Undone
    }

    /// Whether only the container engine can do it. A machine that starts again by itself can be
    /// asked from inside.
    pub fn needs_engine(&self) -> bool {
        self.engine.is_some() && self.ends != Ends::ByItself
    }

    /// Whether it is inside a node, where a timer can undo it: not at its machine, nor in the API,
    /// nor by commands.
    pub fn is_inside_node(&self) -> bool {
        self.engine.is_none() && self.impact != Impact::Objects && !self.by_command
    }

    pub fn lasts(&self) -> bool {
        self.ends != Ends::Confirmed
    }
}

/// systemd ends the kubelet among the first; what takes the rest of the ten seconds are containers
/// that ignore SIGTERM.
const ORDERLY_EXIT: Duration = Duration::from_millis(600);
/// `docker kill` came back after this.
const KILL: Duration = Duration::from_millis(300);
/// What is done inside a node (an exec through the engine) took effect within this, on two busy
/// cores.
const INSIDE: Duration = Duration::from_millis(1200);

const fn words(request: &'static str, effect: &'static str, undo: &'static str) -> FaultWords {
    FaultWords { request, effect, undo }
}

/// A fault that this program does not know: of an older or a newer version's timeline.
const UNKNOWN: FaultTraits = FaultTraits {
    name: "fault",
    words: words("fault requested", "in effect", "fault undone"),
    impact: Impact::Unknown,
    target: TargetKind::Unknown,
    engine: None,
    ends: Ends::Undone,
    may_cost_etcd: false,
    last_heartbeat: None,
    ends_kubelet: false,
    by_command: false,
};

const ON_NODE: FaultTraits = FaultTraits {
    name: "",
    words: words("", "", ""),
    impact: Impact::Unknown,
    target: TargetKind::Node,
    engine: None,
    ends: Ends::Undone,
    may_cost_etcd: true,
    last_heartbeat: None,
    ends_kubelet: false,
    by_command: false,
};

const MACHINE_OFF: FaultTraits = FaultTraits {
    impact: Impact::MachineOff,
    target: TargetKind::Machine,
    engine: Some(EngineActions { effect: "die", undo: "start" }),
    ends_kubelet: true,
    ..ON_NODE
};

/// A fault on a part of the control plane.
const ON_COMPONENT: FaultTraits =
    FaultTraits { target: TargetKind::Component, impact: Impact::ProcessGone, ..ON_NODE };

const ON_DEPLOYMENT: FaultTraits = FaultTraits {
    target: TargetKind::Deployment,
    impact: Impact::Objects,
    may_cost_etcd: false,
    ..ON_NODE
};

const OBJECT: FaultTraits = FaultTraits { target: TargetKind::Object, ..ON_DEPLOYMENT };

const ON_PODS: FaultTraits =
    FaultTraits { target: TargetKind::Pods, ends: Ends::Confirmed, ..ON_DEPLOYMENT };

/// The one list of all kinds, in the order of the documentation: name, words of the request, the
/// effect and the undo, and what differs from a base.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal ($($word:literal),*) $base:ident {
        $($field:ident: $value:expr),* $(,)?
    })*) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "camelCase")]
        pub enum FaultKind {
            $($(#[$doc])* $kind,)*
        }

        impl FaultKind {
            pub const ALL: [FaultKind; [$($name),*].len()] = [$(FaultKind::$kind),*];

            pub const fn traits(self) -> FaultTraits {
                match self {
                    $(FaultKind::$kind => FaultTraits {
                        name: $name,
                        words: words($($word),*),
                        $($field: $value,)*
                        ..$base
                    },)*
                }
            }
        }
    };
}

kinds! {
    NodeStop "nodeStop" ("stop requested", "down", "node started") MACHINE_OFF {
        last_heartbeat: Some(ORDERLY_EXIT),
    }
    /// Power loss.
    NodeKill "nodeKill" ("kill requested", "down", "node started") MACHINE_OFF {
        last_heartbeat: Some(KILL),
    }
    /// Power off and on again.
    NodeReboot "nodeReboot" ("reboot requested", "down", "node runs") MACHINE_OFF {
        ends: Ends::ByItself,
    }
    NodePause "nodePause" ("freeze requested", "frozen", "node unfrozen") ON_NODE {
        impact: Impact::MachineFrozen, target: TargetKind::Machine,
        engine: Some(EngineActions { effect: "pause", undo: "unpause" }),
        last_heartbeat: Some(Duration::ZERO),
    }
    /// The same by signals inside the node.
    NodeFreeze "nodeFreeze" ("freeze requested", "frozen", "node unfrozen") ON_NODE {
        impact: Impact::MachineFrozen, last_heartbeat: Some(INSIDE),
    }
    NodeDisconnect "nodeDisconnect" ("cut requested", "cut off", "node connected") ON_NODE {
        impact: Impact::Network, last_heartbeat: Some(INSIDE),
    }
    KubeletStop "kubeletStop" ("stop requested", "kubelet down", "kubelet started") ON_NODE {
        impact: Impact::Kubelet, last_heartbeat: Some(INSIDE), ends_kubelet: true,
    }
    /// A node whose kubelet is frozen.
    KubeletPause "kubeletPause" ("freeze requested", "kubelet frozen", "kubelet unfrozen") ON_NODE {
        impact: Impact::Kubelet, last_heartbeat: Some(INSIDE),
    }
    /// A node whose kubelet lacks CPU time.
    KubeletThrottle "kubeletThrottle" ("throttle requested", "kubelet throttled", "CPU limit removed") ON_NODE {
        impact: Impact::KubeletSlow, may_cost_etcd: false,
    }
    /// A part of the control plane is held down.
    ComponentStop "componentStop" ("stop requested", "held down", "started again") ON_COMPONENT {}
    /// A part of the control plane is killed; its kubelet starts it again.
    ComponentKill "componentKill" ("kill requested", "process gone", "runs again") ON_COMPONENT {
        ends: Ends::ByItself,
    }
    /// A part of the control plane is frozen.
    ComponentPause "componentPause" ("freeze requested", "frozen", "unfrozen") ON_COMPONENT {
        impact: Impact::ProcessFrozen,
    }
    /// A node is cut off from some others, or in one direction.
    Partition "partition" ("cut requested", "cut off", "node connected") ON_NODE {
        impact: Impact::SomeNetwork, last_heartbeat: Some(INSIDE),
    }
    /// Commands of the user's, on the machine that runs the experiment.
    Command "command" ("command started", "in effect", "undone by command") ON_NODE {
        impact: Impact::Command, by_command: true,
    }
    /// A node is cordoned and its pods are evicted.
    NodeDrain "nodeDrain" ("drain requested", "drained", "node uncordoned") ON_NODE {
        impact: Impact::Objects, may_cost_etcd: false,
    }
    /// A node has one more taint.
    NodeTaint "nodeTaint" ("taint requested", "tainted", "taint removed") ON_NODE {
        impact: Impact::Objects, may_cost_etcd: false,
    }
    /// etcd starts with an empty data directory.
    EtcdDataLoss "etcdDataLoss" ("loss requested", "data removed", "data restored") ON_COMPONENT {
        impact: Impact::EtcdData,
    }
    /// A Deployment has another number of replicas.
    DeploymentScale "deploymentScale" ("scale requested", "scaled", "scaled back") ON_DEPLOYMENT {}
    /// A Deployment's pods are moved to other nodes.
    DeploymentPlace "deploymentPlace" ("move requested", "moved", "move undone") ON_DEPLOYMENT {}
    /// An object is created, on which a controller acts.
    Manifest "manifest" ("create requested", "in effect", "object deleted") OBJECT {}
    /// Pods are deleted.
    PodDelete "podDelete" ("delete requested", "deleted", "nothing to undo") ON_PODS {}
    /// Containers are killed; the kubelet starts them again.
    ContainerKill "containerKill" ("kill requested", "container gone", "nothing to undo") ON_PODS {
        impact: Impact::Containers,
    }
}

impl FaultKind {
    pub const fn name(self) -> &'static str {
        self.traits().name
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What the user's commands do to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommandEffect {
    /// Its machine is off.
    NodeDown,
    /// It has no network.
    NetworkLost,
    /// Something else.
    Other,
}

impl CommandEffect {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, CommandEffect); 3] = [
        ("nodeDown", CommandEffect::NodeDown),
        ("networkLost", CommandEffect::NetworkLost),
        ("other", CommandEffect::Other),
    ];

    pub fn traits(self) -> FaultTraits {
        let command = FaultKind::Command.traits();
        match self {
            CommandEffect::NodeDown => FaultTraits {
                words: words("command started", "down", "node started"),
                impact: Impact::MachineOff,
                engine: MACHINE_OFF.engine,
                ends_kubelet: true,
                ..command
            },
            CommandEffect::NetworkLost => FaultTraits {
                words: words("command started", "cut off", "node connected"),
                impact: Impact::Network,
                ..command
            },
            CommandEffect::Other => command,
        }
    }
}

/// The kind of a fault in a timeline, which another version of this program may have written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FaultName {
    Known(FaultKind),
    /// A `command` of which more is known than that: `command/nodeDown`.
    Command(CommandEffect),
    Unknown(String),
}

impl FaultName {
    pub fn traits(&self) -> FaultTraits {
        match self {
            FaultName::Known(kind) => kind.traits(),
            FaultName::Command(effect) => effect.traits(),
            FaultName::Unknown(_) => UNKNOWN,
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            FaultName::Known(kind) => kind.name(),
            FaultName::Command(CommandEffect::NodeDown) => "command/nodeDown",
            FaultName::Command(CommandEffect::NetworkLost) => "command/networkLost",
            FaultName::Command(CommandEffect::Other) => FaultKind::Command.name(),
            FaultName::Unknown(name) => name,
        }
    }
}

impl From<FaultKind> for FaultName {
    fn from(kind: FaultKind) -> Self {
        FaultName::Known(kind)
    }
}

impl From<&str> for FaultName {
    fn from(name: &str) -> Self {
        let command = || {
            let effect = name.strip_prefix("command/")?;
            let (_, effect) = CommandEffect::ALL.into_iter().find(|(known, _)| *known == effect)?;
            Some(Self::Command(effect))
        };
        let known = FaultKind::named(name).map(Self::Known).or_else(command);
        known.unwrap_or_else(|| FaultName::Unknown(name.to_owned()))
    }
}

impl From<CommandEffect> for FaultName {
    fn from(effect: CommandEffect) -> Self {
        match effect {
            CommandEffect::Other => FaultKind::Command.into(),
            known => FaultName::Command(known),
        }
    }
}

impl From<String> for FaultName {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<FaultName> for String {
    fn from(name: FaultName) -> Self {
        name.as_str().to_owned()
    }
}

impl PartialEq<FaultKind> for FaultName {
    fn eq(&self, kind: &FaultKind) -> bool {
        match self {
            FaultName::Known(known) => known == kind,
            FaultName::Command(_) => *kind == FaultKind::Command,
            FaultName::Unknown(_) => false,
        }
    }
}

impl std::fmt::Display for FaultName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_written_by_its_name() {
        for kind in FaultKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(serde_json::to_value(FaultName::Known(kind)).unwrap(), kind.name());
            assert_eq!(FaultKind::named(kind.name()), Some(kind));
        }
    }

    #[test]
    fn a_kind_of_another_version_is_read_and_written_as_it_was() {
        let read: FaultName = serde_json::from_str("\"nodeMelt\"").unwrap();
        assert_eq!(read, FaultName::Unknown("nodeMelt".into()));
        assert_eq!(serde_json::to_value(&read).unwrap(), "nodeMelt");
        assert_eq!(read.traits().words.effect, "in effect");
        assert_eq!(FaultName::from("podDelete"), FaultKind::PodDelete);
    }

    #[test]
    fn a_command_is_written_with_what_it_does() {
        for (name, effect) in CommandEffect::ALL {
            assert_eq!(serde_json::to_value(effect).unwrap(), name);
            let written = FaultName::from(effect);
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<FaultName>(&text).unwrap(), written, "{text}");
            assert!(written == FaultKind::Command && !effect.traits().is_inside_node());
        }
        let down = FaultName::from("command/nodeDown");
        assert_eq!(down.traits().impact, Impact::MachineOff);
        assert_eq!(FaultName::from("command").traits().impact, Impact::Command);
    }

    #[test]
    fn only_a_stopped_part_is_held_down() {
        let held = FaultKind::ALL.into_iter().filter(|kind| kind.traits().holds_down());
        assert_eq!(held.collect::<Vec<_>>(), [FaultKind::ComponentStop]);
    }

    #[test]
    fn faults_on_a_kubelet_or_a_component_leave_pods() {
        let names = ["kubelet", "component"];
        let is_one = |kind: &FaultKind| names.iter().any(|name| kind.name().starts_with(name));
        for kind in FaultKind::ALL.into_iter().filter(is_one) {
            assert!(kind.traits().leaves_pods(), "{kind}");
        }
        for kind in [FaultKind::NodeDrain, FaultKind::EtcdDataLoss] {
            assert!(!kind.traits().leaves_pods(), "{kind}");
        }
    }

    #[test]
    fn every_kind_has_words_and_an_impact() {
        for traits in FaultKind::ALL.map(FaultKind::traits) {
            let FaultWords { request, effect, undo } = traits.words;
            assert!([request, effect, undo].iter().all(|words| !words.is_empty()), "{traits:?}");
            assert_ne!(traits.impact, Impact::Unknown, "{}", traits.name);
            assert_ne!(traits.target, TargetKind::Unknown, "{}", traits.name);
        }
    }
}

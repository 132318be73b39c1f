//! The faults, with the fields that each has in an experiment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AppliedObject, Commands, Count, Named, NodeSelector, PodSelector};
use crate::timeline::{
    Component, Cut, FaultFacts, FaultKind, FaultName, FaultTraits, Impact, NodeRole, ObjectRef,
    Taint, TargetKind, counted,
};

/// Every fault, its fields, and how `decode/method.rs` reads each: the one place where they stand.
/// A field's reader has its names from there. A new type of a field says below what it is of the
/// fault (`Field`).
macro_rules! every_fault {
    ($use_list:ident) => {
        $use_list! {
            /// A node shuts down gracefully (`docker stop`).
            NodeStop {
                target: NodeSelector = node,
                /// How long the node may take to shut down before it is killed.
                grace: Duration = |fields| fields.or("grace", Duration::from_secs(10), duration),
            }
            /// A node loses power (`docker kill`).
            NodeKill {
                target: NodeSelector = node,
            }
            /// A node shuts down and starts again immediately.
            NodeReboot {
                target: NodeSelector = node,
                /// Whether it reboots without a shutdown, as after a power loss.
                #[serde(default)]
                hard: bool = |fields| fields.or("hard", false, flag),
            }
            /// All processes of a node freeze (`docker pause`).
            NodePause {
                target: NodeSelector = node,
            }
            /// All processes of a node except systemd freeze (SIGSTOP). For nodes that are not
            /// containers.
            NodeFreeze {
                target: NodeSelector = node,
            }
            /// A node is cut off from the network, by a packet filter inside it; its address stays.
            NodeDisconnect {
                target: NodeSelector = node,
            }
            /// Only the kubelet stops: the node's pods keep answering.
            KubeletStop {
                target: NodeSelector = node,
            }
            /// The kubelet freezes (SIGSTOP): the node's pods keep answering.
            KubeletPause {
                target: NodeSelector = node,
            }
            /// The kubelet gets little CPU time (systemd's `CPUQuota`): its heartbeats come late.
            KubeletThrottle {
                target: NodeSelector = node,
                /// How much of one CPU the kubelet may use, from `1%` to `100%`.
                #[serde(rename = "cpuPercent")]
                cpu: u32 = |fields| fields.required("cpu", percent),
            }
            /// A control-plane component is stopped and kept down: its static pod's manifest is
            /// moved away.
            ComponentStop {
                component: Component = part,
                target: NodeSelector = control_plane,
            }
            /// A control-plane component is killed; its kubelet restarts it.
            ComponentKill {
                component: Component = part,
                target: NodeSelector = control_plane,
            }
            /// A control-plane component freezes (SIGSTOP).
            ComponentPause {
                component: Component = part,
                target: NodeSelector = control_plane,
            }
            /// A node is cut off from some peers, or in one direction, by a packet filter inside
            /// it.
            Partition {
                target: NodeSelector = node,
                /// What the node is cut off from.
                from: Side = |fields| fields.or("from", Side::default(), side),
                /// Which packets are dropped, as the node sees them.
                direction: Direction =
                    |fields| fields.or("direction", Direction::default(), direction),
            }
            /// Your own commands, run on this machine, switch a node off or do something else to it,
            /// and others undo that.
            Command {
                target: NodeSelector = node,
                #[serde(flatten)]
                commands: Box<Commands> = commands,
            }
            /// A node is cordoned and its pods are evicted, as by `kubectl drain` (through the
            /// API).
            NodeDrain {
                target: NodeSelector = node,
                /// As flags of `kubectl drain`.
                #[serde(default)]
                options: Box<DrainOptions> = drain_options,
            }
            /// A node gets one more taint, as by `kubectl taint` (through the API).
            NodeTaint {
                target: NodeSelector = node,
                /// With `NoExecute`, pods that do not tolerate it are evicted.
                #[serde(flatten)]
                taint: Box<Taint> = taint,
            }
            /// The only etcd member's data directory is moved away (never deleted), so that etcd
            /// starts with an empty one; then it is moved back.
            EtcdDataLoss {
                target: NodeSelector = control_plane,
            }
            /// A Deployment is scaled to another number of replicas (through the API), and then
            /// back.
            DeploymentScale {
                /// Its name, with its namespace if it is not the run's.
                #[serde(flatten, with = "beside")]
                deployment: ObjectRef = |fields| fields.named("name", object),
                /// The number of replicas.
                replicas: u32 = |fields| fields.required("replicas", count),
            }
            /// A Deployment's pods are moved (through the API), all to one node or each to a
            /// different node. Then the previous affinity is restored.
            DeploymentPlace {
                /// Its name, with its namespace if it is not the run's.
                #[serde(flatten, with = "beside")]
                deployment: ObjectRef = |fields| fields.named("name", object),
                /// The nodes that take the pods: chosen by role, name or labels.
                on: Box<NodeSelector> = |fields| fields.required("on", node::ground).map(Box::new),
            }
            /// An object of any kind is created (through the API), and deleted afterwards: a fault of
            /// Chaos Mesh or Litmus, a NetworkPolicy.
            Manifest {
                applied: Box<AppliedObject> = applied_object,
            }
            /// Pods are deleted (through the API). This is not undone: their controller, if any,
            /// creates new ones.
            PodDelete {
                pods: PodSelector = pods,
            }
            /// The processes of pods' containers are killed inside their nodes; the kubelet
            /// restarts the containers.
            ContainerKill {
                pods: PodSelector = pods,
                /// The container to kill in each pod. Default: all of them.
                container: Option<String> = |fields| fields.optional("container", dns_label),
            }
        }
    };
}

pub(crate) use every_fault;

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        $fault:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $read:expr,)*
        }
    )*) => {
        /// A fault. Each has a file of its own in `fault/`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Fault {
            $($(#[$doc])* $fault { $($(#[$field_doc])* $field: $type,)* },)*
        }

        impl Fault {
            pub fn kind(&self) -> FaultKind {
                match self { $(Fault::$fault { .. } => FaultKind::$fault,)* }
            }

            /// Which node it hits; `None`: none, but objects of a namespace.
            pub fn target(&self) -> Option<&NodeSelector> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.target()))*,)* }
            }

            /// The same, to be changed.
            pub fn target_mut(&mut self) -> Option<&mut NodeSelector> {
                match self {
                    $(Fault::$fault { $($field),* } => None$(.or($field.target_mut()))*,)*
                }
            }

            /// The pods or the Deployment that it hits, to be changed.
            pub fn objects_mut(&mut self) -> Option<Named<'_>> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.objects_mut()))*,)* }
            }

            /// The Deployment that it changes, if it changes one.
            pub fn deployment(&self) -> Option<&ObjectRef> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.deployment()))*,)* }
            }

            /// The pods that it hits, if it hits pods.
            pub fn pods(&self) -> Option<&PodSelector> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.pods()))*,)* }
            }

            /// The object that it creates, if it creates one.
            pub fn applied(&self) -> Option<&AppliedObject> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.applied()))*,)* }
            }

            /// The same, to be changed.
            pub fn applied_mut(&mut self) -> Option<&mut AppliedObject> {
                match self {
                    $(Fault::$fault { $($field),* } => None$(.or($field.applied_mut()))*,)*
                }
            }

            fn component_field(&self) -> Option<Component> {
                match self { $(Fault::$fault { $($field),* } => None$(.or($field.component()))*,)* }
            }
        }
    };
}

every_fault!(define);

/// What a field is of its fault.
trait Field {
    /// Which node the fault hits.
    fn target(&self) -> Option<&NodeSelector> {
        None
    }

    fn target_mut(&mut self) -> Option<&mut NodeSelector> {
        None
    }

    /// Which part of the control plane it hits.
    fn component(&self) -> Option<Component> {
        None
    }

    /// Which pods it hits.
    fn pods(&self) -> Option<&PodSelector> {
        None
    }

    /// Which Deployment it changes.
    fn deployment(&self) -> Option<&ObjectRef> {
        None
    }

    /// Which object it creates.
    fn applied(&self) -> Option<&AppliedObject> {
        None
    }

    fn applied_mut(&mut self) -> Option<&mut AppliedObject> {
        None
    }

    fn objects_mut(&mut self) -> Option<Named<'_>> {
        None
    }
}

impl Field for NodeSelector {
    fn target(&self) -> Option<&NodeSelector> {
        Some(self)
    }

    fn target_mut(&mut self) -> Option<&mut NodeSelector> {
        Some(self)
    }
}

impl Field for Component {
    fn component(&self) -> Option<Component> {
        Some(*self)
    }
}

impl Field for PodSelector {
    fn pods(&self) -> Option<&PodSelector> {
        Some(self)
    }

    fn objects_mut(&mut self) -> Option<Named<'_>> {
        Some(Named::Pods(&mut self.pods))
    }
}

impl Field for ObjectRef {
    fn deployment(&self) -> Option<&ObjectRef> {
        Some(self)
    }

    fn objects_mut(&mut self) -> Option<Named<'_>> {
        Some(Named::Object("Deployment", self))
    }
}

impl Field for Box<AppliedObject> {
    fn applied(&self) -> Option<&AppliedObject> {
        Some(self)
    }

    fn applied_mut(&mut self) -> Option<&mut AppliedObject> {
        Some(self)
    }

    fn objects_mut(&mut self) -> Option<Named<'_>> {
        Some(Named::Object("object", &mut self.object))
    }
}

impl Field for Duration {}
impl Field for Side {}
impl Field for Box<DrainOptions> {}
impl Field for Box<Taint> {}
impl Field for Box<Commands> {}
impl Field for Direction {}
impl Field for u32 {}
impl Field for bool {}
impl Field for Option<String> {}
/// Where pods are moved to: nothing happens to these nodes.
impl Field for Box<NodeSelector> {}

/// The choices of `kubectl drain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DrainOptions {
    /// How long an eviction is tried again that a disruption budget refuses. Default: 120 s.
    pub timeout: Duration,
    /// How long each pod may take to end. Default: as long as the pod itself says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<Duration>,
    /// Whether pods with an emptyDir volume are evicted; else they refuse the drain. Default: true.
    pub delete_empty_dir_data: bool,
    /// Whether pods are evicted that nothing creates again; else they refuse the drain. Default:
    /// true.
    pub force: bool,
    /// Whether pods of DaemonSets are left where they are; else they refuse the drain. Default:
    /// true.
    pub ignore_daemon_sets: bool,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            grace_period: None,
            delete_empty_dir_data: true,
            force: true,
            ignore_daemon_sets: true,
        }
    }
}

/// From whom a node is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// From everything outside of it.
    #[default]
    All,
    /// Only its kubelet, kube-proxy and pods from the API servers, and these from its kubelet; all
    /// else goes on.
    ApiServer,
    /// From the other nodes and their pods; what goes on between it and the API servers is not
    /// touched.
    Peers,
}

impl Side {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Side); 3] =
        [("apiServer", Side::ApiServer), ("peers", Side::Peers), ("all", Side::All)];
}

/// Which packets, as the node sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    #[default]
    Both,
    /// Only those that come in.
    In,
    /// Only those that go out.
    Out,
}

impl Direction {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Direction); 3] =
        [("both", Direction::Both), ("in", Direction::In), ("out", Direction::Out)];
}

impl Fault {
    /// How long a node may take to shut down, where it is shut down.
    pub fn grace(&self) -> Option<Duration> {
        if let Fault::NodeStop { grace, .. } = self { Some(*grace) } else { None }
    }

    /// What decides what becomes of its node.
    pub fn facts(&self) -> FaultFacts {
        let cut = match self {
            Fault::NodeDisconnect { .. } => Some(Cut::All),
            Fault::Partition { from, direction, .. } => Some(match (from, direction) {
                (Side::All, Direction::Both) => Cut::All,
                // What is not sent is not posted, whatever comes in.
                (Side::ApiServer, Direction::Both | Direction::Out) => Cut::ApiServer,
                _ => Cut::Partly,
            }),
            _ => None,
        };
        let component = self.component();
        FaultFacts { traits: self.traits(), grace: self.grace(), component, cut }
    }

    /// Its kind, and what the commands do where it is commands.
    pub fn name(&self) -> FaultName {
        match self {
            Fault::Command { commands, .. } => commands.effect.into(),
            _ => self.kind().into(),
        }
    }

    pub fn traits(&self) -> FaultTraits {
        self.name().traits()
    }

    /// The taint that it sets on a node, if it does.
    pub fn taint(&self) -> Option<&Taint> {
        match self {
            Fault::NodeTaint { taint, .. } => Some(taint),
            _ => None,
        }
    }

    /// The namespace of the objects that it hits, if it is not the run's.
    pub fn foreign_namespace(&self) -> Option<&str> {
        let object = self.deployment().or(self.applied().map(|applied| &applied.object));
        let of_deployment = object.and_then(|it| it.namespace.as_deref());
        of_deployment.or_else(|| self.pods()?.pods.namespace.as_deref())
    }

    /// The objects that it hits, for people: `the Deployment kube-system/coredns, to 0 replicas`;
    /// `None`: it hits a node.
    pub fn objects(&self) -> Option<String> {
        if let Some(deployment) = self.deployment() {
            return Some(match self {
                Fault::DeploymentScale { replicas, .. } => {
                    format!("the Deployment {deployment}, to {}", counted(*replicas, "replica"))
                }
                _ => format!("the pods of the Deployment {deployment}"),
            });
        }
        if let Some(applied) = self.applied() {
            return Some(applied.to_string());
        }
        let PodSelector { pods, count } = self.pods()?;
        let count = match count {
            Count::All => "all".to_owned(),
            Count::Exactly(count) => count.to_string(),
        };
        Some(format!("{count} of the pods {pods}"))
    }

    /// The part of the control plane that it hits; `None`: the node itself.
    pub fn component(&self) -> Option<Component> {
        let loses_etcd = self.traits().impact == Impact::EtcdData;
        self.component_field().or(loses_etcd.then_some(Component::Etcd))
    }

    /// Whether it takes the node's machine or network away, and so all that runs there: a probe,
    /// etcd.
    pub fn takes_node(&self) -> bool {
        match self {
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            _ => self.traits().impact.whole_node(),
        }
    }

    /// The node that it takes, where it names one.
    pub fn taken_by_name(&self) -> Option<&str> {
        self.target().filter(|_| self.takes_node())?.name.as_deref()
    }

    /// Whether the node's machine is off for a while: the engine then gives its address to the next
    /// that starts.
    pub fn frees_address(&self) -> bool {
        self.traits().frees_address()
    }

    /// Whether the node's etcd may be lost with it.
    pub fn takes_etcd(&self) -> bool {
        match self {
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            _ => {
                self.traits().may_cost_etcd
                    && self.component().is_none_or(|component| component == Component::Etcd)
            }
        }
    }

    /// Whether it is injected through the cluster's API alone.
    pub fn needs_api_only(&self) -> bool {
        self.traits().impact == Impact::Objects
    }

    /// Whether it is injected from inside a node, unless a container engine does it.
    pub fn enters_node(&self) -> bool {
        !self.needs_api_only() && !self.traits().by_command
    }

    /// The labels of its target that its commands need, with their fields.
    pub(crate) fn labels_in_commands(&self) -> Vec<(&'static str, String)> {
        if let Fault::Command { commands, .. } = self { commands.labels() } else { Vec::new() }
    }

    /// Whether all pods of a node are hit with it.
    pub fn takes_pods(&self) -> bool {
        self.degrades_node() && self.component().is_none()
    }

    /// Whether pods of a node that it hits are lost, whatever disruption budgets say: with the node,
    /// or by a taint.
    pub fn may_lose_pods(&self) -> bool {
        self.takes_pods() || self.taint().is_some_and(Taint::evicts)
    }

    /// Whether the node itself suffers: a drained one is healthy, and so are those whose pods are
    /// hit.
    pub fn degrades_node(&self) -> bool {
        self.target().is_some() && self.traits().impact != Impact::Objects
    }

    /// Why it can't be on a node of this role, and what can, where that is known. `None`: it can.
    pub fn impossible_on(&self, role: NodeRole) -> Option<(String, Option<&'static str>)> {
        let balancer = role == NodeRole::ExternalLoadBalancer;
        let FaultTraits { target, impact, by_command, .. } = self.traits();
        match (target, impact) {
            (TargetKind::Component, _) if role != NodeRole::ControlPlane => {
                let part = self.component().map_or("it", Component::name);
                let hint = "`target: {role: control-plane}`";
                Some((format!("only a control plane runs {part}"), Some(hint)))
            }
            (TargetKind::Node, Impact::Kubelet | Impact::KubeletSlow) if balancer => {
                Some(("the load balancer has no kubelet".into(), None))
            }
            (TargetKind::Node, Impact::Network | Impact::SomeNetwork)
                if balancer && !by_command =>
            {
                let hint = "use `nodePause`: it silences the node too, and keeps its address";
                Some(("the load balancer has no packet filter".into(), Some(hint)))
            }
            (TargetKind::Node, _) if balancer => {
                Some(("the load balancer is not a Kubernetes node".into(), None))
            }
            _ => None,
        }
    }

    /// Whether the blast radius counts a node of this role that it hits. A drained worker is well,
    /// and its pods go elsewhere; a drained control plane counts: nobody cordons one in passing. A
    /// taint that evicts counts: no disruption budget limits it, nor does a namespace.
    pub fn counts_on(&self, role: Option<NodeRole>) -> bool {
        if role.is_some_and(|role| self.impossible_on(role).is_some()) {
            return false;
        }
        let evicts = self.taint().is_some_and(Taint::evicts);
        self.degrades_node()
            || evicts
            || (self.target().is_some() && role == Some(NodeRole::ControlPlane))
    }

    /// Whether it may hit a node that `other` has hit and still does: where neither touches what
    /// the other did. A drain is the API's alone, and the parts of a control plane are processes of
    /// their own.
    pub fn may_share_node(&self, other: &Fault) -> bool {
        let parts = matches!((self.component(), other.component()), (Some(this), Some(other)) if this != other);
        parts || self.degrades_node() != other.degrades_node()
    }

    /// Whether there is something to be undone.
    pub fn lasts(&self) -> bool {
        self.traits().lasts()
    }
}

/// A reference as a file had it before it was a text: the name, and the namespace beside it.
mod beside {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::timeline::ObjectRef;

    #[derive(Serialize, Deserialize)]
    struct Beside {
        namespace: Option<String>,
        name: String,
    }

    pub(super) fn serialize<S: Serializer>(it: &ObjectRef, to: S) -> Result<S::Ok, S::Error> {
        Beside { namespace: it.namespace.clone(), name: it.name.clone() }.serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<ObjectRef, D::Error> {
        let Beside { namespace, name } = Beside::deserialize(from)?;
        Ok(ObjectRef { namespace, name })
    }
}

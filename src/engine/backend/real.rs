//! A real cluster as a run's backend: probers and observers are inside its nodes, and so are faults.
//! A kind cluster's nodes are containers; into those of any other lead pods.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use crate::agent::{self, AgentError, AgentHandle, AgentMessage};
use crate::cluster::{Pod, PodOnNode, WriteCounters};
use crate::docker::Docker;
use crate::engine::backend::Backend;
use crate::engine::backend::run_scope::{self, ProberGroup, RunScope, Running};
use crate::engine::clock;
use crate::engine::component_logs::{self, ComponentLog};
use crate::engine::environment::handle::{KindNodes, with_machines};
use crate::engine::environment::inotify;
use crate::engine::environment::kind::running_nodes;
use crate::engine::error::RunError;
use crate::engine::fault_reporter::Progress;
use crate::engine::node_preflight::cannot_run;
use crate::engine::node_tools::machine;
use crate::engine::observers::{Observers, Post};
use crate::engine::plan::placement::Place;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::UndoEntry;
use crate::engine::undo::recover::Tools;
use crate::experiment::{Experiment, Fault};
use crate::fault::{self, FaultError, NodeFacts, NodeTarget, PodContainers, UndoAfter};
use crate::node::{AccessErrorKind, NodeAccess};
use crate::plan::{Node, RunLength};
use crate::probe::ProbeSpec;
use crate::timeline::{NodeRole, ObjectRef, Record, WriteSource};

/// An etcd member's counters of writes, where kubeadm lets it tell its metrics. (A kind node has curl.)
const ETCD_WRITES: &str = "curl --silent --max-time 2 http://127.0.0.1:2381/metrics | grep -E '^(etcd_(debugging_)?mvcc_(put|delete)_total|process_start_time_seconds) '";
/// An etcd member that takes longer is not read.
const ETCD_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct RealBackend<'a> {
    pub scope: RunScope<'a>,
    /// The nodes, and kind's load balancer.
    pub machines: Vec<NodeTarget>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// What undoing needs.
    pub tools: Tools,
    /// Where uploads are recorded until they have ended.
    pub uploads: PathBuf,
    /// What forwards the engine's events.
    pub engine_events: Option<AbortOnDropHandle<()>>,
    /// What looks at the control-plane nodes from within.
    pub observers: Option<Observers>,
    /// Where records go; known once the run follows the cluster.
    pub records: Option<UnboundedSender<Record>>,
}

impl RealBackend<'_> {
    /// A fault on a node of this cluster, or on a pod of that node.
    fn plan(
        &self,
        node: &str,
        facts: NodeFacts<'_>,
        pod: Option<PodContainers<'_>>,
        wanted: &PlannedStep<'_>,
    ) -> Result<UndoEntry, RunError> {
        let &PlannedStep { fault, step, undo_after } = wanted;
        let (target, cluster, run) = (self.machine(node)?, &self.machines, self.scope.run);
        let plan = fault::Plan { fault, target, facts, cluster, pod, run, step, undo_after };
        fault::plan(&plan).map(UndoEntry::Fault).map_err(RunError::refused_by)
    }

    /// The end of a pod's containers that run, or of one of them.
    fn plan_on_pod(
        &self,
        pod: &Pod,
        number: usize,
        container: Option<&str>,
        wanted: &PlannedStep<'_>,
    ) -> Result<UndoEntry, RunError> {
        let node = pod
            .node
            .as_deref()
            .ok_or_else(|| RunError::refused(format!("the pod {} is not on a node", pod.name)))?;
        let running =
            pod.running.iter().filter(|(name, _)| container.is_none_or(|wanted| wanted == name));
        // `containerd://1234`
        let ids: Vec<String> =
            running.map(|(_, id)| id.rsplit('/').next().unwrap_or(id).to_owned()).collect();
        if ids.is_empty() {
            return Err(RunError::refused(match container {
                Some(name) => format!("container {name} is not running in pod {}", pod.name),
                None => format!("no container is running in pod {}", pod.name),
            }));
        }
        self.plan(
            node,
            NodeFacts::default(),
            Some(PodContainers { pod: &pod.name, ids: &ids, number }),
            wanted,
        )
    }

    /// How long an agent goes on without this run. Where the way to it leads through the API server,
    /// that may be what a fault takes away.
    fn grace(&self) -> Duration {
        match self.tools.docker {
            Some(_) => agent::GRACE,
            None => RunLength::of(self.scope.experiment).at_most,
        }
    }

    fn way_in(&self) -> Result<Arc<dyn NodeAccess>, RunError> {
        self.tools.way_in(&self.uploads)
    }

    fn machine(&self, node: &str) -> Result<&NodeTarget, RunError> {
        machine(&self.machines, node)
    }
}

impl RealBackend<'_> {
    /// Looks at every control-plane node from within.
    async fn observe(&mut self) -> Result<(), RunError> {
        // No pod leads into a node of somebody's cluster that nothing is done to.
        let is_welcome = self.tools.docker.is_some() || self.scope.experiment.enters_nodes();
        let (Some(records), true) = (&self.records, is_welcome) else { return Ok(()) };
        let nodes = self.scope.nodes().await?;
        let posts = nodes
            .iter()
            .filter(|node| node.role == NodeRole::ControlPlane)
            .map(|node| self.post(node));
        self.observers = Some(Observers::start(posts.collect::<Result<_, _>>()?, records).await);
        Ok(())
    }

    /// The writes that an etcd member has counted by now, the first that answers: each member applies
    /// the writes of all. Nothing of somebody's cluster whose nodes have no pods of ours.
    async fn etcd_write_counters(&self) -> Option<Record> {
        let access = self.way_in().ok().filter(|_| self.observers.is_some())?;
        let control_planes = || {
            let machines = self.machines.iter();
            machines.filter(|machine| machine.role == NodeRole::ControlPlane)
        };
        let mut last = None;
        for machine in control_planes() {
            let asked = clock::now();
            let argv = ["sh", "-c", ETCD_WRITES];
            let counters = match access.run(&machine.handle(), ETCD_PATIENCE, &argv).await {
                Ok(output) => match WriteCounters::of_etcd(&output.text()) {
                    counters if counters.counts.is_empty() => {
                        Err("etcd does not serve its metrics on the node's port 2381".into())
                    }
                    counters => Ok(counters),
                },
                Err(error) => Err(error.to_string()),
            };
            let is_read = counters.is_ok();
            last = Some(run_scope::counted(WriteSource::Etcd, &machine.node, asked, counters));
            if is_read {
                break;
            }
        }
        last
    }

    fn post(&self, node: &Node) -> Result<Post, RunError> {
        Ok(Post {
            access: self.way_in()?,
            node: self.machine(&node.name)?.handle(),
            processor: node.platform.processor.clone(),
            run: self.scope.run.to_owned(),
            binary: self.binary.clone(),
            grace: self.grace(),
        })
    }
}

/// A fault of a step of the method.
struct PlannedStep<'a> {
    fault: &'a Fault,
    step: u32,
    undo_after: UndoAfter,
}

/// What a prober's start needs.
struct Deployment<'a> {
    access: Result<Arc<dyn NodeAccess>, RunError>,
    grace: Duration,
    machines: &'a [NodeTarget],
    binary: &'a Arc<[u8]>,
    run: &'a str,
    out: UnboundedSender<AgentMessage>,
}

impl Deployment<'_> {
    async fn start(&self, group: ProberGroup) -> Result<AgentHandle, RunError> {
        if let Some(text) = too_fast(&group.probes, &group.place) {
            let _ = self.out.send(AgentMessage::Note { warning: true, text });
        }
        let (node, pod_uid) = match &group.place {
            Place::Host => {
                return agent::local::start(group.probes, group.control, self.out.clone())
                    .map_err(RunError::failed_by);
            }
            Place::Node { node } => (node.clone(), None),
            Place::Pod { node, uid, .. } => (node.clone(), Some(uid.clone())),
        };
        let node = machine(self.machines, &node)?.handle();
        let ProberGroup { probes, control, node: on, .. } = group;
        if let Some(refused) = on.as_ref().and_then(|on| cannot_run(self.binary, on)) {
            return Err(refused);
        }
        let processor = on.map(|on| on.platform.processor).unwrap_or_default();
        let placement = agent::Placement {
            node,
            processor,
            run: self.run.to_owned(),
            pod_uid,
            probes,
            control,
            observe: false,
            grace: self.grace,
        };
        let access = self.access.as_ref().map_err(Clone::clone)?;
        agent::deploy(access, placement, self.binary, self.out.clone()).await.map_err(not_started)
    }
}

/// A prober starts before any fault: what another run would meet, too, is a reason to refuse it. A
/// helper pod's image that cannot be pulled is one.
fn not_started(error: AgentError) -> RunError {
    let is_refused = matches!(&error, AgentError::Access { source, .. } if source.kind == AccessErrorKind::Refused);
    match is_refused {
        true => RunError::refused_by(error),
        false => RunError::failed_by(error),
    }
}

impl Backend for RealBackend<'_> {
    fn scope(&self) -> &RunScope<'_> {
        &self.scope
    }

    fn running(&mut self) -> &mut Running {
        &mut self.scope.running
    }

    async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        let nodes = self.scope.nodes().await?;
        Ok(if self.tools.docker.is_some() { with_machines(nodes, &self.machines) } else { nodes })
    }

    async fn others_on(&self, node: &str) -> Option<String> {
        let mut pods = self.scope.cluster.pods_on(node, None).await.ok()?;
        pods.retain(|pod| pod.namespace != self.scope.namespace);
        PodOnNode::by_namespace(&pods)
    }

    async fn component_logs(&self, back: Duration) -> Vec<ComponentLog> {
        // No pod leads into a node of somebody's cluster only to read its logs.
        let (Some(_), Ok(way)) = (&self.tools.docker, self.way_in()) else {
            return component_logs::through_the_api(&self.scope.cluster, back).await;
        };
        let nodes = self.machines.iter().filter(|node| node.role != NodeRole::ExternalLoadBalancer);
        let read = async |node: &NodeTarget| {
            let is_control_plane = node.role == NodeRole::ControlPlane;
            component_logs::of_node(&*way, &node.handle(), is_control_plane, back).await
        };
        join_all(nodes.map(read)).await.concat()
    }

    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError> {
        self.records = Some(out.clone());
        if let Some(docker) = &self.tools.docker {
            let mut events = docker.events(&self.machines[0].cluster);
            let forward = out.clone();
            self.engine_events = Some(AbortOnDropHandle::new(tokio::spawn(async move {
                while let Some(record) = events.next().await {
                    if forward.send(record).is_err() {
                        break;
                    }
                }
            })));
        }
        self.scope.watch(out).await
    }

    fn probers_undo(&self) -> Option<UndoEntry> {
        self.tools.docker.as_ref()?;
        let nodes = self.machines.iter().filter(|it| it.role != NodeRole::ExternalLoadBalancer);
        Some(UndoEntry::Probers {
            containers: nodes.map(|node| node.container_id.clone()).collect(),
            uploads: Some(self.uploads.clone()),
        })
    }

    async fn write_counters(&self) -> Vec<Record> {
        let (mut servers, etcd) =
            tokio::join!(self.scope.write_counters(), self.etcd_write_counters());
        servers.extend(etcd);
        servers
    }

    async fn start_probes(
        &mut self,
        at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Vec<String>, RunError> {
        let (machines, binary, run) = (&self.machines, &self.binary, self.scope.run);
        let (access, grace, out_of) = (self.way_in(), self.grace(), out.clone());
        let deployment = Deployment { access, grace, machines, binary, run, out: out_of };
        let hosts = self
            .scope
            .start_probes(at_risk, out, async |group| deployment.start(group).await)
            .await?;
        self.observe().await?;
        Ok(hosts)
    }

    async fn stop_probes(&mut self) {
        self.running().stop_probes().await;
        if let Some(observers) = self.observers.take() {
            observers.stop().await;
        }
    }

    async fn stop_watching(&mut self) {
        self.engine_events = None;
        self.running().stop_watching().await;
    }

    fn plan_fault(
        &self,
        fault: &Fault,
        node: &Node,
        step: u32,
        undo_after: UndoAfter,
    ) -> Result<UndoEntry, RunError> {
        match self.scope.plan_object_fault_on(&node.name, fault, step) {
            Some(planned) => Ok(planned),
            None => {
                self.plan(&node.name, node.facts(), None, &PlannedStep { fault, step, undo_after })
            }
        }
    }

    async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        undo_after: UndoAfter,
        seed: &mut Seed,
    ) -> Result<Vec<UndoEntry>, RunError> {
        if let Some(planned) = self.scope.plan_object_fault(fault, step, seed).await? {
            return Ok(planned);
        }
        let Fault::ContainerKill { pods, container } = fault else {
            return Err(RunError::refused(format!("{} is not a fault on objects", fault.kind())));
        };
        let mut chosen = self.scope.choose_pods(pods, seed).await?;
        for pod in &mut chosen {
            // As the records of its namespace call it.
            pod.name = ObjectRef::new(pods.pods.namespace.as_deref(), &pod.name).to_string();
        }
        let wanted = PlannedStep { fault, step, undo_after };
        let kills = chosen
            .iter()
            .enumerate()
            .map(|(number, pod)| self.plan_on_pod(pod, number, container.as_deref(), &wanted));
        kills.collect()
    }

    async fn vet(&self, undo: &UndoEntry) -> Result<(), RunError> {
        let UndoEntry::Fault(undo) = undo else { return Ok(()) };
        if self.tools.is_outside(undo) {
            return Ok(());
        }
        if let Some(helpers) = &self.tools.helpers {
            helpers.start(&undo.target.handle()).await.map_err(RunError::refused_by)?;
        }
        fault::check(undo, self.tools.way()?).await.map_err(not_injected)?;
        if self.tools.helpers.is_some() {
            return Ok(());
        }
        let docker = self.tools.docker()?;
        let (traits, target) = (undo.fault.name().traits(), &undo.target);
        if traits.ends_kubelet && target.role != NodeRole::ExternalLoadBalancer {
            starts_again(docker, target).await?;
        }
        if traits.frees_address() && target.role != NodeRole::Worker {
            keeps_its_address(docker, target).await?;
        }
        Ok(())
    }

    async fn inject(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        match undo {
            UndoEntry::Fault(undo) => {
                self.tools.hit.note(undo);
                let way = self.tools.way_of(undo)?;
                fault::inject(undo, way, progress).await.map_err(not_injected)
            }
            UndoEntry::Object { undo, .. } => {
                fault::inject_object(undo, &self.scope.cluster, progress)
                    .await
                    .map_err(RunError::failed_by)
            }
            _ => Err(undo.not_a_fault_here()),
        }
    }

    fn is_out_of_reach(&self, undo: &UndoEntry) -> bool {
        match undo {
            UndoEntry::Fault(undo) => self.tools.docker.is_none() && fault::closes_way_in(undo),
            _ => false,
        }
    }

    async fn set_timer_anew(&self, undo: &UndoEntry) -> bool {
        match undo {
            UndoEntry::Fault(undo) => match self.tools.way() {
                Ok(way) => fault::set_timer_anew(undo, way).await,
                Err(_) => false,
            },
            _ => false,
        }
    }

    async fn undo(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        self.tools.undo(self.scope.run, undo, progress).await
    }

    async fn verify(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        self.tools.verify(undo, progress).await
    }
}

fn not_injected(error: FaultError) -> RunError {
    match error.is_refusal() {
        true => RunError::refused_by(error),
        false => RunError::failed_by(error),
    }
}

/// Refuses what needs a machine's power switch, where the cluster is reached through its API alone.
pub(crate) fn refuse_without_engine(experiment: &Experiment) -> Result<(), RunError> {
    match experiment.fault_kinds().into_iter().find(|kind| kind.traits().needs_engine()) {
        None => Ok(()),
        Some(kind) => {
            let text = format!(
                "{kind} acts on the node's machine: it can't be done through the Kubernetes API"
            );
            Err(RunError::refused(text).hint(
                "use `nodeDisconnect`, `nodeFreeze` or `nodeReboot`, or `command` with a tool that \
                 switches the machine off",
            ))
        }
    }
}

/// A kubelet that finds no inotify instances ends again and again: what ends one is not done where
/// too few are left on this machine, whichever engine's nodes have them.
async fn starts_again(docker: &Docker, target: &NodeTarget) -> Result<(), RunError> {
    let running = running_nodes(docker).await?;
    let Some(shortage) = inotify::shortage_at_restart(running) else { return Ok(()) };
    let text = format!("the kubelet of {} might not start again", target.node);
    let hint =
        format!("raise the limit with {}, or delete clusters that are not needed", inotify::RAISE);
    Err(RunError::refused(text).caused_by(shortage.describe()).hint(hint))
}

/// Refuses a fault that a run would refuse on each of these nodes for their addresses. Changes
/// nothing.
pub(crate) async fn refuse_lost_address(
    nodes: &KindNodes,
    fault: &Fault,
    candidates: &[&Node],
) -> Result<(), RunError> {
    let mut refused = Ok(());
    for node in candidates {
        if !fault.traits().frees_address() || node.role == NodeRole::Worker {
            return Ok(());
        }
        let machines = nodes.machines();
        let target = machine(&machines, &node.name)?;
        refused = keeps_its_address(&nodes.docker, target).await;
        if refused.is_ok() {
            break;
        }
    }
    refused
}

/// Docker gives what starts the lowest free address, Podman the next one. A control plane is known
/// by its own: one that would come back with another is not switched off.
async fn keeps_its_address(docker: &Docker, target: &NodeTarget) -> Result<(), RunError> {
    if docker.is_podman() {
        return Err(RunError::refused(format!(
            "{} would come back with another address: Podman gives a container that starts the \
             next address, not its old one",
            target.node
        ))
        .caused_by("certificates and etcd identify a control plane by its address")
        .hint("use `nodePause` or `nodeDisconnect`, which keep the address"));
    }
    for (network, addresses) in &target.addresses {
        let Some(own) = addresses
            .iter()
            .find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
        else {
            continue;
        };
        if let Some(free) = docker.free_below(network, own).await.map_err(RunError::refused_by)? {
            let node = &target.node;
            return Err(RunError::refused(format!(
                "{node} would come back with another address: {free} is free, its own is {own}"
            ))
            .caused_by(
                "the container engine gives the lowest free address to the next \
                     container that starts",
            )
            .hint(format!(
                "use `nodePause` or `nodeDisconnect`, which keep the address, or recreate \
                     the cluster to close the gap (`kind delete cluster --name {}`)",
                target.cluster
            )));
        }
    }
    Ok(())
}

/// New connections a second from one place above which a port is used again within the two minutes
/// for which Linux remembers a connection that hung, with its back end (see `probe/ports.rs`).
/// Linux' default range has 28 232 ports.
const PORTS_LAST: f64 = 28_232.0 / 120.0;

fn too_fast(specs: &[ProbeSpec], place: &Place) -> Option<String> {
    let new = specs.iter().filter(|spec| !spec.header.reused && spec.header.service.is_some());
    let rate: f64 = new.map(|spec| 1e9 / spec.interval_ns as f64).sum();
    (rate > PORTS_LAST).then(|| {
        format!(
            "{rate:.0} new connections a second from {} reuse each local port within two \
             minutes: a connection that hung during the outage may make a later one hang (this \
             does not happen at {PORTS_LAST:.0} a second or less)",
            place.describe()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn a_control_plane_on_podman_is_not_switched_off() {
        let engine = FakeEngine::start();
        engine.with(|state| state.podman = true);
        let docker = engine.connect().await;
        let plane = &docker.kind_nodes("c").await.unwrap()[0];
        let error = keeps_its_address(&docker, &NodeTarget::new("c-control-plane", plane))
            .await
            .unwrap_err();
        assert!(error.message.contains("Podman gives"), "{error}");
        assert!(!error.hint.unwrap().contains("kind delete"), "a new cluster is no better");
    }
}

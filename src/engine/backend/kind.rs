//! A kind cluster as a run's backend: its nodes are containers, and the probers are inside them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::task::AbortOnDropHandle;

use crate::agent::{self, AgentHandle, AgentMessage};
use crate::cluster::Pod;
use crate::docker::{Container, Docker};
use crate::engine::backend::run_scope::{ProberGroup, RunScope};
use crate::engine::backend::{Backend, Progress, Readiness};
use crate::engine::environment::kind::machines;
use crate::engine::error::RunError;
use crate::engine::observers::{Observers, Post};
use crate::engine::plan::placement::Place;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::{Access, UndoEntry};
use crate::engine::undo::recover::Tools;
use crate::experiment::{Direction, Fault, Side};
use crate::fault::{self, Cut, NodeTarget};
use crate::plan::Node;
use crate::probe::ProbeSpec;
use crate::timeline::{NodeRole, ObjectName, Record, UnreadKind};

/// A kind cluster.
pub(crate) struct KindBackend<'a> {
    /// The run in it.
    pub scope: RunScope<'a>,
    /// How a later process reaches the cluster.
    pub access: Access,
    /// The cluster's containers.
    pub containers: Vec<Container>,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// What undoing needs.
    pub tools: Tools,
    /// What forwards the engine's events.
    pub engine_events: Option<AbortOnDropHandle<()>>,
    /// What looks at the control-plane nodes from within.
    pub observers: Option<Observers>,
    /// Where records go; known once the run follows the cluster.
    pub records: Option<UnboundedSender<Record>>,
}

impl KindBackend<'_> {
    /// Whom a partition of this node is from, by address.
    fn cut(&self, from: Side, direction: Direction, node: &str) -> Result<Cut, RunError> {
        let others = |wanted: fn(NodeRole) -> bool| {
            let others = self
                .containers
                .iter()
                .filter(|container| container.name != node && wanted(container.role));
            others.flat_map(|container| container.addresses.values().flatten().copied()).collect()
        };
        let api_servers = others(|role| role != NodeRole::Worker);
        let cut = Cut {
            from,
            direction,
            api_servers,
            peers: others(|role| role != NodeRole::ExternalLoadBalancer),
        };
        match cut.impossible() {
            Some(why) => Err(RunError::refused(format!("{node} can't be cut off: {why}"))),
            None => Ok(cut),
        }
    }

    fn kill(
        &self,
        pod: &Pod,
        container: Option<&str>,
        (step, which): (u32, usize),
        dead_man: Duration,
    ) -> Result<UndoEntry, RunError> {
        let node = pod
            .node
            .as_deref()
            .ok_or_else(|| RunError::refused(format!("the pod {} is on no node", pod.name)))?;
        let target = NodeTarget::new(node, self.container(node)?);
        let running =
            pod.running.iter().filter(|(name, _)| container.is_none_or(|wanted| wanted == name));
        // `containerd://1234`
        let ids: Vec<String> =
            running.map(|(_, id)| id.rsplit('/').next().unwrap_or(id).to_owned()).collect();
        if ids.is_empty() {
            let which = container.map_or("none of its containers".to_owned(), |name| {
                format!("its container {name}")
            });
            let verb = if container.is_some() { "does not run" } else { "runs" };
            return Err(RunError::refused(format!("{which} {verb} in the pod {}", pod.name)));
        }
        Ok(UndoEntry::Fault(fault::plan_container_kill(
            (&pod.name, ids),
            &target,
            (self.scope.run, step, which),
            dead_man,
        )))
    }

    fn docker(&self) -> &Docker {
        &self.tools.docker
    }

    fn container(&self, node: &str) -> Result<&Container, RunError> {
        container(&self.containers, node)
    }
}

impl KindBackend<'_> {
    /// Looks at every control-plane node from within.
    async fn observe(&mut self) -> Result<(), RunError> {
        let Some(records) = &self.records else { return Ok(()) };
        let nodes = self.scope.nodes().await?;
        let posts = nodes
            .iter()
            .filter(|node| node.role == NodeRole::ControlPlane)
            .map(|node| self.post(node));
        self.observers = Some(Observers::start(posts.collect::<Result<_, _>>()?, records).await);
        Ok(())
    }

    fn post(&self, node: &Node) -> Result<Post, RunError> {
        Ok(Post {
            docker: self.docker().clone(),
            node: node.name.clone(),
            container: self.container(&node.name)?.id.clone(),
            processor: processor_of(node),
            run: self.scope.run.to_owned(),
            binary: self.binary.clone(),
        })
    }
}

fn container<'c>(containers: &'c [Container], node: &str) -> Result<&'c Container, RunError> {
    containers.iter().find(|c| c.name == node).ok_or_else(|| {
        RunError::refused(format!(
            "node {node} is no container of this engine, by label and address"
        ))
    })
}

/// What a prober's start needs.
struct Deployment<'a> {
    docker: &'a Docker,
    containers: &'a [Container],
    binary: &'a [u8],
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
        let container = container(self.containers, &node)?.id.clone();
        let processor = group.node.as_ref().map(processor_of).unwrap_or_default();
        let ProberGroup { probes, control, .. } = group;
        let placement = agent::Placement {
            node,
            container,
            processor,
            run: self.run.to_owned(),
            pod_uid,
            probes,
            control,
            observe: false,
        };
        agent::deploy(self.docker, placement, self.binary, self.out.clone())
            .await
            .map_err(RunError::failed_by)
    }
}

impl Backend for KindBackend<'_> {
    async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        let nodes = self.scope.nodes().await?;
        Ok(nodes.into_iter().chain(machines(&self.containers)).collect())
    }

    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError> {
        let mut events = self.docker().events(&self.containers[0].cluster);
        let forward = out.clone();
        self.records = Some(out.clone());
        self.engine_events = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(record) = events.next().await {
                if forward.send(record).is_err() {
                    break;
                }
            }
        })));
        self.scope.watch(out).await
    }

    fn workload_undo(&self) -> Option<UndoEntry> {
        let scope = &self.scope;
        let namespace =
            || UndoEntry::Namespace { name: scope.namespace.clone(), access: self.access.clone() };
        scope.needs_namespace().then(namespace)
    }

    fn probers_undo(&self) -> Option<UndoEntry> {
        let nodes = self
            .containers
            .iter()
            .filter(|container| container.role != NodeRole::ExternalLoadBalancer);
        Some(UndoEntry::Probers {
            containers: nodes.map(|container| container.id.clone()).collect(),
        })
    }

    async fn create_workload(&self) -> Result<(), RunError> {
        self.scope.create_workload().await
    }

    async fn workload_readiness(&self) -> Result<Readiness, RunError> {
        self.scope.workload_readiness().await
    }

    async fn start_probes(
        &mut self,
        at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Vec<String>, RunError> {
        let (containers, binary, run) = (&self.containers, &self.binary, self.scope.run);
        let deployment =
            Deployment { docker: &self.tools.docker, containers, binary, run, out: out.clone() };
        let hosts = self
            .scope
            .start_probes(at_risk, out, async |group| deployment.start(group).await)
            .await?;
        self.observe().await?;
        Ok(hosts)
    }

    async fn finish_probes(&mut self) {
        self.scope.finish_probes().await;
    }

    async fn stop_probes(&mut self) {
        self.scope.stop_probes().await;
        if let Some(observers) = self.observers.take() {
            observers.stop().await;
        }
    }

    async fn stop_watching(&mut self) {
        self.engine_events = None;
        self.scope.stop_watching().await;
    }

    fn plan_fault(
        &self,
        fault: &Fault,
        node: &Node,
        step: u32,
        dead_man: Duration,
    ) -> Result<UndoEntry, RunError> {
        let (target, run) =
            (NodeTarget::new(&node.name, self.container(&node.name)?), self.scope.run);
        let undo = match fault {
            Fault::NodeDrain { .. } => {
                return Ok(self.scope.plan_drain(&node.name, step, &self.access));
            }
            // A first member that is told of no other may still have others: each joiner knows those before it, not the other way round.
            Fault::EtcdDataLoss { .. }
                if self.containers.iter().filter(|c| c.role == NodeRole::ControlPlane).count()
                    > 1 =>
            {
                return Err(RunError::refused("etcd has several members here, and the data of one alone is not the cluster's")
                    .hint("take a cluster with one control plane, or stop members (`componentStop` with `count: 2`)"));
            }
            Fault::Partition { from, direction, .. } => fault::plan_partition(
                self.cut(*from, *direction, &node.name)?,
                &target,
                run,
                step,
                dead_man,
            ),
            _ => fault::plan_on_node(fault, &target, run, step, dead_man).ok_or_else(|| {
                RunError::refused(format!("{} is no fault on a node", fault.kind()))
            })?,
        };
        Ok(UndoEntry::Fault(undo))
    }

    async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        dead_man: Duration,
        seed: &mut Seed,
    ) -> Result<Vec<UndoEntry>, RunError> {
        if let Some(owed) = self.scope.plan_object_fault(fault, step, seed, &self.access).await? {
            return Ok(owed);
        }
        let Fault::ContainerKill { pods, container } = fault else {
            return Err(RunError::refused(format!("{} is no fault on objects", fault.kind())));
        };
        let pods = self.scope.choose_pods(pods, seed).await?;
        let kills = pods
            .iter()
            .enumerate()
            .map(|(which, pod)| self.kill(pod, container.as_deref(), (step, which), dead_man));
        kills.collect()
    }

    async fn inventory(&self) -> Result<(Vec<ObjectName>, Vec<UnreadKind>), RunError> {
        self.scope.inventory().await
    }

    async fn vet(&self, undo: &UndoEntry) -> Result<(), RunError> {
        match undo {
            UndoEntry::Fault(undo)
                if undo.harm.frees_address() && undo.target.role != NodeRole::Worker =>
            {
                keeps_its_address(self.docker(), &undo.target).await
            }
            _ => Ok(()),
        }
    }

    async fn inject(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        match undo {
            UndoEntry::Fault(undo) => {
                self.tools.harmed.note(undo);
                fault::inject(undo, self.docker(), progress).await.map_err(RunError::failed_by)
            }
            UndoEntry::Object { undo, .. } => {
                fault::inject_object(undo, &self.scope.cluster, progress)
                    .await
                    .map_err(RunError::failed_by)
            }
            _ => Err(undo.is_no_fault_here()),
        }
    }

    async fn undo(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        self.tools.undo(self.scope.run, undo, progress).await
    }
}

/// The engine gives what starts the lowest free address. A control plane is known by its own: one that would come back with another is
/// not switched off.
async fn keeps_its_address(docker: &Docker, target: &NodeTarget) -> Result<(), RunError> {
    for (network, addresses) in &target.addresses {
        let Some(own) = addresses
            .iter()
            .find_map(|address| if let IpAddr::V4(v4) = address { Some(*v4) } else { None })
        else {
            continue;
        };
        if let Some(free) = docker.free_below(network, own).await.map_err(RunError::refused_by)? {
            let node = &target.node;
            return Err(RunError::refused(format!("{node} would come back with another address: {free} is free, and it has {own}"))
                .caused_by("the engine gives the lowest free address to whatever starts")
                .hint(format!(
                    "`nodePause` and `nodeDisconnect` keep it; a cluster that is made anew has no gap (`kind delete cluster --name {}`)",
                    target.cluster
                )));
        }
    }
    Ok(())
}

/// A node's processor, by the label that every kubelet sets; empty where it is not known.
fn processor_of(node: &Node) -> String {
    node.labels.get("kubernetes.io/arch").cloned().unwrap_or_default()
}

/// New connections a second from one place above which a port is used again within the two minutes for which Linux remembers a connection
/// that hung, with its back end (see `probe/ports.rs`). Linux' default range has 28 232 ports.
const PORTS_LAST: f64 = 28_232.0 / 120.0;

fn too_fast(specs: &[ProbeSpec], place: &Place) -> Option<String> {
    let new = specs.iter().filter(|spec| !spec.header.reused && spec.header.service.is_some());
    let rate: f64 = new.map(|spec| 1e9 / spec.interval_ns as f64).sum();
    (rate > PORTS_LAST).then(|| {
        format!(
            "{rate:.0} new connections a second from {} use each local port again within two minutes: one that hung in the outage may make a later one hang (up to {PORTS_LAST:.0} a second don't)",
            place.describe()
        )
    })
}

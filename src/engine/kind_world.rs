//! The real world of a run: a kind cluster, its containers, and probers inside its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::ledger::{Access, Obligation};
use super::placement::{Place, Placement};
use super::recover::Tools;
use super::target::Node;
use super::trouble::Trouble;
use super::world::{Progress, Readiness, World};
use crate::agent::{self, AgentError, AgentHandle, AgentMessage};
use crate::cluster::{Cluster, Workload};
use crate::docker::{Container, Docker};
use crate::experiment::{Experiment, Fault};
use crate::fault::{self, NodeTarget, Undo};
use crate::probe::{ProbeSpec, control};
use crate::timeline::{ProbeHeader, Record};
use crate::watch::{self, Watches};

/// A kind cluster.
pub struct KindWorld<'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The run's id.
    pub run: &'a str,
    /// The run's namespace.
    pub namespace: String,
    /// How a later process reaches the cluster.
    pub access: Access,
    /// The container engine.
    pub docker: Docker,
    /// The cluster.
    pub cluster: Cluster,
    /// The cluster's containers.
    pub containers: Vec<Container>,
    /// The workload, checked.
    pub workload: Workload,
    /// This program for the nodes.
    pub binary: Arc<[u8]>,
    /// What undoing needs.
    pub tools: Tools,
    /// What is running.
    pub running: Running,
}

/// How long the watches may take to deliver their first lists.
const FIRST_LISTS: Duration = Duration::from_secs(30);

/// What a run has started.
#[derive(Default)]
pub struct Running {
    watches: Option<Watches>,
    engine_events: Option<JoinHandle<()>>,
    agents: Vec<AgentHandle>,
}

impl KindWorld<'_> {
    fn container(&self, node: &str) -> Result<&Container, Trouble> {
        self.containers
            .iter()
            .find(|c| c.name == node)
            .ok_or_else(|| Trouble::refused(format!("node {node} is no container of this engine, by label and address")))
    }

    /// Probes that share a place share a prober.
    async fn placed(&self, nodes: &[Node], at_risk: &[String]) -> Result<BTreeMap<Place, Vec<ProbeSpec>>, Trouble> {
        let placement = Placement { cluster: &self.cluster, namespace: &self.namespace, nodes, at_risk };
        let mut placed: BTreeMap<Place, Vec<ProbeSpec>> = BTreeMap::new();
        for probe in &self.experiment.probes {
            let (place, spec) = placement.resolve(probe).await?;
            placed.entry(place).or_default().push(spec);
        }
        Ok(placed)
    }
}

impl KindWorld<'_> {
    async fn start_agent(
        &self,
        place: &Place,
        processor: String,
        probes: Vec<ProbeSpec>,
        control: Option<ProbeHeader>,
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Result<AgentHandle, AgentError>, Trouble> {
        let (node, pod_uid) = match place {
            Place::Host => return Ok(agent::local::start(probes, control, out)),
            Place::Node { node } => (node, None),
            Place::Pod { node, uid, .. } => (node, Some(uid.clone())),
        };
        let container = self.container(node)?.id.clone();
        let run = self.run.to_owned();
        let placement = agent::Placement { node: node.clone(), container, processor, run, pod_uid, probes, control };
        Ok(agent::deploy(&self.docker, placement, &self.binary, out).await)
    }
}

impl World for KindWorld<'_> {
    async fn nodes(&self) -> Result<Vec<Node>, Trouble> {
        let nodes = self.cluster.nodes().await.map_err(Trouble::failed_by)?;
        Ok(nodes.into_iter().map(Node::from).collect())
    }

    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), Trouble> {
        use futures_util::StreamExt;
        let mut events = self.docker.events(&self.containers[0].cluster);
        let forward = out.clone();
        self.running.engine_events = Some(tokio::spawn(async move {
            while let Some(record) = events.next().await {
                if forward.send(record).is_err() {
                    break;
                }
            }
        }));
        let watches = watch::start(&self.cluster, &self.namespace, out);
        let listed = watches.baseline(FIRST_LISTS).await;
        self.running.watches = Some(watches);
        listed.map_err(|missing| Trouble::failed(format!("the API server did not list {} in time", missing.join(", "))))
    }

    fn workload_obligation(&self) -> Option<Obligation> {
        (!self.workload.is_empty()).then(|| Obligation::Namespace { name: self.namespace.clone(), access: self.access.clone() })
    }

    fn probers_obligation(&self) -> Obligation {
        Obligation::Probers { containers: self.containers.iter().map(|container| container.id.clone()).collect() }
    }

    async fn create_workload(&self) -> Result<(), Trouble> {
        self.cluster.create_namespace(&self.namespace, self.run).await.map_err(Trouble::failed_by)?;
        self.cluster.apply(&self.workload, &self.namespace).await.map_err(Trouble::failed_by)
    }

    async fn workload_readiness(&self) -> Result<Readiness, Trouble> {
        let readiness = self.cluster.readiness(&self.namespace).await.map_err(Trouble::failed_by)?;
        Ok(Readiness { ready: readiness.ready, waiting: readiness.waiting, stuck: readiness.stuck })
    }

    async fn start_probes(&mut self, at_risk: &[String], out: UnboundedSender<AgentMessage>) -> Result<Vec<String>, Trouble> {
        let nodes = self.nodes().await?;
        let mut hosts = Vec::new();
        for (number, (place, specs)) in self.placed(&nodes, at_risk).await?.into_iter().enumerate() {
            hosts.extend(place.node().map(str::to_owned));
            if let Some(text) = too_fast(&specs, &place) {
                let _ = out.send(AgentMessage::Note { warning: true, text });
            }
            // Each place has a control probe; its name must be its own.
            let name = if number == 0 { "control".to_owned() } else { format!("control-{number}") };
            let control = Some(control::header(&name, &place.describe(), place.node()));
            let started = self.start_agent(&place, processor_of(&nodes, &place), specs, control, out.clone()).await?;
            self.running.agents.push(started.map_err(Trouble::failed_by)?);
        }
        Ok(hosts)
    }

    async fn stop_probes(&mut self) {
        for agent in std::mem::take(&mut self.running.agents) {
            // One that is gone already has said so in its last message.
            let _ = agent.stop().await;
        }
    }

    async fn stop_watching(&mut self) {
        if let Some(events) = self.running.engine_events.take() {
            events.abort();
        }
        if let Some(watches) = self.running.watches.take() {
            watches.stop().await;
        }
    }

    fn plan_fault(&self, fault: &Fault, node: &Node, step: u32, dead_man: Duration) -> Result<Undo, Trouble> {
        let container = self.container(&node.name)?;
        Ok(fault::plan(fault, &NodeTarget::new(&node.name, container), self.run, step, dead_man))
    }

    async fn inject(&self, undo: &Undo, progress: Progress<'_>) -> Result<(), Trouble> {
        fault::inject(undo, &self.docker, progress).await.map_err(Trouble::failed_by)
    }

    async fn fulfil(&self, obligation: &Obligation, progress: Progress<'_>) -> Result<(), Trouble> {
        self.tools.fulfil(self.run, obligation, progress).await
    }
}

/// A node's processor, by the label that every kubelet sets; empty where it is not known.
fn processor_of(nodes: &[Node], place: &Place) -> String {
    let node = nodes.iter().find(|node| place.node() == Some(&node.name));
    node.and_then(|node| node.labels.get("kubernetes.io/arch")).cloned().unwrap_or_default()
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

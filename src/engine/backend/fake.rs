//! A backend for tests: a cluster in memory, that fails where a seed says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::agent::AgentMessage;
use crate::cluster::{Inventory, PodProblem};
use crate::engine::backend::run_scope::{RunScope, Running};
use crate::engine::backend::{Backend, Progress, Readiness};
use crate::engine::error::RunError;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::{Access, UndoEntry};
use crate::experiment::{Count, Fault};
use crate::fault::{self, NodeTarget, ObjectFaultRecord, ObjectUndo, PodDelete, UndoAfter};
use crate::plan::{Node, Occupancy};
use crate::timeline::attempts::AttemptEncoder;
use crate::timeline::{
    Attempt, Change, Endpoint, Event, FaultPhase, NodeRole, ObjectName, Outcome, Ready, Record,
};

/// What a call of the backend does instead of succeeding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    Fails,
    Panics,
    /// It never comes back.
    Hangs,
}

/// What is true in the fake cluster.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub down: BTreeMap<String, ()>,
    pub namespace: bool,
    /// Whether probers are in the nodes.
    pub probers: bool,
    /// Calls so far, by name.
    pub calls: Vec<&'static str>,
    /// What was confirmed, and which undo timers were set anew, in their order: `confirmed w1`.
    pub timers: Vec<String>,
}

pub(crate) struct FakeBackend {
    /// What is true.
    pub truth: Arc<Mutex<Truth>>,
    /// Which call, counted from 0, goes wrong and how.
    pub mishap: Option<(usize, Failure)>,
    /// What undoing does instead of succeeding.
    pub undo_mishap: Option<Failure>,
    /// How long the undo of a fault on a node waits for the node's own timer.
    pub undo_waits: Duration,
    /// A node that does not work after its undo.
    pub broken: Option<&'static str>,
    /// After how long somebody deletes the run's namespace.
    pub namespace_lost: Option<Duration>,
    /// A node that somebody else takes down right before its fault.
    pub taken: Option<&'static str>,
    /// A node that could not be brought back as it was.
    pub moves: Option<&'static str>,
    /// Whether nobody says, after the first fault, what runs on the nodes.
    pub no_occupancy: bool,
    /// What is answered, after the rehearsal, to who asks for the objects of a fault.
    pub no_objects: Option<RunError>,
    /// A node whose fault takes so long to be confirmed.
    pub slow: Option<(&'static str, Duration)>,
    /// How long a node's undo timer takes to be set anew.
    pub slow_timer: Duration,
    /// How long a node that was undone takes to be Ready. Default: nothing.
    pub boot: Duration,
    out: Option<UnboundedSender<Record>>,
    prober: Option<JoinHandle<()>>,
}

impl FakeBackend {
    /// A healthy cluster: `cp`, `w1`, `w2`.
    pub(crate) fn new(mishap: Option<(usize, Failure)>) -> Self {
        Self {
            truth: Default::default(),
            mishap,
            undo_mishap: None,
            undo_waits: Duration::ZERO,
            broken: None,
            namespace_lost: None,
            taken: None,
            moves: None,
            no_occupancy: false,
            no_objects: None,
            slow: None,
            slow_timer: Duration::ZERO,
            boot: Duration::ZERO,
            out: None,
            prober: None,
        }
    }

    /// Counts a call and lets it go wrong if it is its turn.
    async fn call(&self, name: &'static str) -> Result<(), RunError> {
        let number = {
            let mut truth = self.truth.lock().unwrap();
            truth.calls.push(name);
            truth.calls.len() - 1
        };
        tokio::time::sleep(Duration::from_millis(10)).await;
        match self.mishap {
            Some((turn, mishap)) if turn == number => match mishap {
                Failure::Fails => Err(RunError::failed(format!("{name} fails as asked"))),
                Failure::Panics => panic!("{name} panics as asked"),
                Failure::Hangs => std::future::pending().await,
            },
            _ => Ok(()),
        }
    }

    /// What goes through the API needs the control plane.
    fn api(&self) -> Result<(), RunError> {
        match self.truth.lock().unwrap().down.contains_key("cp") {
            true => Err(RunError::failed("the API server is away")),
            false => Ok(()),
        }
    }

    fn tell(&self, event: Event) {
        if let Some(out) = &self.out {
            let _ = out.send(crate::engine::clock::record(event));
        }
    }

    fn tell_node(&self, node: &str, change: Change, ready: Ready) {
        self.tell(state(node, change, ready));
    }

    /// Ready when it has booted.
    fn tell_return(&self, node: &str) {
        let (out, node, boot) = (self.out.clone(), node.to_owned(), self.boot);
        if boot.is_zero() {
            return self.tell_node(&node, Change::Changed, Ready::True);
        }
        tokio::spawn(async move {
            tokio::time::sleep(boot).await;
            if let Some(out) = out {
                let _ = out.send(crate::engine::clock::record(state(
                    &node,
                    Change::Changed,
                    Ready::True,
                )));
            }
        });
    }

    fn tell_endpoint(&self, node: &str, change: Change, ready: bool) {
        let endpoint = Endpoint {
            address: format!("10.0.0.{node}"),
            pod: Some(format!("web-{node}")),
            node: Some(node.into()),
            ready,
        };
        self.tell(Event::Endpoint { service: "web".into(), change, endpoint });
    }
}

impl Truth {
    /// The nodes whose Leases are renewed.
    fn living(&self) -> impl Iterator<Item = &'static str> {
        ["cp", "w1", "w2"].into_iter().filter(|node| !self.down.contains_key(*node))
    }
}

fn state(node: &str, change: Change, ready: Ready) -> Event {
    let (reason, transition, taints) = (String::new(), None, Vec::new());
    let heartbeat = Some(jiff::Timestamp::now());
    Event::Node { node: node.into(), change, ready, reason, transition, heartbeat, taints }
}

fn renewal(node: &str) -> Record {
    let (namespace, name, change) = ("kube-node-lease".into(), node.into(), Change::Changed);
    crate::engine::clock::record(Event::Lease {
        namespace,
        name,
        change,
        holder: None,
        renewed: None,
        transitions: None,
        lasts_s: None,
    })
}

impl Backend for FakeBackend {
    fn scope(&self) -> &RunScope<'_> {
        unreachable!("there is no cluster behind it")
    }

    async fn occupancy(&self) -> Result<Occupancy, RunError> {
        if self.no_occupancy && !self.truth.lock().unwrap().timers.is_empty() {
            std::future::pending::<()>().await;
        }
        Ok(Occupancy::default())
    }

    fn running(&mut self) -> &mut Running {
        unreachable!("there is no cluster behind it")
    }

    async fn look_up(&self, _: &[Node]) -> Result<(), RunError> {
        Ok(())
    }

    async fn pod_problems(&self, _: jiff::Timestamp) -> Vec<PodProblem> {
        Vec::new()
    }

    async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        self.call("nodes").await?;
        Ok(vec![
            Node::ready("cp", NodeRole::ControlPlane),
            Node::ready("w1", NodeRole::Worker),
            Node::ready("w2", NodeRole::Worker),
        ])
    }

    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError> {
        self.out = Some(out);
        self.call("watch").await?;
        for node in ["cp", "w1", "w2"] {
            self.tell_node(node, Change::Baseline, Ready::True);
        }
        Ok(())
    }

    fn workload_undo(&self) -> Option<UndoEntry> {
        Some(UndoEntry::Namespace {
            name: "outage-test".into(),
            access: Access::Kind { cluster: "fake".into() },
        })
    }

    fn probers_undo(&self) -> Option<UndoEntry> {
        Some(UndoEntry::Probers { containers: vec!["cp".into()], uploads: None })
    }

    async fn create_workload(&self) -> Result<(), RunError> {
        self.truth.lock().unwrap().namespace = true;
        self.call("create_workload").await?;
        self.tell_endpoint("w1", Change::Baseline, true);
        self.tell_endpoint("w2", Change::Baseline, true);
        Ok(())
    }

    async fn workload_readiness(&self) -> Result<Readiness, RunError> {
        self.call("workload_readiness").await?;
        Ok(Readiness { ready: true, ..Readiness::default() })
    }

    async fn start_probes(
        &mut self,
        _at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Vec<String>, RunError> {
        self.truth.lock().unwrap().probers = true;
        self.call("start_probes").await?;
        let mut span = crate::engine::live::tests::span("web", 50);
        span.start = crate::engine::clock::now();
        let _ = out.send(AgentMessage::Started(span.clone()));
        let (truth, records_out) = (self.truth.clone(), self.out.clone());
        self.prober = Some(tokio::spawn(async move {
            let mut encoder = AttemptEncoder::default();
            for slot in 0.. {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if slot % 50 == 0 {
                    for (node, out) in
                        truth.lock().unwrap().living().zip(records_out.iter().cycle())
                    {
                        let _ = out.send(renewal(node));
                    }
                }
                let down = !truth.lock().unwrap().down.is_empty();
                let outcome = if down && slot % 2 == 0 { Outcome::Refused } else { Outcome::Ok };
                let mut records = Vec::new();
                encoder.attempt(
                    &Attempt { slot, late_us: 1, outcome, ..Attempt::default() },
                    &mut records,
                );
                if out.send(AgentMessage::Attempts { probe: "web".into(), records }).is_err() {
                    break;
                }
            }
        }));
        Ok(vec!["cp".into()])
    }

    async fn finish_probes(&mut self) {}

    async fn stop_probes(&mut self) {
        if let Some(prober) = self.prober.take() {
            prober.abort();
        }
    }

    async fn stop_watching(&mut self) {
        self.out = None;
    }

    fn plan_fault(
        &self,
        fault: &Fault,
        node: &Node,
        step: u32,
        undo_after: UndoAfter,
    ) -> Result<UndoEntry, RunError> {
        if let Some(record) = ObjectFaultRecord::plan_on_node(fault, &node.name, &[]) {
            return Ok(on_object(step, record));
        }
        Ok(UndoEntry::Fault(fault::planned(
            fault,
            &target_of(node),
            "r",
            step,
            undo_after.requested,
        )))
    }

    async fn vet(&self, fault: &UndoEntry) -> Result<(), RunError> {
        match fault.fault().filter(|fault| Some(fault.node) == self.moves) {
            Some(fault) => Err(RunError::refused(format!(
                "{} would come back with another address",
                fault.node
            ))),
            None => Ok(()),
        }
    }

    async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        _: UndoAfter,
        _: &mut Seed,
    ) -> Result<Vec<UndoEntry>, RunError> {
        let Fault::PodDelete { pods } = fault else {
            panic!("is no fault that this backend knows")
        };
        if let Some(error) =
            self.no_objects.clone().filter(|_| !self.truth.lock().unwrap().down.is_empty())
        {
            return Err(error);
        }
        let pod = |number| {
            let (namespace, pod, uid, node) =
                ("outage-test".into(), format!("web-{number}"), "u".into(), None);
            on_object(
                step,
                ObjectFaultRecord::PodDelete(PodDelete {
                    namespace,
                    pod,
                    uid,
                    node,
                    known_as: None,
                }),
            )
        };
        let count = if let Count::Exactly(count) = pods.count { count } else { 2 };
        Ok((0..count).map(pod).collect())
    }

    async fn inventory(&self) -> Result<Inventory, RunError> {
        self.call("inventory").await?;
        let web = ObjectName {
            kind: "Service".into(),
            namespace: None,
            name: "web".into(),
            uid: "u".into(),
            controlled: false,
            owner: None,
            content: None,
        };
        Ok(Inventory { objects: vec![web], unread: Vec::new() })
    }

    fn namespace_lost(&self) -> BoxFuture<'static, RunError> {
        let after = self.namespace_lost;
        async move {
            match after {
                Some(after) => tokio::time::sleep(after).await,
                None => pending().await,
            }
            RunError::failed("its namespace was deleted")
        }
        .boxed()
    }

    async fn inject(&self, fault: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        let UndoEntry::Fault(undo) = fault else {
            self.api()?;
            let hit = fault.fault().expect("is a fault");
            progress(FaultPhase::Requested, String::new());
            self.truth.lock().unwrap().down.insert(object(hit.kind, hit.node), ());
            self.call("inject").await?;
            progress(FaultPhase::Confirmed, String::new());
            return Ok(());
        };
        let node = undo.target.node.clone();
        if self.taken == Some(node.as_str()) {
            self.truth.lock().unwrap().down.insert(node, ());
            return Err(RunError::refused("it is not running"));
        }
        // Half of the fault is injected when the call goes wrong: the hardest case for the undo.
        progress(FaultPhase::Requested, String::new());
        self.truth.lock().unwrap().down.insert(node.clone(), ());
        self.call("inject").await?;
        if let Some((_, slow)) = self.slow.filter(|(slow, _)| *slow == node) {
            tokio::time::sleep(slow).await;
        }
        progress(FaultPhase::Returned, String::new());
        progress(FaultPhase::Confirmed, String::new());
        self.truth.lock().unwrap().timers.push(format!("confirmed {node}"));
        self.tell_node(&node, Change::Changed, Ready::Unknown);
        self.tell_endpoint(&node, Change::Changed, false);
        Ok(())
    }

    async fn set_timer_anew(&self, undo: &UndoEntry) -> bool {
        let UndoEntry::Fault(undo) = undo else { return false };
        tokio::time::sleep(self.slow_timer).await;
        self.truth.lock().unwrap().timers.push(format!("set {}", undo.target.node));
        true
    }

    async fn undo(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        match self.undo_mishap {
            Some(Failure::Hangs) => std::future::pending().await,
            Some(_) => {
                progress(FaultPhase::NotUndone, "fails as asked".into());
                return Err(RunError::failed("undo fails as asked"));
            }
            None => {}
        }
        match undo {
            UndoEntry::Fault(undo) => {
                let node = &undo.target.node;
                progress(FaultPhase::UndoRequested, String::new());
                if !self.undo_waits.is_zero() {
                    progress(FaultPhase::Waits, String::new());
                    tokio::time::sleep(self.undo_waits).await;
                }
                self.truth.lock().unwrap().down.remove(node);
                progress(FaultPhase::Reverted, String::new());
                self.tell_return(node);
                self.tell_endpoint(node, Change::Changed, true);
            }
            UndoEntry::Object { undo, .. } => {
                progress(FaultPhase::UndoRequested, String::new());
                self.api().inspect_err(|error| progress(FaultPhase::NotUndone, error.line()))?;
                self.truth
                    .lock()
                    .unwrap()
                    .down
                    .remove(&object(undo.fault.kind(), undo.fault.target()));
                progress(FaultPhase::Undone, String::new());
            }
            UndoEntry::Namespace { .. } => self.truth.lock().unwrap().namespace = false,
            _ => self.truth.lock().unwrap().probers = false,
        }
        Ok(())
    }

    async fn verify(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError> {
        let UndoEntry::Fault(undo) = undo else { return Ok(()) };
        self.call("verify").await?;
        if self.broken == Some(undo.target.node.as_str()) {
            progress(FaultPhase::NotUndone, "it sends no heartbeat".into());
            return Err(RunError::failed("it sends no heartbeat"));
        }
        progress(FaultPhase::Undone, String::new());
        Ok(())
    }
}

fn on_object(step: u32, fault: ObjectFaultRecord) -> UndoEntry {
    UndoEntry::Object {
        undo: ObjectUndo::new("r", step, fault),
        access: Access::Kind { cluster: "fake".into() },
    }
}

/// What is done to an object takes no node down.
fn object(kind: impl std::fmt::Display, target: &str) -> String {
    format!("{kind} of {target}")
}

fn target_of(node: &Node) -> NodeTarget {
    NodeTarget {
        node: node.name.clone(),
        container_id: format!("id-{}", node.name),
        container_name: node.name.clone(),
        role: node.role,
        addresses: Default::default(),
        cluster: "fake".into(),
    }
}

//! The whole cluster as one machine over given time: the caller says what the time is, the machine
//! says what happened until then.
//!
//! Each part keeps when it is due next in the [`Agenda`]; the machine lets the earliest act, again
//! and again. What a part does is in the file of its name. All chance comes from the seed.

use std::time::Duration;

use super::action::{Action, Component};
use super::agenda::{Agenda, NEVER, Timer};
use super::change::Change;
use super::cluster::{Election, Etcd, NodeLifecycle, electing};
use super::node::{Node, NodeState, Process};
use super::pod::{Owner, Pod, PodState};
use super::settings::{Nanos, Settings};
use super::topology::{Controller, NodeId, OwnerId, PodId, PodSpec, Topology};
use crate::stats::Random;
use crate::timeline::Taint;

/// A modelled cluster.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(super) settings: Settings,
    pub(super) now: Nanos,
    pub(super) random: Random,
    pub(super) agenda: Agenda,
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Pod>,
    pub(super) owners: Vec<Owner>,
    pub(super) taints: Vec<Taint>,
    pub(super) etcd: Etcd,
    pub(super) elections: [Election; 2],
    pub(super) lifecycle: NodeLifecycle,
    /// By how much the wall clock's whole seconds are off the model's.
    pub(super) wall: Nanos,
    pending: Vec<(Nanos, Change)>,
}

impl Model {
    /// A cluster in which all is well: every node is ready, leaders lead, heartbeats and passes
    /// come at phases that the seed draws. It has no pods.
    pub(crate) fn new(settings: Settings, topology: &Topology, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let wall = random.below(1_000_000_000);
        let mut model = Self {
            agenda: Agenda::new(topology.nodes.len()),
            nodes: topology.nodes.iter().map(|spec| Node::new(spec, &settings)).collect(),
            lifecycle: NodeLifecycle::new(topology),
            settings,
            now: 0,
            random,
            pods: Vec::new(),
            owners: Vec::new(),
            taints: Vec::new(),
            etcd: Etcd::default(),
            elections: [Election::default(), Election::default()],
            wall,
            pending: Vec::new(),
        };
        model.begin();
        model.pending.clear();
        model
    }

    /// When something happens next by itself, since the model's beginning. `None`: never.
    pub(crate) fn next(&self) -> Option<Duration> {
        let (due, _) = self.agenda.first();
        (due != NEVER).then(|| Duration::from_nanos(due))
    }

    /// Lets time pass until `to`, and tells what changes, in order, with its instant. Time never
    /// goes back: an earlier `to` does nothing.
    pub(crate) fn advance(&mut self, to: Duration, changed: &mut dyn FnMut(Duration, Change)) {
        self.run(nanos(to), |at, change| changed(Duration::from_nanos(at), change));
    }

    /// Does something at an instant, after all that happens until then.
    pub(crate) fn act(
        &mut self,
        at: Duration,
        action: Action,
        changed: &mut dyn FnMut(Duration, Change),
    ) {
        self.advance(at, changed);
        self.take(action);
        self.flush(&mut |at, change| changed(Duration::from_nanos(at), change));
    }

    /// Makes a ReplicaSet or a StatefulSet, whose pods follow when its controller comes to it (an
    /// API write).
    pub(crate) fn create_owner(
        &mut self,
        at: Duration,
        controller: Controller,
        pod: PodSpec,
        replicas: usize,
        changed: &mut dyn FnMut(Duration, Change),
    ) -> OwnerId {
        self.advance(at, changed);
        let owner = self.add_owner(controller, pod, replicas);
        self.flush(&mut |at, change| changed(Duration::from_nanos(at), change));
        owner
    }

    /// Makes a pod that belongs to nobody (an API write).
    pub(crate) fn create_pod(
        &mut self,
        at: Duration,
        pod: PodSpec,
        changed: &mut dyn FnMut(Duration, Change),
    ) -> PodId {
        self.advance(at, changed);
        let pod = self.add_pod(None, pod);
        self.flush(&mut |at, change| changed(Duration::from_nanos(at), change));
        pod
    }

    /// The time that has come, since the model's beginning.
    #[cfg(test)]
    pub(crate) fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    pub(crate) fn node(&self, node: NodeId) -> NodeState {
        self.nodes[node.0].state()
    }

    /// A pod as it is now. One that is gone keeps its number and its last state.
    pub(crate) fn pod(&self, pod: PodId) -> PodState {
        let pod = &self.pods[pod.0];
        PodState {
            owner: pod.owner,
            ordinal: pod.ordinal,
            node: pod.node,
            phase: pod.phase,
            ready: pod.ready,
            terminating: pod.terminating,
            endpoint: pod.endpoint,
            backend: self.backend(pod),
        }
    }

    /// All pods that were ever made, those that are gone too.
    #[cfg(test)]
    pub(crate) fn pods(&self) -> impl Iterator<Item = PodId> + use<> {
        (0..self.pods.len()).map(PodId)
    }

    /// Whether a node's kube-proxy sends new connections to this pod. (Those of one Service share
    /// them evenly.)
    pub(crate) fn routes(&self, from: NodeId, to: PodId) -> bool {
        self.pods[to.0].routed_from(from)
    }

    /// Who leads, by the lease: of the controller managers or the schedulers. `None`: nobody, or no
    /// part that elects a leader.
    pub(crate) fn leader(&self, component: Component) -> Option<NodeId> {
        electing(component).and_then(|which| self.elections[which].holder())
    }

    /// The process of a part of the control plane, whether or not its machine runs. `None`: there
    /// never was one.
    pub(crate) fn process(&self, node: NodeId, component: Component) -> Option<Process> {
        self.nodes[node.0].plane.as_ref().map(|plane| plane.process(component))
    }

    /// Whether a part of the control plane on this node serves (see [`Change::Serves`]).
    pub(crate) fn serves(&self, node: NodeId, component: Component) -> bool {
        self.nodes[node.0].plane.as_ref().is_some_and(|plane| plane.serves[component.index()])
    }

    /// Whether the API takes writes, asked from outside of the nodes: some API server serves and is
    /// connected.
    pub(crate) fn api_serves(&self) -> bool {
        self.nodes.iter().any(|node| {
            node.connected
                && node.plane.as_ref().is_some_and(|p| p.serves[Component::ApiServer.index()])
        })
    }

    /// Adds a change of now.
    #[inline]
    pub(super) fn emit(&mut self, change: Change) {
        self.pending.push((self.now, change));
    }

    /// When a length of time from now has gone by.
    #[inline]
    pub(super) fn after(&self, length: Nanos) -> Nanos {
        self.now.saturating_add(length)
    }

    pub(super) fn run(&mut self, to: Nanos, mut changed: impl FnMut(Nanos, Change)) {
        self.flush(&mut changed);
        loop {
            let (due, timer) = self.agenda.first();
            if due > to {
                break;
            }
            self.now = self.now.max(due);
            self.agenda.clear(timer);
            self.fire(timer);
            self.flush(&mut changed);
        }
        self.now = self.now.max(to);
    }

    fn flush(&mut self, changed: &mut impl FnMut(Nanos, Change)) {
        for (at, change) in self.pending.drain(..) {
            changed(at, change);
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Status(node) => self.status_due(node),
            Timer::Lease(node) => self.lease_due(node),
            Timer::PodSync(node) => self.pod_sync_due(node),
            Timer::Machine(node) => self.machine_due(node),
            Timer::Kubelet(node) => self.kubelet_due(node),
            Timer::Online(node) => self.online_due(node),
            Timer::Proxy(node) => self.proxy_due(node),
            Timer::Watching(node) => self.watching_due(node),
            Timer::NoSchedule(node) => self.no_schedule_due(node),
            Timer::Elector(node, which) => self.elector_due(node, which),
            Timer::Component(node, component) => self.component_due(node, component),
            Timer::Pass => self.pass_due(),
            Timer::TaintPass => self.taint_pass_due(),
            Timer::PodGc => self.pod_gc_due(),
            Timer::Informers => self.informers_due(),
            Timer::Etcd => self.etcd_due(),
            Timer::Container(pod) => self.container_due(pod),
            Timer::Unready(pod) => self.unready_due(pod),
            Timer::Report(pod) => self.report_due(pod),
            Timer::Endpoint(pod) => self.endpoint_due(pod),
            Timer::Evict(pod) => self.evict_due(pod),
            Timer::Bind(pod) => self.bind_due(pod),
            Timer::Owner(owner) => self.owner_due(owner),
        }
    }
}

pub(super) fn nanos(length: Duration) -> Nanos {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

//! What one trial shows of one fault: the API's words on the nodes and endpoints, and what clients
//! meet.

use super::change::{Backend, Change};
use super::machine::nanos;
use super::scenario::Scenario;
use super::settings::Nanos;
use super::topology::{NodeId, PodId, Routing};
use crate::stats::Random;
use crate::timeline::Ready;

/// A pod, as clients and the API see it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    node: Option<NodeId>,
    backend: Backend,
    endpoint: bool,
    routed: bool,
}

/// Follows a trial from change to change.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    asked_from: NodeId,
    routing: Routing,
    /// The pod that a sticky client is sent to.
    sticky: Option<PodId>,
    choices: Random,
    timeout: Nanos,
    pods: Vec<Seen>,
    ready: Vec<bool>,
    wanted: usize,
    pub(super) fault: Option<Fault>,
    clients: Clients,
}

/// One fault's story; instants since the model's beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) node: NodeId,
    pub(super) requested: Nanos,
    pub(super) undo: Option<Nanos>,
    pub(super) detected: Option<Nanos>,
    /// All endpoints on the node had left by then. Only before the undo.
    pub(super) removed: Option<Nanos>,
    /// As many ready endpoints as before, none of them on the node.
    pub(super) replaced: Option<Nanos>,
    /// All is well after the undo.
    pub(super) recovered: Option<Nanos>,
    heard: bool,
    pub(super) window: Window,
}

/// The errors between a fault and its undo, by the time at which requests are sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) first: Option<Nanos>,
    pub(super) last: Nanos,
    /// The share that fails, summed over time.
    pub(super) failed: f64,
}

/// Which share of new requests fails now, and since when.
#[derive(Clone, Copy, Debug, Default)]
struct Clients {
    share: f64,
    since: Nanos,
}

impl Observer {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let seen = |node: &NodeId| Seen {
            node: Some(*node),
            backend: Backend::Answers,
            endpoint: true,
            routed: true,
        };
        Self {
            asked_from: scenario.asked_from,
            routing: scenario.routing,
            sticky: None,
            choices: Random::new(seed),
            timeout: nanos(scenario.timeout),
            pods: scenario.pods.iter().map(seen).collect(),
            ready: vec![true; scenario.topology.nodes.len()],
            wanted: scenario.pods.len(),
            fault: None,
            clients: Clients::default(),
        }
    }

    /// Everything as in the beginning, for the next trial.
    pub(super) fn reset(&mut self, pods: &[NodeId]) {
        self.pods.truncate(pods.len());
        for (seen, node) in self.pods.iter_mut().zip(pods) {
            *seen =
                Seen { node: Some(*node), backend: Backend::Answers, endpoint: true, routed: true };
        }
        self.ready.fill(true);
        (self.fault, self.clients, self.sticky) = (None, Clients::default(), None);
        self.clients.share = self.failing();
    }

    pub(super) fn requested(&mut self, node: NodeId, at: Nanos) {
        self.clients.since = at;
        self.fault = Some(Fault {
            node,
            requested: at,
            undo: None,
            detected: None,
            removed: None,
            replaced: None,
            recovered: None,
            heard: false,
            window: Window::default(),
        });
    }

    /// The undo begins: requests sent later belong to it.
    pub(super) fn undone(&mut self, at: Nanos) {
        if let Some(fault) = &mut self.fault {
            fault.undo = Some(at);
        }
    }

    #[inline]
    pub(super) fn see(&mut self, at: Nanos, change: Change) {
        match change {
            Change::Beat { node, .. } => return self.heard(at, node),
            Change::LeaseRenewed { .. } => return,
            Change::NodeReady { node, ready, .. } => {
                self.ready[node.0] = ready == Ready::True;
                self.detected(at, node, ready);
            }
            Change::PodCreated { pod, .. } if pod.0 >= self.pods.len() => {
                self.pods.push(Seen {
                    node: None,
                    backend: Backend::Refuses,
                    endpoint: false,
                    routed: false,
                });
            }
            Change::PodBound { pod, node } => self.pods[pod.0].node = Some(node),
            Change::Endpoint { pod, ready } => {
                self.pods[pod.0].endpoint = ready == Some(true);
                self.counted(at);
            }
            Change::ProxySynced { node } if node == self.asked_from => {
                self.account(at, at);
                self.pods.iter_mut().for_each(|pod| pod.routed = pod.endpoint);
            }
            Change::Backend { pod, backend } => self.backend(at, pod, backend),
            _ => return,
        }
        self.share(at);
        self.settle(at);
    }

    fn detected(&mut self, at: Nanos, node: NodeId, ready: Ready) {
        if let Some(fault) = self.fault.as_mut().filter(|fault| fault.node == node) {
            // A node that starts again says False of itself for a moment.
            let counts = ready == Ready::Unknown || (ready == Ready::False && fault.undo.is_none());
            if counts && fault.detected.is_none() {
                fault.detected = Some(at);
            }
        }
    }

    fn heard(&mut self, at: Nanos, node: NodeId) {
        if let Some(fault) = self
            .fault
            .as_mut()
            .filter(|fault| fault.node == node && fault.undo.is_some() && !fault.heard)
        {
            fault.heard = true;
            self.settle(at);
        }
    }

    fn counted(&mut self, at: Nanos) {
        let Some(fault) = &mut self.fault else { return };
        let there =
            self.pods.iter().filter(|pod| pod.endpoint && pod.node == Some(fault.node)).count();
        if there == 0 && fault.undo.is_none() {
            fault.removed.get_or_insert(at);
        }
        let elsewhere =
            self.pods.iter().filter(|pod| pod.endpoint && pod.node != Some(fault.node)).count();
        if elsewhere >= self.wanted {
            fault.replaced.get_or_insert(at);
        }
    }

    /// A backend that comes back answers the requests that hung, those younger than the timeout:
    /// they were not failures.
    fn backend(&mut self, at: Nanos, pod: PodId, backend: Backend) {
        let saved = self.pods[pod.0].backend == Backend::Hangs && backend == Backend::Answers;
        self.account(at, if saved { at.saturating_sub(self.timeout) } else { at });
        self.pods[pod.0].backend = backend;
    }

    /// The trial's story of this fault ends.
    pub(super) fn finish(&mut self, at: Nanos) -> Option<Fault> {
        self.account(at, at);
        self.fault
    }

    /// Books the time since the last change, as far as it lies before the undo: failures were sent
    /// until `until`.
    fn account(&mut self, at: Nanos, until: Nanos) {
        let Clients { share, since } = self.clients;
        let until = self.fault.and_then(|fault| fault.undo).map_or(until, |undo| until.min(undo));
        if let Some(fault) = self.fault.as_mut().filter(|_| share > 0.0 && until > since) {
            fault.window.first.get_or_insert(since);
            fault.window.last = until;
            fault.window.failed += share * (until - since) as f64;
        }
        self.clients.since = at;
    }

    fn share(&mut self, at: Nanos) {
        self.account(at, at);
        self.clients.share = self.failing();
    }

    /// Which share of new requests would fail now.
    fn failing(&mut self) -> f64 {
        // Nobody asks what has no pods.
        if self.wanted == 0 {
            return 0.0;
        }
        let fails = |pod: &Seen| u32::from(pod.backend != Backend::Answers);
        if self.routing.is_sticky() {
            return self.sticky_pod().map_or(1.0, |pod| f64::from(fails(&self.pods[pod.0])));
        }
        let routed = self.pods.iter().filter(|pod| self.may_ask(pod));
        let (all, dead) = routed.fold((0, 0), |(all, dead), pod| (all + 1, dead + fails(pod)));
        if all == 0 { 1.0 } else { f64::from(dead) / f64::from(all) }
    }

    /// Whether the asking node's kube-proxy sends connections there.
    fn may_ask(&self, pod: &Seen) -> bool {
        pod.routed && (!self.routing.is_local() || pod.node == Some(self.asked_from))
    }

    /// The client's pod: another one is drawn when kube-proxy no longer knows it.
    fn sticky_pod(&mut self) -> Option<PodId> {
        if self.sticky.is_none_or(|pod| !self.may_ask(&self.pods[pod.0])) {
            let routed = self.pods.iter().enumerate().filter(|(_, pod)| self.may_ask(pod));
            let routed: Vec<PodId> = routed.map(|(at, _)| PodId(at)).collect();
            self.sticky = self.choices.choose(&routed).copied();
        }
        self.sticky
    }

    fn settle(&mut self, at: Nanos) {
        let well = self.ready.iter().all(|ready| *ready)
            && self.clients.share == 0.0
            && self.pods.iter().filter(|pod| pod.endpoint).count() >= self.wanted;
        if let Some(fault) = self.fault.as_mut().filter(|fault| fault.undo.is_some()) {
            match well && fault.heard {
                true => _ = fault.recovered.get_or_insert(at),
                false => fault.recovered = None,
            }
        }
    }
}

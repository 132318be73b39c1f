//! When each part is due next: one slot a part, no queue, nothing allocated as time passes.

use super::action::Component;
use super::settings::Nanos;
use super::topology::{NodeId, OwnerId, PodId};

/// Not due.
pub(super) const NEVER: Nanos = Nanos::MAX;

/// Something that comes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A kubelet looks at its node's status.
    Status(NodeId),
    /// A kubelet renews its lease.
    Lease(NodeId),
    /// A kubelet compares its pods' status with the API's.
    PodSync(NodeId),
    /// The next step of a machine: off, or booted.
    Machine(NodeId),
    /// A kubelet ends or has started.
    Kubelet(NodeId),
    /// A node's agents have a connection to an API server again.
    Online(NodeId),
    /// A kube-proxy puts into force what it knows.
    Proxy(NodeId),
    /// A kube-proxy's watch is connected again.
    Watching(NodeId),
    /// The node lifecycle controller sets a node's NoSchedule taint.
    NoSchedule(NodeId),
    /// A candidate tries to get or to keep a leader's lease.
    Elector(NodeId, usize),
    /// A part of the control plane has started.
    Component(NodeId, Component),
    /// The node lifecycle controller's pass.
    Pass,
    /// Its pass over the NoExecute queue.
    TaintPass,
    /// The controller manager's watches are connected again.
    Informers,
    /// etcd has elected a leader.
    Etcd,
    /// The pod garbage collector looks at the nodes that are out of service.
    PodGc,
    /// The next step of a pod's containers.
    Container(PodId),
    /// The node lifecycle controller writes that a pod is not ready.
    Unready(PodId),
    /// A kubelet writes a pod's status.
    Report(PodId),
    /// The endpoint slice controller comes to a pod.
    Endpoint(PodId),
    /// The taint manager's timer of a pod.
    Evict(PodId),
    /// The scheduler comes to a pod.
    Bind(PodId),
    /// The ReplicaSet controller comes to an owner.
    Owner(OwnerId),
}

const GLOBALS: usize = 5;
const PER_NODE: usize = 15;
const PER_POD: usize = 6;

#[derive(Clone, Debug)]
pub(super) struct Agenda {
    /// The cluster's own slots, then those of each node.
    fixed: Vec<Nanos>,
    pods: Vec<Nanos>,
    owners: Vec<Nanos>,
}

impl Agenda {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            fixed: vec![NEVER; GLOBALS + nodes * PER_NODE],
            pods: Vec::new(),
            owners: Vec::new(),
        }
    }

    pub(super) fn add_pod(&mut self) {
        self.pods.extend([NEVER; PER_POD]);
    }

    pub(super) fn add_owner(&mut self) {
        self.owners.push(NEVER);
    }

    /// Makes something due at an instant, whatever it was due at before.
    #[inline]
    pub(super) fn set(&mut self, timer: Timer, due: Nanos) {
        *self.slot(timer) = due;
    }

    /// Makes something due at an instant, or leaves it where it is due sooner.
    #[inline]
    pub(super) fn set_by(&mut self, timer: Timer, due: Nanos) {
        let slot = self.slot(timer);
        *slot = due.min(*slot);
    }

    #[inline]
    pub(super) fn clear(&mut self, timer: Timer) {
        self.set(timer, NEVER);
    }

    pub(super) fn is_set(&mut self, timer: Timer) -> bool {
        *self.slot(timer) != NEVER
    }

    pub(super) fn due(&mut self, timer: Timer) -> Nanos {
        *self.slot(timer)
    }

    /// What is due first, and when; [`NEVER`] where nothing is.
    pub(super) fn first(&self) -> (Nanos, Timer) {
        let (mut due, mut timer) = (NEVER, Timer::Pass);
        if let Some((at, least)) = least(&self.fixed) {
            (due, timer) = (least, fixed_timer(at));
        }
        if let Some((at, least)) = least(&self.pods).filter(|(_, least)| *least < due) {
            (due, timer) = (least, pod_timer(at));
        }
        if let Some((at, least)) = least(&self.owners).filter(|(_, least)| *least < due) {
            (due, timer) = (least, Timer::Owner(OwnerId(at)));
        }
        (due, timer)
    }

    fn slot(&mut self, timer: Timer) -> &mut Nanos {
        let node = |node: NodeId, slot: usize| GLOBALS + node.0 * PER_NODE + slot;
        let pod = |pod: PodId, slot: usize| pod.0 * PER_POD + slot;
        match timer {
            Timer::Pass => &mut self.fixed[0],
            Timer::TaintPass => &mut self.fixed[1],
            Timer::Informers => &mut self.fixed[2],
            Timer::Etcd => &mut self.fixed[3],
            Timer::PodGc => &mut self.fixed[4],
            Timer::Status(n) => &mut self.fixed[node(n, 0)],
            Timer::Lease(n) => &mut self.fixed[node(n, 1)],
            Timer::PodSync(n) => &mut self.fixed[node(n, 2)],
            Timer::Machine(n) => &mut self.fixed[node(n, 3)],
            Timer::Kubelet(n) => &mut self.fixed[node(n, 4)],
            Timer::Online(n) => &mut self.fixed[node(n, 5)],
            Timer::Proxy(n) => &mut self.fixed[node(n, 6)],
            Timer::Watching(n) => &mut self.fixed[node(n, 7)],
            Timer::NoSchedule(n) => &mut self.fixed[node(n, 8)],
            Timer::Elector(n, which) => &mut self.fixed[node(n, 9 + which)],
            Timer::Component(n, component) => &mut self.fixed[node(n, 11 + component.index())],
            Timer::Container(p) => &mut self.pods[pod(p, 0)],
            Timer::Unready(p) => &mut self.pods[pod(p, 1)],
            Timer::Report(p) => &mut self.pods[pod(p, 2)],
            Timer::Endpoint(p) => &mut self.pods[pod(p, 3)],
            Timer::Evict(p) => &mut self.pods[pod(p, 4)],
            Timer::Bind(p) => &mut self.pods[pod(p, 5)],
            Timer::Owner(owner) => &mut self.owners[owner.0],
        }
    }
}

fn least(slots: &[Nanos]) -> Option<(usize, Nanos)> {
    let least = slots.iter().copied().min()?;
    (least != NEVER)
        .then(|| (slots.iter().position(|due| *due == least).unwrap_or_default(), least))
}

fn fixed_timer(at: usize) -> Timer {
    if at < GLOBALS {
        return [Timer::Pass, Timer::TaintPass, Timer::Informers, Timer::Etcd, Timer::PodGc][at];
    }
    let node = NodeId((at - GLOBALS) / PER_NODE);
    match (at - GLOBALS) % PER_NODE {
        0 => Timer::Status(node),
        1 => Timer::Lease(node),
        2 => Timer::PodSync(node),
        3 => Timer::Machine(node),
        4 => Timer::Kubelet(node),
        5 => Timer::Online(node),
        6 => Timer::Proxy(node),
        7 => Timer::Watching(node),
        8 => Timer::NoSchedule(node),
        slot @ 9..11 => Timer::Elector(node, slot - 9),
        slot => Timer::Component(node, Component::ALL[slot - 11]),
    }
}

fn pod_timer(at: usize) -> Timer {
    let pod = PodId(at / PER_POD);
    match at % PER_POD {
        0 => Timer::Container(pod),
        1 => Timer::Unready(pod),
        2 => Timer::Report(pod),
        3 => Timer::Endpoint(pod),
        4 => Timer::Evict(pod),
        _ => Timer::Bind(pod),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slot gives back the timer that it was set for.
    #[test]
    fn slots_and_timers_agree() {
        let (node, pod) = (NodeId(1), PodId(2));
        let mut timers = vec![
            Timer::Pass,
            Timer::TaintPass,
            Timer::Informers,
            Timer::Etcd,
            Timer::PodGc,
            Timer::Status(node),
            Timer::Lease(node),
            Timer::PodSync(node),
            Timer::Machine(node),
            Timer::Kubelet(node),
            Timer::Online(node),
            Timer::Proxy(node),
            Timer::Watching(node),
            Timer::NoSchedule(node),
            Timer::Elector(node, 0),
            Timer::Elector(node, 1),
            Timer::Container(pod),
            Timer::Unready(pod),
            Timer::Report(pod),
            Timer::Endpoint(pod),
            Timer::Evict(pod),
            Timer::Bind(pod),
            Timer::Owner(OwnerId(1)),
        ];
        timers.extend(Component::ALL.map(|component| Timer::Component(node, component)));
        let mut agenda = Agenda::new(2);
        (0..3).for_each(|_| agenda.add_pod());
        (0..2).for_each(|_| agenda.add_owner());
        assert_eq!(agenda.first().0, NEVER);
        for (due, timer) in timers.into_iter().enumerate().rev() {
            agenda.set(timer, due as Nanos);
            assert_eq!(agenda.first(), (due as Nanos, timer));
        }
    }
}

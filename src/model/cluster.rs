//! What belongs to no node: etcd as a whole, the leaders' leases, the node lifecycle controller's
//! zones.

use super::action::Component;
use super::agenda::NEVER;
use super::settings::{EVICTION, EVICTION_REDUCED, LARGE_ZONE, Nanos, UNHEALTHY_ZONE};
use super::topology::{NodeId, NodeSpec, Topology};

/// etcd as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Etcd {
    pub(super) leader: Option<NodeId>,
    /// Since when no API server served the controllers.
    pub(super) lost_at: Nanos,
    /// Whether that one had only stopped answering.
    pub(super) lost_silently: bool,
    /// Whether the controllers had an API server.
    pub(super) controllers_served: bool,
}

/// The places of the two elections.
pub(super) const CONTROLLER_MANAGER: usize = 0;

pub(super) const SCHEDULER: usize = 1;

pub(super) const ELECTED: [Component; 2] = [Component::ControllerManager, Component::Scheduler];

/// Which election a part of the control plane takes part in.
pub(super) fn electing(component: Component) -> Option<usize> {
    ELECTED.iter().position(|elected| *elected == component)
}

/// The process that holds a leader's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) node: NodeId,
    /// Which life of it: a process that was started again is another.
    pub(super) life: u32,
}

/// A leader's lease.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Election {
    pub(super) holder: Option<Holder>,
    /// Counts the writes.
    pub(super) version: u64,
}

impl Election {
    pub(super) fn holder(&self) -> Option<NodeId> {
        self.holder.map(|holder| holder.node)
    }
}

#[derive(Clone, Debug)]
pub(super) struct NodeLifecycle {
    pub(super) zones: Vec<Zone>,
    pub(super) taint_phase: Nanos,
    pub(super) places: Vec<usize>,
    /// Whether it looks at a cache that no watch feeds.
    pub(super) blind: bool,
}

impl NodeLifecycle {
    pub(super) fn new(topology: &Topology) -> Self {
        let mut names: Vec<&str> = topology.nodes.iter().map(NodeSpec::zone).collect();
        names.sort_unstable();
        names.dedup();
        let places = topology
            .nodes
            .iter()
            .map(|node| names.binary_search(&node.zone()).unwrap_or_default())
            .collect();
        Self { zones: vec![Zone::new(); names.len()], taint_phase: 0, places, blind: false }
    }
}

/// How well a zone is (`ZoneState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ZoneHealth {
    Initial,
    Normal,
    /// Most of its nodes, and at least three, are not ready.
    Partial,
    /// None of its nodes is ready.
    Full,
}

/// How many of a zone's nodes are ready.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ZoneCount {
    pub(super) ready: u32,
    pub(super) not_ready: u32,
}

impl ZoneCount {
    /// `ComputeZoneState`.
    pub(super) fn health(self) -> ZoneHealth {
        let Self { ready, not_ready } = self;
        let share = f64::from(not_ready) / f64::from((ready + not_ready).max(1));
        match (ready, not_ready) {
            (0, 1..) => ZoneHealth::Full,
            (_, 3..) if share >= UNHEALTHY_ZONE => ZoneHealth::Partial,
            _ => ZoneHealth::Normal,
        }
    }

    /// How long the zone waits from one node's taint to the next; [`NEVER`]: for ever.
    pub(super) fn interval(self) -> Nanos {
        match self.health() {
            ZoneHealth::Partial if self.ready + self.not_ready > LARGE_ZONE => EVICTION_REDUCED,
            ZoneHealth::Partial => NEVER,
            ZoneHealth::Initial | ZoneHealth::Normal | ZoneHealth::Full => EVICTION,
        }
    }
}

/// A zone of nodes, as the node lifecycle controller treats it.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) health: ZoneHealth,
    /// Nodes that are to be tainted, in order.
    pub(super) queue: Vec<NodeId>,
    pub(super) interval: Nanos,
    /// When the rate allows the next taint.
    pub(super) free_at: Nanos,
}

impl Zone {
    pub(super) fn new() -> Self {
        Self { health: ZoneHealth::Initial, queue: Vec::new(), interval: EVICTION, free_at: 0 }
    }

    /// `SwapLimiter`: a limiter that held something back hands its emptiness on.
    pub(super) fn swap_limiter(&mut self, interval: Nanos, now: Nanos) {
        if self.interval == interval {
            return;
        }
        let empty = self.interval == NEVER || now < self.free_at;
        self.free_at = match (interval, empty) {
            (NEVER, _) => NEVER,
            (_, true) => now + interval,
            (_, false) => now,
        };
        self.interval = interval;
    }

    pub(super) fn add(&mut self, node: NodeId) {
        if !self.queue.contains(&node) {
            self.queue.push(node);
        }
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.queue.retain(|queued| *queued != node);
    }
}

//! The node lifecycle controller (`pkg/controller/nodelifecycle/node_lifecycle_controller.go`),
//! pass by pass.
//!
//! It stamps a heartbeat with its own clock at its own pass, and finds a node dead at the first
//! pass later than stamp and grace period. What it remembers is lost with its process, so a new
//! leader starts every grace period from zero. It looks at its cache: while the API is away it goes
//! on looking, and what it wants to write fails.

use super::agenda::{NEVER, Timer};
use super::change::{Change, Taint};
use super::cluster::{Zone, ZoneCount, ZoneHealth};
use super::machine::Model;
use super::node::{Health, Object};
use super::settings::{NO_SCHEDULE, PASS_WORK, PODS_UNREADY, TAINT_PASS};
use super::topology::{NodeId, PodId};
use crate::timeline::Ready;

impl Model {
    /// Everything has been seen, at random phases.
    pub(super) fn begin_node_lifecycle(&mut self) {
        let first = self.random.below(self.settings.monitor_period);
        self.agenda.set(Timer::Pass, first);
        self.lifecycle.taint_phase = self.random.below(TAINT_PASS);
        for node in 0..self.nodes.len() {
            self.nodes[node].zone = self.lifecycle.places[node];
        }
    }

    /// A new leader's controller begins: it knows nothing.
    pub(super) fn start_node_lifecycle(&mut self) {
        for node in &mut self.nodes {
            (node.health, node.cached) = (None, None);
        }
        self.lifecycle.zones.fill_with(Zone::new);
        self.lifecycle.taint_phase = self.now;
        self.lifecycle.blind = false;
        self.agenda.clear(Timer::Informers);
        self.agenda.set(Timer::Pass, self.now);
        for pod in 0..self.pods.len() {
            self.agenda.clear(Timer::Evict(PodId(pod)));
            if !self.pods[pod].gone() {
                self.tolerate(PodId(pod));
            }
        }
    }

    pub(super) fn end_node_lifecycle(&mut self) {
        self.agenda.clear(Timer::Pass);
        self.agenda.clear(Timer::TaintPass);
    }

    /// Its watches have lost their API server: the cache stays as it is.
    pub(super) fn blind_node_lifecycle(&mut self) {
        if !self.lifecycle.blind {
            self.lifecycle.blind = true;
            for node in &mut self.nodes {
                node.cached = Some(node.object);
            }
        }
    }

    /// Its watches are connected again.
    pub(super) fn informers_due(&mut self) {
        self.lifecycle.blind = false;
        for node in &mut self.nodes {
            node.cached = None;
        }
        self.kick_controllers();
    }

    pub(super) fn pass_due(&mut self) {
        let work = PASS_WORK.draw(&mut self.random);
        self.agenda.set(Timer::Pass, self.after(self.settings.monitor_period + work));
        for node in 0..self.nodes.len() {
            self.monitor(NodeId(node));
        }
        self.handle_disruption();
    }

    fn monitor(&mut self, node: NodeId) {
        let seen = self.nodes[node.0].cached.unwrap_or(self.nodes[node.0].object);
        if self.nodes[node.0].health.is_none() && self.api_for_controllers() {
            // A node that the controller has not seen before loses its NoExecute taints, and gets
            // them again if it must.
            self.mark_reachable(node);
        }
        let Some(ready) = self.try_update_health(node, seen) else { return };
        if self.api_for_controllers() {
            self.evict_by(node, ready);
        }
        let lost = ready != Ready::True && seen.ready == Ready::True;
        let retry = self.nodes[node.0].health.as_mut().map(|health| &mut health.retry);
        let retries = retry.is_some_and(std::mem::take);
        if lost || (retries && seen.ready != Ready::True) {
            self.mark_pods_not_ready(node);
        }
    }

    fn mark_pods_not_ready(&mut self, node: NodeId) {
        self.with_pods_on(node, |model, pod| {
            let wait = PODS_UNREADY.draw(&mut model.random);
            model.agenda.set_by(Timer::Unready(pod), model.now + wait);
        });
    }

    /// Marks a pod of a dead node; where that can't be written, the next pass tries again.
    pub(super) fn unready_due(&mut self, pod: PodId) {
        if self.controllers_write() {
            self.set_pod_ready(pod, false);
        } else if let Some(node) = self.pods[pod.0].node
            && let Some(health) = &mut self.nodes[node.0].health
        {
            health.retry = true;
        }
    }

    /// `tryUpdateNodeHealth`: the node's condition after this pass; `None` where it could not be
    /// written.
    ///
    /// A changed status makes a new record, which does not know the lease that the old one knew:
    /// the next pass takes that old lease for a renewal and stamps again, with no heartbeat behind
    /// it. That is how the second hump comes about.
    fn try_update_health(&mut self, node: NodeId, seen: Object) -> Option<Ready> {
        let (now, grace) = (self.now, self.settings.grace);
        let known = self.nodes[node.0].health;
        let fresh = Health {
            stamp: now,
            heartbeat: seen.heartbeat,
            lease: None,
            retry: known.is_some_and(|known| known.retry),
        };
        let mut health = known.filter(|known| known.heartbeat == seen.heartbeat).unwrap_or(fresh);
        if known.and_then(|known| known.lease).is_none_or(|lease| lease < seen.renewed) {
            (health.lease, health.stamp) = (Some(seen.renewed), now);
        }
        self.nodes[node.0].health = Some(health);
        if now <= health.stamp.saturating_add(grace) || seen.ready == Ready::Unknown {
            return Some(seen.ready);
        }
        if !self.api_for_controllers() {
            return None;
        }
        let live = self.nodes[node.0].object;
        if (live.heartbeat, live.ready) != (seen.heartbeat, seen.ready) {
            // The write meets a conflict, and is tried again with the node as it is; the lease
            // still comes from the cache.
            return self.try_update_health(node, Object { renewed: seen.renewed, ..live });
        }
        self.set_node_ready(node, Ready::Unknown, "NodeStatusUnknown");
        if let Some(cached) = &mut self.nodes[node.0].cached {
            cached.ready = Ready::Unknown;
        }
        Some(Ready::Unknown)
    }

    /// `handleDisruption`: zones in which most nodes are not ready are evicted slowly or not at
    /// all; with all zones dead it is the controller that is cut off, and nothing is evicted.
    fn handle_disruption(&mut self) {
        let was_all = self.lifecycle.zones.iter().all(|zone| zone.health == ZoneHealth::Full);
        let is_all = (0..self.lifecycle.zones.len())
            .all(|zone| self.count(zone).health() == ZoneHealth::Full);
        match (was_all, is_all) {
            (true, true) => {}
            (false, true) => self.enter_full_disruption(),
            (true, false) => self.leave_full_disruption(),
            (false, false) => self.settle_zones(),
        }
    }

    /// A zone in another state gets that state's rate.
    fn settle_zones(&mut self) {
        for at in 0..self.lifecycle.zones.len() {
            let counted = self.count(at);
            let health = counted.health();
            let (now, zone) = (self.now, &mut self.lifecycle.zones[at]);
            if zone.health != health {
                zone.health = health;
                zone.swap_limiter(counted.interval(), now);
            }
        }
    }

    fn count(&self, zone: usize) -> ZoneCount {
        let mut count = ZoneCount::default();
        for node in self.nodes.iter().filter(|node| node.zone == zone) {
            let seen = node.cached.as_ref().unwrap_or(&node.object);
            if seen.ready == Ready::True { count.ready += 1 } else { count.not_ready += 1 }
        }
        count
    }

    fn enter_full_disruption(&mut self) {
        let (now, writes) = (self.now, self.api_for_controllers());
        for node in (0..self.nodes.len()).map(NodeId).filter(|_| writes) {
            self.mark_reachable(node);
        }
        for zone in &mut self.lifecycle.zones {
            zone.health = ZoneHealth::Full;
            zone.swap_limiter(NEVER, now);
        }
    }

    fn leave_full_disruption(&mut self) {
        for health in self.nodes.iter_mut().filter_map(|node| node.health.as_mut()) {
            health.stamp = self.now;
        }
        for at in 0..self.lifecycle.zones.len() {
            let counted = self.count(at);
            self.lifecycle.zones[at].health = counted.health();
            self.lifecycle.zones[at].swap_limiter(counted.interval(), self.now);
        }
        self.want_taint_pass();
    }

    /// Writes a node's condition Ready.
    pub(super) fn set_node_ready(&mut self, id: NodeId, ready: Ready, reason: &'static str) {
        let object = &mut self.nodes[id.0].object;
        (object.ready, object.reason, object.ready_since) = (ready, reason, self.now);
        self.emit(Change::NodeReady { node: id, ready, reason });
        self.want_no_schedule(id);
    }

    pub(super) fn want_no_schedule(&mut self, node: NodeId) {
        let wait = NO_SCHEDULE.draw(&mut self.random);
        self.agenda.set_by(Timer::NoSchedule(node), self.after(wait));
    }

    pub(super) fn no_schedule_due(&mut self, node: NodeId) {
        if self.controllers_write() {
            let ready = self.nodes[node.0].object.ready;
            self.set_taint(node, Taint::UnreachableNoSchedule, ready == Ready::Unknown);
            self.set_taint(node, Taint::NotReadyNoSchedule, ready == Ready::False);
        }
    }
}

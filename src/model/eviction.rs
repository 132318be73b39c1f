//! NoExecute taints, handed out at a rate by zone, and the taint manager, which deletes pods when
//! their toleration is over.

use super::agenda::{NEVER, Timer};
use super::change::{Change, Deletion, Taint};
use super::machine::Model;
use super::settings::{EVICTS, TAINT_PASS};
use super::topology::{NodeId, PodId};
use crate::timeline::Ready;

impl Model {
    /// `processTaintBaseEviction`: the taint that follows from a node's condition is asked for,
    /// swapped, or taken away.
    pub(super) fn evict_by(&mut self, node: NodeId, ready: Ready) {
        let object = &self.nodes[node.0].object;
        let (wrong, right) = match ready {
            Ready::True => return self.mark_reachable(node),
            Ready::False => (Taint::UnreachableNoExecute, Taint::NotReadyNoExecute),
            Ready::Unknown => (Taint::NotReadyNoExecute, Taint::UnreachableNoExecute),
        };
        if object.has(wrong) {
            self.set_taint(node, right, true);
            self.set_taint(node, wrong, false);
        } else if !object.has(right) {
            let zone = self.nodes[node.0].zone;
            self.lifecycle.zones[zone].add(node);
            self.want_taint_pass();
        }
    }

    pub(super) fn mark_reachable(&mut self, node: NodeId) {
        let zone = self.nodes[node.0].zone;
        self.lifecycle.zones[zone].remove(node);
        self.set_taint(node, Taint::UnreachableNoExecute, false);
        self.set_taint(node, Taint::NotReadyNoExecute, false);
    }

    /// The next tick of the NoExecute pass at which a zone's rate allows something.
    pub(super) fn want_taint_pass(&mut self) {
        let waiting = self
            .lifecycle
            .zones
            .iter()
            .filter(|zone| !zone.queue.is_empty() && zone.free_at != NEVER);
        if let Some(free) = waiting.map(|zone| zone.free_at).min() {
            let since = self.now.max(free).saturating_sub(self.lifecycle.taint_phase);
            self.agenda.set(
                Timer::TaintPass,
                self.lifecycle.taint_phase + (since / TAINT_PASS + 1) * TAINT_PASS,
            );
        }
    }

    pub(super) fn taint_pass_due(&mut self) {
        if self.controllers_write() {
            for zone in 0..self.lifecycle.zones.len() {
                self.taint_first(zone);
            }
        }
        self.want_taint_pass();
    }

    fn taint_first(&mut self, at: usize) {
        let zone = &mut self.lifecycle.zones[at];
        if zone.queue.is_empty() || self.now < zone.free_at {
            return;
        }
        zone.free_at = self.now + zone.interval;
        let node = zone.queue.remove(0);
        let taint = match self.nodes[node.0].object.ready {
            Ready::True => return,
            Ready::False => Taint::NotReadyNoExecute,
            Ready::Unknown => Taint::UnreachableNoExecute,
        };
        self.set_taint(node, taint, true);
    }

    /// Writes a taint, where it is another, and lets the taint manager see it.
    pub(super) fn set_taint(&mut self, node: NodeId, taint: Taint, present: bool) {
        let object = &mut self.nodes[node.0].object;
        if object.has(taint) == present {
            return;
        }
        object.taints ^= taint.bit();
        self.emit(Change::Taint { node, taint, present });
        match taint {
            Taint::NotReadyNoSchedule | Taint::UnreachableNoSchedule if !present => {
                self.want_binds()
            }
            Taint::NotReadyNoSchedule | Taint::UnreachableNoSchedule => {}
            Taint::NotReadyNoExecute | Taint::UnreachableNoExecute => {
                self.with_pods_on(node, Model::tolerate)
            }
        }
    }

    /// The taint manager's timer of a pod: set when the node is tainted, kept when it runs, gone
    /// with the taint.
    pub(super) fn tolerate(&mut self, id: PodId) {
        let pod = &self.pods[id.0];
        let Some(node) = pod.node else { return };
        let has = |taint| self.nodes[node.0].object.has(taint);
        let tolerates = [
            has(Taint::NotReadyNoExecute).then_some(pod.tolerates_not_ready),
            has(Taint::UnreachableNoExecute).then_some(pod.tolerates_unreachable),
            self.tolerates_others(pod, node),
        ];
        let Some(tolerates) = tolerates.into_iter().flatten().min() else {
            return self.agenda.clear(Timer::Evict(id));
        };
        if let Some(tolerated) = tolerates.nanos().filter(|_| pod.active()) {
            let work = EVICTS.draw(&mut self.random);
            self.agenda.set_by(Timer::Evict(id), self.after(tolerated).saturating_add(work));
        }
    }

    pub(super) fn evict_due(&mut self, pod: PodId) {
        if self.controllers_write() {
            self.delete_pod(pod, Deletion::Eviction, false);
        }
    }
}

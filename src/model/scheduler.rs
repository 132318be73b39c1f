//! The scheduler, as far as it matters here: which node a pod may run on, and which of them has the
//! fewest of its owner's pods.

use super::action::Component;
use super::agenda::Timer;
use super::change::Taint;
use super::cluster::SCHEDULER;
use super::machine::Model;
use super::settings::SCHEDULING;
use super::topology::{NodeId, PodId, Spread};

/// The kubelet's `maxPods`, by default.
const PODS_PER_NODE: usize = 110;

impl Model {
    /// The scheduler has something to look at.
    pub(super) fn want_bind(&mut self, pod: PodId) {
        let wait = SCHEDULING.draw(&mut self.random);
        self.agenda.set_by(Timer::Bind(pod), self.after(wait));
    }

    /// A node may take pods again: what found no place is tried again.
    pub(super) fn want_binds(&mut self) {
        for pod in 0..self.pods.len() {
            if self.pods[pod].node.is_none() && self.pods[pod].active() {
                self.want_bind(PodId(pod));
            }
        }
    }

    pub(super) fn cordon(&mut self, node: NodeId, cordoned: bool) {
        let was = std::mem::replace(&mut self.nodes[node.0].cordoned, cordoned);
        if was && !cordoned {
            self.want_binds();
        }
    }

    /// A pod of this node is gone: where it was full there is a place again.
    pub(super) fn make_room(&mut self, node: Option<NodeId>) {
        let Some(node) = node else { return };
        self.nodes[node.0].pods -= 1;
        if self.nodes[node.0].pods + 1 == PODS_PER_NODE {
            self.want_binds();
        }
    }

    pub(super) fn bind_due(&mut self, pod: PodId) {
        let schedules =
            self.leading(SCHEDULER).is_some_and(|node| self.serves(node, Component::Scheduler));
        if schedules && let Some(node) = self.place(pod) {
            self.bind(pod, node);
        }
    }

    fn place(&self, id: PodId) -> Option<NodeId> {
        let pod = &self.pods[id.0];
        let fits = (0..self.nodes.len())
            .map(NodeId)
            .filter(|node| pod.may_run_on(*node) && self.takes(*node, id));
        let counted = fits.map(|node| (self.own_on(id, node), node));
        counted
            .filter(|(own, _)| pod.spread == Spread::Prefer || *own == 0)
            .min()
            .map(|(_, node)| node)
    }

    fn takes(&self, node: NodeId, pod: PodId) -> bool {
        let there = &self.nodes[node.0];
        let kept_off = Taint::ALL
            .iter()
            .any(|taint| taint.effect() == "NoSchedule" && there.object.has(*taint));
        !kept_off
            && !there.cordoned
            && there.pods < PODS_PER_NODE
            && (!there.control_plane_taint || self.pods[pod.0].tolerates_control_plane)
            && !self.is_kept_off(&self.pods[pod.0], node)
    }

    fn own_on(&self, pod: PodId, node: NodeId) -> usize {
        let owner = self.pods[pod.0].owner;
        self.pods
            .iter()
            .filter(|other| {
                owner.is_some()
                    && other.owner == owner
                    && other.node == Some(node)
                    && other.active()
            })
            .count()
    }
}

//! Taints that somebody sets on a node through the API. The node lifecycle controller's own are in
//! `eviction.rs`.

use super::action::Action;
use super::agenda::Timer;
use super::machine::Model;
use super::pod::Pod;
use super::pod_spec::tolerated;
use super::settings::POD_GC;
use super::topology::{NodeId, PodId, TaintId, Tolerates};
use crate::timeline::{Ready, Taint, TaintEffect};

impl Model {
    /// The number of a taint; a new one for a taint that it has not seen yet.
    pub(crate) fn taint_id(&mut self, taint: &Taint) -> TaintId {
        let known = self.taints.iter().position(|known| known == taint);
        TaintId(known.unwrap_or_else(|| {
            self.taints.push(taint.clone());
            self.taints.len() - 1
        }))
    }

    /// What makes a node's taints these.
    pub(crate) fn taints_to(&self, node: NodeId, wanted: &[TaintId]) -> Vec<Action> {
        let has = &self.nodes[node.0].taints;
        let change = |taint: &TaintId, present| Action::Taint { node, taint: *taint, present };
        let gone = has.iter().filter(|taint| !wanted.contains(taint)).map(|it| change(it, false));
        let new = wanted.iter().filter(|taint| !has.contains(taint)).map(|it| change(it, true));
        gone.chain(new).collect()
    }

    pub(super) fn set_other_taint(&mut self, node: NodeId, id: TaintId, present: bool) {
        let taints = &mut self.nodes[node.0].taints;
        match taints.iter().position(|taint| *taint == id) {
            None if present => taints.push(id),
            Some(at) if !present => drop(taints.remove(at)),
            _ => return,
        }
        if self.taints[id.0].evicts() {
            self.with_pods_on(node, Model::tolerate);
        }
        match present {
            true => self.want_pod_gc(),
            false => self.want_binds(),
        }
    }

    /// Whether one of a node's other taints keeps a new pod away.
    pub(super) fn is_kept_off(&self, pod: &Pod, node: NodeId) -> bool {
        self.other_taints(node).any(|taint| {
            taint.effect != TaintEffect::PreferNoSchedule
                && tolerated(&pod.tolerations, taint).is_none()
        })
    }

    /// How long a pod tolerates those of a node's other taints that evict; `None`: there is none.
    pub(super) fn tolerates_others(&self, pod: &Pod, node: NodeId) -> Option<Tolerates> {
        let evicting = self.other_taints(node).filter(|taint| taint.evicts());
        evicting
            .map(|taint| tolerated(&pod.tolerations, taint).unwrap_or(Tolerates::seconds(0)))
            .min()
    }

    fn other_taints(&self, node: NodeId) -> impl Iterator<Item = &Taint> {
        self.nodes[node.0].taints.iter().map(|id| &self.taints[id.0])
    }

    /// Whether an action is not done yet: a node that is Ready is not taken out of service.
    pub(super) fn waits(&self, action: Action) -> bool {
        let Action::Taint { node, taint, present: true } = action else { return false };
        self.taints[taint.0].is_out_of_service() && self.nodes[node.0].object.ready == Ready::True
    }

    fn out_of_service(&self) -> Vec<NodeId> {
        let is_out = |node: &NodeId| self.other_taints(*node).any(Taint::is_out_of_service);
        (0..self.nodes.len()).map(NodeId).filter(is_out).collect()
    }

    /// The pod garbage collector has something to look for, at its next look.
    fn want_pod_gc(&mut self) {
        if !self.out_of_service().is_empty() && !self.agenda.is_set(Timer::PodGc) {
            let wait = self.random.below(POD_GC);
            self.agenda.set(Timer::PodGc, self.after(wait));
        }
    }

    /// `gcTerminating` (pkg/controller/podgc/gc_controller.go): pods that end on a node that is out
    /// of service and not ready are removed without their kubelet.
    pub(super) fn pod_gc_due(&mut self) {
        let out_of_service = self.out_of_service();
        if !out_of_service.is_empty() {
            self.agenda.set(Timer::PodGc, self.after(POD_GC));
        }
        for node in out_of_service {
            if !self.controllers_write() || self.nodes[node.0].object.ready == Ready::True {
                continue;
            }
            self.with_pods_on(node, |model, pod: PodId| {
                if model.pods[pod.0].terminating {
                    model.remove_pod(pod);
                }
            });
        }
    }
}

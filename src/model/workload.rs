//! Pods and the ReplicaSets that own them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::agenda::Timer;
use super::change::{Backend, Change, Deletion};
use super::machine::{Model, nanos};
use super::pod::{Container, Owner, Phase, Pod};
use super::settings::{Nanos, REPLICAS};
use super::topology::{Controller, NodeId, OwnerId, PodId, PodSpec, Tolerates};

/// So many pods a ReplicaSet's controller makes or deletes at a time (pkg/controller/replicaset
/// BurstReplicas).
const BURST_REPLICAS: usize = 500;

impl Model {
    pub(super) fn add_owner(
        &mut self,
        controller: Controller,
        template: PodSpec,
        replicas: usize,
    ) -> OwnerId {
        let owner = OwnerId(self.owners.len());
        self.owners.push(Owner { template, controller, replicas, deleted: false });
        self.agenda.add_owner();
        self.want_owner(owner);
        owner
    }

    pub(super) fn scale(&mut self, owner: OwnerId, replicas: usize) {
        self.owners[owner.0].replicas = replicas;
        self.want_owner(owner);
    }

    pub(super) fn delete_owner(&mut self, owner: OwnerId) {
        self.owners[owner.0].deleted = true;
        self.scale(owner, 0);
    }

    /// The ReplicaSet controller has something to look at.
    pub(super) fn want_owner(&mut self, owner: OwnerId) {
        let wait = REPLICAS.draw(&mut self.random);
        self.agenda.set_by(Timer::Owner(owner), self.after(wait));
    }

    pub(super) fn owner_due(&mut self, id: OwnerId) {
        if !self.controllers_write() {
            return;
        }
        let Owner { replicas, controller, .. } = self.owners[id.0];
        // The name of a StatefulSet's pod is taken until the pod is gone.
        let counts = |pod: &Pod| match controller {
            Controller::StatefulSet => !pod.gone(),
            _ => pod.active(),
        };
        let active = self.pods.iter().filter(|pod| pod.owner == Some(id) && counts(pod)).count();
        for _ in (active..replicas).take(BURST_REPLICAS) {
            let template = self.owners[id.0].template.clone();
            self.add_pod(Some(id), template);
        }
        for _ in (replicas..active).take(BURST_REPLICAS) {
            if let Some(pod) = self.first_to_delete(id) {
                self.delete_pod(pod, Deletion::Owner, false);
            }
        }
        if active.abs_diff(replicas) > BURST_REPLICAS {
            self.want_owner(id);
        }
    }

    /// The pod that is given up first. Of a ReplicaSet: not bound before not ready before ready,
    /// the youngest of them; of a StatefulSet: the last.
    fn first_to_delete(&self, owner: OwnerId) -> Option<PodId> {
        let by_ordinal = self.owners[owner.0].controller == Controller::StatefulSet;
        let own = self
            .pods
            .iter()
            .enumerate()
            .filter(|(_, pod)| pod.owner == Some(owner) && pod.active());
        own.min_by_key(|(at, pod)| match by_ordinal {
            true => (false, false, Reverse(pod.ordinal)),
            false => (pod.node.is_some(), pod.ready, Reverse(*at)),
        })
        .map(|(at, _)| PodId(at))
    }

    fn free_ordinal(&self, owner: OwnerId) -> usize {
        if self.owners[owner.0].controller != Controller::StatefulSet {
            return 0;
        }
        let own = self.pods.iter().filter(|pod| pod.owner == Some(owner) && !pod.gone());
        let taken: BTreeSet<usize> = own.map(|pod| pod.ordinal).collect();
        (0..).find(|ordinal| !taken.contains(ordinal)).unwrap_or_default()
    }

    pub(super) fn add_pod(&mut self, owner: Option<OwnerId>, spec: PodSpec) -> PodId {
        let id = PodId(self.pods.len());
        self.pods.push(Pod {
            owner,
            ordinal: owner.map_or(0, |owner| self.free_ordinal(owner)),
            node: None,
            phase: Phase::Pending,
            ready: false,
            terminating: false,
            endpoint: None,
            container: Container::Waiting,
            backend: Backend::Refuses,
            starts_in: nanos(spec.starts_in),
            stops_in: nanos(spec.stops_in),
            tolerates_not_ready: spec.tolerates_not_ready,
            tolerates_unreachable: spec.tolerates_unreachable,
            tolerates_control_plane: spec.tolerates_control_plane,
            tolerations: spec.tolerations,
            spread: spec.spread,
            only_on: spec.only_on,
            routed: vec![false; self.nodes.len()],
        });
        self.agenda.add_pod();
        self.emit(Change::PodCreated { pod: id, owner });
        match spec.pinned {
            Some(node) => self.bind(id, node),
            None => self.want_bind(id),
        }
        id
    }

    /// A pod of an owner that already runs and is ready, everywhere known: for a cluster that
    /// begins with its workload in place.
    pub(super) fn settle_pod(&mut self, id: PodId, node: NodeId) {
        self.bind(id, node);
        self.agenda.clear(Timer::Bind(id));
        self.agenda.clear(Timer::Container(id));
        let pod = &mut self.pods[id.0];
        (pod.phase, pod.container, pod.backend) =
            (Phase::Running, Container::Running, Backend::Answers);
        (pod.ready, pod.endpoint) = (true, Some(true));
        pod.routed.fill(true);
    }

    pub(super) fn bind(&mut self, pod: PodId, node: NodeId) {
        self.pods[pod.0].node = Some(node);
        self.nodes[node.0].pods += 1;
        self.emit(Change::PodBound { pod, node });
        self.work_on(pod);
        self.tolerate(pod);
    }

    /// Deletes a pod; one that runs nowhere, or by force, is gone immediately.
    pub(super) fn delete_pod(&mut self, id: PodId, cause: Deletion, force: bool) {
        if self.pods[id.0].gone() || (self.pods[id.0].terminating && !force) {
            return;
        }
        if !self.pods[id.0].terminating {
            self.pods[id.0].terminating = true;
            self.emit(Change::PodTerminating { pod: id, cause });
        }
        self.agenda.clear(Timer::Evict(id));
        self.agenda.clear(Timer::Bind(id));
        if force || self.pods[id.0].node.is_none() {
            return self.remove_pod(id);
        }
        self.want_endpoint(id);
        if let Some(owner) = self.pods[id.0].owner {
            self.want_owner(owner);
        }
        self.work_on(id);
    }

    pub(super) fn remove_pod(&mut self, id: PodId) {
        let pod = &mut self.pods[id.0];
        if pod.gone() {
            return;
        }
        (pod.phase, pod.ready) = (Phase::Gone, false);
        for timer in [
            Timer::Container(id),
            Timer::Unready(id),
            Timer::Report(id),
            Timer::Evict(id),
            Timer::Bind(id),
        ] {
            self.agenda.clear(timer);
        }
        let node = pod.node;
        self.emit(Change::PodGone { pod: id });
        self.make_room(node);
        self.want_endpoint(id);
        if let Some(owner) = self.pods[id.0].owner {
            self.want_owner(owner);
        }
    }

    /// Writes a pod's condition Ready.
    pub(super) fn set_pod_ready(&mut self, id: PodId, ready: bool) {
        if self.pods[id.0].ready != ready {
            self.pods[id.0].ready = ready;
            self.emit(Change::PodReady { pod: id, ready });
            self.want_endpoint(id);
        }
    }
}

impl Tolerates {
    pub(super) fn nanos(self) -> Option<Nanos> {
        match self {
            Tolerates::For(length) => Some(nanos(length)),
            Tolerates::Forever => None,
        }
    }

    pub fn seconds(seconds: u64) -> Self {
        Tolerates::For(Duration::from_secs(seconds))
    }
}

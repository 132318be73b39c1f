//! The kubelet: its two heartbeats, and what it says of its pods.
//!
//! It looks at its node's status every `nodeStatusUpdateFrequency` and posts it when something
//! changed or the report frequency has gone by; it renews its lease on a loop of its own. Either
//! call fails immediately while no API server answers, and hangs while the cable is cut. A pod's
//! status is written when it changes, and compared with the API's every ten seconds: so long may a
//! pod that the controller marked stay unready after its node has come back.

use super::action::Component;
use super::agenda::Timer;
use super::change::{Change, Power};
use super::detection::Heartbeat;
use super::machine::Model;
use super::node::ReadyCondition;
use super::pod::{Container, Phase};
use super::settings::{
    BOOTED_PODS, JITTER, KUBELET_STARTED_PODS, LEASE_RETRY_FIRST, LEASE_RETRY_MOST, Nanos,
    POD_STATUS_SYNC, STATUS_DELAY, jittered,
};
use super::topology::{NodeId, PodId};

impl Model {
    /// Puts a healthy kubelet's loops at random phases.
    pub(super) fn begin_kubelet(&mut self, node: NodeId) {
        let (update, report, renewal) =
            (self.settings.status_update, self.settings.status_report, self.settings.lease_renewal);
        let next = self.random.below(update);
        self.agenda.set(Timer::Status(node), next);
        let next = self.random.below(renewal);
        self.agenda.set(Timer::Lease(node), next);
        let next = self.random.below(POD_STATUS_SYNC);
        self.agenda.set(Timer::PodSync(node), next);
        // Reports came at whole steps of the status loop; the last one some time within a report
        // interval before the beginning.
        let since = self.random.below(report.max(update));
        let kubelet = &mut self.nodes[node.0].kubelet;
        kubelet.reported = Some(0);
        kubelet.report_after = if report > update { report - since } else { 0 };
    }

    pub(super) fn status_due(&mut self, node: NodeId) {
        let wait = jittered(self.settings.status_update, JITTER, &mut self.random);
        self.agenda.set(Timer::Status(node), self.after(wait));
        if self.nodes[node.0].kubelet_works() {
            self.post_status(node);
        }
    }

    fn post_status(&mut self, id: NodeId) {
        let report = self.settings.status_report;
        let (now, heartbeat) = (self.now, (self.now + self.wall) / 1_000_000_000);
        let node = &mut self.nodes[id.0];
        let ReadyCondition { ready, reason } = node.kubelet.ready();
        let changed = node.object.ready != ready;
        if !changed
            && node.kubelet.reported.is_some_and(|last| now < last + node.kubelet.report_after)
        {
            return;
        }
        let fresh = changed || node.kubelet.reported.is_none();
        let delay = if fresh { STATUS_DELAY * (2.0 * self.random.share() - 1.0) } else { 0.0 };
        node.kubelet.report_after = (report as f64 * (1.0 + delay)) as Nanos;
        node.kubelet.reported = Some(now);
        node.object.heartbeat = heartbeat;
        node.object.posted = now;
        if changed {
            self.set_node_ready(id, ready, reason);
        }
        self.emit(Change::Beat { node: id, heartbeat: Heartbeat::Status });
    }

    pub(super) fn lease_due(&mut self, id: NodeId) {
        let (now, renewal) = (self.now, self.settings.lease_renewal);
        let node = &mut self.nodes[id.0];
        if !node.kubelet_works() {
            let wait = node.kubelet.lease_retry;
            node.kubelet.lease_retry = (2 * wait).min(LEASE_RETRY_MOST);
            self.agenda.set(Timer::Lease(id), now + wait);
            return;
        }
        node.kubelet.lease_retry = LEASE_RETRY_FIRST;
        node.object.renewed = now;
        let wait = jittered(renewal, JITTER, &mut self.random);
        self.agenda.set(Timer::Lease(id), self.after(wait));
        self.emit(Change::Beat { node: id, heartbeat: Heartbeat::Lease });
    }

    /// The kubelet is to run, or to end: now it does.
    pub(super) fn kubelet_due(&mut self, node: NodeId) {
        let kubelet = &self.nodes[node.0].kubelet;
        match (kubelet.wanted, kubelet.running) {
            (true, false) => self.start_kubelet(node),
            (false, true) => self.end_kubelet(node),
            _ => {}
        }
    }

    pub(super) fn end_kubelet(&mut self, node: NodeId) {
        self.nodes[node.0].kubelet.running = false;
        self.silence(node);
        self.agenda.clear(Timer::Kubelet(node));
    }

    /// Its loops stand still: it has ended, is frozen, or hangs in a call.
    pub(super) fn silence(&mut self, node: NodeId) {
        self.agenda.clear(Timer::Status(node));
        self.agenda.clear(Timer::Lease(node));
        self.agenda.clear(Timer::PodSync(node));
    }

    pub(super) fn start_kubelet(&mut self, node: NodeId) {
        let kubelet = &mut self.nodes[node.0].kubelet;
        (kubelet.running, kubelet.wanted, kubelet.reported) = (true, true, None);
        self.resume_kubelet(node, POD_STATUS_SYNC);
        for component in Component::ALL {
            self.restart_component(node, component);
        }
        let first = KUBELET_STARTED_PODS.draw(&mut self.random);
        self.with_pods_on(node, |model, pod| {
            model.agenda.set(Timer::Report(pod), model.now + first)
        });
    }

    /// Its loops go on, immediately; the comparison of its pods' status comes within so long.
    pub(super) fn resume_kubelet(&mut self, node: NodeId, pods_within: Nanos) {
        let now = self.now;
        self.agenda.set(Timer::Status(node), now);
        self.agenda.set(Timer::Lease(node), now);
        let pods = self.random.below(pods_within);
        self.agenda.set(Timer::PodSync(node), now + pods);
        self.with_pods_on(node, Model::work_on);
    }

    /// What a kubelet has to do for a pod of its node now. It knows its pods from the API alone.
    pub(super) fn work_on(&mut self, id: PodId) {
        let pod = &self.pods[id.0];
        if !pod.node.is_some_and(|node| self.nodes[node.0].kubelet_works()) {
            return;
        }
        let wait = match pod.container {
            Container::Running if pod.terminating => pod.stops_in,
            Container::Running => return,
            _ if pod.terminating => return self.agenda.set_by(Timer::Report(id), self.now),
            _ if pod.phase == Phase::Running => BOOTED_PODS.draw(&mut self.random),
            _ => pod.starts_in,
        };
        self.agenda.set_by(Timer::Container(id), self.now + wait);
    }

    pub(super) fn pod_sync_due(&mut self, node: NodeId) {
        self.agenda.set(Timer::PodSync(node), self.after(POD_STATUS_SYNC));
        self.with_pods_on(node, Model::report);
    }

    pub(super) fn report_due(&mut self, pod: PodId) {
        self.report(pod);
    }

    /// Writes a pod's status as its kubelet sees it, where the API has another. What fails is
    /// written by the next comparison.
    ///
    /// In a shutdown the kubelet has ended before it looks at its containers again (it does so once
    /// a second): its pods' last word is that they are ready, as recorded.
    pub(super) fn report(&mut self, id: PodId) {
        let pod = &self.pods[id.0];
        let speaks = |node: NodeId| {
            self.nodes[node.0].kubelet_works() && self.nodes[node.0].power == Power::On
        };
        if !pod.node.is_some_and(speaks) {
            return;
        }
        let runs = pod.container == Container::Running;
        if pod.terminating && !runs {
            return self.remove_pod(id);
        }
        if runs && pod.phase == Phase::Pending {
            self.pods[id.0].phase = Phase::Running;
            self.emit(Change::PodStarted { pod: id });
        }
        self.set_pod_ready(id, runs);
    }
}

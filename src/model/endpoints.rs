//! The endpoint slice controller: what slices show of a pod. A pod that is not ready stays in its
//! slice, as `ready: false`.

use super::agenda::Timer;
use super::change::Change;
use super::machine::Model;
use super::pod::{Phase, Pod};
use super::settings::ENDPOINTS;
use super::topology::{NodeId, PodId};

/// What the slices should show.
fn wanted(pod: &Pod) -> Option<bool> {
    match pod.phase {
        Phase::Running => Some(pod.ready && !pod.terminating),
        Phase::Pending | Phase::Gone => None,
    }
}

impl Model {
    /// The controller has something to look at.
    pub(super) fn want_endpoint(&mut self, pod: PodId) {
        let wait = ENDPOINTS.draw(&mut self.random);
        self.agenda.set_by(Timer::Endpoint(pod), self.after(wait));
    }

    /// A controller that comes back looks at everything.
    pub(super) fn want_endpoints(&mut self) {
        for pod in 0..self.pods.len() {
            if wanted(&self.pods[pod]) != self.pods[pod].endpoint {
                self.want_endpoint(PodId(pod));
            }
        }
    }

    pub(super) fn endpoint_due(&mut self, id: PodId) {
        let ready = wanted(&self.pods[id.0]);
        if !self.controllers_write() || self.pods[id.0].endpoint == ready {
            return;
        }
        self.pods[id.0].endpoint = ready;
        self.emit(Change::Endpoint { pod: id, ready });
        for node in 0..self.nodes.len() {
            self.want_proxy(NodeId(node));
        }
    }
}

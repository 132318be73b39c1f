//! kube-proxy: each node's own, late by its sync, with what it last knew while the API is away.

use super::agenda::Timer;
use super::change::Change;
use super::machine::Model;
use super::settings::{PROXY_MIN_SYNC, PROXY_WORK};
use super::topology::NodeId;

impl Model {
    /// A kube-proxy has seen a change: it acts immediately, but not sooner than the least interval
    /// after its last time.
    pub(super) fn want_proxy(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        if !node.watching || !node.runs() {
            return;
        }
        let earliest = node.proxy_synced.map_or(0, |last| last + PROXY_MIN_SYNC);
        let work = PROXY_WORK.draw(&mut self.random);
        self.agenda.set_by(Timer::Proxy(id), self.now.max(earliest) + work);
    }

    pub(super) fn proxy_due(&mut self, id: NodeId) {
        let node = &mut self.nodes[id.0];
        if !node.watching || !node.runs() {
            return;
        }
        node.proxy_synced = Some(self.now);
        for pod in &mut self.pods {
            pod.routed[id.0] = pod.endpoint == Some(true);
        }
        self.emit(Change::ProxySynced { node: id });
    }

    /// Its watch is connected again, and brings everything anew.
    pub(super) fn watching_due(&mut self, id: NodeId) {
        self.nodes[id.0].watching = true;
        self.want_proxy(id);
    }
}

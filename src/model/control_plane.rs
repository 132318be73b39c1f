//! The control plane's parts: which run, which serve, and who is cut off when they do not.
//!
//! kubeadm's stacked control plane: each part talks to the API server of its own node, which talks
//! to the etcd member of its own node, which needs a quorum. Kubelets and kube-proxies reach any
//! API server that the network leads to.

use super::action::Component;
use super::agenda::{NEVER, Timer};
use super::change::{Change, Power};
use super::cluster::{CONTROLLER_MANAGER, Etcd, SCHEDULER, electing};
use super::machine::Model;
use super::node::{Cut, Node, Process};
use super::settings::{
    BOOTED_PODS, COMPONENT_START, CONNECTION_GIVEN_UP, ETCD_ELECTION, Nanos, RECONNECT_MOST,
    RELIST_FIRST, RELIST_MOST, RETRY, THAW,
};
use super::topology::{NodeId, OwnerId};

impl Model {
    pub(super) fn begin(&mut self) {
        for node in (0..self.nodes.len()).map(NodeId) {
            self.begin_kubelet(node);
        }
        self.begin_node_lifecycle();
        self.begin_election(CONTROLLER_MANAGER);
        self.begin_election(SCHEDULER);
        let members = self.members();
        self.etcd.leader = members.get(self.random.below(members.len() as u64) as usize).copied();
        self.etcd.controllers_served = true;
        self.refresh();
    }

    /// Whether a part's process runs.
    pub(super) fn lives(&self, node: NodeId, component: Component) -> bool {
        let there = &self.nodes[node.0];
        there.runs()
            && there
                .plane
                .as_ref()
                .is_some_and(|p| p.up[component.index()] && !p.frozen[component.index()])
    }

    /// The etcd members that form a quorum with one another.
    fn members(&self) -> Vec<NodeId> {
        let all = self.control_planes();
        let joins = |node: &NodeId| {
            self.lives(*node, Component::Etcd) && (all.len() == 1 || self.nodes[node.0].connected)
        };
        let joined: Vec<_> = all.iter().copied().filter(joins).collect();
        if 2 * joined.len() > all.len() { joined } else { Vec::new() }
    }

    /// Whether the controllers run, and have an API server to write to.
    pub(super) fn controllers_write(&self) -> bool {
        self.leading(CONTROLLER_MANAGER)
            .is_some_and(|node| self.serves(node, Component::ControllerManager))
    }

    /// Whether the leading controller manager's API server serves.
    pub(super) fn api_for_controllers(&self) -> bool {
        self.leading(CONTROLLER_MANAGER).is_some_and(|node| self.serves(node, Component::ApiServer))
    }

    /// Finds out anew who serves and who is cut off, after any action, and lets the rest follow.
    pub(super) fn refresh(&mut self) {
        self.refresh_etcd();
        let members = if self.etcd.leader.is_some() { self.members() } else { Vec::new() };
        for node in (0..self.nodes.len()).map(NodeId) {
            self.refresh_served(node, &members);
        }
        self.refresh_controllers();
        for node in (0..self.nodes.len()).map(NodeId) {
            self.refresh_reach(node);
        }
    }

    fn refresh_etcd(&mut self) {
        let members = self.members();
        // One that is alone, and frozen, has nobody who could lead instead.
        let is_alone = self.control_planes().len() == 1;
        let stays = |leader| {
            members.contains(&leader) || is_alone && self.is_frozen(leader, Component::Etcd)
        };
        if self.etcd.leader.is_some_and(|leader| !stays(leader)) {
            self.etcd.leader = None;
        }
        if self.etcd.leader.is_some() || members.is_empty() {
            self.agenda.clear(Timer::Etcd);
        } else if !self.agenda.is_set(Timer::Etcd) {
            let elects = ETCD_ELECTION.draw(&mut self.random);
            self.agenda.set(Timer::Etcd, self.after(elects));
        }
    }

    pub(super) fn etcd_due(&mut self) {
        let members = self.members();
        self.etcd.leader = members.get(self.random.below(members.len() as u64) as usize).copied();
        self.refresh();
    }

    fn refresh_served(&mut self, node: NodeId, members: &[NodeId]) {
        if self.nodes[node.0].plane.is_none() {
            return;
        }
        let etcd = members.contains(&node);
        let api = etcd && self.lives(node, Component::ApiServer);
        let leads = |which| self.leading(which) == Some(node);
        let serves = [
            api,
            etcd,
            api && self.lives(node, Component::Scheduler) && leads(SCHEDULER),
            api && self.lives(node, Component::ControllerManager) && leads(CONTROLLER_MANAGER),
        ];
        for component in Component::ALL {
            let at = component.index();
            let Some(plane) = &mut self.nodes[node.0].plane else { return };
            if std::mem::replace(&mut plane.serves[at], serves[at]) != serves[at] {
                self.emit(Change::Serves { node, component, serves: serves[at] });
            }
        }
    }

    /// The controllers lose their API server, or have it again: their watches take a while to
    /// notice.
    fn refresh_controllers(&mut self) {
        let lives = self
            .leading(CONTROLLER_MANAGER)
            .is_some_and(|node| self.lives(node, Component::ControllerManager));
        if !lives {
            // One that is frozen finds afterwards what its watches have brought meanwhile.
            return self.end_node_lifecycle();
        }
        if !self.agenda.is_set(Timer::Pass) {
            self.agenda.set(Timer::Pass, self.now);
            self.kick_controllers();
        }
        let served = self.api_for_controllers();
        match (std::mem::replace(&mut self.etcd.controllers_served, served), served) {
            (true, false) => {
                self.etcd.lost_at = self.now;
                self.etcd.lost_silently = self
                    .leading(CONTROLLER_MANAGER)
                    .is_some_and(|node| self.is_frozen(node, Component::ApiServer));
                self.agenda.clear(Timer::Informers);
                self.blind_node_lifecycle();
            }
            (false, true) => {
                let Etcd { lost_at, lost_silently, .. } = self.etcd;
                let again = match lost_silently {
                    true => self.goes_on(lost_at),
                    false => self.reconnects(lost_at),
                };
                self.agenda.set(Timer::Informers, again);
                self.kick_controllers();
            }
            _ => {}
        }
    }

    /// When a watch that was lost then is connected again, now that it can be: it tries with
    /// growing waits.
    fn reconnects(&mut self, lost_at: Nanos) -> Nanos {
        let (mut tried, mut wait) = (lost_at, RELIST_FIRST);
        while tried < self.now {
            tried += wait + self.random.below(wait);
            wait = (2 * wait).min(RELIST_MOST);
        }
        tried
    }

    /// When a watch of an API server that was frozen since then brings something again, now that
    /// the server runs: immediately, unless the client has given the connection up.
    fn goes_on(&mut self, frozen_at: Nanos) -> Nanos {
        let given_up = frozen_at + CONNECTION_GIVEN_UP;
        if self.now < given_up { self.now } else { self.reconnects(given_up) }
    }

    /// Whether a part is there, and does nothing.
    fn is_frozen(&self, node: NodeId, component: Component) -> bool {
        let there = &self.nodes[node.0];
        let process = there.plane.as_ref().map(|plane| plane.process(component));
        there.power.is_up()
            && (process == Some(Process::Frozen) || there.frozen && process == Some(Process::Runs))
    }

    /// Controllers look at everything anew.
    pub(super) fn kick_controllers(&mut self) {
        self.want_endpoints();
        self.want_binds();
        (0..self.owners.len()).for_each(|owner| self.want_owner(OwnerId(owner)));
        (0..self.nodes.len()).for_each(|node| self.want_no_schedule(NodeId(node)));
        self.want_taint_pass();
    }

    fn refresh_reach(&mut self, id: NodeId) {
        let node = &self.nodes[id.0];
        let serving = |at: usize, other: &Node| {
            let serves = other
                .plane
                .as_ref()
                .is_some_and(|plane| plane.serves[Component::ApiServer.index()]);
            serves && (at == id.0 || (other.connected && node.connected && !node.api_cut))
        };
        let reaches =
            node.runs() && self.nodes.iter().enumerate().any(|(at, other)| serving(at, other));
        match (node.reaches, reaches) {
            (true, false) => self.cut_off(id),
            (false, true) => self.come_back(id),
            _ => {}
        }
        let cut = self.cut_by(id);
        let node = &mut self.nodes[id.0];
        node.reaches = reaches;
        if !reaches {
            if node.cut == Some(Cut::Silence) && cut > Cut::Silence {
                // Only now are connections lost.
                node.lost_at = self.now;
            }
            node.cut = node.cut.max(Some(cut));
            if cut > Cut::Api {
                self.silence(id);
            }
        }
    }

    fn cut_by(&self, node: NodeId) -> Cut {
        let node = &self.nodes[node.0];
        match node.power {
            Power::Off | Power::Booting => Cut::Off,
            _ if node.frozen => Cut::Frozen,
            _ if !node.connected || node.api_cut => Cut::Cable,
            _ if self.is_api_frozen() => Cut::Silence,
            _ => Cut::Api,
        }
    }

    fn is_api_frozen(&self) -> bool {
        (0..self.nodes.len()).any(|node| self.is_frozen(NodeId(node), Component::ApiServer))
    }

    fn cut_off(&mut self, id: NodeId) {
        self.agenda.clear(Timer::Online(id));
        self.agenda.clear(Timer::Watching(id));
        let node = &mut self.nodes[id.0];
        (node.online, node.watching, node.lost_at, node.cut) = (false, false, self.now, None);
    }

    fn come_back(&mut self, id: NodeId) {
        let (now, lost_at) = (self.now, self.nodes[id.0].lost_at);
        let (online, watching) = match self.nodes[id.0].cut {
            Some(Cut::Off) => (now, now + BOOTED_PODS.draw(&mut self.random)),
            Some(Cut::Frozen) => {
                let unfrozen = now + THAW.draw(&mut self.random);
                (unfrozen, unfrozen)
            }
            Some(Cut::Cable) => {
                let again = now + self.random.below((now - lost_at).min(RECONNECT_MOST));
                (again, again)
            }
            Some(Cut::Silence) => (now, self.goes_on(lost_at)),
            Some(Cut::Api) | None => (now, self.reconnects(lost_at)),
        };
        self.agenda.set(Timer::Watching(id), watching);
        self.agenda.set(Timer::Online(id), online);
        if online == now {
            self.agenda.clear(Timer::Online(id));
            self.online_due(id);
        }
    }

    pub(super) fn hold_component(&mut self, node: NodeId, component: Component, held: bool) {
        let Some(plane) = &mut self.nodes[node.0].plane else { return };
        plane.held[component.index()] = held;
        if held {
            self.release(node, component);
            self.end_component(node, component);
        } else {
            self.restart_component(node, component);
        }
    }

    pub(super) fn kill_component(&mut self, node: NodeId, component: Component) {
        if self.lives(node, component) {
            self.exit_component(node, component);
        }
    }

    /// A part's process ends; its kubelet starts it again.
    pub(super) fn exit_component(&mut self, node: NodeId, component: Component) {
        self.end_component(node, component);
        self.restart_component(node, component);
    }

    fn end_component(&mut self, node: NodeId, component: Component) {
        let Some(plane) = &mut self.nodes[node.0].plane else { return };
        plane.up[component.index()] = false;
        plane.frozen[component.index()] = false;
        if let Some(which) = electing(component) {
            plane.candidates[which].end();
            self.agenda.clear(Timer::Elector(node, which));
        }
        self.agenda.clear(Timer::Component(node, component));
        self.refresh();
    }

    pub(super) fn end_components(&mut self, node: NodeId) {
        if self.nodes[node.0].plane.is_some() {
            Component::ALL.into_iter().for_each(|component| self.end_component(node, component));
        }
    }

    /// A kubelet starts what is down and not held.
    pub(super) fn restart_component(&mut self, node: NodeId, component: Component) {
        let kubelet = self.nodes[node.0].kubelet.running;
        let Some(plane) = &self.nodes[node.0].plane else { return };
        if kubelet && !plane.up[component.index()] && !plane.held[component.index()] {
            let starts = COMPONENT_START.draw(&mut self.random);
            self.agenda.set_by(Timer::Component(node, component), self.after(starts));
        }
    }

    /// A part has started; on a node that shuts down it has ended.
    pub(super) fn component_due(&mut self, node: NodeId, component: Component) {
        if self.nodes[node.0].power == Power::Stopping {
            self.release(node, component);
            return self.end_component(node, component);
        }
        let Some(plane) = &mut self.nodes[node.0].plane else { return };
        plane.up[component.index()] = true;
        if let Some(which) = electing(component) {
            let first = self.random.below(RETRY);
            self.agenda.set(Timer::Elector(node, which), self.after(first));
        }
        self.refresh();
    }

    pub(super) fn freeze_component(&mut self, node: NodeId, component: Component, frozen: bool) {
        let Some(plane) = &mut self.nodes[node.0].plane else { return };
        plane.frozen[component.index()] = frozen;
        self.refresh();
        if !frozen {
            self.unfreeze_components(node);
        }
    }

    /// Candidates whose loops stood still go on.
    pub(super) fn unfreeze_components(&mut self, node: NodeId) {
        for component in Component::ALL {
            if let Some(which) = electing(component)
                && self.lives(node, component)
                && self.agenda.due(Timer::Elector(node, which)) == NEVER
            {
                self.agenda.set(Timer::Elector(node, which), self.now);
            }
        }
    }
}

//! Leader election of controller managers and schedulers (`client-go/tools/leaderelection`), by a
//! lease for each.
//!
//! A leader renews every retry period; when that fails for the renew deadline it gives up, and its
//! process ends and is started anew. A follower takes the lease when it has seen it unchanged for
//! the lease's duration by its own clock, so a process that has just started waits all of it, even
//! for a lease that it held itself in its life before.

use super::action::Component;
use super::agenda::Timer;
use super::change::Change;
use super::cluster::{CONTROLLER_MANAGER, ELECTED, Election, Holder, SCHEDULER, electing};
use super::machine::Model;
use super::node::{Candidate, SeenWrite};
use super::scenario::Leads;
use super::settings::{LEASE, RENEW_DEADLINE, RETRY, RETRY_JITTER, jittered};
use super::topology::NodeId;

impl Model {
    /// Who leads and knows it, as its lease says.
    pub(super) fn leading(&self, which: usize) -> Option<NodeId> {
        let Holder { node, life } = self.elections[which].holder?;
        let candidate = self.candidate(node, which)?;
        (candidate.leads && candidate.life == life).then_some(node)
    }

    fn candidate(&self, node: NodeId, which: usize) -> Option<&Candidate> {
        self.nodes[node.0].plane.as_ref().map(|plane| &plane.candidates[which])
    }

    fn candidate_mut(&mut self, node: NodeId, which: usize) -> Option<&mut Candidate> {
        self.nodes[node.0].plane.as_mut().map(|plane| &mut plane.candidates[which])
    }

    /// A leader drawn among the control planes, and everybody at a random phase.
    pub(super) fn begin_election(&mut self, which: usize) {
        let candidates = self.control_planes();
        let drawn = self.random.below(candidates.len() as u64) as usize;
        if let Some(leader) = candidates.get(drawn) {
            self.elect(which, *leader);
        }
    }

    pub(super) fn begin_with_leader(&mut self, Leads { component, node }: Leads) {
        if let Some(which) = electing(component) {
            self.elect(which, node);
            self.refresh();
        }
    }

    pub(super) fn control_planes(&self) -> Vec<NodeId> {
        (0..self.nodes.len()).map(NodeId).filter(|n| self.nodes[n.0].plane.is_some()).collect()
    }

    fn elect(&mut self, which: usize, leader: NodeId) {
        self.elections[which] =
            Election { holder: Some(Holder { node: leader, life: 0 }), version: 1 };
        for node in self.control_planes() {
            if let Some(candidate) = self.candidate_mut(node, which) {
                candidate.leads = node == leader;
                candidate.seen = Some(SeenWrite { version: 1, at: 0 });
            }
            let first = self.random.below(RETRY);
            self.agenda.set(Timer::Elector(node, which), first);
        }
    }

    pub(super) fn elector_due(&mut self, node: NodeId, which: usize) {
        if !self.lives(node, ELECTED[which]) {
            return;
        }
        let Some(candidate) = self.candidate(node, which).copied() else { return };
        let reaches = self.serves(node, Component::ApiServer);
        if candidate.leads {
            self.renew(node, which, candidate, reaches);
        } else {
            self.try_acquire(node, which, candidate, reaches);
        }
    }

    fn renew(&mut self, node: NodeId, which: usize, mut candidate: Candidate, reaches: bool) {
        let now = self.now;
        let own = self.elections[which].holder == Some(Holder { node, life: candidate.life });
        self.agenda.set(Timer::Elector(node, which), now + RETRY);
        if reaches && own {
            candidate.failing = None;
            self.elections[which].version += 1;
            self.emit(Change::LeaseRenewed { component: ELECTED[which], node });
        } else if now >= *candidate.failing.get_or_insert(now) + RENEW_DEADLINE {
            return self.exit_component(node, ELECTED[which]);
        }
        if let Some(known) = self.candidate_mut(node, which) {
            *known = candidate;
        }
    }

    fn try_acquire(&mut self, node: NodeId, which: usize, mut candidate: Candidate, reaches: bool) {
        let (now, lease) = (self.now, self.elections[which]);
        let wait = jittered(RETRY, RETRY_JITTER, &mut self.random);
        self.agenda.set(Timer::Elector(node, which), now + wait);
        if !reaches {
            return;
        }
        let seen = candidate
            .seen
            .filter(|seen| seen.version == lease.version)
            .unwrap_or(SeenWrite { version: lease.version, at: now });
        candidate.seen = Some(seen);
        let free = lease.holder.is_none() || now > seen.at + LEASE;
        if free {
            candidate.leads = true;
            let holder = Some(Holder { node, life: candidate.life });
            self.elections[which] = Election { holder, version: lease.version + 1 };
            self.agenda.set(Timer::Elector(node, which), now + RETRY);
        }
        if let Some(known) = self.candidate_mut(node, which) {
            *known = candidate;
        }
        if free {
            self.emit(Change::Leader { component: ELECTED[which], holder: Some(node) });
            self.refresh();
            if which == CONTROLLER_MANAGER {
                self.start_node_lifecycle();
            }
            self.kick_controllers();
        }
    }

    /// A scheduler that ends in order gives its lease back; a controller manager does not.
    pub(super) fn release(&mut self, node: NodeId, component: Component) {
        let which = SCHEDULER;
        let held = self.leading(which) == Some(node);
        if component == Component::Scheduler && held && self.serves(node, Component::ApiServer) {
            self.elections[which] =
                Election { holder: None, version: self.elections[which].version + 1 };
            self.emit(Change::Leader { component, holder: None });
        }
    }
}

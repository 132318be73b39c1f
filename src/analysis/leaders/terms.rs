//! One walk through the facts about a part: who led, when nobody did, and who kept running
//! alongside a successor.

use std::collections::HashMap;
use std::time::Duration;

use super::super::findings::LeaderLoss;
use super::facts::{Fact, What};
use crate::timeline::{Bracket, Moment, ProcessState};

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms<'a> {
    pub held: Vec<Term<'a>>,
    pub gaps: Vec<Gap<'a>>,
    pub old: Vec<Old<'a>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term<'a> {
    pub node: &'a str,
    /// `None`: from before the records begin.
    pub from: Option<Bracket>,
    pub until: Option<Bracket>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gap<'a> {
    pub node: &'a str,
    pub loss: LeaderLoss,
    pub from: Bracket,
    /// The end, and who led then.
    pub until: Option<(Bracket, &'a str)>,
}

/// A former leader's process that kept running after another had taken over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Old<'a> {
    pub node: &'a str,
    pub next: &'a str,
    pub from: Bracket,
    pub until: Option<Bracket>,
}

struct Leader<'a> {
    node: &'a str,
    identity: String,
    pid: Option<u32>,
    from: Option<Bracket>,
    renewed: Bracket,
    lasts: Option<Duration>,
    /// Its process is gone: only another can lead.
    dead: bool,
}

impl Leader<'_> {
    /// When its lease ends, if it has one and does not renew it.
    fn expiry(&self) -> Option<Bracket> {
        let lasts = self.lasts?;
        Some(Bracket {
            earliest: self.renewed.earliest.plus(lasts),
            latest: self.renewed.latest.plus(lasts),
        })
    }
}

/// A leader that has been replaced, whose process is still there.
struct Replaced<'a> {
    node: &'a str,
    pid: Option<u32>,
    next: &'a str,
    /// Since when it ran alongside its successor.
    beside: Option<Bracket>,
    /// When it was asked to go on, if it was frozen.
    unfrozen: Option<Moment>,
}

impl Replaced<'_> {
    /// Since when it ran, where it has ended by `end`: one that was unfrozen may have ended before
    /// the next look.
    fn ran_from(&self, end: Bracket) -> Option<Bracket> {
        let unseen = |unfrozen: Moment| {
            (unfrozen <= end.latest).then(|| Bracket::new(unfrozen.max(end.earliest), end.latest))
        };
        self.beside.or(self.unfrozen.and_then(unseen))
    }
}

#[derive(Default)]
struct Walk<'a> {
    found: Terms<'a>,
    processes: HashMap<&'a str, (Option<u32>, ProcessState)>,
    leader: Option<Leader<'a>>,
    gap: Option<Gap<'a>>,
    replaced: Vec<Replaced<'a>>,
}

/// Walks through the facts, up to `end`. Leases are known up to `known`, which is earlier where
/// their watch was blind at the end.
pub(super) fn walk<'a>(facts: &[Fact<'a>], known: Moment) -> Terms<'a> {
    let mut walk = Walk::default();
    for Fact { when, what } in facts {
        match what {
            What::Leads { node, identity, lasts } => {
                walk.leads(node, identity.clone(), *lasts, *when)
            }
            What::Resigns { node, loss } => walk.resigns(*node, *loss, *when),
            What::Process { node, pid, state } => walk.process(node, *pid, *state, *when),
            What::Unfreezes { node } => walk.unfreezes(node, when.latest),
            What::Power { node, state } => walk.power(node, *state, *when),
        }
    }
    walk.expire(known);
    walk.finish()
}

impl<'a> Walk<'a> {
    fn leads(
        &mut self,
        node: &'a str,
        identity: Option<String>,
        lasts: Option<Duration>,
        when: Bracket,
    ) {
        let pid = self.processes.get(node).and_then(|(pid, _)| *pid);
        let identity = identity.unwrap_or_else(|| format!("{node}/{}", pid.unwrap_or_default()));
        // A renewal that was seen late may have been in time; another leads only once it expired.
        let renews = self.leader.as_ref().is_some_and(|leader| leader.identity == identity);
        self.expire(if renews { when.earliest } else { when.latest });
        match &mut self.leader {
            Some(leader) if leader.identity == identity => {
                (leader.renewed, leader.lasts) = (when, lasts);
                // A renewal that was under way says nothing for one who is dead or frozen.
                let frozen = self
                    .processes
                    .get(node)
                    .is_some_and(|(_, state)| *state == ProcessState::Stopped);
                if !leader.dead && !frozen {
                    self.close(when, node);
                }
            }
            _ => {
                let first = self.leader.is_none() && self.found.held.is_empty();
                self.succeed(node, when);
                let from = (!first).then_some(when);
                self.leader =
                    Some(Leader { node, identity, pid, from, renewed: when, lasts, dead: false });
            }
        }
    }

    /// The leader there was is followed by one on `next`.
    fn succeed(&mut self, next: &'a str, when: Bracket) {
        let Some(old) = self.leader.take() else { return };
        let state = self.processes.get(old.node).map(|(_, state)| *state);
        if self.gap.is_none() && state != Some(ProcessState::Running) {
            // How the old one went was not observed: it was at some time since it was last seen.
            let from = Bracket::new(old.renewed.earliest, when.latest);
            self.gap = Some(Gap { node: old.node, loss: LeaderLoss::Unseen, from, until: None });
        }
        let until = self.gap.as_ref().map_or(when, |gap| gap.from);
        self.close(when, next);
        if !old.dead && state.is_some() {
            let beside = (state == Some(ProcessState::Running)).then_some(when);
            self.replaced.push(Replaced {
                node: old.node,
                pid: old.pid,
                next,
                beside,
                unfrozen: None,
            });
        }
        self.found.held.push(Term { node: old.node, from: old.from, until: Some(until) });
    }

    fn resigns(&mut self, node: Option<&str>, loss: LeaderLoss, when: Bracket) {
        if let Some(node) = node {
            self.over(when, |old| old.node == node);
        }
        if self.leader.as_ref().is_some_and(|leader| node.is_none_or(|node| node == leader.node)) {
            self.open(when, loss);
        }
    }

    fn process(&mut self, node: &'a str, pid: Option<u32>, state: ProcessState, when: Bracket) {
        self.processes.insert(node, (pid, state));
        let same = |known: Option<u32>| {
            state != ProcessState::Gone && (known.is_none() || pid.is_none() || known == pid)
        };
        self.over(when, |old| old.node == node && !same(old.pid));
        for old in self.replaced.iter_mut().filter(|old| old.node == node) {
            old.beside = (state == ProcessState::Running).then(|| old.beside.unwrap_or(when));
        }
        let Some(leader) =
            self.leader.as_mut().filter(|leader| leader.node == node && !leader.dead)
        else {
            return;
        };
        if !same(leader.pid) {
            leader.dead = true;
            return self.open(when, LeaderLoss::Gone);
        }
        leader.pid = leader.pid.or(pid);
        let frozen = self.gap.as_ref().is_some_and(|gap| gap.loss == LeaderLoss::Frozen);
        match state {
            ProcessState::Stopped => self.open(when, LeaderLoss::Frozen),
            // One that unfreezes after its lease has expired leads no more, unless it renews it
            // before another takes it.
            _ if frozen && leader.expiry().is_none_or(|expiry| when.latest < expiry.earliest) => {
                self.close(when, node)
            }
            _ => {}
        }
    }

    fn power(&mut self, node: &'a str, state: ProcessState, when: Bracket) {
        let known = self.processes.get(node).copied();
        let pid = known.and_then(|(pid, _)| pid);
        match (state, known) {
            (ProcessState::Gone, _) => self.process(node, None, state, when),
            (ProcessState::Stopped, Some((_, ProcessState::Gone))) => {}
            (ProcessState::Stopped, _)
            | (ProcessState::Running, Some((_, ProcessState::Stopped))) => {
                self.process(node, pid, state, when);
            }
            (ProcessState::Running, _) => {}
        }
    }

    fn unfreezes(&mut self, node: &str, at: Moment) {
        self.replaced
            .iter_mut()
            .filter(|old| old.node == node)
            .for_each(|old| old.unfrozen = Some(at));
    }

    fn open(&mut self, from: Bracket, loss: LeaderLoss) {
        let Some(leader) = &self.leader else { return };
        match &mut self.gap {
            None => self.gap = Some(Gap { node: leader.node, loss, from, until: None }),
            // One that dies while it is frozen is not unfrozen.
            Some(gap) if loss == LeaderLoss::Gone && gap.loss == LeaderLoss::Frozen => {
                gap.loss = loss
            }
            Some(_) => {}
        }
    }

    fn close(&mut self, until: Bracket, node: &'a str) {
        if let Some(gap) = self.gap.take() {
            self.found.gaps.push(Gap { until: Some((until, node)), ..gap });
        }
    }

    /// Replaced leaders that are no danger any more.
    fn over(&mut self, when: Bracket, which: impl Fn(&Replaced<'_>) -> bool) {
        for old in self.replaced.extract_if(.., |old| which(old)) {
            if let Some(from) = old.ran_from(when) {
                self.found.old.push(Old {
                    node: old.node,
                    next: old.next,
                    from,
                    until: Some(when),
                });
            }
        }
    }

    /// A lease that was not renewed by `known` has expired.
    fn expire(&mut self, known: Moment) {
        let Some(leader) = self.leader.as_ref().filter(|_| self.gap.is_none()) else { return };
        let Some(expiry) = leader.expiry() else { return };
        if known > expiry.latest {
            self.open(expiry, LeaderLoss::Expired);
        }
    }

    fn finish(mut self) -> Terms<'a> {
        if let Some(leader) = self.leader.take() {
            let until = self.gap.as_ref().map(|gap| gap.from);
            self.found.held.push(Term { node: leader.node, from: leader.from, until });
        }
        self.found.gaps.extend(self.gap.take());
        let beside = self.replaced.iter().filter_map(|old| Some((old, old.beside?)));
        self.found.old.extend(beside.map(|(old, from)| Old {
            node: old.node,
            next: old.next,
            from,
            until: None,
        }));
        self.found
    }
}

//! What is known of the cluster and of the probes at this moment, from the records that have come
//! in.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::plan::Endpoints;
use crate::timeline::leader::{LEADER_LEASES, NODE_LEASES, node_of};
use crate::timeline::{
    Change, Component, Endpoint, Event, FaultPhase, Moment, Outcome, ProbeSpan, ProcessState,
    Ready, Record,
};

/// How far back attempts are kept for the steady state: no condition may ask for longer.
pub(crate) const HORIZON: Duration = Duration::from_secs(120);

/// How far a fault is.
#[derive(Debug)]
struct InjectedFault {
    requested: Moment,
    confirmed: Option<Moment>,
    /// Whether its undo waits, or has waited.
    waits: bool,
}

/// The state of the backend as the records tell it.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Each node's Ready condition, and since when (known to us, or by the object's own time).
    pub nodes: BTreeMap<String, NodeState>,
    /// When a node was last heard of: its Lease was renewed, or its heartbeat is newer.
    pub heard: BTreeMap<String, Moment>,
    heartbeats: BTreeMap<String, jiff::Timestamp>,
    /// Each Service's endpoints, by pod or address.
    pub endpoints: BTreeMap<String, BTreeMap<String, Endpoint>>,
    /// When a Service's endpoints last changed.
    pub endpoints_changed: BTreeMap<String, Moment>,
    /// Each probe's recent attempts.
    pub probes: BTreeMap<String, ProbeState>,
    /// Watches that are blind now.
    pub blind: BTreeMap<String, String>,
    /// Each part of the control plane by the node that it is on, as the observers saw it last.
    pub processes: BTreeMap<(String, Component), (Option<u32>, ProcessState)>,
    /// Who leads, as far as is known: a lease's holder, or the etcd member that says so; by the
    /// part, the node.
    pub leaders: BTreeMap<Component, String>,
    faults: BTreeMap<FaultKey, InjectedFault>,
    /// Why the timeline can't be written any more.
    pub broken: Option<String>,
    /// Probes that ended by themselves, and why.
    pub dead_probes: BTreeMap<String, String>,
}

/// A fault: its step, its target, and the part of the control plane that it hits.
type FaultKey = (u32, String, Option<Component>);

/// A node's Ready condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeState {
    pub ready: Ready,
    /// Since when it has been so; `None`: since before the run.
    pub since: Option<Moment>,
}

/// A probe's recent attempts, by the time they were sent.
#[derive(Debug)]
pub(crate) struct ProbeState {
    pub span: ProbeSpan,
    recent: VecDeque<(Moment, Outcome)>,
    /// The first slot without an outcome, and those after it that have one.
    open: u64,
    ended: BTreeSet<u64>,
}

impl Live {
    pub(crate) fn observe(&mut self, record: &Record) {
        match &record.event {
            Event::Node { node, change, ready, heartbeat, .. } => {
                self.heartbeat(node, *heartbeat, record.at);
                self.node(node, *change, *ready, record.at);
            }
            Event::Lease { namespace, name, change: Change::Changed, .. }
                if namespace == NODE_LEASES =>
            {
                self.heard.insert(name.clone(), record.at);
            }
            Event::Lease { namespace, name, change, holder, .. } if namespace == LEADER_LEASES => {
                let holder = holder.as_deref().filter(|_| *change != Change::Deleted);
                self.lead(Component::named(name), holder.map(node_of));
            }
            Event::Process { node, component, pid, state } => {
                self.processes.insert((node.clone(), *component), (*pid, *state));
            }
            Event::EtcdMember { node, is_leader, .. } => self.member(node, *is_leader),
            Event::Endpoint { service, change, endpoint } => {
                self.endpoint(service, *change, endpoint, record.at)
            }
            Event::WatchGap { watch, until: None, reason } => {
                self.blind.insert(watch.clone(), reason.clone());
            }
            Event::WatchGap { watch, until: Some(_), .. } => {
                self.blind.remove(watch);
            }
            Event::Fault { step, target, component, phase, .. } => {
                let key = (*step, target.clone(), *component);
                match phase {
                    FaultPhase::Requested => {
                        let fault =
                            InjectedFault { requested: record.at, confirmed: None, waits: false };
                        self.faults.insert(key, fault);
                    }
                    FaultPhase::Confirmed => {
                        self.faults.entry(key).and_modify(|it| it.confirmed = Some(record.at));
                    }
                    FaultPhase::Waits => {
                        self.faults.entry(key).and_modify(|it| it.waits = true);
                    }
                    _ => {}
                }
            }
            Event::ProbeStopped { probe, error: Some(error) } => {
                self.dead_probes.insert(probe.clone(), error.clone());
            }
            _ => {}
        }
    }

    /// When a fault was requested, and confirmed, whose undo waits, or has waited.
    pub(crate) fn injected_and_waits(
        &self,
        (step, target, component): (u32, &str, Option<Component>),
    ) -> Option<(Moment, Option<Moment>)> {
        let fault = self.faults.get(&(step, target.to_owned(), component))?;
        fault.waits.then_some((fault.requested, fault.confirmed))
    }

    fn lead(&mut self, component: Option<Component>, node: Option<&str>) {
        let Some(component) = component else { return };
        match node {
            Some(node) => drop(self.leaders.insert(component, node.to_owned())),
            None => drop(self.leaders.remove(&component)),
        }
    }

    fn member(&mut self, node: &str, is_leader: bool) {
        if is_leader {
            self.lead(Some(Component::Etcd), Some(node));
        } else if self.leaders.get(&Component::Etcd).is_some_and(|leader| leader == node) {
            self.lead(Some(Component::Etcd), None);
        }
    }

    fn heartbeat(&mut self, node: &str, heartbeat: Option<jiff::Timestamp>, at: Moment) {
        let Some(heartbeat) = heartbeat else { return };
        if self.heartbeats.insert(node.to_owned(), heartbeat).is_some_and(|known| known < heartbeat)
        {
            self.heard.insert(node.to_owned(), at);
        }
    }

    fn node(&mut self, node: &str, change: Change, ready: Ready, at: Moment) {
        if change == Change::Deleted {
            self.nodes.remove(node);
            return;
        }
        let since = match self.nodes.get(node) {
            Some(known) if known.ready == ready => known.since,
            _ => (change == Change::Changed).then_some(at),
        };
        self.nodes.insert(node.to_owned(), NodeState { ready, since });
    }

    fn endpoint(&mut self, service: &str, change: Change, endpoint: &Endpoint, at: Moment) {
        let endpoints = self.endpoints.entry(service.to_owned()).or_default();
        let key = endpoint.pod.clone().unwrap_or_else(|| endpoint.address.clone());
        let before = endpoints.get(&key).map(|known| known.ready);
        let after = (change != Change::Deleted).then_some(endpoint.ready);
        match change {
            Change::Deleted => endpoints.remove(&key),
            _ => endpoints.insert(key, endpoint.clone()),
        };
        if before != after {
            self.endpoints_changed.insert(service.to_owned(), at);
        }
    }

    pub(crate) fn probe_started(&mut self, span: ProbeSpan) {
        self.probes.insert(span.probe.name.clone(), ProbeState::new(span));
    }

    pub(crate) fn known_endpoints(&self) -> Endpoints {
        let services = self.endpoints.keys();
        services.map(|service| (service.clone(), self.endpoints_of(service))).collect()
    }

    pub(crate) fn endpoints_of(&self, service: &str) -> Vec<Endpoint> {
        self.endpoints
            .get(service)
            .into_iter()
            .flat_map(|endpoints| endpoints.values().cloned())
            .collect()
    }
}

impl ProbeState {
    fn new(span: ProbeSpan) -> Self {
        Self { span, recent: VecDeque::new(), open: 0, ended: BTreeSet::new() }
    }

    /// A slot has its outcome, whatever it says.
    pub(crate) fn ended(&mut self, slot: u64) {
        self.ended.insert(slot);
        while self.ended.remove(&self.open) {
            self.open += 1;
        }
    }

    /// Takes in an attempt; those that say nothing of the service are left out.
    pub(crate) fn attempt(&mut self, sent: Moment, outcome: Outcome) {
        // Attempts end out of order: a hanging one comes in after later ones that did not hang.
        let place = self.recent.iter().rposition(|(other, _)| *other <= sent).map_or(0, |i| i + 1);
        self.recent.insert(place, (sent, outcome));
        let horizon = sent.minus(HORIZON);
        while self.recent.front().is_some_and(|(other, _)| *other < horizon) {
            self.recent.pop_front();
        }
    }

    /// Attempts and successes among those sent in the last `hold`, and whether they cover all of
    /// it: an attempt in flight may still fail, so what is due after the first without an outcome
    /// doesn't count yet.
    pub(crate) fn share(&self, hold: Duration, now: Moment) -> Share {
        let until = now.min(self.span.due(self.open));
        let from = until.minus(hold);
        let within = self.recent.iter().filter(|(sent, _)| *sent >= from && *sent <= until);
        let (total, ok) = within.fold((0, 0), |(total, good), (_, outcome)| {
            (total + 1, good + u32::from(outcome.is_ok()))
        });
        let due = (hold.as_nanos() as u64 / self.span.interval_ns) as u32;
        // One whose outcome is overdue covers nothing.
        let fresh = until.plus(self.overdue() + hold / 10) >= now;
        let covered = fresh && self.span.start <= from && total + total / 10 + 1 >= due;
        Share { total, ok, covered }
    }

    /// How the attempts failed that were sent in the last `hold`, the most frequent way first.
    pub(crate) fn failures(&self, hold: Duration, now: Moment) -> Vec<(Outcome, u32)> {
        let from = now.minus(hold);
        let mut failures: Vec<(Outcome, u32)> = Vec::new();
        let within = self.recent.iter().filter(|(sent, outcome)| *sent >= from && !outcome.is_ok());
        for (_, outcome) in within {
            match failures.iter_mut().find(|(known, _)| known == outcome) {
                Some((_, count)) => *count += 1,
                None => failures.push((*outcome, 1)),
            }
        }
        failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        failures
    }

    /// By when after its due moment an attempt should have its outcome.
    fn overdue(&self) -> Duration {
        Duration::from_nanos(self.span.timeout_ns.saturating_add(self.span.interval_ns))
    }

    /// When the first success after the last failure was sent; without a failure, the first success
    /// that is known.
    pub(crate) fn ok_since(&self) -> Option<Moment> {
        let after_failure =
            self.recent.iter().rposition(|(_, outcome)| !outcome.is_ok()).map_or(0, |i| i + 1);
        self.recent.get(after_failure).map(|(sent, _)| *sent)
    }
}

/// How many of a probe's attempts succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share {
    pub total: u32,
    pub ok: u32,
    /// Whether the attempts cover all of the time that was asked for.
    pub covered: bool,
}

impl Share {
    /// The share of successes; 0 of none.
    pub(crate) fn ratio(self) -> f64 {
        if self.total == 0 { 0.0 } else { f64::from(self.ok) / f64::from(self.total) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::timeline::ProbeHeader;

    pub(crate) fn span(name: &str, rate: u64) -> ProbeSpan {
        let probe = ProbeHeader {
            name: name.into(),
            kind: crate::timeline::ProbeKind::Http,
            target: "web".into(),
            service: Some("web".into()),
            from: "cp".into(),
            from_node: Some("cp".into()),
            reused: false,
            control: false,
            paths: Vec::new(),
            needs: None,
        };
        let format = ProbeSpan::FORMAT.into();
        ProbeSpan {
            format,
            probe,
            start: Moment(0),
            interval_ns: 1_000_000_000 / rate,
            timeout_ns: 200_000_000,
            clock_uncertainty_ns: 0,
        }
    }

    fn outcome(ok: bool) -> Outcome {
        if ok { Outcome::Ok } else { Outcome::Refused }
    }

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    #[test]
    fn a_probe_is_steady_only_when_its_attempts_cover_the_time() {
        let mut probe = ProbeState::new(ProbeSpan { start: at(2000), ..span("web", 10) });
        for slot in 0..40 {
            probe.attempt(at(2000 + slot * 100), outcome(slot != 5));
            probe.ended(slot);
        }
        let hold = Duration::from_secs(1);
        assert_eq!(probe.share(hold, at(6000)).ratio(), 1.0);
        assert!(probe.share(hold, at(6000)).covered);
        assert!(!probe.share(hold, at(2900)).covered, "it had not begun");
        assert!(!probe.share(hold, at(10_000)).covered, "nothing came in");
        assert!(probe.share(Duration::from_secs(4), at(6200)).ratio() < 1.0);
        assert_eq!(probe.ok_since(), Some(at(2600)));
    }

    #[test]
    fn what_is_under_way_is_waited_for() {
        let mut slow = span("canary", 1);
        slow.timeout_ns = 10_000_000_000;
        let mut probe = ProbeState::new(slow);
        for slot in [0, 1, 2, 3, 4, 6, 7] {
            probe.attempt(at(slot * 1000), Outcome::Ok);
            probe.ended(slot);
        }
        let share = probe.share(Duration::from_secs(4), at(8000));
        assert_eq!(
            (share.total, share.covered),
            (4, true),
            "slot 5 may still fail: those from 1 to 5 s count"
        );
        probe.attempt(at(5000), Outcome::Refused);
        probe.ended(5);
        assert_eq!(probe.share(Duration::from_secs(4), at(8000)).ratio(), 0.75);
    }

    #[test]
    fn a_late_failure_takes_its_place_by_when_it_was_sent() {
        let mut probe = ProbeState::new(span("web", 10));
        for (sent, ok) in [(0, true), (200, true), (300, true), (100, false)] {
            probe.attempt(at(sent), outcome(ok));
        }
        assert_eq!(probe.ok_since(), Some(at(200)));
    }

    #[test]
    fn who_leads_is_known_by_lease_and_by_member() {
        let mut live = Live::default();
        let lease = |name: &str, holder: Option<&str>| {
            let (namespace, name, holder) =
                ("kube-system".into(), name.into(), holder.map(str::to_owned));
            let (change, renewed, transitions, lasts_s) = (Change::Changed, None, None, None);
            Record::at(
                at(1),
                Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s },
            )
        };
        let member = |node: &str, is_leader| {
            let event = Event::EtcdMember {
                node: node.into(),
                answers: true,
                has_leader: true,
                is_leader,
                leader_changes: 1,
            };
            Record::at(at(1), event)
        };
        let records = [
            lease("kube-scheduler", Some("cp_2_af09")),
            lease("other", Some("x_1")),
            member("cp", true),
            member("cp2", true),
        ];
        records.iter().for_each(|record| live.observe(record));
        live.observe(&member("cp", false));
        let leaders =
            [(Component::Etcd, "cp2".to_owned()), (Component::Scheduler, "cp_2".to_owned())];
        assert_eq!(live.leaders, BTreeMap::from(leaders));
        live.observe(&member("cp2", false));
        live.observe(&lease("kube-scheduler", None));
        assert!(live.leaders.is_empty(), "{:?}", live.leaders);
    }

    #[test]
    fn a_node_is_ready_since_it_changed() {
        let mut live = Live::default();
        let node = |change, ready, ms| {
            let (reason, transition, heartbeat, taints) = (String::new(), None, None, Vec::new());
            Record::at(
                at(ms),
                Event::Node {
                    node: "w".into(),
                    change,
                    ready,
                    reason,
                    transition,
                    heartbeat,
                    taints,
                },
            )
        };
        live.observe(&node(Change::Baseline, Ready::True, 1));
        assert_eq!(live.nodes["w"].since, None);
        live.observe(&node(Change::Changed, Ready::True, 2));
        assert_eq!(live.nodes["w"].since, None, "a heartbeat is not a change");
        live.observe(&node(Change::Changed, Ready::Unknown, 3));
        assert_eq!(live.nodes["w"].since, Some(at(3)));
    }
}

//! Evidence that a part of the control plane was down: leaders, processes, faults on nodes, and the
//! other probes of the API servers.

use super::super::clock::Zero;
use super::super::findings::{
    Burst, Cause, FaultFinding, LeaderFinding, ProbeFinding, When, Window,
};
use super::super::leaders;
use super::interval_set::{IntervalSet, NEVER, Span};
use super::split::Evidence;
use crate::timeline::{
    Bracket, Component, Ends, Event, Impact, Needs, NodeRole, ProcessState, Timeline,
};

fn takes_node(fault: &FaultFinding) -> bool {
    fault.kind.traits().impact.whole_node()
}

/// What has to work for an answer.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// The API server, which answers from its cache.
    ApiServer,
    /// etcd behind it.
    Etcd,
}

impl Asked {
    fn of(etcd: bool) -> Self {
        if etcd { Self::Etcd } else { Self::ApiServer }
    }
}

pub(super) struct Sources<'a> {
    pub timeline: &'a Timeline,
    pub zero: Zero,
    pub faults: &'a [FaultFinding],
    pub probes: &'a [ProbeFinding],
    pub leaders: &'a [LeaderFinding],
}

/// The evidence for a window: between its bursts nothing was down.
pub(super) fn within(window: &Window, causes: &Evidence) -> Evidence {
    let between = |two: &[Burst]| Span {
        from: two[0].end.when,
        until: two[0].end.when.later(two[1].start.when),
    };
    let mut all = vec![(
        Cause::Answered,
        IntervalSet::Union(window.bursts.windows(2).map(between).collect()),
    )];
    all.extend(causes.iter().cloned());
    all
}

impl<'a> Sources<'a> {
    /// What may have caused the errors of a probe, deepest first.
    pub(super) fn of(&self, needs: &Needs) -> Evidence {
        let mut causes = match needs {
            // Whose nodes are not known has nothing that could be looked at.
            _ if self.control_planes().is_empty() => Vec::new(),
            Needs::ApiServer { node: Some(node), etcd } => self.of_one(node, Asked::of(*etcd)),
            Needs::ApiServer { node: None, etcd } => self.of_any(Asked::of(*etcd)),
            Needs::Leader(component) => self.of_leader(*component),
        };
        causes.push((Cause::Unexplained, IntervalSet::Always));
        causes
    }

    fn of_one(&self, node: &str, asked: Asked) -> Evidence {
        let mut causes = vec![(Cause::Nodes, self.node_away(node))];
        if asked == Asked::Etcd {
            causes.push((Cause::Etcd, self.etcd_away()));
            causes.push((Cause::EtcdMember, IntervalSet::Union(self.member_away(node))));
            causes.extend(self.etcd_useless());
        }
        causes.push((Cause::ApiServers, self.process_away(Component::ApiServer, node)));
        causes.push((Cause::ApiServersEnding, self.server_ending(node)));
        causes.push((Cause::ApiServersStarting, self.server_starting(node)));
        causes.extend(
            (asked == Asked::Etcd).then(|| (Cause::EtcdReturned, self.member_returned(node))),
        );
        causes.push((
            Cause::Unseen,
            IntervalSet::any(vec![self.unseen(node), self.etcd_blind(asked)]),
        ));
        causes.extend((asked == Asked::Etcd).then(|| (Cause::Unseen, self.member_unseen(node))));
        causes
    }

    fn of_any(&self, asked: Asked) -> Evidence {
        let mut causes = self.of_all_servers(asked);
        if self.control_planes().len() > 1 {
            let answers =
                self.control_planes().iter().map(|node| self.answers(node, asked)).collect();
            causes.push((Cause::BalancerCheck, IntervalSet::any(answers)));
        }
        causes.extend((asked == Asked::Etcd).then(|| (Cause::EtcdReturned, self.etcd_returned())));
        causes.push((Cause::Unseen, self.etcd_blind(asked)));
        causes.push((Cause::ApiServers, self.all_fail(asked)));
        causes.push((Cause::Unseen, self.servers_unseen()));
        causes
    }

    fn of_leader(&self, component: Component) -> Evidence {
        let mut causes = self.of_all_servers(Asked::Etcd);
        causes.push((Cause::EtcdReturned, self.etcd_returned()));
        causes.push((Cause::ApiServers, self.all_fail(Asked::Etcd)));
        causes.push((Cause::Leader(component), self.without_leader(component)));
        causes.push((
            Cause::Unseen,
            IntervalSet::any(vec![self.blind(component), self.servers_unseen()]),
        ));
        causes
    }

    /// What takes the API down for all clients of its one address.
    fn of_all_servers(&self, asked: Asked) -> Evidence {
        let control_planes = self.control_planes();
        let mut causes = vec![(
            Cause::Nodes,
            IntervalSet::all(control_planes.iter().map(|node| self.node_away(node)).collect()),
        )];
        if asked == Asked::Etcd {
            causes.push((Cause::Etcd, self.etcd_away()));
            causes.extend(self.etcd_useless());
        }
        causes.push((
            Cause::ApiServers,
            IntervalSet::all(control_planes.iter().map(|node| self.server_away(node)).collect()),
        ));
        let ending =
            |node: &str| IntervalSet::any(vec![self.server_away(node), self.server_ending(node)]);
        causes.push((
            Cause::ApiServersEnding,
            self.some_of_all(|node| self.server_ending(node), ending),
        ));
        let starting =
            |node: &str| IntervalSet::any(vec![ending(node), self.server_starting(node)]);
        causes.push((
            Cause::ApiServersStarting,
            self.some_of_all(|node| self.server_starting(node), starting),
        ));
        causes.push((
            Cause::Balancer,
            IntervalSet::any(self.balancers().map(|node| self.node_away(node)).collect()),
        ));
        causes
    }

    /// No control-plane node is well, and what is wrong with one of them is this.
    fn some_of_all(
        &self,
        this: impl Fn(&str) -> IntervalSet,
        not_well: impl Fn(&str) -> IntervalSet,
    ) -> IntervalSet {
        let control_planes = self.control_planes();
        let of = |what: &dyn Fn(&str) -> IntervalSet| {
            control_planes.iter().map(|node| what(node)).collect::<Vec<_>>()
        };
        IntervalSet::all(vec![IntervalSet::any(of(&this)), IntervalSet::all(of(&not_well))])
    }

    fn nodes(&self, role: NodeRole) -> impl Iterator<Item = &'a str> {
        self.timeline
            .header
            .cluster
            .nodes
            .iter()
            .filter(move |node| node.role == role)
            .map(|node| node.name.as_str())
    }

    pub(super) fn control_planes(&self) -> Vec<&'a str> {
        self.nodes(NodeRole::ControlPlane).collect()
    }

    /// The machines before the API servers that were hit: targets of a node fault that are not
    /// nodes of the cluster.
    fn balancers(&self) -> impl Iterator<Item = &'a str> {
        let nodes = &self.timeline.header.cluster.nodes;
        let hit =
            self.faults.iter().filter(|fault| takes_node(fault)).map(|fault| fault.target.as_str());
        hit.filter(move |target| {
            !nodes
                .iter()
                .any(|node| node.name == *target && node.role != NodeRole::ExternalLoadBalancer)
        })
    }

    /// A fault had taken the node away.
    pub(super) fn node_away(&self, node: &str) -> IntervalSet {
        let faults = self.faults.iter().filter(|fault| fault.target == node && takes_node(fault));
        IntervalSet::Union(faults.filter_map(in_effect).collect())
    }

    fn server_away(&self, node: &str) -> IntervalSet {
        IntervalSet::any(vec![self.node_away(node), self.process_away(Component::ApiServer, node)])
    }

    /// A fault was stopping the node's API server, and its process was still there.
    fn server_ending(&self, node: &str) -> IntervalSet {
        let of_it = |fault: &&FaultFinding| {
            fault.target == node && fault.component == Some(Component::ApiServer)
        };
        let stops =
            self.faults.iter().filter(of_it).filter(|fault| fault.kind.traits().holds_down());
        IntervalSet::Union(stops.map(ending).collect())
    }

    /// A process of the node's API server had come, and who was failing then had no answer yet.
    fn server_starting(&self, node: &str) -> IntervalSet {
        let starts = leaders::processes(&self.timeline.records, Component::ApiServer, node)
            .into_iter()
            .skip(1)
            .filter(|change| change.state == ProcessState::Running)
            .map(|change| self.zero.when(change.when));
        let ask = |needs: &Needs| matches!(needs, Needs::ApiServer { node: on, .. } if on.as_deref().is_none_or(|on| on == node));
        self.until_answered(starts, ask)
    }

    /// From each of these moments until who was failing then, of the probes that need this, was
    /// answered.
    pub(super) fn until_answered(
        &self,
        moments: impl Iterator<Item = When>,
        need: impl Fn(&Needs) -> bool,
    ) -> IntervalSet {
        let files = self
            .timeline
            .probes
            .iter()
            .filter(|file| file.span.probe.needs.as_ref().is_some_and(&need));
        let probes = files
            .filter_map(|file| self.probes.iter().find(|probe| probe.name == file.span.probe.name));
        let bursts: Vec<&Burst> =
            probes.flat_map(|probe| &probe.windows).flat_map(|window| &window.bursts).collect();
        let waiting = |moment: When| {
            let met = bursts.iter().filter(move |burst| {
                burst.start.when.earliest <= moment.latest
                    && moment.earliest <= burst.end.when.latest
            });
            met.map(move |burst| Span { from: moment, until: moment.later(burst.end.when) })
        };
        IntervalSet::Union(moments.flat_map(waiting).collect())
    }

    /// The process of a part is not there, or is frozen: as the node's observer saw it; where there
    /// was none, as faults say.
    pub(super) fn process_away(&self, component: Component, node: &str) -> IntervalSet {
        let records = &self.timeline.records;
        let of_it = |event: &Event| matches!(event, Event::Process { node: on, component: part, .. } if on == node && *part == component);
        if !records.iter().any(|record| of_it(&record.event)) {
            let faults = self
                .faults
                .iter()
                .filter(|fault| fault.target == node && fault.component == Some(component));
            return IntervalSet::Union(faults.filter_map(in_effect).collect());
        }
        let changes = leaders::processes(records, component, node).into_iter();
        let away = changes.map(|change| (change.when, change.state != ProcessState::Running));
        IntervalSet::Union(self.spans(away))
    }

    pub(super) fn without_leader(&self, component: Component) -> IntervalSet {
        let gaps = self.leader(component).flat_map(|leader| &leader.gaps);
        IntervalSet::Union(
            gaps.map(|gap| Span { from: gap.from, until: gap.until.unwrap_or(NEVER) }).collect(),
        )
    }

    /// It was not seen which member of etcd led, where that matters.
    fn etcd_blind(&self, asked: Asked) -> IntervalSet {
        match asked {
            Asked::Etcd => self.blind(Component::Etcd),
            Asked::ApiServer => IntervalSet::Union(Vec::new()),
        }
    }

    /// It was not seen who led.
    fn blind(&self, component: Component) -> IntervalSet {
        let blind = self.leader(component).flat_map(|leader| &leader.blind);
        IntervalSet::Union(
            blind
                .map(|blind| Span::exact(blind.from, blind.until.unwrap_or(NEVER.latest)))
                .collect(),
        )
    }

    pub(super) fn leader(&self, component: Component) -> impl Iterator<Item = &'a LeaderFinding> {
        self.leaders.iter().filter(move |leader| leader.component == component)
    }

    fn unseen(&self, node: &str) -> IntervalSet {
        let gaps = leaders::unobserved(&self.timeline.records, node).into_iter();
        let at = |moment| self.zero.at(moment);
        IntervalSet::Union(
            gaps.map(|(from, until)| Span::exact(at(from), until.map_or(NEVER.latest, at)))
                .collect(),
        )
    }

    /// Each API server may have been down: it was, or was not observed.
    fn servers_unseen(&self) -> IntervalSet {
        let control_planes = self.control_planes().into_iter();
        IntervalSet::all(
            control_planes
                .map(|node| IntervalSet::any(vec![self.unseen(node), self.server_away(node)]))
                .collect(),
        )
    }

    /// The probes that ask the API server of a node directly for the same.
    fn direct(&self, node: &str, asked: Asked) -> impl Iterator<Item = &'a ProbeFinding> {
        let etcd = asked == Asked::Etcd;
        let wanted = Needs::ApiServer { node: Some(node.to_owned()), etcd };
        let files = self
            .timeline
            .probes
            .iter()
            .filter(move |file| file.span.probe.needs.as_ref() == Some(&wanted));
        files.filter_map(|file| self.probes.iter().find(|probe| probe.name == file.span.probe.name))
    }

    /// The API server of a node answered when it was asked directly.
    fn answers(&self, node: &str, asked: Asked) -> IntervalSet {
        let answers = self.direct(node, asked).map(|probe| {
            let probed = probe.asked.map(|asked| Span::exact(asked.earliest, asked.latest));
            IntervalSet::all(vec![
                IntervalSet::Union(probed.into_iter().collect()),
                failing(probe).not(),
            ])
        });
        IntervalSet::any(answers.collect())
    }

    /// All API servers were asked directly, and none answered.
    fn all_fail(&self, asked: Asked) -> IntervalSet {
        let fails = |node: &str| IntervalSet::any(self.direct(node, asked).map(failing).collect());
        IntervalSet::all(self.control_planes().into_iter().map(fails).collect())
    }

    /// The times in which something was away, from all changes.
    pub(super) fn spans(&self, changes: impl Iterator<Item = (Bracket, bool)>) -> Vec<Span> {
        let (mut spans, mut open): (Vec<Span>, Option<When>) = (Vec::new(), None);
        for (when, away) in changes.map(|(when, away)| (self.zero.when(when), away)) {
            match (open, away) {
                (None, true) => open = Some(when),
                // What an observer finds when it is back may have been so since it was lost, but
                // not before the thing went away.
                (Some(from), false) => {
                    spans.push(Span { from, until: from.later(when) });
                    open = None;
                }
                _ => {}
            }
        }
        spans.extend(open.map(|from| Span { from, until: NEVER }));
        spans
    }
}

/// When a part that a fault was stopping may still have been there.
pub(super) fn ending(fault: &FaultFinding) -> Span {
    let ended = fault.confirmed.as_ref().map(|seen| seen.at).or(fault.undo_requested);
    Span::exact(fault.requested, ended.unwrap_or(NEVER.latest))
}

/// When a fault was in effect; `None`: it was not seen to be. A machine that restarts by itself is
/// back when its container is.
fn in_effect(fault: &FaultFinding) -> Option<Span> {
    let seen = fault.seen()?.at;
    let from = When { earliest: fault.requested, latest: seen.max(fault.requested) };
    let traits = fault.kind.traits();
    if traits.impact == Impact::MachineOff && traits.ends == Ends::ByItself {
        let back = fault.confirmed.as_ref().map_or(NEVER.latest, |seen| seen.at);
        return Some(Span { from, until: from.later(When { earliest: seen, latest: back }) });
    }
    let undone = fault
        .undo_requested
        .map(|asked| When { earliest: asked, latest: fault.undone.unwrap_or(NEVER.latest) });
    Some(Span { from, until: undone.map_or(NEVER, |undone| from.later(undone)) })
}

/// When a probe saw errors. Where some of a burst's requests were answered, no moment of it is sure
/// to be an error.
fn failing(probe: &ProbeFinding) -> IntervalSet {
    let of = |burst: &Burst| {
        let (from, until) = (burst.start.when, burst.end.when);
        if burst.failed == burst.attempts {
            Span { from, until }
        } else {
            Span::maybe(from.earliest, until.latest)
        }
    };
    IntervalSet::Union(probe.windows.iter().flat_map(|window| &window.bursts).map(of).collect())
}

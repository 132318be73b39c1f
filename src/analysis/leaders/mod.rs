//! Who led each part of the control plane, when nobody did, and who went on beside his successor.
//!
//! ```text
//! records -> facts.rs (leases, members' own word, processes, faults) -> reign.rs (one walk in the order of time) -> findings
//! ```

mod facts;
mod reign;
#[cfg(test)]
mod tests;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clock::Zero;
use super::findings::When;
use crate::stats::{Between, Seconds};
use crate::timeline::{
    Bracket, Component, Event, Moment, NodeRole, ProcessState, Record, Timeline,
};

/// The watch that follows the leases of leaders.
const LEASE_WATCH: &str = "leader leases";
/// A time in which nobody looked that is shorter than this is the time between two looks.
const LOOK: Seconds = Seconds::from_nanos(1_000_000_000);
/// Of the parts of a control plane, those of which one leads.
const LED: [Component; 3] = [Component::Etcd, Component::ControllerManager, Component::Scheduler];

/// Who led a part of the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaderFinding {
    /// The part.
    pub component: Component,
    /// The nodes of the control plane, each with an etcd member. Empty: not known.
    #[serde(default)]
    pub control_planes: Vec<String>,
    /// Who led, one after the other.
    pub held: Vec<Tenure>,
    /// The times in which nobody did.
    pub gaps: Vec<LeaderGap>,
    /// Leaders whose process ran on beside their successor, and so may have believed that they still led.
    pub old: Vec<OldLeader>,
    /// Times in which it was not seen how the leader was.
    pub blind: Vec<Blind>,
}

/// One leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tenure {
    /// Its node.
    pub node: String,
    /// When it began to lead; `None`: before the run.
    pub from: Option<When>,
    /// When it was lost; `None`: it led to the end.
    pub until: Option<When>,
}

/// A time without a leader: none whose process runs and whose lease, or whose peers, say that it leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaderGap {
    /// The node of the leader that was lost.
    pub node: String,
    /// How it was lost.
    pub loss: LeaderLoss,
    /// When it was lost.
    pub from: When,
    /// When one led again; `None`: not by the end of the timeline.
    pub until: Option<When>,
    /// The node of the one that led then.
    pub next: Option<String>,
    /// How long it was; up to where the watches end where it has no end.
    pub length: Between,
}

/// How a leader was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LeaderLoss {
    /// Its process, or its node, was gone.
    Gone,
    /// Its process, or its node, was frozen.
    Frozen,
    /// It gave its lease back.
    GivenBack,
    /// It said that it no longer leads: an etcd member without a quorum, or one that has heard of a newer leader.
    StoodDown,
    /// It did not renew its lease in time, though its process ran.
    Expired,
    /// Nobody saw it.
    Unseen,
}

impl LeaderLoss {
    /// In words: `its process was gone`.
    pub fn words(self) -> &'static str {
        match self {
            LeaderLoss::Gone => "its process was gone",
            LeaderLoss::Frozen => "it was frozen",
            LeaderLoss::GivenBack => "it gave its lease back",
            LeaderLoss::StoodDown => "it stood down",
            LeaderLoss::Expired => "its lease expired",
            LeaderLoss::Unseen => "nobody saw how",
        }
    }
}

/// A leader's process that ran on after another had taken its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OldLeader {
    /// Its node.
    pub node: String,
    /// The node of its successor.
    pub next: String,
    /// From when both ran: the successor had taken over, and it had been thawed.
    pub from: When,
    /// When it gave up (its process ended, or it said so itself); `None`: not by the end of the timeline.
    pub until: Option<When>,
    /// How long it lived on; up to the end of the timeline where it has no end.
    pub length: Between,
}

/// A time in which it was not seen how a leader was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Blind {
    /// From when.
    pub from: Seconds,
    /// Until when; `None`: to the end.
    pub until: Option<Seconds>,
    /// Who could not see, and why.
    pub why: String,
}

impl LeaderFinding {
    /// Who led at a moment, as far as is known.
    pub fn at(&self, moment: Seconds) -> Option<&Tenure> {
        self.held.iter().find(|tenure| {
            let began = tenure.from.is_none_or(|from| from.latest <= moment);
            began && tenure.until.is_none_or(|until| until.latest > moment)
        })
    }

    /// The first that began to lead after a moment.
    pub fn next_after(&self, moment: Seconds) -> Option<(&Tenure, When)> {
        self.held
            .iter()
            .find_map(|tenure| Some((tenure, tenure.from.filter(|from| from.latest > moment)?)))
    }

    /// Whether anything changed from a moment on.
    pub fn changed_after(&self, moment: Seconds) -> bool {
        let gap = self.gaps.iter().any(|gap| gap.until.is_none_or(|until| until.latest > moment));
        gap || self.next_after(moment).is_some() || !self.old.is_empty()
    }
}

/// Every part of which a leader is known.
pub fn leaders(timeline: &Timeline, zero: Zero) -> Vec<LeaderFinding> {
    let last = timeline
        .records
        .iter()
        .map(|record| record.at)
        .max()
        .unwrap_or(timeline.header.anchor.monotonic);
    let nodes = &timeline.header.cluster.nodes;
    let control_planes = nodes
        .iter()
        .filter(|node| node.role == NodeRole::ControlPlane)
        .map(|node| node.name.clone());
    let control_planes: Vec<String> = control_planes.collect();
    let found =
        LED.into_iter().filter_map(|component| leader(&timeline.records, component, zero, last));
    found
        .map(|leaders| LeaderFinding { control_planes: control_planes.clone(), ..leaders })
        .collect()
}

/// Until when somebody looked: the watches end with the clean up, which may go on for minutes, or with the last thing they told.
fn looked_until(records: &[Record], facts: &[facts::Fact<'_>], last: Moment) -> Moment {
    let ends = |record: &&Record| matches!(&record.event, Event::Stage { name } if name == Event::CLEAN_UP);
    let told = facts.iter().map(|fact| fact.when.latest).max();
    records
        .iter()
        .find(ends)
        .map_or(last, |record| told.map_or(record.at, |told| told.max(record.at)))
}

fn leader(
    records: &[Record],
    component: Component,
    zero: Zero,
    last: Moment,
) -> Option<LeaderFinding> {
    let facts = facts::facts(records, component);
    let end = looked_until(records, &facts, last);
    let by_lease = component != Component::Etcd;
    let watched =
        if by_lease { gaps(records, |event| watch_gap(event, LEASE_WATCH)) } else { Vec::new() };
    let known = watched.last().filter(|gap| gap.until.is_none()).map_or(end, |gap| gap.from);
    let reigns = reign::walk(&facts, known);
    if reigns.held.is_empty() {
        return None;
    }
    let mut blind = watched;
    blind.extend(reigns.held.iter().flat_map(|reign| unseen(records, reign, end)));
    let blind = blind
        .into_iter()
        .map(|gap| gap.blind(zero))
        .filter(|gap| gap.until.is_none_or(|until| until - gap.from > LOOK));
    Some(LeaderFinding {
        component,
        control_planes: Vec::new(),
        held: reigns.held.iter().map(|reign| tenure(reign, zero)).collect(),
        gaps: reigns.gaps.iter().map(|gap| without(gap, zero, end)).collect(),
        old: reigns.old.iter().map(|old| lived_on(old, zero, end)).collect(),
        blind: blind.collect(),
    })
}

fn tenure(reign: &reign::Reign<'_>, zero: Zero) -> Tenure {
    let when = |bracket: Option<Bracket>| bracket.map(|bracket| zero.when(bracket));
    Tenure { node: reign.node.to_owned(), from: when(reign.from), until: when(reign.until) }
}

fn without(gap: &reign::Gap<'_>, zero: Zero, end: Moment) -> LeaderGap {
    let until = gap.until.map(|(until, _)| until);
    LeaderGap {
        node: gap.node.to_owned(),
        loss: gap.loss,
        from: zero.when(gap.from),
        until: until.map(|until| zero.when(until)),
        next: gap.until.map(|(_, next)| next.to_owned()),
        length: length(gap.from, until.unwrap_or(Bracket::exact(end)), zero),
    }
}

fn lived_on(old: &reign::Old<'_>, zero: Zero, end: Moment) -> OldLeader {
    OldLeader {
        node: old.node.to_owned(),
        next: old.next.to_owned(),
        from: zero.when(old.from),
        until: old.until.map(|until| zero.when(until)),
        length: length(old.from, old.until.unwrap_or(Bracket::exact(end)), zero),
    }
}

fn length(from: Bracket, until: Bracket, zero: Zero) -> Between {
    let (from, until) = (zero.when(from), zero.when(until));
    Between::new((until.earliest - from.latest).or_zero(), (until.latest - from.earliest).or_zero())
}

/// A time in which somebody did not see.
struct Unseen {
    from: Moment,
    until: Option<Moment>,
    why: String,
}

impl Unseen {
    fn blind(self, zero: Zero) -> Blind {
        Blind {
            from: zero.at(self.from),
            until: self.until.map(|until| zero.at(until)),
            why: self.why,
        }
    }
}

fn watch_gap(event: &Event, wanted: &str) -> Option<(Option<Moment>, String)> {
    match event {
        Event::WatchGap { watch, until, reason } if watch == wanted => {
            Some((*until, format!("the watch of {watch} was blind: {reason}")))
        }
        _ => None,
    }
}

fn observer_gap(event: &Event, wanted: &str) -> Option<(Option<Moment>, String)> {
    match event {
        Event::ObserverGap { node, until, reason } if node == wanted => {
            Some((*until, format!("nobody looked at {node}: {reason}")))
        }
        _ => None,
    }
}

/// What is known to have happened to the processes of a part, in the order of time: on which node, when, and how each was then.
pub(super) fn processes(
    records: &[Record],
    component: Component,
) -> Vec<(&str, Bracket, ProcessState)> {
    let facts = facts::facts(records, component).into_iter();
    let of = facts.filter_map(|fact| match fact.what {
        facts::What::Process { node, state, .. } | facts::What::Power { node, state } => {
            Some((node, fact.when, state))
        }
        _ => None,
    });
    of.collect()
}

/// The times in which nobody looked at a node.
pub(super) fn unobserved(records: &[Record], node: &str) -> Vec<(Moment, Option<Moment>)> {
    gaps(records, |event| observer_gap(event, node))
        .into_iter()
        .map(|gap| (gap.from, gap.until))
        .collect()
}

/// Gaps of one kind. Each is told when it opens and when it closes: the latter counts.
fn gaps(
    records: &[Record],
    read: impl Fn(&Event) -> Option<(Option<Moment>, String)>,
) -> Vec<Unseen> {
    let mut gaps: Vec<Unseen> = Vec::new();
    for record in records {
        let Some((until, why)) = read(&record.event) else { continue };
        let from = record.since.unwrap_or(record.at);
        gaps.retain(|gap| gap.from != from);
        gaps.push(Unseen { from, until, why });
    }
    gaps
}

/// The times within a reign in which nobody looked at the leader's node.
fn unseen(records: &[Record], reign: &reign::Reign<'_>, end: Moment) -> Vec<Unseen> {
    let (began, ended) =
        (reign.from.map_or(Moment(0), |from| from.latest), reign.until.map(|until| until.latest));
    if !records
        .iter()
        .any(|record| matches!(&record.event, Event::Process { node, .. } if node == reign.node))
    {
        let why = format!("nobody looked at {}", reign.node);
        return vec![Unseen {
            from: began.max(records.first().map_or(end, |first| first.at)),
            until: ended,
            why,
        }];
    }
    let inside = |gap: Unseen| {
        let from = gap.from.max(began);
        let until = match (gap.until, ended) {
            (Some(gap), Some(reign)) => Some(gap.min(reign)),
            (gap, reign) => gap.or(reign),
        };
        until.is_none_or(|until| until > from).then_some(Unseen { from, until, why: gap.why })
    };
    gaps(records, |event| observer_gap(event, reign.node)).into_iter().filter_map(inside).collect()
}

//! A timeline's records as facts about who leads one part of the control plane.

use std::time::Duration;

use crate::timeline::leader::{LEADER_LEASES, node_of};
use crate::timeline::{
    Bracket, Change, Component, Event, FaultPhase, Impact, Moment, ProcessState, Record,
};

use super::super::findings::LeaderLoss;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact<'a> {
    pub when: Bracket,
    pub what: What<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What<'a> {
    /// A process of this node leads, as its lease or its own status says. A lease's holder is one
    /// process, which `identity` names.
    Leads { node: &'a str, identity: Option<String>, lasts: Option<Duration> },
    /// The leader (the one on this node, where it is named) has reported that it no longer leads.
    Resigns { node: Option<&'a str>, loss: LeaderLoss },
    /// How the process on a node is. `pid` is `None` where it is not there, or its number is not
    /// known.
    Process { node: &'a str, pid: Option<u32>, state: ProcessState },
    /// What is frozen on a node is asked to go on.
    Unfreezes { node: &'a str },
    /// The node's power: what runs there is gone, is frozen, or runs again if it was frozen.
    Power { node: &'a str, state: ProcessState },
}

impl Fact<'_> {
    /// Whether the watch of leases showed it.
    pub(super) fn is_of_lease(&self) -> bool {
        matches!(
            self.what,
            What::Leads { identity: Some(_), .. }
                | What::Resigns { loss: LeaderLoss::GivenBack, .. }
        )
    }
}

/// All facts about a part, in the order of time.
pub(super) fn facts(records: &[Record], component: Component) -> Vec<Fact<'_>> {
    let observed = records.iter().any(|record| matches!(record.event, Event::Process { .. }));
    let mut facts: Vec<Fact<'_>> =
        records.iter().filter_map(|record| reported(record, component)).collect();
    facts
        .extend(records.iter().filter_map(|record| of_fault(records, record, component, observed)));
    facts.sort_by_key(|fact| fact.when.latest);
    facts
}

fn reported(record: &Record, component: Component) -> Option<Fact<'_>> {
    let what = match &record.event {
        Event::Lease { namespace, name, change, holder, transitions, lasts_s, .. }
            if namespace == LEADER_LEASES
                && name == component.name()
                && *change != Change::Deleted =>
        {
            match holder {
                Some(holder) => What::Leads {
                    node: node_of(holder),
                    identity: Some(format!("{holder}/{}", transitions.unwrap_or_default())),
                    lasts: lasts_s
                        .and_then(|seconds| u64::try_from(seconds).ok())
                        .map(Duration::from_secs),
                },
                None => What::Resigns { node: None, loss: LeaderLoss::GivenBack },
            }
        }
        Event::EtcdMember { node, is_leader: true, .. } if component == Component::Etcd => {
            What::Leads { node, identity: None, lasts: None }
        }
        Event::EtcdMember { node, answers: true, .. } if component == Component::Etcd => {
            What::Resigns { node: Some(node), loss: LeaderLoss::StoodDown }
        }
        Event::Process { node, component: part, pid, state } if *part == component => {
            What::Process { node, pid: *pid, state: *state }
        }
        _ => return None,
    };
    Some(Fact { when: record.bracket(), what })
}

/// What a fault did to a node, or, where processes were not observed, to the part.
fn of_fault<'a>(
    records: &'a [Record],
    record: &'a Record,
    component: Component,
    observed: bool,
) -> Option<Fact<'a>> {
    let Event::Fault { step, fault, target, component: part, phase, .. } = &record.event else {
        return None;
    };
    let impact = fault.traits().impact;
    let frozen = matches!(impact, Impact::MachineFrozen | Impact::ProcessFrozen);
    if frozen && *phase == FaultPhase::UndoRequested && part.is_none_or(|part| part == component) {
        return Some(Fact { when: record.bracket(), what: What::Unfreezes { node: target } });
    }
    let same = |other: &Record, wanted: FaultPhase| {
        matches!(&other.event, Event::Fault { step: of, target: on, component: hit, phase, .. }
            if (of, on, hit) == (step, target, part) && *phase == wanted)
    };
    // The effect is gone before it is verified that all works again.
    let verified = *phase == FaultPhase::Undone
        && records.iter().any(|other| other.at <= record.at && same(other, FaultPhase::Reverted));
    let state = match phase {
        _ if verified => return None,
        FaultPhase::Confirmed if frozen => ProcessState::Stopped,
        FaultPhase::Confirmed if matches!(impact, Impact::MachineOff | Impact::ProcessGone) => {
            ProcessState::Gone
        }
        FaultPhase::Reverted | FaultPhase::Undone if frozen => ProcessState::Running,
        _ => return None,
    };
    let asked = match state {
        ProcessState::Running => FaultPhase::UndoRequested,
        ProcessState::Stopped | ProcessState::Gone => FaultPhase::Requested,
    };
    let earlier = records.iter().filter(|other| other.at <= record.at);
    let asked = earlier.rev().find(|other| same(other, asked));
    let when = Bracket::new(asked.map_or(record.at, |asked| asked.at), record.at);
    match part {
        None => Some(Fact {
            when: narrowed(records, target, state, when),
            what: What::Power { node: target, state },
        }),
        Some(part) if *part == component && !observed => {
            Some(Fact { when, what: What::Process { node: target, pid: None, state } })
        }
        Some(_) => None,
    }
}

/// The engine's event and the observer's last look are more precise.
fn narrowed(records: &[Record], node: &str, state: ProcessState, when: Bracket) -> Bracket {
    let action = match state {
        ProcessState::Gone => "die",
        ProcessState::Stopped => "pause",
        ProcessState::Running => "unpause",
    };
    let inside = |at: Moment| when.holds(at).then_some(at);
    let engine = records.iter().find_map(|record| match &record.event {
        Event::Docker { container, action: seen, .. } if container == node && seen == action => {
            inside(record.at)
        }
        _ => None,
    });
    let latest = engine.unwrap_or(when.latest);
    let looked = records.iter().find_map(|record| match &record.event {
        Event::ObserverGap { node: of, .. } if of == node => inside(record.since?),
        _ => None,
    });
    Bracket { earliest: looked.filter(|looked| *looked <= latest).unwrap_or(when.earliest), latest }
}

//! What each fault came to: its own phases, and what the engine, the node, its endpoints and
//! Kubernetes' events show of it.

use super::clock::Zero;
use super::endpoints;
use super::findings::{Detected, FaultFinding, NodeFinding, Seen, When};
use super::{overlap, sign_of_life};
use crate::stats::Seconds;
use crate::timeline::{
    Anchor, Change, Component, Ends, Event, FaultName, FaultPhase, Impact, Moment, ProcessState,
    Ready, Record, Timeline,
};

/// Every fault of a run, in the order of their requests.
pub(super) fn faults(timeline: &Timeline, zero: Zero) -> Vec<FaultFinding> {
    let requests: Vec<Request<'_>> = timeline.records.iter().filter_map(Request::of).collect();
    let (records, anchor) = (timeline.records.as_slice(), &timeline.header.anchor);
    let step_targets = |step: u32| {
        requests.iter().filter(|other| other.step == step).map(|other| other.target).collect()
    };
    let alone = |number: usize| {
        let request = requests[number];
        Scope {
            records,
            anchor,
            zero,
            request,
            step_targets: step_targets(request.step),
            until: Moment(u64::MAX),
        }
    };
    let spans: Vec<overlap::Span> =
        (0..requests.len()).map(|number| alone(number).span()).collect();
    let (until, overlaps) = (overlap::ends(&spans), overlap::groups(&spans));
    let scopes =
        until.into_iter().enumerate().map(|(number, until)| Scope { until, ..alone(number) });
    scopes.zip(overlaps).map(|(scope, overlap)| FaultFinding { overlap, ..scope.fault() }).collect()
}

#[derive(Clone, Copy)]
struct Request<'a> {
    step: u32,
    name: Option<&'a str>,
    kind: &'a FaultName,
    target: &'a str,
    component: Option<Component>,
    at: Moment,
}

impl<'a> Request<'a> {
    /// What tells it from all others of its run.
    fn key(&self) -> (u32, &'a str, Option<Component>) {
        (self.step, self.target, self.component)
    }

    fn of(record: &'a Record) -> Option<Self> {
        match &record.event {
            Event::Fault {
                step,
                name,
                fault,
                target,
                component,
                phase: FaultPhase::Requested,
                ..
            } => {
                let (name, at) = (name.as_deref(), record.at);
                Some(Self { step: *step, name, kind: fault, target, component: *component, at })
            }
            _ => None,
        }
    }
}

/// One fault, and the records up to the next one that begins after it.
struct Scope<'a> {
    records: &'a [Record],
    anchor: &'a Anchor,
    zero: Zero,
    request: Request<'a>,
    step_targets: Vec<&'a str>,
    until: Moment,
}

impl<'a> Scope<'a> {
    fn span(&self) -> overlap::Span<'a> {
        let undo = self.undo_began().unwrap_or(Moment(u64::MAX));
        overlap::Span {
            step: self.request.step,
            target: self.request.target,
            requested: self.request.at,
            undo,
            of_object: self.request.kind.traits().impact == Impact::Objects,
        }
    }

    fn fault(&self) -> FaultFinding {
        let at = |phase| self.phase(phase).map(|(at, _)| self.zero.at(at));
        let undo_requested = self.undo_began();
        let undo = undo_requested.unwrap_or(Moment(u64::MAX));
        let span = endpoints::Span { requested: self.request.at, undo, until: self.until };
        let services = endpoints::services(
            self.records,
            self.request.target,
            &self.step_targets,
            span,
            self.zero,
        );
        FaultFinding {
            step: self.request.step,
            name: self.request.name.map(str::to_owned),
            overlap: self.request.step,
            kind: self.request.kind.clone(),
            target: self.request.target.to_owned(),
            component: self.request.component,
            requested: self.zero.at(self.request.at),
            also_hit: self.seen(FaultPhase::AlsoHits),
            waits: self.phases(FaultPhase::Waits).map(|seen| self.seen_at(seen)).collect(),
            returned: at(FaultPhase::Returned),
            confirmed: self.seen(FaultPhase::Confirmed),
            engine: self.engine(),
            undo_requested: undo_requested.map(|at| self.zero.at(at)),
            undone: self.undone().map(|at| self.zero.at(at)),
            undone_earliest: self.undone().and(self.gone_since()).map(|at| self.zero.at(at)),
            wore_off: self.wore_off(),
            not_undone: self
                .seen(FaultPhase::NotUndone)
                .filter(|_| self.phase(FaultPhase::Undone).is_none()),
            node: self.node(undo),
            services,
            notices: self.notices(),
        }
    }

    /// The records from the request up to the next one.
    fn after(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|record| record.at >= self.request.at && record.at < self.until)
    }

    /// A phase's first record. Phases of this step may come after the next request too (an undo
    /// that was retried).
    fn phase(&self, wanted: FaultPhase) -> Option<(Moment, &str)> {
        self.phases(wanted).next()
    }

    fn phases(&self, wanted: FaultPhase) -> impl Iterator<Item = (Moment, &str)> {
        self.records_of(wanted).map(|(record, detail)| (record.at, detail))
    }

    fn records_of(&self, wanted: FaultPhase) -> impl Iterator<Item = (&Record, &str)> {
        self.records.iter().filter(|record| record.at >= self.request.at).filter_map(
            move |record| match &record.event {
                Event::Fault { step, phase, detail, target, component, .. }
                    if (*step, target.as_str(), *component) == self.request.key()
                        && *phase == wanted =>
                {
                    Some((record, detail.as_str()))
                }
                _ => None,
            },
        )
    }

    /// When its undo began: where the node's own timer undid it, not before that was due, however
    /// long an undo had waited for it.
    fn undo_began(&self) -> Option<Moment> {
        let (asked, _) = self.phase(FaultPhase::UndoRequested)?;
        Some(self.gone_since().map_or(asked, |since| since.max(asked)))
    }

    /// Since when the effect may have been gone; `None`: it was seen to end.
    fn gone_since(&self) -> Option<Moment> {
        let gone = self.gone()?;
        let mut reverted = self.records_of(FaultPhase::Reverted);
        reverted.find(|(record, _)| record.at == gone)?.0.since
    }

    /// When the effect was gone of which it was found afterwards that all works again.
    fn undone(&self) -> Option<Moment> {
        self.phase(FaultPhase::Undone)?;
        self.gone()
    }

    /// When the effect was first seen to be gone after an undo began. An undo that comes again,
    /// because not all worked, finds it gone.
    fn gone(&self) -> Option<Moment> {
        let undo = self.phase(FaultPhase::UndoRequested).map(|(at, _)| at);
        let reverted = self.phases(FaultPhase::Reverted).map(|(at, _)| at);
        let undone = self.phase(FaultPhase::Undone).map(|(at, _)| at);
        let by_undo = |at: &Moment| undo.is_none_or(|undo| *at >= undo);
        reverted.chain(undone).filter(by_undo).min().or(undone)
    }

    fn seen(&self, phase: FaultPhase) -> Option<Seen> {
        self.phase(phase).map(|seen| self.seen_at(seen))
    }

    fn seen_at(&self, (at, detail): (Moment, &str)) -> Seen {
        Seen { at: self.zero.at(at), own_time: None, what: detail.to_owned(), exit_code: None }
    }

    /// The first sign of an effect that is over before its undo: of its process, of its engine, or
    /// that nothing was left to undo.
    fn wore_off(&self) -> Option<Seen> {
        let from = self.phase(FaultPhase::Confirmed)?.0;
        let undo = self.phase(FaultPhase::UndoRequested).map(|(at, _)| at);
        let held = |record: &&Record| record.at > from && undo.is_none_or(|undo| record.at < undo);
        let sign = |record: &Record| {
            Some(Seen {
                at: self.zero.at(record.at),
                own_time: None,
                what: self.over(&record.event)?,
                exit_code: None,
            })
        };
        // An undo that comes again finds nothing either.
        let gone = self.gone();
        let worn_off = || {
            let (at, _) = self.phase(FaultPhase::WoreOff)?;
            gone.is_none_or(|gone| at <= gone).then(|| self.seen(FaultPhase::WoreOff))?
        };
        self.after().filter(held).find_map(sign).or_else(worn_off)
    }

    fn over(&self, event: &Event) -> Option<String> {
        let Request { kind, target, component, .. } = self.request;
        let traits = kind.traits();
        if traits.ends != Ends::Undone {
            return None;
        }
        match event {
            Event::Process { node, component: part, state, .. }
                if node == target && Some(*part) == component =>
            {
                match (traits.impact, state) {
                    (Impact::ProcessFrozen, ProcessState::Gone) => {
                        Some("its process was gone".into())
                    }
                    (Impact::ProcessFrozen | Impact::ProcessGone, ProcessState::Running) => {
                        Some("its process ran".into())
                    }
                    _ => None,
                }
            }
            Event::Docker { container, action, .. } if container == target => {
                let undo = traits.engine?.undo;
                (action == undo).then(|| format!("the engine reported `{action}`"))
            }
            _ => None,
        }
    }

    fn own(&self, time: &Option<jiff::Timestamp>) -> Option<Seconds> {
        self.anchor.moment_of((*time)?).map(|at| self.zero.at(at))
    }

    fn engine(&self) -> Vec<Seen> {
        let seen = |record: &Record| match &record.event {
            Event::Docker { container, action, engine_time, exit_code }
                if container == self.request.target =>
            {
                Some(Seen {
                    at: self.zero.at(record.at),
                    own_time: self.own(engine_time),
                    what: action.clone(),
                    exit_code: *exit_code,
                })
            }
            _ => None,
        };
        self.after().filter_map(seen).collect()
    }

    fn notices(&self) -> Vec<Seen> {
        let about = format!("Node/{}", self.request.target);
        let seen = |record: &Record| match &record.event {
            Event::KubeEvent { reason, regarding, time, change: Change::Changed, .. }
                if *regarding == about =>
            {
                Some(Seen {
                    at: self.zero.at(record.at),
                    own_time: self.own(time),
                    what: reason.clone(),
                    exit_code: None,
                })
            }
            _ => None,
        };
        self.after().filter_map(seen).collect()
    }

    fn states(&self) -> impl Iterator<Item = State<'_>> {
        self.records
            .iter()
            .filter(|r| r.at < self.until)
            .filter_map(|record| State::of(record, self.request.target))
    }

    fn node(&self, undo: Moment) -> NodeFinding {
        let before = self.states().take_while(|s| s.record.at < self.request.at).last();
        let detected = self
            .states()
            .filter(|s| s.changed && s.record.at >= self.request.at)
            .find(|s| s.is_detection(undo));
        let after = detected.as_ref().map(|s| s.record.at);
        let again = after.and_then(|after| {
            self.states().find(|s| s.record.at > after && s.ready == Ready::True)
        });
        NodeFinding {
            ready_before: before.map(|s| s.ready == Ready::True),
            detected: detected.map(|s| self.detected(&s)),
            ready_again: again.map(|s| self.zero.when(s.record.bracket())),
            heard_again: self.heard_again(),
        }
    }

    fn heard_again(&self) -> Option<When> {
        let requested = self.phase(FaultPhase::UndoRequested).map(|(at, _)| at);
        let since = sign_of_life::counts_from(self.request.kind, requested, self.undone()?);
        sign_of_life::after(self.records, self.anchor, self.request.target, since)
            .map(|heard| self.zero.when(heard))
    }

    fn detected(&self, state: &State<'_>) -> Detected {
        let when = self.zero.when(state.record.bracket());
        Detected {
            // It can't have been noticed before it happened, however long the watch was blind.
            at: When {
                earliest: when.earliest.max(self.zero.at(self.request.at)),
                latest: when.latest,
            },
            status: format!("{:?}", state.ready),
            reason: state.reason.to_owned(),
            transition: self.own(&state.transition),
        }
    }
}

struct State<'a> {
    record: &'a Record,
    changed: bool,
    ready: Ready,
    reason: &'a str,
    transition: Option<jiff::Timestamp>,
}

impl<'a> State<'a> {
    fn of(record: &'a Record, wanted: &str) -> Option<Self> {
        match &record.event {
            Event::Node { node, change, ready, reason, transition, .. }
                if node == wanted && *change != Change::Deleted =>
            {
                Some(Self {
                    record,
                    changed: *change == Change::Changed,
                    ready: *ready,
                    reason,
                    transition: *transition,
                })
            }
            _ => None,
        }
    }

    /// A node that starts again says False of itself for a moment: after the undo only the
    /// controller's Unknown counts.
    fn is_detection(&self, undo: Moment) -> bool {
        self.ready == Ready::Unknown || (self.ready == Ready::False && self.record.at < undo)
    }
}

//! A run as a picture: what is drawn, and when. The page and the static picture are made from it.
//!
//! ```text
//! view -> lanes.rs (findings) | history.rs (records) | probes.rs (attempts, by strip.rs) -> Picture -> draw.rs
//! ```

pub(super) mod draw;
mod history;
mod lane;
mod lanes;
mod probes;
mod strip;

pub(super) use lane::{Extent, Lane};
pub(super) use strip::{Bucket, FINEST, Level};

use super::line::Line;
use super::view::View;
use crate::analysis::Zero;
use crate::stats::Seconds;
use crate::timeline::{Event, Timeline};

/// What is drawn of a run.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    /// All that was recorded, until the clean-up.
    pub all: Extent,
    /// What is of interest: from a little before the first fault.
    pub shown: Extent,
    /// When faults and their undos were requested: lines across all lanes.
    pub guides: Vec<Guide>,
    /// The chain of events.
    pub moments: &'a [Line],
    pub lanes: Vec<Lane>,
}

#[derive(Debug)]
pub(super) struct Guide {
    pub at: Seconds,
    pub undo: bool,
}

impl<'a> Picture<'a> {
    /// The finest of the resolutions at which attempts are counted has no more than `most_buckets`,
    /// or there is only the coarsest.
    pub(super) fn new(view: &'a View<'_>, most_buckets: usize) -> Self {
        let all = extent(view);
        let mut lanes = lanes::of_findings(view, all);
        lanes.extend(probes::lanes(view, all, most_buckets));
        lanes.extend(history::lanes(view, all));
        lanes.retain(|lane| lane.strip.is_some() || !lane.spans.is_empty());
        lanes.sort_by_key(|lane| GROUPS.iter().position(|group| *group == lane.group));
        let guides = view.findings.faults.iter().flat_map(|fault| {
            let undo = fault.undo_requested.map(|at| Guide { at, undo: true });
            [Some(Guide { at: fault.requested, undo: false }), undo].into_iter().flatten()
        });
        let shown = shown(view, all);
        Self { all, shown, guides: guides.collect(), moments: &view.chain, lanes }
    }
}

/// From the top of the picture.
const GROUPS: [&str; 9] =
    ["run", "faults", "probes", "nodes", "Services", "leaders", "control plane", "pods", "gaps"];

/// From the first record to the clean-up, which is no part of what is measured.
fn extent(view: &View<'_>) -> Extent {
    let (timeline, zero) = (view.timeline, Zero::of(view.timeline).0);
    let records = &timeline.records;
    let at = |record: Option<&crate::timeline::Record>| record.map(|record| zero.at(record.at));
    let asked = || view.findings.probes.iter().filter_map(|probe| probe.asked);
    let first = at(records.first()).into_iter().chain(asked().map(|asked| asked.earliest)).min();
    let last = clean_up(timeline).map(|at| zero.at(at)).into_iter();
    let last = last.chain(asked().map(|asked| asked.latest)).max().or(at(records.last()));
    let last = last.max(view.chain.last().map(|line| line.at));
    let from = first.unwrap_or(Seconds::ZERO);
    Extent { from, to: last.unwrap_or(from).max(from + Seconds::from_nanos(1_000_000)) }
}

fn clean_up(timeline: &Timeline) -> Option<crate::timeline::Moment> {
    let ends = |event: &Event| matches!(event, Event::Stage { name } if name == Event::CLEAN_UP);
    timeline.records.iter().find(|record| ends(&record.event)).map(|record| record.at)
}

/// A sixth of what comes after the first fault, and no less than two seconds, lie before it.
fn shown(view: &View<'_>, all: Extent) -> Extent {
    let Some(first) = view.findings.faults.first() else { return all };
    let after = (all.to - first.requested).or_zero();
    let before = Seconds::from_nanos((after.as_nanos() / 8).max(2_000_000_000));
    Extent { from: all.from.max(first.requested - before), to: all.to }
}

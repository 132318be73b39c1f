//! What `run --watch` shows at the bottom of a terminal: a lane for each fault, node, Service and
//! probe, the last errors, what is waited for, and what will be undone.

use std::collections::BTreeMap;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::pinned::Size;
use crate::analysis::findings::Series;
use crate::engine::follower::{Observation, Tally};
use crate::report::spark::Spark;
use crate::report::{Ink, printable};
use crate::stats::Seconds;
use crate::timeline::{
    Change, Component, Event, FaultPhase, Moment, Ready, Record, counted, format_seconds,
};

/// How much of the time before the first fault is shown beside what follows it.
const BEFORE: Duration = Duration::from_secs(5);
/// Over how many columns a probe's present share of failures is taken: those of two seconds.
const RECENT: usize = 4;
const MOST_ERRORS: usize = 3;
const MOST_UNDOS: usize = 3;
/// Less has no room for lanes.
const NARROWEST: usize = 20;
/// The width of the first column.
const SECTION: usize = 6;

/// Lanes in the order in which they are shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Fault(FaultKey),
    Node(String),
    Service(String),
    Probe(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FaultKey {
    step: u32,
    target: String,
    component: Option<Component>,
}

/// How much of something is bad, over time.
#[derive(Clone, Debug, Default)]
struct Lane {
    bad: Vec<u32>,
    all: Vec<u32>,
    /// What is true until it changes, of a lane that has a state.
    present: Option<Share>,
    name: String,
    state: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Share {
    bad: u32,
    all: u32,
}

#[derive(Clone, Debug)]
struct ErrorCount {
    probe: String,
    class: String,
    count: u64,
    last: Moment,
}

#[derive(Clone, Debug)]
struct Undo {
    key: FaultKey,
    text: String,
    state: &'static str,
}

#[derive(Clone, Debug)]
struct Wait {
    at: Moment,
    what: Vec<String>,
    until: Moment,
}

#[derive(Clone, Debug)]
pub(super) struct Lanes {
    experiment: String,
    method: Duration,
    began: Moment,
    /// The first fault's request.
    zero: Option<Moment>,
    /// When the first fault was confirmed: from then on steps take their time.
    confirmed: Option<Moment>,
    /// What the run does now.
    step: String,
    lanes: BTreeMap<Key, Lane>,
    /// Whether each endpoint is ready, by Service and name.
    endpoints: BTreeMap<String, BTreeMap<String, bool>>,
    /// The latest last.
    errors: Vec<ErrorCount>,
    wait: Option<Wait>,
    undos: Vec<Undo>,
    interrupted: Option<String>,
}

impl Lane {
    fn resize(&mut self, columns: usize) {
        let Share { bad, all } = self.present.unwrap_or_default();
        if self.all.len() < columns {
            self.bad.resize(columns, bad);
            self.all.resize(columns, all);
        }
    }

    fn count(&mut self, column: usize, share: Share) {
        self.resize(column + 1);
        self.bad[column] += share.bad;
        self.all[column] += share.all;
    }

    /// From this column on it is so. A state that lasted for less than a column is seen in it.
    fn set(&mut self, column: usize, share: Share) {
        self.resize(column + 1);
        let worst = share.bad.max(self.bad[column]);
        self.bad[column..].fill(share.bad);
        self.all[column..].fill(share.all);
        self.bad[column] = worst.min(share.all);
        self.present = Some(share);
    }

    fn was_bad(&self) -> bool {
        self.bad.iter().any(|bad| *bad > 0)
    }

    fn is_bad(&self) -> bool {
        match self.present {
            Some(share) => share.bad > 0,
            None => self.recent().bad > 0,
        }
    }

    /// The last attempts that have come in: those of the present column may all be missing.
    fn recent(&self) -> Share {
        let end = self.all.iter().rposition(|all| *all > 0).map_or(0, |last| last + 1);
        let range = end.saturating_sub(RECENT)..end;
        Share { bad: self.bad[range.clone()].iter().sum(), all: self.all[range].iter().sum() }
    }
}

impl Lanes {
    /// Of a run whose steps take at least as long as `method`.
    pub(super) fn new(experiment: &str, method: Duration, began: Moment) -> Self {
        Self {
            experiment: experiment.to_owned(),
            method,
            began,
            zero: None,
            confirmed: None,
            step: String::new(),
            lanes: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            errors: Vec::new(),
            wait: None,
            undos: Vec::new(),
            interrupted: None,
        }
    }

    fn column(&self, at: Moment) -> usize {
        (Tally::column(at) - Tally::column(at.min(self.began))) as usize
    }

    fn lane(&mut self, key: Key, name: &str) -> &mut Lane {
        let named = || Lane { name: name.to_owned(), ..Lane::default() };
        self.lanes.entry(key).or_insert_with(named)
    }

    pub(super) fn step(&mut self, text: &str) {
        text.clone_into(&mut self.step);
    }

    pub(super) fn take(&mut self, seen: &Observation) {
        match seen {
            Observation::Record(record) => self.record(record),
            Observation::Attempts { probe, tallies } => {
                tallies.iter().for_each(|tally| self.attempts(probe, tally))
            }
            Observation::ToUndo { step, target, component, undo } => {
                let (step, target, component) = (*step, target.clone(), *component);
                let key = FaultKey { step, target, component };
                self.undos.push(Undo { key, text: undo.clone(), state: "" });
            }
            Observation::Waiting { at, what, until } => {
                self.wait = Some(Wait { at: *at, what: what.clone(), until: *until })
            }
            Observation::Failing { .. } | Observation::Answering { .. } => {}
        }
    }

    fn attempts(&mut self, probe: &str, tally: &Tally) {
        let column = self.column(tally.sent);
        let failed = tally.outcome.is_failure();
        let share = Share { bad: if failed { tally.count } else { 0 }, all: tally.count };
        self.lane(Key::Probe(probe.to_owned()), probe).count(column, share);
        if failed {
            self.error(probe, tally);
        }
    }

    fn error(&mut self, probe: &str, tally: &Tally) {
        let class = tally.outcome.label();
        let known =
            self.errors.iter().position(|error| error.probe == probe && error.class == class);
        let mut error = match known {
            Some(at) => self.errors.remove(at),
            None => ErrorCount { probe: probe.to_owned(), class, count: 0, last: tally.sent },
        };
        error.count += u64::from(tally.count);
        error.last = error.last.max(tally.sent);
        self.errors.push(error);
    }

    fn record(&mut self, record: &Record) {
        match &record.event {
            Event::Stage { .. } => _ = self.wait.take_if(|wait| wait.at <= record.at),
            Event::SteadyState { .. } | Event::SteadyStateMissed { .. } => self.wait = None,
            Event::Interrupted { signal } => self.interrupted = Some(signal.clone()),
            Event::ProbeStarted { probe, .. } => {
                self.lane(Key::Probe(probe.clone()), probe);
            }
            Event::Fault { step, fault, target, component, phase, .. } => {
                let name = format!("{} {}", fault.as_str(), Component::on(*component, target));
                let (step, target, component) = (*step, target.clone(), *component);
                self.fault(FaultKey { step, target, component }, &name, *phase, record.at);
            }
            Event::Node { node, change, ready, .. } => {
                let ready = if *change == Change::Deleted { Ready::Unknown } else { *ready };
                let (bad, state) = match ready {
                    Ready::True => (0, "Ready"),
                    Ready::False | Ready::Unknown => (1, "NotReady"),
                };
                let column = self.column(record.at);
                let lane = self.lane(Key::Node(node.clone()), node);
                lane.set(column, Share { bad, all: 1 });
                lane.state = state.into();
            }
            Event::Endpoint { service, change, endpoint } => {
                let name = endpoint.pod.as_ref().unwrap_or(&endpoint.address);
                let known = self.endpoints.entry(service.clone()).or_default();
                match change {
                    Change::Deleted => known.remove(name),
                    _ => known.insert(name.clone(), endpoint.ready),
                };
                let ready = known.values().filter(|ready| **ready).count() as u32;
                let column = self.column(record.at);
                let lane = self.lane(Key::Service(service.clone()), service);
                // Of as many as were ever ready.
                let all = lane.present.map_or(0, |share| share.all).max(ready);
                lane.set(column, Share { bad: all - ready, all });
                lane.state = format!("{ready}/{all} ready");
            }
            _ => {}
        }
    }

    fn fault(&mut self, key: FaultKey, name: &str, phase: FaultPhase, at: Moment) {
        // Half where the effect may be there.
        let (bad, state) = match phase {
            FaultPhase::Requested => (1, "requested"),
            FaultPhase::Confirmed => (2, "in effect"),
            FaultPhase::UndoRequested => (1, "undoing"),
            FaultPhase::Reverted | FaultPhase::WoreOff => (0, "effect gone"),
            FaultPhase::Undone => (0, "undone"),
            FaultPhase::NotUndone => (2, "NOT UNDONE"),
            FaultPhase::AlsoHits | FaultPhase::Waits | FaultPhase::Returned => return,
        };
        match phase {
            FaultPhase::Requested => _ = self.zero.get_or_insert(at),
            FaultPhase::Confirmed => _ = self.confirmed.get_or_insert(at),
            _ => {}
        }
        for undo in self.undos.iter_mut().filter(|undo| undo.key == key) {
            match phase {
                FaultPhase::UndoRequested => undo.state = "now: ",
                FaultPhase::NotUndone => undo.state = "NOT UNDONE: ",
                _ => {}
            }
        }
        if phase == FaultPhase::Undone {
            self.undos.retain(|undo| undo.key != key);
        }
        let column = self.column(at);
        let lane = self.lane(Key::Fault(key), name);
        lane.set(column, Share { bad, all: 2 });
        lane.state = state.into();
    }

    /// The lines, for a terminal of this size: none is as wide as it, and it keeps rows for others.
    pub(super) fn lines(&self, now: Moment, size: Size, colour: Option<Ink>) -> Vec<String> {
        if size.columns < NARROWEST {
            return Vec::new();
        }
        // What is echoed (`^C`) has room at the end of the last line.
        let page = Page { columns: size.columns.saturating_sub(3), colour };
        let mut tail = Vec::new();
        let errors = self.errors.iter().rev().take(MOST_ERRORS);
        page.list("errors", errors.map(|error| self.error_text(error)), &mut tail);
        page.list("wait", self.wait.iter().map(|wait| wait_text(wait, now)), &mut tail);
        let undos = self.undos.iter().rev();
        let mut texts: Vec<_> = undos
            .clone()
            .take(MOST_UNDOS)
            .map(|undo| format!("{}{}", undo.state, undo.text))
            .collect();
        if let Some(more) = undos.count().checked_sub(MOST_UNDOS).filter(|more| *more > 0) {
            texts.push(format!("and {more} more"));
        }
        let is_left = self.undos.iter().any(|undo| undo.state.is_empty());
        if self.interrupted.is_none() && is_left {
            texts.push("(Ctrl-C undoes it now)".into());
        }
        page.list("undo", texts.into_iter(), &mut tail);
        // Some rows are left to the lines above.
        let room = (size.rows.saturating_sub(3)).saturating_sub(tail.len() + 1);
        let mut lines = vec![page.head(&self.head(now))];
        lines.extend(self.rows(&page, now, room));
        lines.extend(tail);
        let surplus = lines.len().saturating_sub(size.rows.saturating_sub(1).max(1));
        lines.drain(..surplus);
        lines
    }

    fn head(&self, now: Moment) -> Vec<String> {
        let doing = match &self.interrupted {
            Some(signal) => format!("interrupted by {signal}, {}", self.step),
            None => self.step.clone(),
        };
        let elapsed = match self.zero {
            Some(zero) => format!("+{}", format_seconds(now.since(zero))),
            None => format_seconds(now.since(self.began)),
        };
        let mut parts = vec![self.experiment.clone(), doing, elapsed];
        let held = self.confirmed.map_or(Duration::ZERO, |confirmed| now.since(confirmed));
        let left = self.method.saturating_sub(held);
        if self.interrupted.is_none() && left >= Duration::from_secs(1) {
            parts.push(format!("at least {} left", format_seconds(left)));
        }
        parts
    }

    fn error_text(&self, error: &ErrorCount) -> String {
        let zero = self.zero.unwrap_or(self.began);
        let (last, count) = (error.last.seconds_since(zero), counted(error.count, "time"));
        format!("{} {} ({count}, last {last:+.1}s)", error.probe, error.class)
    }

    /// The lanes, under one scale of time; those that were bad where there is no room for all.
    fn rows(&self, page: &Page, now: Moment, room: usize) -> Vec<String> {
        let hit = |key: &Key, lane: &Lane| match key {
            Key::Node(node) => lane.was_bad() || self.is_target(node),
            _ => true,
        };
        let mut shown: Vec<_> = self.lanes.iter().filter(|(key, lane)| hit(key, lane)).collect();
        if room < 2 || shown.is_empty() {
            return Vec::new();
        }
        let hidden = (shown.len() + 1).saturating_sub(room);
        if hidden > 0 {
            shown.sort_by_key(|(_, lane)| !lane.was_bad());
            shown.truncate(room - 2);
            shown.sort_by_key(|(key, _)| *key);
        }
        let cells: Vec<_> = shown.iter().map(|(key, lane)| self.cells(key, lane)).collect();
        let widest = |text: fn(&Cells) -> &str| cells.iter().map(text).map(str::width).max();
        let rest = page.columns.saturating_sub(SECTION + 1);
        let name = widest(|cells| &cells.name).unwrap_or(0).min(rest * 35 / 100);
        let state = widest(|cells| &cells.state).unwrap_or(0).max(12).min(rest * 4 / 10);
        let strip = rest.saturating_sub(name + state + 2).max(1);
        let zero = self.zero.unwrap_or(self.began);
        let from = self.began.max(self.zero.map_or(self.began, |zero| zero.minus(BEFORE)));
        let scale = Scale { from, to: now, zero, columns: strip };
        let mut step = None;
        let (mut lines, mut section) = (Vec::new(), "");
        for ((_, lane), cells) in shown.iter().zip(&cells) {
            let spark = self.spark(lane, &scale);
            let row = format!(
                "{} {} {}",
                fit(&cells.name, name),
                fit(&spark.row, strip),
                page.state(fit(&cells.state, state).trim_end(), lane.is_bad())
            );
            let label = if section == cells.section { "" } else { cells.section };
            section = cells.section;
            lines.push(page.row(label, &row));
            step = Some(spark);
        }
        if hidden > 0 {
            lines.push(page.row("", &format!("and {} more", hidden + 1)));
        }
        if let Some(spark) = step {
            let mark = format!("{}+0", " ".repeat(spark.column(Seconds::ZERO)));
            let fits = self.zero.is_some() && mark.len() <= strip;
            let mark = if fits { &mark } else { "" };
            let row = format!("{} {} {}/column", fit("", name), fit(mark, strip), spark.step);
            lines.push(page.row("time", &cut(row.trim_end(), rest)));
        }
        lines
    }

    fn is_target(&self, node: &str) -> bool {
        self.lanes.keys().any(|key| matches!(key, Key::Fault(fault) if fault.target == node))
    }

    fn cells(&self, key: &Key, lane: &Lane) -> Cells {
        let (section, state) = match key {
            Key::Fault(_) => ("fault", lane.state.clone()),
            Key::Node(_) => ("node", lane.state.clone()),
            Key::Service(_) => ("svc", lane.state.clone()),
            Key::Probe(_) => (
                "probe",
                match lane.recent() {
                    Share { all: 0, .. } => "no answer".into(),
                    Share { bad: 0, .. } => "ok".into(),
                    Share { bad, all } => format!("{}% failed", (bad * 100).div_ceil(all)),
                },
            ),
        };
        Cells { section, name: clean(&lane.name), state }
    }

    /// A lane's strip.
    fn spark(&self, lane: &Lane, scale: &Scale) -> Spark {
        let Scale { from, to, zero, columns } = *scale;
        let since = |moment: Moment| Seconds::from_nanos(moment.0 as i64 - zero.0 as i64);
        let mut lane = lane.clone();
        // A state lasts until now.
        if lane.present.is_some() {
            lane.resize(self.column(to) + 1);
        }
        let step = Tally::STEP.as_nanos() as u64;
        let series = Series {
            start: since(Moment(Tally::column(self.began) * step)),
            step: Seconds::from_nanos(step as i64),
            failed: lane.bad,
            judged: lane.all,
        };
        Spark::new(&series, since(from), since(to), columns, false)
    }
}

/// The time that strips show, in so many columns.
struct Scale {
    from: Moment,
    to: Moment,
    zero: Moment,
    columns: usize,
}

struct Cells {
    section: &'static str,
    name: String,
    state: String,
}

fn wait_text(wait: &Wait, now: Moment) -> String {
    let left = format_seconds(wait.until.since(now));
    format!("{} ({left} at most)", wait.what.join("; "))
}

/// How wide lines may be, and what they are coloured with.
struct Page {
    columns: usize,
    colour: Option<Ink>,
}

impl Page {
    fn paint(&self, text: &str, colour: &str) -> String {
        match self.colour {
            Some(ink) if !text.is_empty() => {
                format!("{}{text}{}", ink.colour(colour), ink.colour("\x1b[0m"))
            }
            _ => text.to_owned(),
        }
    }

    /// The last parts, as many as fit.
    fn head(&self, parts: &[String]) -> String {
        let text = |from: usize| format!("── {} ", clean(&parts[from..].join(" · ")));
        let fits = (0..parts.len()).map(text).find(|text| text.width() <= self.columns);
        let text = fits.unwrap_or_default();
        let rest = self.columns.saturating_sub(text.width());
        self.paint(&format!("{text}{}", "─".repeat(rest)), "\x1b[2m")
    }

    fn row(&self, section: &str, row: &str) -> String {
        format!("{} {row}", self.paint(&fit(section, SECTION.min(self.columns)), "\x1b[2m"))
    }

    fn state(&self, text: &str, is_bad: bool) -> String {
        if is_bad { self.paint(text, "\x1b[31m") } else { text.to_owned() }
    }

    fn list(&self, section: &str, texts: impl Iterator<Item = String>, lines: &mut Vec<String>) {
        let columns = self.columns.saturating_sub(SECTION + 1);
        for (number, text) in texts.enumerate() {
            let section = if number == 0 { section } else { "" };
            lines.push(self.row(section, &cut(&clean(&text), columns)));
        }
    }
}

/// A text that is one line and does nothing to a terminal.
fn clean(text: &str) -> String {
    printable(text).replace('\n', " ")
}

/// A text of so many columns.
fn fit(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// A text in no more columns; what is left out is in its middle: names often differ at their ends.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let head = start(text.chars(), room - room / 2);
    let tail: String = start(text.chars().rev(), room / 2).chars().rev().collect();
    format!("{head}…{tail}")
}

/// The first characters, in so many columns.
fn start(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut taken = String::new();
    for c in chars {
        taken.push(c);
        if taken.width() > columns {
            taken.pop();
            break;
        }
    }
    taken
}

#[cfg(test)]
mod tests;

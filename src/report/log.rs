//! A run in the article's form: the wall clock, what a client got, and the endpoints by node; what
//! happened stands between.
//!
//! An attempt has a line when its class or the endpoints changed, and once a second; more than ten
//! changes a second are summed up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::events::EventWriter;
use super::text::{one_line, pad};
use super::view::View;
use crate::analysis::order::InOrder;
use crate::analysis::{Zero, endpoints};
use crate::timeline::{Attempt, Change, Event, Moment, ProbeFile, Record, Timeline};

/// Changes of class that have a line of their own, in a second.
const MOST_LINES: u32 = 10;
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Writes the run's log. Attempts are those of the first probe that a fault may touch.
pub fn write(view: &View<'_>, out: &mut impl Write) -> fmt::Result {
    let (timeline, found) = (view.timeline, view.findings);
    let zero = Zero::of(timeline).0;
    let probe = timeline.probes.iter().find(|probe| !probe.span.probe.control);
    let cluster = super::view::cluster(&timeline.header.cluster);
    let run = format!("{} run {}, {cluster}", timeline.header.name, timeline.header.run);
    writeln!(out, "# {}", one_line(&run))?;
    writeln!(out, "# +0 is {}; times are UTC, of sending", super::view::wall(&found.origin.wall))?;
    for warning in view.warnings() {
        writeln!(out, "# warning: {}", one_line(&warning))?;
    }
    if let Some(file) = probe {
        let probe = &file.span.probe;
        let attempts = format!("{}: {} from {}", probe.name, probe.target, probe.from);
        writeln!(out, "# attempts of {}", one_line(&attempts))?;
    }
    let service = probe.and_then(|probe| probe.span.probe.service.as_deref());
    let mut log = Log {
        timeline,
        zero,
        out,
        records: &timeline.records,
        service,
        endpoints: BTreeSet::new(),
        state: State::default(),
        sayer: EventWriter::default(),
    };
    log.attempts(probe)
}

struct Log<'a, W> {
    timeline: &'a Timeline,
    zero: Zero,
    out: &'a mut W,
    records: &'a [Record],
    service: Option<&'a str>,
    endpoints: BTreeSet<(&'a str, &'a str)>,
    state: State,
    sayer: EventWriter<'a>,
}

/// What was written last, and what is still to be written.
#[derive(Default)]
struct State {
    class: String,
    endpoints: String,
    printed: Option<Moment>,
    second: Option<Moment>,
    lines: u32,
    unsaid: BTreeMap<String, u64>,
    unsaid_until: Moment,
}

impl<'a, W: Write> Log<'a, W> {
    fn attempts(&mut self, file: Option<&'a ProbeFile>) -> fmt::Result {
        if let Some(file) = file {
            for attempt in InOrder::new(&file.span, file.attempts()) {
                let sent = file.span.sent(&attempt);
                self.events_until(sent)?;
                self.attempt(sent, &attempt)?;
            }
        }
        self.events_until(Moment(u64::MAX))?;
        self.sum_up()
    }

    fn stamp(&self, at: Moment) -> String {
        let wall = self.timeline.header.anchor.wall_of(at).strftime("%H:%M:%S%.3f").to_string();
        format!("{wall}  {:>10}", format!("{:+.3}", self.zero.at(at)))
    }

    fn events_until(&mut self, moment: Moment) -> fmt::Result {
        while let Some((record, rest)) =
            self.records.split_first().filter(|(record, _)| record.at <= moment)
        {
            self.records = rest;
            self.follow(&record.event);
            if let Some(text) = self.sayer.say(&record.event) {
                self.sum_up()?;
                writeln!(self.out, "{}  -- {}", self.stamp(record.at), one_line(&text))?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, event: &'a Event) {
        if let Event::Endpoint { service, change, endpoint } = event
            && Some(service.as_str()) == self.service
        {
            let key = (endpoint.node.as_deref().unwrap_or("no node"), endpoints::key(endpoint));
            match endpoint.ready && *change != Change::Deleted {
                true => self.endpoints.insert(key),
                false => self.endpoints.remove(&key),
            };
        }
    }

    fn endpoints(&self) -> String {
        let mut nodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (node, pod) in &self.endpoints {
            nodes.entry(node).or_default().push(pod);
        }
        let parts: Vec<String> =
            nodes.iter().map(|(node, pods)| format!("{node}: {}", pods.join(" "))).collect();
        if parts.is_empty() && self.service.is_some() {
            "no endpoints".into()
        } else {
            parts.join("  ")
        }
    }

    fn attempt(&mut self, sent: Moment, attempt: &Attempt) -> fmt::Result {
        if self.state.second.is_none_or(|second| sent >= second.plus(SECOND)) {
            self.sum_up()?;
            (self.state.second, self.state.lines) = (Some(sent), 0);
        }
        let (class, endpoints) = (attempt.outcome.label(), self.endpoints());
        let moved = endpoints != self.state.endpoints;
        let due = self.state.printed.is_none_or(|printed| sent >= printed.plus(SECOND));
        if !(moved || due || class != self.state.class) {
            return Ok(());
        }
        if self.state.lines >= MOST_LINES && !moved && !due {
            *self.state.unsaid.entry(class.clone()).or_default() += 1;
            (self.state.class, self.state.unsaid_until) = (class, sent);
            return Ok(());
        }
        self.sum_up()?;
        let took = format!("{:.1}ms", attempt.duration_us() as f64 / 1e3);
        let cause = attempt.outcome.cause().map_or(String::new(), |cause| format!("{cause}  "));
        let line = format!(
            "{}  {}{}{cause}{endpoints}",
            self.stamp(sent),
            pad(&class, 14),
            pad(&took, 10)
        );
        writeln!(self.out, "{}", one_line(line.trim_end()))?;
        self.state.lines += 1;
        (self.state.class, self.state.endpoints, self.state.printed) =
            (class, endpoints, Some(sent));
        Ok(())
    }

    fn sum_up(&mut self) -> fmt::Result {
        let unsaid = std::mem::take(&mut self.state.unsaid);
        if unsaid.is_empty() {
            return Ok(());
        }
        let total: u64 = unsaid.values().sum();
        let parts: Vec<String> =
            unsaid.iter().map(|(class, count)| format!("{count} to {class}")).collect();
        writeln!(
            self.out,
            "{}  .. {total} more changes: {}",
            self.stamp(self.state.unsaid_until),
            one_line(&parts.join(", "))
        )
    }
}

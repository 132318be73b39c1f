//! What is shown while a run goes on: a spinner a step on a terminal, plain lines elsewhere. All of
//! it on standard error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::env::{NARROWEST, Terminal};
use super::events::RunEvents;
use super::output::{complain_lines, pin, shared, visible};
use super::pinned::Size;
use super::watch_lanes::Lanes;
use crate::analysis::Recovering;
use crate::engine::environment::handle::Preparing;
use crate::engine::follower::Observation;
use crate::report::hang;
use crate::timeline::{
    Anchor, Change, Component, Endpoint, Event, FaultPhase, Moment, Ready, Record,
};

/// The warnings of all runs of a command, each with the number of its runs so far.
#[derive(Clone, Default)]
pub(super) struct Warned(Arc<Mutex<BTreeMap<String, u32>>>);

impl Warned {
    /// Whether it is the first of its text.
    fn is_new(&self, text: &str) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let count = counts.entry(text.to_owned()).or_default();
        *count += 1;
        *count == 1
    }

    /// Those that were repeated, and how often they came in all.
    pub(super) fn tell_repeated(&self) {
        self.repeated().iter().for_each(|text| complain!("{text}"));
    }

    fn repeated(&self) -> Vec<String> {
        let counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let repeated = counts.iter().filter(|(_, count)| **count > 1);
        repeated.map(|(text, count)| format!("warning, {count} times: {text}")).collect()
    }
}

/// How often lanes are drawn again.
const DRAWN_EACH: Duration = Duration::from_millis(250);

pub(super) struct Progress {
    terminal: Terminal,
    /// What is kept at the bottom of the terminal instead of a step's spinner.
    lanes: Option<Lanes>,
    step: Option<(ProgressBar, String)>,
    /// The first fault's request: the zero of the chain.
    zero: Option<Moment>,
    /// Nodes that a fault hit, and their last known condition: changes of it and of their endpoints
    /// are shown.
    hit: BTreeMap<String, Option<Ready>>,
    /// Whether each endpoint that was ever ready was so when it was seen last, by Service and name.
    endpoints: BTreeMap<(String, String), bool>,
    recovering: Recovering,
    warned: Warned,
    events: RunEvents,
}

impl Progress {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self {
            terminal: shared(terminal),
            lanes: None,
            step: None,
            zero: None,
            hit: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            recovering: Recovering::new(Anchor::take()),
            warned: Warned::default(),
            events: RunEvents::default(),
        }
    }

    /// One of a run: warnings that another run of the command has had are counted, not repeated.
    pub(super) fn of_run(
        terminal: Terminal,
        warned: &Warned,
        lanes: Option<Lanes>,
        events: RunEvents,
    ) -> Self {
        let mut progress = Self::new(terminal);
        (progress.warned, progress.lanes, progress.events) = (warned.clone(), lanes, events);
        progress
    }

    /// Shows a run until it ends.
    pub(super) fn follow(mut self, mut seen: Receiver<Observation>) {
        if self.lanes.is_none() {
            while let Some(sight) = seen.blocking_recv() {
                self.show(&sight);
            }
        } else {
            loop {
                match seen.try_recv() {
                    Ok(sight) => self.show(&sight),
                    Err(TryRecvError::Empty) => {
                        self.draw();
                        std::thread::sleep(DRAWN_EACH);
                    }
                    Err(TryRecvError::Disconnected) => break,
                }
            }
        }
        self.done();
    }

    fn draw(&mut self) {
        if let (Some(lanes), Some(size)) = (&self.lanes, Size::now()) {
            // It may have been resized.
            self.terminal.width = size.columns.max(NARROWEST);
            pin(&lanes.lines(Moment::now(), size, self.terminal.colour));
        }
    }

    pub(super) fn news(&mut self, news: Preparing<'_>) {
        match news {
            Preparing::Step(text) => self.step(text),
            Preparing::Detail(text) => self.detail(text),
        }
    }

    /// A step began; the one before it is done.
    pub(super) fn step(&mut self, text: impl Into<String>) {
        self.done();
        let text = visible(&text.into()).into_owned();
        if let Some(lanes) = &mut self.lanes {
            lanes.step(&text);
        }
        if !self.terminal.live {
            self.line(" - ", &text);
        }
        if !self.terminal.live || self.lanes.is_some() {
            self.step = Some((ProgressBar::hidden(), text));
            return;
        }
        let template = if self.terminal.colour.is_some() {
            " {spinner:.cyan} {wide_msg} {elapsed:.dim}"
        } else {
            " {spinner} {wide_msg} {elapsed}"
        };
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template(template).expect("is well formed"))
            .with_message(text.clone());
        bar.enable_steady_tick(Duration::from_millis(120));
        self.step = Some((bar, text));
    }

    /// How far the present step has come: beside its spinner, or below it where nothing can be
    /// drawn again.
    pub(super) fn detail(&self, text: &str) {
        match &self.step {
            Some((bar, step)) if self.terminal.live => {
                bar.set_message(format!("{step}: {}", visible(text)))
            }
            _ => self.line("   - ", text),
        }
    }

    pub(super) fn done(&mut self) {
        self.end("✓", "\x1b[32m");
    }

    pub(super) fn failed(&mut self) {
        self.end("✗", "\x1b[31m");
    }

    fn end(&mut self, mark: &str, colour: &str) {
        if let Some((bar, text)) = self.step.take() {
            bar.finish_and_clear();
            if self.terminal.live {
                let lines = hang(&format!(" {mark} "), &text, self.terminal.width);
                complain_lines(&match self.terminal.colour {
                    Some(ink) => {
                        let mark_on =
                            format!("{}{mark}{}", ink.colour(colour), ink.colour("\x1b[0m"));
                        lines.replacen(mark, &mark_on, 1)
                    }
                    None => lines,
                });
            }
        }
    }

    /// A text above the present step, behind a lead under which it is wrapped.
    fn line(&self, lead: &str, text: &str) {
        let lines = hang(lead, &visible(text), self.terminal.width);
        match &self.step {
            Some((bar, _)) if self.terminal.live => bar.suspend(|| complain_lines(&lines)),
            _ => complain_lines(&lines),
        }
    }

    fn show(&mut self, sight: &Observation) {
        self.events.take(sight);
        if let Some(lanes) = &mut self.lanes {
            lanes.take(sight);
        }
        match sight {
            Observation::Record(record) => self.record(record),
            Observation::Failing { probe, sent, class } => {
                self.chain(*sent, &format!("errors: {probe} fails ({class})"))
            }
            Observation::Answering { probe, sent } => {
                let text = format!("healed: last failed request of {probe} sent");
                match self.zero.is_some_and(|zero| *sent < zero) {
                    true => self.line("   ", &format!("{text} before the fault")),
                    false => self.chain(*sent, &text),
                }
            }
            Observation::Attempts { .. }
            | Observation::ToUndo { .. }
            | Observation::Waiting { .. } => {}
        }
    }

    fn record(&mut self, record: &Record) {
        self.recovering.take(record);
        match &record.event {
            Event::Stage { name } => self.step(stage_text(name)),
            Event::Note { warning: true, text } if self.warned.is_new(text) => {
                self.line("   warning: ", text)
            }
            Event::Note { warning: true, .. } => {}
            Event::Note { warning: false, text } => self.line("   ", text),
            Event::Fault { phase, fault, target, component, detail, .. } => {
                self.hit(record.at, *phase, target);
                self.fault(
                    record.at,
                    *phase,
                    fault.as_str(),
                    &Component::on(*component, target),
                    detail,
                );
            }
            Event::Node { node, change: Change::Changed, ready, .. } => {
                self.node(record.at, node, *ready)
            }
            Event::Endpoint { service, change, endpoint } => {
                if let Some(text) = self.endpoint(service, *change, endpoint) {
                    self.chain(record.at, &text);
                }
            }
            Event::SteadyState { before: true, .. } => self.line("   ", "steady state reached"),
            Event::SteadyState { before: false, held_since, .. } => {
                let back = self.recovering.back(*held_since);
                self.chain(back, "steady state is back");
            }
            Event::SteadyStateMissed { conditions, .. } => {
                self.line("   steady state not reached: ", &conditions.join("; "))
            }
            _ => {}
        }
    }

    fn hit(&mut self, at: Moment, phase: FaultPhase, node: &str) {
        if phase == FaultPhase::Requested {
            self.zero.get_or_insert(at);
            self.hit.entry(node.to_owned()).or_default();
        }
    }

    fn fault(&mut self, at: Moment, phase: FaultPhase, fault: &str, target: &str, detail: &str) {
        let what = match phase {
            FaultPhase::Requested => format!("{fault} requested: {target} {}", in_brackets(detail)),
            FaultPhase::AlsoHits => format!("also on {target}: {detail}"),
            FaultPhase::Waits => format!("{fault} on {target} waits: {detail}"),
            FaultPhase::Confirmed => format!("{fault} confirmed: {target} {}", in_brackets(detail)),
            FaultPhase::UndoRequested => {
                format!("undo requested: {target} {}", in_brackets(detail))
            }
            FaultPhase::Reverted => format!("effect gone: {target} {}", in_brackets(detail)),
            FaultPhase::Undone => format!("undone: {target} {}", in_brackets(detail)),
            FaultPhase::NotUndone => format!("NOT UNDONE: {target} {}", in_brackets(detail)),
            FaultPhase::Returned | FaultPhase::WoreOff => return,
        };
        self.chain(at, what.trim_end());
    }

    /// Shown when the condition of a node that was hit has changed; it was Ready before.
    fn node(&mut self, at: Moment, node: &str, ready: Ready) {
        let Some(known) = self.hit.get_mut(node) else { return };
        if known.replace(ready).unwrap_or(Ready::True) == ready {
            return;
        }
        let status = match ready {
            Ready::True => "Ready",
            Ready::False => "NotReady",
            Ready::Unknown => "NotReady (Unknown)",
        };
        self.chain(at, &format!("node {node} is {status}"));
    }

    /// What is shown of a change of an endpoint on a node that was hit.
    fn endpoint(&mut self, service: &str, change: Change, endpoint: &Endpoint) -> Option<String> {
        let name = endpoint.pod.as_deref().unwrap_or(&endpoint.address);
        let is_ready = change != Change::Deleted && endpoint.ready;
        let key = (service.to_owned(), name.to_owned());
        let known = self.endpoints.get(&key).copied();
        // One that is new is not back when it becomes ready.
        if is_ready || known.is_some() {
            self.endpoints.insert(key, is_ready);
        }
        // One that has left leaves once, whatever else of it changes.
        if change == Change::Baseline || known.unwrap_or_default() == is_ready {
            return None;
        }
        let became = match (is_ready, known) {
            (false, _) => "left",
            (true, Some(_)) => "is back in",
            (true, None) => "is ready in",
        };
        let is_hit = endpoint.node.as_ref().is_some_and(|node| self.hit.contains_key(node));
        (self.zero.is_some() && is_hit).then(|| format!("endpoint {name} {became} {service}"))
    }

    fn chain(&self, at: Moment, text: &str) {
        match self.zero {
            Some(zero) => self.line(&format!("   {:+9.3}s  ", at.seconds_since(zero)), text),
            None => self.line("   ", text),
        }
    }
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!("({detail})") }
}

fn stage_text(stage: &str) -> &str {
    match stage {
        "watch" => "watching the cluster",
        "workload" => "waiting for the workload",
        "probes" => "starting the probes",
        "steady state" => "waiting for the steady state",
        "fault" => "injecting the fault",
        "undo" => "undoing the fault",
        "recovery" => "waiting for recovery",
        "clean up" => "cleaning up",
        other => other,
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((bar, _)) = &self.step {
            bar.finish_and_clear();
        }
        if self.lanes.is_some() {
            pin(&[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_back_only_if_it_was_ready_before() {
        let mut progress = Progress::new(Terminal { live: false, width: 80, colour: None });
        progress.hit(Moment::now(), FaultPhase::Requested, "w1");
        let mut news = |pod: &str, change, ready| {
            let (node, pod) = (Some("w1".into()), Some(pod.into()));
            progress.endpoint("web", change, &Endpoint { address: String::new(), node, pod, ready })
        };
        assert_eq!(news("old", Change::Baseline, true), None);
        assert_eq!(news("new", Change::Changed, false), None);
        let text = |text: &str| Some(format!("endpoint {text} web"));
        assert_eq!(news("new", Change::Changed, true), text("new is ready in"));
        assert_eq!(news("old", Change::Changed, false), text("old left"));
        assert_eq!(news("old", Change::Deleted, false), None);
        assert_eq!(news("old", Change::Changed, true), text("old is back in"));
    }

    #[test]
    fn a_warning_of_several_runs_is_said_once_and_counted() {
        let warned = Warned::default();
        let said = ["a", "b", "a", "a"].map(|text| warned.clone().is_new(text));
        assert_eq!(said, [true, true, false, false]);
        assert_eq!(warned.repeated(), ["warning, 3 times: a"]);
    }
}

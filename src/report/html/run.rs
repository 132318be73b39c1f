//! One run: its verdict and numbers, what happened, its lanes, how it was judged, its settings and
//! events.

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::super::claims::DecidedClaim;
use super::super::comparison::Comparison;
use super::super::events::Told;
use super::super::line::Line;
use super::super::measured::{self, Measured};
use super::super::picture::draw::{self, Scale};
use super::super::picture::{FINEST, Lane, Level, Picture};
use super::super::printable;
use super::super::terminal;
use super::super::view::View;
use super::super::{causes, latency};
use crate::stats::Seconds;
use crate::verdict::Outcome;

/// Pixels of a lane as long as no script has measured the page.
const WIDTH: f64 = 860.0;
/// What all probes of a page together have at their finest, and all runs in events: the page stays
/// below 5 MB.
const MOST_BUCKETS: usize = 160_000;
const MOST_EVENTS: usize = 12_000;
/// What one of them has at least.
const COARSEST: usize = 600;

/// What each run may take up.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    buckets: usize,
    events: usize,
}

impl Budget {
    pub(super) fn of<'v>(views: impl Iterator<Item = &'v View<'v>>) -> Self {
        let (mut runs, mut probes) = (0, 0);
        for view in views {
            (runs, probes) = (runs + 1, probes + view.findings.probes.len());
        }
        Self {
            buckets: (MOST_BUCKETS / probes.max(1)).clamp(COARSEST, FINEST),
            events: MOST_EVENTS / runs.max(1),
        }
    }
}

/// The id of a run's section, which is also what the script reads.
pub(super) fn anchor(view: &View<'_>) -> String {
    format!("run={}", view.timeline.header.run)
}

/// A verdict with its sign and colour.
pub(super) fn verdict(word: &str) -> Markup {
    html! { span class={ "verdict " (word.to_lowercase().replace(' ', "-")) } { (word) } }
}

pub(super) fn section(view: &View<'_>, budget: Budget) -> Markup {
    html! {
        section class="run" id=(anchor(view)) {
            (header(view))
            @if !view.is_refused() {
                (figures(view))
                (timeline(view, budget))
            }
            (chain(view))
            (judged(view))
            (details(view))
            (events(view, budget))
        }
    }
}

fn header(view: &View<'_>) -> Markup {
    let question = crate::prediction::experiment(&view.timeline.header).and_then(|it| it.question);
    html! {
        header {
            h1 { (view.timeline.header.name) " " (verdict(view.word())) }
            @if let Some(question) = question { p class="question" { (question) } }
            p class="answer" { (view.verdict.summary) }
            @for assertion in view.verdict.assertions.iter().filter(|one| one.outcome >= Outcome::Inconclusive) {
                p class="failure" {
                    (verdict(assertion.outcome.word())) " " (assertion.result_text())
                    @if let Some(why) = &assertion.why { ": " (why) }
                }
            }
            @for failure in view.failures() {
                p class="failure" { strong { (failure.what) } ": " (failure.why) }
            }
            @if view.is_modelled() {
                p class="failure" { "This ran on a model of a cluster, not on real Kubernetes." }
            }
            @for sentence in view.story() { p { (sentence) } }
            p class="where" { (view.title()) br; (view.subtitle()) }
        }
    }
}

/// `detection 4.932s, errors of web 4.88s to 5.04s`.
pub(super) fn figures_text(view: &View<'_>) -> String {
    let figures = figures_of(view).into_iter();
    figures.map(|Measured { name, value }| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// Latency has a paragraph of its own.
fn figures_of(view: &View<'_>) -> Vec<Measured> {
    let mut values = measured::values(view);
    values.retain(|value| !value.name.starts_with("latency"));
    values
}

/// What was measured, each beside what was predicted of it.
fn figures(view: &View<'_>) -> Markup {
    let comparisons = view.comparisons();
    html! {
        dl class="figures" {
            @for Measured { name, value } in &figures_of(view) {
                @let compared = comparisons.iter().find(|compared| is_of(compared, name));
                div {
                    dt { (name) }
                    dd { (value) }
                    @if let Some(compared) = compared {
                        dd class="predicted" {
                            "predicted " (format!("{:.1}", compared.predicted))
                            @if compared.inside == Some(false) { strong { " – outside" } }
                        }
                    }
                }
            }
        }
    }
}

fn is_of(compared: &Comparison, name: &str) -> bool {
    compared.quantity == name
        || (name == "endpoints removed" && compared.quantity.starts_with("endpoints of"))
}

fn timeline(view: &View<'_>, budget: Budget) -> Markup {
    let picture = Picture::new(view, budget.buckets);
    let scale = Scale { extent: picture.shown, width: WIDTH };
    let levels = picture.lanes.iter().filter_map(|lane| lane.strip.as_ref());
    let strips: Vec<Value> = levels
        .map(|strip| json!({ "canary": strip.canary, "levels": strip.levels.iter().map(level).collect::<Vec<_>>() }))
        .collect();
    let extent = |from: Seconds, to: Seconds| json!([from.as_f64(), to.as_f64()]);
    let data = json!({
        "run": view.timeline.header.run,
        "all": extent(picture.all.from, picture.all.to),
        "shown": extent(picture.shown.from, picture.shown.to),
        "strips": strips,
    });
    // In a script element nothing but its end tag means anything, and that has a `<`.
    let data = printable::data(&data).to_string().replace('<', "\\u003c");
    html! {
        h2 { "Timeline" }
        div class="tools" {
            button type="button" data-do="in" aria-label="zoom in" { "+" }
            button type="button" data-do="out" aria-label="zoom out" { "−" }
            button type="button" data-do="left" aria-label="earlier" { "←" }
            button type="button" data-do="right" aria-label="later" { "→" }
            button type="button" data-do="shown" { "fault" }
            button type="button" data-do="all" { "whole run" }
            span class="hint" { "Ctrl + scroll to zoom, drag to pan, click to mark a moment. Keys: + − ← → 0; Shift + ← → moves the mark." }
        }
        div class="lanes" tabindex="0" role="group" aria-label="timeline of the run: lanes over time" {
            div class="top" {
                (row("chain of events", "", "moments", draw::moments(&picture, &scale)))
                (row("", "seconds after +0", "axis", draw::axis(&scale)))
            }
            @for group in picture.lanes.chunk_by(|a, b| a.group == b.group) {
                (row_of(html! { h3 { (group[0].group) } }, "gap", draw::gap(&picture, &scale)))
                @for lane in group { (lane_row(lane, &picture, &scale)) }
            }
            (row("", "", "axis", draw::axis(&scale)))
            div class="cursor" hidden {}
        }
        p class="moment" role="status" hidden {}
        (legend())
        script type="application/json" { (PreEscaped(data)) }
    }
}

fn lane_row(lane: &Lane, picture: &Picture<'_>, scale: &Scale) -> Markup {
    row(&lane.name, &lane.note, "states", draw::lane(lane, picture, scale))
}

fn row(name: &str, note: &str, kind: &str, drawn: draw::Drawn) -> Markup {
    row_of(html! { b { (name) } " " small { (note) } }, kind, drawn)
}

fn row_of(name: Markup, kind: &str, drawn: draw::Drawn) -> Markup {
    html! {
        div class="lane" {
            div class="name" { (name) }
            svg class={ "plot " (kind) } viewBox=(format!("0 0 {WIDTH} {}", drawn.height))
                preserveAspectRatio="xMinYMin" { (drawn.body) }
        }
    }
}

fn legend() -> Markup {
    let sample = |class: &str, text: &str| {
        html! {
            span {
                svg width="26" height="14" aria-hidden="true" {
                    svg class={ "s " (class) } x="1" y="1" width="24" height="12" {
                        rect width="100%" height="100%" {}
                        @if class == "bracket" {
                            line x1="0" x2="0" y2="100%" {}
                            line x1="100%" x2="100%" y2="100%" {}
                            line x2="100%" y1="50%" y2="50%" {}
                        }
                    }
                }
                " " (text)
            }
        }
    };
    html! {
        p class="legend" {
            (sample("good", "healthy"))
            (sample("degraded", "degraded"))
            (sample("bad", "down"))
            (sample("changing", "changing"))
            (sample("unknown", "not observed"))
            (sample("fault", "fault in effect"))
            (sample("predicted", "predicted by the model"))
            (sample("bracket", "it happened within this interval"))
            span { "│ fault requested, ┆ undo requested" }
            span { "probes: share of failed attempts; kinds of failure; latency (line: median, bar: maximum)" }
        }
    }
}

/// As few numbers as a probe's strip needs, column by column. `f`: bucket, family and count of each
/// failure.
fn level(level: &Level) -> Value {
    let of = |value: fn(&super::super::picture::Bucket) -> u32| {
        level.buckets.iter().map(value).collect::<Vec<_>>()
    };
    let failed = level.buckets.iter().enumerate().flat_map(|(index, bucket)| {
        let some = bucket.failed.iter().enumerate().filter(|(_, count)| **count > 0);
        some.flat_map(move |(family, count)| [index as u64, family as u64, u64::from(*count)])
    });
    json!({
        "from": level.start.as_f64(),
        "step": level.step.as_f64(),
        "n": of(|bucket| bucket.judged),
        "f": failed.collect::<Vec<_>>(),
        "p50": of(|bucket| bucket.p50_us),
        "max": of(|bucket| bucket.max_us),
    })
}

fn at(view: &View<'_>, moment: Seconds) -> Markup {
    html! { a href=(format!("#{}&t={:.3}", anchor(view), moment.as_f64())) data-t=(format!("{:.6}", moment.as_f64())) { (format!("{moment:+.3}")) } }
}

fn chain(view: &View<'_>) -> Markup {
    html! {
        @if !view.chain.is_empty() {
            h2 { "Chain of events" }
            table class="chain" {
                thead { tr { th { "when" } th { "uncertainty" } th { "what" } th {} th { "predicted" } } }
                tbody {
                    @for Line { at: moment, uncertainty, label, text, predicted } in &view.chain {
                        tr {
                            td class="number" { (at(view, *moment)) }
                            td class="number" { @if let Some(by) = uncertainty { "≤ " (by) } }
                            th scope="row" { (label) }
                            td { (text) }
                            td class="predicted" { (predicted.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

fn judged(view: &View<'_>) -> Markup {
    let warnings = view.warnings();
    let surprises = view.surprises();
    html! {
        @if !view.verdict.assertions.is_empty() {
            h2 { "Expectations" }
            table class="assertions" {
                thead { tr { th { "result" } th { "expectation" } th { "measured" } th { "why" } } }
                tbody {
                    @for one in &view.verdict.assertions {
                        tr {
                            td { (verdict(one.outcome.word())) }
                            td { (one.text) }
                            td { (one.measured.as_deref().unwrap_or_default()) @if let Some(note) = &one.note { "; " (note) } }
                            td { (one.why.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
        @for DecidedClaim { id, says, decision, .. } in view.decided() {
            p { "Claim " (id) " " strong { (decision.word()) } ": " (says) }
        }
        @for unpredicted in view.predictions.unpredicted() { p { (unpredicted) } }
        @for surprise in surprises { p class="warning" { strong { "Unexpected: " } (surprise) } }
        @if !warnings.is_empty() {
            h2 { "Warnings" }
            ul class="warnings" { @for warning in warnings { li { (warning) } } }
        }
        @if !view.is_refused() { p class="closing" { (terminal::closing(view)) } }
    }
}

fn details(view: &View<'_>) -> Markup {
    let (facts, nodes) = (&view.timeline.header.cluster, view.nodes());
    html! {
        h2 { "Probes" }
        @for probe in &view.findings.probes {
            p { (view.probe_line(probe)) }
            ul {
                li { (terminal::counts(probe)) }
                @for line in causes::lines(probe) { li { (line) } }
                @for line in latency::describe(view.findings, probe) { li { (line) } }
            }
        }
        h2 { "Settings" }
        table class="settings" {
            tbody {
                tr { th { "failure detection" } td { (view.settings()) } }
                @for node in nodes.shown {
                    tr { th { (node.name) } td { (node.role.name()) ", kubelet " (node.kubelet) } }
                }
                @if nodes.left > 0 { tr { th { (nodes.left) " more nodes" } td {} } }
                @if let Some(engine) = &facts.engine { tr { th { "engine" } td { (engine) } } }
                tr { th { "program" } td { (view.timeline.header.program) ", seed " (view.timeline.header.seed) } }
            }
        }
    }
}

fn events(view: &View<'_>, budget: Budget) -> Markup {
    let events = view.events();
    let left = events.len().saturating_sub(budget.events);
    html! {
        @if !events.is_empty() {
            details class="events" {
                summary { h2 { "Events (" (events.len()) ")" } }
                label { "Filter: " input type="search" placeholder="node worker" aria-label="filter the events"; }
                " " output {}
                @if left > 0 { p { "The last " (left) " are not shown: `-o wide` has all." } }
                table {
                    tbody {
                        @for Told { at: moment, text } in events.iter().take(budget.events) {
                            tr { td class="number" { (at(view, *moment)) } td { (text) } }
                        }
                    }
                }
            }
        }
    }
}

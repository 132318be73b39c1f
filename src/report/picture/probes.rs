//! Lanes of probes: their attempts as a strip, error windows, and what the prober could not see.

use super::lane::{Extent, Lane, Span, Tone, predicted};
use super::strip::{Strip, WindowMark, levels};
use crate::analysis::{Period, ProbeFinding, Window};
use crate::prediction::Quantity;
use crate::report::view::View;

pub(in crate::report) fn lanes(view: &View<'_>, all: Extent, most_buckets: usize) -> Vec<Lane> {
    view.findings.probes.iter().map(|probe| lane(probe, view, all, most_buckets)).collect()
}

fn lane(probe: &ProbeFinding, view: &View<'_>, all: Extent, most_buckets: usize) -> Lane {
    let file = view.timeline.probe(&probe.name);
    let levels = file.map_or(Vec::new(), |file| levels(file, view, most_buckets));
    let windows = probe.windows.iter().map(|window| {
        let text = format!("errors for {}{}", window.words(window.length), window.bursts_text());
        WindowMark { start: window.start.when, end: window.end.when, text }
    });
    let predicted = view.findings.faults.iter().filter(|_| !probe.control).filter_map(|fault| {
        let between =
            view.predictions.between(Quantity::ErrorWindow(&probe.name), fault.step).ok()?;
        Some(predicted("errors end", fault.requested, between))
    });
    let unread = probe.unreadable.iter().map(|time| {
        let text = format!("attempts could not be read {time}");
        Span::new(time.from.unwrap_or(all.from), time.until.unwrap_or(all.to), Tone::Unknown, text)
    });
    let disturbed = probe
        .disturbances
        .iter()
        .map(|time| Span::new(time.from, time.until, Tone::Unknown, time.words()));
    let brackets = probe.windows.iter().flat_map(|window| {
        [
            Span::bracket(window.start.when, "errors began"),
            Span::bracket(window.end.when, "errors ended"),
        ]
    });
    let control = if probe.control { "control: no fault touches it" } else { "" };
    let during = |window: &Window| matches!(window.period, Period::Fault { .. });
    let note = match probe.windows.iter().find(|window| during(window)).or(probe.windows.first()) {
        _ if probe.control => control.to_owned(),
        Some(window) => format!("{} of {} failed", window.failed, window.attempts),
        None => "no errors".into(),
    };
    Lane {
        group: "probes",
        name: probe.name.clone(),
        note,
        spans: unread.chain(disturbed).collect(),
        predicted: predicted.collect(),
        brackets: brackets.flatten().collect(),
        strip: Some(Strip { levels, windows: windows.collect(), canary: probe.is_canary() }),
        ..Lane::default()
    }
}

//! Lanes of probes: their attempts as a strip, error windows, and what the prober could not see.

use super::lane::{Extent, Lane, Span, Tone, predicted};
use super::strip::{Strip, WindowMark, levels};
use crate::analysis::{Period, ProbeFinding, Window};
use crate::prediction::Quantity;
use crate::report::view::View;
use crate::stats::Seconds;

/// Bursts of a window that are drawn.
const MOST_BURSTS: usize = 50;

pub(in crate::report) fn lanes(view: &View<'_>, all: Extent, most_buckets: usize) -> Vec<Lane> {
    view.findings.probes.iter().map(|probe| lane(probe, view, all, most_buckets)).collect()
}

fn lane(probe: &ProbeFinding, view: &View<'_>, all: Extent, most_buckets: usize) -> Lane {
    let file = view.timeline.probe(&probe.name);
    let levels = file.map_or(Vec::new(), |file| levels(file, view, most_buckets));
    let bursts = || probe.windows.iter().flat_map(|window| window.bursts.iter().take(MOST_BURSTS));
    let windows = probe.windows.iter().flat_map(|window| {
        let last = window.bursts.last();
        window.bursts.iter().take(MOST_BURSTS).map(move |burst| {
            let open = window.open && last == Some(burst);
            let length = match open {
                true => format!("at least {}", burst.length.least),
                false => burst.length.to_string(),
            };
            let (start, end) = (burst.start.when, burst.end.when);
            WindowMark { start, end, text: format!("errors for {length}") }
        })
    });
    let predicted = view.findings.faults.iter().filter(|_| !probe.control).filter_map(|fault| {
        let between =
            view.predictions.between(Quantity::ErrorWindow(&probe.name), fault.step).ok()?;
        let span = predicted("errors end", fault.requested, between);
        Some(match between.most > Seconds::ZERO {
            true => span,
            false => Span { text: "predicted: no errors".into(), ..span },
        })
    });
    let unread = probe.unreadable.iter().map(|time| {
        let text = format!("attempts could not be read {time}");
        Span::new(time.from.unwrap_or(all.from), time.until.unwrap_or(all.to), Tone::Unknown, text)
    });
    let disturbed = probe
        .disturbances
        .iter()
        .map(|time| Span::new(time.from, time.until, Tone::Unknown, time.words()));
    let brackets = bursts().flat_map(|burst| {
        [
            Span::bracket(burst.start.when, "errors began"),
            Span::bracket(burst.end.when, "errors ended"),
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

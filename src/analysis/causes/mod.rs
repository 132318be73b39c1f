//! What caused a window of errors of the control plane: its parts, by what was down.
//!
//! ```text
//! leaders, processes, faults, the other probes -> evidence.rs, etcd.rs (what shows a cause) ─┬-> split.rs (one sweep) -> parts
//!                                                          a probe's windows of errors ──────┘      with interval_set.rs: yes, no, maybe
//! ```
//!
//! Where several causes hold, the deepest counts, since it brings the others about: without its
//! nodes nothing of a control plane runs; without etcd no API server answers what goes through it
//! (and its kubelet starts it anew, in vain); without an API server no balancer finds one; and
//! whoever holds a lease can't renew it without all of these. A balancer's check is only blamed
//! while some API server answers when it is asked directly.

mod etcd;
mod evidence;
mod interval_set;
mod split;
#[cfg(test)]
mod tests;

use super::clock::Zero;
use super::findings::{CausePart, Findings};
use crate::timeline::Timeline;
use evidence::Sources;
use interval_set::Span;

/// Gives each window of a probe that hangs on the control plane its parts.
pub(super) fn explain(found: &mut Findings, timeline: &Timeline, zero: Zero) {
    let needs = |name: &str| {
        timeline.probes.iter().find(|file| file.span.probe.name == name)?.span.probe.needs.as_ref()
    };
    let sources = Sources {
        timeline,
        zero,
        faults: &found.faults,
        probes: &found.probes,
        leaders: &found.leaders,
    };
    let parts = |probe: &super::ProbeFinding| {
        let causes = needs(&probe.name).map(|needs| sources.of(needs));
        let split = |window: &super::Window| match &causes {
            Some(causes) => split::split(
                Span { from: window.start.when, until: window.end.when },
                &evidence::within(window, causes),
            ),
            None => Vec::new(),
        };
        probe.windows.iter().map(split).collect::<Vec<_>>()
    };
    let parts: Vec<Vec<Vec<CausePart>>> = found.probes.iter().map(parts).collect();
    for (probe, parts) in found.probes.iter_mut().zip(parts) {
        probe.windows.iter_mut().zip(parts).for_each(|(window, parts)| window.causes = parts);
    }
}

//! What caused the errors of a probe of the control plane: a line a window.

use super::view::View;
use crate::analysis::{CausePart, ProbeFinding, Window};
use crate::stats::Seconds;

/// `errors for 2.41s (from +0.100s): 1.6s etcd without a leader or a quorum, 0.7s load balancer
/// health check`, for each window.
pub(super) fn lines(probe: &ProbeFinding) -> Vec<String> {
    let line = |window: &Window| {
        let parts = parts(window)?;
        Some(format!("errors for {} (from {:+.3}): {parts}", window.length, window.first_failure))
    };
    probe.windows.iter().filter_map(line).collect()
}

/// The same of a whole run, each line with its probe.
pub(super) fn of_run(view: &View<'_>) -> Vec<String> {
    let of = |probe: &ProbeFinding| {
        lines(probe).into_iter().map(|line| format!("{}: {line}", probe.name)).collect::<Vec<_>>()
    };
    view.findings.probes.iter().flat_map(of).collect()
}

/// The parts of a window; `None` where it is not a window of a control-plane probe. What may have
/// been nothing at all, and is no longer than the window's own edges are uncertain, is left to the
/// JSON form.
pub(super) fn parts(window: &Window) -> Option<String> {
    let edges = window.start.when.width() + window.end.when.width();
    let listed = |part: &&CausePart| part.length.least > Seconds::ZERO || part.length.most > edges;
    let some: Vec<&CausePart> = window.causes.iter().filter(listed).collect();
    let shown = if some.is_empty() { window.causes.iter().collect() } else { some };
    let texts: Vec<String> =
        shown.iter().map(|part| format!("{} {}", part.length, part.cause.words())).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{article, s};
    use crate::analysis::{Cause, Findings, analyse};
    use crate::stats::Between;

    /// Errors from about 0.1 s to 4.8 s.
    fn found(parts: &[(Cause, f64, f64)]) -> Findings {
        let mut found = analyse(&article().build());
        let part = |&(cause, least, most): &(Cause, f64, f64)| CausePart {
            cause,
            length: Between::new(s(least), s(most)),
        };
        found.probes[0].windows[0].causes = parts.iter().map(part).collect();
        found
    }

    #[test]
    fn a_window_is_told_in_its_parts() {
        let parts = [
            (Cause::Etcd, 1.6, 1.6),
            (Cause::BalancerCheck, 3.0, 3.2),
            (Cause::Unexplained, 0.0, 0.02),
        ];
        let listed = lines(&found(&parts).probes[0]);
        insta::assert_snapshot!(listed.join("\n"), @"errors for 4.74s to 4.88s (from +0.100s): 1.6s etcd without a leader or a quorum, 3s to 3.2s load balancer health check");
    }

    #[test]
    fn what_may_have_been_nothing_is_reported_where_there_is_no_more() {
        let listed = lines(&found(&[(Cause::Unseen, 0.0, 0.01)]).probes[0]);
        assert!(listed[0].ends_with(": 0s to 10ms not observed"), "{listed:?}");
        assert!(lines(&found(&[]).probes[0]).is_empty());
    }
}

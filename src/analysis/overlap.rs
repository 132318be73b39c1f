//! Faults that last at the same time.

use crate::timeline::Moment;

/// A fault in time, in the order of requests. What has no undo lasts for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    pub step: u32,
    pub target: &'a str,
    pub requested: Moment,
    pub undo: Moment,
    /// Whether it changes but the API's object of its target.
    pub of_object: bool,
}

/// For each, up to when what is seen of its target is its own doing: another step's fault on the
/// same target, or the first that began when it was over. What is done to the object of a node that
/// is down meanwhile, such as a taint, leaves the node as it was.
pub(super) fn ends(spans: &[Span<'_>]) -> Vec<Moment> {
    let end = |(i, span): (usize, &Span<'_>)| {
        let is_next = |next: &&Span<'_>| {
            let beside = next.of_object && !span.of_object && next.undo <= span.undo;
            let on_same = next.target == span.target && !beside;
            next.step != span.step && (on_same || next.requested >= span.undo)
        };
        spans[i..].iter().find(is_next).map_or(Moment(u64::MAX), |next| next.requested)
    };
    spans.iter().enumerate().map(end).collect()
}

/// For each, the step with which its overlap began. The targets of one step are one overlap.
pub(super) fn groups(spans: &[Span<'_>]) -> Vec<u32> {
    let mut groups = Vec::new();
    let mut open: Option<(u32, Moment, u32)> = None;
    for span in spans {
        let (first, until) = match open {
            Some((first, until, last)) if span.requested < until || span.step == last => {
                (first, until.max(span.undo))
            }
            _ => (span.step, span.undo),
        };
        open = Some((first, until, span.step));
        groups.push(first);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(step: u32, target: &str, requested: u64, undo: u64) -> Span<'_> {
        let (requested, undo) = (Moment(requested), Moment(undo));
        Span { step, target, requested, undo, of_object: false }
    }

    #[test]
    fn overlapping_faults_are_one_group() {
        // One that outlasts the first, one within both, one of two targets, and one afterwards.
        let spans = [
            span(0, "cp", 0, 40),
            span(2, "w", 5, 60),
            span(3, "x", 50, 55),
            span(5, "a", 70, 80),
            span(5, "b", 70, 81),
        ];
        assert_eq!(groups(&spans), [0, 0, 0, 5, 5]);
        let spans = [span(0, "cp", 0, 40), span(2, "w", 40, 60)];
        assert_eq!(groups(&spans), [0, 2]);
        assert_eq!(groups(&[span(0, "cp", 0, u64::MAX), span(1, "w", 9, u64::MAX)]), [0, 0]);
    }

    #[test]
    fn a_taint_on_a_node_that_is_down_does_not_end_what_took_it() {
        let taint = Span { of_object: true, ..span(1, "w", 10, 30) };
        assert_eq!(ends(&[span(0, "w", 0, 40), taint])[0], Moment(u64::MAX));
        let drained = Span { of_object: true, ..span(0, "w", 0, 40) };
        assert_eq!(ends(&[drained, span(1, "w", 10, 30)])[0], Moment(10));
    }

    #[test]
    fn a_fault_is_not_over_when_another_begins_beside_it() {
        let spans = [
            span(0, "cp", 0, 40),
            span(2, "w", 5, 30),
            span(3, "w", 35, 60),
            span(5, "cp", 70, 80),
        ];
        assert_eq!(ends(&spans), [Moment(70), Moment(35), Moment(70), Moment(u64::MAX)]);
    }
}

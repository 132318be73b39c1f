//! How the attempts of each path ended, where a probe asks for several in turn.

use super::text::count;
use crate::analysis::ProbeFinding;
use crate::analysis::findings::{ClassCount, PathFinding};

/// So many paths are named in a line.
const MOST_NAMED: usize = 4;

/// Those that failed, the worst first: `/b 12 of 300 failed (status 500 12); none of 2 other paths
/// failed`. `None`: none did.
pub(super) fn line(probe: &ProbeFinding) -> Option<String> {
    let mut failing: Vec<&PathFinding> =
        probe.paths.iter().filter(|path| path.total.failed > 0).collect();
    failing.sort_by_key(|path| std::cmp::Reverse(path.total.failed));
    let named =
        failing.iter().take(MOST_NAMED).map(|path| format!("{} {}", path.path, failed(path)));
    let more = failing.len().saturating_sub(MOST_NAMED);
    let others = probe.paths.len() - failing.len();
    let more = (more > 0).then(|| format!("{} failed", count(more as u64, "more path")));
    let others =
        (others > 0).then(|| format!("{} did not fail", count(others as u64, "other path")));
    let parts: Vec<String> = named.chain(more).chain(others).collect();
    (!failing.is_empty()).then(|| parts.join("; "))
}

/// `12 of 300 failed (status 500 12)`.
pub(super) fn failed(path: &PathFinding) -> String {
    let PathFinding { total, classes, .. } = path;
    let of = format!("{} of {} failed", total.failed, total.judged());
    if classes.is_empty() { of } else { format!("{of} ({})", ClassCount::list(classes)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, attempt, file, span};
    use crate::timeline::Outcome;

    fn probe(paths: &[&str], outcome: impl Fn(u64) -> Outcome) -> ProbeFinding {
        let mut span = span("web", 100, 200);
        span.probe.paths = paths.iter().map(|&path| path.into()).collect();
        let attempts = (0..100).map(|slot| attempt(slot, outcome(slot), 1000)).collect();
        let timeline = Run::new().probe(file(&span, &[], attempts)).build();
        analyse(&timeline).probes.remove(0)
    }

    #[test]
    fn one_broken_path_among_several_is_seen() {
        let broken = |slot| if slot % 3 == 1 { Outcome::Status(500) } else { Outcome::Ok };
        let probe = probe(&["/a", "/b", "/c"], broken);
        assert_eq!(
            line(&probe).as_deref(),
            Some("/b 33 of 33 failed (status 500 33); 2 other paths did not fail")
        );
        assert_eq!(failed(&probe.paths[0]), "0 of 34 failed");
    }

    #[test]
    fn paths_without_failures_are_not_listed_and_many_are_counted() {
        assert_eq!(line(&probe(&["/a", "/b"], |_| Outcome::Ok)), None);
        assert_eq!(line(&probe(&[], |_| Outcome::Refused)), None);
        let listed = line(&probe(&["/1", "/2", "/3", "/4", "/5", "/6"], |_| Outcome::Refused));
        assert!(
            listed.as_deref().is_some_and(|it| it.ends_with("; 2 more paths failed")),
            "{listed:?}"
        );
    }
}

//! The nodes that no fault hit, and whether Kubernetes considered any of them dead.

use super::clock::Zero;
use super::findings::{FaultFinding, OtherNode};
use crate::timeline::{Change, Event, NodeRole, Ready, Record, Timeline};

/// All of them, by name. None without a fault.
pub(super) fn other_nodes(
    timeline: &Timeline,
    faults: &[FaultFinding],
    zero: Zero,
) -> Vec<OtherNode> {
    let nodes = timeline
        .header
        .cluster
        .nodes
        .iter()
        .filter(|node| node.role != NodeRole::ExternalLoadBalancer);
    let spared = nodes.filter(|node| !faults.iter().any(|fault| fault.target == node.name));
    let mut found: Vec<OtherNode> = match faults.is_empty() {
        true => Vec::new(),
        false => spared.map(|node| follow(&timeline.records, &node.name, zero)).collect(),
    };
    found.sort_by(|a, b| a.node.cmp(&b.node));
    found
}

fn follow(records: &[Record], name: &str, zero: Zero) -> OtherNode {
    let mut found = OtherNode { node: name.to_owned(), ready_before: None, left_ready: None };
    let mut seen = None;
    for record in records {
        let Event::Node { node, change, ready, transition, .. } = &record.event else { continue };
        if node != name {
            continue;
        }
        let (before, ready) = (seen, *ready == Ready::True && *change != Change::Deleted);
        seen = Some((ready, *transition));
        let when = zero.when(record.bracket());
        if when.latest < crate::stats::Seconds::ZERO {
            found.ready_before = Some(ready);
        // What a blind watch has missed shows in the object's own time of the last change.
        } else if before
            .is_some_and(|(was_ready, changed)| was_ready && (!ready || changed != *transition))
        {
            found.left_ready = found.left_ready.or(Some(when));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::Run;

    #[test]
    fn one_that_was_not_ready_before_can_not_leave_ready() {
        let followed = |run: Run| {
            let run = run
                .beat(900, "06:23:42Z", Ready::Unknown)
                .beat(1900, "06:23:42Z", Ready::False)
                .build();
            follow(&run.records, "fast-detection-worker", Zero::of(&run).0)
        };
        let away = followed(Run::new().beat(-500, "06:23:40Z", Ready::Unknown));
        assert_eq!((away.ready_before, away.left_ready), (Some(false), None));
        let back = followed(Run::new().beat(-500, "06:23:40Z", Ready::Unknown).beat(
            400,
            "06:23:41Z",
            Ready::True,
        ));
        assert!(back.left_ready.is_some(), "it came, and left after that");
        assert_eq!(followed(Run::new()).left_ready, None, "nobody knows how it was");
    }

    #[test]
    fn one_that_left_is_told_even_when_the_watch_was_blind() {
        let left = |run: Run| {
            let run = run.beat(-500, "06:23:40Z", Ready::True).build();
            follow(&run.records, "fast-detection-worker", Zero::of(&run).0)
        };
        let quiet = left(Run::new().beat(900, "06:23:42Z", Ready::True));
        assert_eq!((quiet.ready_before, quiet.left_ready), (Some(true), None));
        assert!(left(Run::new().beat(900, "06:23:40Z", Ready::Unknown)).left_ready.is_some());
        let ready_since = |ms, time: &str| {
            let (node, reason, transition) =
                ("fast-detection-worker".into(), String::new(), Some(time.parse().unwrap()));
            let (change, ready) = (Change::Changed, Ready::True);
            Record::at(
                crate::analysis::testing::at(ms),
                Event::Node {
                    node,
                    change,
                    ready,
                    reason,
                    transition,
                    heartbeat: None,
                    taints: Vec::new(),
                },
            )
        };
        let run = Run::new().build();
        let zero = Zero::of(&run).0;
        let records =
            |later: &str| [ready_since(-900, "2026-11-22T06:00:00Z"), ready_since(900, later)];
        let left = |later| follow(&records(later), "fast-detection-worker", zero).left_ready;
        assert!(left("2026-11-22T06:00:00Z").is_none());
        assert!(left("2026-11-22T06:23:42Z").is_some(), "it was away in between");
    }
}

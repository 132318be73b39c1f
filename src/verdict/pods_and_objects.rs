//! Rules on what became of pods and objects.

use super::faults::{missing, moment};
use super::finding::Finding;
use crate::analysis::{FaultFinding, Findings, PodFinding};
use crate::experiment::Pods;
use crate::stats::Seconds;
use crate::timeline::{ObjectRef, first_of, watch_of};

/// So many missing objects are named.
const NAMED: usize = 5;

/// No node that was hit was noticed. Its Ready must be known, and the watch must have seen all of
/// the fault.
pub(super) fn not_detected(found: &Findings) -> Finding {
    let judge = |fault: &FaultFinding| {
        let ready = fault.node.ready_before?;
        let end = found.held_until(fault)?;
        Some(match &fault.node.detected {
            _ if !ready => {
                Finding::unknown(format!("{} was not Ready before the fault", fault.target))
            }
            Some(detected) if detected.at.latest < end || fault.undo_requested.is_none() => {
                Finding::failed(format!(
                    "{} became {} at {:+.3}",
                    fault.target, detected.status, detected.at.latest
                ))
            }
            Some(detected) => Finding::unknown(format!(
                "{} became {} at or after the undo",
                fault.target, detected.status
            )),
            None => Finding::passed(format!("none in {}", end - fault.requested)),
        })
    };
    let blind = found.watch_gaps("nodes").next().map(|gap| gap.why);
    let judged = found.faults.iter().filter_map(judge);
    Finding::worst(judged, "no fault hit a node whose state is known").pass_inconclusive_if(blind)
}

/// The watch that shows a Service's endpoints.
pub(super) fn endpoints_watch(service: &str) -> String {
    watch_of("endpoints", ObjectRef::from(service).namespace.as_deref())
}

/// What each fault took from a Service was ready elsewhere.
pub(super) fn rescheduled(found: &Findings, service: &str, bound: Seconds) -> Finding {
    let judge = |fault: &FaultFinding| {
        let service = fault.service(service).filter(|service| !service.hit.is_empty())?;
        let watched = endpoints_watch(&service.service);
        Some(match service.replaced {
            Some(when) => moment(found, fault, when, bound),
            None => missing(found, fault, bound, &watched, "not rescheduled"),
        })
    };
    let judged = found.faults.iter().filter_map(judge);
    Finding::worst(judged, format!("no fault hit a known endpoint of {service}"))
}

fn is_of(pod: &PodFinding, pods: &Pods) -> bool {
    let ObjectRef { namespace, name } = pod.pod.as_str().into();
    namespace == pods.namespace && pods.have(&name, pod.owner.as_deref(), &pod.labels)
}

/// Pods from before the first fault that a fault hit: themselves, or the node that they were on.
fn hit<'a>(found: &'a Findings, pods: &Pods) -> Vec<(&'a PodFinding, &'a FaultFinding)> {
    let hits = |pod: &PodFinding, fault: &FaultFinding| {
        fault.target == pod.pod || pod.node.as_ref() == Some(&fault.target)
    };
    let there = found.pods.iter().filter(|pod| pod.appeared.is_none() && is_of(pod, pods));
    there
        .flat_map(|pod| {
            found.faults.iter().filter(move |fault| hits(pod, fault)).map(move |fault| (pod, fault))
        })
        .collect()
}

/// No new pod of these had a node before the last undo.
pub(super) fn not_rescheduled(found: &Findings, pods: &Pods) -> Finding {
    let hit = hit(found, pods);
    let Some(since) = hit.iter().map(|(_, fault)| fault.requested).min() else {
        return Finding::unknown(format!("no fault hit a pod {pods}"));
    };
    let Some(undo) = found.faults.iter().filter_map(|fault| found.held_until(fault)).max() else {
        return Finding::unknown("the fault has no undo");
    };
    let before_undo = |when| found.happened(when, since).earliest < undo && when.latest >= since;
    let came = |pod: &&PodFinding| is_of(pod, pods) && pod.scheduled.is_some_and(before_undo);
    let new: Vec<&PodFinding> = found.pods.iter().filter(came).collect();
    let surely = new.iter().find(|pod| pod.scheduled.is_some_and(|when| when.latest < undo));
    let finding = match (surely, new.first()) {
        (Some(pod), _) => Finding::failed(format!("{} was scheduled{}", pod.pod, on(pod))),
        (None, Some(pod)) => Finding::unknown(format!(
            "{} was scheduled after the undo, or while the watch was down or late",
            pod.pod
        )),
        (None, None) => Finding::passed(""),
    };
    finding
        .measured(format!("{} in {}", new.len(), undo - since))
        .pass_inconclusive_if(hidden(found, pods, since, undo))
}

/// Why a pod may have come and gone unseen: no list that is made later has it.
fn hidden(found: &Findings, pods: &Pods, since: Seconds, undo: Seconds) -> Option<String> {
    let watch = pods_watch(pods);
    let mut gaps = found.watch_gaps(&watch);
    let gap = gaps.find(|gap| gap.from < undo && gap.until.is_none_or(|until| until > since))?;
    Some(format!("{}: a pod may have come and gone", gap.why))
}

fn on(pod: &PodFinding) -> String {
    pod.node.as_ref().map_or(String::new(), |node| format!(" on {node}"))
}

/// Every pod that was hit itself was started again in place.
pub(super) fn restarted(found: &Findings, pods: &Pods, bound: Seconds) -> Finding {
    let judge = |(pod, fault): (&PodFinding, &FaultFinding)| match pod.restarted {
        Some(when) => moment(found, fault, when, bound),
        None if pod.left.is_some() => Finding::failed(format!("{} was deleted", pod.pod)),
        None => missing(found, fault, bound, &pods_watch(pods), "not restarted"),
    };
    let themselves = hit(found, pods).into_iter().filter(|(pod, fault)| pod.pod == fault.target);
    Finding::worst(themselves.map(judge), format!("no fault hit a pod {pods}"))
}

/// Every object is there that was there before.
pub(super) fn objects_kept(found: &Findings) -> Finding {
    let Some(objects) = &found.objects else {
        return Finding::unknown("objects were not listed before the fault");
    };
    let Some(missing) = &objects.missing else {
        return Finding::unknown("objects were not listed after the recovery");
    };
    if objects.before == 0 {
        return Finding::unknown("there were no objects before the fault");
    }
    let some = |count: u32, what: &str| {
        if count > 0 { format!(", {count} {what}") } else { String::new() }
    };
    let (replaced, unseen) = (
        some(objects.replaced, "replaced by their controllers"),
        some(objects.unseen, "not listed again"),
    );
    let measured = format!("{} of {}{replaced}{unseen}", objects.kept, objects.before);
    if !missing.is_empty() {
        return Finding::failed(format!("missing: {}", some_of(missing))).measured(measured);
    }
    let unread =
        objects.unread.first().map(|kind| format!("not all kinds could be listed: {kind}"));
    let unreplaced = (!objects.unreplaced.is_empty()).then(|| {
        format!("gone, and not replaced by their controllers: {}", some_of(&objects.unreplaced))
    });
    let changed = (!objects.changed.is_empty())
        .then(|| format!("present but changed: {}", some_of(&objects.changed)));
    Finding::passed(measured).pass_inconclusive_if(unread.or(unreplaced).or(changed))
}

fn pods_watch(pods: &Pods) -> String {
    watch_of("pods", pods.namespace.as_deref())
}

fn some_of(objects: &[String]) -> String {
    first_of(objects, NAMED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, at};
    use crate::timeline::{Change, Event, FaultPhase, ObjectName, PodIdentity, Ready, UnreadKind};
    use crate::verdict::Outcome::{Fail, Inconclusive, Pass};

    fn pods() -> Pods {
        Pods::labelled([("app", "web")])
    }

    fn found(run: Run) -> Findings {
        analyse(&run.ended(27_000).build())
    }

    fn seconds(seconds: u64) -> Seconds {
        std::time::Duration::from_secs(seconds).into()
    }

    #[test]
    fn a_glitch_that_nobody_noticed() {
        let run =
            || Run::new().node(-9000, Change::Baseline, Ready::True, "KubeletReady").kill(2000);
        let judged = |run: Run| not_detected(&found(run)).outcome;
        let unknown =
            |run: Run, ms| run.node(ms, Change::Changed, Ready::Unknown, "NodeStatusUnknown");
        assert_eq!(
            [judged(run()), judged(unknown(run(), 1500)), judged(unknown(run(), 2500))],
            [Pass, Fail, Inconclusive]
        );
        assert_eq!(judged(Run::new().kill(2000)), Inconclusive, "no watch saw how it was");
        let gap = Event::WatchGap {
            watch: "nodes".into(),
            until: None,
            reason: "connection refused".into(),
        };
        assert_eq!(judged(run().event(1000, gap)), Inconclusive);
    }

    #[test]
    fn what_a_node_had_must_be_ready_elsewhere() {
        let run = || Run::new().endpoints(2, 1).kill(15_000);
        let judged = |run: Run, within| rescheduled(&found(run), "web", seconds(within)).outcome;
        let elsewhere = || run().endpoint(9000, Change::Changed, 7, "fast-detection-worker2", true);
        assert_eq!([judged(elsewhere(), 9), judged(elsewhere(), 8)], [Pass, Fail]);
        assert_eq!([judged(run(), 15), judged(run(), 16)], [Fail, Inconclusive]);
        let same_node = run().endpoint(9000, Change::Changed, 7, "fast-detection-worker", true);
        assert_eq!(judged(same_node, 15), Fail);
        assert_eq!(
            judged(Run::new().endpoints(2, 0).kill(15_000), 15),
            Inconclusive,
            "it hit none"
        );
    }

    #[test]
    fn a_new_pod_is_told_from_one_that_comes_after_the_undo() {
        let run = || Run::new().pod(-9000, Change::Baseline, "a", 0, true).kill(15_000);
        let judged = |run: Run| not_rescheduled(&found(run), &pods());
        assert_eq!(judged(run()).outcome, Pass);
        assert_eq!(judged(run().pod(15_500, Change::Changed, "b", 0, true)).outcome, Pass);
        assert_eq!(judged(run().pod(4000, Change::Changed, "b", 0, true)).outcome, Fail);
        assert_eq!(
            judged(run().pod(16_000, Change::Changed, "b", 0, true).since(3000)).outcome,
            Inconclusive
        );
        let pending = |ms, node: Option<&str>| {
            let (unschedulable, labels) =
                (Some("0/3 nodes".to_owned()), [("app".into(), "web".into())].into());
            let identity =
                PodIdentity { uid: "b".into(), labels, unschedulable, ..PodIdentity::default() };
            let node = node.map(str::to_owned);
            let (phase, change) = ("Pending".into(), Change::Changed);
            run().event(
                ms,
                Event::Pod { pod: "b".into(), change, node, phase, ready: false, identity },
            )
        };
        assert_eq!(judged(pending(4000, None)).outcome, Pass);
        let late = pending(4000, None).pod(16_000, Change::Changed, "b", 0, true);
        assert_eq!(judged(late).outcome, Pass, "its node came back");
        assert_eq!(judged(pending(4000, Some("w2"))).outcome, Fail);
        let other = Pods::labelled([("app", "db")]);
        assert_eq!(not_rescheduled(&found(run()), &other).outcome, Inconclusive);
        let blind = Event::WatchGap {
            watch: "pods".into(),
            until: None,
            reason: "connection refused".into(),
        };
        assert_eq!(judged(run().event(2000, blind)).outcome, Inconclusive);
        let gap = |from: i64, until: i64| {
            let gap = Event::WatchGap {
                watch: "pods".into(),
                until: Some(at(until)),
                reason: "connection refused".into(),
            };
            judged(run().event(until, gap).since(from))
        };
        assert_eq!(
            [gap(2000, 5000).outcome, gap(14_000, 18_000).outcome],
            [Inconclusive, Inconclusive]
        );
        assert_eq!(
            gap(2000, 5000).why.as_deref(),
            Some(
                "the watch of pods was down from +2.000s to +5.000s: a pod may have come and gone"
            )
        );
        assert_eq!(gap(16_000, 18_000).outcome, Pass, "the undo was over");
    }

    #[test]
    fn a_container_that_dies_is_started_in_its_pod() {
        let phase = |run: Run, ms, phase| {
            let (fault, target) = ("containerKill".into(), "a".into());
            run.event(
                ms,
                Event::Fault {
                    step: 0,
                    name: None,
                    fault,
                    target,
                    component: None,
                    phase,
                    detail: String::new(),
                },
            )
        };
        let run = || {
            let run = phase(
                Run::new().pod(-9000, Change::Baseline, "a", 0, true),
                0,
                FaultPhase::Requested,
            );
            phase(phase(run, 100, FaultPhase::Confirmed), 10_000, FaultPhase::UndoRequested)
        };
        let judged = |run: Run, within| restarted(&found(run), &pods(), seconds(within)).outcome;
        let again = || run().pod(2000, Change::Changed, "a", 1, true);
        assert_eq!([judged(again(), 2), judged(again(), 1)], [Pass, Fail]);
        assert_eq!([judged(run(), 10), judged(run(), 11)], [Fail, Inconclusive]);
        assert_eq!(judged(run().pod(2000, Change::Deleted, "a", 0, false), 60), Fail);
        let node = Run::new().pod(-9000, Change::Baseline, "a", 0, true).kill(15_000);
        assert_eq!(judged(node, 10), Inconclusive, "its node was hit, and not the pod");
    }

    #[test]
    fn what_is_missing_is_named() {
        let taken = |before, uids: &[&str], unread: &[&str]| {
            // Of `a=2` the content is another than that of `a`; `p*` are pods, which a controller
            // makes.
            let object = |uid: &&str| {
                let (uid, content) = uid.split_once('=').unwrap_or((uid, "1"));
                let (name, owner) = (uid.into(), uid.starts_with('p').then(|| "rs".to_owned()));
                let (kind, content) =
                    (if owner.is_some() { "Pod" } else { "Secret" }.into(), Some(content.into()));
                ObjectName {
                    kind,
                    namespace: None,
                    name,
                    uid: uid.into(),
                    controlled: owner.is_some(),
                    owner,
                    content,
                }
            };
            let unread = unread
                .iter()
                .map(|kind| UnreadKind { kind: (*kind).into(), why: "status 503".into() })
                .collect();
            Event::Objects { before, objects: uids.iter().map(object).collect(), unread }
        };
        let run = |after: &[&str], unread: &[&str]| {
            let pods = after.iter().any(|uid| uid.starts_with('p'));
            let before: &[&str] = if pods { &["a", "b", "p1", "p2"] } else { &["a", "b"] };
            let run = Run::new().event(-1000, taken(true, before, &[])).kill(15_000);
            objects_kept(&found(run.event(20_000, taken(false, after, unread))))
        };
        assert_eq!(run(&["a", "b", "c"], &[]).outcome, Pass);
        let lost = run(&["b"], &[]);
        assert_eq!(
            (lost.outcome, lost.measured.as_deref(), lost.why.as_deref()),
            (Fail, Some("1 of 2"), Some("missing: Secret a"))
        );
        let unread = run(&["a", "b"], &["Thing.x.io"]);
        assert_eq!(unread.outcome, Inconclusive);
        assert_eq!(
            unread.why.as_deref(),
            Some("not all kinds could be listed: Thing.x.io: status 503")
        );
        let unseen = run(&["b"], &["Secret"]);
        assert_eq!(
            (unseen.outcome, unseen.measured.as_deref()),
            (Inconclusive, Some("0 of 2, 2 not listed again"))
        );
        let replaced = run(&["a", "b", "p1", "p3"], &[]);
        assert_eq!(
            (replaced.outcome, replaced.measured.as_deref()),
            (Pass, Some("3 of 4, 1 replaced by their controllers"))
        );
        let fewer = run(&["a", "b", "p1"], &[]);
        let why = "gone, and not replaced by their controllers: Pod p2";
        assert_eq!((fewer.outcome, fewer.why.as_deref()), (Inconclusive, Some(why)));
        let changed = run(&["a=2", "b"], &[]);
        assert_eq!(
            (changed.outcome, changed.why.as_deref()),
            (Inconclusive, Some("present but changed: Secret a"))
        );
        assert_eq!(run(&["b"], &["Thing.x.io"]).outcome, Fail, "a is not");
        assert_eq!(
            objects_kept(&found(Run::new().event(-1, taken(true, &["a"], &[])).kill(15_000)))
                .outcome,
            Inconclusive
        );
        assert_eq!(objects_kept(&found(Run::new().kill(15_000))).outcome, Inconclusive);
        let nothing = Run::new()
            .event(-1, taken(true, &[], &[]))
            .kill(15_000)
            .event(20_000, taken(false, &["a"], &[]));
        assert_eq!(
            objects_kept(&found(nothing)).why.as_deref(),
            Some("there were no objects before the fault")
        );
    }
}

//! A workload that stays for the next run of a series, where nothing is done to its pods: to delete
//! one and to make an equal one takes longer than to measure.

use crate::engine::environment::handle::{ClusterHandle, Nodes, Preparing, Say};
use crate::engine::environment::kept_workload::{Kept, pods};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::ledger::Ledger;
use crate::engine::undo::recover::NAMESPACE_REMOVAL;
use crate::experiment::{Expectation, Experiment, Parsed};
use crate::workload::Manifest;

/// Whether a run of an experiment leaves its workload as it found it: its faults touch no pod, and
/// it has no canaries, which each run makes anew.
pub(in crate::engine) fn leaves_workload(handle: &ClusterHandle, experiment: &Experiment) -> bool {
    let faults = experiment.steps();
    let mut faults = faults.iter().filter_map(|step| step.fault());
    !matches!(handle.nodes, Nodes::Api(_))
        && faults.all(|(fault, _)| fault.kind().traits().leaves_pods())
        && !experiment.probes.iter().any(|probe| probe.ask.canary().is_some())
        && !experiment.expect.contains(&Expectation::ObjectsKept)
}

/// The workload that a run takes over; one that it has no use for is removed, and so is one whose
/// pods are no longer those that were first ready.
pub(in crate::engine) async fn take_over(
    handle: &ClusterHandle,
    parsed: &Parsed,
) -> Result<Option<Kept>, RunError> {
    let Some(kept) = handle.workload.get() else { return Ok(None) };
    let is_equal = kept.objects == objects(&parsed.workload)
        && leaves_workload(handle, &parsed.experiment)
        && pods(&handle.cluster, &kept.namespace).await.is_some_and(|pods| pods == kept.pods);
    match is_equal {
        true => Ok(Some(kept)),
        false => release(handle, &mut |_| {}).await.map(|()| None),
    }
}

/// All that a workload's files ask for.
pub(in crate::engine) fn objects(workload: &Manifest) -> Vec<serde_json::Value> {
    workload.objects().iter().map(|object| object.json().clone()).collect()
}

/// Removes the workload that stands between two runs. Errors when it is not gone: then it stays in
/// the ledger.
pub(crate) async fn release(handle: &ClusterHandle, say: Say<'_>) -> Result<(), RunError> {
    let Some(Kept { namespace, run, entry, .. }) = handle.workload.get() else { return Ok(()) };
    say(Preparing::Step("deleting the workload"));
    let removed = handle.cluster.remove_namespace(&namespace, &run, NAMESPACE_REMOVAL).await;
    removed.map_err(|error| {
        let failed = RunError::failed(format!("cannot delete the namespace {namespace}"));
        let failed = RunError { kind: RunErrorKind::NotUndone, ..failed.because(&error) };
        failed.hint("`kubectl outage recover` retries")
    })?;
    Ledger::open(&handle.state.ledger())?.settle(entry)?;
    handle.workload.set(None);
    Ok(())
}

/// The workload that stands between two runs is gone with its cluster.
pub(crate) fn is_gone(handle: &ClusterHandle) -> Result<(), RunError> {
    match handle.workload.get() {
        Some(kept) => {
            handle.workload.set(None);
            Ledger::open(&handle.state.ledger())?.settle(kept.entry)
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use std::time::Duration;

    use super::*;
    use crate::engine::existing_tests::{APPLICATION, EXPERIMENT, parsed, with_applications};
    use crate::engine::undo::ledger::{Access, RunRef, UndoEntry};

    const NAMESPACE: &str = "shop";
    const RUN: &str = "somebody";

    /// A run of a fault on a node whose workload is that of the namespace.
    fn wanted() -> Parsed {
        let (until_method, _) = EXPERIMENT.split_once("  method:").unwrap();
        let method = "  method:\n  - fault: {nodePause: {target: {role: worker}}}\n    for: 1s\n";
        let mut parsed = parsed(&(until_method.to_owned() + method));
        parsed.workload = Manifest::of_texts([("web.yaml", APPLICATION)]);
        parsed
    }

    /// An embedded cluster with the ready workload of a run that has ended.
    async fn kept(root: &std::path::Path) -> ClusterHandle {
        let handle = with_applications(root).await;
        while !handle.cluster.readiness(NAMESPACE).await.unwrap().ready {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let run = RunRef { run: RUN, engine: "embedded", access: None };
        let undo = UndoEntry::Namespace { name: NAMESPACE.into(), access: Access::Embedded };
        let entry = Ledger::open(&handle.state.ledger()).unwrap().record(run, undo).unwrap();
        handle.workload.set(Some(Kept {
            namespace: NAMESPACE.into(),
            run: RUN.into(),
            entry,
            objects: objects(&wanted().workload),
            pods: pods(&handle.cluster, NAMESPACE).await.unwrap(),
        }));
        handle
    }

    async fn is_released(handle: &ClusterHandle) -> bool {
        let pending = Ledger::open(&handle.state.ledger()).unwrap().pending().len();
        let namespaces = handle.cluster.namespaces_of_runs().await.unwrap();
        let stands = namespaces.iter().any(|name| name == NAMESPACE);
        handle.workload.get().is_none() && pending == 0 && !stands
    }

    #[tokio::test]
    async fn a_workload_is_taken_over_while_its_pods_are_the_same() {
        let root = tempfile::tempdir().unwrap();
        let handle = kept(root.path()).await;
        assert_eq!(take_over(&handle, &wanted()).await.unwrap(), handle.workload.get());
        let pod = handle.cluster.pods(NAMESPACE, &BTreeMap::new()).await.unwrap().remove(0);
        handle.cluster.delete_pod(NAMESPACE, &pod.name, &pod.uid).await.unwrap();
        assert_eq!(take_over(&handle, &wanted()).await.unwrap(), None);
        assert!(is_released(&handle).await);
    }

    #[tokio::test]
    async fn a_run_makes_its_own_workload_where_the_namespace_was_deleted() {
        let root = tempfile::tempdir().unwrap();
        let handle = kept(root.path()).await;
        handle.cluster.remove_namespace(NAMESPACE, RUN, NAMESPACE_REMOVAL).await.unwrap();
        assert_eq!(take_over(&handle, &wanted()).await.unwrap(), None);
        assert!(is_released(&handle).await);
    }

    #[tokio::test]
    async fn the_workload_is_deleted_when_the_series_ends() {
        let root = tempfile::tempdir().unwrap();
        let handle = kept(root.path()).await;
        release(&handle, &mut |_| {}).await.unwrap();
        assert!(is_released(&handle).await);
        assert_eq!(take_over(&handle, &wanted()).await.unwrap(), None);
    }
}

//! A workload that stays for the next run of a series, where nothing is done to its pods: to delete
//! one and to make an equal one takes longer than to measure.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::environment::handle::{ClusterHandle, Nodes, Preparing, Say};
use crate::engine::environment::kept_workload::Kept;
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::ledger::Ledger;
use crate::engine::undo::recover::NAMESPACE_REMOVAL;
use crate::experiment::{Ask, Expectation, Experiment, Parsed};
use crate::workload::Manifest;

/// Whether a run of an experiment leaves its workload as it found it: its faults are on nodes, and
/// its probes ask for nothing that each run makes anew.
pub(in crate::engine) fn leaves_workload(handle: &ClusterHandle, experiment: &Experiment) -> bool {
    let faults = experiment.steps();
    let mut faults = faults.iter().filter_map(|step| step.fault());
    let makes = |ask: &Ask| ask.canary().is_some() || matches!(ask, Ask::Api { .. });
    !matches!(handle.nodes, Nodes::Api(_))
        && faults.all(|(fault, _)| fault.kind().traits().leaves_pods())
        && !experiment.probes.iter().any(|probe| makes(&probe.ask))
        && !experiment.expect.contains(&Expectation::ObjectsKept)
}

/// The workload that a run takes over; one that it has no use for is removed.
pub(in crate::engine) async fn take_over(
    handle: &ClusterHandle,
    parsed: &Parsed,
) -> Result<Option<Kept>, RunError> {
    let is_equal = |kept: &Kept| {
        kept.objects == objects(&parsed.workload) && leaves_workload(handle, &parsed.experiment)
    };
    match handle.workload.get() {
        Some(kept) if is_equal(&kept) => Ok(Some(kept)),
        _ => release(handle, &mut |_| {}).await.map(|()| None),
    }
}

/// All that a workload's files ask for.
pub(in crate::engine) fn objects(workload: &Manifest) -> Vec<serde_json::Value> {
    workload.objects().iter().map(|object| object.json().clone()).collect()
}

/// The pods of a namespace and their nodes; `None` where they can't be listed.
pub(in crate::engine) async fn pods(
    handle: &ClusterHandle,
    namespace: &str,
) -> Option<BTreeSet<String>> {
    let pods = handle.cluster.pods(namespace, &BTreeMap::new()).await.ok()?;
    Some(pods.into_iter().map(|pod| format!("{} {:?}", pod.uid, pod.node)).collect())
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

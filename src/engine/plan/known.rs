//! What is known of a running cluster before a run in it, as its plan needs it.

use crate::engine::environment::handle::ClusterHandle;
use crate::engine::error::RunError;
use crate::engine::leaders;
use crate::engine::plan::strangers::Strangers;
use crate::experiment::Experiment;
use crate::plan::{Endpoints, Known, Node};

pub(crate) async fn now(
    handle: &ClusterHandle,
    experiment: &Experiment,
    nodes: &[Node],
) -> Result<Known, RunError> {
    let strangers = Strangers { facts: &handle.facts, experiment };
    Ok(Known {
        endpoints: endpoints(experiment, handle).await?,
        leaders: leaders::now(handle).await?,
        down: nodes.iter().filter(|node| !node.ready).map(|node| node.name.clone()).collect(),
        occupancy: strangers.occupancy(&handle.cluster, None).await?,
        ..Known::default()
    })
}

/// The endpoints of the Services by which targets are chosen, except those that a run creates. As
/// in a run, those of a Service that has none are not known.
async fn endpoints(experiment: &Experiment, handle: &ClusterHandle) -> Result<Endpoints, RunError> {
    let mut known = Endpoints::new();
    for step in experiment.steps() {
        let target = step.fault().and_then(|(fault, _)| fault.target());
        let Some(service) = target.and_then(|target| target.most_endpoints_of.as_ref()) else {
            continue;
        };
        let Some(namespace) = &service.namespace else { continue };
        let key = service.to_string();
        if known.contains_key(&key) {
            continue;
        }
        let found = handle.cluster.endpoints(namespace, &service.name).await;
        let found = found.map_err(RunError::refused_by)?;
        if !found.is_empty() {
            known.insert(key, found);
        }
    }
    Ok(known)
}

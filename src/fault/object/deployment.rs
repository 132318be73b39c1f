//! What the faults on a Deployment share: it is changed as long as it is as it was planned, and
//! what was there before is put back.

use serde::{Deserialize, Serialize};

use super::{ObjectContext, PODS, Untouched, named, undo_marked, until, write};
use crate::cluster::{Cluster, ClusterError, DeploymentChange, DeploymentState};
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, format_seconds};

/// A Deployment when the fault was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedDeployment {
    pub namespace: String,
    pub name: String,
    /// Its uid: another one of its name has another. Earlier versions' records have none, and an
    /// undo needs none.
    #[serde(default)]
    pub uid: String,
    /// How many of its replicas were ready.
    pub ready: u32,
}

/// The words of such a fault.
pub(super) struct Words {
    /// What is done to the Deployment: `scale`.
    pub verb: &'static str,
    /// What another run has done to one that has its mark: `scaled`.
    pub done: &'static str,
    /// What an undo says of one without a mark.
    pub unmarked: &'static str,
}

/// How what was there before is put back.
pub(super) struct Restore {
    pub change: DeploymentChange,
    pub done: String,
}

pub(super) trait DeploymentFault {
    const WORDS: Words;

    fn deployment(&self) -> &PlannedDeployment;

    /// Why what is there is no longer what the undo would put back.
    fn changed(&self, seen: &DeploymentState) -> Option<String>;

    fn change(&self, seen: &DeploymentState) -> DeploymentChange;

    /// What is no longer what the fault has set is somebody's will, and stays.
    fn restore(&self, seen: &DeploymentState) -> Restore;

    /// Whether as many replicas are there, and as they are to be, as can be said of it.
    fn is_settled(seen: &DeploymentState) -> bool;
}

impl std::fmt::Display for PlannedDeployment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&named(&self.namespace, &self.name))
    }
}

impl PlannedDeployment {
    pub(super) fn of(seen: &DeploymentState) -> Self {
        let DeploymentState { namespace, name, uid, ready, .. } = seen.clone();
        Self { namespace, name, uid, ready }
    }

    async fn look(&self, cluster: &Cluster) -> Result<DeploymentState, ClusterError> {
        cluster.deployment(&self.namespace, &self.name).await
    }

    pub(super) fn failed(&self, what: &str, why: String) -> FaultError {
        FaultError::Object { what: format!("{what} the Deployment {self}"), why }
    }

    /// Looks until it is so, or for too long. What was seen last.
    pub(super) async fn until(
        &self,
        context: &ObjectContext<'_, '_>,
        so: impl Fn(&DeploymentState) -> bool,
    ) -> Result<DeploymentState, FaultError> {
        until(async || Ok(self.look(context.cluster).await?), so).await
    }
}

/// What it was when the fault was planned is what it will be again: nothing else is touched.
async fn fit<F: DeploymentFault>(
    fault: &F,
    context: &ObjectContext<'_, '_>,
) -> Result<DeploymentState, FaultError> {
    let planned = fault.deployment();
    let seen = planned.look(context.cluster).await?;
    let why = match (&seen.mark, fault.changed(&seen)) {
        (Some(mark), _) => {
            format!("another run has {} it (label outage.run={mark})", F::WORDS.done)
        }
        _ if seen.uid != planned.uid => {
            "it was deleted and recreated after the fault was planned".into()
        }
        (None, Some(why)) => why,
        (None, None) => return Ok(seen),
    };
    Err(planned.failed(F::WORDS.verb, why))
}

/// Changes it, and ends when the API server has accepted that.
pub(super) async fn inject<F: DeploymentFault>(
    fault: &F,
    context: &mut ObjectContext<'_, '_>,
    requested: impl FnOnce(&DeploymentState) -> String,
) -> Result<(), FaultError> {
    let seen = fit(fault, context).await?;
    context.report(FaultPhase::Requested, requested(&seen));
    let change = async |seen: &DeploymentState| {
        context.cluster.change_deployment(seen, fault.change(seen), Some(context.mark)).await
    };
    write(seen, async || fit(fault, context).await, change).await?;
    context.report(FaultPhase::Returned, "accepted by the API server");
    Ok(())
}

/// Whether its pods come is the cluster's matter: it is undone when it is asked for as before.
pub(super) async fn undo<F: DeploymentFault>(
    fault: &F,
    context: &ObjectContext<'_, '_>,
) -> Result<String, FaultError> {
    let planned = fault.deployment();
    let gone = format!("{planned} is no longer there");
    let untouched = Untouched { gone, unmarked: F::WORDS.unmarked };
    let look = async || planned.look(context.cluster).await;
    let put_back = async |seen: &DeploymentState| {
        let Restore { change, done } = fault.restore(seen);
        context.cluster.change_deployment(seen, change, None).await?;
        let enough = |seen: &DeploymentState| {
            F::is_settled(seen) && seen.ready >= planned.ready.min(seen.wanted)
        };
        let readiness = match planned.until(context, enough).await {
            Ok(seen) => {
                let late = match enough(&seen) {
                    true => String::new(),
                    false => format!(" after {}", format_seconds(PODS)),
                };
                format!("{} of {} replicas ready{late}", seen.ready, seen.wanted)
            }
            Err(error) => format!("how many replicas are ready is not known: {error}"),
        };
        Ok(format!("{done}: {readiness}"))
    };
    undo_marked(context, untouched, look, put_back).await
}

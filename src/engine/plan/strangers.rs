//! What of other people's runs in a cluster, as far as a fault on a node must not take it.

use crate::cluster::{Cluster, ReadyPods};
use crate::engine::error::RunError;
use crate::experiment::Experiment;
use crate::plan::{LossLimit, Occupancy, PodGroup};
use crate::timeline::{ClusterFacts, ClusterKind};

/// An experiment in a cluster that others may use.
#[derive(Clone, Copy)]
pub(crate) struct Strangers<'a> {
    pub facts: &'a ClusterFacts,
    pub experiment: &'a Experiment,
}

impl Strangers<'_> {
    /// Whether anything limits its faults on nodes: a kind cluster of this machine, like the model,
    /// has no strangers in it.
    fn matter(self) -> bool {
        let steps = self.experiment.steps();
        self.facts.kind == ClusterKind::Context
            && !self.experiment.blast_radius.allows_any_loss()
            && steps.iter().filter_map(|step| step.fault()).any(|(fault, _)| fault.may_lose_pods())
    }

    /// What must not be lost; nothing where no stranger matters. `own`: the run's namespace.
    pub(crate) async fn occupancy(
        self,
        cluster: &Cluster,
        own: Option<&str>,
    ) -> Result<Occupancy, RunError> {
        if !self.matter() {
            return Ok(Occupancy::default());
        }
        let found = cluster.ready_pods().await.map_err(|error| {
            RunError::refused("cannot check what else a fault would hit").because(&error).hint(
                "`kubectl outage rbac -f FILE` prints the roles that are needed; to run without this \
                 check, set `blastRadius: {lastReplica: true, exceedDisruptionBudgets: true}`",
            )
        })?;
        let mut inside = self.experiment.namespaces();
        inside.extend(self.experiment.elsewhere().into_keys());
        inside.extend(own.map(str::to_owned));
        Ok(Occupancy(found.into_iter().filter_map(|group| of_strangers(group, &inside)).collect()))
    }
}

/// A disruption budget counts wherever it is; a controller only outside the experiment.
fn of_strangers(group: ReadyPods, inside: &[String]) -> Option<PodGroup> {
    let ReadyPods { namespace, name, allowed, by_node: ready } = group;
    let limit = match allowed {
        Some(allowed) => LossLimit::Budget(allowed),
        None if inside.contains(&namespace) => return None,
        None => LossLimit::AllButOne,
    };
    Some(PodGroup { name, limit, ready })
}

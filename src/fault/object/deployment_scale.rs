//! A Deployment is given another number of replicas; then as many as before.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deployment::{self, DeploymentFault, PlannedDeployment, Restore, Words};
use super::{Lookup, ObjectContext, ObjectFault, PODS, not_on_objects};
use crate::cluster::{Cluster, DeploymentChange, DeploymentState};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted, format_seconds};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentScale {
    #[serde(flatten)]
    pub deployment: PlannedDeployment,
    /// How many replicas it was to have before.
    pub before: u32,
    /// How many it is given.
    pub replicas: u32,
}

impl ObjectFault for DeploymentScale {
    const UNDO_TIMEOUT: Duration = PODS;
    const RUNS_EMBEDDED: bool = true;

    fn injection_timeout(_: &Fault) -> Duration {
        PODS
    }

    async fn plan<L: Lookup>(fault: &Fault, lookup: &mut L) -> Result<Vec<Self>, L::Error> {
        let Fault::DeploymentScale { deployment, replicas } = fault else {
            return Err(not_on_objects(fault).into());
        };
        let namespace = lookup.namespace(deployment.namespace.as_deref());
        Ok(vec![Self::of(lookup.cluster(), &namespace, &deployment.name, *replicas).await?])
    }

    /// A Deployment of the run's own is not there yet.
    async fn preview(
        fault: &Fault,
        cluster: Option<&Cluster>,
    ) -> Result<Option<String>, FaultError> {
        if let Fault::DeploymentScale { deployment, replicas } = fault
            && let (Some(namespace), Some(cluster)) = (&deployment.namespace, cluster)
        {
            let scale = Self::of(cluster, namespace, &deployment.name, *replicas).await?;
            return Ok(Some(scale.describe()));
        }
        Ok(fault
            .deployment()
            .map(|it| format!("scale the Deployment {it} back to the replicas it had before")))
    }

    fn target(&self) -> &str {
        &self.deployment.name
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let to = self.replicas;
        let requested = |seen: &DeploymentState| format!("scale it from {} to {to}", seen.wanted);
        deployment::inject(self, context, requested).await?;
        let seen = self.deployment.until(context, |seen| seen.there == Some(to)).await?;
        let has = |replicas: u32| format!("it has {}", counted(replicas, "replica"));
        if seen.there != Some(to) {
            let seen = seen.there.map_or("its controller has not observed it".into(), has);
            let why = format!("{seen} after {}", format_seconds(PODS));
            return Err(self.deployment.failed("confirm the scaling of", why));
        }
        context.report(FaultPhase::Confirmed, has(to));
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        deployment::undo(self, context).await
    }

    fn describe(&self) -> String {
        format!("scale the Deployment {} back to {}", self.deployment, self.before)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        let PlannedDeployment { namespace, name, .. } = &self.deployment;
        let scale = format!("scale deployment {name} --replicas {}", self.before);
        Some(format!("{kubectl} -n {namespace} {scale}"))
    }
}

impl DeploymentFault for DeploymentScale {
    const WORDS: Words =
        Words { verb: "scale", done: "scaled", unmarked: "it was not scaled, or is already back" };

    fn deployment(&self) -> &PlannedDeployment {
        &self.deployment
    }

    fn changed(&self, seen: &DeploymentState) -> Option<String> {
        let (now, before) = (seen.wanted, self.before);
        (now != before)
            .then(|| format!("it was scaled to {now} after the fault was planned for {before}"))
    }

    fn change(&self, _: &DeploymentState) -> DeploymentChange {
        self.scale(self.replicas)
    }

    fn restore(&self, seen: &DeploymentState) -> Restore {
        let now = seen.wanted;
        match now == self.replicas {
            true => Restore { change: self.scale(self.before), done: "scaled back".into() },
            false => Restore {
                change: self.scale(now),
                done: format!("kept at {now}, to which it was scaled in the meantime"),
            },
        }
    }

    fn is_settled(seen: &DeploymentState) -> bool {
        seen.there.is_some()
    }
}

impl DeploymentScale {
    async fn of(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        replicas: u32,
    ) -> Result<Self, FaultError> {
        let seen = cluster.deployment(namespace, name).await?;
        Ok(Self { deployment: PlannedDeployment::of(&seen), before: seen.wanted, replicas })
    }

    fn scale(&self, to: u32) -> DeploymentChange {
        let call = format!("scale the Deployment {} to {to}", self.deployment);
        DeploymentChange { call, spec: json!({"replicas": to}) }
    }
}

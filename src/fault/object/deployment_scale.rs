//! A Deployment is given another number of replicas; then as many as before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Lookup, ObjectContext, ObjectFault, PODS, Untouched, named, not_on_objects, ready, undo_marked,
    unknown, until, write,
};
use crate::cluster::{Cluster, ClusterError, Scale};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted};

/// A Deployment as it was when the fault was planned, and the number of replicas that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentScale {
    pub namespace: String,
    pub name: String,
    /// Its uid: another one of its name has another. Earlier versions' records have none, and an
    /// undo needs none.
    #[serde(default)]
    pub uid: String,
    /// How many it was to have before.
    pub before: u32,
    /// How many of them were ready.
    pub ready: u32,
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
        Ok(vec![Self::of(lookup.cluster(), namespace, &deployment.name, *replicas).await?])
    }

    /// A Deployment of the run's own is not there yet.
    async fn preview(
        fault: &Fault,
        cluster: Option<&Cluster>,
    ) -> Result<Option<String>, FaultError> {
        if let Fault::DeploymentScale { deployment, replicas } = fault
            && let (Some(namespace), Some(cluster)) = (&deployment.namespace, cluster)
        {
            let scale = Self::of(cluster, namespace.clone(), &deployment.name, *replicas).await?;
            return Ok(Some(scale.describe()));
        }
        Ok(fault
            .deployment()
            .map(|it| format!("scale the Deployment {it} back to the replicas it had before")))
    }

    fn target(&self) -> &str {
        &self.name
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let (seen, to) = (self.fit(context).await?, self.replicas);
        context.report(FaultPhase::Requested, format!("scale it from {} to {to}", seen.wanted));
        write(
            seen,
            async || self.fit(context).await,
            async |seen: &Scale| self.set(context, seen, to, Some(context.mark)).await,
        )
        .await?;
        context.report(FaultPhase::Returned, "accepted by the API server");
        let there = self.until(context, |scale| scale.there == Some(to)).await?;
        if there.there != Some(to) {
            let seen = there.there.map_or("its controller has not observed it".into(), |there| {
                format!("it has {}", counted(there, "replica"))
            });
            return Err(self.slow("confirm the scale of", seen));
        }
        context.report(FaultPhase::Confirmed, format!("it has {}", counted(to, "replica")));
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let untouched = Untouched {
            gone: format!("{} is no longer there", named(&self.namespace, &self.name)),
            unmarked: "it was not scaled, or is already back",
        };
        let look = async || {
            let seen = context.cluster.scale_of(&self.namespace, &self.name).await?;
            Ok((seen.clone(), seen.mark))
        };
        let put_back = async |seen: &Scale| {
            let done = self.put_back(context, seen).await?;
            Ok(format!("{done}: {}", self.readiness(context).await))
        };
        undo_marked(context, untouched, look, put_back).await
    }

    fn describe(&self) -> String {
        format!("scale the Deployment {}/{} back to {}", self.namespace, self.name, self.before)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        let Self { namespace, name, before, .. } = self;
        Some(format!("{kubectl} -n {namespace} scale deployment {name} --replicas {before}"))
    }
}

impl DeploymentScale {
    async fn of(
        cluster: &Cluster,
        namespace: String,
        name: &str,
        replicas: u32,
    ) -> Result<Self, FaultError> {
        let Scale { uid, wanted: before, ready, .. } = cluster.scale_of(&namespace, name).await?;
        Ok(Self { namespace, name: name.to_owned(), uid, before, ready, replicas })
    }

    /// What it was when the fault was planned is what it will be again: nothing else is
    /// touched.
    async fn fit(&self, context: &ObjectContext<'_, '_>) -> Result<Scale, FaultError> {
        let seen = context.cluster.scale_of(&self.namespace, &self.name).await?;
        let why = match &seen.mark {
            Some(mark) => format!("another run has scaled it (label outage.run={mark})"),
            None if seen.uid != self.uid => {
                "it was deleted and recreated after the fault was planned".into()
            }
            None if seen.wanted != self.before => {
                format!(
                    "it was scaled to {} after the fault was planned for {}",
                    seen.wanted, self.before
                )
            }
            None => return Ok(seen),
        };
        Err(self.unfit("scale", why))
    }

    async fn set(
        &self,
        context: &ObjectContext<'_, '_>,
        seen: &Scale,
        to: u32,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        context.cluster.scale(&self.namespace, &self.name, seen, to, mark).await.map(drop)
    }

    /// What is no longer what we have set is somebody's will: only the mark is removed.
    async fn put_back(
        &self,
        context: &ObjectContext<'_, '_>,
        seen: &Scale,
    ) -> Result<String, FaultError> {
        let ours = seen.wanted == self.replicas;
        self.set(context, seen, if ours { self.before } else { seen.wanted }, None).await?;
        Ok(if ours {
            "scaled back".into()
        } else {
            format!("kept at {}, to which it was scaled in the meantime", seen.wanted)
        })
    }

    async fn until(
        &self,
        context: &ObjectContext<'_, '_>,
        so: impl Fn(&Scale) -> bool,
    ) -> Result<Scale, FaultError> {
        until(async || Ok(context.cluster.scale_of(&self.namespace, &self.name).await?), so).await
    }

    /// How many are ready in the end. Whether its pods come is the cluster's matter: it is undone
    /// when it is asked for as before.
    async fn readiness(&self, context: &ObjectContext<'_, '_>) -> String {
        let enough = |seen: &Scale| {
            seen.there.is_some() && seen.ready >= self.ready.min(self.before).min(seen.wanted)
        };
        match self.until(context, enough).await {
            Ok(seen) => ready(seen.ready, seen.wanted, enough(&seen)),
            Err(error) => unknown(&error),
        }
    }

    fn unfit(&self, what: &str, why: String) -> FaultError {
        FaultError::Object {
            what: format!("{what} the Deployment {}", named(&self.namespace, &self.name)),
            why,
        }
    }

    fn slow(&self, what: &str, seen: String) -> FaultError {
        self.unfit(what, format!("{seen} after {}s", PODS.as_secs()))
    }
}

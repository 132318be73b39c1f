//! A Deployment is given another number of replicas; then as many as before.

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{ON_ITS_WAY, PODS, Stage, named, ready, unknown, until, write};
use crate::cluster::{ClusterError, Scale};
use crate::fault::FaultError;
use crate::timeline::FaultPhase;

/// A Deployment as it was when the fault was planned, and the number of replicas that it is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resize {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid: another one of its name has another. Earlier versions' records have none, and an undo needs none.
    #[serde(default)]
    pub uid: String,
    /// How many it was to have before.
    pub before: u32,
    /// How many of them were ready.
    pub ready: u32,
    /// How many it is given.
    pub replicas: u32,
}

impl Resize {
    pub(super) async fn inject(&self, stage: &mut Stage<'_, '_>) -> Result<(), FaultError> {
        let (seen, to) = (self.fit(stage).await?, self.replicas);
        stage.say(FaultPhase::Requested, format!("scale it from {} to {to}", seen.wanted));
        write(
            seen,
            async || self.fit(stage).await,
            async |seen: &Scale| self.set(stage, seen, to, Some(stage.mark)).await,
        )
        .await?;
        stage.say(FaultPhase::Returned, "the API server has it");
        let there = self.until(stage, |scale| scale.there == Some(to)).await?;
        if there.there != Some(to) {
            let seen = there.there.map_or("its controller has not seen it".into(), |there| {
                format!("it has {there} replicas")
            });
            return Err(self.slow("confirm the scale of", seen));
        }
        stage.say(FaultPhase::Confirmed, format!("it has {to} replicas"));
        Ok(())
    }

    /// What it was when the fault was planned is what it will be again: harm is done to nothing else.
    async fn fit(&self, stage: &Stage<'_, '_>) -> Result<Scale, FaultError> {
        let seen = stage.cluster.scale_of(&self.namespace, &self.name).await?;
        let why = match &seen.mark {
            Some(mark) => format!("another run has scaled it (label outage.run={mark})"),
            None if seen.uid != self.uid => {
                "another one has had its name since the fault was planned".into()
            }
            None if seen.wanted != self.before => {
                format!(
                    "somebody has scaled it to {} since the fault was planned, when it was to have {}",
                    seen.wanted, self.before
                )
            }
            None => return Ok(seen),
        };
        Err(self.unfit("scale", why))
    }

    async fn set(
        &self,
        stage: &Stage<'_, '_>,
        seen: &Scale,
        to: u32,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        stage.cluster.scale(&self.namespace, &self.name, seen, to, mark).await.map(drop)
    }

    /// What bears the mark is scaled back. What does not was never scaled, or is back already, or belongs to somebody else by now.
    pub(super) async fn undo(&self, stage: &Stage<'_, '_>) -> Result<String, FaultError> {
        for look in 0..2 {
            let seen = match stage.cluster.scale_of(&self.namespace, &self.name).await {
                Err(error) if error.is_not_found() => {
                    return Ok(format!(
                        "{} is no longer there",
                        named(&self.namespace, &self.name)
                    ));
                }
                seen => seen?,
            };
            if seen.mark.as_deref() == Some(stage.mark) {
                let done = self.put_back(stage, &seen).await?;
                return Ok(format!("{done}: {}", self.readiness(stage).await));
            }
            if look == 0 {
                sleep(ON_ITS_WAY).await;
            }
        }
        Ok("it was not scaled, or is back already".into())
    }

    /// What is no longer what we have set is somebody's will: only the mark is taken away.
    async fn put_back(&self, stage: &Stage<'_, '_>, seen: &Scale) -> Result<String, FaultError> {
        let ours = seen.wanted == self.replicas;
        self.set(stage, seen, if ours { self.before } else { seen.wanted }, None).await?;
        Ok(if ours {
            "scaled back".into()
        } else {
            format!("left as somebody has scaled it meanwhile, to {}", seen.wanted)
        })
    }

    async fn until(
        &self,
        stage: &Stage<'_, '_>,
        so: impl Fn(&Scale) -> bool,
    ) -> Result<Scale, FaultError> {
        until(async || Ok(stage.cluster.scale_of(&self.namespace, &self.name).await?), so).await
    }

    /// How many are ready in the end. Whether its pods come is the cluster's matter: it is undone when it is asked for as before.
    async fn readiness(&self, stage: &Stage<'_, '_>) -> String {
        let enough = |seen: &Scale| {
            seen.there.is_some() && seen.ready >= self.ready.min(self.before).min(seen.wanted)
        };
        match self.until(stage, enough).await {
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

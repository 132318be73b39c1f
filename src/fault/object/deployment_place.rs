//! A Deployment's pods are moved to nodes; then they may be where they might be before.

use serde_json::Value;
use std::collections::BTreeSet;
use tokio::time::{Instant, sleep};

use super::{LOOK, ON_ITS_WAY, PODS, Stage, named};
use crate::cluster::Placement;
use crate::fault::{FaultError, counted};
use crate::timeline::FaultPhase;

/// A Deployment, and the nodes to which its pods are moved.
pub(super) struct Move<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub nodes: &'a [String],
}

impl Move<'_> {
    pub(super) async fn inject(&self, stage: &mut Stage<'_, '_>, placed: &Value) -> Result<(), FaultError> {
        let seen = self.seen(stage).await?;
        if let Some(mark) = seen.mark {
            return Err(self.unfit("move", format!("another run has changed it (label outage.run={mark})")));
        }
        stage.say(FaultPhase::Requested, format!("move its pods to {}", self.nodes.join(", ")));
        stage.cluster.place(self.namespace, self.name, &seen, placed, Some(stage.mark)).await?;
        stage.say(FaultPhase::Returned, "the API server has it");
        let there = self.until(stage, |seen| seen.ready == seen.wanted).await?;
        let on = self.nodes_of(stage, &there).await?;
        if !there.settled || there.ready < there.wanted || on != self.nodes.iter().cloned().collect() {
            let on = on.into_iter().collect::<Vec<_>>().join(", ");
            return Err(self.slow("confirm the move of", &there, &format!(", its pods on {on}")));
        }
        stage.say(FaultPhase::Confirmed, format!("ready on {}: {}", self.nodes.join(", "), counted(there.ready as usize, "pod")));
        Ok(())
    }

    /// What bears the mark is put back. What does not was never moved, or is back already, or belongs to somebody else by now.
    pub(super) async fn undo(&self, stage: &Stage<'_, '_>, before: &Value, ready: u32) -> Result<String, FaultError> {
        let mut done = "it was not moved";
        for look in 0..2 {
            let seen = match stage.cluster.placement_of(self.namespace, self.name).await {
                Err(error) if error.is_not_found() => {
                    return Ok(format!("{} is no longer there", named(self.namespace, self.name)));
                }
                seen => seen?,
            };
            if seen.mark.as_deref() == Some(stage.mark) {
                stage.cluster.place(self.namespace, self.name, &seen, before, None).await?;
                done = "its pods may be where they might be before";
            } else if look == 0 {
                sleep(ON_ITS_WAY).await;
            }
        }
        let there = self.until(stage, |seen| seen.ready >= ready.min(seen.wanted)).await?;
        if !there.settled || there.ready < ready.min(there.wanted) {
            return Err(self.slow("put back", &there, ""));
        }
        Ok(format!("{done}: {} of {} replicas ready", there.ready, there.wanted))
    }

    async fn seen(&self, stage: &Stage<'_, '_>) -> Result<Placement, FaultError> {
        Ok(stage.cluster.placement_of(self.namespace, self.name).await?)
    }

    async fn nodes_of(&self, stage: &Stage<'_, '_>, seen: &Placement) -> Result<BTreeSet<String>, FaultError> {
        let pods = stage.cluster.pods(self.namespace, &seen.labels).await?;
        Ok(pods.into_iter().filter_map(|pod| pod.node).collect())
    }

    /// Looks until it has settled and is so, or for too long.
    async fn until(&self, stage: &Stage<'_, '_>, so: impl Fn(&Placement) -> bool) -> Result<Placement, FaultError> {
        let end = Instant::now() + PODS;
        loop {
            let seen = self.seen(stage).await?;
            if seen.settled && so(&seen) || Instant::now() > end {
                return Ok(seen);
            }
            sleep(LOOK).await;
        }
    }

    fn unfit(&self, what: &str, why: String) -> FaultError {
        FaultError::Object { what: format!("{what} the Deployment {}", named(self.namespace, self.name)), why }
    }

    fn slow(&self, what: &str, seen: &Placement, more: &str) -> FaultError {
        let all = if seen.settled { "" } else { ", and older ones are left" };
        self.unfit(what, format!("{} of {} replicas are ready{all}{more} after {}s", seen.ready, seen.wanted, PODS.as_secs()))
    }
}

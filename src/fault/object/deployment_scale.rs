//! A Deployment is given another number of replicas; then as many as before.

use tokio::time::{Instant, sleep};

use super::{LOOK, ON_ITS_WAY, PODS, Stage, named};
use crate::cluster::Scale;
use crate::fault::FaultError;
use crate::timeline::FaultPhase;

pub(super) async fn inject(stage: &mut Stage<'_, '_>, namespace: &str, name: &str, to: u32) -> Result<(), FaultError> {
    let seen = stage.cluster.scale_of(namespace, name).await?;
    if let Some(mark) = seen.mark {
        return Err(unfit(namespace, name, format!("another run has scaled it (label outage.run={mark})")));
    }
    stage.say(FaultPhase::Requested, format!("scale it from {} to {to}", seen.wanted));
    scale(stage, namespace, name, seen, to).await?;
    stage.say(FaultPhase::Returned, "the API server has it");
    let there = until(stage, namespace, name, |scale| scale.there == Some(to)).await?;
    if there.there != Some(to) {
        let seen = there.there.map_or("its controller has not seen it".into(), |there| format!("it has {there} replicas"));
        return Err(slow("confirm the scale of", namespace, name, seen));
    }
    stage.say(FaultPhase::Confirmed, format!("it has {to} replicas"));
    Ok(())
}

/// Its controller writes to it, too: who was slower looks again.
async fn scale(stage: &Stage<'_, '_>, namespace: &str, name: &str, mut seen: Scale, to: u32) -> Result<(), FaultError> {
    let end = Instant::now() + ON_ITS_WAY;
    loop {
        match stage.cluster.scale(namespace, name, &seen, to, Some(stage.mark)).await {
            Err(error) if error.may_pass() && Instant::now() < end => sleep(LOOK).await,
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
        seen = stage.cluster.scale_of(namespace, name).await?;
    }
}

/// What bears the mark is scaled back. What does not was never scaled, or is back already, or belongs to somebody else by now.
pub(super) async fn undo(
    stage: &Stage<'_, '_>,
    namespace: &str,
    name: &str,
    before: u32,
    ready: u32,
) -> Result<String, FaultError> {
    let mut done = "it was not scaled";
    for look in 0..2 {
        let seen = match stage.cluster.scale_of(namespace, name).await {
            Err(error) if error.is_not_found() => return Ok(format!("{} is no longer there", named(namespace, name))),
            seen => seen?,
        };
        if seen.mark.as_deref() == Some(stage.mark) {
            stage.cluster.scale(namespace, name, &seen, before, None).await?;
            done = "scaled back";
        } else if look == 0 {
            sleep(ON_ITS_WAY).await;
        }
    }
    let wanted = ready.min(before);
    let there = until(stage, namespace, name, |scale| scale.there.is_some() && scale.ready >= wanted.min(scale.wanted)).await?;
    if there.there.is_none() || there.ready < wanted.min(there.wanted) {
        return Err(slow("scale back", namespace, name, format!("{} of {} replicas are ready", there.ready, there.wanted)));
    }
    Ok(format!("{done}: {} of {} replicas ready", there.ready, there.wanted))
}

/// Looks until it is so, or for too long.
async fn until(stage: &Stage<'_, '_>, namespace: &str, name: &str, so: impl Fn(&Scale) -> bool) -> Result<Scale, FaultError> {
    let end = Instant::now() + PODS;
    loop {
        let seen = stage.cluster.scale_of(namespace, name).await?;
        if so(&seen) || Instant::now() > end {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}

fn unfit(namespace: &str, name: &str, why: String) -> FaultError {
    FaultError::Object { what: format!("scale the Deployment {}", named(namespace, name)), why }
}

fn slow(what: &str, namespace: &str, name: &str, seen: String) -> FaultError {
    let why = format!("{seen} after {}s", PODS.as_secs());
    FaultError::Object { what: format!("{what} the Deployment {}", named(namespace, name)), why }
}

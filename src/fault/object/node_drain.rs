//! A node is cordoned and its pods are evicted, as `kubectl drain` does it; then it is uncordoned. Pods are not brought back: they are
//! where Kubernetes has put them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{LOOK, ON_ITS_WAY, Stage, named, write};
use crate::cluster::{Cordon, Evicted};
use crate::fault::{FaultError, counted};
use crate::timeline::FaultPhase;

/// How long pods may take to leave: a disruption budget may hold them up.
pub(in crate::fault) const PATIENCE: Duration = Duration::from_secs(120);

/// A pod: namespace, name, uid.
type Pod = (String, String, String);

pub(super) async fn inject(
    stage: &mut Stage<'_, '_>,
    node: &str,
    namespaces: &[String],
) -> Result<(), FaultError> {
    let (seen, pods) = (fit(stage, node).await?, pods(stage, node, namespaces).await?);
    stage.say(
        FaultPhase::Requested,
        format!("cordon it and evict {} of {}", counted(pods.len(), "pod"), namespaces.join(", ")),
    );
    let cordon = async |seen: &Cordon| stage.cluster.cordon(node, seen, Some(stage.mark)).await;
    write(seen, async || fit(stage, node).await, cordon).await?;
    stage.say(FaultPhase::Returned, "the node is cordoned");
    let evicted = evict(stage, node, namespaces).await?;
    stage.say(FaultPhase::Confirmed, format!("left or ending: {}", counted(evicted, "pod")));
    Ok(())
}

/// A cordon of somebody else's is not ours to take away.
async fn fit(stage: &Stage<'_, '_>, node: &str) -> Result<Cordon, FaultError> {
    let seen = stage.cluster.cordon_of(node).await?;
    match &seen.mark {
        _ if seen.cordoned => Err(unfit(node, "it is cordoned already".into())),
        Some(mark) => Err(unfit(node, format!("another run has it (label outage.run={mark})"))),
        None => Ok(seen),
    }
}

/// Asks every pod to leave until none is left that stays.
async fn evict(
    stage: &Stage<'_, '_>,
    node: &str,
    namespaces: &[String],
) -> Result<usize, FaultError> {
    let (end, mut left) = (Instant::now() + PATIENCE, BTreeSet::new());
    loop {
        let staying = pods(stage, node, namespaces).await?;
        for (namespace, pod, uid) in &staying {
            if stage.cluster.evict(namespace, pod, uid).await? == Evicted::Leaves {
                left.insert(uid.clone());
            }
        }
        if staying.is_empty() {
            return Ok(left.len());
        }
        if Instant::now() > end {
            let names: Vec<String> =
                staying.iter().map(|(namespace, pod, _)| named(namespace, pod)).collect();
            return Err(unfit(
                node,
                format!("{} stay after {}s", names.join(", "), PATIENCE.as_secs()),
            ));
        }
        sleep(LOOK).await;
    }
}

async fn pods(
    stage: &Stage<'_, '_>,
    node: &str,
    namespaces: &[String],
) -> Result<Vec<Pod>, FaultError> {
    let mut all = Vec::new();
    for namespace in namespaces {
        let found = stage.cluster.evictable(namespace, node).await?;
        all.extend(found.into_iter().map(|(pod, uid)| (namespace.clone(), pod, uid)));
    }
    Ok(all)
}

/// A node without our mark was never cordoned by us, or is not any more.
pub(super) async fn undo(stage: &Stage<'_, '_>, node: &str) -> Result<String, FaultError> {
    for look in 0..2 {
        let seen = match stage.cluster.cordon_of(node).await {
            Err(error) if error.is_not_found() => return Ok("the node is no longer there".into()),
            found => found?,
        };
        if seen.mark.as_deref() == Some(stage.mark) {
            stage.cluster.cordon(node, &seen, None).await?;
            return Ok("the node is uncordoned".into());
        }
        if look == 0 {
            sleep(ON_ITS_WAY).await;
        }
    }
    Ok("it was not cordoned, or is uncordoned already".into())
}

fn unfit(node: &str, why: String) -> FaultError {
    FaultError::Object { what: format!("drain node {node}"), why }
}

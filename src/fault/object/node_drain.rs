//! A node is cordoned and its pods are evicted, as `kubectl drain` does it; then it is uncordoned.
//! Pods are not brought back: they are where Kubernetes has put them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{AWAY, LOOK, ObjectContext, ObjectFault, Untouched, named, undo_marked, write};
use crate::cluster::{Cordon, Evicted};
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted};

/// How long pods may take to leave: a disruption budget may hold them up.
const EVICTION_TIMEOUT: Duration = Duration::from_secs(120);

/// A pod: namespace, name, uid.
type Pod = (String, String, String);

/// A node is cordoned, and pods on it are evicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeDrain {
    pub node: String,
    /// The namespaces whose pods are evicted.
    pub namespaces: Vec<String>,
}

impl ObjectFault for NodeDrain {
    const INJECTION_TIMEOUT: Duration = EVICTION_TIMEOUT;
    const UNDO_TIMEOUT: Duration = AWAY;
    const RUNS_EMBEDDED: bool = true;

    fn plan_on_node(node: &str, namespaces: &[String]) -> Option<Self> {
        Some(Self { node: node.to_owned(), namespaces: namespaces.to_vec() })
    }

    fn target(&self) -> &str {
        &self.node
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let Self { node, namespaces } = self;
        let (seen, pods) = (fit(context, node).await?, pods(context, node, namespaces).await?);
        let (pods, of) = (counted(pods.len(), "pod"), namespaces.join(", "));
        context.report(FaultPhase::Requested, format!("cordon it and evict {pods} of {of}"));
        let cordon =
            async |seen: &Cordon| context.cluster.cordon(node, seen, Some(context.mark)).await;
        write(seen, async || fit(context, node).await, cordon).await?;
        context.report(FaultPhase::Returned, "the node is cordoned");
        let evicted = evict(context, node, namespaces).await?;
        let evicted = format!("gone or terminating: {}", counted(evicted, "pod"));
        context.report(FaultPhase::Confirmed, evicted);
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let untouched = Untouched {
            gone: "the node is no longer there".into(),
            unmarked: "it was not cordoned, or is already uncordoned",
        };
        let look = async || {
            let seen = context.cluster.cordon_of(&self.node).await?;
            Ok((seen.clone(), seen.mark))
        };
        let uncordon = async |seen: &Cordon| {
            context.cluster.cordon(&self.node, seen, None).await?;
            Ok("the node is uncordoned".into())
        };
        undo_marked(context, untouched, look, uncordon).await
    }

    fn describe(&self) -> String {
        format!("uncordon node {}", self.node)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        Some(format!("{kubectl} uncordon {}", self.node))
    }
}

/// A cordon of somebody else's is not ours to take away.
async fn fit(context: &ObjectContext<'_, '_>, node: &str) -> Result<Cordon, FaultError> {
    let seen = context.cluster.cordon_of(node).await?;
    match &seen.mark {
        _ if seen.cordoned => Err(unfit(node, "it is already cordoned".into())),
        Some(mark) => {
            Err(unfit(node, format!("another run has cordoned it (label outage.run={mark})")))
        }
        None => Ok(seen),
    }
}

/// Asks every pod to leave until none is left that stays.
async fn evict(
    context: &ObjectContext<'_, '_>,
    node: &str,
    namespaces: &[String],
) -> Result<usize, FaultError> {
    let (end, mut left) = (Instant::now() + EVICTION_TIMEOUT, BTreeSet::new());
    loop {
        let staying = pods(context, node, namespaces).await?;
        for (namespace, pod, uid) in &staying {
            if context.cluster.evict(namespace, pod, uid).await? == Evicted::Leaves {
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
                format!("{} remain after {}s", names.join(", "), EVICTION_TIMEOUT.as_secs()),
            ));
        }
        sleep(LOOK).await;
    }
}

async fn pods(
    context: &ObjectContext<'_, '_>,
    node: &str,
    namespaces: &[String],
) -> Result<Vec<Pod>, FaultError> {
    let mut all = Vec::new();
    for namespace in namespaces {
        let found = context.cluster.evictable(namespace, node).await?;
        all.extend(found.into_iter().map(|(pod, uid)| (namespace.clone(), pod, uid)));
    }
    Ok(all)
}

fn unfit(node: &str, why: String) -> FaultError {
    FaultError::Object { what: format!("drain node {node}"), why }
}

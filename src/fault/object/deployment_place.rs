//! A Deployment's pods are moved to nodes; then they may be where they might be before.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Lookup, ObjectContext, ObjectFault, PODS, Untouched, named, not_on_objects, ready, undo_marked,
    unknown, until, write,
};
use crate::cluster::{Cluster, ClusterError, Placement, onto, turned};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted};

/// A Deployment as it was when the fault was planned, and the nodes to which its pods are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentPlace {
    pub namespace: String,
    pub name: String,
    /// Its uid: another one of its name has another. Earlier versions' records have none, and an
    /// undo needs none.
    #[serde(default)]
    pub uid: String,
    pub nodes: Vec<String>,
    /// The affinity that its pods had before; null: none.
    pub before: Value,
    /// The one that they are given.
    pub placed: Value,
    /// How many of them were ready.
    pub ready: u32,
}

impl ObjectFault for DeploymentPlace {
    const UNDO_TIMEOUT: Duration = PODS;

    fn injection_timeout(_: &Fault) -> Duration {
        PODS
    }

    /// All to one node, or each to a node of its own: anything else is neither layout.
    async fn plan<L: Lookup>(fault: &Fault, lookup: &mut L) -> Result<Vec<Self>, L::Error> {
        let Fault::DeploymentPlace { deployment, on } = fault else {
            return Err(not_on_objects(fault).into());
        };
        let namespace = lookup.namespace(deployment.namespace.as_deref());
        let name = deployment.name.clone();
        let seen = lookup.cluster().placement_of(&namespace, &name).await;
        let Placement { uid, wanted, ready, affinity: before, labels, .. } =
            seen.map_err(FaultError::Api)?;
        let nodes = lookup.nodes(on).await?;
        let many = nodes.len();
        if many > 1 && many != wanted as usize {
            let why = format!(
                "the Deployment {namespace}/{name} has {wanted} replicas, not one for each of \
                 {many} nodes"
            );
            let hint = Some("set the nodes' `count` to 1, or to the number of replicas");
            return Err(FaultError::Impossible { why, hint }.into());
        }
        let placed = onto(&nodes, &labels);
        Ok(vec![Self { namespace, name, uid, nodes, before, placed, ready }])
    }

    async fn preview(fault: &Fault, _: Option<&Cluster>) -> Result<Option<String>, FaultError> {
        Ok(fault
            .deployment()
            .map(|it| format!("restore the former affinity of the Deployment {it}")))
    }

    fn target(&self) -> &str {
        &self.name
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let seen = self.fit(context).await?;
        context
            .report(FaultPhase::Requested, format!("move its pods to {}", self.nodes.join(", ")));
        write(
            seen,
            async || self.fit(context).await,
            async |seen: &Placement| {
                self.set(context, seen, &self.placed, Some(context.mark)).await
            },
        )
        .await?;
        context.report(FaultPhase::Returned, "accepted by the API server");
        let there = self.until(context, |seen| seen.ready == seen.wanted).await?;
        let on = self.nodes_of(context, &there).await?;
        if !there.settled
            || there.ready < there.wanted
            || on != self.nodes.iter().cloned().collect()
        {
            let on = on.into_iter().collect::<Vec<_>>().join(", ");
            return Err(self.slow("confirm the move of", &there, &format!(", its pods on {on}")));
        }
        context.report(
            FaultPhase::Confirmed,
            format!("ready on {}: {}", self.nodes.join(", "), counted(there.ready as usize, "pod")),
        );
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let untouched = Untouched {
            gone: format!("{} is no longer there", named(&self.namespace, &self.name)),
            unmarked: "it was not moved, or is already back",
        };
        let look = async || {
            let seen = context.cluster.placement_of(&self.namespace, &self.name).await?;
            Ok((seen.clone(), seen.mark))
        };
        let put_back = async |seen: &Placement| {
            let done = self.put_back(context, seen).await?;
            Ok(format!("{done}: {}", self.readiness(context).await))
        };
        undo_marked(context, untouched, look, put_back).await
    }

    fn describe(&self) -> String {
        let Self { namespace, name, .. } = self;
        format!("restore the former affinity of the Deployment {namespace}/{name}")
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        let Self { namespace, name, before, placed, .. } = self;
        let patch = json!({"spec": {"template": {"spec": {"affinity": turned(placed, before)}}}});
        let patch = format!("patch deployment {name} --type merge -p '{patch}'");
        Some(format!("{kubectl} -n {namespace} {patch}"))
    }
}

impl DeploymentPlace {
    /// What it was when the fault was planned is what it will be again: nothing else is
    /// touched.
    async fn fit(&self, context: &ObjectContext<'_, '_>) -> Result<Placement, FaultError> {
        let seen = self.seen(context).await?;
        let why = match &seen.mark {
            Some(mark) => format!("another run has changed it (label outage.run={mark})"),
            None if seen.uid != self.uid => {
                "it was deleted and recreated after the fault was planned".into()
            }
            None if seen.affinity != self.before => {
                "the affinity of its pods was changed after the fault was planned".into()
            }
            None => return Ok(seen),
        };
        Err(self.unfit("move", why))
    }

    async fn set(
        &self,
        context: &ObjectContext<'_, '_>,
        seen: &Placement,
        affinity: &Value,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        context.cluster.place(&self.namespace, &self.name, seen, affinity, mark).await
    }

    /// What is no longer what we have set is somebody's will: only the mark is removed.
    async fn put_back(
        &self,
        context: &ObjectContext<'_, '_>,
        seen: &Placement,
    ) -> Result<&'static str, FaultError> {
        let ours = bare(&seen.affinity) == bare(&self.placed);
        self.set(context, seen, if ours { &self.before } else { &seen.affinity }, None).await?;
        Ok(match ours {
            true => "the former affinity of its pods is restored",
            false => "the affinity of its pods was changed in the meantime and is kept",
        })
    }

    async fn seen(&self, context: &ObjectContext<'_, '_>) -> Result<Placement, FaultError> {
        Ok(context.cluster.placement_of(&self.namespace, &self.name).await?)
    }

    async fn nodes_of(
        &self,
        context: &ObjectContext<'_, '_>,
        seen: &Placement,
    ) -> Result<BTreeSet<String>, FaultError> {
        let pods = context.cluster.pods(&self.namespace, &seen.labels).await?;
        Ok(pods.into_iter().filter_map(|pod| pod.node).collect())
    }

    /// Looks until it has settled and is so, or for too long.
    async fn until(
        &self,
        context: &ObjectContext<'_, '_>,
        so: impl Fn(&Placement) -> bool,
    ) -> Result<Placement, FaultError> {
        until(async || self.seen(context).await, |seen| seen.settled && so(seen)).await
    }

    /// How many are ready in the end. Whether its pods come is the cluster's matter: it is undone
    /// when it is asked for as before.
    async fn readiness(&self, context: &ObjectContext<'_, '_>) -> String {
        let enough = |seen: &Placement| seen.settled && seen.ready >= self.ready.min(seen.wanted);
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

    fn slow(&self, what: &str, seen: &Placement, more: &str) -> FaultError {
        let all = if seen.settled { "" } else { ", and old pods are left" };
        self.unfit(
            what,
            format!(
                "{} of {} replicas are ready{all}{more} after {}s",
                seen.ready,
                seen.wanted,
                PODS.as_secs()
            ),
        )
    }
}

/// Without what is empty: an API server leaves that out.
fn bare(value: &Value) -> Value {
    let empty = |value: &Value| value.is_null() || value.as_object().is_some_and(Map::is_empty);
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), bare(value)))
            .filter(|(_, value)| !empty(value))
            .collect(),
        Value::Array(all) => all.iter().map(bare).collect(),
        other => other.clone(),
    }
}

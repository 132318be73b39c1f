//! A Deployment's pods are moved to nodes; then they may be where they might be before.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::deployment::{self, DeploymentFault, PlannedDeployment, Restore, Words};
use super::{Lookup, ObjectContext, ObjectFault, PODS, not_on_objects};
use crate::cluster::{Cluster, DeploymentChange, DeploymentState, onto, turned};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted, few, format_seconds};

/// A Deployment's pods, and the nodes to which they are moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentPlace {
    #[serde(flatten)]
    pub deployment: PlannedDeployment,
    pub nodes: Vec<String>,
    /// The affinity that its pods had before; null: none.
    pub before: Value,
    /// The one that they are given.
    pub placed: Value,
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
        let seen = lookup.cluster().deployment(&namespace, &deployment.name).await;
        let seen = seen.map_err(FaultError::Api)?;
        let deployment = PlannedDeployment::of(&seen);
        let nodes = lookup.nodes(on).await?;
        let (many, wanted) = (nodes.len(), seen.wanted);
        if many > 1 && many != wanted as usize {
            let why = format!(
                "the Deployment {deployment} has {wanted} replicas, not one for each of {many} nodes"
            );
            let hint = Some("set the nodes' `count` to 1, or to the number of replicas");
            return Err(FaultError::Impossible { why, hint }.into());
        }
        let placed = onto(&nodes, &seen.labels);
        Ok(vec![Self { deployment, nodes, before: seen.affinity, placed }])
    }

    async fn preview(fault: &Fault, _: Option<&Cluster>) -> Result<Option<String>, FaultError> {
        Ok(fault
            .deployment()
            .map(|it| format!("restore the former affinity of the Deployment {it}")))
    }

    fn target(&self) -> &str {
        &self.deployment.name
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let nodes = few(&self.nodes);
        deployment::inject(self, context, |_| format!("move its pods to {nodes}")).await?;
        let so = |seen: &DeploymentState| seen.settled && seen.ready == seen.wanted;
        let DeploymentState { settled, ready, wanted, labels, .. } =
            self.deployment.until(context, so).await?;
        let pods = context.cluster.pods(&self.deployment.namespace, &labels).await?;
        let on: BTreeSet<String> = pods.into_iter().filter_map(|pod| pod.node).collect();
        if !settled || ready < wanted || on != self.nodes.iter().cloned().collect() {
            let old = if settled { "" } else { ", and old pods are left" };
            let why = format!(
                "{ready} of {wanted} replicas are ready{old}, its pods on {} after {}",
                few(on),
                format_seconds(PODS)
            );
            return Err(self.deployment.failed("confirm the move of", why));
        }
        context
            .report(FaultPhase::Confirmed, format!("ready on {nodes}: {}", counted(ready, "pod")));
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        deployment::undo(self, context).await
    }

    fn describe(&self) -> String {
        format!("restore the former affinity of the Deployment {}", self.deployment)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        let Self { deployment: PlannedDeployment { namespace, name, .. }, before, placed, .. } =
            self;
        let patch = json!({"spec": {"template": {"spec": {"affinity": turned(placed, before)}}}});
        let patch = format!("patch deployment {name} --type merge -p '{patch}'");
        Some(format!("{kubectl} -n {namespace} {patch}"))
    }
}

impl DeploymentFault for DeploymentPlace {
    const WORDS: Words =
        Words { verb: "move", done: "changed", unmarked: "it was not moved, or is already back" };

    fn deployment(&self) -> &PlannedDeployment {
        &self.deployment
    }

    fn changed(&self, seen: &DeploymentState) -> Option<String> {
        (seen.affinity != self.before)
            .then(|| "the affinity of its pods was changed after the fault was planned".into())
    }

    fn change(&self, seen: &DeploymentState) -> DeploymentChange {
        self.place(seen, &self.placed)
    }

    fn restore(&self, seen: &DeploymentState) -> Restore {
        let (affinity, done) = match bare(&seen.affinity) == bare(&self.placed) {
            true => (&self.before, "the former affinity of its pods is restored"),
            false => {
                (&seen.affinity, "the affinity of its pods was changed in the meantime and is kept")
            }
        };
        Restore { change: self.place(seen, affinity), done: done.into() }
    }

    fn is_settled(seen: &DeploymentState) -> bool {
        seen.settled
    }
}

impl DeploymentPlace {
    fn place(&self, seen: &DeploymentState, affinity: &Value) -> DeploymentChange {
        let call = format!("move the pods of the Deployment {}", self.deployment);
        let affinity = turned(&seen.affinity, affinity);
        DeploymentChange { call, spec: json!({"template": {"spec": {"affinity": affinity}}}) }
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

//! Faults that are done through the cluster's API, on its objects: siblings of one shape, as those on nodes are.
//!
//! Who undoes one needs the API again: the record's keeper says how that is reached. What is changed bears the run's mark as a label, set
//! and taken away in one step with the change: only what bears it is undone.

mod deployment_place;
mod deployment_scale;
#[cfg(test)]
mod fake_tests;
pub(super) mod node_drain;
pub(super) mod pod_delete;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

pub(crate) use deployment_place::Move;
pub(crate) use deployment_scale::Resize;

use super::error::FaultError;
use super::record::UndoFormat;
use super::{Progress, record};
use crate::cluster::{Cluster, ClusterError, turned};
use crate::timeline::{FaultKind, FaultPhase};

const LOOK: Duration = Duration::from_millis(200);
/// How long an API server that does not answer, or not yet as it should, is asked again in an undo.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a Deployment's pods may take to be as they should.
pub(super) const PODS: Duration = Duration::from_secs(120);
/// A change whose caller was stopped may still be on its way to the server: who finds none looks twice, so long apart. One that comes after
/// its undo was made for another version, and is refused.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long a harm is tried that others were faster than.
const RACE: Duration = Duration::from_millis(500);

/// All that is needed to take a fault on an object back, beside the way to its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectUndo {
    /// The version of this record.
    pub format: UndoFormat,
    /// The step of the run's method, from 0.
    pub step: u32,
    /// The run and the step: what the harmed object is marked with.
    pub mark: String,
    /// What was done, to what.
    pub harm: ObjectHarm,
}

/// The harm, with what its undo needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum ObjectHarm {
    /// A Deployment was given another number of replicas.
    DeploymentScale(Resize),
    /// A Deployment's pods were moved to nodes.
    DeploymentPlace(Move),
    /// A pod was deleted.
    PodDelete {
        /// The namespace.
        namespace: String,
        /// The pod.
        pod: String,
        /// Its uid.
        uid: String,
        /// The node that it was on.
        node: Option<String>,
    },
    /// A node was cordoned, and pods on it were evicted.
    NodeDrain {
        /// The node.
        node: String,
        /// The namespaces whose pods are evicted.
        namespaces: Vec<String>,
    },
}

impl ObjectUndo {
    /// The record of a harm that is to be done.
    pub(crate) fn new(run: &str, step: u32, harm: ObjectHarm) -> Self {
        Self { format: UndoFormat::V1, step, mark: record::label(run, step), harm }
    }

    /// The fault's kind.
    pub(crate) fn kind(&self) -> FaultKind {
        match &self.harm {
            ObjectHarm::DeploymentScale(_) => FaultKind::DeploymentScale,
            ObjectHarm::DeploymentPlace(_) => FaultKind::DeploymentPlace,
            ObjectHarm::PodDelete { .. } => FaultKind::PodDelete,
            ObjectHarm::NodeDrain { .. } => FaultKind::NodeDrain,
        }
    }

    /// Whether there is something to take back.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self.harm, ObjectHarm::PodDelete { .. })
    }

    /// What it hits: a node, a pod, a Deployment.
    pub(crate) fn target(&self) -> &str {
        match &self.harm {
            ObjectHarm::DeploymentScale(Resize { name, .. })
            | ObjectHarm::DeploymentPlace(Move { name, .. }) => name,
            ObjectHarm::PodDelete { pod, .. } => pod,
            ObjectHarm::NodeDrain { node, .. } => node,
        }
    }

    /// What the undo does, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.harm {
            ObjectHarm::DeploymentScale(Resize { namespace, name, before, .. }) => {
                format!("scale the Deployment {namespace}/{name} back to {before}")
            }
            ObjectHarm::DeploymentPlace(Move { namespace, name, .. }) => {
                format!(
                    "let the pods of the Deployment {namespace}/{name} be where they might be before"
                )
            }
            ObjectHarm::PodDelete { namespace, pod, .. } => {
                format!("nothing: the pod {namespace}/{pod} stays deleted")
            }
            ObjectHarm::NodeDrain { node, .. } => format!("uncordon node {node}"),
        }
    }

    /// The command that does the same by hand, where there is something to do. `kubectl`: what one begins with that asks this cluster.
    pub(crate) fn by_hand(&self, kubectl: &str) -> Option<String> {
        match &self.harm {
            ObjectHarm::DeploymentScale(Resize { namespace, name, before, .. }) => Some(format!(
                "{kubectl} -n {namespace} scale deployment {name} --replicas {before}"
            )),
            ObjectHarm::DeploymentPlace(Move { namespace, name, before, placed, .. }) => {
                let patch =
                    json!({"spec": {"template": {"spec": {"affinity": turned(placed, before)}}}});
                Some(format!(
                    "{kubectl} -n {namespace} patch deployment {name} --type merge -p '{patch}'"
                ))
            }
            ObjectHarm::PodDelete { .. } => None,
            ObjectHarm::NodeDrain { node, .. } => Some(format!("{kubectl} uncordon {node}")),
        }
    }
}

/// What every fault on an object has at hand.
struct Stage<'a, 'p> {
    cluster: &'a Cluster,
    mark: &'a str,
    progress: &'a mut Progress<'p>,
}

impl Stage<'_, '_> {
    fn say(&mut self, phase: FaultPhase, seen: impl Into<String>) {
        (self.progress)(phase, seen.into());
    }
}

/// Does the harm, and ends when its effect was seen. As [`super::inject`] for faults on nodes. Errors, and does nothing, where what the undo
/// would put back is no longer what is there.
pub(crate) async fn inject_object(
    undo: &ObjectUndo,
    cluster: &Cluster,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut stage = Stage { cluster, mark: &undo.mark, progress };
    match &undo.harm {
        ObjectHarm::DeploymentScale(resize) => resize.inject(&mut stage).await,
        ObjectHarm::DeploymentPlace(moved) => moved.inject(&mut stage).await,
        ObjectHarm::PodDelete { namespace, pod, uid, node } => {
            pod_delete::inject(&mut stage, namespace, pod, uid, node.as_deref()).await
        }
        ObjectHarm::NodeDrain { node, namespaces } => {
            node_drain::inject(&mut stage, node, namespaces).await
        }
    }
}

/// Writes what holds only for how the object was read. Others write to it, too: who was slower reads it again, and judges it anew.
async fn write<S>(
    mut seen: S,
    read: impl AsyncFn() -> Result<S, FaultError>,
    write: impl AsyncFn(&S) -> Result<(), ClusterError>,
) -> Result<(), FaultError> {
    let end = Instant::now() + RACE;
    loop {
        match write(&seen).await {
            Err(error) if error.is_conflict() && Instant::now() < end => sleep(LOOK).await,
            written => return Ok(written?),
        }
        seen = read().await?;
    }
}

/// Looks until it is so, or for too long; an API server that does not answer is asked again meanwhile. What was seen last.
async fn until<S>(
    look: impl AsyncFn() -> Result<S, FaultError>,
    so: impl Fn(&S) -> bool,
) -> Result<S, FaultError> {
    let end = Instant::now() + PODS;
    loop {
        match look().await {
            Ok(seen) if so(&seen) => return Ok(seen),
            Ok(_) | Err(FaultError::Api { passes: true, .. }) if Instant::now() < end => {
                sleep(LOOK).await
            }
            last => return last,
        }
    }
}

/// How many replicas are ready after an undo.
fn ready(ready: u32, wanted: u32, enough: bool) -> String {
    let late = if enough { String::new() } else { format!(" after {}s", PODS.as_secs()) };
    format!("{ready} of {wanted} replicas ready{late}")
}

fn unknown(error: &FaultError) -> String {
    format!("how many replicas are ready is not known: {error}")
}

/// Takes a fault back, and ends when its effect was seen to be gone. As [`super::undo`] for faults on nodes; an API server that is away,
/// or not itself yet, is waited for, for 60 s.
pub(crate) async fn undo_object(
    undo: &ObjectUndo,
    cluster: &Cluster,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut stage = Stage { cluster, mark: &undo.mark, progress };
    stage.say(FaultPhase::UndoRequested, undo.describe());
    let until = Instant::now() + PATIENCE;
    let result = loop {
        match undo_once(&stage, &undo.harm).await {
            Err(FaultError::Api { passes: true, .. }) if Instant::now() < until => {
                sleep(LOOK).await
            }
            other => break other,
        }
    };
    match &result {
        Ok(seen) => stage.say(FaultPhase::Undone, seen.clone()),
        Err(error) => stage.say(FaultPhase::NotUndone, error.to_string()),
    }
    result.map(drop)
}

async fn undo_once(stage: &Stage<'_, '_>, harm: &ObjectHarm) -> Result<String, FaultError> {
    match harm {
        ObjectHarm::DeploymentScale(resize) => resize.undo(stage).await,
        ObjectHarm::DeploymentPlace(moved) => moved.undo(stage).await,
        ObjectHarm::PodDelete { .. } => {
            Ok("nothing is to be undone: in the place of a pod that is deleted, who made it makes another, or nobody does".into())
        }
        ObjectHarm::NodeDrain { node, .. } => node_drain::undo(stage, node).await,
    }
}

impl From<ClusterError> for FaultError {
    fn from(error: ClusterError) -> Self {
        FaultError::Api { why: error.to_string(), hint: error.hint(), passes: error.may_pass() }
    }
}

/// A pod or a Deployment as a person writes it.
fn named(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_harm() -> [ObjectHarm; 4] {
        let (namespace, name) = (|| "kube-system".to_owned(), || "coredns".to_owned());
        [
            ObjectHarm::DeploymentScale(Resize {
                namespace: namespace(),
                name: name(),
                uid: "u".into(),
                before: 2,
                ready: 2,
                replicas: 0,
            }),
            ObjectHarm::PodDelete {
                namespace: namespace(),
                pod: name(),
                uid: "u".into(),
                node: None,
            },
            ObjectHarm::NodeDrain { node: "w".into(), namespaces: vec![namespace()] },
            ObjectHarm::DeploymentPlace(Move {
                namespace: namespace(),
                name: name(),
                uid: "u".into(),
                nodes: vec!["w".into()],
                before: json!({"podAffinity": {}}),
                placed: json!({"nodeAffinity": {}}),
                ready: 2,
            }),
        ]
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for harm in every_harm() {
            let undo = ObjectUndo::new("20261122-085423-7f3a", 2, harm);
            let text = serde_json::to_string(&undo).unwrap();
            assert_eq!(serde_json::from_str::<ObjectUndo>(&text).unwrap(), undo);
            assert_eq!(undo.mark, "20261122-085423-7f3a-2");
        }
    }

    /// As an earlier version wrote it.
    #[test]
    fn a_record_without_a_uid_is_read() {
        let text = r#"{"format":"outage.undo/v1","step":0,"mark":"r-0","harm":{"deploymentScale":{"namespace":"kube-system","name":"coredns","before":2,"ready":2,"replicas":0}}}"#;
        let undo: ObjectUndo = serde_json::from_str(text).unwrap();
        assert_eq!(undo.describe(), "scale the Deployment kube-system/coredns back to 2");
    }

    #[test]
    fn people_are_told_what_will_be_done() {
        let texts = every_harm()
            .map(|harm| ObjectUndo::new("r", 0, harm))
            .map(|undo| (undo.describe(), undo.by_hand("kubectl")));
        assert_eq!(texts[0].0, "scale the Deployment kube-system/coredns back to 2");
        assert_eq!(
            texts[0].1.as_deref(),
            Some("kubectl -n kube-system scale deployment coredns --replicas 2")
        );
        assert_eq!(texts[1], ("nothing: the pod kube-system/coredns stays deleted".into(), None));
        assert_eq!(texts[2].1.as_deref(), Some("kubectl uncordon w"));
        let affinity = r#"{"affinity":{"nodeAffinity":null,"podAffinity":{}}}"#;
        let patch = format!("-p '{{\"spec\":{{\"template\":{{\"spec\":{affinity}}}}}}}'");
        let told = texts[3].1.as_deref().unwrap();
        assert_eq!(
            told,
            format!("kubectl -n kube-system patch deployment coredns --type merge {patch}")
        );
    }
}

//! Faults that are injected through the cluster's API, into its objects.
//!
//! Who undoes one needs the API again: whoever keeps the record knows how to reach it. What is
//! changed carries the run's mark as a label, set and removed in one step with the change: only
//! what carries it is undone.

pub(super) mod deployment;
pub(super) mod deployment_place;
pub(super) mod deployment_scale;
#[cfg(test)]
mod fake_tests;
pub(super) mod manifest;
mod node;
pub(super) mod node_drain;
pub(super) mod node_taint;
pub(super) mod pod_delete;
#[cfg(test)]
mod preview_tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::record::UndoFormat;
use super::{ObjectFaultRecord, Progress, record};
use crate::cluster::{Cluster, ClusterError, Marked, Pod};
use crate::experiment::{Fault, NodeSelector, PodSelector};
use crate::timeline::FaultPhase;

const LOOK: Duration = Duration::from_millis(200);
/// How long an API server that does not answer, or not yet as it should, is asked again in an undo.
const AWAY: Duration = Duration::from_secs(60);
/// How long a Deployment's pods may take to be as they should.
const PODS: Duration = Duration::from_secs(120);
/// A change whose caller was stopped may still be on its way to the server: who finds none looks
/// twice, so long apart. One that comes after its undo was made for another version, and is
/// refused.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long an injection is tried that others were faster than. A kubelet with short settings writes
/// to its node once a second, and one call to a busy API server takes longer than that.
const RACE: Duration = Duration::from_secs(10);

/// All that is needed to undo a fault on an object, beside the way to its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectUndo {
    /// The version of this record.
    pub format: UndoFormat,
    /// The step of the run's method, from 0.
    pub step: u32,
    /// The run and the step: what the object is labelled with.
    pub mark: String,
    #[serde(alias = "harm")] // earlier versions' name
    pub fault: ObjectFaultRecord,
}

/// What the plan of a fault on objects asks for.
pub(crate) trait Lookup {
    type Error: From<FaultError>;

    fn cluster(&self) -> &Cluster;

    /// The namespace that an experiment names, or else the run's own.
    fn namespace(&self, named: Option<&str>) -> String;

    /// The pods that a selector chooses. Errors where there are not enough.
    async fn pods(&mut self, selector: &PodSelector) -> Result<Vec<Pod>, Self::Error>;

    /// The names of the nodes that a selector chooses.
    async fn nodes(&mut self, selector: &NodeSelector) -> Result<Vec<String>, Self::Error>;
}

pub(super) fn not_on_objects(fault: &Fault) -> FaultError {
    FaultError::Impossible {
        why: format!("{} is not a fault on objects", fault.kind()),
        hint: None,
    }
}

/// A fault through the API. Its value is its record: plain data with all that the undo needs.
pub(super) trait ObjectFault: Sized {
    /// How long the injection may take beyond one call.
    fn injection_timeout(fault: &Fault) -> Duration;
    /// How long the undo may take beyond one call.
    const UNDO_TIMEOUT: Duration;
    /// The same of one fault.
    fn undo_timeout(_: &Fault) -> Duration {
        Self::UNDO_TIMEOUT
    }
    /// Whether an embedded cluster can carry it out.
    const RUNS_EMBEDDED: bool = false;

    /// Works out the records, one for each object that it hits: looks which they are.
    async fn plan<L: Lookup>(fault: &Fault, _: &mut L) -> Result<Vec<Self>, L::Error> {
        Err(not_on_objects(fault).into())
    }

    /// The same for one on a node, whose pods in these namespaces may be hit.
    fn plan_on_node(_: &Fault, _node: &str, _namespaces: &[String]) -> Option<Self> {
        None
    }

    /// How it would be undone, for a dry run. `None`: that names the node. `cluster`:
    /// where there is one, it is asked as in a run.
    async fn preview(_: &Fault, _cluster: Option<&Cluster>) -> Result<Option<String>, FaultError> {
        Ok(None)
    }

    /// What it would do now, a sentence each, for a dry run. Errors where it could not.
    async fn outlook(&self, _: &Cluster) -> Result<Vec<String>, FaultError> {
        Ok(Vec::new())
    }

    /// What it hits: a node, a pod, a Deployment.
    fn target(&self) -> &str;

    /// Injects the fault, and ends when its effect was seen. Errors, and changes nothing, where
    /// what the undo would put back is no longer what is there.
    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError>;

    /// Undoes it; says what was seen.
    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError>;

    /// What the undo does, for people.
    fn describe(&self) -> String;

    /// The command that does the same by hand, where there is something to do. `kubectl`: how a
    /// command begins that asks this cluster.
    fn by_hand(&self, kubectl: &str) -> Option<String>;
}

impl ObjectUndo {
    /// The record of a fault that is to be injected.
    pub(crate) fn new(run: &str, step: u32, fault: ObjectFaultRecord) -> Self {
        Self { format: UndoFormat::V1, step, mark: record::label(run, step), fault }
    }

    /// What the undo does, for people.
    pub(crate) fn describe(&self) -> String {
        self.fault.describe()
    }

    /// The command that does the same by hand, where there is something to do. `kubectl`: how a
    /// command begins that asks this cluster.
    pub(crate) fn by_hand(&self, kubectl: &str) -> Option<String> {
        self.fault.by_hand(kubectl)
    }
}

/// What every fault on an object has at hand.
pub(super) struct ObjectContext<'a, 'p> {
    cluster: &'a Cluster,
    mark: &'a str,
    progress: &'a mut Progress<'p>,
}

impl ObjectContext<'_, '_> {
    fn report(&mut self, phase: FaultPhase, seen: impl Into<String>) {
        (self.progress)(phase, seen.into());
    }
}

/// Injects the fault, and ends when its effect was seen. As [`super::inject`] for faults on nodes.
pub(crate) async fn inject_object(
    undo: &ObjectUndo,
    cluster: &Cluster,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    undo.fault.inject(&mut ObjectContext { cluster, mark: &undo.mark, progress }).await
}

/// Writes what holds only for how the object was read. Others write to it, too: who was slower
/// reads it again, and judges it anew.
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

/// What an undo says of an object that it leaves alone.
struct Untouched {
    /// It no longer exists.
    gone: String,
    /// It does not carry the mark.
    unmarked: &'static str,
}

/// Undoes what carries the mark. What does not was never changed by us, or is back already, or
/// belongs to somebody else by now. The mark goes in one step with the change: that it is gone is
/// read back.
async fn undo_marked<S: Marked>(
    context: &ObjectContext<'_, '_>,
    untouched: Untouched,
    look: impl AsyncFn() -> Result<S, ClusterError>,
    put_back: impl AsyncFn(&S) -> Result<String, FaultError>,
) -> Result<String, FaultError> {
    let is_ours = |seen: &S| seen.mark() == Some(context.mark);
    for look_again in [true, false] {
        let seen = match look().await {
            Err(error) if error.is_not_found() => return Ok(untouched.gone),
            seen => seen?,
        };
        if is_ours(&seen) {
            let done = put_back(&seen).await?;
            return match look().await {
                Ok(seen) if is_ours(&seen) => Err(FaultError::Object {
                    what: "read back what was undone".into(),
                    why: format!("it still has the label outage.run={}", context.mark),
                }),
                // An API server that goes away now has accepted it.
                _ => Ok(done),
            };
        }
        if look_again {
            sleep(ON_ITS_WAY).await;
        }
    }
    Ok(untouched.unmarked.into())
}

/// Looks until it is so, or for too long; an API server that does not answer is asked again
/// meanwhile. What was seen last.
async fn until<S>(
    look: impl AsyncFn() -> Result<S, FaultError>,
    so: impl Fn(&S) -> bool,
) -> Result<S, FaultError> {
    let end = Instant::now() + PODS;
    loop {
        match look().await {
            Ok(seen) if so(&seen) => return Ok(seen),
            Ok(_) if Instant::now() < end => sleep(LOOK).await,
            Err(FaultError::Api(error)) if error.may_pass() && Instant::now() < end => {
                sleep(LOOK).await
            }
            last => return last,
        }
    }
}

/// Undoes a fault, and ends when its effect was seen to be gone. As [`super::undo`] for faults on
/// nodes; an API server that is away, or not itself yet, is waited for, for 60 s.
pub(crate) async fn undo_object(
    undo: &ObjectUndo,
    cluster: &Cluster,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut context = ObjectContext { cluster, mark: &undo.mark, progress };
    context.report(FaultPhase::UndoRequested, undo.describe());
    let until = Instant::now() + AWAY;
    let result = loop {
        match undo.fault.undo(&context).await {
            Err(FaultError::Api(error)) if error.may_pass() && Instant::now() < until => {
                sleep(LOOK).await
            }
            other => break other,
        }
    };
    match &result {
        Ok(seen) => context.report(FaultPhase::Undone, seen.clone()),
        Err(error) => context.report(FaultPhase::NotUndone, error.to_string()),
    }
    result.map(drop)
}

/// A pod or a Deployment as a person writes it.
fn named(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::samples::object_faults;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for fault in object_faults() {
            let undo = ObjectUndo::new("20261122-085423-7f3a", 2, fault);
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
    fn descriptions_say_what_will_be_done() {
        let texts = object_faults()
            .map(|fault| ObjectUndo::new("r", 0, fault))
            .map(|undo| (undo.describe(), undo.by_hand("kubectl")));
        assert_eq!(texts[0].0, "scale the Deployment kube-system/coredns back to 2");
        assert_eq!(
            texts[0].1.as_deref(),
            Some("kubectl -n kube-system scale deployment coredns --replicas 2")
        );
        assert_eq!(texts[1], ("nothing: the pod kube-system/coredns stays deleted".into(), None));
        assert_eq!(texts[2].1.as_deref(), Some("kubectl uncordon w"));
        let taint = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute";
        assert_eq!(texts[4].0, format!("remove the taint {taint} from node w"));
        let by_hand = format!("kubectl taint node w {taint}-");
        assert_eq!(texts[4].1.as_deref(), Some(by_hand.as_str()));
        let affinity = r#"{"affinity":{"nodeAffinity":null,"podAffinity":{}}}"#;
        let patch = format!("-p '{{\"spec\":{{\"template\":{{\"spec\":{affinity}}}}}}}'");
        let by_hand = texts[3].1.as_deref().unwrap();
        assert_eq!(
            by_hand,
            format!("kubectl -n kube-system patch deployment coredns --type merge {patch}")
        );
    }
}

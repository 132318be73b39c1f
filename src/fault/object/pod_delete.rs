//! A pod is deleted. Who made it makes another, or nobody does: nothing is to be undone.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{LOOK, Lookup, ObjectContext, ObjectFault, named, not_on_objects};
use crate::cluster::{Cluster, Pod};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, format_seconds};

/// How long the API server may take to say that it ends.
const DELETION_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodDelete {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    /// The node that it was on.
    pub node: Option<String>,
    /// What records call it where that is not its bare name: `shop/web-0`, of another namespace
    /// than the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_as: Option<String>,
}

impl ObjectFault for PodDelete {
    const UNDO_TIMEOUT: Duration = Duration::ZERO;
    const RUNS_EMBEDDED: bool = true;

    fn injection_timeout(_: &Fault) -> Duration {
        DELETION_TIMEOUT
    }

    async fn plan<L: Lookup>(fault: &Fault, lookup: &mut L) -> Result<Vec<Self>, L::Error> {
        let Fault::PodDelete { pods } = fault else { return Err(not_on_objects(fault).into()) };
        let elsewhere = pods.pods.namespace.as_ref();
        let namespace = lookup.namespace(elsewhere.map(String::as_str));
        let delete = |Pod { name: pod, uid, node, .. }| Self {
            namespace: namespace.clone(),
            known_as: elsewhere.map(|namespace| named(namespace, &pod)),
            pod,
            uid,
            node,
        };
        Ok(lookup.pods(pods).await?.into_iter().map(delete).collect())
    }

    async fn preview(_: &Fault, _: Option<&Cluster>) -> Result<Option<String>, FaultError> {
        let text = "not needed: deleted pods stay deleted, and their controllers create new ones";
        Ok(Some(text.into()))
    }

    fn target(&self) -> &str {
        self.known_as.as_deref().unwrap_or(&self.pod)
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let Self { namespace, pod, uid, node, .. } = self;
        let what = format!("delete the pod {}", named(namespace, pod));
        let on = node.as_ref().map_or(String::new(), |node| format!(" on {node}"));
        context.report(FaultPhase::Requested, format!("{what}{on}"));
        if !context.cluster.delete_pod(namespace, pod, uid).await? {
            let why = "it was already gone, so nothing was done".into();
            return Err(FaultError::Object { what, why });
        }
        context.report(FaultPhase::Returned, "accepted by the API server");
        let end = Instant::now() + DELETION_TIMEOUT;
        while context.cluster.pod_stays(namespace, pod, uid).await? {
            if Instant::now() > end {
                let what = format!("confirm that the pod {} is deleted", named(namespace, pod));
                let limit = format_seconds(DELETION_TIMEOUT);
                let why = format!("it is not terminating {limit} after the call");
                return Err(FaultError::Object { what, why });
            }
            sleep(LOOK).await;
        }
        context.report(FaultPhase::Confirmed, format!("the pod{on} is terminating or gone"));
        Ok(())
    }

    async fn undo(&self, _: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        Ok("nothing to undo: its controller, if it has one, creates a new pod".into())
    }

    fn describe(&self) -> String {
        format!("nothing: the pod {}/{} stays deleted", self.namespace, self.pod)
    }

    fn by_hand(&self, _: &str) -> Option<String> {
        None
    }
}

//! A pod is deleted. Who made it makes another, or nobody does: nothing is to be undone.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{LOOK, Stage, named};
use crate::fault::FaultError;
use crate::timeline::FaultPhase;

/// How long the API server may take to say that it ends.
pub(in crate::fault) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn inject(
    stage: &mut Stage<'_, '_>,
    namespace: &str,
    pod: &str,
    uid: &str,
    node: Option<&str>,
) -> Result<(), FaultError> {
    let on = node.map_or(String::new(), |node| format!(" on {node}"));
    stage.say(FaultPhase::Requested, format!("delete the pod {}{on}", named(namespace, pod)));
    if !stage.cluster.delete_pod(namespace, pod, uid).await? {
        let why = "it was gone already, so that nothing was done".into();
        return Err(FaultError::Object {
            what: format!("delete the pod {}", named(namespace, pod)),
            why,
        });
    }
    stage.say(FaultPhase::Returned, "the API server has it");
    let end = Instant::now() + PATIENCE;
    while stage.cluster.pod_stays(namespace, pod, uid).await? {
        if Instant::now() > end {
            let why = format!("it is not ending {}s after the call", PATIENCE.as_secs());
            return Err(FaultError::Object {
                what: format!("confirm that the pod {} is deleted", named(namespace, pod)),
                why,
            });
        }
        sleep(LOOK).await;
    }
    stage.say(FaultPhase::Confirmed, format!("the pod{on} is ending or gone"));
    Ok(())
}

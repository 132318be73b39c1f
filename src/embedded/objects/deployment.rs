//! Deployments: their status.

use serde_json::{Value, json};

use super::Condition;
use super::replica_set::{REVISION, Tally, replicas};
use crate::embedded::store::object;

/// Notes which revision of it is the present one. kubectl's `rollout undo` relies on that note.
pub(crate) fn set_revision(deployment: &mut Value, present: &Value) {
    let annotations = object::meta_mut(deployment).entry("annotations").or_insert(Value::Null);
    let revision = present["metadata"]["annotations"][REVISION].clone();
    object::as_map(annotations).insert(REVISION.into(), revision);
}

/// Sets a Deployment's status. `updated` is of the ReplicaSet of its present template, `all` of all
/// of them.
pub(crate) fn set_status(deployment: &mut Value, updated: Tally, all: Tally, at: jiff::Timestamp) {
    let wanted = replicas(deployment);
    let mut status = json!({
        "observedGeneration": deployment["metadata"]["generation"], "replicas": all.replicas, "updatedReplicas": updated.replicas,
    });
    for (field, count) in [
        ("readyReplicas", all.ready),
        ("availableReplicas", all.ready),
        ("unavailableReplicas", wanted.saturating_sub(all.ready)),
    ] {
        if count > 0 {
            status[field] = count.into();
        }
    }
    status["conditions"] =
        deployment["status"]["conditions"].as_array().cloned().unwrap_or_default().into();
    object::as_map(deployment).insert("status".into(), status);
    // A quarter may be missing, by default.
    let enough = all.ready >= wanted - wanted / 4;
    let (reason, message) = match enough {
        true => ("MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    let status = if enough { "True" } else { "False" };
    Condition { kind: "Available", status, reason, message, at, beats: false }.set(deployment);
    let complete = updated.ready >= wanted;
    let (reason, message) = match complete {
        true => ("NewReplicaSetAvailable", "ReplicaSet has successfully progressed."),
        false => ("ReplicaSetUpdated", "ReplicaSet is progressing."),
    };
    Condition { kind: "Progressing", status: "True", reason, message, at, beats: false }
        .set(deployment);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_available_when_its_pods_are_ready() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut deployment = json!({"metadata": {"generation": 3}, "spec": {"replicas": 2}});
        let one = Tally { replicas: 2, ready: 1 };
        set_status(&mut deployment, one, one, at);
        assert_eq!(deployment["status"]["conditions"][0]["status"], "False");
        assert_eq!(deployment["status"]["unavailableReplicas"], 1);
        let both = Tally { replicas: 2, ready: 2 };
        set_status(&mut deployment, both, both, at);
        assert_eq!(
            (
                &deployment["status"]["observedGeneration"],
                &deployment["status"]["availableReplicas"]
            ),
            (&3.into(), &2.into())
        );
        assert_eq!(deployment["status"]["conditions"][0]["status"], "True");
        assert_eq!(deployment["status"].get("unavailableReplicas"), None);
    }
}

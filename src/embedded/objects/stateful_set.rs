//! StatefulSets: their pods, and their status.
//!
//! All pods are made at the same time, whatever `podManagementPolicy` says; pods of an earlier
//! template stay until they are deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::pod;
use super::replica_set::template_hash;
use crate::embedded::store::{Object, object};
use crate::timeline::Tolerations;

/// The label with the revision of a pod's template.
const REVISION: &str = "controller-revision-hash";

fn revision(set: &Value) -> String {
    format!("{}-{}", object::name(set), template_hash(&set["spec"]["template"]))
}

pub(crate) fn pod(set: &Value, ordinal: usize, defaults: Tolerations) -> Value {
    let mut pod = pod::of_set(set, &ordinal.to_string(), defaults);
    let name = object::name(&pod).to_owned();
    let labels = object::as_map(object::meta_mut(&mut pod).entry("labels").or_insert(Value::Null));
    labels.insert("statefulset.kubernetes.io/pod-name".into(), name.as_str().into());
    labels.insert("apps.kubernetes.io/pod-index".into(), ordinal.to_string().into());
    labels.insert(REVISION.into(), revision(set).into());
    let spec = object::map_mut(&mut pod, "spec");
    spec.insert("hostname".into(), name.into());
    spec.insert("subdomain".into(), set["spec"]["serviceName"].clone());
    pod
}

pub(crate) fn status(set: &Value, pods: &[Arc<Value>]) -> Value {
    let update = revision(set);
    let count = |counts: &dyn Fn(&&Object) -> bool| pods.iter().filter(counts).count();
    let ready = count(&|pod| super::is_ready(pod));
    let updated = count(&|pod| pod["metadata"]["labels"][REVISION] == update.as_str());
    json!({
        "observedGeneration": set["metadata"]["generation"], "replicas": pods.len(), "readyReplicas": ready,
        "availableReplicas": ready, "currentReplicas": updated, "updatedReplicas": updated,
        "currentRevision": update, "updateRevision": update,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_has_its_number_and_its_revision_and_an_old_one_is_not_up_to_date() {
        let mut set = json!({
            "metadata": {"name": "db", "namespace": "n", "uid": "u"},
            "spec": {"serviceName": "db", "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}}},
        });
        let made = pod(&set, 1, Tolerations::default());
        assert_eq!((object::name(&made), &made["spec"]["subdomain"]), ("db-1", &"db".into()));
        assert_eq!(made["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
        let pods = [Arc::new(made)];
        assert_eq!(status(&set, &pods)["updatedReplicas"], 1);
        set["spec"]["template"]["metadata"]["labels"]["version"] = "2".into();
        assert_eq!(status(&set, &pods)["updatedReplicas"], 0);
    }
}

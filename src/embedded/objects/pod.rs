//! Pods: from a template or a client's request to one that runs.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::Condition;
use crate::embedded::store::object;
use crate::model::{NOT_READY, UNREACHABLE, taint, tolerated};
use crate::timeline::{TaintEffect, Tolerations};

const SERVICE_ACCOUNT: &str = "default";

/// What admission adds to a pod: the default tolerations and the service account. Idempotent.
pub(crate) fn admit(pod: &mut Value, defaults: Tolerations) {
    let spec = object::map_mut(pod, "spec");
    let account =
        spec.get("serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let account = account.unwrap_or(SERVICE_ACCOUNT).to_owned();
    spec.insert("serviceAccountName".into(), account.clone().into());
    spec.insert("serviceAccount".into(), account.into());
    for (field, default) in [
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ] {
        spec.entry(field).or_insert_with(|| default.into());
    }
    spec.entry("terminationGracePeriodSeconds").or_insert_with(|| 30.into());
    let mut tolerations =
        spec.get("tolerations").and_then(Value::as_array).cloned().unwrap_or_default();
    for (key, length) in [(NOT_READY, defaults.not_ready), (UNREACHABLE, defaults.unreachable)] {
        if tolerated(&tolerations, &taint(key, TaintEffect::NoExecute)).is_none() {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": length.as_secs(),
            }));
        }
    }
    spec.insert("tolerations".into(), tolerations.into());
    let status = object::map_mut(pod, "status");
    status.entry("phase").or_insert_with(|| "Pending".into());
    status.entry("qosClass").or_insert_with(|| "Burstable".into());
}

/// A pod of a ReplicaSet or a StatefulSet.
pub(crate) fn of_set(set: &Value, suffix: &str, defaults: Tolerations) -> Value {
    let template = &set["spec"]["template"];
    let set_name = object::name(set);
    let mut pod = json!({
        "metadata": {
            "name": format!("{set_name}-{suffix}"), "generateName": format!("{set_name}-"), "namespace": object::namespace(set),
            "labels": template["metadata"]["labels"], "ownerReferences": super::owned_by(set),
        },
        "spec": template["spec"],
    });
    if template["metadata"]["annotations"].is_object() {
        pod["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
    }
    admit(&mut pod, defaults);
    pod
}

pub(crate) fn bind(pod: &mut Value, node: &str, at: jiff::Timestamp) {
    object::map_mut(pod, "spec").insert("nodeName".into(), node.into());
    condition("PodScheduled", true, at).set(pod);
}

pub(crate) fn cannot_schedule(pod: &mut Value, message: &str, at: jiff::Timestamp) {
    Condition {
        kind: "PodScheduled",
        status: "False",
        reason: "Unschedulable",
        message,
        at,
        beats: false,
    }
    .set(pod);
}

/// The kubelet has started its containers.
pub(crate) fn start(pod: &mut Value, address: IpAddr, host: IpAddr, at: jiff::Timestamp) {
    let restarts = pod["status"]["containerStatuses"][0]["restartCount"]
        .as_u64()
        .map_or(0, |count| count.saturating_add(1));
    let began = object::timestamp(at);
    let statuses: Vec<Value> = pod["spec"]["containers"].as_array().into_iter().flatten().map(|container| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": container["image"], "started": true, "ready": false,
            "containerID": format!("outage://{}/{restarts}", object::uid(pod)), "restartCount": restarts,
            "lastState": {}, "state": {"running": {"startedAt": began}},
        })
    }).collect();
    let status = object::map_mut(pod, "status");
    status.insert("phase".into(), "Running".into());
    status.insert("hostIP".into(), host.to_string().into());
    status.insert("hostIPs".into(), json!([{"ip": host.to_string()}]));
    status.insert("podIP".into(), address.to_string().into());
    status.insert("podIPs".into(), json!([{"ip": address.to_string()}]));
    status.entry("startTime").or_insert_with(|| began.into());
    status.insert("containerStatuses".into(), statuses.into());
    condition("PodReadyToStartContainers", true, at).set(pod);
    condition("Initialized", true, at).set(pod);
}

pub(crate) fn report(pod: &mut Value, ready: bool, at: jiff::Timestamp) {
    condition("ContainersReady", ready, at).set(pod);
    condition("Ready", ready, at).set(pod);
    let statuses = pod.pointer_mut("/status/containerStatuses").and_then(Value::as_array_mut);
    for status in statuses.into_iter().flatten() {
        object::as_map(status).insert("ready".into(), ready.into());
    }
}

/// The node lifecycle controller has given up its node.
pub(crate) fn lose(pod: &mut Value, at: jiff::Timestamp) {
    condition("Ready", false, at).set(pod);
}

fn condition(kind: &'static str, so: bool, at: jiff::Timestamp) -> Condition<'static> {
    let status = if so { "True" } else { "False" };
    let reason = if !so && kind.ends_with("Ready") { "ContainersNotReady" } else { "" };
    Condition { kind, status, reason, message: "", at, beats: false }
}

pub(crate) fn end(pod: &mut Value, grace: u64, at: jiff::Timestamp) {
    if object::is_deleted(pod) {
        return;
    }
    let meta = object::meta_mut(pod);
    let deadline = at.checked_add(Duration::from_secs(grace)).unwrap_or(at);
    meta.insert("deletionTimestamp".into(), object::timestamp(deadline).into());
    meta.insert("deletionGracePeriodSeconds".into(), grace.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PodSpec, Tolerates};

    #[test]
    fn admission_gives_the_default_tolerations_once() {
        let mut pod = json!({"spec": {"tolerations": [{"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": 5}]}});
        let defaults = Tolerations { not_ready: Duration::from_secs(20), ..Tolerations::default() };
        admit(&mut pod, defaults);
        let once = pod.clone();
        admit(&mut pod, Tolerations::default());
        assert_eq!(pod, once);
        let spec = PodSpec::of_template(&pod, &[], Tolerations::default()).unwrap();
        assert_eq!(spec.tolerates_unreachable, Tolerates::For(Duration::from_secs(5)));
        assert_eq!(spec.tolerates_not_ready, Tolerates::For(Duration::from_secs(20)));
        assert!(!spec.tolerates_control_plane);
    }

    #[test]
    fn a_pod_that_is_started_again_counts_it() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut pod = json!({"spec": {"containers": [{"name": "a", "image": "i"}]}});
        let ip: IpAddr = "127.64.1.2".parse().unwrap();
        start(&mut pod, ip, ip, at);
        report(&mut pod, true, at);
        assert_eq!(
            (&pod["status"]["phase"], &pod["status"]["containerStatuses"][0]["ready"]),
            (&"Running".into(), &true.into())
        );
        start(&mut pod, ip, ip, at);
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 1);
        assert_eq!(pod["status"]["containerStatuses"][0]["ready"], false);
    }
}

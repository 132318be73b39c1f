//! The pods of the run's namespace.

use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::cluster::{objects, owner, pod_ready};
use crate::timeline::{Change, Event, PodIdentity};

pub(super) struct Pods;

impl Watched for Pods {
    type Object = objects::Pod;

    fn rows(object: &objects::Pod) -> Vec<Row> {
        let identity = identity(object);
        // A pod of a StatefulSet comes again under its name.
        let key = format!("{}/{}", object.name_any(), identity.uid);
        let event = Event::Pod {
            pod: object.name_any(),
            change: Change::Baseline,
            node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            phase: object
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default(),
            ready: pod_ready(object),
            identity,
        };
        vec![Row::new(key, event)]
    }
}

fn identity(object: &objects::Pod) -> PodIdentity {
    let containers =
        object.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    PodIdentity {
        uid: object.uid().unwrap_or_default(),
        owner: owner(object),
        labels: object.labels().clone(),
        restarts: containers.map(|container| container.restart_count.unsigned_abs()).sum(),
        ending: object.metadata.deletion_timestamp.is_some(),
        unschedulable: unschedulable(object),
    }
}

/// Why the scheduler finds no node, without why it would not help to remove other pods.
fn unschedulable(object: &objects::Pod) -> Option<String> {
    let mut conditions = object.status.as_ref()?.conditions.iter().flatten();
    let scheduled = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let message = scheduled.message.as_deref()?.split("preemption:").next()?;
    let message = message.trim_end().trim_end_matches("no new claims to deallocate,");
    Some(message.trim_end_matches([' ', ',', '.']).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::watch::cache::WatchCache;

    fn pod(uid: &str, restarts: u32, more: Value) -> objects::Pod {
        let mut pod = json!({"metadata": {"name": "web-0", "uid": uid, "labels": {"app": "web"}},
            "status": {"containerStatuses": [{"name": "c", "image": "i", "restartCount": restarts}, {"name": "d", "image": "i"}]}});
        more.as_object()
            .unwrap()
            .iter()
            .for_each(|(key, value)| pod["metadata"][key] = value.clone());
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_restart_and_a_successor_of_the_same_name_are_reported() {
        let mut cache = WatchCache::<Pods>::new();
        let changes = |events: Vec<Event>| {
            let tell = |event| match event {
                Event::Pod { change, identity, .. } => {
                    (change, identity.uid, identity.restarts, identity.ending)
                }
                other => panic!("{other:?}"),
            };
            events.into_iter().map(tell).collect::<Vec<_>>()
        };
        assert_eq!(
            changes(cache.put(&pod("u1", 0, json!({})), Change::Baseline)),
            [(Change::Baseline, "u1".into(), 0, false)]
        );
        assert_eq!(
            changes(cache.put(&pod("u1", 1, json!({})), Change::Changed)),
            [(Change::Changed, "u1".into(), 1, false)]
        );
        let ending = pod("u1", 1, json!({"deletionTimestamp": "2026-11-22T08:54:23Z"}));
        assert_eq!(
            changes(cache.put(&ending, Change::Changed)),
            [(Change::Changed, "u1".into(), 1, true)]
        );
        let mut successor = changes(cache.put(&pod("u2", 0, json!({})), Change::Changed));
        successor.sort_by_key(|(_, uid, ..)| uid.clone());
        let expected =
            [(Change::Deleted, "u1".into(), 1, true), (Change::Changed, "u2".into(), 0, false)];
        assert_eq!(successor, expected);
    }

    #[test]
    fn the_scheduler_says_why_it_finds_no_node() {
        let mut pod = pod("u1", 0, json!({}));
        let why = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 node(s) didn't match PersistentVolume's node affinity";
        let message = format!(
            "{why}. no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
        );
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        let conditions = serde_json::from_value(json!([condition])).unwrap();
        pod.status.as_mut().unwrap().conditions = Some(conditions);
        assert_eq!(identity(&pod).unschedulable.as_deref(), Some(why));
    }

    #[test]
    fn a_bare_pod_has_no_owner() {
        let owned = json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-559b", "uid": "o", "controller": true}]});
        assert_eq!(identity(&pod("u", 0, owned)).owner.as_deref(), Some("ReplicaSet/web-559b"));
        assert_eq!(identity(&pod("u", 0, json!({}))).owner, None);
    }
}

//! The objects of the embedded cluster as JSON: what kubelets, controllers and kubeadm would write.

pub(crate) mod deployment;
pub(crate) mod endpoints;
pub(crate) mod event;
pub(crate) mod lease;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod replica_set;
pub(crate) mod service;
pub(crate) mod stateful_set;
pub(crate) mod system;

use serde_json::{Value, json};

use super::store::object;

/// Labels that a map selects with, and those of an object: whether every one of the former is among
/// the latter. None selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().filter(|wanted| !wanted.is_empty());
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// A reference from what is owned to its controller.
pub(crate) fn owned_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": object::name(owner), "uid": object::uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    }])
}

pub(crate) fn is_owned_by(owned: &Value, owner: &Value) -> bool {
    let references = owned["metadata"]["ownerReferences"].as_array();
    references.is_some_and(|all| {
        all.iter().any(|reference| {
            reference["controller"] == true && reference["uid"] == owner["metadata"]["uid"]
        })
    })
}

/// Whether a pod's condition Ready is True.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// A condition of a status; set, its `lastTransitionTime` moves only when its status does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition<'a> {
    pub kind: &'a str,
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// Its reason; empty: none.
    pub reason: &'a str,
    /// Words for people; empty: none.
    pub message: &'a str,
    pub at: jiff::Timestamp,
    /// Whether that is a sign of life of who reports it, and so noted.
    pub beats: bool,
}

impl Condition<'_> {
    /// Puts it among a status' conditions.
    pub(crate) fn set(&self, object: &mut Value) {
        let at = object::timestamp(self.at);
        let status = object::map_mut(object, "status");
        let conditions = status.entry("conditions").or_insert_with(|| json!([]));
        let Some(list) = conditions.as_array_mut() else { return };
        let known = list.iter().position(|condition| condition["type"] == self.kind);
        let place = known.unwrap_or_else(|| {
            list.push(json!({"type": self.kind}));
            list.len() - 1
        });
        let condition = object::as_map(&mut list[place]);
        if condition.get("status").is_none_or(|before| before != self.status) {
            condition.insert("lastTransitionTime".into(), at.clone().into());
        }
        condition.insert("status".into(), self.status.into());
        if self.beats {
            condition.insert("lastHeartbeatTime".into(), at.into());
        }
        for (field, text) in [("reason", self.reason), ("message", self.message)] {
            match text {
                "" => drop(condition.shift_remove(field)),
                text => drop(condition.insert(field.into(), text.into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_needs_all_of_its_labels() {
        let labels = json!({"app": "web", "tier": "front"});
        assert!(selects(&json!({"app": "web"}), &labels));
        assert!(!selects(&json!({"app": "web", "tier": "back"}), &labels));
        assert!(!selects(&json!({}), &labels) && !selects(&Value::Null, &labels));
    }

    /// Whatever a client made of an object, a controller writes its part.
    #[test]
    fn an_object_of_any_shape_can_be_written() {
        let (at, address) = (jiff::Timestamp::UNIX_EPOCH, "127.64.1.2".parse().unwrap());
        let tally = replica_set::Tally { replicas: 1, ready: 1 };
        let odd =
            || [json!("x"), json!(7), json!([]), json!([["x"]]), Value::Null, json!({"a": "x"})];
        let parts = || {
            let statuses =
                odd().into_iter().map(|odd| json!({"conditions": odd, "containerStatuses": [odd]}));
            odd().into_iter().chain(statuses).chain([
                json!({"template": "x", "selector": "x", "leaseTransitions": u64::MAX, "acquireTime": 1}),
                json!({"template": {"metadata": "x"}, "selector": {"matchLabels": 1}}),
            ])
        };
        for spec in parts() {
            for status in parts() {
                let object = json!({"metadata": {"name": "a"}, "spec": spec, "status": status});
                let writers: [fn(&mut Value, jiff::Timestamp); 8] = [
                    |object, at| lease::renew(object, at),
                    |object, at| lease::pass_on(object, Some("a"), at),
                    |object, at| node::report(object, crate::timeline::Ready::True, at),
                    |object, at| node::lose(object, at),
                    |object, at| pod::bind(object, "a", at),
                    |object, at| pod::report(object, true, at),
                    |object, at| pod::end(object, u64::MAX, at),
                    |object, at| pod::cannot_schedule(object, "no", at),
                ];
                for write in writers {
                    write(&mut object.clone(), at);
                }
                pod::admit(&mut object.clone(), Default::default());
                pod::start(&mut object.clone(), address, address, at);
                deployment::set_status(&mut object.clone(), tally, tally, at);
                replica_set::of_deployment(&object, 1);
                stateful_set::status(&object, &[]);
                pod::of_set(&object, "bcdfg", Default::default());
            }
        }
    }

    #[test]
    fn a_transition_is_when_the_status_changed() {
        let at = |second: i64| jiff::Timestamp::from_second(1_790_000_000 + second).unwrap();
        let mut object = json!({});
        let condition = |status, at| Condition {
            kind: "Ready",
            status,
            reason: "R",
            message: "",
            at,
            beats: true,
        };
        condition("True", at(0)).set(&mut object);
        condition("True", at(5)).set(&mut object);
        let ready = object["status"]["conditions"][0].clone();
        assert_eq!(ready["lastTransitionTime"], object::timestamp(at(0)));
        assert_eq!(ready["lastHeartbeatTime"], object::timestamp(at(5)));
        condition("Unknown", at(9)).set(&mut object);
        assert_eq!(
            object["status"]["conditions"][0]["lastTransitionTime"],
            object::timestamp(at(9))
        );
        assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 1);
    }
}

//! Strategic merge patch: a merge patch that knows by which member the items of Kubernetes' lists
//! are matched, and some directives.

use serde_json::{Map, Value};

use crate::embedded::store::object::as_map;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";

/// By which member the items of a list are matched; `None` for a list that is replaced as a
/// whole. By the `patchMergeKey` of Kubernetes' types.
fn key_of(field: &str, items: &[Value]) -> Option<&'static str> {
    Some(match field {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => "name",
        // Containers' ports and Services' ports.
        "ports" if items.iter().any(|item| item.get("containerPort").is_some()) => "containerPort",
        "ports" => "port",
        "volumeMounts" => "mountPath",
        "hostAliases" => "ip",
        "conditions" => "type",
        "ownerReferences" => "uid",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

pub(super) fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    let members = as_map(target);
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *members = patch
                .iter()
                .filter(|(field, _)| *field != DIRECTIVE)
                .map(|(f, v)| (f.clone(), v.clone()))
                .collect();
            return;
        }
        Some("delete") => {
            members.clear();
            return;
        }
        _ => {}
    }
    if let Some(kept) = patch.get(RETAIN).and_then(Value::as_array) {
        members.retain(|field, _| kept.iter().any(|kept| kept == field));
    }
    for (field, value) in patch.iter().filter(|(field, _)| !field.starts_with('$')) {
        member(members, field, value, patch);
    }
}

fn member(
    members: &mut Map<String, Value>,
    field: &str,
    value: &Value,
    patch: &Map<String, Value>,
) {
    match value {
        Value::Null => drop(members.shift_remove(field)),
        Value::Array(items) => {
            let order = patch.get(&format!("{ORDER}{field}")).and_then(Value::as_array);
            let place = members.entry(field).or_insert_with(|| Value::Array(Vec::new()));
            if !place.is_array() {
                *place = Value::Array(Vec::new());
            }
            list(place.as_array_mut().expect("made above"), field, items, order);
        }
        _ => apply(members.entry(field).or_insert(Value::Null), value),
    }
}

fn list(target: &mut Vec<Value>, field: &str, items: &[Value], order: Option<&Vec<Value>>) {
    let directive =
        |item: &Value, what: &str| item.get(DIRECTIVE).is_some_and(|directive| directive == what);
    let replaces = items.iter().any(|item| {
        directive(item, "replace") && item.as_object().is_some_and(|item| item.len() == 1)
    });
    let all: Vec<Value> = target.iter().chain(items).cloned().collect();
    match key_of(field, &all) {
        _ if replaces => {
            *target = items.iter().filter(|item| !directive(item, "replace")).cloned().collect()
        }
        Some(key) => {
            for item in items {
                let at = target.iter().position(|found| found.get(key) == item.get(key));
                match (at, directive(item, "delete")) {
                    (Some(at), true) => drop(target.remove(at)),
                    (None, true) => {}
                    (Some(at), false) => apply(&mut target[at], item),
                    (None, false) => {
                        let mut new = Value::Null;
                        apply(&mut new, item);
                        target.push(new);
                    }
                }
            }
            if let Some(order) = order {
                let place = |item: &Value| {
                    order
                        .iter()
                        .position(|wanted| wanted.get(key) == item.get(key))
                        .unwrap_or(usize::MAX)
                };
                target.sort_by_key(place);
            }
        }
        None => *target = items.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut object: Value, patch: Value) -> Value {
        apply(&mut object, &patch);
        object
    }

    #[test]
    fn containers_are_joined_by_name() {
        let object = json!({"containers": [{"name": "a", "image": "x:1", "env": [{"name": "A", "value": "1"}]}, {"name": "b"}]});
        let new = patched(
            object.clone(),
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [
                {"name": "a", "image": "x:2", "env": [{"name": "B", "value": "2"}]}]}),
        );
        let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
        assert_eq!(
            new,
            json!({"containers": [{"name": "b"}, {"name": "a", "image": "x:2", "env": env}]})
        );
        let gone =
            patched(object.clone(), json!({"containers": [{"name": "a", "$patch": "delete"}]}));
        assert_eq!(gone, json!({"containers": [{"name": "b"}]}));
        let replaced =
            patched(object, json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}));
        assert_eq!(replaced, json!({"containers": [{"name": "c"}]}));
    }

    #[test]
    fn ports_are_told_apart_as_their_owner_does() {
        let service = patched(
            json!({"ports": [{"port": 80, "name": "http"}]}),
            json!({"ports": [{"port": 80, "targetPort": 8080}]}),
        );
        assert_eq!(service, json!({"ports": [{"port": 80, "name": "http", "targetPort": 8080}]}));
        let container = patched(
            json!({"ports": [{"containerPort": 80}]}),
            json!({"ports": [{"containerPort": 81}]}),
        );
        assert_eq!(container, json!({"ports": [{"containerPort": 80}, {"containerPort": 81}]}));
    }

    #[test]
    fn conditions_of_a_status_are_joined_and_directives_obeyed() {
        let node = patched(
            json!({"conditions": [{"type": "Ready", "status": "True"}], "strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}),
            json!({"conditions": [{"type": "Ready", "status": "Unknown"}], "strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        );
        let expected = json!({"conditions": [{"type": "Ready", "status": "Unknown"}], "strategy": {"type": "Recreate"}});
        assert_eq!(node, expected);
        assert_eq!(
            patched(json!({"taints": [{"key": "a"}]}), json!({"taints": [{"key": "b"}]})),
            json!({"taints": [{"key": "b"}]})
        );
        assert_eq!(
            patched(json!({"a": 1, "b": {"c": 1}}), json!({"a": null, "b": {"$patch": "delete"}})),
            json!({"b": {}})
        );
    }
}

//! JSON patch (RFC 6902): a list of operations.

use serde_json::Value;

use crate::embedded::api::ApiError;

pub(super) fn apply(object: &mut Value, operations: &Value) -> Result<(), ApiError> {
    operations.as_array().into_iter().flatten().try_for_each(|operation| one(object, operation))
}

fn one(object: &mut Value, operation: &Value) -> Result<(), ApiError> {
    let path =
        |field: &str| operation[field].as_str().ok_or_else(|| refused(operation, "it has no path"));
    let value =
        || operation.get("value").cloned().ok_or_else(|| refused(operation, "it has no value"));
    let there = |object: &Value, path: &str| {
        object.pointer(path).cloned().ok_or_else(|| refused(operation, "nothing is there"))
    };
    let done = match operation["op"].as_str().unwrap_or_default() {
        "add" => add(object, path("path")?, value()?),
        "remove" => remove(object, path("path")?).map(drop),
        "replace" => {
            object.pointer_mut(path("path")?).map(|place| *place = value().unwrap_or_default())
        }
        "move" => {
            let taken = remove(object, path("from")?)
                .ok_or_else(|| refused(operation, "nothing is there"))?;
            add(object, path("path")?, taken)
        }
        "copy" => {
            let copied = there(object, path("from")?)?;
            add(object, path("path")?, copied)
        }
        "test" => (there(object, path("path")?)? == value()?).then_some(()),
        _ => return Err(refused(operation, "there is no such operation")),
    };
    done.ok_or_else(|| refused(operation, "it does not fit the object"))
}

fn refused(operation: &Value, why: &str) -> ApiError {
    ApiError::new(
        422,
        "Invalid",
        format!(
            "the server rejected our request due to an error in our request: {operation}: {why}"
        ),
    )
}

/// A path's container and its last part.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *object = value;
        return Some(());
    }
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(members) => drop(members.insert(last, value)),
        Value::Array(items) => {
            let index = if last == "-" {
                items.len()
            } else {
                last.parse().ok().filter(|index| *index <= items.len())?
            };
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent)? {
        Value::Object(members) => members.shift_remove(&last),
        Value::Array(items) => {
            let index = last.parse().ok().filter(|index| *index < items.len())?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_done_in_order() {
        let mut object = json!({"metadata": {"labels": {"a/b": "1"}}, "list": [1, 2]});
        let operations = json!([
            {"op": "test", "path": "/list/0", "value": 1},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "remove", "path": "/list/0"},
            {"op": "replace", "path": "/metadata/labels/a~1b", "value": "2"},
            {"op": "copy", "from": "/list/0", "path": "/first"},
            {"op": "move", "from": "/first", "path": "/moved"}]);
        apply(&mut object, &operations).unwrap();
        assert_eq!(
            object,
            json!({"metadata": {"labels": {"a/b": "2"}}, "list": [2, 3], "moved": 2})
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for operation in [
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "remove", "path": "/b"}),
            json!({"op": "replace", "path": "/b", "value": 1}),
            json!({"op": "add", "path": "/list/5", "value": 1}),
            json!({"op": "paint", "path": "/a"}),
        ] {
            assert_eq!(
                apply(&mut json!({"a": 1, "list": []}), &json!([operation])).unwrap_err().code,
                422,
                "{operation}"
            );
        }
    }
}

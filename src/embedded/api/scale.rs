//! `scale`: the number of replicas alone.

use serde_json::{Value, json};

use super::ApiError;
use super::write::Write;
use crate::embedded::store::object;

pub(super) fn of(object: &Value) -> Value {
    let meta = &object["metadata"];
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_u64().unwrap_or(0)}})
}

/// Changes the scale of an object, from what it is to what `new` makes of it.
pub(super) fn change(
    write: &Write<'_>,
    new: impl Fn(&Value) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let changed = write.change(|before| {
        let scale = new(&of(before))?;
        let mut new = before.clone();
        let replicas = scale["spec"]["replicas"].as_u64().unwrap_or(0);
        object::map_mut(&mut new, "spec").insert("replicas".to_owned(), replicas.into());
        for field in ["uid", "resourceVersion"] {
            if !scale["metadata"][field].is_null() {
                new["metadata"][field] = scale["metadata"][field].clone();
            }
        }
        Ok(new)
    });
    changed.map(|changed| of(&changed))
}

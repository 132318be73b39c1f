//! `scale`: the number of replicas alone.

use serde_json::{Value, json};

use super::patch::Patch;
use super::server::Served;
use super::target::Target;
use super::{ApiError, write};
use crate::embedded::store::{LabelSelector, object};

/// The scale of an object.
pub(super) fn of(object: &Value) -> Value {
    let meta = &object["metadata"];
    let selector = &object["spec"]["selector"];
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_u64().unwrap_or(0),
            "selector": LabelSelector::of_object(selector).to_string()}})
}

/// Changes it.
pub(super) fn patch(
    served: &Served,
    target: &Target,
    name: &str,
    patch: &Patch,
    dry: bool,
) -> Result<Value, ApiError> {
    set(served, target, name, dry, |scale| patch.apply(scale))
}

/// Puts another in its place.
pub(super) fn replace(
    served: &Served,
    target: &Target,
    name: &str,
    sent: &Value,
    dry: bool,
) -> Result<Value, ApiError> {
    set(served, target, name, dry, |_| Ok(sent.clone()))
}

fn set(
    served: &Served,
    target: &Target,
    name: &str,
    dry: bool,
    new: impl Fn(&Value) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let changed =
        write::change(served, &Target { part: None, ..target.clone() }, name, dry, |before| {
            let scale = new(&of(before))?;
            write::check_preconditions(
                target.kind,
                name,
                before,
                object::uid(&scale),
                object::meta(&scale, "resourceVersion"),
            )?;
            let mut new = before.clone();
            let replicas = scale["spec"]["replicas"].as_u64().unwrap_or(0);
            object::map_mut(&mut new, "spec").insert("replicas".to_owned(), replicas.into());
            Ok(new)
        });
    changed.map(|changed| of(&changed))
}

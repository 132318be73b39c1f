//! Making and changing objects.

use serde_json::{Value, json};

use super::patch::Patch;
use super::query::Query;
use super::served::Served;
use super::target::Target;
use super::{ApiError, defaults, validate};
use crate::embedded::store::{Kind, Object, StoreError, Writer, kinds, object};

/// How often a change begins anew because somebody else was faster.
const TRIES: u32 = 50;
const OLD: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// Whether nothing is to be written.
pub(super) fn is_dry(query: &Query) -> Result<bool, ApiError> {
    match query.text("dryRun") {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "Invalid value: \"{other}\": dryRun is All or nothing"
        ))),
    }
}

/// Makes an object.
pub(super) fn create(
    served: &Served,
    target: &Target,
    sent: Value,
    dry: bool,
) -> Result<Object, ApiError> {
    let kind = target.kind;
    let mut new = as_stored(target, sent)?;
    name_it(&mut new);
    if object::revision(&new) != 0 {
        return Err(ApiError::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    check_namespace(served, kind, &new)?;
    if kind.has_status && kind != &kinds::NODES {
        object::as_map(&mut new).shift_remove("status");
    }
    defaults::fill_in(kind, &mut new);
    served.hooks.admit(kind, &mut new)?;
    validate::check(kind, &new, None)?;
    let name = object::name(&new).to_owned();
    let exists = || ApiError::already_exists(kind, &name);
    if !dry {
        return served.store.create(kind, new, Writer::Client).map_err(|_| exists());
    }
    match served.store.get(kind, &target.namespace, &name) {
        Some(_) => Err(exists()),
        None => {
            object::set_type(&mut new, kind);
            Ok(new.into())
        }
    }
}

/// Puts an object in the place of the one that is there.
pub(super) fn replace(
    served: &Served,
    target: &Target,
    name: &str,
    sent: Value,
    dry: bool,
) -> Result<Object, ApiError> {
    let new = as_stored(target, sent)?;
    if object::name(&new) != name {
        let message = format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(&new)
        );
        return Err(ApiError::bad_request(message));
    }
    change(served, target, name, dry, |_| Ok(new.clone()))
}

/// Changes an object. One that is applied and not there is made.
pub(super) fn patch(
    served: &Served,
    target: &Target,
    name: &str,
    patch: &Patch,
    dry: bool,
) -> Result<Object, ApiError> {
    // What is not stored under this name is another object.
    let named = |mut object: Value| {
        object::meta_mut(&mut object).insert("name".to_owned(), name.into());
        object
    };
    let changed =
        change(served, target, name, dry, |before| as_stored(target, named(patch.apply(before)?)));
    match (changed, patch.creates()) {
        (Err(error), Some(applied)) if error.code == 404 => {
            create(served, target, named(applied.clone()), dry)
        }
        (changed, _) => changed,
    }
}

/// Changes an object, from what it is to what `new` makes of it; anew when somebody else was
/// faster.
pub(super) fn change(
    served: &Served,
    target: &Target,
    name: &str,
    dry: bool,
    new: impl Fn(&Value) -> Result<Value, ApiError>,
) -> Result<Object, ApiError> {
    let (kind, namespace) = (target.kind, target.namespace.as_str());
    for _ in 0..TRIES {
        let found = served.store.get(kind, namespace, name);
        let before = found.ok_or_else(|| ApiError::not_found(kind, name))?;
        let mut new = new(&before)?;
        let meta = |field| object::meta(&new, field);
        check_preconditions(kind, name, &before, meta("uid"), meta("resourceVersion"))?;
        keep_what_is_not_the_clients(kind, &before, &mut new);
        defaults::fill_in(kind, &mut new);
        served.hooks.admit(kind, &mut new)?;
        validate::check(kind, &new, Some(&before))?;
        if dry {
            object::set_type(&mut new, kind);
            return Ok(new.into());
        }
        let written = served.store.update(kind, namespace, name, Writer::Client, |now| {
            if object::revision(now) != object::revision(&before) {
                return Err(StoreError::Conflict { why: OLD.to_owned() });
            }
            *now = new;
            Ok(())
        });
        match written {
            Err(StoreError::Conflict { .. }) => {}
            written => return written.map_err(|error| ApiError::of_store(error, kind, name)),
        }
    }
    Err(ApiError::conflict(kind, name, OLD))
}

/// Errors when the object is not the one that the client means. Empty means any.
pub(super) fn check_preconditions(
    kind: &Kind,
    name: &str,
    now: &Value,
    uid: &str,
    revision: &str,
) -> Result<(), ApiError> {
    if !uid.is_empty() && uid != object::uid(now) {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            object::uid(now)
        );
        return Err(ApiError::conflict(kind, name, &why));
    }
    match revision.is_empty() || revision == object::meta(now, "resourceVersion") {
        true => Ok(()),
        false => Err(ApiError::conflict(kind, name, OLD)),
    }
}

/// A sent object as it is stored: of the path's kind, in the path's namespace.
fn as_stored(target: &Target, mut sent: Value) -> Result<Value, ApiError> {
    let kind = target.kind;
    if !sent.is_object() {
        return Err(ApiError::bad_request("the object provided is not an object"));
    }
    validate::check_shape(kind, &sent)?;
    let is = |field: &str, expected: &str| {
        sent[field].as_str().is_none_or(|given| given.is_empty() || given == expected)
    };
    if !is("kind", kind.kind) || !is("apiVersion", &kind.api_version()) {
        let message = format!(
            "the object provided is unrecognized (must be of type {}): {} {}",
            kind.kind, sent["apiVersion"], sent["kind"]
        );
        return Err(ApiError::bad_request(message));
    }
    let namespace = object::namespace(&sent);
    if kind.namespaced && !namespace.is_empty() && namespace != target.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    let meta = object::meta_mut(&mut sent);
    meta.shift_remove("managedFields");
    match kind.namespaced {
        true => drop(meta.insert("namespace".to_owned(), target.namespace.clone().into())),
        false => drop(meta.shift_remove("namespace")),
    }
    Ok(sent)
}

/// Makes a name of `generateName`.
fn name_it(object: &mut Value) {
    let prefix = object::meta(object, "generateName").to_owned();
    if object::name(object).is_empty() && !prefix.is_empty() {
        object::meta_mut(object)
            .insert("name".to_owned(), format!("{prefix}{}", object::random_suffix()).into());
    }
}

/// Nothing is made in a namespace that is not there or is going.
fn check_namespace(served: &Served, kind: &'static Kind, new: &Value) -> Result<(), ApiError> {
    if !kind.namespaced {
        return Ok(());
    }
    let name = object::namespace(new);
    match served.store.get(&kinds::NAMESPACES, "", name) {
        None => Err(ApiError::not_found(&kinds::NAMESPACES, name)),
        Some(namespace) if object::is_deleted(&namespace) => {
            let why = format!(
                "unable to create new content in namespace {name} because it is being terminated"
            );
            let mut error = ApiError::forbidden(kind, object::name(new), &why);
            error.details["causes"] = json!([{"reason": "NamespaceTerminating",
                "message": format!("namespace {name} is being terminated"), "field": "metadata.namespace"}]);
            Err(error)
        }
        Some(_) => Ok(()),
    }
}

/// The status, that it is being deleted, and a Service's address where the client names none.
fn keep_what_is_not_the_clients(kind: &Kind, before: &Value, new: &mut Value) {
    let mut keep = |map: &str, field: &str| {
        let members = if map.is_empty() { object::as_map(new) } else { object::map_mut(new, map) };
        let was = if map.is_empty() { before.get(field) } else { before[map].get(field) };
        match was {
            Some(was) => drop(members.insert(field.to_owned(), was.clone())),
            None => drop(members.shift_remove(field)),
        }
    };
    if kind.has_status {
        keep("", "status");
    }
    keep("metadata", "deletionTimestamp");
    keep("metadata", "deletionGracePeriodSeconds");
    if kind == &kinds::SERVICES && new["spec"]["clusterIP"].is_null() {
        for field in ["clusterIP", "clusterIPs"] {
            if let Some(was) = before["spec"].get(field) {
                object::map_mut(new, "spec").insert(field.to_owned(), was.clone());
            }
        }
    }
}

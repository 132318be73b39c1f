//! Making and changing objects.

use serde_json::{Value, json};

use super::hooks::{Deletion, Operation};
use super::patch::Patch;
use super::query::Query;
use super::server::Served;
use super::target::{Target, stored};
use super::{ApiError, defaults, new_events, validate};
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
    let kind = stored(target.kind);
    let mut new = to_stored(target, sent)?;
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
    served.hooks.admit(kind, Operation::Create, &mut new)?;
    validate::check(kind, &new, None)?;
    let name = object::name(&new).to_owned();
    if !dry {
        return served
            .store
            .create(kind, new, Writer::Client)
            .map_err(|error| ApiError::of_store(error, target.kind, &name));
    }
    match served.store.get(kind, &target.namespace, &name) {
        Some(_) => Err(ApiError::already_exists(target.kind, &name)),
        None => {
            object::set_type(&mut new, kind);
            Ok(new.into())
        }
    }
}

/// Puts an object (or its status) in the place of the one that is there.
pub(super) fn replace(
    served: &Served,
    target: &Target,
    name: &str,
    sent: Value,
    dry: bool,
) -> Result<Object, ApiError> {
    let new = to_stored(target, sent)?;
    if object::name(&new) != name {
        let message = format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            object::name(&new)
        );
        return Err(ApiError::bad_request(message));
    }
    change(served, target, name, dry, |_| Ok(new.clone()))
}

/// Changes an object (or its status). One that is applied and not there is made.
pub(super) fn patch(
    served: &Served,
    target: &Target,
    name: &str,
    patch: &Patch,
    dry: bool,
) -> Result<Object, ApiError> {
    let changed = change(served, target, name, dry, |before| {
        let mut new = patch.apply(&outside(target.kind, before))?;
        // What is not stored under this name is another object.
        let meta = object::meta_mut(&mut new);
        meta.insert("name".to_owned(), name.into());
        to_stored(target, new)
    });
    match (changed, patch.creates()) {
        (Err(error), Some(applied)) if error.code == 404 && target.part.is_none() => {
            let mut applied = applied.clone();
            object::meta_mut(&mut applied).insert("name".to_owned(), name.into());
            create(served, target, applied, dry)
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
    let kind = stored(target.kind);
    let refused = |error: StoreError| ApiError::of_store(error, target.kind, name);
    for _ in 0..TRIES {
        let before = served
            .store
            .get(kind, &target.namespace, name)
            .ok_or_else(|| refused(StoreError::NotFound))?;
        let mut new = new(&before)?;
        check_preconditions(
            target.kind,
            name,
            &before,
            object::meta(&new, "uid"),
            object::meta(&new, "resourceVersion"),
        )?;
        match target.part.as_deref() {
            Some("status") => new = with_status(&before, &mut new),
            _ => complete(served, kind, &before, &mut new)?,
        }
        if dry {
            object::set_type(&mut new, kind);
            return Ok(new.into());
        }
        let written = served.store.update(kind, &target.namespace, name, Writer::Client, |now| {
            if object::revision(now) != object::revision(&before) {
                return Err(StoreError::Conflict { why: OLD.to_owned() });
            }
            *now = new;
            Ok(())
        });
        match written {
            Ok(written) => return Ok(finish_deletion(served, kind, &before, written)),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Err(ApiError::conflict(target.kind, name, OLD))
}

/// Fills in what a client leaves out, and checks the whole.
fn complete(
    served: &Served,
    kind: &'static Kind,
    before: &Value,
    new: &mut Value,
) -> Result<(), ApiError> {
    keep_what_is_not_the_clients(kind, before, new);
    defaults::fill_in(kind, new);
    served.hooks.admit(kind, Operation::Update, new)?;
    validate::check(kind, new, Some(before))
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

/// An object as its kind's path shows it.
fn outside(kind: &'static Kind, object: &Value) -> Value {
    if kind == &kinds::NEW_EVENTS { new_events::from_core(object) } else { object.clone() }
}

/// A sent object as it is stored: of the path's kind, in the path's namespace.
fn to_stored(target: &Target, mut sent: Value) -> Result<Value, ApiError> {
    let kind = target.kind;
    if !sent.is_object() {
        return Err(ApiError::bad_request("the object provided is not an object"));
    }
    validate::check_shape(kind, &sent)?;
    let says = |field: &str, expected: &str| {
        sent[field].as_str().is_none_or(|said| said.is_empty() || said == expected)
    };
    if !says("kind", kind.kind) || !says("apiVersion", &kind.api_version()) {
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
    Ok(if kind == &kinds::NEW_EVENTS { new_events::to_core(&sent) } else { sent })
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

/// The object as it was, with another status.
fn with_status(before: &Value, sent: &mut Value) -> Value {
    let mut new = before.clone();
    match sent.get_mut("status").map(Value::take) {
        Some(status) => drop(object::as_map(&mut new).insert("status".to_owned(), status)),
        None => drop(object::as_map(&mut new).shift_remove("status")),
    }
    new
}

/// The status, and that it is being deleted.
fn keep_what_is_not_the_clients(kind: &Kind, before: &Value, new: &mut Value) {
    if kind.has_status {
        match before.get("status") {
            Some(status) => drop(object::as_map(new).insert("status".to_owned(), status.clone())),
            None => drop(object::as_map(new).shift_remove("status")),
        }
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        match before["metadata"].get(field) {
            Some(value) => drop(object::meta_mut(new).insert(field.to_owned(), value.clone())),
            None => drop(object::meta_mut(new).shift_remove(field)),
        }
    }
    // A replaced Service keeps its address where the client does not name it, as in Kubernetes.
    for field in ["clusterIP", "clusterIPs"].into_iter().filter(|_| kind == &kinds::SERVICES) {
        let was = &before["spec"][field];
        if new["spec"][field].is_null() && !was.is_null() {
            object::map_mut(new, "spec").insert(field.to_owned(), was.clone());
        }
    }
}

/// Takes away what only its finalizers held.
fn finish_deletion(
    served: &Served,
    kind: &'static Kind,
    before: &Value,
    written: Object,
) -> Object {
    let freed = object::is_deleted(&written)
        && object::has_finalizers(before)
        && !object::has_finalizers(&written);
    if freed && served.hooks.deletion(kind, &written, None) == Deletion::Now {
        let same = |now: &Value| match object::uid(now) == object::uid(&written) {
            true => Ok(()),
            false => Err(StoreError::NotFound),
        };
        // Somebody else may have been faster.
        let _ = served.store.remove_if(
            kind,
            object::namespace(&written),
            object::name(&written),
            Writer::Client,
            same,
        );
    }
    written
}

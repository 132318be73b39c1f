//! Deleting objects.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ApiError;
use super::hooks::Deletion;
use super::query::Query;
use super::read::Selection;
use super::served::Served;
use super::target::Target;
use super::write::{check_preconditions, is_dry};
use crate::embedded::store::{Object, StoreError, Writer, kinds, object};

#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    grace: Option<u32>,
    uid: String,
    revision: String,
    dry: bool,
}

impl Options {
    pub(super) fn read(body: &Value, query: &Query) -> Result<Self, ApiError> {
        let text = |pointer: &str| {
            body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let grace = body["gracePeriodSeconds"].as_i64().map(u32::try_from).transpose();
        if text("/propagationPolicy") == "Orphan" {
            return Err(ApiError::bad_request(
                "the embedded cluster does not orphan objects: dependents are deleted with their owner",
            ));
        }
        Ok(Self {
            grace: grace
                .map_err(|_| ApiError::bad_request("gracePeriodSeconds must not be negative"))?,
            uid: text("/preconditions/uid"),
            revision: text("/preconditions/resourceVersion"),
            dry: !body["dryRun"].is_null() || is_dry(query)?,
        })
    }
}

/// Deletes an object: it is gone, or it is marked, and its controllers do the rest. The answer is a
/// `Status`, or the object as it is now.
pub(super) fn one(
    served: &Served,
    target: &Target,
    name: &str,
    options: &Options,
) -> Result<Value, ApiError> {
    let (kind, namespace) = (target.kind, target.namespace.as_str());
    let found = served.store.get(kind, namespace, name);
    let before = found.ok_or_else(|| ApiError::not_found(kind, name))?;
    let check = |now: &Value| match object::uid(now) == object::uid(&before) {
        true => check_preconditions(kind, name, now, &options.uid, &options.revision),
        false => Err(ApiError::not_found(kind, name)),
    };
    check(&before)?;
    if options.dry {
        return Ok(Value::clone(&before));
    }
    let refused = |error: Refused| match error {
        Refused::Store(error) => ApiError::of_store(error, kind, name),
        Refused::Api(error) => error,
    };
    let store = &served.store;
    match served.hooks.deletion(kind, &before, options.grace) {
        Deletion::Now => {
            let gone = store.remove_if(kind, namespace, name, Writer::Client, |now| {
                check(now).map_err(Refused::Api)
            });
            let gone = gone.map_err(refused)?;
            // Pods and namespaces are answered with themselves, as in Kubernetes.
            let shows = kind == &kinds::PODS || kind == &kinds::NAMESPACES;
            Ok(if shows { Value::clone(&gone) } else { success(target, &gone) })
        }
        Deletion::Later(grace) => {
            let marked = store.update(kind, namespace, name, Writer::Client, |now| {
                check(now).map_err(Refused::Api)?;
                mark(now, grace);
                Ok(())
            });
            Ok(Value::clone(&*marked.map_err(refused)?))
        }
    }
}

/// Deletes all that are selected; answers with them.
pub(super) fn all(
    served: &Served,
    target: &Target,
    query: &Query,
    options: &Options,
) -> Result<Vec<Object>, ApiError> {
    let selection = Selection::of(target, query)?;
    let mut objects = served.store.list(target.kind, target.scope());
    objects.retain(|object| selection.matches(object));
    for object in &objects {
        let of = Target { namespace: object::namespace(object).to_owned(), ..target.clone() };
        match one(served, &of, object::name(object), options) {
            // Somebody else was faster.
            Err(error) if error.code == 404 => {}
            answer => drop(answer?),
        }
    }
    Ok(objects)
}

/// Sets when it is to be gone; a later request can only hasten it.
fn mark(object: &mut Value, grace: u32) {
    let before = object["metadata"]["deletionGracePeriodSeconds"].as_u64();
    if object::is_deleted(object) && before.is_some_and(|before| before <= grace.into()) {
        return;
    }
    if object["kind"] == kinds::NAMESPACES.kind {
        object["status"]["phase"] = "Terminating".into();
    }
    let at = Timestamp::now() + SignedDuration::from_secs(grace.into());
    object["metadata"]["deletionTimestamp"] = object::timestamp(at).into();
    object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
}

fn success(target: &Target, gone: &Value) -> Value {
    let mut details =
        json!({"name": object::name(gone), "kind": target.kind.plural, "uid": object::uid(gone)});
    if !target.kind.group.is_empty() {
        details["group"] = target.kind.group.into();
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

/// Why nothing was deleted: the store's reason, or the client's own conditions.
enum Refused {
    Store(StoreError),
    Api(ApiError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

//! Deleting objects.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::ApiError;
use super::hooks::Deletion;
use super::query::Query;
use super::read::Selection;
use super::server::Served;
use super::target::{Target, stored};
use super::write::check_preconditions;
use crate::embedded::store::{Object, StoreError, Writer, kinds, object};

/// How a client wants it.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    grace: Option<u32>,
    uid: String,
    revision: String,
    orphan: bool,
    dry: bool,
}

impl Options {
    pub(super) fn read(body: &Value, query: &Query) -> Result<Self, ApiError> {
        let text = |pointer: &str| {
            body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let asked = body["gracePeriodSeconds"]
            .as_i64()
            .or(query.number("gracePeriodSeconds").and_then(|grace| grace.try_into().ok()));
        let grace = match asked.map(u32::try_from) {
            None => None,
            Some(Ok(grace)) => Some(grace),
            Some(Err(_)) => {
                return Err(ApiError::bad_request("gracePeriodSeconds must not be negative"));
            }
        };
        let policy = Some(text("/propagationPolicy")).filter(|policy| !policy.is_empty());
        Ok(Self {
            grace,
            uid: text("/preconditions/uid"),
            revision: text("/preconditions/resourceVersion"),
            orphan: policy.as_deref().unwrap_or(query.text("propagationPolicy")) == "Orphan",
            dry: !body["dryRun"].is_null() || super::write::is_dry(query)?,
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
    let kind = stored(target.kind);
    let refused = |error| ApiError::of_store(error, target.kind, name);
    let before = served
        .store
        .get(kind, &target.namespace, name)
        .ok_or_else(|| refused(StoreError::NotFound))?;
    let check =
        |now: &Value| check_preconditions(target.kind, name, now, &options.uid, &options.revision);
    check(&before)?;
    let ends = match served.hooks.deletion(kind, &before, options.grace) {
        Deletion::Now if object::has_finalizers(&before) => Deletion::Later(0),
        ends => ends,
    };
    if options.dry {
        return Ok(Value::clone(&before));
    }
    if options.orphan {
        orphan(served, &before);
    }
    let same = |now: &Value| match object::uid(now) == object::uid(&before) {
        true => check(now),
        false => Err(refused(StoreError::NotFound)),
    };
    match ends {
        Deletion::Now => {
            let gone =
                served.store.remove_if(kind, &target.namespace, name, Writer::Client, |now| {
                    same(now).map_err(Refused::Api)
                });
            let gone = gone.map_err(|error| error.into_api(target, name))?;
            // Pods and namespaces are answered with themselves, as in Kubernetes.
            let shows = kind == &kinds::PODS || kind == &kinds::NAMESPACES;
            Ok(if shows { Value::clone(&gone) } else { success(target, &gone) })
        }
        Deletion::Later(grace) => {
            let marked =
                served.store.update(kind, &target.namespace, name, Writer::Client, |now| {
                    same(now).map_err(Refused::Api)?;
                    mark(now, grace);
                    Ok(())
                });
            let marked = marked.map_err(|error: Refused| error.into_api(target, name))?;
            Ok(Value::clone(&marked))
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
    let mut objects = served.store.list(stored(target.kind), target.scope());
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
    let sooner = |before: &Value| before.as_u64().is_none_or(|before| u64::from(grace) < before);
    let again = object::is_deleted(object);
    if again && !sooner(&object["metadata"]["deletionGracePeriodSeconds"]) {
        return;
    }
    if object["kind"] == kinds::NAMESPACES.kind {
        object::map_mut(object, "status").insert("phase".to_owned(), "Terminating".into());
    }
    let at = Timestamp::now() + SignedDuration::from_secs(grace.into());
    let meta = object::meta_mut(object);
    meta.insert("deletionTimestamp".to_owned(), object::timestamp(at).into());
    meta.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
}

/// Lets those go that an object owns, so that they outlive it.
fn orphan(served: &Served, owner: &Value) {
    let owned = |reference: &Value| reference["uid"] == object::uid(owner);
    for kind in kinds::ALL {
        for dependent in served.store.list(kind, Some(object::namespace(owner))) {
            let references = dependent["metadata"]["ownerReferences"].as_array();
            if references.is_some_and(|references| references.iter().any(owned)) {
                served.store.modify(
                    kind,
                    object::namespace(&dependent),
                    object::name(&dependent),
                    |dependent| {
                        if let Some(Value::Array(references)) =
                            object::meta_mut(dependent).get_mut("ownerReferences")
                        {
                            references.retain(|reference| !owned(reference));
                        }
                    },
                );
            }
        }
    }
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

impl Refused {
    fn into_api(self, target: &Target, name: &str) -> ApiError {
        match self {
            Self::Store(error) => ApiError::of_store(error, target.kind, name),
            Self::Api(error) => error,
        }
    }
}

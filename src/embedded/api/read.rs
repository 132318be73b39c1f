//! Reading: one object, or a list of them page by page.

use std::time::Duration;

use super::ApiError;
use super::form::Form;
use super::query::Query;
use super::respond::{Answer, json};
use super::server::Served;
use super::target::{Target, stored};

use crate::embedded::store::{FieldSelector, LabelSelector, Object, Snapshot, Store, object};

/// How long a list at a revision that is still to come waits for it, as in Kubernetes.
const WAIT_FOR_REVISION: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(super) fn of(target: &Target, query: &Query) -> Result<Self, ApiError> {
        let labels = LabelSelector::parse(query.text("labelSelector"));
        let mut fields = query.text("fieldSelector").to_owned();
        // A watch of one object is a watch of the collection, for one name.
        if let Some(name) = &target.name {
            fields = format!("metadata.name={name}");
        }
        let fields = FieldSelector::parse(&fields, stored(target.kind));
        Ok(Self {
            labels: labels.map_err(ApiError::bad_request)?,
            fields: fields.map_err(ApiError::bad_request)?,
        })
    }

    pub(super) fn matches(&self, object: &serde_json::Value) -> bool {
        self.labels.matches(&object["metadata"]["labels"]) && self.fields.matches(object)
    }

    fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

pub(super) fn get(
    served: &Served,
    target: &Target,
    name: &str,
    form: Form,
) -> Result<Answer, ApiError> {
    let found = served.store.get(stored(target.kind), &target.namespace, name);
    let found = found.ok_or_else(|| ApiError::not_found(target.kind, name))?;
    Ok(json(200, &form.object(target.kind, &found)))
}

/// A list, or a page of one.
pub(super) async fn list(
    served: &Served,
    target: &Target,
    query: &Query,
    form: Form,
) -> Result<Answer, ApiError> {
    let selection = Selection::of(target, query)?;
    let page = Page::of(query)?;
    let snapshot = page.snapshot(&served.store, target).await?;
    let revision = snapshot.revision;
    let mut objects: Vec<Object> = snapshot.objects;
    objects.retain(|object| page.comes_after(object) && selection.matches(object));
    let mut meta = serde_json::json!({"resourceVersion": revision.to_string()});
    if let Some(limit) = page.limit.filter(|limit| *limit < objects.len()) {
        let left = objects.split_off(limit).len();
        let last = objects.last().expect("a limit is at least one");
        meta["continue"] =
            format!("{revision}:{}/{}", object::namespace(last), object::name(last)).into();
        // Kubernetes counts only where it need not look at each.
        if selection.is_everything() {
            meta["remainingItemCount"] = left.into();
        }
    }
    let objects: Vec<&serde_json::Value> = objects.iter().map(AsRef::as_ref).collect();
    Ok(json(200, &form.list(target.kind, &objects, meta)))
}

/// Which part of a list is asked for, and of when.
struct Page {
    limit: Option<usize>,
    /// The revision and the object after which it goes on.
    after: Option<(u64, String, String)>,
    at: At,
}

/// Of when a list is.
enum At {
    Now,
    NotOlderThan(u64),
    Exactly(u64),
}

impl Page {
    fn of(query: &Query) -> Result<Self, ApiError> {
        let limit = query
            .number("limit")
            .filter(|limit| *limit > 0)
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let token = query.text("continue");
        let after = match token {
            "" => None,
            token => Some(
                read_token(token)
                    .ok_or_else(|| ApiError::bad_request("continue key is not valid"))?,
            ),
        };
        let at = match (revision_of(query)?, query.text("resourceVersionMatch")) {
            (None | Some(0), "Exact") => {
                return Err(ApiError::bad_request(
                    "resourceVersionMatch Exact needs a resourceVersion",
                ));
            }
            (None | Some(0), _) => At::Now,
            (Some(revision), "Exact") => At::Exactly(revision),
            (Some(revision), _) => At::NotOlderThan(revision),
        };
        Ok(Self { limit, after, at })
    }

    async fn snapshot(&self, store: &Store, target: &Target) -> Result<Snapshot, ApiError> {
        let at = match (&self.after, &self.at) {
            (Some((revision, ..)), _) | (None, At::Exactly(revision)) => Some(*revision),
            _ => None,
        };
        match (at, &self.at) {
            (Some(revision), _) | (None, &At::NotOlderThan(revision)) => {
                reach(store, revision).await?
            }
            _ => {}
        }
        store.snapshot(stored(target.kind), target.scope(), at).map_err(|error| match self.after {
            Some(_) => ApiError::expired(
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without \
                 the continue parameter.",
            ),
            None => ApiError::expired(error.to_string()),
        })
    }

    fn comes_after(&self, object: &serde_json::Value) -> bool {
        let place = (object::namespace(object), object::name(object));
        self.after
            .as_ref()
            .is_none_or(|(_, namespace, name)| place > (namespace.as_str(), name.as_str()))
    }
}

fn read_token(token: &str) -> Option<(u64, String, String)> {
    let (revision, place) = token.split_once(':')?;
    let (namespace, name) = place.split_once('/')?;
    Some((revision.parse().ok()?, namespace.to_owned(), name.to_owned()))
}

/// The revision that a client names; `None` where it names none.
pub(super) fn revision_of(query: &Query) -> Result<Option<u64>, ApiError> {
    match query.text("resourceVersion") {
        "" => Ok(None),
        text => {
            let why = || {
                ApiError::bad_request(format!(
                    "Invalid value: \"{text}\": resourceVersion is not a number"
                ))
            };
            text.parse().map(Some).map_err(|_| why())
        }
    }
}

/// Waits for a revision that is still to come, for some time.
async fn reach(store: &Store, revision: u64) -> Result<(), ApiError> {
    let deadline = tokio::time::Instant::now() + WAIT_FOR_REVISION;
    while store.revision() < revision {
        if tokio::time::Instant::now() >= deadline {
            let now = store.revision();
            let mut error = ApiError::new(
                504,
                "Timeout",
                format!("Too large resource version: {revision}, current: {now}"),
            );
            error.details = serde_json::json!({"retryAfterSeconds": 1,
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]});
            return Err(error);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

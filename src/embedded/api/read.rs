//! Reading: one object, or a list of them.

use serde_json::{Value, json as object};

use super::ApiError;
use super::form::Form;
use super::query::Query;
use super::respond::{Answer, json};
use super::served::Served;
use super::target::Target;
use crate::embedded::store::{FieldSelector, LabelSelector};

#[derive(Clone, Debug)]
pub(super) struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selection {
    pub(super) fn of(target: &Target, query: &Query) -> Result<Self, ApiError> {
        // A watch of one object is a watch of the collection, for one name.
        let fields = match &target.name {
            Some(name) => format!("metadata.name={name}"),
            None => query.text("fieldSelector").to_owned(),
        };
        let labels = LabelSelector::parse(query.text("labelSelector"));
        Ok(Self {
            labels: labels.map_err(ApiError::bad_request)?,
            fields: FieldSelector::parse(&fields, target.kind).map_err(ApiError::bad_request)?,
        })
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(&object["metadata"]["labels"]) && self.fields.matches(object)
    }
}

pub(super) fn get(
    served: &Served,
    target: &Target,
    name: &str,
    form: Form,
) -> Result<Answer, ApiError> {
    let found = served.store.get(target.kind, &target.namespace, name);
    let found = found.ok_or_else(|| ApiError::not_found(target.kind, name))?;
    Ok(json(200, &form.object(target.kind, &found)))
}

/// All of a list: a server need not split one because a client sets a `limit`.
pub(super) fn list(
    served: &Served,
    target: &Target,
    query: &Query,
    form: Form,
) -> Result<Answer, ApiError> {
    let selection = Selection::of(target, query)?;
    let now = served.store.snapshot(target.kind, target.scope());
    let selected = now.objects.iter().map(AsRef::as_ref).filter(|object| selection.matches(object));
    let meta = object!({"resourceVersion": now.revision.to_string()});
    Ok(json(200, &form.list(target.kind, &selected.collect::<Vec<_>>(), meta)))
}

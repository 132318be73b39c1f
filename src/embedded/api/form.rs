//! In which form a client wants its answer.

use serde_json::{Value, json};

use super::ApiError;
use super::table::{self, Include, metadata};
use crate::embedded::store::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    /// As rows for people.
    Table(Include),
    Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bookmark {
    /// Every object that was there has been sent.
    InitialEventsEnd,
    Progress,
}

impl Form {
    /// The first that we have of those that a client names.
    pub(super) fn of(accept: &str, include: &str) -> Result<Self, ApiError> {
        if accept.trim().is_empty() {
            return Ok(Self::Plain);
        }
        let form = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let json = ["application/json", "application/*", "*/*"]
                .contains(&parts.next().unwrap_or_default());
            let wants: Vec<&str> = parts
                .filter(|part| !part.starts_with("q=") && !part.starts_with("charset="))
                .collect();
            let wanted = |what: &str| wants.contains(&what);
            match (
                json,
                wanted("as=Table"),
                wanted("as=PartialObjectMetadata") || wanted("as=PartialObjectMetadataList"),
            ) {
                (true, true, _) if wanted("v=v1") => Some(Self::Table(Include::of(include))),
                (true, _, true) if wanted("v=v1") => Some(Self::Metadata),
                (true, false, false) => Some(Self::Plain),
                _ => None,
            }
        };
        accept.split(',').find_map(form).ok_or_else(|| {
            ApiError::new(
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json",
            )
        })
    }

    pub(super) fn object(self, kind: &'static Kind, object: &Value) -> Value {
        match self {
            Self::Plain => object.clone(),
            Self::Table(include) => table::table(
                kind,
                &[object],
                json!({"resourceVersion": object["metadata"]["resourceVersion"]}),
                include,
            ),
            Self::Metadata => metadata(object),
        }
    }

    pub(super) fn list(self, kind: &'static Kind, objects: &[&Value], meta: Value) -> Value {
        match self {
            Self::Plain => {
                json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(),
                    "metadata": meta, "items": objects})
            }
            Self::Table(include) => table::table(kind, objects, meta, include),
            Self::Metadata => {
                let items: Vec<Value> = objects.iter().map(|object| metadata(object)).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": meta, "items": items})
            }
        }
    }

    /// What a watch says when it has nothing to say: only how far it is.
    pub(super) fn bookmark(self, kind: &'static Kind, revision: u64, of: Bookmark) -> Value {
        let mut meta = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if of == Bookmark::InitialEventsEnd {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        match self {
            Self::Plain => {
                json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": meta})
            }
            Self::Table(include) => table::table(kind, &[], meta, include),
            Self::Metadata => metadata(&json!({"metadata": meta})),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_we_have_counts() {
        let of = |accept: &str| Form::of(accept, "").ok();
        let table = Some(Form::Table(Include::Metadata));
        assert_eq!(of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), table);
        assert_eq!(
            of("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            Some(Form::Plain)
        );
        assert_eq!(of("application/vnd.kubernetes.protobuf, application/json"), Some(Form::Plain));
        assert_eq!(of(""), Some(Form::Plain));
        assert_eq!(of("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(
            of("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"),
            Some(Form::Metadata)
        );
    }
}

//! What the API refuses, as Kubernetes' `Status`.

use serde_json::{Value, json};

use crate::embedded::store::{Cause, Kind, StoreError};

/// A refusal. Becomes a `Status` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub code: u16,
    /// Kubernetes' word for it, such as `NotFound`.
    pub reason: &'static str,
    pub message: String,
    /// What it is about, as `Status.details` has it; null where there is nothing.
    pub details: Value,
}

impl ApiError {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 404: no such object.
    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified())).about(
            kind.plural,
            kind,
            name,
        )
    }

    /// 404: no such path.
    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 409: one of that name is there.
    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified()))
            .about(kind.plural, kind, name)
    }

    /// 409: the writer's picture of the object is old.
    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified());
        Self::new(409, "Conflict", message).about(kind.plural, kind, name)
    }

    /// 422: the object can't be. `causes` are all that is wrong with it.
    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let text = |cause: &Cause| format!("{}: {}", cause.field, cause.message);
        let texts: Vec<String> = causes.iter().map(text).collect();
        let list =
            if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(", ")) };
        let qualified = if kind.group.is_empty() {
            kind.kind.to_owned()
        } else {
            format!("{}.{}", kind.kind, kind.group)
        };
        let mut error =
            Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {list}"))
                .about(kind.kind, kind, name);
        let cause = |cause: &Cause| json!({"message": cause.message, "field": cause.field});
        error.details["causes"] = causes.iter().map(cause).collect();
        error
    }

    /// 403: not allowed.
    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.qualified());
        Self::new(403, "Forbidden", message).about(kind.plural, kind, name)
    }

    /// 400: the request is not understood.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 405: the server does not do this here.
    pub(crate) fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(405, "MethodNotAllowed", message)
    }

    /// 410: the revision is too old to be known.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// What the store says about an object.
    pub(crate) fn of_store(error: StoreError, kind: &Kind, name: &str) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(kind, name),
            StoreError::AlreadyExists => Self::already_exists(kind, name),
            StoreError::Conflict { why } => Self::conflict(kind, name, &why),
            expired @ StoreError::Expired { .. } => Self::expired(expired.to_string()),
        }
    }

    /// The object that goes over the wire.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code});
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    fn about(mut self, what: &str, kind: &Kind, name: &str) -> Self {
        self.details = json!({"name": name, "kind": what});
        if !kind.group.is_empty() {
            self.details["group"] = kind.group.into();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::store::kinds::{DEPLOYMENTS, PODS};

    #[test]
    fn the_words_are_kubernetes_own() {
        assert_eq!(
            ApiError::not_found(&DEPLOYMENTS, "web").message,
            "deployments.apps \"web\" not found"
        );
        let cause = Cause::new("metadata.name", "Required value: name or generateName is required");
        let invalid = ApiError::invalid(&PODS, "", &[cause]).status();
        assert_eq!(
            invalid["message"],
            "Pod \"\" is invalid: metadata.name: Required value: name or generateName is required"
        );
        assert_eq!(
            (&invalid["code"], &invalid["details"]["causes"][0]["field"]),
            (&422.into(), &"metadata.name".into())
        );
        assert_eq!(ApiError::no_such_path().status().get("details"), None);
    }
}

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

pub(super) fn is_dry(query: &Query) -> Result<bool, ApiError> {
    match query.text("dryRun") {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(ApiError::bad_request(format!(
            "Invalid value: \"{other}\": dryRun is All or nothing"
        ))),
    }
}

pub(super) struct Write<'a> {
    served: &'a Served,
    target: &'a Target,
    kind: &'static Kind,
    dry: bool,
}

impl<'a> Write<'a> {
    pub(super) fn new(
        served: &'a Served,
        target: &'a Target,
        query: &Query,
    ) -> Result<Self, ApiError> {
        Ok(Self { served, target, kind: target.kind, dry: is_dry(query)? })
    }

    fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    pub(super) fn create(&self, sent: Value) -> Result<Object, ApiError> {
        let &Self { served, kind, .. } = self;
        let mut new = as_stored(self.target, sent)?;
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
        self.complete(&mut new, None)?;
        let name = object::name(&new).to_owned();
        let exists = || ApiError::already_exists(kind, &name);
        if !self.dry {
            return served.store.create(kind, new, Writer::Client).map_err(|_| exists());
        }
        match served.store.get(kind, &self.target.namespace, &name) {
            Some(_) => Err(exists()),
            None => Ok(self.shown(new)),
        }
    }

    /// Puts an object in the place of the one that is there.
    pub(super) fn replace(&self, sent: Value) -> Result<Object, ApiError> {
        let new = as_stored(self.target, sent)?;
        let (sent, named) = (object::name(&new), self.name());
        if sent != named {
            return Err(ApiError::bad_request(format!(
                "the name of the object ({sent}) does not match the name on the URL ({named})"
            )));
        }
        self.change(|_| Ok(new.clone()))
    }

    /// Changes an object. One that is applied and not there is made.
    pub(super) fn patch(&self, patch: &Patch) -> Result<Object, ApiError> {
        // What is not stored under this name is another object.
        let named = |mut object: Value| {
            object::meta_mut(&mut object).insert("name".to_owned(), self.name().into());
            object
        };
        let changed = self.change(|before| as_stored(self.target, named(patch.apply(before)?)));
        match (changed, patch.creates()) {
            (Err(error), Some(applied)) if error.code == 404 => self.create(named(applied.clone())),
            (changed, _) => changed,
        }
    }

    /// Changes an object, from what it is to what `new` makes of it; anew when somebody else was
    /// faster.
    pub(super) fn change(
        &self,
        new: impl Fn(&Value) -> Result<Value, ApiError>,
    ) -> Result<Object, ApiError> {
        let (&Self { served, kind, .. }, name) = (self, self.name());
        let namespace = self.target.namespace.as_str();
        for _ in 0..TRIES {
            let found = served.store.get(kind, namespace, name);
            let before = found.ok_or_else(|| ApiError::not_found(kind, name))?;
            let mut new = new(&before)?;
            let meta = |field| object::meta(&new, field);
            check_preconditions(kind, name, &before, meta("uid"), meta("resourceVersion"))?;
            keep_what_is_not_the_clients(kind, &before, &mut new);
            self.complete(&mut new, Some(&before))?;
            if self.dry {
                return Ok(self.shown(new));
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

    /// Fills in what a client leaves out, and checks the whole.
    fn complete(&self, new: &mut Value, before: Option<&Value>) -> Result<(), ApiError> {
        defaults::fill_in(self.kind, new);
        self.served.hooks.admit(self.kind, new)?;
        validate::check(self.kind, new, before)
    }

    fn shown(&self, mut new: Value) -> Object {
        object::set_type(&mut new, self.kind);
        new.into()
    }
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
    if kind.has_status {
        match before.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => drop(object::as_map(new).shift_remove("status")),
        }
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        object::keep(new, before, "metadata", field);
    }
    if kind == &kinds::SERVICES && new["spec"]["clusterIP"].is_null() {
        for field in ["clusterIP", "clusterIPs"] {
            object::keep(new, before, "spec", field);
        }
    }
}

//! The store's content and its rules, without the lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::object::{self, Object};
use super::{Kind, StoreError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Somebody through the API: kubectl, or this program's own client.
    Client,
    /// The embedded cluster's own controllers and kubelets.
    Controller,
}

#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub revision: u64,
    pub kind: &'static Kind,
    pub by: Writer,
    /// The object before; `None` when it is new.
    pub before: Option<Object>,
    /// The object since; `None` when it is gone.
    pub after: Option<Object>,
}

/// All objects of a kind at one revision.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub revision: u64,
    /// By namespace and name.
    pub objects: Vec<Object>,
}

/// Namespace (empty for what lies in none) and name.
type Place = (String, String);
type ByPlace = BTreeMap<Place, Object>;

#[derive(Debug)]
pub(super) struct State {
    revision: u64,
    objects: BTreeMap<&'static str, ByPlace>,
    history: VecDeque<Change>,
    /// By kind, the newest write that history has forgotten: who knows of that one misses nothing.
    forgotten: BTreeMap<&'static str, u64>,
    kept: usize,
}

fn place(namespace: &str, name: &str) -> Place {
    (namespace.to_owned(), name.to_owned())
}

impl State {
    /// An empty store that remembers its last `kept` writes.
    pub(super) fn new(kept: usize) -> Self {
        // A resourceVersion of 0 means "any" to clients: none is ever at it.
        Self {
            revision: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: BTreeMap::new(),
            kept,
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(kind.plural)?.get(&place(namespace, name))
    }

    pub(super) fn snapshot(&self, kind: &Kind, namespace: Option<&str>) -> Snapshot {
        let all = self.objects.get(kind.plural).into_iter().flatten();
        let wanted = all.filter(|(place, _)| namespace.is_none_or(|wanted| place.0 == wanted));
        let objects = wanted.map(|(_, object)| object.clone()).collect();
        Snapshot { revision: self.revision, objects }
    }

    /// All writes after a revision (to one kind of objects).
    pub(super) fn changes(
        &self,
        kind: Option<&Kind>,
        after: u64,
    ) -> Result<Vec<Change>, StoreError> {
        self.check_known(kind, after)?;
        let wanted = |change: &&Change| kind.is_none_or(|kind| change.kind.plural == kind.plural);
        Ok(self.since(after).filter(wanted).cloned().collect())
    }

    /// Whether history has everything that happened after a revision (to one kind of objects).
    fn check_known(&self, kind: Option<&Kind>, after: u64) -> Result<(), StoreError> {
        let forgotten = match kind {
            Some(kind) => self.forgotten.get(kind.plural),
            None => self.forgotten.values().max(),
        };
        match forgotten.copied().unwrap_or(0) {
            oldest if after < oldest => Err(StoreError::Expired { asked: after, oldest }),
            _ => Ok(()),
        }
    }

    fn since(&self, revision: u64) -> impl Iterator<Item = &Change> {
        let first = self.history.partition_point(|change| change.revision <= revision);
        self.history.range(first..)
    }

    /// Takes a new object. Gives it what only the store can: type, uid, time, generation, revision.
    pub(super) fn create(
        &mut self,
        kind: &'static Kind,
        mut new: Value,
        by: Writer,
    ) -> Result<Object, StoreError> {
        if self.get(kind, object::namespace(&new), object::name(&new)).is_some() {
            return Err(StoreError::AlreadyExists);
        }
        object::set_type(&mut new, kind);
        object::meta_mut(&mut new).remove("deletionTimestamp");
        new["metadata"]["uid"] = object::new_uid(self.revision).into();
        new["metadata"]["creationTimestamp"] = object::timestamp(jiff::Timestamp::now()).into();
        if kind.has_generation {
            new["metadata"]["generation"] = 1.into();
        }
        Ok(self.write(kind, None, new, by))
    }

    /// Puts an object in another's place, which keeps what only the store gives. Nothing is written
    /// where nothing changed.
    pub(super) fn replace(
        &mut self,
        kind: &'static Kind,
        before: Object,
        mut new: Value,
        by: Writer,
    ) -> Object {
        object::set_type(&mut new, kind);
        for field in
            ["name", "namespace", "uid", "creationTimestamp", "generation", "resourceVersion"]
        {
            object::keep(&mut new, &before, "metadata", field);
        }
        // A deletion is never undone.
        if !object::is_deleted(&new) {
            object::keep(&mut new, &before, "metadata", "deletionTimestamp");
            object::keep(&mut new, &before, "metadata", "deletionGracePeriodSeconds");
        }
        if new == *before {
            return before;
        }
        let changed = request(&new) != request(&before)
            || object::is_deleted(&new) != object::is_deleted(&before);
        if kind.has_generation && changed {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(0);
            new["metadata"]["generation"] = (generation + 1).into();
        }
        self.write(kind, Some(before), new, by)
    }

    pub(super) fn remove(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        by: Writer,
    ) -> Option<Object> {
        let before = self.objects.get_mut(kind.plural)?.remove(&place(namespace, name))?;
        self.revision += 1;
        self.remember(kind, by, Some(before.clone()), None);
        Some(before)
    }

    fn write(
        &mut self,
        kind: &'static Kind,
        before: Option<Object>,
        mut new: Value,
        by: Writer,
    ) -> Object {
        self.revision += 1;
        object::meta_mut(&mut new)
            .insert("resourceVersion".into(), self.revision.to_string().into());
        let place = place(object::namespace(&new), object::name(&new));
        let new = Arc::new(new);
        self.objects.entry(kind.plural).or_default().insert(place, new.clone());
        self.remember(kind, by, before, Some(new.clone()));
        new
    }

    fn remember(
        &mut self,
        kind: &'static Kind,
        by: Writer,
        before: Option<Object>,
        after: Option<Object>,
    ) {
        let revision = self.revision;
        self.history.push_back(Change { revision, kind, by, before, after });
        if self.history.len() > self.kept
            && let Some(forgotten) = self.history.pop_front()
        {
            self.forgotten.insert(forgotten.kind.plural, forgotten.revision);
        }
    }
}

/// What of an object is a request of its owner: everything but metadata and status.
fn request(object: &Value) -> Vec<(&String, &Value)> {
    let members = object.as_object().into_iter().flatten();
    members
        .filter(|(field, _)| {
            !["metadata", "status", "apiVersion", "kind"].contains(&field.as_str())
        })
        .collect()
}

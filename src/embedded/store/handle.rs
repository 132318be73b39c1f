//! The store as everybody holds it.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::watch;

use super::object::{self, Object};
use super::state::{Change, Snapshot, State, Writer};
use super::{Kind, StoreError};

/// How many writes are remembered. Three nodes that beat every second write six times a second:
/// this is some minutes, as etcd's compaction (5 min) leaves a real API server.
const KEPT: usize = 2048;

/// All objects of the embedded cluster. Cheap to clone; may be used from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// The newest revision, for those who wait.
    newest: watch::Sender<u64>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    pub(crate) fn new() -> Self {
        Self::remembering(KEPT)
    }

    /// An empty store that remembers its last `kept` writes: who is further behind gets
    /// [`StoreError::Expired`].
    pub(crate) fn remembering(kept: usize) -> Self {
        let state = State::new(kept);
        let newest = watch::Sender::new(state.revision());
        Self(Arc::new(Inner { state: Mutex::new(state), newest }))
    }

    pub(crate) fn revision(&self) -> u64 {
        self.state().revision()
    }

    /// An object; `namespace` is empty for what lies in none.
    pub(crate) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Object> {
        self.state().get(kind, namespace, name).cloned()
    }

    pub(crate) fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Object> {
        self.snapshot(kind, namespace).objects
    }

    /// The same, with the revision at which they are so.
    pub(crate) fn snapshot(&self, kind: &Kind, namespace: Option<&str>) -> Snapshot {
        self.state().snapshot(kind, namespace)
    }

    /// Takes a new object, whose metadata has its name and its namespace. uid, creationTimestamp,
    /// generation and resourceVersion are the store's. Errors when it exists.
    pub(crate) fn create(
        &self,
        kind: &'static Kind,
        object: Value,
        by: Writer,
    ) -> Result<Object, StoreError> {
        self.write(|state| state.create(kind, object, by))
    }

    /// Changes an object with nobody in between: `change` sees it as it is. Errors with
    /// [`StoreError::NotFound`] when it is not there, and with `change`'s error, in which case
    /// nothing is written.
    pub(crate) fn update<E: From<StoreError>>(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        by: Writer,
        change: impl FnOnce(&mut Value) -> Result<(), E>,
    ) -> Result<Object, E> {
        self.write(|state| {
            let before = state.get(kind, namespace, name).cloned().ok_or(StoreError::NotFound)?;
            let mut new = Value::clone(&before);
            change(&mut new)?;
            Ok(state.replace(kind, before, new, by))
        })
    }

    /// For controllers: makes an object, or puts it in the place of the one that is there.
    pub(crate) fn put(&self, kind: &'static Kind, object: Value) -> Object {
        self.write(|state| {
            match state.get(kind, object::namespace(&object), object::name(&object)).cloned() {
                Some(before) => state.replace(kind, before, object, Writer::Controller),
                None => state.create(kind, object, Writer::Controller).expect("it is not there"),
            }
        })
    }

    /// For controllers: changes an object that is there with nobody in between. `None` when it is
    /// not.
    pub(crate) fn modify(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<Object> {
        let change = |object: &mut Value| {
            change(object);
            Ok::<(), StoreError>(())
        };
        self.update(kind, namespace, name, Writer::Controller, change).ok()
    }

    /// For controllers: puts a status in the place of the one that is there. `None` when the object
    /// is not there.
    pub(crate) fn update_status(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        status: Value,
    ) -> Option<Object> {
        self.modify(kind, namespace, name, |object| {
            object::as_map(object).insert("status".to_owned(), status);
        })
    }

    /// For controllers: takes an object away immediately, whatever its finalizers say, and gives it
    /// as it was.
    pub(crate) fn remove(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Object> {
        self.write(|state| state.remove(kind, namespace, name, Writer::Controller))
    }

    /// Takes an object away if `check` lets it go, with nobody in between. Errors with
    /// [`StoreError::NotFound`] when it is not there, and with `check`'s error.
    pub(crate) fn remove_if<E: From<StoreError>>(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        by: Writer,
        check: impl FnOnce(&Value) -> Result<(), E>,
    ) -> Result<Object, E> {
        self.write(|state| {
            check(state.get(kind, namespace, name).ok_or(StoreError::NotFound)?)?;
            Ok(state.remove(kind, namespace, name, by).ok_or(StoreError::NotFound)?)
        })
    }

    /// All writes after a revision, as they come. One that begins at a [`Snapshot`]'s revision
    /// misses nothing and doubles nothing.
    pub(crate) fn follow(&self, after: u64) -> Feed {
        self.feed(None, after)
    }

    /// All writes to one kind of objects after a revision, as they come.
    pub(crate) fn follow_kind(&self, kind: &'static Kind, after: u64) -> Feed {
        self.feed(Some(kind), after)
    }

    fn feed(&self, kind: Option<&'static Kind>, after: u64) -> Feed {
        Feed { store: self.clone(), kind, after, newest: self.0.newest.subscribe() }
    }

    /// What is known after a revision, and the revision up to which that is all.
    fn changes(&self, kind: Option<&Kind>, after: u64) -> Result<(Vec<Change>, u64), StoreError> {
        let state = self.state();
        Ok((state.changes(kind, after)?, state.revision()))
    }

    /// Reads and writes with nobody in between, then wakes those who wait.
    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let written = write(&mut state);
        let newest = state.revision();
        drop(state);
        self.0
            .newest
            .send_if_modified(|known| newest > std::mem::replace(known, newest.max(*known)));
        written
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves the content whole: every write is one insertion.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// All writes after a revision (to one kind of objects), as they come. There is no queue: who
/// follows reads the store's history at their own pace.
#[derive(Debug)]
pub(crate) struct Feed {
    store: Store,
    kind: Option<&'static Kind>,
    after: u64,
    newest: watch::Receiver<u64>,
}

impl Feed {
    /// The next writes: at least one, and all that are known. May be dropped and called again:
    /// nothing is lost. Errors with [`StoreError::Expired`] when it is too far behind: list again,
    /// and follow from there.
    pub(crate) async fn next(&mut self) -> Result<Vec<Change>, StoreError> {
        loop {
            self.newest.mark_unchanged();
            let (changes, newest) = self.store.changes(self.kind, self.after)?;
            // A client may name a revision that is still to come.
            self.after = self.after.max(newest);
            if !changes.is_empty() {
                return Ok(changes);
            }
            // The sender lives as long as the store that is held here.
            let _ = self.newest.changed().await;
        }
    }

    /// The revision up to which everything was given.
    pub(crate) fn at(&self) -> u64 {
        self.after
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::{CONFIG_MAPS, DEPLOYMENTS, LEASES};
    use super::*;

    fn object(name: &str, value: u64) -> Value {
        json!({"metadata": {"name": name, "namespace": "n"}, "data": {"value": value.to_string()}})
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.objects.iter().map(|object| object::name(object)).collect()
    }

    #[test]
    fn the_store_gives_what_only_it_can_and_writes_only_changes() {
        let store = Store::new();
        let made = store.create(
            &DEPLOYMENTS,
            json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"replicas": 1}}),
            Writer::Client,
        );
        let made = made.unwrap();
        assert_eq!(
            (object::revision(&made), &made["kind"], &made["metadata"]["generation"]),
            (2, &"Deployment".into(), &1.into())
        );
        let again = store.create(
            &DEPLOYMENTS,
            json!({"metadata": {"name": "web", "namespace": "n"}}),
            Writer::Client,
        );
        assert_eq!(again.unwrap_err(), StoreError::AlreadyExists);
        let status = store.update_status(&DEPLOYMENTS, "n", "web", json!({"replicas": 1})).unwrap();
        assert_eq!((object::revision(&status), &status["metadata"]["generation"]), (3, &1.into()));
        let same = store.update_status(&DEPLOYMENTS, "n", "web", json!({"replicas": 1})).unwrap();
        assert_eq!(object::revision(&same), 3);
        let scaled = store
            .modify(&DEPLOYMENTS, "n", "web", |web| web["spec"]["replicas"] = 2.into())
            .unwrap();
        assert_eq!((object::revision(&scaled), &scaled["metadata"]["generation"]), (4, &2.into()));
        let robbed = store
            .modify(&DEPLOYMENTS, "n", "web", |web| web["metadata"] = json!({"labels": {"a": "b"}}))
            .unwrap();
        assert_eq!((object::uid(&robbed), object::name(&robbed)), (object::uid(&made), "web"));
        assert!(store.modify(&DEPLOYMENTS, "n", "other", |_| {}).is_none());
        store.modify(&DEPLOYMENTS, "n", "web", |web| {
            web["metadata"]["deletionTimestamp"] = "2026-11-22T06:23:41Z".into()
        });
        let put = store.put(&DEPLOYMENTS, json!({"metadata": {"name": "web", "namespace": "n"}}));
        assert!(object::is_deleted(&put), "a deletion is never undone");
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let store = Store::new();
        store.put(&CONFIG_MAPS, object("a", 1));
        let refused: Result<_, StoreError> =
            store.update(&CONFIG_MAPS, "n", "a", Writer::Client, |now| {
                now["data"]["value"] = "2".into();
                Err(StoreError::Conflict { why: "no".into() })
            });
        assert!(refused.is_err());
        assert_eq!(
            (store.revision(), &store.get(&CONFIG_MAPS, "n", "a").unwrap()["data"]["value"]),
            (2, &"1".into())
        );
    }

    #[test]
    fn a_snapshot_is_of_one_kind_and_namespace() {
        let store = Store::new();
        store.put(&CONFIG_MAPS, object("b", 1));
        store.put(&CONFIG_MAPS, object("a", 2));
        store.put(&LEASES, object("c", 1));
        let now = store.snapshot(&CONFIG_MAPS, Some("n"));
        assert_eq!((now.revision, names(&now)), (store.revision(), vec!["a", "b"]));
        assert!(store.list(&CONFIG_MAPS, Some("other")).is_empty());
    }

    #[tokio::test]
    async fn what_is_forgotten_is_reported_and_only_where_it_matters() {
        let store = Store::remembering(3);
        store.put(&CONFIG_MAPS, object("a", 1));
        let after_a = store.revision();
        for value in 0..10 {
            store.put(&LEASES, object("a", value));
        }
        let expired = |result: Result<Vec<Change>, StoreError>| {
            matches!(result, Err(StoreError::Expired { .. }))
        };
        assert!(expired(store.follow(after_a).next().await));
        assert!(expired(store.follow_kind(&CONFIG_MAPS, after_a - 1).next().await));
        assert!(expired(store.follow_kind(&LEASES, after_a).next().await));
        store.put(&CONFIG_MAPS, object("b", 1));
        let since = store.follow_kind(&CONFIG_MAPS, after_a).next().await;
        assert_eq!(since.unwrap().len(), 1, "nothing else happened to them since");
    }

    #[tokio::test]
    async fn a_feed_waits_for_its_kind_and_loses_nothing() {
        let store = Store::new();
        let mut feed = store.follow_kind(&CONFIG_MAPS, store.revision());
        let writer = store.clone();
        let write = tokio::spawn(async move {
            for value in 0..100 {
                writer.put(&LEASES, object("a", value));
                writer.put(&CONFIG_MAPS, object("a", value));
                tokio::task::yield_now().await;
            }
        });
        let mut seen = Vec::new();
        while seen.len() < 100 {
            let changes = feed.next().await.unwrap();
            seen.extend(changes.iter().map(|change| {
                change.after.as_ref().unwrap()["data"]["value"].as_str().unwrap().to_owned()
            }));
        }
        write.await.unwrap();
        assert_eq!(seen, (0..100).map(|value: u64| value.to_string()).collect::<Vec<_>>());
    }
}

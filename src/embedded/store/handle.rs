//! The store as everybody holds it.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::watch;

use super::feed::Feed;
use super::object::{self, Object};
use super::state::{Change, Snapshot, State, Writer};
use super::{Kind, StoreError};

/// How many writes are remembered. Three nodes that beat every second write six times a second: this is some minutes, as etcd's
/// compaction (5 min) leaves a real API server.
const KEPT: usize = 2048;

/// All objects of the embedded cluster. Cheap to clone; may be used from any thread.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

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
    /// An empty store.
    pub fn new() -> Self {
        Self::remembering(KEPT)
    }

    /// An empty store that remembers its last `kept` writes: who is further behind gets [`StoreError::Expired`].
    pub fn remembering(kept: usize) -> Self {
        let state = State::new(kept);
        let newest = watch::Sender::new(state.revision());
        Self(Arc::new(Inner { state: Mutex::new(state), newest }))
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.state().revision()
    }

    /// An object; `namespace` is empty for what lies in none.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Object> {
        self.state().get(kind, namespace, name).cloned()
    }

    /// All objects of a kind (of one namespace), by namespace and name.
    pub fn list(&self, kind: &Kind, namespace: Option<&str>) -> Vec<Object> {
        self.state().snapshot(kind, namespace, None).expect("the newest revision is always known").objects
    }

    /// All objects of a kind as they are, or as they were at a revision (one that is still to come counts as the newest). Errors
    /// with [`StoreError::Expired`] when it is too old.
    pub fn snapshot(&self, kind: &Kind, namespace: Option<&str>, at: Option<u64>) -> Result<Snapshot, StoreError> {
        self.state().snapshot(kind, namespace, at)
    }

    /// Takes a new object, whose metadata has its name and its namespace. uid, creationTimestamp, generation and resourceVersion are
    /// the store's. Errors when it exists.
    pub fn create(&self, kind: &'static Kind, object: Value, by: Writer) -> Result<Object, StoreError> {
        self.write(|state| state.create(kind, object, by))
    }

    /// Changes an object with nobody in between: `change` sees it as it is. Errors with [`StoreError::NotFound`] when it is not
    /// there, and with `change`'s error, in which case nothing is written.
    pub fn update<E: From<StoreError>>(
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
    pub fn put(&self, kind: &'static Kind, object: Value) -> Object {
        self.write(|state| match state.get(kind, object::namespace(&object), object::name(&object)).cloned() {
            Some(before) => state.replace(kind, before, object, Writer::Controller),
            None => state.create(kind, object, Writer::Controller).expect("it is not there"),
        })
    }

    /// For controllers: changes an object that is there with nobody in between. `None` when it is not.
    pub fn modify(&self, kind: &'static Kind, namespace: &str, name: &str, change: impl FnOnce(&mut Value)) -> Option<Object> {
        let change = |object: &mut Value| {
            change(object);
            Ok::<(), StoreError>(())
        };
        self.update(kind, namespace, name, Writer::Controller, change).ok()
    }

    /// For controllers: puts a status in the place of the one that is there. `None` when the object is not there.
    pub fn update_status(&self, kind: &'static Kind, namespace: &str, name: &str, status: Value) -> Option<Object> {
        self.modify(kind, namespace, name, |object| {
            object::as_map(object).insert("status".to_owned(), status);
        })
    }

    /// For controllers: takes an object away at once, whatever its finalizers say, and gives it as it was.
    pub fn remove(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Object> {
        self.write(|state| state.remove(kind, namespace, name, Writer::Controller))
    }

    /// Takes an object away if `check` lets it go, with nobody in between. Errors with [`StoreError::NotFound`] when it is not there, and
    /// with `check`'s error.
    pub fn remove_if<E: From<StoreError>>(
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

    /// All writes after a revision, as they come. One that begins at a [`Snapshot`]'s revision misses nothing and doubles nothing.
    pub fn follow(&self, after: u64) -> Feed {
        Feed::new(self.clone(), None, after, self.0.newest.subscribe())
    }

    /// All writes to one kind of objects after a revision, as they come.
    pub fn follow_kind(&self, kind: &'static Kind, after: u64) -> Feed {
        Feed::new(self.clone(), Some(kind), after, self.0.newest.subscribe())
    }

    /// What is known after a revision, and the revision up to which that is all.
    pub(super) fn changes(&self, kind: Option<&Kind>, after: u64) -> Result<(Vec<Change>, u64), StoreError> {
        let state = self.state();
        Ok((state.changes(kind, after)?, state.revision()))
    }

    /// Reads and writes with nobody in between, then wakes those who wait.
    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let written = write(&mut state);
        let newest = state.revision();
        drop(state);
        self.0.newest.send_if_modified(|known| newest > std::mem::replace(known, newest.max(*known)));
        written
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves the content whole: every write is one insertion.
        self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

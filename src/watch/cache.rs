//! What a watch has reported last, so that only what is new is reported.

use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;

use kube::Resource;
use serde::de::DeserializeOwned;

use crate::timeline::{Change, Event};

/// One kind of object, and the rows that a timeline keeps of it.
pub(super) trait Watched: Send + Sync + 'static {
    type Object: Resource<DynamicType = ()>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + 'static;
    /// Whether it is news when an object is gone.
    const END_IS_NEWS: bool = true;

    fn rows(object: &Self::Object) -> Vec<Row>;
}

/// The same in another namespace than the run's own.
pub(super) struct Elsewhere<W>(PhantomData<W>);

impl<W: Watched> Watched for Elsewhere<W> {
    type Object = W::Object;
    const END_IS_NEWS: bool = W::END_IS_NEWS;

    fn rows(object: &W::Object) -> Vec<Row> {
        let namespace = object.meta().namespace.as_deref().unwrap_or_default();
        W::rows(object).into_iter().map(|row| row.elsewhere(namespace)).collect()
    }
}

/// What a timeline keeps of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its own over all objects of the watch. A key in two objects is one row (an endpoint may be
    /// in two slices).
    pub key: String,
    /// Which row counts when two objects have the key: the greater.
    pub rank: u8,
    /// How often it has happened, where it can happen again without a difference in its event.
    pub count: Option<i32>,
    /// Its record, as of a first list.
    pub event: Event,
}

impl Row {
    pub(super) fn new(key: String, event: Event) -> Self {
        Self { key, rank: 0, count: None, event }
    }

    /// As it is called where its namespace is not the run's own.
    fn elsewhere(mut self, namespace: &str) -> Self {
        match &mut self.event {
            Event::Endpoint { service: name, .. } | Event::Pod { pod: name, .. } => {
                *name = format!("{namespace}/{name}");
            }
            Event::KubeEvent { regarding, .. } => {
                *regarding = regarding.replacen('/', &format!("/{namespace}/"), 1);
            }
            _ => {}
        }
        self
    }
}

/// An object as far as a watch keeps it: of a large cluster whole objects would be too much.
pub(super) struct Seen {
    id: String,
    /// `None`: the server has not said.
    version: Option<u64>,
    rows: Vec<Row>,
}

impl Seen {
    pub(super) fn new<W: Watched>(object: &W::Object) -> Self {
        let version = object.meta().resource_version.as_deref().and_then(version_of);
        Self { id: id_of(object), version, rows: W::rows(object) }
    }
}

/// The rows that were reported last.
pub(super) struct WatchCache<W: Watched> {
    /// By key, each with the objects that have it.
    rows: HashMap<String, Vec<(String, Row)>>,
    /// By object, its keys.
    keys: HashMap<String, Vec<String>>,
    /// By object, the version at which it was seen last; of one that is gone, that of its end.
    /// Several servers report the same changes, each in its own time: what is not newer was
    /// reported before.
    versions: HashMap<String, u64>,
    watched: PhantomData<W>,
}

impl<W: Watched> WatchCache<W> {
    pub(super) fn new() -> Self {
        let (rows, keys, versions) = Default::default();
        Self { rows, keys, versions, watched: PhantomData }
    }

    /// Forgets which versions were seen: when nobody saw for a while, the next list is the truth,
    /// even where its versions are lower (a backup was restored).
    pub(super) fn forget_versions(&mut self) {
        self.versions.clear();
    }

    /// Takes an object as it is now and gives what that changes.
    pub(super) fn put(&mut self, object: &W::Object, change: Change) -> Vec<Event> {
        self.put_seen(Seen::new::<W>(object), change)
    }

    fn put_seen(&mut self, seen: Seen, change: Change) -> Vec<Event> {
        if !self.is_news(&seen, false) {
            return Vec::new();
        }
        self.update(&seen.id, seen.rows, change)
    }

    pub(super) fn remove(&mut self, object: &W::Object) -> Vec<Event> {
        let seen = Seen::new::<W>(object);
        if !self.is_news(&seen, true) {
            return Vec::new();
        }
        self.update(&seen.id, Vec::new(), Change::Deleted)
    }

    /// Whether an object is newer than what was seen of it. Its end may have the version of its
    /// last change. One without a version is.
    fn is_news(&mut self, seen: &Seen, ends: bool) -> bool {
        let Some(version) = seen.version else { return true };
        let known = self.versions.get(&seen.id).copied();
        let newer = known.is_none_or(|known| version > known || (ends && version == known));
        if newer {
            self.versions.insert(seen.id.clone(), version);
        }
        newer
    }

    /// Takes a whole list, of the version at which it holds, and gives what that changes: what the
    /// cache has and the list has not is deleted, unless the cache's is newer.
    pub(super) fn replace(
        &mut self,
        objects: Vec<Seen>,
        at: Option<u64>,
        change: Change,
    ) -> Vec<Event> {
        let ids: HashSet<String> = objects.iter().map(|seen| seen.id.clone()).collect();
        let older =
            |id: &String| self.versions.get(id).zip(at).is_none_or(|(known, at)| *known <= at);
        let gone: Vec<String> =
            self.keys.keys().filter(|id| !ids.contains(*id) && older(id)).cloned().collect();
        // New objects first: an endpoint that moved from one slice to another never left.
        let mut events: Vec<Event> =
            objects.into_iter().flat_map(|seen| self.put_seen(seen, change)).collect();
        for id in gone {
            self.versions.extend(at.map(|at| (id.clone(), at)));
            events.extend(self.update(&id, Vec::new(), Change::Deleted));
        }
        events
    }

    fn update(&mut self, id: &str, rows: Vec<Row>, change: Change) -> Vec<Event> {
        let old = self.keys.remove(id).unwrap_or_default();
        let mut touched = old.clone();
        touched.extend(rows.iter().map(|row| row.key.clone()));
        touched.sort();
        touched.dedup();
        let before: Vec<Option<Row>> = touched.iter().map(|key| self.current(key)).collect();
        for key in &old {
            let holders = self.rows.get_mut(key).into_iter();
            holders.for_each(|holders| holders.retain(|(holder, _)| holder != id));
        }
        if !rows.is_empty() {
            self.keys.insert(id.to_owned(), rows.iter().map(|row| row.key.clone()).collect());
        }
        for row in rows {
            self.rows.entry(row.key.clone()).or_default().push((id.to_owned(), row));
        }
        let events = touched
            .iter()
            .zip(before)
            .filter_map(|(key, before)| self.event(key, before, change))
            .collect();
        for key in old {
            if self.rows.get(&key).is_some_and(Vec::is_empty) {
                self.rows.remove(&key);
            }
        }
        events
    }

    fn event(&self, key: &str, before: Option<Row>, change: Change) -> Option<Event> {
        let (row, change) = match (before, self.current(key)) {
            (Some(gone), None) if W::END_IS_NEWS => (gone, Change::Deleted),
            (before, Some(now)) if before.as_ref() != Some(&now) => {
                (now, if change == Change::Baseline { change } else { Change::Changed })
            }
            _ => return None,
        };
        Some(row.event.with_change(change))
    }

    fn current(&self, key: &str) -> Option<Row> {
        let holders = self.rows.get(key)?;
        holders.iter().max_by_key(|(_, row)| row.rank).map(|(_, row)| row.clone())
    }
}

/// A version as a number that grows, as every server's is.
pub(super) fn version_of(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// An object's place: namespace and name.
fn id_of(object: &impl Resource) -> String {
    let meta = object.meta();
    format!(
        "{}/{}",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::{Value, json};

    use super::*;
    use crate::watch::endpoint_slice::Slices;

    fn slice(name: &str, endpoints: Value) -> EndpointSlice {
        let labels = json!({"kubernetes.io/service-name": "web"});
        serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "addressType": "IPv4", "endpoints": endpoints}))
            .unwrap()
    }

    fn endpoint(pod: &str, ready: bool) -> Value {
        json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}, "nodeName": "n", "conditions": {"ready": ready}})
    }

    fn listed<const N: usize>(slices: [EndpointSlice; N]) -> Vec<Seen> {
        slices.iter().map(Seen::new::<Slices>).collect()
    }

    fn changes(events: Vec<Event>) -> Vec<(String, Change, bool)> {
        let read = |event| match event {
            Event::Endpoint { change, endpoint, .. } => {
                (endpoint.pod.unwrap(), change, endpoint.ready)
            }
            other => panic!("{other:?}"),
        };
        events.into_iter().map(read).collect()
    }

    #[test]
    fn only_what_is_new_is_reported() {
        let mut cache = WatchCache::<Slices>::new();
        let one = |ready| slice("s", json!([endpoint("a", ready), endpoint("b", true)]));
        let first = changes(cache.put(&one(true), Change::Baseline));
        assert_eq!(
            first,
            [("a".into(), Change::Baseline, true), ("b".into(), Change::Baseline, true)]
        );
        assert!(cache.put(&one(true), Change::Changed).is_empty());
        assert_eq!(
            changes(cache.put(&one(false), Change::Changed)),
            [("a".into(), Change::Changed, false)]
        );
        let left = cache.put(&slice("s", json!([endpoint("a", false)])), Change::Changed);
        assert_eq!(changes(left), [("b".into(), Change::Deleted, true)]);
        assert_eq!(changes(cache.remove(&one(false))), [("a".into(), Change::Deleted, false)]);
        assert!(cache.rows.is_empty() && cache.keys.is_empty());
    }

    #[test]
    fn an_endpoint_in_two_slices_is_one_and_ready_when_one_says_so() {
        let mut cache = WatchCache::<Slices>::new();
        cache.put(&slice("s", json!([endpoint("a", true)])), Change::Baseline);
        assert!(cache.put(&slice("t", json!([endpoint("a", false)])), Change::Changed).is_empty());
        // It moves to the other slice, which then counts alone.
        assert_eq!(
            changes(cache.remove(&slice("s", json!([])))),
            [("a".into(), Change::Changed, false)]
        );
    }

    fn at_version(version: u64, name: &str, endpoints: Value) -> EndpointSlice {
        let mut slice = slice(name, endpoints);
        slice.metadata.resource_version = Some(version.to_string());
        slice
    }

    #[test]
    fn what_two_servers_tell_is_reported_once_by_the_first() {
        let mut cache = WatchCache::<Slices>::new();
        let ready = |version, ready| at_version(version, "s", json!([endpoint("a", ready)]));
        assert_eq!(
            changes(cache.replace(listed([ready(5, true)]), Some(6), Change::Baseline)).len(),
            1
        );
        assert_eq!(
            changes(cache.put(&ready(8, false), Change::Changed)),
            [("a".into(), Change::Changed, false)]
        );
        // The other server is late: its list and its stream tell what is known.
        assert!(cache.replace(listed([ready(5, true)]), Some(7), Change::Changed).is_empty());
        assert!(cache.put(&ready(8, false), Change::Changed).is_empty());
        // An object that the late one has not seen yet did not go.
        cache.put(&at_version(12, "t", json!([endpoint("b", true)])), Change::Changed);
        assert!(cache.replace(listed([ready(8, false)]), Some(11), Change::Changed).is_empty());
        // One that is gone does not come back with an old word, but with a new one.
        assert_eq!(
            changes(cache.remove(&ready(15, false))),
            [("a".into(), Change::Deleted, false)]
        );
        assert!(cache.put(&ready(14, true), Change::Changed).is_empty());
        assert!(cache.remove(&ready(15, false)).is_empty());
        assert_eq!(
            changes(cache.put(&ready(20, true), Change::Changed)),
            [("a".into(), Change::Changed, true)]
        );
        // A list that is as new as what is known is believed where it has nothing.
        assert_eq!(
            changes(cache.replace(listed([ready(20, true)]), Some(21), Change::Changed)),
            [("b".into(), Change::Deleted, true)]
        );
        assert!(
            cache
                .put(&at_version(12, "t", json!([endpoint("b", true)])), Change::Changed)
                .is_empty()
        );
    }

    #[test]
    fn a_restored_backup_is_the_truth_when_nobody_saw_its_coming() {
        let mut cache = WatchCache::<Slices>::new();
        cache.put(&at_version(90, "s", json!([endpoint("a", true)])), Change::Baseline);
        cache.forget_versions();
        let back = cache.replace(
            listed([at_version(40, "s", json!([endpoint("a", false)]))]),
            Some(41),
            Change::Changed,
        );
        assert_eq!(changes(back), [("a".into(), Change::Changed, false)]);
    }

    #[test]
    fn a_list_after_a_gap_says_what_came_changed_and_went() {
        let mut cache = WatchCache::<Slices>::new();
        cache.put(&slice("s", json!([endpoint("a", true), endpoint("b", true)])), Change::Baseline);
        let again = cache.replace(
            listed([slice("t", json!([endpoint("a", false), endpoint("c", true)]))]),
            None,
            Change::Changed,
        );
        // `a` is in both until the old slice goes: it changes once, to what the new one says.
        let expected = [
            ("c".into(), Change::Changed, true),
            ("a".into(), Change::Changed, false),
            ("b".into(), Change::Deleted, true),
        ];
        assert_eq!(changes(again), expected);
    }
}

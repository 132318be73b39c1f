//! No write is lost and none is doubled between a list and the watch that goes on from it, whatever
//! is written meanwhile.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use proptest::prelude::*;
use serde_json::json;

use super::testing::serve;
use crate::cluster::Cluster;
use crate::embedded::store::{Store, kinds};

/// One write of a thread: which object, and what it is set to; `None` takes it away.
type Write = (u8, Option<u8>);

const END: &str = "zz-end";

/// Writes, and gives the client time to come in between.
fn write(store: &Store, writes: &[Write]) {
    for (name, value) in writes {
        let name = format!("o{name}");
        match value {
            Some(value) => drop(store.put(
                &kinds::CONFIG_MAPS,
                json!({"metadata": {"name": name, "namespace": "default"}, "data": {"v": value.to_string()}}),
            )),
            None => drop(store.remove(&kinds::CONFIG_MAPS, "default", &name)),
        }
        thread::sleep(Duration::from_micros(50));
    }
}

/// What a client believes: by name, the value and the version.
type Belief = BTreeMap<String, (String, u64)>;

fn read(object: &ConfigMap) -> (String, (String, u64)) {
    let value = object.data.as_ref().and_then(|data| data.get("v")).cloned().unwrap_or_default();
    (object.name_any(), (value, object.resource_version().unwrap().parse().unwrap()))
}

/// Lists in small pages, then watches in short streams until the last object comes.
async fn follow(cluster: &Cluster) -> Belief {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    let mut belief = Belief::new();
    let mut params = ListParams::default().limit(3);
    let mut version = loop {
        let page = api.list(&params).await.unwrap();
        belief.extend(page.items.iter().map(read));
        match page.metadata.continue_ {
            Some(token) => params.continue_token = Some(token),
            None => break page.metadata.resource_version.unwrap(),
        }
    };
    // The end may be in the list already.
    while !belief.contains_key(END) {
        let params = WatchParams::default().timeout(1);
        let mut stream = std::pin::pin!(api.watch(&params, &version).await.unwrap());
        while let Some(event) = stream.try_next().await.unwrap() {
            if let WatchEvent::Bookmark(bookmark) = event {
                version = bookmark.metadata.resource_version;
                continue;
            }
            version = take(&mut belief, event).to_string();
            if belief.contains_key(END) {
                break;
            }
        }
    }
    belief
}

/// Takes an event for true only if it fits what is believed. Gives its version.
fn take(belief: &mut Belief, event: WatchEvent<ConfigMap>) -> u64 {
    let newest = belief.values().map(|(_, version)| *version).max().unwrap_or(0);
    match event {
        WatchEvent::Added(object) => {
            let (name, now) = read(&object);
            assert!(now.1 > newest, "an old addition");
            assert_eq!(belief.insert(name, now.clone()), None, "added twice");
            now.1
        }
        WatchEvent::Modified(object) => {
            let (name, now) = read(&object);
            assert!(now.1 > newest, "an old change");
            assert!(belief.insert(name, now.clone()).is_some(), "changed and was never added");
            now.1
        }
        WatchEvent::Deleted(object) => {
            let (name, now) = read(&object);
            assert!(now.1 > newest, "an old deletion");
            assert!(belief.remove(&name).is_some(), "deleted and was not there");
            now.1
        }
        other => panic!("{other:?}"),
    }
}

fn run(writes: [Vec<Write>; 3], clients: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_api, store, cluster) = serve(Store::new()).await;
        let threads: Vec<_> = writes
            .map(|writes| {
                let store = store.clone();
                thread::spawn(move || write(&store, &writes))
            })
            .into();
        let follows = (0..clients).map(|_| follow(&cluster));
        let end = async {
            while threads.iter().any(|thread| !thread.is_finished()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            write(&store, &[]);
            store.put(
                &kinds::CONFIG_MAPS,
                json!({"metadata": {"name": END, "namespace": "default"}, "data": {"v": "end"}}),
            );
        };
        let (beliefs, ()) = tokio::join!(futures_util::future::join_all(follows), end);
        let truth: Belief = store
            .list(&kinds::CONFIG_MAPS, Some("default"))
            .iter()
            .map(|object| read(&serde_json::from_value(serde_json::Value::clone(object)).unwrap()))
            .collect();
        beliefs.iter().for_each(|belief| assert_eq!(belief, &truth));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_client_that_lists_and_watches_ends_with_the_truth(
        writes in proptest::array::uniform3(proptest::collection::vec((0u8..8, proptest::option::weighted(0.7, any::<u8>())), 0..150)),
    ) {
        run(writes, 3);
    }
}

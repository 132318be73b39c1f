//! The watches, with what an older and a newer Kubernetes answer (`cluster/testdata/README.md`).

use std::slice;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::start;
use crate::cluster::versions_tests::cluster;
use crate::timeline::Event;

/// Of the lists 3 nodes and 3 heartbeats, 2 leaders, 2 endpoints, 3 pods and 2 events; that each of 7
/// watches has begun; and a change in each.
const EVENTS: usize = 15 + 7 + 7;

async fn seen(version: &str) -> Vec<String> {
    let cluster = cluster(version);
    let (out, mut records) = unbounded_channel();
    let watches = start(slice::from_ref(&cluster), "shop", out);
    let mut seen = Vec::new();
    let all = async {
        while seen.len() < EVENTS {
            let event = records.recv().await.expect("the watches go on").event;
            assert!(!matches!(event, Event::WatchGap { .. }), "{version}: {event:?}");
            seen.push(serde_json::to_string(&event).unwrap());
        }
    };
    let ended = timeout(Duration::from_secs(10), all).await;
    assert!(ended.is_ok(), "{version}: only {seen:#?}");
    watches.stop().await;
    // Which watch is first is chance.
    seen.sort();
    seen
}

#[tokio::test]
async fn an_older_and_a_newer_kubernetes_are_followed_alike() {
    assert_eq!(seen("v1.31").await, seen("v1.36").await);
}

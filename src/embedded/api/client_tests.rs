//! The API as this program's own client meets it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::Availability;
use super::testing::{ask, node, send, serve, served, tidy};
use crate::cluster::{Cluster, PodOnNode};
use crate::embedded::store::{Store, kinds, object};
use crate::timeline::{ClusterKind, Event, Ready, Record};
use crate::workload::Manifest;

const WEB: &str = include_str!("../../../experiments/workloads/web.yaml");
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

#[tokio::test]
async fn the_products_own_client_finds_a_cluster() {
    let (_api, store, cluster) = served().await;
    let nodes = cluster.nodes().await.unwrap();
    assert_eq!(
        (nodes[0].name.as_str(), nodes[0].ready, nodes[0].addresses[0].as_str()),
        ("w", Ready::True, "127.0.0.9")
    );
    for (component, flag) in [
        ("kube-controller-manager", "--node-monitor-grace-period=4s"),
        ("kube-apiserver", "--default-unreachable-toleration-seconds=20"),
    ] {
        let container = json!({"name": "c", "image": "i", "command": [component, flag]});
        store.put(
            &kinds::PODS,
            json!({"metadata": {"name": component, "namespace": "kube-system", "labels": {"component": component}},
                "spec": {"containers": [container]}}),
        );
    }
    let (facts, warnings) =
        cluster.facts(ClusterKind::Embedded, "embedded", None, &[]).await.unwrap();
    assert_eq!((facts.kubernetes.as_str(), warnings.len()), ("v1.34.0", 0), "{warnings:?}");
    assert_eq!(facts.tuning.node_status_update_frequency, Some(Duration::from_secs(1)));
    assert_eq!(facts.tuning.node_monitor_grace_period, Some(Duration::from_secs(4)));
    assert_eq!(facts.tolerations.unreachable, Duration::from_secs(20));
}

#[tokio::test]
async fn a_workload_comes_and_goes_with_its_namespace() {
    let (_api, store, cluster) = served().await;
    let controllers = tokio::spawn(tidy(store.clone()));
    cluster.create_namespace("run", "20261122-7f3a").await.unwrap();
    let manifest = Manifest::of_texts([("web.yaml", WEB)]);
    let workload = cluster.check_workload(&manifest).await.unwrap().unwrap();
    assert_eq!(workload.summary(), ["ConfigMap/web", "Deployment/web", "Service/web"]);
    cluster.apply(&workload, "run").await.unwrap();
    assert!(
        cluster.apply(&workload, "run").await.unwrap_err().to_string().contains("already exists")
    );
    let readiness = cluster.readiness("run").await.unwrap();
    let no_endpoint = "Service/web: no ready endpoint, and no pod matches its selector";
    assert_eq!(readiness.waiting, ["Deployment/web: not seen by its controller yet", no_endpoint]);
    let seen = json!({"observedGeneration": 1, "availableReplicas": 2, "updatedReplicas": 2});
    store.update_status(&kinds::DEPLOYMENTS, "run", "web", seen).unwrap();
    assert_eq!(cluster.readiness("run").await.unwrap().waiting, [no_endpoint]);
    cluster.remove_namespace("run", "20261122-7f3a", Duration::from_secs(5)).await.unwrap();
    assert!(store.list(&kinds::DEPLOYMENTS, Some("run")).is_empty());
    controllers.abort();
}

#[tokio::test]
async fn what_can_not_be_is_refused_as_kubernetes_does() {
    let (_api, _store, cluster) = served().await;
    let post = |path: &'static str, body: Value| ask(&cluster, Method::POST, path, body);
    let refused = |code: u16, reason: &str| Err((code, reason.to_owned()));
    assert_eq!(
        ask(&cluster, Method::GET, "/api/v1/namespaces/default/pods/a", Value::Null).await,
        refused(404, "NotFound")
    );
    assert_eq!(
        ask(&cluster, Method::GET, "/apis/batch/v1/jobs", Value::Null).await,
        refused(404, "NotFound")
    );
    assert_eq!(post(MAPS, json!({"data": {}})).await, refused(422, "Invalid"));
    assert_eq!(
        post("/api/v1/namespaces/none/configmaps", map("a")).await,
        refused(404, "NotFound")
    );
    assert_eq!(post("/api/v1/configmaps", map("a")).await, refused(400, "BadRequest"));
    assert_eq!(
        post(MAPS, json!({"kind": "Secret", "metadata": {"name": "a"}})).await,
        refused(400, "BadRequest")
    );
    assert_eq!(post(MAPS, json!("text")).await, refused(400, "BadRequest"));
    post(MAPS, map("a")).await.unwrap();
    assert_eq!(post(MAPS, map("a")).await, refused(409, "AlreadyExists"));
    assert_eq!(ask(&cluster, Method::PUT, MAPS, map("a")).await, refused(405, "MethodNotAllowed"));
    assert_eq!(
        ask(&cluster, Method::GET, "/api/v1/pods?labelSelector=a%20in%20b", Value::Null).await,
        refused(400, "BadRequest")
    );
    assert_eq!(
        ask(&cluster, Method::GET, "/api/v1/pods?fieldSelector=spec.x%3Dy", Value::Null).await,
        refused(400, "BadRequest")
    );
    assert_eq!(
        send(&cluster, Method::POST, MAPS, "application/vnd.kubernetes.protobuf", json!(1))
            .await
            .unwrap_err()
            .0,
        415
    );
}

#[tokio::test]
async fn who_writes_from_an_old_picture_is_stopped() {
    let (_api, _store, cluster) = served().await;
    let first = ask(&cluster, Method::POST, MAPS, map("a")).await.unwrap();
    let path = format!("{MAPS}/a");
    let mut second = first.clone();
    second["data"]["a"] = "2".into();
    let second = ask(&cluster, Method::PUT, &path, second).await.unwrap();
    assert_ne!(first["metadata"]["resourceVersion"], second["metadata"]["resourceVersion"]);
    let conflict = Err((409, "Conflict".to_owned()));
    assert_eq!(ask(&cluster, Method::PUT, &path, first.clone()).await, conflict);
    let other = json!({"metadata": {"name": "a", "uid": "other"}});
    assert_eq!(ask(&cluster, Method::PUT, &path, other).await, conflict);
    let old = json!({"preconditions": {"resourceVersion": first["metadata"]["resourceVersion"]}});
    assert_eq!(ask(&cluster, Method::DELETE, &path, old).await, conflict);
    let dry = ask(&cluster, Method::PUT, &format!("{path}?dryRun=All"), map("a")).await.unwrap();
    assert_eq!(dry["data"]["a"], "1");
    assert_eq!(ask(&cluster, Method::GET, &path, Value::Null).await.unwrap(), second);
    let right = json!({"preconditions": {"uid": second["metadata"]["uid"]}});
    assert_eq!(ask(&cluster, Method::DELETE, &path, right).await.unwrap()["status"], "Success");
}

#[tokio::test]
async fn a_status_is_not_the_clients_to_write() {
    let (_api, _store, cluster) = served().await;
    let patch = json!({"spec": {"unschedulable": true}, "status": {"conditions": []}});
    let merge = "application/merge-patch+json";
    let path = "/api/v1/nodes/w";
    let patched = send(&cluster, Method::PATCH, path, merge, patch.clone()).await.unwrap();
    assert_eq!(
        (&patched["spec"]["unschedulable"], &patched["status"]["conditions"][0]["status"]),
        (&true.into(), &"True".into())
    );
    let status = send(&cluster, Method::PATCH, "/api/v1/nodes/w/status", merge, patch).await;
    assert_eq!(status, Err((404, "NotFound".to_owned())));
}

#[tokio::test]
async fn an_apply_makes_and_changes_and_a_scale_scales() {
    let (_api, store, cluster) = served().await;
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    let deployment = |image: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": image}]}}}})
    };
    let apply = |image: &str| {
        send(&cluster, Method::PATCH, path, "application/apply-patch+yaml", deployment(image))
    };
    apply("x:1").await.unwrap();
    let scale = json!({"spec": {"replicas": 3}});
    let scaled = send(
        &cluster,
        Method::PATCH,
        &format!("{path}/scale"),
        "application/merge-patch+json",
        scale,
    )
    .await
    .unwrap();
    assert_eq!(scaled["spec"]["replicas"], 3);
    let applied = apply("x:2").await.unwrap();
    assert_eq!(applied["spec"]["replicas"], 3);
    let containers = &store.get(&kinds::DEPLOYMENTS, "default", "web").unwrap()["spec"]["template"]
        ["spec"]["containers"];
    assert_eq!((containers.as_array().unwrap().len(), &containers[0]["image"]), (1, &"x:2".into()));
}

#[tokio::test]
async fn a_pod_ends_with_grace_or_by_force() {
    let (_api, store, cluster) = served().await;
    let pod = json!({"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = ask(&cluster, Method::POST, "/api/v1/namespaces/default/pods", pod).await.unwrap();
    let path =
        format!("/api/v1/namespaces/default/pods/{}", made["metadata"]["name"].as_str().unwrap());
    let deleted =
        ask(&cluster, Method::DELETE, &path, json!({"gracePeriodSeconds": 5})).await.unwrap();
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 5);
    let later =
        ask(&cluster, Method::DELETE, &path, json!({"gracePeriodSeconds": 60})).await.unwrap();
    assert_eq!(
        later["metadata"]["deletionTimestamp"], deleted["metadata"]["deletionTimestamp"],
        "never later"
    );
    ask(&cluster, Method::DELETE, &path, json!({"gracePeriodSeconds": 0})).await.unwrap();
    assert!(store.list(&kinds::PODS, None).is_empty());
}

#[tokio::test]
async fn an_evicted_pod_ends_and_an_orphan_is_never_made() {
    let (_api, store, cluster) = served().await;
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = ask(&cluster, Method::POST, "/api/v1/namespaces/default/pods", pod).await.unwrap();
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let evict = async |uid: &str| {
        let pod = PodOnNode {
            namespace: "default".into(),
            name: "p".into(),
            uid: uid.into(),
            obstacles: Default::default(),
        };
        cluster.evict(&pod, Default::default()).await.unwrap()
    };
    evict("another").await;
    assert!(!object::is_deleted(&store.get(&kinds::PODS, "default", "p").unwrap()));
    evict(uid).await;
    assert!(object::is_deleted(&store.get(&kinds::PODS, "default", "p").unwrap()));
    ask(&cluster, Method::POST, MAPS, map("a")).await.unwrap();
    let orphan = json!({"propagationPolicy": "Orphan"});
    let refused = ask(&cluster, Method::DELETE, &format!("{MAPS}/a"), orphan).await;
    assert_eq!(refused, Err((400, "BadRequest".to_owned())));
}

#[tokio::test]
async fn a_watch_from_a_forgotten_place_is_reported() {
    let (_api, store, cluster) = serve(Store::remembering(4)).await;
    for value in 0..20 {
        store
            .put(&kinds::CONFIG_MAPS, json!({"metadata": {"name": "a", "namespace": "default"}, "data": {"v": value.to_string()}}));
    }
    let watch = |version: u64| {
        let (client, path) = (
            cluster.client(),
            format!("{MAPS}?watch=1&timeoutSeconds=1&resourceVersion={version}"),
        );
        async move {
            client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap()
        }
    };
    let last: Value = serde_json::from_str(&watch(5).await).unwrap();
    assert_eq!(
        (&last["type"], &last["object"]["code"], &last["object"]["reason"]),
        (&"ERROR".into(), &410.into(), &"Expired".into())
    );
    assert_eq!(watch(store.revision() - 1).await.lines().count(), 1);
}

#[tokio::test]
async fn a_watch_tells_what_comes_to_match_and_what_no_longer_does() {
    let (_api, store, cluster) = served().await;
    let path = format!(
        "{MAPS}?watch=1&timeoutSeconds=1&labelSelector=on&allowWatchBookmarks=true&sendInitialEvents=true"
    );
    store.put(
        &kinds::CONFIG_MAPS,
        json!({"metadata": {"name": "b", "namespace": "default", "labels": {"on": ""}}}),
    );
    let client = cluster.client();
    let watch = tokio::spawn(async move {
        client.request_text(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let labels = |labels: Value| json!({"metadata": {"name": "a", "namespace": "default", "labels": labels}});
    for now in [json!({}), json!({"on": "1"}), json!({"on": "2"}), json!({})] {
        store.put(&kinds::CONFIG_MAPS, labels(now));
    }
    let text = watch.await.unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["ADDED", "BOOKMARK", "ADDED", "MODIFIED", "DELETED", "BOOKMARK"]);
    assert_eq!(events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(events[5]["object"]["metadata"]["resourceVersion"], store.revision().to_string());
}

#[tokio::test]
async fn rows_for_people_come_from_lists_and_watches() {
    let (_api, _store, cluster) = served().await;
    let get = |path: &'static str, accept: &'static str| {
        let request = http::Request::get(path).header("accept", accept).body(Vec::new()).unwrap();
        let client = cluster.client();
        async move { client.request_text(request).await }
    };
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let list: Value = serde_json::from_str(&get("/api/v1/nodes", table).await.unwrap()).unwrap();
    assert_eq!((&list["kind"], &list["rows"][0]["cells"][1]), (&"Table".into(), &"Ready".into()));
    assert_eq!(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let watch =
        get("/api/v1/nodes?watch=true&timeoutSeconds=1&resourceVersion=0", table).await.unwrap();
    let event: Value = serde_json::from_str(watch.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["rows"][0]["cells"][0]),
        (&"ADDED".into(), &"w".into())
    );
    assert!(get("/api/v1/nodes", "application/vnd.kubernetes.protobuf").await.is_err());
}

async fn next<T>(
    records: &mut tokio::sync::mpsc::UnboundedReceiver<Record>,
    mut read: impl FnMut(&Record) -> Option<T>,
) -> T {
    let found = async {
        loop {
            let record = records.recv().await.expect("the watches live");
            if let Some(found) = read(&record) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(15), found).await.expect("it comes in time")
}

fn ready(record: &Record) -> Option<Ready> {
    match &record.event {
        Event::Node { ready, .. } => Some(*ready),
        _ => None,
    }
}

fn gap(record: &Record) -> Option<bool> {
    match &record.event {
        Event::WatchGap { watch, until, .. } if watch == "nodes" => Some(until.is_some()),
        _ => None,
    }
}

#[tokio::test]
async fn the_products_own_watches_see_changes_gaps_and_what_happened_in_them() {
    let (api, store, cluster) = served().await;
    let (out, mut records) = unbounded_channel();
    let watches = crate::watch::start(std::slice::from_ref(&cluster), "default", out);
    assert_eq!(next(&mut records, ready).await, Ready::True);
    store.put(&kinds::NODES, node("Unknown"));
    assert_eq!(next(&mut records, ready).await, Ready::Unknown);
    for (away, during) in [(Availability::Hanging, "False"), (Availability::Down, "True")] {
        api.set_availability(away);
        assert!(!next(&mut records, gap).await, "{away:?}: the gap begins");
        store.put(&kinds::NODES, node(during));
        api.set_availability(Availability::Serving);
        let since = next(&mut records, |record| ready(record).map(|_| record.since)).await;
        assert!(since.is_some(), "{away:?}: it happened unseen");
    }
    watches.stop().await;
}

#[tokio::test]
async fn a_server_that_is_down_refuses_and_comes_back_at_the_same_place() {
    let (api, _store, cluster) = served().await;
    for _ in 0..3 {
        api.set_availability(Availability::Down);
        let refused = async {
            while !cluster
                .ping()
                .await
                .is_err_and(|error| error.to_string().to_lowercase().contains("refused"))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(2), refused).await.unwrap();
        api.set_availability(Availability::Serving);
        let back = async {
            while cluster.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(2), back).await.unwrap();
    }
    let (address, text) = (api.address(), api.kubeconfig("x"));
    api.stop().await;
    assert!(Cluster::from_kubeconfig(&text).await.unwrap_err().is_unreachable());
    assert!(std::net::TcpListener::bind(address).is_ok(), "the port is free");
}

#[tokio::test]
async fn a_frozen_server_answers_once_unfrozen() {
    let (api, _store, cluster) = served().await;
    api.set_availability(Availability::Hanging);
    let asked = tokio::spawn(async move { cluster.ping().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asked.is_finished());
    api.set_availability(Availability::Serving);
    asked.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_etcd_only_the_cache_answers() {
    let (api, _store, cluster) = served().await;
    api.set_availability(Availability::EtcdDown);
    let get = |path: &'static str| ask(&cluster, Method::GET, path, Value::Null);
    assert_eq!(
        get("/api/v1/nodes?resourceVersion=0").await.unwrap()["items"][0]["metadata"]["name"],
        "w"
    );
    assert_eq!(get("/api/v1/nodes/w?resourceVersion=0").await.unwrap()["metadata"]["name"], "w");
    assert_eq!(get("/api/v1/nodes").await, Err((500, String::new())));
    assert_eq!(get("/api/v1/nodes/w").await, Err((500, String::new())));
    assert_eq!(ask(&cluster, Method::POST, MAPS, map("a")).await, Err((500, String::new())));
    cluster.ping().await.unwrap();
    api.set_availability(Availability::Serving);
    get("/api/v1/nodes").await.unwrap();
}

#[tokio::test]
async fn events_are_selected_by_what_they_are_about() {
    let (_api, store, cluster) = served().await;
    for kind in ["Node", "Pod"] {
        let event = json!({"metadata": {"name": kind, "namespace": "default"}, "involvedObject": {"kind": kind}, "reason": "R"});
        store.put(&kinds::EVENTS, event);
    }
    let path = "/api/v1/events?fieldSelector=involvedObject.kind%3DNode,reason%3DR";
    let found = ask(&cluster, Method::GET, path, Value::Null).await.unwrap();
    let names = found["items"].as_array().unwrap().iter().map(|event| &event["metadata"]["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["Node"]);
}

#[tokio::test]
async fn pods_are_counted_by_their_labels() {
    let (_api, store, cluster) = served().await;
    for index in 0..7 {
        store.put(&kinds::PODS, json!({"metadata": {"name": format!("p{index}"), "namespace": "default", "labels": {"odd": (index % 2).to_string()}}, "spec": {"containers": []}}));
    }
    let odd = cluster
        .pods("default", &BTreeMap::from([("odd".to_owned(), "1".to_owned())]))
        .await
        .unwrap();
    assert_eq!(odd.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), ["p1", "p3", "p5"]);
    let all = ask(&cluster, Method::GET, "/api/v1/pods?limit=3", Value::Null).await.unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 7, "a list is never split");
    assert_eq!(all["metadata"].get("continue"), None);
}

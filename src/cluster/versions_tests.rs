//! The readers, with what an older and a newer Kubernetes answer (`testdata/README.md`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Cluster;
use super::fake::FakeApi;
use crate::timeline::{ClusterKind, Component, Ready, TuningSource};

/// An API server of this version, with its answers by path.
pub(crate) fn cluster(version: &str) -> Cluster {
    let text = match version {
        "v1.31" => include_str!("testdata/v1.31.json"),
        _ => include_str!("testdata/v1.36.json"),
    };
    answering(serde_json::from_str(text).unwrap())
}

fn answering(answers: BTreeMap<String, Value>) -> Cluster {
    let mut answers = answers.into_iter();
    let (path, answer) = answers.next().unwrap();
    let api = FakeApi::with(&path, answer);
    answers.for_each(|(path, answer)| api.put(&path, answer));
    api.cluster()
}

#[tokio::test]
async fn an_older_and_a_newer_kubernetes_are_read_alike() {
    for version in ["v1.31", "v1.36"] {
        let cluster = cluster(version);
        cluster.ping().await.unwrap();
        let nodes = cluster.nodes().await.unwrap();
        let states: Vec<_> =
            nodes.iter().map(|node| (node.name.as_str(), node.ready, node.protected)).collect();
        let wanted =
            [("cp", Ready::True, false), ("w1", Ready::True, true), ("w2", Ready::Unknown, false)];
        assert_eq!(states, wanted, "{version}");
        assert!(nodes[0].tainted && nodes[0].kubelet.starts_with(version), "{version}");
        assert_eq!(nodes[0].addresses, ["172.18.0.2", "fc00::2"], "{version}");

        let facts = cluster.facts(ClusterKind::Context, "c", None, &[]).await;
        let (facts, warnings) = facts.unwrap();
        assert_eq!(warnings, Vec::<String>::new(), "{version}");
        assert_eq!(facts.tuning.source, TuningSource::Cluster, "{version}");
        let seconds = |setting: Option<std::time::Duration>| setting.map(|it| it.as_secs());
        assert_eq!(seconds(facts.tuning.node_monitor_grace_period), Some(16), "{version}");
        assert_eq!(seconds(facts.tuning.node_status_report_frequency), Some(300), "{version}");
        assert_eq!(facts.tolerations.unreachable.as_secs(), 20, "{version}");

        let leaders = cluster.leaders().await.unwrap();
        assert_eq!(leaders[&Component::Scheduler], "cp", "{version}");
        let service = cluster.service("shop", "web").await.unwrap();
        assert_eq!(service.cluster_ip.as_deref(), Some("10.96.0.20"), "{version}");
        let endpoints = cluster.endpoints("shop", "web").await.unwrap();
        let ready: Vec<bool> = endpoints.iter().map(|endpoint| endpoint.ready).collect();
        assert_eq!(ready, [true, false], "{version}");
        let deployment = cluster.deployment("shop", "web").await.unwrap();
        assert_eq!((deployment.wanted, deployment.ready), (2, 1), "{version}");

        let pods = cluster.pods("shop", &BTreeMap::new()).await.unwrap();
        let web = pods.iter().find(|pod| pod.name == "web-559b8c-a").unwrap();
        assert!(web.ready && web.owner.as_deref() == Some("ReplicaSet/web-559b8c"), "{version}");
        assert_eq!(web.running, [("c".into(), "containerd://aa".into())], "{version}");
        let kept = cluster.ready_pods().await.unwrap();
        let names: Vec<_> = kept.iter().map(|it| (it.name.as_str(), it.allowed)).collect();
        let wanted = [
            ("Deployment shop/web", None),
            ("StatefulSet shop/db", None),
            ("PodDisruptionBudget shop/web", Some(0)),
        ];
        assert_eq!(names, wanted, "{version}");

        let ages = cluster.heartbeat_ages().await.unwrap();
        assert_eq!(ages.into_keys().collect::<Vec<_>>(), ["cp", "w1", "w2"], "{version}");
        let mut kinds = cluster.inventory().await.unwrap();
        assert_eq!(kinds.unread, [], "{version}");
        kinds.objects.dedup_by(|a, b| a.kind == b.kind);
        let kinds: Vec<_> = kinds.objects.iter().map(|object| object.kind.as_str()).collect();
        assert_eq!(kinds, ["Node", "Pod", "PodDisruptionBudget.policy"], "{version}");
    }
}

/// What a version to come may say, and what a server may leave out.
#[tokio::test]
async fn unknown_values_and_missing_fields_are_read() {
    let named = |name: &str| json!({"name": name, "namespace": "shop"});
    let ready = |status: &str| json!({"conditions": [{"type": "Ready", "status": status}]});
    let taint = json!({"key": "example.com/k", "effect": "NoAdmit", "scope": "zone"});
    let list = |items: Value| json!({"metadata": {}, "items": items});
    let cluster = answering(
        [
            ("/api/v1/nodes", list(json!([
                {"metadata": named("bare")},
                {"metadata": named("later"), "spec": {"taints": [taint]}, "status": ready("Paused")},
                {"metadata": named("null"), "spec": null, "status": {"conditions": null, "addresses": null}},
            ]))),
            ("/api/v1/namespaces/shop/pods", list(json!([
                {"metadata": named("bare")},
                {"metadata": named("later"), "spec": {"containers": null}, "status": {"phase": "Suspended", "podIP": ""}},
            ]))),
            ("/api/v1/pods", list(json!(null))),
            ("/apis/policy/v1/poddisruptionbudgets", list(json!([{"metadata": named("bare")}]))),
            ("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", list(json!([
                {"metadata": {"name": "kube-scheduler"}},
                {"metadata": {"name": "kube-controller-manager"}, "spec": {"holderIdentity": "cp_1", "strategy": "Fairest"}},
            ]))),
            ("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", list(json!([
                {"metadata": named("none"), "addressType": "IPv7", "endpoints": null, "ports": null},
                {"metadata": named("some"), "addressType": "IPv7", "endpoints": [{"addresses": ["x"], "weight": 3}]},
            ]))),
            ("/api/v1/namespaces/shop/services/web", json!({"metadata": named("web"), "spec": {"type": "Mesh", "ports": null}})),
        ]
        .map(|(path, answer)| (path.to_owned(), answer))
        .into(),
    );
    let nodes = cluster.nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.ready == Ready::Unknown), "{nodes:?}");
    let pods = cluster.pods("shop", &BTreeMap::new()).await.unwrap();
    assert!(pods.len() == 2 && pods.iter().all(|pod| !pod.ready && pod.ip.is_none()), "{pods:?}");
    assert_eq!(cluster.ready_pods().await.unwrap(), []);
    let leaders = cluster.leaders().await.unwrap();
    assert_eq!(leaders, [(Component::ControllerManager, "cp".to_owned())].into());
    let endpoints = cluster.endpoints("shop", "web").await.unwrap();
    assert!(endpoints.len() == 1 && endpoints[0].ready, "{endpoints:?}");
    let service = cluster.service("shop", "web").await.unwrap();
    assert!(service.ports.is_empty() && service.cluster_ip.is_none(), "{service:?}");
}

//! The readers, with what an older and a newer Kubernetes answer (`testdata/README.md`).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Cluster;
use super::fake::FakeApi;
use crate::timeline::{ClusterKind, Component, Ready, TuningSource};

/// The answers of a version, by path.
pub(crate) fn answers(version: &str) -> BTreeMap<String, Value> {
    let text = match version {
        "v1.31" => include_str!("testdata/v1.31.json"),
        _ => include_str!("testdata/v1.36.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn cluster(version: &str) -> Cluster {
    let mut answers = answers(version).into_iter();
    let (path, answer) = answers.next().unwrap();
    let api = FakeApi::with(&path, answer);
    answers.for_each(|(path, answer)| api.put(&path, answer));
    api.cluster()
}

#[tokio::test]
async fn an_older_and_a_newer_kubernetes_are_read_alike() {
    for version in ["v1.31", "v1.36"] {
        let cluster = cluster(version);
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
    }
}

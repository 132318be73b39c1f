//! Against a real kind cluster of one control plane and two workers with fast detection:
//! `OUTAGE_TEST_KUBECONFIG` is its kubeconfig.
//!
//! `cargo test --lib -- --ignored cluster::real_tests`

#![allow(clippy::disallowed_methods)] // the names of the cluster and the image to test with

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::timeline::{ClusterKind, NodeRole, TuningSource};
use crate::workload::Manifest;

async fn cluster() -> Cluster {
    let path = std::env::var_os("OUTAGE_TEST_KUBECONFIG").expect("OUTAGE_TEST_KUBECONFIG");
    Cluster::from_files(&[PathBuf::from(path)], None, &mut |_| {}).await.unwrap()
}

async fn make(cluster: &Cluster, run: &str, text: &str) -> String {
    let manifest = Manifest::of_texts([("test.yaml", text)]);
    let workload = cluster.check_workload(&manifest).await.unwrap().unwrap();
    let namespace = format!("outage-{run}");
    cluster.create_namespace(&namespace, run).await.unwrap();
    cluster.apply(&workload, &namespace).await.unwrap();
    namespace
}

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: nginx, image: 'nginx:1.22', imagePullPolicy: IfNotPresent}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn facts_are_what_the_cluster_was_made_with() {
    let cluster = cluster().await;
    let (facts, warnings) = cluster.facts(ClusterKind::Kind, "x", None, &[]).await.unwrap();
    println!("{facts:#?} {warnings:?} {:?}", cluster.cluster_dns().await.unwrap());
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(facts.nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).count(), 1);
    assert_eq!(facts.nodes.len(), 3);
    let tuning = facts.tuning;
    assert_eq!(tuning.source, TuningSource::Cluster);
    let second = Some(Duration::from_secs(1));
    assert_eq!(
        (
            tuning.node_status_update_frequency,
            tuning.node_status_report_frequency,
            tuning.node_monitor_period
        ),
        (second, second, second)
    );
    assert_eq!(
        (tuning.node_monitor_grace_period, tuning.node_lease_duration),
        (Some(Duration::from_secs(4)), Some(Duration::from_secs(40)))
    );
    assert_eq!(cluster.cluster_dns().await.unwrap().unwrap().domain, "cluster.local");
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn a_workload_becomes_ready_and_is_removed_without_a_trace() {
    let cluster = cluster().await;
    let namespace = make(&cluster, "t-web", WEB).await;
    let began = Instant::now();
    loop {
        let readiness = cluster.readiness(&namespace).await.unwrap();
        assert_eq!(readiness.stuck, None);
        if readiness.ready {
            break;
        }
        assert!(
            !readiness.waiting.is_empty() && began.elapsed() < Duration::from_secs(60),
            "{readiness:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("ready after {:?}", began.elapsed());
    let endpoints = cluster.endpoints(&namespace, "web").await.unwrap();
    let pods =
        cluster.pods(&namespace, &BTreeMap::from([("app".into(), "web".into())])).await.unwrap();
    assert_eq!((endpoints.len(), pods.len()), (2, 2));
    assert!(endpoints.iter().all(|endpoint| endpoint.ready && endpoint.node.is_some()));
    let service = cluster.service(&namespace, "web").await.unwrap();
    assert!(service.cluster_ip.is_some() && service.ports[0].port == 80);
    // The same again is refused: nothing is adopted.
    let workload =
        cluster.check_workload(&Manifest::of_texts([("test.yaml", WEB)])).await.unwrap().unwrap();
    let error = cluster.apply(&workload, &namespace).await.unwrap_err();
    assert!(matches!(error, ClusterError::AlreadyExists { .. }), "{error}");
    assert!(matches!(
        cluster.create_namespace(&namespace, "t-web").await,
        Err(ClusterError::AlreadyExists { .. })
    ));
    // Another run's, of the same name, stays; and so does what is nobody's.
    cluster.remove_namespace(&namespace, "t-other", Duration::from_secs(1)).await.unwrap();
    cluster.remove_namespace("default", "t-web", Duration::from_secs(1)).await.unwrap();
    assert!(
        cluster.readiness(&namespace).await.unwrap().ready
            && cluster.service("default", "kubernetes").await.is_ok()
    );
    let began = Instant::now();
    cluster.remove_namespace(&namespace, "t-web", Duration::from_secs(60)).await.unwrap();
    println!("removed after {:?}", began.elapsed());
    cluster.remove_namespace(&namespace, "t-web", Duration::from_secs(1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn what_never_becomes_ready_is_reported_immediately() {
    let cluster = cluster().await;
    let pod = |name: &str, spec: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 0, {spec}}}\n"
        )
    };
    let crash = "containers: [{name: c, image: 'nginx:1.22', command: ['false']}]";
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: '0'}}\n---\n";
    for (run, text, expected) in [
        (
            "t-image",
            pod("p", "containers: [{name: c, image: 'localhost:1/no/such:1'}]"),
            "ErrImagePull",
        ),
        ("t-name", pod("p", "containers: [{name: c, image: 'UPPER'}]"), "InvalidImageName"),
        (
            "t-config",
            pod(
                "p",
                "containers: [{name: c, image: 'nginx:1.22', envFrom: [{configMapRef: {name: none}}]}]",
            ),
            "CreateContainerConfigError",
        ),
        ("t-crash", pod("p", crash), "CrashLoopBackOff"),
        ("t-quota", format!("{quota}{WEB}"), "exceeded quota"),
    ] {
        let namespace = make(&cluster, run, &text).await;
        let began = Instant::now();
        let stuck = loop {
            let readiness = cluster.readiness(&namespace).await.unwrap();
            assert!(!readiness.ready);
            if let Some(stuck) = readiness.stuck {
                break stuck;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{run}: {readiness:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        println!("{run} after {:?}: {stuck}", began.elapsed());
        cluster.remove_namespace(&namespace, run, Duration::from_secs(60)).await.unwrap();
        assert!(
            stuck.contains(expected)
                || (expected == "ErrImagePull" && stuck.contains("ImagePullBackOff")),
            "{run}: {stuck}"
        );
    }
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn what_the_server_lacks_is_known_before_anything_is_made() {
    let cluster = cluster().await;
    let object = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    };
    let text = [
        object("v1", "Namespace"),
        object("apps/v1", "Deploymnet"),
        object("no.such/v1", "Thing"),
        object("apps/v9", "Deployment"),
    ];
    let manifest = Manifest::of_texts([("w.yaml", text.join("---\n").as_str())]);
    let problems = cluster.check_workload(&manifest).await.unwrap().unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    println!("{texts:#?}");
    assert_eq!(texts.len(), 4);
    assert!(
        texts[1].contains("did you mean Deployment?")
            && texts[2].contains("no apiVersion no.such/v1"),
        "{texts:?}"
    );
}

/// The test cluster's kubeconfig with one member of its cluster or user changed.
fn changed(change: impl Fn(&mut serde_json::Value)) -> String {
    let path = std::env::var_os("OUTAGE_TEST_KUBECONFIG").expect("OUTAGE_TEST_KUBECONFIG");
    let mut value: serde_json::Value =
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    value.to_string()
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn what_is_wrong_with_a_connection_is_told_apart() {
    let token = changed(|value| value["users"][0]["user"] = serde_json::json!({"token": "wrong"}));
    let error = Cluster::from_kubeconfig(&token).await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, ClusterError::Unauthorized { .. }), "{error:?}");
    let nobody = changed(|value| {
        value["users"][0]["user"] = serde_json::json!({});
        value["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = true.into();
    });
    let error = Cluster::from_kubeconfig(&nobody).await.unwrap().nodes().await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, ClusterError::Forbidden { .. }), "{error:?}");
    let stranger = changed(|value| {
        drop(
            value["clusters"][0]["cluster"]
                .as_object_mut()
                .unwrap()
                .remove("certificate-authority-data"),
        )
    });
    let error = Cluster::from_kubeconfig(&stranger).await.unwrap_err();
    println!("{error}");
    assert!(matches!(error, ClusterError::Certificate { .. }), "{error:?}");
    let by_name = changed(|value| {
        let server = value["clusters"][0]["cluster"]["server"]
            .as_str()
            .unwrap()
            .replace("127.0.0.1", "localhost");
        value["clusters"][0]["cluster"]["server"] = server.into();
    });
    assert_eq!(Cluster::from_kubeconfig(&by_name).await.unwrap().nodes().await.unwrap().len(), 3);
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG"]
async fn a_users_credential_plugin_is_run() {
    let plugin = changed(|value| {
        let user = value["users"][0]["user"].clone();
        let pem = |field: &str| {
            let data = user[field].as_str().unwrap().to_owned();
            let output = std::process::Command::new("sh")
                .args(["-c", "printf %s \"$0\" | base64 -d", &data])
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let status = serde_json::json!({"clientCertificateData": pem("client-certificate-data"), "clientKeyData": pem("client-key-data")});
        let version = "client.authentication.k8s.io/v1";
        let credential =
            serde_json::json!({"apiVersion": version, "kind": "ExecCredential", "status": status})
                .to_string();
        value["users"][0]["user"] = serde_json::json!({"exec": {"apiVersion": version, "command": "printf", "args": ["%s", credential], "interactiveMode": "Never"}});
    });
    assert_eq!(Cluster::from_kubeconfig(&plugin).await.unwrap().nodes().await.unwrap().len(), 3);
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG and docker"]
async fn pods_on_a_dead_node_do_not_hold_up_the_end() {
    let cluster = cluster().await;
    let namespace = make(&cluster, "t-dead", WEB).await;
    while !cluster.readiness(&namespace).await.unwrap().ready {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let worker = cluster.pods(&namespace, &BTreeMap::new()).await.unwrap()[0].node.clone().unwrap();
    let docker = |action: &str| {
        assert!(
            std::process::Command::new("docker")
                .args([action, &worker])
                .output()
                .unwrap()
                .status
                .success()
        )
    };
    docker("pause");
    let began = Instant::now();
    let removed = cluster.remove_namespace(&namespace, "t-dead", Duration::from_secs(60)).await;
    docker("unpause");
    println!("removed after {:?}", began.elapsed());
    removed.unwrap();
    while !cluster
        .nodes()
        .await
        .unwrap()
        .iter()
        .all(|node| node.ready == crate::timeline::Ready::True)
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
#[ignore = "makes and deletes a kind cluster; needs OUTAGE_TEST_NODE_IMAGE"]
async fn a_cluster_is_made_with_other_settings_and_deleted() {
    let image = std::env::var("OUTAGE_TEST_NODE_IMAGE").expect("OUTAGE_TEST_NODE_IMAGE");
    let kind = Kind::find(&std::env::var_os("PATH").unwrap(), None).unwrap();
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: h-cluster-made\n";
    let wanted = crate::timeline::Tuning {
        node_status_update_frequency: Some(Duration::from_secs(2)),
        node_monitor_grace_period: Some(Duration::from_secs(20)),
        ..Default::default()
    };
    let config = crate::kind_config::testing::config(text).with_tuning(&wanted).unwrap();
    let (name, text) = (config.name.clone(), config.text().to_owned());
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let mut progress = |line: &str| println!("{line}");
    let missing = KindCreate {
        name: &name,
        config_text: &text,
        image: Some("localhost:1/no/such:1"),
        kubeconfig: &kubeconfig,
        progress: &mut progress,
    };
    let began = Instant::now();
    let error = kind.create(missing).await.unwrap_err();
    println!("{error} after {:?}", began.elapsed());
    assert!(matches!(error, KindError::Image { .. }));
    let began = Instant::now();
    let create = KindCreate {
        name: &name,
        config_text: &text,
        image: Some(&image),
        kubeconfig: &kubeconfig,
        progress: &mut progress,
    };
    kind.create(create).await.unwrap();
    println!("made in {:?}", began.elapsed());
    let again = KindCreate {
        name: &name,
        config_text: &text,
        image: Some(&image),
        kubeconfig: &kubeconfig,
        progress: &mut progress,
    };
    let again = kind.create(again).await.unwrap_err();
    let cluster = Cluster::from_kubeconfig(&kind.kubeconfig(&name).await.unwrap()).await.unwrap();
    let (facts, warnings) = cluster.facts(ClusterKind::Kind, &name, None, &[]).await.unwrap();
    let listed = kind.clusters().await.unwrap();
    kind.delete(&name, &kubeconfig).await.unwrap();
    kind.delete(&name, &kubeconfig).await.unwrap();
    assert!(matches!(again, KindError::Exists { .. }), "{again}");
    assert!(listed.contains(&name));
    assert_eq!(warnings, Vec::<String>::new());
    let made = config.for_kubernetes(crate::kind_config::Kubernetes::Exactly(cluster.version()));
    let source = facts.tuning.source;
    assert_eq!(facts.tuning, crate::timeline::Tuning { source, ..made.tuning() });
    assert!(matches!(kind.kubeconfig(&name).await, Err(KindError::NoSuchCluster { .. })));
}

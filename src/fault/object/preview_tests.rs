//! How faults would be undone that name no node.

use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::fake::FakeApi;
use crate::experiment::{Count, Fault, NodeSelector, PodSelector, Pods};
use crate::fault::preview_undo;
use crate::timeline::ObjectRef;

fn scale(namespace: Option<&str>, name: &str) -> Fault {
    Fault::DeploymentScale { deployment: ObjectRef::new(namespace, name), replicas: 0 }
}

async fn previewed(fault: &Fault, cluster: Option<&Cluster>) -> String {
    preview_undo(fault, cluster).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_deployment_that_is_there_is_asked_for_its_size() {
    let dns = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "dns", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "dns"}}, "template": {"spec": {}}}});
    let cluster = FakeApi::with("/apis/apps/v1/namespaces/n/deployments/dns", dns).cluster();
    assert_eq!(
        previewed(&scale(Some("n"), "dns"), Some(&cluster)).await,
        "scale the Deployment n/dns back to 2"
    );
    assert!(preview_undo(&scale(Some("n"), "other"), Some(&cluster)).await.is_err(), "as in a run");
    assert!(
        previewed(&scale(Some("n"), "dns"), None)
            .await
            .ends_with("n/dns back to the replicas it had before")
    );
    assert!(
        previewed(&scale(None, "web"), Some(&cluster))
            .await
            .contains("the Deployment web back to the replicas")
    );
}

#[tokio::test]
async fn what_comes_back_by_itself_is_reported_as_such() {
    let pods = PodSelector { pods: Pods::labelled([("app", "web")]), count: Count::All };
    let deleted = previewed(&Fault::PodDelete { pods: pods.clone() }, None).await;
    let killed = previewed(&Fault::ContainerKill { pods, container: None }, None).await;
    assert!(deleted.starts_with("not needed: ") && killed.starts_with("not needed: the kubelet"));
    let drain = Fault::NodeDrain { target: NodeSelector::default(), options: Default::default() };
    assert_eq!(preview_undo(&drain, None).await.unwrap(), None, "a node's undo names the node");
}

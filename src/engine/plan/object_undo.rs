//! How a fault on objects would be undone, told before there is a run: for a dry run.

use crate::cluster::Cluster;
use crate::engine::error::RunError;
use crate::experiment::Fault;
use crate::fault::{DeploymentScale, ObjectHarm, ObjectUndo};

/// What a dry run says of a fault's end. `None`: the fault is one on a node. Where the cluster is
/// there, a Deployment in a namespace that is not the run's is asked for its size, and refused when
/// it is not there: as in a run.
pub(crate) async fn outlook(
    fault: &Fault,
    step: u32,
    cluster: Option<&Cluster>,
) -> Result<Option<String>, RunError> {
    let said = match (fault, cluster) {
        (Fault::DeploymentScale { namespace: Some(namespace), name, replicas }, Some(cluster)) => {
            let seen = cluster.scale_of(namespace, name).await.map_err(RunError::refused_by)?;
            let (namespace, name) = (namespace.clone(), name.clone());
            let resize = DeploymentScale {
                namespace,
                name,
                uid: seen.uid,
                before: seen.wanted,
                ready: seen.ready,
                replicas: *replicas,
            };
            ObjectUndo::new("dry-run", step, ObjectHarm::DeploymentScale(resize)).describe()
        }
        _ => return Ok(unseen(fault)),
    };
    Ok(Some(said))
}

/// The same where nothing can be asked: the objects are the run's own, or the cluster is not there
/// yet.
fn unseen(fault: &Fault) -> Option<String> {
    Some(match fault {
        Fault::DeploymentScale { .. } => {
            format!("scale {} back to the replicas it had before", fault.deployment()?)
        }
        Fault::DeploymentPlace { .. } => {
            format!("restore the former affinity of {}", fault.deployment()?)
        }
        Fault::PodDelete { .. } => {
            "not needed: deleted pods stay deleted, and their controllers create new ones".into()
        }
        Fault::ContainerKill { .. } => "not needed: the kubelet restarts the containers".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::experiment::{Count, NodeSelector, PodSelector};

    fn scale(namespace: Option<&str>, name: &str) -> Fault {
        Fault::DeploymentScale {
            namespace: namespace.map(str::to_owned),
            name: name.into(),
            replicas: 0,
        }
    }

    async fn said(fault: &Fault, cluster: Option<&Cluster>) -> String {
        outlook(fault, 0, cluster).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_deployment_that_is_there_is_asked_for_its_size() {
        let dns = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "dns", "namespace": "n", "uid": "u", "resourceVersion": "1"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "dns"}}, "template": {"spec": {}}}});
        let cluster = FakeApi::with("/apis/apps/v1/namespaces/n/deployments/dns", dns).cluster();
        assert_eq!(
            said(&scale(Some("n"), "dns"), Some(&cluster)).await,
            "scale the Deployment n/dns back to 2"
        );
        assert!(
            outlook(&scale(Some("n"), "other"), 0, Some(&cluster)).await.is_err(),
            "as in a run"
        );
        assert!(
            said(&scale(Some("n"), "dns"), None)
                .await
                .ends_with("n/dns back to the replicas it had before")
        );
        assert!(
            said(&scale(None, "web"), Some(&cluster))
                .await
                .contains("the Deployment web back to the replicas")
        );
    }

    #[tokio::test]
    async fn what_comes_back_by_itself_is_told_as_such() {
        let pods = PodSelector {
            namespace: None,
            labels: [("app".into(), "web".into())].into(),
            count: Count::All,
        };
        let deleted = said(&Fault::PodDelete { pods: pods.clone() }, None).await;
        let killed = said(&Fault::ContainerKill { pods, container: None }, None).await;
        assert!(
            deleted.starts_with("not needed: ") && killed.starts_with("not needed: the kubelet")
        );
        let drain = Fault::NodeDrain { target: NodeSelector::default() };
        assert_eq!(outlook(&drain, 0, None).await.unwrap(), None, "a node's undo names the node");
    }
}

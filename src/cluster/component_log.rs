//! What the control plane's components wrote, through the API: where no way leads into their nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod as CorePod;
use kube::api::{Api, LogParams};

use super::connect::Cluster;
use super::error::ClusterError;
use crate::timeline::leader::SYSTEM_NAMESPACE;

/// A static pod's component, and the node that it runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComponentPod {
    pub node: String,
    pub component: String,
    pub pod: String,
}

impl Cluster {
    /// The control plane's own pods, as kubeadm labels them; none where it is hidden.
    pub(crate) async fn component_pods(&self) -> Result<Vec<ComponentPod>, ClusterError> {
        let labels = BTreeMap::from([("tier".to_owned(), "control-plane".to_owned())]);
        let pods = self.pods(SYSTEM_NAMESPACE, &labels).await?;
        let component = |pod: super::Pod| {
            let component = pod.labels.get("component")?.clone();
            Some(ComponentPod { node: pod.node?, component, pod: pod.name })
        };
        Ok(pods.into_iter().filter_map(component).collect())
    }

    /// The end of what a pod's container wrote since so long ago.
    pub(crate) async fn component_log(
        &self,
        of: &ComponentPod,
        back: Duration,
        most_bytes: usize,
    ) -> Result<String, ClusterError> {
        let api: Api<CorePod> = Api::namespaced(self.client(), SYSTEM_NAMESPACE);
        let params = LogParams {
            container: Some(of.component.clone()),
            since_seconds: i64::try_from(back.as_secs()).ok(),
            limit_bytes: i64::try_from(most_bytes).ok(),
            timestamps: true,
            ..LogParams::default()
        };
        let what = format!("read the log of pod {SYSTEM_NAMESPACE}/{}", of.pod);
        self.call(what, api.logs(&of.pod, &params)).await
    }
}

//! The small object that probes of the API server read and write.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};

use super::connect::Cluster;
use super::error::ClusterError;

/// The object's name: a ConfigMap of the run's namespace.
pub(crate) const CANARY_OBJECT: &str = "outage-canary";

impl Cluster {
    /// Makes it, in a namespace of ours; it goes with the namespace. Errors when it is there
    /// already: it would be somebody else's.
    pub(crate) async fn create_canary_object(&self, namespace: &str) -> Result<(), ClusterError> {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(CANARY_OBJECT.to_owned());
        let api: Api<ConfigMap> = Api::namespaced(self.client(), namespace);
        self.call(
            format!("create the ConfigMap {CANARY_OBJECT}"),
            api.create(&PostParams::default(), &object),
        )
        .await
        .map(drop)
    }
}

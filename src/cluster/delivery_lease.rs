//! A Lease of our own, renewed so that watches have something to deliver: how late they do so is how
//! far a moment that they show may be off.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::connect::Cluster;
use super::error::ClusterError;
use super::namespace::MANAGED_BY;
use crate::timeline::DELIVERY_LEASE;

impl Cluster {
    /// Makes it, in a namespace of ours; it goes with the namespace.
    pub(crate) async fn create_delivery_lease(&self, namespace: &str) -> Result<(), ClusterError> {
        let mut lease = Lease::default();
        lease.metadata.name = Some(DELIVERY_LEASE.to_owned());
        lease.metadata.labels =
            Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into_iter().collect());
        let api: Api<Lease> = Api::namespaced(self.client(), namespace);
        let what = format!("create the Lease {DELIVERY_LEASE}");
        match self.call(what, api.create(&PostParams::default(), &lease)).await {
            // Of a run whose workload was taken over.
            Err(ClusterError::AlreadyExists { .. }) => Ok(()),
            made => made.map(drop),
        }
    }

    /// Changes who holds it: whoever watches it sees that.
    pub(crate) async fn renew_delivery_lease(
        &self,
        namespace: &str,
        holder: &str,
    ) -> Result<(), ClusterError> {
        let api: Api<Lease> = Api::namespaced(self.client(), namespace);
        let patch = Patch::Merge(json!({"spec": {"holderIdentity": holder}}));
        self.call(
            format!("renew the Lease {DELIVERY_LEASE}"),
            api.patch(DELIVERY_LEASE, &PatchParams::default(), &patch),
        )
        .await
        .map(drop)
    }
}

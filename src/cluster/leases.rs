//! Leases, as signs of life.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::connect::Cluster;
use super::error::ClusterError;

impl Cluster {
    /// The version of each Lease of a namespace, by name: another one says that it was renewed in between, whatever the clocks say.
    pub async fn lease_versions(&self, namespace: &str) -> Result<BTreeMap<String, String>, ClusterError> {
        let leases: Api<Lease> = Api::namespaced(self.client(), namespace);
        let leases = self.list_all("list the Leases", leases, ListParams::default()).await?;
        Ok(leases.into_iter().map(|lease| (lease.name_any(), lease.resource_version().unwrap_or_default())).collect())
    }
}

//! Leases as they are now: who leads, and which nodes are alive.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::connect::Cluster;
use super::error::ClusterError;
use super::node::ready_condition;
use super::objects;
use crate::timeline::Component;
use crate::timeline::leader::{LEADER_LEASES, NODE_LEASES, node_of};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// The version of its Lease; `None`: it has none.
    lease: Option<String>,
    status: Option<jiff::Timestamp>,
    /// For how long its Lease says that it lasts.
    lasts: Option<Duration>,
}

impl Heartbeat {
    /// Whether the other is another heartbeat.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        (&self.lease, self.status) != (&other.lease, other.status)
    }

    /// How often the kubelet renews its Lease: in a quarter of the time for which it lasts
    /// (`nodeLeaseRenewIntervalFraction` in `pkg/kubelet/kubelet.go`). `None`: not known.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.lasts.map(|lasts| lasts / 4)
    }
}

impl Cluster {
    /// The node on which each part of the control plane leads that holds a lease for it. (etcd's
    /// leader is in no lease.)
    pub(crate) async fn leaders(&self) -> Result<BTreeMap<Component, String>, ClusterError> {
        Ok(self
            .leases("find the leaders", LEADER_LEASES)
            .await?
            .iter()
            .filter_map(leader)
            .collect())
    }

    /// The version of each Lease of a namespace, by name: another one says that it was renewed in
    /// between, whatever the clocks say.
    pub(crate) async fn lease_versions(
        &self,
        namespace: &str,
    ) -> Result<BTreeMap<String, String>, ClusterError> {
        let leases = self.leases("list the Leases", namespace).await?;
        Ok(leases
            .into_iter()
            .map(|lease| (lease.name_any(), lease.resource_version().unwrap_or_default()))
            .collect())
    }

    /// How old each node's last heartbeat is, by the node's clock and this machine's; negative: the
    /// node's clock is ahead.
    pub(crate) async fn heartbeat_ages(
        &self,
    ) -> Result<BTreeMap<String, SignedDuration>, ClusterError> {
        let leases = self.leases("list the heartbeats of the nodes", NODE_LEASES).await?;
        let now = jiff::Timestamp::now();
        let age = |lease: &Lease| {
            let renewed = lease.spec.as_ref()?.renew_time.as_ref()?.0;
            Some((lease.name_any(), now.duration_since(renewed)))
        };
        Ok(leases.iter().filter_map(age).collect())
    }

    /// A node's last heartbeat: another one is another heartbeat, whatever the clocks say.
    pub(crate) async fn heartbeat_of(&self, node: &str) -> Result<Heartbeat, ClusterError> {
        let what = || format!("read the heartbeat of node {node}");
        let leases: Api<Lease> = Api::namespaced(self.client(), NODE_LEASES);
        let lease = self.call(what(), leases.get(node)).await;
        let lease = match lease {
            Err(error) if error.is_not_found() => None,
            lease => Some(lease?),
        };
        let lasts = lease
            .as_ref()
            .and_then(|lease| u64::try_from(lease.spec.as_ref()?.lease_duration_seconds?).ok())
            .map(Duration::from_secs);
        let lease = lease.and_then(|lease| lease.resource_version());
        let nodes: Api<objects::Node> = Api::all(self.client());
        let node = self.call(what(), nodes.get(node)).await?;
        let heartbeat = ready_condition(&node).and_then(|ready| ready.last_heartbeat_time.as_ref());
        let status = heartbeat.map(|time| time.0);
        Ok(Heartbeat { lease, status, lasts })
    }

    async fn leases(&self, what: &str, namespace: &str) -> Result<Vec<Lease>, ClusterError> {
        self.list_all(what, Api::namespaced(self.client(), namespace), ListParams::default()).await
    }
}

fn leader(lease: &Lease) -> Option<(Component, String)> {
    let component = Component::named(&lease.name_any())?;
    let holder =
        lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    Some((component, node_of(holder).to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_names_its_leader() {
        let of = |name: &str, holder: &str| {
            let lease = json!({"metadata": {"name": name}, "spec": {"holderIdentity": holder}});
            leader(&serde_json::from_value(lease).unwrap())
        };
        assert_eq!(of("kube-scheduler", "cp2_6f2c-11"), Some((Component::Scheduler, "cp2".into())));
        assert_eq!(of("kube-scheduler", ""), None);
        assert_eq!(of("something-else", "cp2_6f2c-11"), None);
    }
}

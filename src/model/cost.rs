//! What a tuning costs: the writes that heartbeats are, for API server and etcd.
//!
//! Each heartbeat is one request and one write: a PATCH of the node's status (read from the
//! kubelet's own watch before, not asked for: `kubelet_node_status.go`, `tryUpdateNodeStatus`), a
//! PUT of its Lease (`component-helpers`, `apimachinery/lease`). Kubelets wait up to 4 % longer
//! than their setting, which is left out here: these are upper ends. So is the rest of a cluster's
//! life (pods, events, the fan-out of each write to those who watch).

use serde::{Deserialize, Serialize};

use super::detection::{lease_interval, status_interval};
use crate::timeline::Tuning;

/// Heartbeats as load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    pub nodes: u32,
    /// Posts of the nodes' status, a second.
    pub status_writes_per_second: f64,
    /// Renewals of the nodes' leases, a second.
    pub lease_writes_per_second: f64,
    /// Both: requests to the API server, and as many writes to etcd, a second.
    pub writes_per_second: f64,
    pub writes_per_minute: f64,
}

/// What the heartbeats of so many nodes cost. Settings that are not set are Kubernetes' defaults;
/// one of zero costs nothing.
pub(crate) fn cost(tuning: &Tuning, nodes: u32) -> Cost {
    let rate = |interval: std::time::Duration| match interval.as_secs_f64() {
        0.0 => 0.0,
        seconds => f64::from(nodes) / seconds,
    };
    let (status, lease) = (rate(status_interval(tuning)), rate(lease_interval(tuning)));
    Cost {
        nodes,
        status_writes_per_second: status,
        lease_writes_per_second: lease,
        writes_per_second: status + lease,
        writes_per_minute: (status + lease) * 60.0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn every(seconds: u64) -> Tuning {
        Tuning {
            node_status_update_frequency: Some(Duration::from_secs(seconds)),
            ..Tuning::default()
        }
    }

    /// The article: 1000 nodes at 1 s are 60 000 status updates a minute; the leases come on top.
    #[test]
    fn the_article_s_thousand_nodes() {
        let cost = cost(&every(1), 1000);
        assert_eq!(
            (cost.status_writes_per_second * 60.0, cost.lease_writes_per_second * 60.0),
            (60_000.0, 6_000.0)
        );
        assert_eq!((cost.writes_per_second, cost.writes_per_minute), (1100.0, 66_000.0));
    }

    /// By default the status comes every five minutes and the lease every ten seconds.
    #[test]
    fn the_defaults_are_mostly_leases() {
        let cost = cost(&Tuning::defaults("v1.34.4"), 1000);
        assert_eq!(
            (cost.status_writes_per_second * 60.0, cost.lease_writes_per_second * 60.0),
            (200.0, 6_000.0)
        );
    }

    proptest! {
        #[test]
        fn more_nodes_and_shorter_intervals_cost_more(seconds in 1u64..600, nodes in 1u32..5000) {
            let here = cost(&every(seconds), nodes).writes_per_second;
            prop_assert!(cost(&every(seconds), nodes + 1).writes_per_second > here);
            prop_assert!(cost(&every(seconds + 1), nodes).writes_per_second < here);
        }
    }
}

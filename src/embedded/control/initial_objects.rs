//! The objects that are there from the beginning.

use std::net::SocketAddr;

use super::registry::Registry;
use crate::embedded::network::Block;
use crate::embedded::objects::node::NodeFacts;
use crate::embedded::objects::{lease, node, system};
use crate::embedded::store::{Store, kinds};
use crate::model::{Component, NodeSpec, Topology};
use crate::timeline::{NodeRole, Tolerations, Tuning};

const LEASE_SECONDS: u64 = 40;

/// What they are made from.
pub(crate) struct InitialObjects<'a> {
    pub topology: &'a Topology,
    pub tuning: &'a Tuning,
    pub tolerations: Tolerations,
    pub kubernetes: &'a str,
    pub registry: &'a Registry,
    pub block: &'a Block,
    pub api: SocketAddr,
}

impl InitialObjects<'_> {
    pub(crate) fn write(&self, store: &Store) {
        let now = jiff::Timestamp::now();
        for name in system::NAMESPACES {
            store.put(&kinds::NAMESPACES, system::namespace(name));
        }
        store.put(&kinds::SERVICES, system::kubernetes_service(self.api));
        for (number, spec) in self.topology.nodes.iter().enumerate() {
            self.node(store, number, spec, now);
        }
        for component in [Component::Scheduler, Component::ControllerManager] {
            store.put(&kinds::LEASES, lease::of_leader(component.name()));
        }
    }

    fn node(&self, store: &Store, number: usize, spec: &NodeSpec, now: jiff::Timestamp) {
        let (address, pod_cidr) =
            (self.registry.nodes[number].address, self.block.pod_cidr(number));
        store.put(
            &kinds::NODES,
            node::new(
                NodeFacts { spec, address, pod_cidr: &pod_cidr, version: self.kubernetes },
                now,
            ),
        );
        let seconds =
            self.tuning.node_lease_duration.map_or(LEASE_SECONDS, |duration| duration.as_secs());
        store.put(&kinds::LEASES, lease::of_node(&spec.name, seconds, now));
        if spec.role == NodeRole::ControlPlane {
            for component in Component::ALL {
                let pod = system::static_pod(
                    component.name(),
                    &spec.name,
                    &address.to_string(),
                    self.tuning,
                    self.tolerations,
                    now,
                );
                store.put(&kinds::PODS, pod);
            }
        }
    }
}

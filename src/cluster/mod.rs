//! The Kubernetes adapter and kind's life cycle: the only place that names kube's client.

mod access;
mod canary;
mod canary_object;
mod configz;
mod connect;
mod deployment;
mod drain;
mod error;
mod facts;
#[cfg(test)]
pub(crate) mod fake;
mod inventory;
mod kind;
mod kind_nodes;
mod kind_output;
mod kubeconfig;
mod leases;
mod leftovers;
mod names;
mod namespace;
pub(crate) mod objects;
mod placement;
mod query;
mod readiness;
mod workload;

pub(crate) use access::ApiAccess;
pub(crate) use canary::{CANARY_LABEL, CANARY_PREFIX, CanaryClient};
pub(crate) use canary_object::CANARY_OBJECT;
pub(crate) use connect::Cluster;
pub(crate) use deployment::Scale;
pub(crate) use drain::{Cordon, Evicted};
pub(crate) use error::ClusterError;
pub(crate) use error::chain as innermost;
pub(crate) use kind::{Kind, KindCreate, KindError};
pub(crate) use kind_nodes::NodeContainer;
pub(crate) use kubeconfig::kubeconfig_paths;
pub(crate) use placement::{Placement, onto, turned};
pub(crate) use query::{ClusterDns, Node, Pod, Service};
pub(crate) use query::{endpoints_endpoints, node_ready, pod_ready, slice_endpoints};
pub(crate) use workload::Workload;

#[cfg(test)]
mod real_tests;

#[cfg(test)]
pub(crate) use access::ApiTls;
#[cfg(test)]
pub(crate) use leftovers::Leftovers;

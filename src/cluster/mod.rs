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
mod kind_config;
mod kind_nodes;
mod kind_settings;
mod kind_tuning;
mod kind_words;
mod kubeconfig;
mod leases;
mod leftovers;
mod manifest;
mod names;
mod namespace;
pub(crate) mod objects;
mod placement;
mod query;
mod readiness;
mod workload;

pub use access::{ApiAccess, ApiTls};
pub use canary::{CANARY_LABEL, CANARY_PREFIX, Perch};
pub use canary_object::CANARY_OBJECT;
pub use connect::Cluster;
pub use deployment::Scale;
pub use drain::{Cordon, Evicted};
pub use error::ClusterError;
pub(crate) use error::chain as innermost;
pub use facts::default_tuning;
pub use kind::{Kind, KindCreate, KindError};
pub use kind_config::{KindConfig, KindConfigError, differences};
pub use kind_nodes::{NodeContainer, find_kind_cluster};
pub use kind_tuning::with_tuning;
pub use kubeconfig::kubeconfig_paths;
pub use leftovers::Leftovers;
pub use manifest::{Manifest, ManifestError, ManifestObject};
pub use namespace::RUN_LABEL;
pub use placement::{Placement, onto, turned};
pub use query::{ClusterDns, Node, Pod, Service, ServicePort};
pub(crate) use query::{endpoints_endpoints, node_ready, pod_ready, slice_endpoints};
pub use readiness::Readiness;
pub use workload::Workload;

#[cfg(test)]
mod real_tests;

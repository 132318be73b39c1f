//! The Kubernetes adapter and kind's life cycle: the only place that names kube's client.

mod access;
mod any_object;
mod application;
mod authorization;
mod canary;
mod canary_object;
mod component_log;
mod configz;
mod connect;
mod delivery_lease;
mod deployment;
mod drain;
mod dry_run;
mod error;
mod exec_plugin;
mod facts;
#[cfg(test)]
pub(crate) mod fake;
mod helper_pod;
mod inventory;
mod kind;
mod kind_error;
mod kind_nodes;
mod kind_output;
mod kubeconfig;
mod labels;
mod leases;
mod leftovers;
mod marked_node;
mod may;
mod metrics;
mod namespace;
mod node;
pub(crate) mod objects;
mod occupancy;
mod pod_exec;
mod pod_problems;
mod process_group;
mod query;
mod readiness;
mod renewal;
mod resolver;
mod retry;
mod workload;

pub(crate) use access::{ApiAccess, ClientIdentity};
pub(crate) use any_object::{AnyObject, ServedKind};
pub(crate) use application::{Application, ApplicationPort, ReadinessProbe};
pub(crate) use canary::{CANARY_LABEL, CANARY_PREFIX, CanaryClient};
pub(crate) use canary_object::CANARY_OBJECT;
pub(crate) use component_log::ComponentPod;
pub(crate) use connect::Cluster;
pub(crate) use deployment::{DeploymentChange, DeploymentState, onto, turned};
pub(crate) use drain::{Evicted, Eviction, Obstacles, PodOnNode};
pub(crate) use error::ClusterError;
pub(crate) use error::chain as innermost;
pub(crate) use helper_pod::{HELPER_PROCESS, HelperPod, PodHost};
pub(crate) use inventory::Inventory;
pub(crate) use kind::{Kind, KindCreate};
pub(crate) use kind_error::KindError;
pub(crate) use kind_nodes::NodeContainer;
pub(crate) use kubeconfig::{context_names, kubeconfig_of, kubeconfig_paths};
pub(crate) use labels::Marked;
pub(crate) use leases::Heartbeat;
pub(crate) use marked_node::MarkedNode;
pub(crate) use may::AccessRequest;
pub(crate) use metrics::WriteCounters;
pub(crate) use node::{Node, node_ready, ready_condition};
pub(crate) use occupancy::ReadyPods;
pub(crate) use pod_exec::PodOutput;
pub(crate) use pod_problems::PodProblem;
pub(crate) use process_group::ProcessGroup;
pub(crate) use query::{ClusterDns, Ingress, Pod, Service};
pub(crate) use query::{endpoints_endpoints, owner, pod_ready, slice_endpoints};
pub(crate) use readiness::Readiness;
pub(crate) use workload::Workload;

#[cfg(test)]
pub(crate) mod versions_tests;

#[cfg(test)]
pub(crate) use access::ApiTls;
#[cfg(test)]
pub(crate) use leftovers::Leftovers;
#[cfg(test)]
pub(crate) use query::ServicePort;

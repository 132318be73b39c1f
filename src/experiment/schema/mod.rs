//! What an experiment can say. The types of these files are the schema: every field says its
//! default.
//!
//! They are plain data and can be written as JSON (the timeline's header holds one) and read again.

mod applied_object;
mod blast_radius;
mod commands;
mod expectation;
mod fault;
mod named;
mod probe;
mod selector;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::claim::Claim;
use crate::timeline::ObjectRef;

pub(crate) use applied_object::{AppliedObject, Sign, is_path};
pub(crate) use blast_radius::{Affected, BlastRadius, Excess};
pub(crate) use commands::{Check, Commands, Placeholder, fill, typed};
pub(crate) use expectation::{
    Bound, DEFAULT_WINDOW, During, ErrorTime, Expectation, every_expectation,
};
pub(crate) use fault::{Direction, DrainOptions, Fault, Side, every_fault};
pub(crate) use named::Named;
pub(crate) use probe::{
    ApiServer, ApiVerb, Ask, BodyJson, Canary, ClientCertificate, Connection, DnsName, FileText,
    From, GrpcAsk, HttpAsk, Method, NamedFile, PortOn, Probe, SecretKey, StatusRange, Target,
    TlsSettings, Via,
};
pub(crate) use selector::{Count, NodeSelector, PodSelector, Pods, PodsBy};

/// The `apiVersion` of every experiment.
pub(crate) const API_VERSION: &str = "outage/v1alpha1";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// `metadata.name`: a DNS label.
    pub name: String,
    /// What it asks, in a sentence. Default: none.
    pub question: Option<String>,
    /// Claims that the verdict, or some of the expectations, decide. Default: none.
    #[serde(default)]
    pub claims: Vec<Claim>,
    /// What it runs on.
    pub cluster: Cluster,
    /// Where what exists already is looked for by a bare name that no file of the workload defines
    /// (`-n`). Default: with a workload none, else `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Files of Kubernetes objects, relative to the experiment's file. They live in a namespace of
    /// the run's own. Default: none.
    pub workload: Vec<PathBuf>,
    /// How long the workload may take to become ready. Default: 120 s.
    pub workload_timeout: Duration,
    /// What is asked, and how often.
    pub probes: Vec<Probe>,
    /// What must hold before the first fault, and again afterwards.
    pub steady_state: Vec<Condition>,
    /// How long the steady state may take to be reached. Default: 120 s.
    pub steady_state_timeout: Duration,
    /// What is done, in this order.
    pub method: Vec<Step>,
    /// What must be so. Default: nothing (the run measures only).
    pub expect: Vec<Expectation>,
    /// How much may be affected at the same time.
    pub blast_radius: BlastRadius,
}

/// What an experiment runs on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cluster {
    /// A kind cluster, made when it is absent.
    Kind {
        /// The kind config, relative to the experiment's file; it must have a `name:`.
        config: PathBuf,
        /// Settings of failure detection that replace the config's. The cluster's name then ends in
        /// them.
        tuning: Option<TuningRequest>,
    },
    /// The context that the command line names, or the current one.
    Context,
    /// This kubeconfig context.
    NamedContext {
        name: String,
        /// The context whose cluster faults may hit although it is not kind's: the same one, said
        /// again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow_context: Option<String>,
        /// The image of the pods that lead into its nodes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        helper_image: Option<String>,
        /// Settings of failure detection, where they cannot be read from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<MonitorSettings>,
    },
}

/// Settings of the controller manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitorSettings {
    /// `--node-monitor-period`.
    pub node_monitor_period: Option<Duration>,
    /// `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Option<Duration>,
}

impl std::convert::From<MonitorSettings> for crate::timeline::Tuning {
    fn from(given: MonitorSettings) -> Self {
        Self {
            node_monitor_period: given.node_monitor_period,
            node_monitor_grace_period: given.node_monitor_grace_period,
            ..Self::default()
        }
    }
}

/// Settings of failure detection that are asked for. What is absent stays as the kind config has
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TuningRequest {
    /// The kubelet's `nodeStatusUpdateFrequency`.
    pub node_status_update_frequency: Option<Duration>,
    /// The controller manager's `--node-monitor-period`.
    pub node_monitor_period: Option<Duration>,
    /// The controller manager's `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Option<Duration>,
}

impl std::convert::From<TuningRequest> for crate::timeline::Tuning {
    fn from(request: TuningRequest) -> Self {
        Self {
            node_status_update_frequency: request.node_status_update_frequency,
            node_monitor_period: request.node_monitor_period,
            node_monitor_grace_period: request.node_monitor_grace_period,
            ..Self::default()
        }
    }
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    /// Nodes are Ready: `all`, or at least so many.
    NodesReady(Quantity),
    /// A Service has at least so many ready endpoints.
    EndpointsReady { service: ObjectRef, at_least: u32 },
    /// A probe succeeds.
    Probe {
        /// The probe.
        name: String,
        /// The least share of attempts that succeed, 0 to 1.
        success_ratio: f64,
        /// For how long.
        hold: Duration,
    },
}

/// All, or at least a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    All,
    AtLeast(u32),
}

/// One step of a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// A fault is injected, held, and undone.
    Fault {
        /// By what others speak of it: a DNS label, unique in the experiment. Default: none.
        #[serde(default)]
        name: Option<String>,
        /// What is done.
        fault: Fault,
        /// How long it lasts, from its confirmation.
        hold: Duration,
        /// What is done one after the other from its confirmation on, beside it; it may outlast the
        /// fault. Default: nothing.
        #[serde(default)]
        meanwhile: Vec<Step>,
    },
    /// Nothing is done for a while.
    Pause {
        /// For how long.
        hold: Duration,
    },
}

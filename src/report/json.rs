//! A run as JSON (and as YAML, which is the same value).

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::claims::DecidedClaim;
use super::comparison::Comparison;
use super::printable::data;
use super::summary::Summary;
use super::view::View;
use crate::analysis::Findings;
use crate::compare::Comparisons;
use crate::prediction::StepPrediction;
use crate::stats::Seconds;
use crate::timeline::{ClusterKind, Retry, Shard, TuningSource};
use crate::verdict::Verdict;

/// The version of the form.
pub const FORMAT: &str = "outage.report/v1";

/// A run, measured and judged. Times are seconds after the run's +0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this form, `outage.report/v1`.
    pub format: String,
    /// The program that made the run.
    pub program: String,
    /// The run's id.
    pub run: String,
    /// The experiment's name.
    pub experiment: String,
    /// What the experiment asks.
    pub question: Option<String>,
    /// Which of how many runs this is, from 1.
    pub repetition: Option<(u32, u32)>,
    /// The run that it makes again; absent: it is the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The shard that it belongs to (`run --shard`); absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The tries before it, which were inconclusive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_tries: Vec<Summary>,
    /// The seed of every random choice.
    pub seed: u64,
    /// What it ran on.
    pub cluster: Cluster,
    /// How it was judged.
    pub verdict: Verdict,
    /// Its state in a word: `refused`, `running`, `unfinished`, `flaky` (it passed as a retry), else the verdict's outcome.
    #[serde(default)]
    pub state: String,
    /// The claims that it decides.
    pub claims: Vec<DecidedClaim>,
    /// What the model predicts for each fault, from the settings alone.
    pub predictions: Vec<StepPrediction>,
    /// Predictions compared with measurements.
    #[serde(rename = "beside")]
    pub comparisons: Vec<Comparison>,
    /// What was found.
    pub findings: Findings,
    /// It beside the runs of a baseline, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparisons>,
}

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// `kind`, `context` or `embedded`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The API server's version.
    pub kubernetes: String,
    /// The container engine and its version.
    pub engine: Option<String>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// The effective settings of failure detection.
    pub tuning: Tuning,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// `control-plane`, `worker` or `external-load-balancer`.
    pub role: String,
    /// Its kubelet's version.
    pub kubelet: String,
}

/// Failure-detection settings; those that are absent could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tuning {
    /// The kubelet's `nodeStatusUpdateFrequency`.
    pub node_status_update_frequency: Option<Seconds>,
    /// The kubelet's `nodeStatusReportFrequency`.
    pub node_status_report_frequency: Option<Seconds>,
    /// The kubelet's `nodeLeaseDurationSeconds`.
    pub node_lease_duration: Option<Seconds>,
    /// The controller manager's `--node-monitor-period`.
    pub node_monitor_period: Option<Seconds>,
    /// The controller manager's `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Option<Seconds>,
    /// `cluster` (read from it), `config` (asked for), `defaults` or `unknown`.
    pub source: String,
}

impl Report {
    /// A run in this form.
    pub fn new(view: &View<'_>) -> Self {
        let header = &view.timeline.header;
        Self {
            format: FORMAT.into(),
            program: header.program.clone(),
            run: header.run.clone(),
            experiment: header.name.clone(),
            question: crate::prediction::experiment(header)
                .and_then(|experiment| experiment.question),
            repetition: header.repetition,
            retry: header.retry.clone(),
            shard: header.shard,
            earlier_tries: Vec::new(),
            seed: header.seed,
            cluster: Cluster::new(&header.cluster),
            verdict: view.verdict.clone(),
            state: view.state(),
            claims: view.decided(),
            predictions: view.predictions.steps.clone(),
            comparisons: view.comparisons(),
            findings: view.findings.clone(),
            baseline: None,
        }
    }
}

impl Cluster {
    fn new(facts: &crate::timeline::ClusterFacts) -> Self {
        let kind = match facts.kind {
            ClusterKind::Kind => "kind",
            ClusterKind::Context => "context",
            ClusterKind::Embedded => "embedded",
        };
        let node = |node: &crate::timeline::NodeFacts| Node {
            name: node.name.clone(),
            role: node.role.name().into(),
            kubelet: node.kubelet.clone(),
        };
        Self {
            kind: kind.into(),
            name: facts.name.clone(),
            kubernetes: facts.kubernetes.clone(),
            engine: facts.engine.clone(),
            nodes: facts.nodes.iter().map(node).collect(),
            tuning: Tuning::new(&facts.tuning),
        }
    }
}

impl Tuning {
    fn new(tuning: &crate::timeline::Tuning) -> Self {
        let source = match tuning.source {
            TuningSource::Unknown => "unknown",
            TuningSource::Cluster => "cluster",
            TuningSource::Defaults => "defaults",
            TuningSource::Config => "config",
            TuningSource::Kubelets => "kubelets",
        };
        Self {
            node_status_update_frequency: tuning.node_status_update_frequency.map(Seconds::from),
            node_status_report_frequency: tuning.node_status_report_frequency.map(Seconds::from),
            node_lease_duration: tuning.node_lease_duration.map(Seconds::from),
            node_monitor_period: tuning.node_monitor_period.map(Seconds::from),
            node_monitor_grace_period: tuning.node_monitor_grace_period.map(Seconds::from),
            source: source.into(),
        }
    }
}

pub fn pretty(value: &impl Serialize) -> String {
    format!("{:#}\n", data(value))
}

/// The same in one line.
pub fn line(value: &impl Serialize) -> String {
    data(value).to_string()
}

pub fn yaml(value: &impl Serialize) -> String {
    serde_saphyr::to_string(&data(value)).expect("JSON values are YAML")
}

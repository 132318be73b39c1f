//! What can be typed: the flags, once, from which help and completions come.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit::{self, FailOn};
use super::form::Output;
use super::generator::ChosenFault;
use crate::compare::FloorPart;
use crate::experiment::{typed_image, typed_namespace, typed_service};
use crate::timeline::{ObjectRef, Shard};
use crate::tune::Rate;

/// Chaos experiments for Kubernetes: inject a fault, and measure what users would have noticed
#[derive(Debug, Parser)]
#[command(name = "kubectl outage", bin_name = "kubectl outage", version, after_help = exit::HELP, max_term_width = 110)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Directory for recorded runs [env: OUTAGE_RUNS_DIR] [default: runs/ in the XDG state directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub runs_dir: Option<PathBuf>,
    /// Colorize the output
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run experiments: inject faults, measure the impact, undo, and judge the result
    Run(Run),
    /// Run an experiment in several variants, many times each, and compare the results
    Study(Study),
    /// Write an experiment for an existing Service
    Init(Init),
    /// Check experiments without connecting to a cluster
    Validate(Validate),
    /// Check whether experiments could run in their cluster; changes nothing
    Preflight(PreflightArgs),
    /// Print the minimal ClusterRole and Roles that experiments need
    Rbac(Rbac),
    /// Check the failure-detection settings of kind configs or a running cluster
    Lint(Lint),
    /// Predict what an experiment will measure, without running it
    Predict(Predict),
    /// Recommend failure-detection settings for a detection time, cost and false-positive rate
    Tune(Tune),
    /// List recorded runs, recorded studies or built-in experiments
    Get(Get),
    /// Show details of a recorded run or study
    Describe(Describe),
    /// Print the report of recorded runs, offline
    Report(Report),
    /// Compare recorded runs with each other or with a baseline, offline
    Compare(Compare),
    /// Undo the faults that an interrupted run left behind
    Recover(Recover),
    /// Start an embedded cluster (a simulated Kubernetes with a real API) and keep it until Ctrl-C
    Cluster(Cluster),
    /// Explain the fields of experiments, studies and reports
    Explain(Explain),
    /// Print a JSON schema: of reports (`-o json`), of comparisons, or of files
    Schema(Schema),
    /// Generate shell completions
    Completion(Completion),
    /// Print the version of this program, and with --context also that of the API server
    Version(Version),
    /// What may follow these words, for kubectl's completion
    #[command(name = "__complete", hide = true)]
    Complete(Complete),
    /// The prober inside a node
    #[command(hide = true)]
    Agent(Agent),
    /// The process that undoes faults when a run has died
    #[command(hide = true)]
    Watchdog(Watchdog),
}

/// Which experiments.
#[derive(Clone, Debug, Args)]
pub(super) struct Experiments {
    /// Experiment file or directory (repeatable); `-` reads standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Built-in experiments (see `kubectl outage get experiments`)
    #[arg(value_name = "EXPERIMENT")]
    pub names: Vec<String>,
    /// Namespace of existing objects that are named without one [default: the experiment's `namespace`]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = typed_namespace)]
    pub namespace: Option<String>,
}

impl Experiments {
    /// Files, then built-in experiments, as they were typed.
    pub(super) fn all(&self) -> Vec<String> {
        let files = self.filename.iter().map(|file| file.to_string_lossy().into_owned());
        files.chain(self.names.iter().cloned()).collect()
    }
}

/// Which of the experiments.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct PartFlags {
    /// Only shard K of N: one of N parts of the experiments, of similar duration; each of N machines uses another K
    #[arg(long, value_name = "K/N")]
    pub shard: Option<Shard>,
}

/// How the cluster and the engine are reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct Access {
    /// Run in the cluster of this kubeconfig context instead of the experiment's kind cluster
    #[arg(long, value_name = "NAME", value_parser = context_name)]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Allow faults in the cluster of this context although it is not a kind cluster of this machine
    #[arg(long, value_name = "NAME", value_parser = context_name)]
    pub allow_context: Option<String>,
    /// Container engine to use: unix:///path or tcp://host:port [default: the one that the docker CLI uses, then Podman's socket]
    #[arg(long, value_name = "ADDRESS")]
    pub docker_host: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub experiments: Experiments,
    #[command(flatten)]
    pub part: PartFlags,
    #[arg(long, value_name = "SERVICE", value_parser = typed_service, conflicts_with_all = ["filename", "cluster", "shard"], help = FOR_SERVICE, long_help = with_faults(FOR_SERVICE))]
    pub service: Option<ObjectRef>,
    /// Save the experiment that --service writes to this new file, also with --dry-run
    #[arg(long, value_name = "FILE", requires = "service")]
    pub save: Option<PathBuf>,
    /// Print the plan and change nothing; -o json prints it as data
    #[arg(long)]
    pub dry_run: bool,
    /// Draw faults, nodes, endpoints and probes as they change, with the last errors and what will be undone
    #[arg(long, conflicts_with = "dry_run")]
    pub watch: bool,
    /// Run each experiment N times, each at a random phase, and report the distribution
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u32>(1..=1000))]
    pub repeat: u32,
    /// Run experiments on N clusters at the same time; kind clusters are created beside each other, at most one for each core
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u32>(1..=100))]
    pub parallel: u32,
    /// Repeat an inconclusive run at most N times; the report shows every try, and a pass after a retry as FLAKY
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole::<u32>(0..=100))]
    pub retries: u32,
    /// Output format; FORMAT=FILE also writes a file (repeatable)
    #[arg(short, long, default_value = "text", value_name = "FORMAT[=FILE]")]
    pub output: Vec<Output>,
    /// Directory for the reports in all formats, the recorded runs, and the logs of the cluster's components during each
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    pub artifacts: Option<PathBuf>,
    /// Write events as JSON lines, as they happen, to this file or file descriptor (`fd:3`)
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub events: Option<String>,
    /// Exit with a non-zero code for this outcome and for more severe ones
    #[arg(long, value_enum, value_name = "OUTCOME", default_value_t = FailOn::Inconclusive)]
    pub fail_on: FailOn,
    #[command(flatten)]
    pub execution: Execution,
    #[command(flatten)]
    pub history: BaselineFlags,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Study {
    /// Study file; `-` reads standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "name")]
    pub filename: Option<PathBuf>,
    /// Built-in study, such as node-monitor
    #[arg(value_name = "STUDY")]
    pub name: Option<String>,
    /// Print cells, runs, clusters and the shortest duration, and change nothing; -o json prints it as data
    #[arg(long)]
    pub dry_run: bool,
    /// Time budget: start no run that would end later, and give runs to the cell with the widest interval
    #[arg(long = "for", value_name = "DURATION", value_parser = setting)]
    pub budget: Option<Duration>,
    /// Continue a recorded study: its ID, its name, or `latest`
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "latest", conflicts_with_all = ["filename", "name", "new"])]
    pub resume: Option<String>,
    /// Begin a new study, even if the same one is recorded and unfinished
    #[arg(long)]
    pub new: bool,
    /// Create a kind cluster for each combination of settings, instead of changing them in the nodes of one
    #[arg(long)]
    pub no_retune: bool,
    /// Output format; FORMAT=FILE also writes a file (repeatable)
    #[arg(short, long, default_value = "text", value_name = "FORMAT[=FILE]")]
    pub output: Vec<Output>,
    #[command(flatten)]
    pub execution: Execution,
}

/// How experiments are carried out, and where.
#[derive(Clone, Debug, Args)]
pub(super) struct Execution {
    /// Where to run: in the experiment's own kind cluster, or in an embedded model of it
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "context")]
    pub cluster: Option<ClusterChoice>,
    /// Seed for all random choices [default: a new one, shown in the report]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// Node image for a kind cluster that has to be created [env: OUTAGE_NODE_IMAGE]
    #[arg(long, value_name = "IMAGE")]
    pub node_image: Option<String>,
    /// Delete the kind cluster afterwards, if this command created it
    #[arg(long)]
    pub delete_cluster: bool,
    /// Grace period before an overdue fault is undone by the undo timer in its node, or by the watchdog
    #[arg(long, alias = "dead-man-margin", value_name = "DURATION", value_parser = setting, default_value = "60s")]
    pub undo_timer_margin: Duration,
    #[command(flatten)]
    pub nodes: NodeFlags,
    #[command(flatten)]
    pub monitor: MonitorFlags,
    #[command(flatten)]
    pub access: Access,
}

/// What is run in nodes, and which may be hit.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct NodeFlags {
    /// Linux build of this program to run in the nodes, if this machine has another OS or architecture
    #[arg(long, value_name = "FILE")]
    pub agent_binary: Option<PathBuf>,
    #[arg(long, value_name = "IMAGE", value_parser = typed_image, help = HELPER_IMAGE)]
    pub helper_image: Option<String>,
    #[arg(long, help = ALLOW_LAST_REPLICA)]
    pub allow_last_replica: bool,
}

/// Settings of the controller manager, for where they cannot be read.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct MonitorFlags {
    /// kube-controller-manager: --node-monitor-period, if it cannot be read from the cluster
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_period: Option<Duration>,
    /// kube-controller-manager: --node-monitor-grace-period, if it cannot be read from the cluster
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_grace_period: Option<Duration>,
}

/// What runs are compared with.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Baseline options")]
pub(super) struct BaselineFlags {
    /// Compare with the runs of this baseline; exit 1 if something got worse
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Save the runs to this baseline, replacing matching entries, unless they are worse than --baseline or too few to compare
    #[arg(long, value_name = "FILE")]
    pub save_baseline: Option<PathBuf>,
    /// Smallest difference that counts: a share of the median, a duration, or both (repeatable) [default: 10%, at least 10ms or 1 percentage point]
    #[arg(long, value_name = "FLOOR")]
    pub floor: Vec<FloorPart>,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Service to probe: NAMESPACE/NAME [prompted for at a terminal]
    #[arg(long, value_name = "SERVICE", value_parser = typed_service)]
    pub service: Option<ObjectRef>,
    #[arg(long, value_name = "FAULT", help = FAULT, long_help = with_faults(FAULT))]
    pub fault: Option<String>,
    /// Namespace of the Service, if its name has none [default: the context's]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = typed_namespace)]
    pub namespace: Option<String>,
    /// Write the experiment to this new file, or to standard output (`-`) [prompted for at a terminal, else standard output]
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Kubeconfig context, which is written into the experiment [default: the current one, written only if confirmed at a terminal]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// How long an overdue fault is left to its run.
pub(super) const UNDO_TIMER_MARGIN: Duration = Duration::from_secs(60);

const HELPER_IMAGE: &str = "Image of the helper pods in a cluster that is not a kind cluster of this machine; it needs sh, nsenter and gzip [env: OUTAGE_HELPER_IMAGE] [default: docker.io/library/busybox:1.37]";
const ALLOW_LAST_REPLICA: &str = "Allow node faults that take the last ready replica of a Deployment or StatefulSet outside the experiment";
const FOR_SERVICE: &str = "Write an experiment for this existing Service (NAMESPACE/NAME) and run it; \
                           EXPERIMENT is then a fault, such as worker-stop";
const FAULT: &str =
    "Fault, such as worker-stop or pod-delete [prompted for at a terminal, else worker-stop]";

/// The help of a flag, and the faults that it is about.
fn with_faults(help: &str) -> String {
    format!("{help}\n\nFaults: {}", ChosenFault::listed())
}

/// What an experiment can be run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ClusterChoice {
    /// The experiment's own kind cluster (default if it has one)
    Kind,
    /// A model of that cluster inside this program; needs no Docker, kind or Kubernetes
    Embedded,
}

#[derive(Debug, Args)]
pub(super) struct Validate {
    #[command(flatten)]
    pub experiments: Experiments,
    #[command(flatten)]
    pub part: PartFlags,
}

#[derive(Debug, Args)]
#[command(after_help = exit::PREFLIGHT_HELP)]
pub(super) struct PreflightArgs {
    #[command(flatten)]
    pub experiments: Experiments,
    /// Which cluster: the experiment's own kind cluster, or an embedded model of it
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "context")]
    pub cluster: Option<ClusterChoice>,
    #[command(flatten)]
    pub nodes: NodeFlags,
    /// Also enter the nodes as a run does, and measure their clocks: start the helper pods and the prober, and remove them again
    #[arg(long)]
    pub enter_nodes: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORMAT")]
    pub output: LintForm,
    #[command(flatten)]
    pub monitor: MonitorFlags,
    #[command(flatten)]
    pub access: Access,
}

#[derive(Debug, Args)]
pub(super) struct Rbac {
    #[command(flatten)]
    pub experiments: Experiments,
    /// Also print bindings of the roles to this ServiceAccount: NAMESPACE/NAME
    #[arg(long, value_name = "ACCOUNT", value_parser = typed_account)]
    pub service_account: Option<Account>,
    /// Context of a cluster that has the custom resources of the experiments [default: the experiment's, else the current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub namespace: String,
    pub name: String,
}

/// Bindings in a namespace that nobody has named would be for another account.
fn typed_account(text: &str) -> Result<Account, String> {
    let found =
        typed_service(text).ok().and_then(|account| Some((account.namespace?, account.name)));
    let (namespace, name) = found.ok_or("expected NAMESPACE/NAME, such as `ci/outage`")?;
    Ok(Account { namespace, name })
}

#[derive(Debug, Args)]
#[command(after_help = exit::LINT_HELP)]
pub(super) struct Lint {
    /// Kind configs, or directories of them
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Kind config or directory (repeatable)
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Check the running cluster of this kubeconfig context
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Number of nodes for which cost and risk are estimated
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = whole::<u32>(1..=5000))]
    pub nodes: u32,
    /// Kubernetes version, if the config names no node image [default: v1.34.0]
    #[arg(long, value_name = "VERSION", value_parser = kubernetes_version)]
    pub kubernetes: Option<String>,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORMAT")]
    pub output: LintForm,
}

#[derive(Debug, Args)]
#[command(after_help = exit::PREDICT_HELP)]
pub(super) struct Predict {
    #[command(flatten)]
    pub experiments: Experiments,
    /// Predict for this kind config instead of the experiment's own
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub kind_config: Option<PathBuf>,
    /// Predict for the running cluster of this kubeconfig context; it is read, and nothing is changed [default: the experiment's, if it names one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubernetes version, unless read from a running cluster
    #[arg(long, value_name = "VERSION", default_value = crate::kind_config::DEFAULT_KUBERNETES, value_parser = kubernetes_version)]
    pub kubernetes: String,
    /// Number of trials; reports and dry runs use the default
    #[arg(long, value_name = "N", default_value_t = crate::prediction::TRIALS, value_parser = whole::<u32>(1..=1_000_000))]
    pub trials: u32,
    /// Seed for the simulation
    #[arg(long, value_name = "N", default_value_t = crate::prediction::SEED, value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,
    /// Number of nodes for which cost and risk are estimated
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = whole::<u32>(1..=5000))]
    pub nodes: u32,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORMAT")]
    pub output: LintForm,
    #[command(flatten)]
    pub tuning: TuningFlags,
}

#[derive(Debug, Args)]
#[command(after_help = exit::TUNE_HELP)]
pub(super) struct Tune {
    /// Longest time from a node's failure until it is NotReady
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = setting)]
    pub detect_within: Duration,
    /// Maximum rate of false positives (healthy nodes that become NotReady) from lost heartbeats, cluster-wide: N/day, N/week, N/month or N/year
    #[arg(long, value_name = "RATE", default_value = "1/month", value_parser = Rate::parse)]
    pub false_positives: Rate,
    /// Share of heartbeats that the network loses: 0.1% or 0.001
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = share)]
    pub loss: f64,
    /// Network glitch (all heartbeats of a node lost) that must not make the node NotReady
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub ride_out: Option<Duration>,
    /// Longest time from a node's failure until its pods are scheduled on another node; sets tolerationSeconds
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub reschedule_within: Option<Duration>,
    /// Number of nodes [default: those of --context, else 1000]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=5000))]
    pub nodes: Option<u32>,
    /// Kind config with the current settings [default: the defaults of Kubernetes, three API servers]
    #[arg(short = 'f', long, alias = "filename", value_name = "FILE", conflicts_with = "context")]
    pub kind_config: Option<PathBuf>,
    /// Kubeconfig context of the running cluster with the current settings (read-only)
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Kubernetes version, unless read from a running cluster or a node image
    #[arg(long, value_name = "VERSION", default_value = crate::kind_config::DEFAULT_KUBERNETES, value_parser = kubernetes_version)]
    pub kubernetes: String,
    /// Save a kind config with the recommended settings to this new file
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Verify by measuring: freeze a worker N times with the recommended settings and N times with the current ones, on new kind clusters
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=1000))]
    pub verify: Option<u32>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = TuneForm::Text, value_name = "FORMAT")]
    pub output: TuneForm,
    #[command(flatten)]
    pub verification: Verification,
}

/// How `--verify` measures.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of --verify")]
pub(super) struct Verification {
    /// Where to measure: on kind clusters, or on an embedded model, which confirms nothing
    #[arg(long, value_enum, value_name = "KIND", requires = "verify")]
    pub cluster: Option<ClusterChoice>,
    /// Seed for the order and all random choices [default: a new one, shown in the result]
    #[arg(long, value_name = "N", requires = "verify", value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: Option<u64>,
    /// Keep the kind clusters that were created
    #[arg(long, requires = "verify")]
    pub keep_clusters: bool,
    /// Node image for the kind clusters [env: OUTAGE_NODE_IMAGE]
    #[arg(long, value_name = "IMAGE", requires = "verify")]
    pub node_image: Option<String>,
    /// Container engine to use: unix:///path or tcp://host:port
    #[arg(long, value_name = "ADDRESS", requires = "verify")]
    pub docker_host: Option<String>,
    /// Linux build of this program to run in the nodes, if this machine has another OS or architecture
    #[arg(long, value_name = "FILE", requires = "verify")]
    pub agent_binary: Option<PathBuf>,
}

/// The forms of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TuneForm {
    /// Human-readable text
    Text,
    /// JSON, with the whole Pareto front
    Json,
    /// YAML, with the whole Pareto front
    Yaml,
    /// Markdown
    Markdown,
    /// A kind config with the recommended settings
    Kind,
}

/// `0.1%`, `0.001`.
fn share(text: &str) -> Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let share = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| percent / 100.0),
        None => number(text),
    };
    share
        .filter(|share| (0.0..1.0).contains(share))
        .ok_or_else(|| "expected a share from 0 to below 1, such as 0.1% or 0.001".into())
}

/// Settings of failure detection.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings to override")]
pub(super) struct TuningFlags {
    /// kubelet: nodeStatusUpdateFrequency (the report frequency follows it)
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_status_update_frequency: Option<Duration>,
    /// kubelet: nodeStatusReportFrequency
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_status_report_frequency: Option<Duration>,
    /// kubelet: nodeLeaseDurationSeconds (the lease is renewed every quarter of it)
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_lease_duration: Option<Duration>,
    /// kube-controller-manager: --node-monitor-period
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_period: Option<Duration>,
    /// kube-controller-manager: --node-monitor-grace-period
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_grace_period: Option<Duration>,
}

/// No setting of failure detection is longer.
const LONGEST_SETTING: Duration = Duration::from_secs(24 * 3600);

/// A setting such as `1s`.
fn setting(text: &str) -> Result<Duration, String> {
    match crate::timeline::parse_duration(text) {
        Some(length) if length.is_zero() => Err("must be greater than 0".into()),
        Some(length) if length > LONGEST_SETTING => Err("must be at most 24h".into()),
        Some(length) => Ok(length),
        None => Err("expected a duration such as 10s or 1m30s".into()),
    }
}

/// The forms of what `lint` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LintForm {
    /// Human-readable text
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// The name of a context: an unset variable of a shell is none.
fn context_name(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("the name is empty; `kubectl config get-contexts` lists the contexts".into()),
        false => Ok(text.to_owned()),
    }
}

/// `v1.34.4`, `1.34`.
fn kubernetes_version(text: &str) -> Result<String, String> {
    match crate::timeline::minor_version(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a Kubernetes 1.x version such as v1.34.4".into()),
    }
}

/// A whole number within limits.
fn whole<N: TryFrom<u64>>(
    limits: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| limits.contains(number));
        let (least, most) = (limits.start(), limits.end());
        number
            .and_then(|number: u64| number.try_into().ok())
            .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }
}

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// What the schema is for
    #[arg(value_enum, default_value_t = SchemaOf::Report)]
    pub of: SchemaOf,
}

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Field by its path, such as spec.method.fault.nodeStop, study.spec.matrix, report.verdict or just nodeStop [default: list the kinds]
    #[arg(value_name = "FIELD")]
    pub path: Option<String>,
    /// List the names of all fields below it
    #[arg(long)]
    pub recursive: bool,
}

/// What has a JSON schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// What `-o json` prints
    Report,
    /// What `compare -o json` prints
    Compare,
    /// An experiment's file
    Experiment,
    /// A study's file
    Study,
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// What to list
    #[arg(value_enum)]
    pub what: Listing,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = ListForm::Text, value_name = "FORMAT")]
    pub output: ListForm,
}

/// The forms of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListForm {
    /// A table
    Text,
    /// A table with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What `get` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Listing {
    /// Recorded runs
    #[value(alias = "run")]
    Runs,
    /// Recorded studies
    #[value(alias = "study")]
    Studies,
    /// Built-in experiments
    #[value(alias = "experiment")]
    Experiments,
}

#[derive(Debug, Args)]
pub(super) struct Describe {
    /// What to describe
    #[arg(value_enum)]
    pub what: Described,
    /// Run or study: its ID or a prefix of it, `latest`, or a folder; or a study's name
    #[arg(default_value = "latest")]
    pub name: String,
}

/// What `describe` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Described {
    /// A recorded run
    Run,
    /// A recorded study
    Study,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// Run IDs or their prefixes, `latest`, folders, RUN+ for all runs of its --repeat, an experiment for all its runs, or
    /// STUDY:CELL for those of a cell (its number or name); or one study: its ID or name
    #[arg(default_value = "latest")]
    pub runs: Vec<String>,
    /// Exit with the code of the verdict, as `run` does [default: 0 once the report is printed]
    #[arg(long)]
    pub exit_code: bool,
    /// Output format; FORMAT=FILE also writes a file (repeatable)
    #[arg(short, long, default_value = "text", value_name = "FORMAT[=FILE]")]
    pub output: Vec<Output>,
    /// Directory for the reports in all formats and the recorded runs
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Like --exit-code, but only for this outcome and for more severe ones
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub fail_on: Option<FailOn>,
}

#[derive(Debug, Args)]
#[command(after_help = exit::COMPARE_HELP)]
pub(super) struct Compare {
    /// Runs before and runs after: run IDs with commas between them, RUN+ for all runs of its --repeat, a directory of runs, an
    /// experiment for all its runs, a study, or STUDY:CELL (the cell's number or name); with a baseline, one of these
    #[arg(value_name = "RUNS", required = true, num_args = 1..=2)]
    pub sides: Vec<String>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = CompareForm::Text, value_name = "FORMAT")]
    pub output: CompareForm,
    #[command(flatten)]
    pub history: BaselineFlags,
}

/// The forms of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareForm {
    /// Human-readable text
    Text,
    /// JSON (`schema compare` prints its schema)
    Json,
    /// The same document as YAML
    Yaml,
    /// Markdown tables
    Markdown,
    /// JUnit XML: one case per quantity
    Junit,
    /// CSV: one row per quantity
    Csv,
}

#[derive(Debug, Args)]
pub(super) struct Recover {
    /// List what would be undone, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Container engine to use: unix:///path or tcp://host:port
    #[arg(long, value_name = "ADDRESS")]
    pub docker_host: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Cluster {
    /// Kind config to model [default: two workers with Kubernetes' default settings]
    #[arg(short, long, value_name = "KINDCONFIG")]
    pub filename: Option<PathBuf>,
    /// Write the kubeconfig to this new file, and remove it at the end [default: a file in the state directory]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub shell: CompletionFor,
}

/// What completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum CompletionFor {
    /// Bash, for kubectl-outage
    Bash,
    /// Elvish, for kubectl-outage
    Elvish,
    /// Fish, for kubectl-outage
    Fish,
    /// PowerShell, for kubectl-outage
    Powershell,
    /// Zsh, for kubectl-outage
    Zsh,
    /// kubectl itself, in any shell: the program kubectl_complete-outage
    Kubectl,
}

#[derive(Debug, Args)]
pub(super) struct Version {
    /// Never connect to a cluster
    #[arg(long)]
    pub client: bool,
    /// Also print the version of this kubeconfig context's API server
    #[arg(long, value_name = "NAME", value_parser = context_name)]
    pub context: Option<String>,
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE", requires = "context")]
    pub kubeconfig: Option<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORMAT")]
    pub output: LintForm,
}

#[derive(Debug, Args)]
pub(super) struct Complete {
    /// The words after `kubectl outage`; the last is to be completed
    #[arg(last = true)]
    pub words: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Agent {
    /// The executable to unlink at the start.
    #[arg(long)]
    pub unlink: Option<PathBuf>,
    /// Be the agent: the input is its first connection.
    #[arg(long)]
    pub serve: bool,
    /// Connect to the agent of this name.
    #[arg(long, conflicts_with_all = ["serve", "unlink"])]
    pub attach: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Watchdog {
    /// The run whose faults are watched.
    #[arg(long)]
    pub run: String,
    /// The cluster's state directory.
    #[arg(long)]
    pub state_dir: PathBuf,
    /// Seconds until a dead run's faults are undone.
    #[arg(long)]
    pub deadline_secs: u64,
    /// The container engine.
    #[arg(long)]
    pub docker_host: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The flags of `run`.
    pub(crate) fn run(typed: &[&str]) -> Run {
        let typed = std::iter::once(&"outage").chain(typed);
        match Cli::try_parse_from(typed).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    /// The flags of `predict`.
    pub(crate) fn predict(typed: &[&str]) -> Predict {
        let typed = std::iter::once(&"outage").chain(typed);
        match Cli::try_parse_from(typed).unwrap().command {
            Command::Predict(args) => args,
            other => panic!("{other:?}"),
        }
    }

    /// A preflight's hint names it.
    #[test]
    fn a_preflight_takes_a_build_for_the_nodes() {
        let typed = Cli::try_parse_from(["outage", "preflight", "--agent-binary", "it"]);
        let Command::Preflight(args) = typed.unwrap().command else { panic!() };
        assert_eq!(args.nodes.agent_binary, Some("it".into()));
    }

    /// clap gives a group's heading to all that follows it.
    #[test]
    fn what_belongs_to_no_group_is_under_no_heading() {
        let cli = Cli::command();
        for command in cli.get_subcommands() {
            let common = ["output", "seed", "nodes", "node_image", "trials"];
            for arg in command.get_arguments().filter(|arg| common.contains(&arg.get_id().as_str()))
            {
                let of_verify = command.get_name() == "tune" && arg.get_id() != "output";
                let heading = arg.get_help_heading().filter(|_| !of_verify);
                assert_eq!(heading, None, "{} {}", command.get_name(), arg.get_id());
            }
        }
    }

    #[test]
    fn numbers_are_refused_with_their_limits() {
        for (typed, limits) in [
            ("--seed x", "0 to 18446744073709551615"),
            ("--seed 99999999999999999999999", "0 to 18446744073709551615"),
            ("--repeat 1.5", "1 to 1000"),
            ("--repeat 0", "1 to 1000"),
            ("--repeat 99999999999", "1 to 1000"),
        ] {
            let typed = ["outage", "run"].into_iter().chain(typed.split(' '));
            let error = Cli::try_parse_from(typed).unwrap_err().to_string();
            assert!(error.contains(&format!("expected a whole number from {limits}\n")), "{error}");
        }
        assert_eq!(run(&["run", "--seed", "18446744073709551615"]).execution.seed, Some(u64::MAX));
    }

    #[test]
    fn names_are_checked_before_anything_else() {
        let refused = |typed: &[&str]| {
            let typed = std::iter::once(&"outage").chain(typed);
            Cli::try_parse_from(typed).unwrap_err().to_string()
        };
        for bad in ["Bad NS", "", "a/b"] {
            for command in ["run", "validate", "predict", "init"] {
                let error = refused(&[command, "-n", bad]);
                assert!(error.contains("is not a valid name (a name has only"), "{error}");
            }
        }
        for bad in ["", "shop/FRONT end", "shop/frontend/x", "/frontend", "shop/frontend?x=1"] {
            for command in ["run", "init"] {
                let error = refused(&[command, "--service", bad]);
                assert!(error.contains("expected a Service, found"), "{error}");
            }
        }
    }

    #[test]
    fn the_faults_for_a_service_are_in_the_long_help() {
        for command in ["run", "init"] {
            let mut all = Cli::command();
            let help = all.find_subcommand_mut(command).unwrap().render_long_help().to_string();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            let names = ChosenFault::names().collect::<Vec<_>>().join(", ");
            assert!(help.contains(&format!("Faults: {names}")), "{help}");
        }
    }

    #[test]
    fn the_default_version_is_documented() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("lint").unwrap().render_long_help().to_string();
        let default = format!("[default: {}]", crate::kind_config::DEFAULT_KUBERNETES);
        assert!(help.contains(&default), "{help}");
    }

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}

//! What can be typed: the flags, once, from which help and completions come.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::{exit, form::Form};

/// Makes a real Kubernetes cluster fail in a chosen way, and measures what its users would have noticed.
#[derive(Debug, Parser)]
#[command(name = "kubectl outage", bin_name = "kubectl outage", version, after_help = exit::HELP, max_term_width = 110)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Where runs are kept; by default below the XDG state directory
    #[arg(long, global = true, env = "OUTAGE_RUNS_DIR", value_name = "DIR")]
    pub runs_dir: Option<PathBuf>,
    /// When to use colour
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

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run experiments: make the cluster fail, measure, undo, judge
    Run(Run),
    /// Check experiments without touching any cluster
    Validate(Validate),
    /// Check kind configs or a live cluster: effective settings, predicted detection, cost, risk, traps
    Lint(Lint),
    /// Predict what an experiment will measure, without touching any cluster
    Predict(Predict),
    /// List runs or the built-in experiments
    Get(Get),
    /// Show what a run recorded
    Describe(Describe),
    /// Judge a recorded run again and print its report, offline
    Report(Report),
    /// Undo what a run that died has left behind
    Recover(Recover),
    /// Keep an embedded cluster (a model of Kubernetes, with its real API) up until Ctrl-C, to look at with kubectl
    Cluster(Cluster),
    /// Print the JSON schema of what `-o json` prints
    Schema,
    /// Print a shell's completions
    Completion(Completion),
    /// The prober inside a node
    #[command(hide = true)]
    Agent(Agent),
    /// The process that undoes faults when a run has died
    #[command(hide = true)]
    Watchdog(Watchdog),
}

/// How the cluster and the engine are reached.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Cluster options")]
pub(super) struct Access {
    /// Run in this context of the kubeconfig instead of the experiment's own kind cluster
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig that has the context
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Allow harm in this context although it is not one of kind's
    #[arg(long, value_name = "NAME", hide = true)]
    pub allow_context: Option<String>,
    /// The container engine: unix:///path or tcp://host:port; by default Docker's usual places, then Podman's
    #[arg(long, value_name = "ADDRESS")]
    pub docker_host: Option<String>,
}

/// `run`.
#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    /// Experiment files, or directories of them; `-` is standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Built-in experiments by name (`get experiments` lists them)
    #[arg(value_name = "EXPERIMENT")]
    pub names: Vec<String>,
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Run each experiment so many times, each at a random phase, and report the spread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// What to run on: `kind` is the experiment's own kind cluster, `embedded` a model of it inside this program
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "context")]
    pub cluster: Option<ClusterChoice>,
    /// The seed of every random choice; by default a new one, which the report names
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The node image for a kind cluster that is made
    #[arg(long, env = "OUTAGE_NODE_IMAGE", value_name = "IMAGE")]
    pub node_image: Option<String>,
    /// Delete the kind cluster at the end, if this command made it
    #[arg(long)]
    pub delete_cluster: bool,
    /// How long after the time that a fault may take its dead man's switch takes it back, when this program is gone
    #[arg(long, value_name = "DURATION", value_parser = setting, default_value = "60s")]
    pub dead_man_margin: Duration,
    /// A Linux build of this program for the nodes, where this machine is of another kind
    #[arg(long, value_name = "FILE")]
    pub agent_binary: Option<PathBuf>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
    /// How the cluster is reached.
    #[command(flatten)]
    pub access: Access,
}

/// What an experiment can be run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ClusterChoice {
    /// The experiment's own kind cluster (the default where it names one)
    Kind,
    /// A model of that cluster inside this program: no Docker, no kind, no Kubernetes
    Embedded,
}

/// `validate`.
#[derive(Debug, Args)]
pub(super) struct Validate {
    /// Experiment files, or directories of them; `-` is standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Built-in experiments by name
    #[arg(value_name = "EXPERIMENT")]
    pub names: Vec<String>,
}

/// `lint`.
#[derive(Debug, Args)]
#[command(after_help = exit::LINT_HELP)]
pub(super) struct Lint {
    /// Kind configs, or directories of them
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The same
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// A cluster that is running, by its context in the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig that has the context
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How many nodes cost and risk are told for
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub nodes: u32,
    /// The version of Kubernetes, where no node image in the config tells it
    #[arg(long, value_name = "VERSION", default_value = super::load::TODAY, value_parser = kubernetes_version)]
    pub kubernetes: String,
    /// Warnings fail, too
    #[arg(long)]
    pub strict: bool,
    /// The form of what is found
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORM")]
    pub output: LintForm,
}

/// `predict`.
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// Experiment files, or directories of them
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<PathBuf>,
    /// Built-in experiments by name (`get experiments` lists them)
    #[arg(value_name = "EXPERIMENT")]
    pub names: Vec<String>,
    /// For a cluster of this kind config instead of the experiment's own
    #[arg(long, value_name = "FILE", conflicts_with = "context")]
    pub kind_config: Option<PathBuf>,
    /// For a cluster that is running, by its context in the kubeconfig: its settings are read, nothing is changed
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The kubeconfig that has the context
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Other settings than the cluster's
    #[command(flatten)]
    pub tuning: TuningFlags,
    /// The version of Kubernetes, where no running cluster tells it
    #[arg(long, value_name = "VERSION", default_value = super::load::TODAY, value_parser = kubernetes_version)]
    pub kubernetes: String,
    /// How often the experiment is tried in virtual time
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub trials: u32,
    /// The seed of the tries
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How many nodes cost and risk are told for
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub nodes: u32,
    /// The form of what is predicted
    #[arg(short, long, value_enum, default_value_t = LintForm::Text, value_name = "FORM")]
    pub output: LintForm,
}

/// Settings of failure detection.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings that replace the cluster's")]
pub(super) struct TuningFlags {
    /// The kubelet's, as in its config file: the report frequency follows it
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_status_update_frequency: Option<Duration>,
    /// The kubelet's: the longest time between two posts of an unchanged status
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_status_report_frequency: Option<Duration>,
    /// The kubelet's nodeLeaseDurationSeconds; the lease is renewed every quarter of it
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_lease_duration: Option<Duration>,
    /// The controller manager's
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_period: Option<Duration>,
    /// The controller manager's
    #[arg(long, value_name = "DURATION", value_parser = setting)]
    pub node_monitor_grace_period: Option<Duration>,
}

/// The longest setting that is believed.
const LONGEST_SETTING: Duration = Duration::from_secs(24 * 3600);

/// A setting such as `1s`, above nothing and at most a day.
fn setting(text: &str) -> Result<Duration, String> {
    match crate::timeline::parse_duration(text) {
        Some(length) if length.is_zero() => Err("it must be above 0".into()),
        Some(length) if length > LONGEST_SETTING => Err("that is more than a day".into()),
        Some(length) => Ok(length),
        None => Err("a duration such as 10s or 1m30s is needed".into()),
    }
}

/// The forms of what `lint` finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LintForm {
    /// For people
    Text,
    /// JSON
    Json,
    /// The same as YAML
    Yaml,
}

/// `v1.34.4`, `1.34`.
fn kubernetes_version(text: &str) -> Result<String, String> {
    match crate::timeline::minor_version(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a version such as v1.34.4 is needed".into()),
    }
}

/// `get`.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// What to list
    #[arg(value_enum)]
    pub what: Listing,
    /// The form of the list
    #[arg(short, long, value_enum, default_value_t = ListForm::Text, value_name = "FORM")]
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
    /// The same as YAML
    Yaml,
}

/// What `get` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Listing {
    /// Recorded runs
    #[value(alias = "run")]
    Runs,
    /// The experiments inside this program
    #[value(alias = "experiment")]
    Experiments,
}

/// `describe`.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// What to describe
    #[arg(value_enum)]
    pub what: Described,
    /// The run: its id, the beginning of it, `latest`, or its folder
    #[arg(default_value = "latest")]
    pub run: String,
}

/// What `describe` describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Described {
    /// A recorded run
    Run,
}

/// `report`.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Runs: ids, beginnings of them, `latest`, or folders
    #[arg(default_value = "latest")]
    pub runs: Vec<String>,
    /// The form of the report
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

/// `recover`.
#[derive(Debug, Args)]
pub(super) struct Recover {
    /// Only list what is owed
    #[arg(long)]
    pub dry_run: bool,
    /// The container engine: unix:///path or tcp://host:port
    #[arg(long, value_name = "ADDRESS")]
    pub docker_host: Option<String>,
}

/// `cluster`.
#[derive(Debug, Args)]
pub(super) struct Cluster {
    /// A kind config: its nodes and its settings of failure detection; by default two workers with Kubernetes' defaults
    #[arg(short, long, value_name = "KINDCONFIG")]
    pub filename: Option<PathBuf>,
    /// Where to write the kubeconfig; by default a file below the state directory. It must not be there yet, and is removed at the end
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
}

/// `completion`.
#[derive(Debug, Args)]
pub(super) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `agent`.
#[derive(Debug, Args)]
pub(super) struct Agent {
    /// The executable to unlink at the start.
    #[arg(long)]
    pub unlink: Option<PathBuf>,
}

/// `watchdog`.
#[derive(Debug, Args)]
pub(super) struct Watchdog {
    /// The cluster whose ledger is watched.
    #[arg(long)]
    pub cluster: String,
    /// The run whose faults are watched.
    #[arg(long)]
    pub run: String,
    /// The state directory.
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

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}

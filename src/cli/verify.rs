//! `tune --verify N`: the recommended and the present settings on clusters, in turn, and what was
//! measured beside what was predicted.

use std::time::Duration;

use serde::Serialize;

use super::args::{Access, Execution, NodeFlags, Tune, UNDO_TIMER_MARGIN, Verification};
use super::command::Command;
use super::env::Env;
use super::judge::Judged;
use super::outputs::Outputs;
use super::series::clusters::Clusters;
use super::series::{Cell, Ends, Keeper, Series};
use super::{block_on, execution, exit, failure::Failure, load};
use crate::engine::seed;
use crate::experiment::{Parsed, Source};
use crate::kind_config::KindConfig;
use crate::report::Summary;
use crate::report::spread::SpreadReport;
use crate::report::table;
use crate::series::order::{Plan, Slot};
use crate::stats::{Between, Seconds, Spread};
use crate::timeline::format_duration;
use crate::tune::{Choice, Tuned};
use crate::verdict::Outcome;

/// How much longer than the longest predicted detection a node stays frozen.
const AFTER_DETECTION: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verified {
    /// Draws the order and the phases.
    pub seed: u64,
    /// What it ran on: `kind`, or `embedded`, which is the model itself and confirms nothing.
    pub cluster: &'static str,
    pub settings: Vec<Measured>,
    #[serde(skip)]
    pub code: u8,
}

/// One of the two settings.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    pub name: &'static str,
    pub choice: Choice,
    /// Every run, and their spread.
    pub spread: SpreadReport,
}

/// Settings that are to be measured.
struct Setting {
    name: &'static str,
    choice: Choice,
    parsed: Parsed,
}

/// Measures each settings N times, in an order that hits both alike. Clusters that were made for it
/// are deleted, unless they are to be kept.
pub(super) fn verify(
    times: u32,
    tuned: &Tuned,
    config: &KindConfig,
    args: &Tune,
    env: &Env,
) -> Result<Verified, Failure> {
    let seed = args.verification.seed.unwrap_or_else(|| seed::fresh() >> 32);
    let mut settings = Vec::new();
    let recommended = tuned.recommendation.as_ref().map(|found| ("recommended", &found.choice));
    let present = tuned.present.as_ref().map(|present| ("current", present));
    for (name, choice) in recommended.into_iter().chain(present) {
        if settings.iter().all(|one: &Setting| one.choice != *choice) {
            settings.push(setting(name, choice, config, env)?);
        }
    }
    let execution = execution_of(args);
    let outputs = Outputs::new(&[])?;
    let (codes, runs) = block_on(async {
        let abort = execution::listen()?;
        let environment = execution.environment(env, false)?;
        let command = Command::new(&execution, env, &outputs, &abort, environment);
        let wanted = settings.iter().map(|one| command.wanted(&one.parsed));
        let clusters = Clusters::new(wanted.collect::<Result<_, _>>()?, true);
        let (of, hosts) = (&clusters.of, &clusters.hosts);
        let plan = Plan { clusters: of, hosts, repeat: times, rounds: times, seed };
        let cells = settings.iter().map(|one| Cell { name: one.name, parsed: &one.parsed });
        let mut series =
            Series::new(&command, cells.collect(), &clusters, plan.order(), Ends::Series);
        series.name = "tune".into();
        let runs = settings.iter().map(|_| Vec::new()).collect();
        let mut measured = Measurements { plan, runs };
        let ended = series.carry_out(&mut measured).await;
        Ok::<_, Failure>((ended.codes, measured.runs))
    })?;
    let measured = |(one, runs): (Setting, Vec<Judged>)| Measured {
        name: one.name,
        spread: SpreadReport::new(runs.iter().map(Judged::summary).collect()),
        choice: one.choice,
    };
    let settings: Vec<Measured> = settings.into_iter().zip(runs).map(measured).collect();
    let outside =
        settings.iter().any(|one| one.spread.runs.iter().any(|run| is_outside(run, &one.choice)));
    let code = exit::gravest(codes.into_iter().chain(outside.then_some(exit::FAIL)));
    let cluster = if execution.is_embedded() { "embedded" } else { "kind" };
    Ok(Verified { seed, cluster, settings, code })
}

/// The runs of each settings.
struct Measurements<'a> {
    plan: Plan<'a>,
    runs: Vec<Vec<Judged>>,
}

impl Keeper for Measurements<'_> {
    fn seed(&self, slot: Slot, retries: u32) -> u64 {
        self.plan.run_seed(slot, retries)
    }

    fn ended(
        &mut self,
        slot: Slot,
        _run: &str,
        judged: Option<Judged>,
        _took: Duration,
    ) -> Result<(), Failure> {
        self.runs[slot.cell].extend(judged);
        Ok(())
    }
}

/// Whether a node was detected earlier or later than predicted, or not at all while it was frozen.
fn is_outside(run: &Summary, choice: &Choice) -> bool {
    let Some(predicted) = run.predicted.filter(|_| run.counts()) else { return false };
    let all = Between::new(predicted.least, predicted.most.max(choice.detection.max));
    match run.detection {
        Some(measured) => !all.overlaps_as_printed(measured),
        None => run.outcome != Outcome::Inconclusive,
    }
}

/// The experiment that measures these settings: a worker is frozen until after its detection.
fn setting(
    name: &'static str,
    choice: &Choice,
    config: &KindConfig,
    env: &Env,
) -> Result<Setting, Failure> {
    let hold = choice.detection.max.as_f64().ceil() as u64 + AFTER_DETECTION.as_secs();
    let text = format!(
        "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {{name: tune-{name}}}
spec:
  question: How long does detection take with the {name} settings?
  cluster: {{kind: {{config: ../kind-configs/default.yaml}}}}
  workload: [workloads/web.yaml]
  probes:
  - {{name: web, http: {{service: web}}, from: {{node: {{role: control-plane}}}}, connection: new, rate: 10/s, timeout: 200ms}}
  steadyState:
  - nodesReady: all
  - endpointsReady: {{service: web, atLeast: 1}}
  - probe: {{name: web, successRatio: 1.0, for: 5s}}
  method:
  - fault: {{nodePause: {{target: {{role: worker}}}}}}
    for: {}
  expect: []
",
        format_duration(Duration::from_secs(hold))
    );
    let source = Source::beside_built_in(&format!("tune-{name}.yaml"), text);
    let mut parsed = load::written(source, crate::experiment::Place::Other, env)?.swap_remove(0);
    let config = config.with_tuning(&choice.tuning);
    parsed.kind_config = Some(config.map_err(|problems| load::unusable(&problems, env))?);
    Ok(Setting { name, choice: choice.clone(), parsed })
}

/// The flags of `run` that these have too.
fn execution_of(args: &Tune) -> Execution {
    let Verification { cluster, seed, node_image, docker_host, agent_binary, keep_clusters } =
        args.verification.clone();
    Execution {
        cluster,
        seed,
        node_image,
        delete_cluster: !keep_clusters,
        undo_timer_margin: UNDO_TIMER_MARGIN,
        nodes: NodeFlags { agent_binary, ..NodeFlags::default() },
        monitor: Default::default(),
        access: Access { docker_host, ..Access::default() },
    }
}

/// Predicted beside measured.
pub(super) fn render(verified: &Verified, width: usize) -> String {
    let rows = verified.settings.iter().map(|one| {
        let seconds = |value: Seconds| format!("{value:.2}");
        let of = |read: fn(&Spread) -> Seconds| {
            one.spread.detection.as_ref().map_or("-".into(), |spread| seconds(read(spread)))
        };
        let detection = &one.choice.detection;
        let (n, all) =
            (one.spread.detection.as_ref().map_or(0, |spread| spread.n), one.spread.runs.len());
        vec![
            one.name.to_owned(),
            format!("{n} of {all}"),
            seconds(detection.p50),
            of(|spread| spread.median),
            seconds(detection.max),
            of(|spread| spread.max),
            of(|spread| spread.min),
            one.spread.inside.map_or("-".into(), |inside| format!("{inside} of {n}")),
        ]
    });
    let header =
        vec!["SETTINGS", "RUNS", "PREDICTED P50", "P50", "PREDICTED MAX", "MAX", "MIN", "IN RANGE"];
    let on = match verified.cluster {
        "embedded" => {
            "on the EMBEDDED MODEL, which the prediction comes from: this confirms nothing about Kubernetes"
        }
        _ => "on kind clusters",
    };
    let title = format!(
        "detection of a frozen worker, {on}; order and phases from seed {}. IN RANGE: runs within their \
         predicted range",
        verified.seed
    );
    format!("{}\n{}", crate::report::hang("verified: ", &title, width), table(width, header, rows))
}

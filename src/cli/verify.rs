//! `tune --verify N`: the recommended and the present settings on clusters, in turn, and what was
//! measured beside what was predicted.

use std::time::Duration;

use serde::Serialize;

use super::args::{Access, Execution, NodeFlags, Tune, UNDO_TIMER_MARGIN, Verification};
use super::command::Command;
use super::env::Env;
use super::judge::Judged;
use super::outputs::Outputs;
use super::{block_on, execution, exit, failure::Failure, load};
use crate::engine::environment::handle::ClusterHandle;
use crate::engine::environment::provision::ClusterSpec;
use crate::engine::seed;
use crate::engine::session::{Session, Start};
use crate::experiment::{Parsed, Source};
use crate::kind_config::KindConfig;
use crate::report::Summary;
use crate::report::spread::SpreadReport;
use crate::report::table;
use crate::stats::{Between, Random, Seconds, Spread};
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

/// Settings that are to be measured, and their cluster once it is there.
struct Cell {
    name: &'static str,
    choice: Choice,
    parsed: Parsed,
    handle: Option<ClusterHandle>,
    runs: Vec<Judged>,
}

/// Measures each settings N times. Clusters that were made for it are deleted, unless they are to be
/// kept.
pub(super) fn verify(
    times: u32,
    tuned: &Tuned,
    config: &KindConfig,
    args: &Tune,
    env: &Env,
) -> Result<Verified, Failure> {
    let seed = args.verification.seed.unwrap_or_else(|| seed::fresh() >> 32);
    let mut cells = Vec::new();
    let recommended = tuned.recommendation.as_ref().map(|found| ("recommended", &found.choice));
    let present = tuned.present.as_ref().map(|present| ("current", present));
    for (name, choice) in recommended.into_iter().chain(present) {
        if cells.iter().all(|cell: &Cell| cell.choice != *choice) {
            cells.push(cell(name, choice, config, env)?);
        }
    }
    let execution = execution_of(args);
    let outputs = Outputs::new(&[])?;
    let codes = block_on(async {
        let abort = execution::listen()?;
        let environment = execution.environment(env, false)?;
        let command = Command::new(&execution, env, &outputs, &abort, environment);
        let mut codes = Vec::new();
        let mut shared = Shared::new(&cells, &execution);
        for (number, index) in order(cells.len(), times, seed).into_iter().enumerate() {
            if abort.signal().is_some() {
                codes.push(exit::INTERRUPTED);
                break;
            }
            let (all, cell) = (times as usize * cells.len(), &mut cells[index]);
            let number = number as u32 + 1;
            complain!("run {number} of {all}: {} settings", cell.name);
            let seed = seed.wrapping_add(u64::from(number));
            let more_follow = (number as usize) < all;
            match once(&command, cell, shared.as_mut(), seed, more_follow).await {
                Ok(code) => codes.push(code),
                Err(failure) => codes.push(failure.report()),
            }
            if codes.last().is_some_and(|code| exit::ends_series(*code)) {
                break;
            }
        }
        let handles = cells.iter_mut().filter_map(|cell| cell.handle.as_mut());
        for handle in handles.chain(shared.iter_mut().filter_map(|shared| shared.handle.as_mut())) {
            // Settings need not be restored in a cluster that is deleted.
            let deletes = handle.is_made_here() && !args.verification.keep_clusters;
            let left = match deletes {
                true => command.delete(handle).await,
                false => command.give_back(handle).await,
            };
            codes.extend(left.err().map(|failure| failure.report()));
        }
        command.warned.tell_repeated();
        Ok::<_, Failure>(codes)
    })?;
    let settings: Vec<Measured> = cells
        .into_iter()
        .map(|cell| Measured {
            name: cell.name,
            spread: SpreadReport::new(cell.runs.iter().map(Judged::summary).collect()),
            choice: cell.choice,
        })
        .collect();
    let outside =
        settings.iter().any(|one| one.spread.runs.iter().any(|run| is_outside(run, &one.choice)));
    let code = exit::gravest(codes.into_iter().chain(outside.then_some(exit::FAIL)));
    let cluster = if execution.is_embedded() { "embedded" } else { "kind" };
    Ok(Verified { seed, cluster, settings, code })
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

/// In turn, but who is first is drawn each time: a machine that gets slower hits both alike.
fn order(cells: usize, times: u32, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed);
    let pair = |_| {
        let first = random.below(cells as u64) as usize;
        (0..cells).map(move |index| (first + index) % cells)
    };
    (0..times).flat_map(pair).collect()
}

/// One kind cluster for all settings, which are changed in its nodes.
struct Shared {
    spec: ClusterSpec,
    handle: Option<ClusterHandle>,
}

impl Shared {
    /// `None`: they need a cluster each.
    fn new(cells: &[Cell], execution: &Execution) -> Option<Self> {
        let configs: Option<Vec<_>> =
            cells.iter().map(|cell| cell.parsed.kind_config.as_ref()).collect();
        let (last, others) = configs.as_ref()?.split_last()?;
        let differ_only = others.iter().all(|config| config.differs_only_in_settings(last));
        let spec = ClusterSpec::Kind { config: (*last).clone() };
        let shares = differ_only && !others.is_empty() && !execution.is_embedded();
        shares.then_some(Self { spec, handle: None })
    }
}

async fn once(
    command: &Command<'_>,
    cell: &mut Cell,
    shared: Option<&mut Shared>,
    seed: u64,
    more_follow: bool,
) -> Result<u8, Failure> {
    let handle = match (shared, &cell.parsed.kind_config) {
        (Some(Shared { spec, handle }), Some(config)) => {
            command.ready(handle, spec).await?;
            let handle = handle.as_mut().expect("is ready");
            command.retune(handle, config, "tune").await?;
            &*handle
        }
        _ => {
            let wanted = command.wanted(&cell.parsed)?;
            command.ready(&mut cell.handle, &wanted).await?
        }
    };
    let (parsed, env) = (&cell.parsed, command.env);
    let session = Session { parsed, runs_dir: &env.runs_dir, environment: &command.environment };
    let mut start = Start::now(seed, None);
    start.more_follow = more_follow;
    let (code, judged) = command.once(&session, handle, start).await?;
    cell.runs.extend(judged);
    Ok(code)
}

/// The experiment that measures these settings: a worker is frozen until after its detection.
fn cell(
    name: &'static str,
    choice: &Choice,
    config: &KindConfig,
    env: &Env,
) -> Result<Cell, Failure> {
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
    Ok(Cell { name, choice: choice.clone(), parsed, handle: None, runs: Vec::new() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_their_turn_in_an_order_that_the_seed_draws() {
        let all = order(2, 50, 7);
        assert_eq!(all, order(2, 50, 7));
        assert!(all.chunks(2).all(|pair| pair[0] != pair[1]), "{all:?}");
        let first = all.chunks(2).filter(|pair| pair[0] == 0).count();
        assert!((10..40).contains(&first), "{first}");
        assert_eq!(order(1, 3, 7), [0, 0, 0]);
    }
}

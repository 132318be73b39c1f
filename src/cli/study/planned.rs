//! What a study would do: its cells, their clusters, their runs, and how long they take.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::cli::command::Command;
use crate::cli::expected_cluster;
use crate::cli::failure::Failure;
use crate::cli::form::Form;
use crate::cli::output::{print, visible};
use crate::cli::series::clusters::Clusters;
use crate::engine::environment::provision::ClusterSpec;
use crate::experiment::{Cell, Choice, Cluster, Study};
use crate::kind_config::{DEFAULT_KUBERNETES, Kubernetes};
use crate::plan::RunLength;
use crate::prediction::{Predictions, SEED, TRIALS};
use crate::report::{hang, json, table};
use crate::series::order::Plan;
use crate::stats::{Between, Seconds};
use crate::study::journal::{CellRecord, Ground, Recorded};
use crate::timeline::counted;

/// A study with the clusters of its cells.
pub(super) struct Planned<'a> {
    pub study: &'a Study,
    pub clusters: Clusters,
}

/// What `--dry-run` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format: &'static str,
    study: String,
    question: Option<String>,
    file: String,
    on: String,
    /// The unfinished study that it would continue.
    continues: Option<String>,
    /// How many of its runs are done.
    done: u32,
    /// How many are left.
    runs: u32,
    rounds: u32,
    seed: Option<u64>,
    clusters: Vec<String>,
    /// Without making clusters.
    at_least_seconds: Seconds,
    cells: Vec<PlannedCell>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlannedCell {
    cell: String,
    choices: Vec<Choice>,
    cluster: String,
    /// Whether the settings are changed in the nodes of that cluster.
    settings_are_changed: bool,
    runs: u32,
    run_at_least_seconds: Seconds,
    predicted_detection: Option<Between>,
    /// In which share of the model's trials the fault lasts long enough for it.
    predicted_not_ready: Option<f64>,
}

const FORMAT: &str = "outage.study-plan/v1";

impl<'a> Planned<'a> {
    /// `retunes`: whether settings may be changed in the nodes of a running cluster.
    pub(super) fn new(
        study: &'a Study,
        command: &Command<'_>,
        retunes: bool,
    ) -> Result<Self, Failure> {
        let wanted = study.cells.iter().map(|cell| command.wanted(&cell.parsed));
        let clusters = Clusters::new(wanted.collect::<Result<_, _>>()?, retunes);
        let planned = Self { study, clusters };
        planned.refuse_settings(command)?;
        planned.refuse_image(command)?;
        Ok(planned)
    }

    /// Errors when cells differ in what the command line overrides.
    fn refuse_settings(&self, command: &Command<'_>) -> Result<(), Failure> {
        let Some(context) = &command.execution.access.context else { return Ok(()) };
        let cluster = |cell: &Cell| cell.parsed.experiment.cluster.clone();
        match self.study.cells.windows(2).all(|two| cluster(&two[0]) == cluster(&two[1])) {
            true => Ok(()),
            false => Err(Failure::usage(format!(
                "--context {context}: the cells of this study differ in their clusters"
            ))
            .hint("leave out --context, or take those axes out of the matrix")),
        }
    }

    /// Errors when one image is to be that of all nodes, where cells differ in theirs.
    fn refuse_image(&self, command: &Command<'_>) -> Result<(), Failure> {
        let Some(image) =
            command.environment.node_image.filter(|_| !command.execution.is_embedded())
        else {
            return Ok(());
        };
        let configs = self.study.cells.iter().filter_map(|cell| cell.parsed.kind_config.as_ref());
        let own = Kubernetes::Default(DEFAULT_KUBERNETES);
        let mut versions: Vec<String> =
            configs.map(|config| config.for_kubernetes(own).kubernetes).collect();
        versions.sort();
        versions.dedup();
        if versions.len() < 2 {
            return Ok(());
        }
        let message = format!(
            "node image {image} would apply to all cells, but they use different Kubernetes versions ({})",
            versions.join(", ")
        );
        Err(Failure::usage(message).hint("leave out --node-image, and unset OUTAGE_NODE_IMAGE"))
    }

    pub(super) fn runs(&self) -> u32 {
        self.study.cells.len() as u32 * self.study.repeat
    }

    pub(super) fn order(&self, seed: u64) -> Plan<'_> {
        let Study { repeat, rounds, .. } = *self.study;
        Plan { clusters: &self.clusters.of, hosts: &self.clusters.hosts, repeat, rounds, seed }
    }

    /// The shortest time that a run of a cell takes.
    pub(super) fn lasts(&self, cell: usize) -> Duration {
        RunLength::of(&self.study.cells[cell].parsed.experiment).at_least
    }

    /// What the experiments themselves name.
    pub(super) fn ground(&self) -> Ground {
        match &self.study.cells[0].parsed.experiment.cluster {
            Cluster::Kind { .. } => Ground::Kind,
            Cluster::Context => Ground::Context { name: None },
            Cluster::NamedContext { name, .. } => Ground::Context { name: Some(name.clone()) },
        }
    }

    /// The texts of the workload's files; those of a built-in study can't change.
    pub(super) fn files(&self) -> BTreeMap<String, String> {
        let paths = self.study.cells.iter().flat_map(|Cell { parsed, .. }| {
            let own = parsed.source.paths([]);
            let all = parsed.source.paths(parsed.experiment.workload.iter().map(PathBuf::as_path));
            all.into_iter().filter(move |path| !own.contains(path))
        });
        let text =
            |path: PathBuf| Some((path.display().to_string(), fs::read_to_string(path).ok()?));
        paths.collect::<BTreeSet<_>>().into_iter().filter_map(text).collect()
    }

    pub(super) fn records(&self) -> Vec<CellRecord> {
        let record = |(cell, cluster): (&Cell, &usize)| CellRecord {
            name: cell.name.clone(),
            choices: cell.choices.clone(),
            cluster: *cluster,
            experiment: serde_json::to_value(&cell.parsed.experiment).expect("is plain data"),
            kind_config: cell.parsed.kind_config.as_ref().map(|config| config.text().to_owned()),
        };
        self.study.cells.iter().zip(&self.clusters.of).map(record).collect()
    }

    /// Prints the plan, less the runs of a study that would go on.
    pub(super) fn dry_run(&self, command: &Command<'_>, goes_on: Option<&Recorded>) -> u8 {
        let document = self.document(command, goes_on);
        let write = |form| match form {
            Form::Json => json::pretty(&document),
            Form::Yaml => json::yaml(&document),
            _ => document.text(command.env.width),
        };
        print(&write(command.outputs.stdout));
        command.outputs.write_files(|form, out| write!(out, "{}", visible(&write(form))))
    }

    fn document(&self, command: &Command<'_>, goes_on: Option<&Recorded>) -> Document {
        let done = |cell: usize| {
            goes_on
                .map_or(0, |study| study.done_slots().filter(|it| it.cell == cell).count() as u32)
        };
        let left = |cell: usize| self.study.repeat.saturating_sub(done(cell));
        let study = self.study;
        let (clusters, cells) = (&self.clusters, study.cells.iter().enumerate());
        let cell = |(at, cell): (usize, &Cell)| {
            let predictions = predictions(cell);
            PlannedCell {
                cell: cell.name.clone(),
                choices: cell.choices.clone(),
                cluster: name(&clusters.specs[clusters.host(at)]),
                settings_are_changed: clusters.retuned(at).is_some(),
                runs: left(at),
                run_at_least_seconds: self.lasts(at).into(),
                predicted_detection: predictions.as_ref().and_then(detection),
                predicted_not_ready: predictions.as_ref().and_then(not_ready),
            }
        };
        let all: Duration = (0..study.cells.len()).map(|cell| self.lasts(cell) * left(cell)).sum();
        let hosts: BTreeSet<usize> = clusters.hosts.iter().copied().collect();
        Document {
            format: FORMAT,
            study: study.name.clone(),
            question: study.question.clone(),
            file: study.source.name().to_owned(),
            on: match command.execution.is_embedded() {
                true => "the EMBEDDED MODEL".into(),
                false => match self.ground() {
                    Ground::Kind if command.execution.access.context.is_none() => "kind".into(),
                    _ => "an existing cluster".into(),
                },
            },
            continues: goes_on.map(Recorded::id),
            done: (0..study.cells.len()).map(done).sum(),
            runs: (0..study.cells.len()).map(left).sum(),
            rounds: study.rounds,
            seed: goes_on.map(|study| study.header.seed).or(command.execution.seed).or(study.seed),
            clusters: hosts.into_iter().map(|host| name(&clusters.specs[host])).collect(),
            at_least_seconds: all.into(),
            cells: cells.map(cell).collect(),
        }
    }
}

fn name(spec: &ClusterSpec) -> String {
    match spec {
        ClusterSpec::Kind { config } | ClusterSpec::Embedded { config } => config.name.clone(),
        ClusterSpec::Context { context, .. } => {
            context.clone().unwrap_or_else(|| "the current context".into())
        }
    }
}

/// What is predicted of a cell, on the cluster of its kind config.
fn predictions(cell: &Cell) -> Option<Predictions> {
    let model = expected_cluster::model(&cell.parsed)?;
    Some(Predictions::new(Some(cell.parsed.experiment.clone()), model, TRIALS, SEED))
}

/// Of its first fault.
fn detection(predictions: &Predictions) -> Option<Between> {
    Some(predictions.steps.first()?.prediction.as_ref()?.detection)
}

/// Of its first fault.
fn not_ready(predictions: &Predictions) -> Option<f64> {
    predictions.tried().ok()?.first()?.forecast.detection.summary().chance()
}

impl Document {
    fn text(&self, width: usize) -> String {
        let clusters = counted(self.clusters.len(), "cluster");
        let going_on = self.continues.as_ref().map_or(String::new(), |id| {
            hang(
                "",
                &format!(
                    "continues {id}: {} done; these are left",
                    counted(self.done as usize, "run")
                ),
                width,
            )
        });
        let head = format!(
            "study {} on {}: {} in {} on {clusters}, at least {} (clusters not included)",
            self.study,
            self.on,
            counted(self.runs as usize, "run"),
            counted(self.cells.len(), "cell"),
            self.at_least_seconds.to_minutes(),
        );
        let seed = self.seed.map_or("a new seed".to_owned(), |seed| format!("seed {seed}"));
        let order = format!(
            "order: {}; in each, every cluster is visited once and every cell gets its share of \
             the runs, both in random order ({seed}); each run at a random phase",
            counted(self.rounds as usize, "round"),
        );
        let row = |cell: &PlannedCell| {
            vec![
                cell.cell.clone(),
                match cell.settings_are_changed {
                    true => format!("{}, settings changed", cell.cluster),
                    false => cell.cluster.clone(),
                },
                cell.runs.to_string(),
                cell.run_at_least_seconds.to_minutes(),
                cell.predicted_detection.map_or("-".into(), |between| {
                    let share = cell.predicted_not_ready.filter(|share| *share < 1.0);
                    let share = share.map(|it| format!(", in {:.1}% of runs", it * 100.0));
                    format!("{between:.1}{}", share.unwrap_or_default())
                }),
            ]
        };
        let header = vec!["CELL", "CLUSTER", "RUNS", "A RUN (AT LEAST)", "PREDICTED DETECTION"];
        format!(
            "{going_on}{}{}\n{}",
            hang("", &head, width),
            hang("", &order, width),
            table(width, header, self.cells.iter().map(row))
        )
    }
}

/// A line for `validate`.
pub(in crate::cli) fn summary(study: &Study) -> String {
    let all: Duration = study
        .cells
        .iter()
        .map(|cell| RunLength::of(&cell.parsed.experiment).at_least * study.repeat)
        .sum();
    format!(
        "valid ({}: {}, {} take at least {})",
        study.name,
        counted(study.cells.len(), "cell"),
        counted(study.cells.len() * study.repeat as usize, "run"),
        Seconds::from(all).to_minutes()
    )
}

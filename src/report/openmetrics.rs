//! Runs as OpenMetrics text, for a textfile collector or a push gateway.
//!
//! Every family is a gauge without timestamps: so the same text is also in Prometheus' older text
//! format, which node_exporter's textfile collector reads. A series is the same in every run of an
//! experiment; what is new in each run (its id, its cluster) is in the labels of `outage_run_info`
//! alone.

use std::fmt::Write;

use super::not_run::NotRun;
use super::printable::printable;
use super::suite::{ExperimentStatus, Part};
use super::summary::Summary;
use super::view::{FLAKY, View, cluster};
use crate::analysis::{Period, ProbeFinding};
use crate::stats::{Between, Seconds};
use crate::verdict::Outcome;

/// The last line: without it the text was cut.
const END: &str = "# EOF\n";

/// Several experiments in one text.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    let mut all = Families::default();
    parts.iter().for_each(|part| all.part(part));
    all.text()
}

/// The families, each with its samples: those of one family must stand together.
#[derive(Default)]
struct Families(Vec<Family>);

struct Family {
    name: &'static str,
    help: &'static str,
    samples: String,
}

/// The labels of a run.
type Labels<'l> = [(&'l str, &'l str)];

impl Families {
    fn add(&mut self, name: &'static str, help: &'static str, labels: &Labels<'_>, value: f64) {
        let at = self.0.iter().position(|family| family.name == name).unwrap_or_else(|| {
            self.0.push(Family { name, help, samples: String::new() });
            self.0.len() - 1
        });
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.0[at].samples, "{name}{{{}}} {value}", labels.join(","));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Family { name, help, samples } in &self.0 {
            let _ = writeln!(text, "# TYPE {name} gauge");
            if name.ends_with("_seconds") {
                let _ = writeln!(text, "# UNIT {name} seconds");
            }
            let _ = write!(text, "# HELP {name} {help}\n{samples}");
        }
        text + END
    }

    fn part(&mut self, part: &Part<View<'_>>) {
        let experiment = ("experiment", part.experiment.as_str());
        for state in [NotRun::Refused, NotRun::Skipped, NotRun::NotStarted] {
            let runs = match &part.status {
                ExperimentStatus::NotRun(this, _) if *this == state => 1,
                _ => 0,
            };
            let later = if state == NotRun::NotStarted { part.not_started } else { 0 };
            self.add(
                "outage_runs_missing",
                "Runs that were asked for but did not begin, by why.",
                &[experiment, ("reason", &state.word().to_lowercase())],
                f64::from(runs + later),
            );
        }
        for (number, view) in (1..).zip(part.decisive()) {
            let number: String = u32::to_string(&number);
            self.run(&[experiment, ("number", &number)], view);
        }
    }

    fn run(&mut self, run: &Labels<'_>, view: &View<'_>) {
        let header = &view.timeline.header;
        self.add(
            "outage_run_info",
            "A run: what it is called, and what it ran on.",
            &with(run, &[("run", &header.run), ("cluster", &cluster(&header.cluster))]),
            1.0,
        );
        let outcomes = [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive, Outcome::Measured];
        let mut states = outcomes.map(|outcome| outcome.word().to_lowercase()).to_vec();
        states.extend([FLAKY, NotRun::Refused.word()].map(str::to_lowercase));
        // Of one that goes on, or whose program was killed.
        states.extend(Some(view.state()).filter(|state| !states.contains(state)));
        for state in &states {
            self.add(
                "outage_run_verdict",
                "1 for the verdict of a run, 0 for the others.",
                &with(run, &[("verdict", state)]),
                truth(*state == view.state()),
            );
        }
        if let Ok(began) = view.findings.origin.wall.parse::<jiff::Timestamp>() {
            self.add(
                "outage_run_start_time_seconds",
                "When a run's +0 was, in Unix time.",
                run,
                began.as_millisecond() as f64 / 1e3,
            );
        }
        self.add(
            "outage_run_duration_seconds",
            "How long a run took in all.",
            run,
            view.took().as_f64(),
        );
        self.add(
            "outage_run_retries",
            "How often a run was made again because it was inconclusive.",
            run,
            header.retry.as_ref().map_or(0.0, |retry| retry.number.into()),
        );
        self.add(
            "outage_run_unexpected_measurements",
            "Measurements of a run that lie outside their predictions.",
            run,
            view.surprises().len() as f64,
        );
        self.add(
            "outage_run_warnings",
            "What makes the numbers of a run less reliable.",
            run,
            view.warnings().len() as f64,
        );
        self.expectations(run, view);
        self.measurements(run, view);
        view.findings.probes.iter().for_each(|probe| self.probe(run, probe));
    }

    fn expectations(&mut self, run: &Labels<'_>, view: &View<'_>) {
        for (name, assertion) in view.verdict.named() {
            for outcome in [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive] {
                let verdict = outcome.word().to_lowercase();
                self.add(
                    "outage_expectation_verdict",
                    "1 for the verdict of an expectation, 0 for the others.",
                    &with(run, &[("expectation", &name), ("verdict", &verdict)]),
                    truth(assertion.outcome == outcome),
                );
            }
        }
    }

    /// What was measured and what was predicted, each by its least and its most.
    fn measurements(&mut self, run: &Labels<'_>, view: &View<'_>) {
        for (quantity, least, most) in measured(view) {
            self.add(MEASURED.0, MEASURED.1, &with(run, &[("quantity", &quantity), LEAST]), least);
            if let Some(most) = most {
                self.add(
                    MEASURED.0,
                    MEASURED.1,
                    &with(run, &[("quantity", &quantity), MOST]),
                    most,
                );
            }
        }
        for one in view.comparisons().iter().filter(|one| one.step == 0) {
            for (bound, value) in [(LEAST, one.predicted.least), (MOST, one.predicted.most)] {
                self.add(
                    "outage_predicted_seconds",
                    "What the model predicts from the cluster's settings alone.",
                    &with(run, &[("quantity", &one.quantity), bound]),
                    value.as_f64(),
                );
            }
        }
    }

    fn probe(&mut self, run: &Labels<'_>, probe: &ProbeFinding) {
        let tally = probe.settled();
        let labels = with(run, &[("probe", &probe.name)]);
        self.add(
            "outage_probe_attempts",
            "Attempts of a probe since the steady state.",
            &labels,
            tally.judged() as f64,
        );
        self.add(
            "outage_probe_failed_attempts",
            "Attempts of a probe since the steady state that failed.",
            &labels,
            tally.failed as f64,
        );
    }
}

const MEASURED: (&str, &str) = (
    "outage_measured_seconds",
    "What was measured, as an interval: its least and its most; without a most it has not ended.",
);
const LEAST: (&str, &str) = ("bound", "least");
const MOST: (&str, &str) = ("bound", "most");

/// The quantities of a run in seconds, named as in the other formats; without a most: it may be any.
fn measured(view: &View<'_>) -> Vec<(String, f64, Option<f64>)> {
    let summary = Summary::new(view);
    let between = |name: &str, value: Option<Between>| {
        value.map(|value| (name.to_owned(), value.least.as_f64(), Some(value.most.as_f64())))
    };
    let of_cluster = [
        between("detection", summary.detection),
        between("endpoints removed", summary.removal.or(summary.removal_after_undo)),
        between("recovery", summary.recovery),
    ];
    let step = view.findings.faults.first().map(|fault| fault.overlap);
    let asked = view.findings.probes.iter().filter(|probe| !probe.control);
    let of_probes = asked.flat_map(|probe| {
        let Some(during) = step.map(|step| Period::Fault { step }) else { return Vec::new() };
        let name = format!("errors of {}", probe.name);
        let errors = match probe.window(during) {
            None => (name, 0.0, Some(0.0)),
            Some(window) if window.open => (name, window.length.least.as_f64(), None),
            Some(window) => (name, window.length.least.as_f64(), Some(window.length.most.as_f64())),
        };
        let p99 = probe.latency_in(during).and_then(|latency| latency.answered.p99);
        let p99 = p99.map(Seconds::as_f64);
        let p99 = p99.map(|p99| (format!("p99 latency of {}", probe.name), p99, Some(p99)));
        std::iter::once(errors).chain(p99).collect()
    });
    of_cluster.into_iter().flatten().chain(of_probes).collect()
}

fn with<'l>(run: &Labels<'l>, more: &Labels<'l>) -> Vec<(&'l str, &'l str)> {
    [run, more].concat()
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// A label's value: what may not be printed is an escape already, and its backslash is one of the
/// text.
fn escaped(value: &str) -> String {
    printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

//! Recorded runs beside each other, and samples of made-up numbers.

use std::path::Path;

use super::quantities::Unit;
use super::sample::Values;
use super::*;
use crate::analysis::Findings;
use crate::experiment::Experiment;
use crate::prediction::{ClusterModel, Predictions};
use crate::timeline::{ClusterKind, Timeline};

/// A recorded run, judged.
struct Run {
    timeline: Timeline,
    findings: Findings,
    verdict: crate::verdict::Verdict,
}

fn run(name: &str, id: &str) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    let mut timeline = Timeline::read(&folder).unwrap();
    timeline.header.run = id.into();
    let findings = crate::analysis::analyse(&timeline);
    let experiment: Experiment =
        serde_json::from_value(timeline.header.experiment.clone()).unwrap();
    let predictions =
        Predictions::of_run(&timeline.header, ClusterModel::of_header(&timeline.header));
    let verdict = crate::verdict::judge(&findings, &experiment.expect, &predictions);
    Run { timeline, findings, verdict }
}

impl Run {
    fn recorded(&self) -> Recorded<'_> {
        let Self { timeline, findings, verdict } = self;
        Recorded { timeline, findings, verdict }
    }
}

fn several(name: &str, day: &str, count: usize) -> Vec<Run> {
    (0..count).map(|number| run(name, &format!("{day}-{number}"))).collect()
}

fn recorded(runs: &[Run]) -> Vec<Recorded<'_>> {
    runs.iter().map(Run::recorded).collect()
}

fn compared(before: &Sample, after: &Sample) -> Result<Comparison, String> {
    let sides = [("a", before), ("b", after)].map(|(name, sample)| Named { name, sample });
    Comparison::new("x", sides, Floor::default())
}

fn verdict(comparison: &Comparison, quantity: &str) -> Verdict {
    let found = comparison.quantities.iter().find(|one| one.quantity == quantity);
    found.unwrap_or_else(|| panic!("{quantity}: {:?}", comparison.quantities)).verdict
}

#[test]
fn a_recorded_run_has_its_quantities() {
    let sample = Sample::new([run("node-pause", "a").recorded()]);
    let names: Vec<&str> = sample.measured.keys().map(String::as_str).collect();
    for name in [
        "detection",
        "endpoints of web removed",
        "errors of web",
        "errors of web-kept",
        "failed share of web",
        "p50 latency of web",
        "p99 latency of web",
        "recovery",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let condition = |name: &str| sample.conditions[name].iter().next().unwrap().as_str();
    assert_eq!(condition("cluster"), "kind");
    assert_eq!(condition("topology"), "1 control-plane, 2 worker");
    assert_eq!(condition("node-monitor-grace-period"), "4s");
    assert_eq!(condition("probes.web.rate"), "50.0");
    assert_eq!(condition("method.0.fault.hold"), "15s");
}

#[test]
fn the_same_runs_show_no_difference_and_worse_ones_are_worse() {
    let (old, stale) =
        (several("worker-stop", "a", 5), several("worker-stop-with-stale-ports", "b", 5));
    let (old, stale) = (Sample::new(recorded(&old)), Sample::new(recorded(&stale)));
    let same = compared(&old, &old).unwrap();
    assert!(same.is_decided() && !same.is_worse(), "{same:?}");
    assert_eq!(same.warnings, ["Both sides contain 5 runs."]);
    let worse = compared(&old, &stale).unwrap();
    assert_eq!(verdict(&worse, "errors of web"), Verdict::Worse);
    let better = compared(&stale, &old).unwrap();
    assert_eq!(verdict(&better, "errors of web"), Verdict::Better);
}

#[test]
fn what_differs_is_named_from_the_headers() {
    let (a, mut b) = (run("worker-stop", "a"), run("worker-stop", "b"));
    let header = &mut b.timeline.header;
    header.cluster.kubernetes = "v1.35.0".into();
    header.cluster.tuning.node_monitor_period = Some(std::time::Duration::from_secs(5));
    header.experiment["probes"][0]["rate"] = 10.0.into();
    let compared = compared(&Sample::new([a.recorded()]), &Sample::new([b.recorded()])).unwrap();
    let changes: Vec<&str> = compared.changes.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(changes, ["Kubernetes", "node-monitor-period", "probes.web.rate"]);
    assert_eq!(verdict(&compared, "detection"), Verdict::TooFewRuns);
    let why = compared.quantities[0].why.as_deref();
    assert_eq!(why, Some("39 after are needed with 1 before"));
}

#[test]
fn a_model_is_never_compared_with_a_cluster() {
    let (real, mut model) = (run("worker-stop", "a"), run("worker-stop", "b"));
    model.timeline.header.cluster.kind = ClusterKind::Embedded;
    let [real, model] = [&real, &model].map(|run| Sample::new([run.recorded()]));
    assert!(compared(&real, &model).unwrap_err().contains("embedded model"));
    assert!(compared(&model, &real).is_err());
    assert!(compared(&model, &model).unwrap().warnings[0].contains("EMBEDDED MODEL"));
}

#[test]
fn what_does_not_count_is_named() {
    let (good, mut cut, mut unsure) =
        (run("worker-stop", "a"), run("worker-stop", "b"), run("worker-stop", "c"));
    cut.findings.completion = crate::analysis::Completion::Died;
    unsure.verdict.outcome = crate::verdict::Outcome::Inconclusive;
    let sample = Sample::new([good.recorded(), cut.recorded(), unsure.recorded()]);
    assert_eq!((sample.runs.len(), sample.inconclusive), (2, 1));
    assert_eq!((&*sample.left_out[0].run, &*sample.left_out[0].why), ("b", "unfinished"));
    assert_eq!(sample.measured["detection"].values.len(), 2, "an inconclusive one counts");
}

#[test]
fn the_survivors_of_many_runs_decide_nothing() {
    let old = several("worker-stop", "a", 5);
    let mut new = several("worker-stop-with-stale-ports", "b", 11);
    new[5..].iter_mut().for_each(|run| run.findings.completion = crate::analysis::Completion::Died);
    let of = |runs: &[Run]| {
        compared(&Sample::new(recorded(&old)), &Sample::new(recorded(runs))).unwrap()
    };
    assert!(of(&new[..10]).is_worse(), "half of them count");
    let most_are_out = of(&new);
    assert!(!most_are_out.is_worse() && !most_are_out.is_decided());
    let why = most_are_out.quantities.iter().find(|one| one.quantity == "errors of web").unwrap();
    assert_eq!(why.why.as_deref(), Some("6 of 11 runs after were left out"));
    assert!(Baseline::default().save(&recorded(&new)).is_empty());
}

#[test]
fn suites_are_compared_by_experiment() {
    let runs = [run("worker-stop", "a"), run("node-kill", "b"), run("node-pause", "c")];
    let [stop, kill, pause] = runs.each_ref().map(Run::recorded);
    let name = |run: &Recorded<'_>| run.timeline.header.name.clone();
    let pairs = pair(vec![stop, kill], vec![kill, pause], name);
    let sizes: Vec<_> =
        pairs.iter().map(|p| (p.name.as_str(), p.before.len(), p.after.len())).collect();
    // In the order of the sides.
    assert_eq!(sizes, [("worker-stop-fast", 1, 0), ("node-kill", 1, 1), ("node-pause", 0, 1)]);
    let pairs = pair(vec![kill], vec![pause], name);
    assert_eq!((pairs.len(), pairs[0].name.as_str()), (1, "node-kill and node-pause"));
}

fn sample(values: &[f64], at_least: &[f64]) -> Sample {
    let (values, at_least) = (values.to_vec(), at_least.to_vec());
    let values = Values { unit: Unit::Seconds, values, at_least, never: Vec::new() };
    Sample {
        runs: vec!["r".into()],
        measured: [("errors".to_owned(), values)].into(),
        ..Sample::default()
    }
}

#[test]
fn what_had_not_ended_is_never_taken_for_no_difference() {
    let old = sample(&[5.0, 5.1, 5.2, 5.3], &[]);
    let of = |a: &Sample, b: &Sample| verdict(&compared(a, b).unwrap(), "errors");
    assert_eq!(of(&old, &sample(&[5.0, 5.1], &[5.2, 5.3])), Verdict::NotJudged);
    assert_eq!(of(&old, &sample(&[7.0, 7.1], &[7.2, 7.3])), Verdict::Worse);
    assert_eq!(of(&sample(&[7.0, 7.1], &[7.2, 7.3]), &old), Verdict::Better);
    assert_eq!(of(&sample(&[3.0, 3.1], &[3.2, 3.3]), &old), Verdict::NotJudged);
    let nothing = Sample { runs: vec!["r".into()], ..Sample::default() };
    assert_eq!(of(&old, &nothing), Verdict::NotJudged);
}

#[test]
fn a_difference_below_the_floor_does_not_count() {
    let (old, new) = (sample(&[5.0, 5.01, 5.02, 5.03], &[]), sample(&[5.3, 5.31, 5.32, 5.33], &[]));
    let at = |parts: &[&str]| {
        let parts: Vec<FloorPart> = parts.iter().map(|part| part.parse().unwrap()).collect();
        let sides = [("a", &old), ("b", &new)].map(|(name, sample)| Named { name, sample });
        verdict(&Comparison::new("x", sides, Floor::of(&parts)).unwrap(), "errors")
    };
    assert_eq!(at(&[]), Verdict::NoDifferenceShown, "6 % is less than 10 %");
    assert_eq!([at(&["5%"]), at(&["250ms"])], [Verdict::Worse; 2]);
    assert_eq!(at(&["5%", "500ms"]), Verdict::NoDifferenceShown);
    assert!("5".parse::<FloorPart>().is_err() && "-1%".parse::<FloorPart>().is_err());
    let words =
        "10% of the median before, but at least 10ms (of shares: at least 1 percentage point)";
    assert_eq!(Floor::default().words(), words);
}

#[test]
fn a_baseline_keeps_a_history_for_each_key() {
    let stop = several("worker-stop", "a", 4);
    let (kill, stale) =
        (several("node-kill", "b", 4), several("worker-stop-with-stale-ports", "c", 4));
    let mut baseline = Baseline::default();
    baseline.save(&recorded(&stop));
    let saved = baseline.save(&recorded(&kill));
    assert_eq!((saved[0].runs, saved[0].replaced, baseline.entries.len()), (4, None, 2));
    let text = serde_json::to_string(&baseline).unwrap();
    let read = Baseline::parse(&text).unwrap();
    assert_eq!(read, baseline);
    let mut other_order = Baseline::default();
    other_order.save(&recorded(&kill));
    other_order.save(&recorded(&stop));
    assert_eq!(serde_json::to_string(&other_order).unwrap(), text, "git sees no difference");

    let floor = Floor::default();
    let same = read.compare("b.json", &recorded(&stop), floor);
    assert!(same.is_decided() && !same.is_worse());
    let worse = read.compare("b.json", &recorded(&stale), floor);
    assert!(worse.is_worse());
    let replaced = baseline.save(&recorded(&stop[..2]));
    assert_eq!((replaced[0].replaced, baseline.entries.len()), (Some(4), 2));
}

#[test]
fn no_history_is_skipped_with_the_reason() {
    let mut baseline = Baseline::default();
    let old = several("worker-stop", "a", 4);
    baseline.save(&recorded(&old));
    let mut new = run("worker-stop", "b");
    new.timeline.header.cluster.kubernetes = "v1.35.0".into();
    let skipped = baseline.compare("b.json", &[new.recorded()], Floor::default());
    assert!(!skipped.is_decided() && !skipped.is_worse());
    let why = "worker-stop-fast: b.json has no matching runs; the nearest differ: Kubernetes was v1.34.4, is v1.35.0";
    assert_eq!(skipped.skipped, [why]);
    let other = run("node-kill", "c");
    let skipped = baseline.compare("b.json", &[other.recorded()], Floor::default());
    assert!(skipped.skipped[0].contains("no runs of this experiment"), "{skipped:?}");
    let format = |text: &str| Baseline::parse(text).unwrap_err();
    assert!(format(r#"{"format": "outage.baseline/v9"}"#).contains("outage.baseline/v9"));
    assert!(format("[]").contains("no `format"));
}

//! Every form of the article's run, and of runs that went otherwise, as snapshots.

use std::path::PathBuf;
use std::time::Duration;

use super::summary::Summary;
use super::*;
use crate::analysis::testing::{Prober, Run, article, at, attempt, file, pods_wait, span};
use crate::analysis::{Findings, analyse};
use crate::experiment::*;
use crate::prediction::{self, Predictions};
use crate::timeline::{
    Change, ClusterKind, Event, FaultPhase, NodeFacts, NodeRole, Outcome as Answer, Ready, Retry,
    Shard, Timeline,
};
use crate::verdict::{Outcome, Verdict, judge};

/// The experiment of the article's run.
fn experiment() -> Experiment {
    let service = Target::Service { service: "web".into(), port: None };
    let http = Ask::Http(Box::new(HttpAsk::get(service)));
    let probe = Probe {
        name: "web".into(),
        ask: http,
        from: From::Node(NodeSelector::default()),
        connection: Connection::New,
        rate: 50.0,
        timeout: Duration::from_millis(200),
    };
    let seconds = Duration::from_secs;
    Experiment {
        name: "worker-stop-fast".into(),
        question: Some("How long do clients of a Service see errors after a worker dies?".into()),
        claims: Vec::new(),
        cluster: Cluster::Kind {
            config: PathBuf::from("../kind-configs/fast-detection.yaml"),
            tuning: None,
        },
        namespace: None,
        workload: vec![PathBuf::from("workloads/web.yaml")],
        workload_timeout: seconds(120),
        probes: vec![probe],
        steady_state: vec![Condition::NodesReady(Quantity::All)],
        steady_state_timeout: seconds(120),
        method: vec![Step::Fault {
            name: None,
            meanwhile: Vec::new(),
            fault: Fault::NodeStop { target: NodeSelector::default(), grace: seconds(10) },
            hold: seconds(15),
        }],
        expect: vec![
            Expectation::Detection {
                of: None,
                after: None,
                within: Bound::Fixed(seconds(7)),
                at_least: None,
            },
            Expectation::ErrorWindow {
                probe: "web".into(),
                at_most: Some(Bound::Fixed(seconds(8))),
                at_least: None,
                counts: ErrorTime::FirstToLast,
            },
            Expectation::Recovery { within: Bound::Fixed(seconds(60)) },
        ],
        blast_radius: BlastRadius::default(),
    }
}

struct Judged {
    timeline: Timeline,
    findings: Findings,
    verdict: Verdict,
    predictions: Predictions,
}

impl Judged {
    fn new(run: Run, experiment: Experiment) -> Self {
        let mut timeline = run.build();
        timeline.header.experiment = serde_json::to_value(&experiment).unwrap();
        Self::of(timeline)
    }

    fn of(timeline: Timeline) -> Self {
        let findings = analyse(&timeline);
        // Few tries: these are tests of forms.
        let predictions = Predictions::new(
            prediction::experiment(&timeline.header),
            ground(&timeline.header, &findings),
            50,
            1,
        );
        let expect = prediction::experiment(&timeline.header)
            .map_or(Vec::new(), |experiment| experiment.expect);
        let verdict = judge(&findings, &expect, &predictions);
        Self { timeline, findings, verdict, predictions }
    }

    fn article() -> Self {
        Self::new(article(), experiment())
    }

    fn view(&self) -> View<'_> {
        View::new(&self.timeline, &self.findings, &self.verdict, &self.predictions)
    }
}

fn terminal(judged: &Judged, width: usize) -> String {
    let text = terminal::render(&judged.view(), &Style { width, ..Style::default() });
    for line in text.lines() {
        assert!(text::width(line) <= width, "{} columns: {line}", text::width(line));
        assert_eq!(line.trim_end(), line);
    }
    text
}

/// A run in which nearly everything goes wrong.
fn gone_wrong() -> Judged {
    let mut control = span("control", 20, 200);
    (control.probe.control, control.probe.service, control.probe.target) =
        (true, None, "tcp://127.0.0.1:41234".into());
    let answer = |slot: u64| if (400..420).contains(&slot) { Answer::Refused } else { Answer::Ok };
    let control =
        file(&control, &[], (0..1500).map(|slot| attempt(slot, answer(slot), 1000)).collect());
    let gap =
        Event::WatchGap { watch: "nodes".into(), until: None, reason: "connection refused".into() };
    let run = Run::new().endpoints(10, 1).kill(6000).node(
        -9000,
        Change::Baseline,
        Ready::True,
        "KubeletReady",
    );
    let run = run
        .node(5000, Change::Changed, Ready::Unknown, "NodeStatusUnknown")
        .since(1000)
        .event(1000, gap);
    let run = run.event(
        20_000,
        Event::SteadyStateMissed {
            before: false,
            conditions: vec!["2 of 3 nodes are Ready".into()],
        },
    );
    let run = run.event(
        20_100,
        Event::Note { warning: true, text: "the wall clock was stepped by 1.2s".into() },
    );
    let mut experiment = experiment();
    experiment.method = vec![Step::Fault {
        name: None,
        fault: Fault::NodeKill { target: NodeSelector::default() },
        hold: Duration::from_secs(6),
        meanwhile: Vec::new(),
    }];
    experiment.expect.push(Expectation::EndpointRemoval {
        service: None,
        within: Bound::Fixed(Duration::from_secs(5)),
    });
    Judged::new(
        run.probe(Prober::new(20, 10, 1, (300, 7000)).file()).probe(control).ended(21_000),
        experiment,
    )
}

/// A moment and its text stand below one another where they have no room beside one another.
#[test]
fn terminal_at_60_columns() {
    let text = terminal(&Judged::article(), 60);
    let below = "   +4.781s           detected\n      Ready is Unknown, as the watch saw it\n";
    assert!(text.contains(below), "{text}");
    for judged in [Judged::article(), gone_wrong()] {
        terminal(&judged, 40);
        let described = describe::render(&judged.view(), 60);
        assert!(described.lines().all(|line| text::width(line) <= 60), "{described}");
    }
}

#[test]
fn failures_before_the_fault_are_named_by_class() {
    let outcome = |ms: i64| match ms {
        -3000..-2940 => Answer::Refused,
        -2000..-1980 => Answer::Status(503),
        _ => Answer::Ok,
    };
    let attempts = (0..1000).map(|slot| attempt(slot, outcome(slot as i64 * 20 - 5000), 1000));
    let file = file(&span("web", 20, 200), &[], attempts.collect());
    let run = Run::new().endpoints(2, 1).kill(9000).probe(file).ended(15_000);
    let text = terminal(&Judged::new(run, experiment()), 100);
    let wanted = "4 of 1000 failed; 4 of 250 failed before the fault (refused 3, status 503 1)";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn error_rates_of_several_runs_have_a_row_a_window() {
    let run = |failed| {
        let window = std::time::Duration::from_secs(10).into();
        let (from, until) = Default::default();
        let (judged, attempts, most_failed, whole) = (200, 200, failed, true);
        let rate = crate::analysis::ErrorRate {
            window,
            from,
            until,
            failed,
            judged,
            attempts,
            most_failed,
            whole,
        };
        Summary { error_rates: vec![rate], ..Summary::new(&Judged::article().view()) }
    };
    let report = spread::SpreadReport::new([10, 30, 20].map(run).to_vec());
    let text = spread::render(&report, &Style::default());
    let row = ["highest", "error", "rate", "over", "10s", "5.0%", "10.0%", "15.0%", "3"];
    let found = text.lines().any(|line| line.split_whitespace().eq(row));
    assert!(found, "{text}");
}

#[test]
fn terminal_at_80_columns() {
    insta::assert_snapshot!(terminal(&Judged::article(), 80));
}

#[test]
fn terminal_at_100_columns() {
    insta::assert_snapshot!(terminal(&Judged::article(), 100));
}

#[test]
fn terminal_at_140_columns() {
    insta::assert_snapshot!(terminal(&Judged::article(), 140));
}

#[test]
fn terminal_when_all_goes_wrong() {
    insta::assert_snapshot!(terminal(&gone_wrong(), 100));
}

#[test]
fn terminal_of_an_interrupted_run() {
    let run = Run::new()
        .endpoints(2, 1)
        .kill(3000)
        .event(2900, Event::Interrupted { signal: "SIGINT".into() });
    let judged = Judged::new(
        run.probe(Prober::new(20, 2, 1, (100, 2_000_000)).file()).ended(5000),
        experiment(),
    );
    insta::assert_snapshot!(terminal(&judged, 80));
}

/// Nothing had failed before the undo: what fails after it fails for the first time.
#[test]
fn errors_after_an_undo_are_the_first_where_none_were_before() {
    let run = || Run::new().endpoints(2, 1);
    let shown = |run: Run, outage| {
        let probe = Prober::new(20, 2, 1, outage).file();
        terminal(&Judged::new(run.probe(probe).ended(5000), experiment()), 100)
    };
    let text = shown(run().kill(20), (100, 1500));
    assert!(text.contains("errors  ") && !text.contains("errors again"), "{text}");
    assert!(text.contains("healed  ") && !text.contains("healed again"), "{text}");
    let text = shown(run().kill(1000), (100, 1500));
    assert!(text.contains("errors go on"), "{text}");
}

#[test]
fn nothing_is_predicted_of_a_run_without_a_fault() {
    let run = Run::new().event(900, Event::Interrupted { signal: "SIGINT".into() }).ended(1000);
    let text = terminal(&Judged::new(run, experiment()), 100);
    assert!(text.ends_with("  A single run.\n"), "{text}");
}

#[test]
fn terminal_of_a_run_that_asserts_nothing() {
    let mut experiment = experiment();
    experiment.expect.clear();
    let text = terminal(&Judged::new(article(), experiment), 100);
    assert!(
        text.contains("  No expectations: nothing was judged.\n")
            && text.lines().next().unwrap().ends_with("MEASURED"),
        "{text}"
    );
}

#[test]
fn terminal_of_a_canary() {
    let mut experiment = experiment();
    experiment.expect.retain(|expectation| matches!(expectation, Expectation::Recovery { .. }));
    insta::assert_snapshot!(terminal(&Judged::new(pods_wait(), experiment), 100));
}

/// Real runs fit on any terminal, and what they say of a probe that keeps its connections is what
/// its clients saw.
#[test]
fn recorded_runs_fit() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let runs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    assert!(runs.len() >= 7, "{runs:?}");
    for run in runs {
        let judged = Judged::of(Timeline::read(&run).unwrap());
        let texts = [80, 100, 140, 60, 40].map(|width| terminal(&judged, width));
        assert!(judged.findings.unheard.is_empty(), "{}", texts[1]);
        let kept: Vec<&str> = texts[1]
            .lines()
            .filter(|line| line.contains("web-kept: ") && line.contains("+0."))
            .collect();
        assert!(
            kept.iter()
                .all(|line| ["errors ", "healed ", "hung "].iter().any(|word| line.contains(word))),
            "{kept:#?}"
        );
        let keeps = judged.findings.probes.iter().any(|probe| probe.reused);
        assert_eq!(kept.len(), if keeps { 3 } else { 0 }, "{}", texts[1]);
        assert!(!keeps || texts[1].contains("without one, a client"), "{}", texts[1]);
    }
}

/// What left only after the undo is told so, and a recovery that is not known is no moment.
#[test]
fn terminal_of_an_outage_that_nobody_noticed() {
    let run = Run::new().endpoints(2, 1).kill(3000).beat(-500, "06:23:40Z", Ready::True);
    let run = run
        .endpoint(6000, Change::Changed, 0, "fast-detection-worker", false)
        .steady(4000, false, 3400);
    let probe = Prober::new(20, 2, 1, (100, 3200)).file();
    let run = run
        .probe(probe)
        .endpoint(7000, Change::Changed, 0, "fast-detection-worker", true)
        .ended(9000);
    let heard = Judged::new(Run(run.0.clone()).lease(8000, "06:23:49.2Z"), experiment());
    let unheard = Judged::new(run, experiment());
    insta::assert_snapshot!(format!("{}\n{}", terminal(&unheard, 100), terminal(&heard, 100)));
}

/// What was predicted of its recovery was predicted for a fault of another length.
#[test]
fn nothing_is_unexpected_of_a_fault_that_was_cut_short() {
    let run = || Run::new().endpoints(2, 1).kill(3000).beat(-500, "06:23:40Z", Ready::True);
    let shown = |run: Run| {
        let run = run.steady(22_000, false, 20_000).ended(23_000).lease(20_000, "06:24:01.2Z");
        terminal(&Judged::new(run, experiment()), 100)
    };
    let text = shown(run());
    assert!(text.contains("unexpected: recovery took 16.6s"), "{text}");
    let text = shown(run().event(2900, Event::Interrupted { signal: "SIGINT".into() }));
    assert!(text.contains("recovery") && !text.contains("unexpected"), "{text}");
}

#[test]
fn a_timeline_of_nothing_has_a_report() {
    for width in [20, 80, 200] {
        let judged = Judged::new(Run::new(), experiment());
        terminal(&judged, width.max(40));
        assert!(
            terminal::render(&judged.view(), &Style { width, ..Style::default() })
                .contains("INCONCLUSIVE")
        );
    }
}

#[test]
fn ascii_is_ascii() {
    let text = terminal::render(&gone_wrong().view(), &Style { ascii: true, ..Style::default() });
    assert!(text.is_ascii(), "{text}");
    let coloured = terminal::render(
        &Judged::article().view(),
        &Style { colour: Some(Ink::new(7)), ..Style::default() },
    );
    assert!(coloured.contains("\u{1b}[") && !terminal(&Judged::article(), 80).contains('\u{1b}'));
}

#[test]
fn long_names_are_wrapped() {
    let mut run = Judged::article();
    run.timeline.header.name =
        "an-experiment-with-a-name-that-is-longer-than-any-terminal-is-wide-".repeat(3);
    run.timeline.header.cluster.name = "узел".repeat(40);
    run.findings.faults[0].target = "worker-".repeat(30);
    terminal(&run, 80);
    terminal(&run, 120);
}

#[test]
fn json_of_the_article() {
    let judged = Judged::article();
    let mut value: serde_json::Value =
        serde_json::from_str(&json::pretty(&json::Report::new(&judged.view()))).unwrap();
    let series = value.pointer_mut("/findings/probes/0/series").unwrap();
    for key in ["failed", "judged"] {
        series[key] = serde_json::json!(series[key].as_array().unwrap().len());
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap());
}

#[test]
fn json_is_what_its_schema_says() {
    let schema = schemars::schema_for!(Document).to_value();
    for judged in [Judged::article(), gone_wrong(), Judged::new(Run::new(), experiment())] {
        let value: serde_json::Value =
            serde_json::from_str(&json::pretty(&json::Report::new(&judged.view()))).unwrap();
        check(&value, &schema, &schema, "report");
        let report: json::Report = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(report).unwrap(), value);
    }
    for parts in 1..=3 {
        let value = suite_of_three(|all| json::pretty(&Document::of(&all[..parts])));
        check(&serde_json::from_str(&value).unwrap(), &schema, &schema, "several runs");
    }
}

/// The part of JSON schema that schemars uses here: references, types, properties, required, items,
/// oneOf, anyOf, const and enum.
fn check(
    value: &serde_json::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    path: &str,
) {
    if let Some(problem) = problem(value, schema, root, path) {
        panic!("{problem}");
    }
}

fn problem(
    value: &serde_json::Value,
    schema: &serde_json::Value,
    root: &serde_json::Value,
    path: &str,
) -> Option<String> {
    use serde_json::Value;
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let target = root
            .pointer(reference.trim_start_matches('#'))
            .expect("a reference that leads somewhere");
        return problem(value, target, root, path);
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(Value::Array(forms)) = schema.get(key)
            && !forms.iter().any(|form| problem(value, form, root, path).is_none())
        {
            return Some(format!("{path} is none of its forms: {value}"));
        }
    }
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        return Some(format!("{path} is not {schema}"));
    }
    if let Some(Value::Array(all)) = schema.get("enum")
        && !all.contains(value)
    {
        return Some(format!("{path} is not of {all:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let typed = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(fits),
        Some(one) => fits(one),
        None => true,
    };
    if !typed {
        return Some(format!("{path} is {kind}, not {}", schema["type"]));
    }
    if let (Value::Array(items), Some(item)) = (value, schema.get("items")) {
        return items
            .iter()
            .enumerate()
            .find_map(|(i, v)| problem(v, item, root, &format!("{path}[{i}]")));
    }
    let Value::Object(members) = value else { return None };
    let properties = schema.get("properties").and_then(Value::as_object);
    let missing = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(name) = missing.filter_map(Value::as_str).find(|name| !members.contains_key(*name))
    {
        return Some(format!("{path} lacks {name}"));
    }
    members.iter().find_map(|(name, member)| match properties.map(|p| p.get(name)) {
        Some(Some(schema)) => problem(member, schema, root, &format!("{path}.{name}")),
        Some(None) if schema.get("oneOf").is_none() => {
            Some(format!("{path}.{name} is in no schema"))
        }
        _ => None,
    })
}

#[test]
fn yaml_is_the_same_value() {
    let judged = Judged::article();
    let yaml = json::yaml(&json::Report::new(&judged.view()));
    let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(
        read,
        serde_json::from_str::<serde_json::Value>(&json::pretty(&json::Report::new(
            &judged.view()
        )))
        .unwrap()
    );
}

#[test]
fn an_endpoint_that_left_after_the_undo_is_in_the_tables_too() {
    let run = Run::new().endpoints(2, 1).kill(2000).endpoint(
        3000,
        Change::Changed,
        0,
        "fast-detection-worker",
        false,
    );
    let judged = Judged::new(
        run.probe(Prober::new(20, 2, 1, (300, 2500)).file()).ended(10_000),
        experiment(),
    );
    assert!(terminal(&judged, 100).contains("left web, after the undo"));
    let summary = Summary::new(&judged.view());
    assert_eq!(
        (summary.removal, summary.unready().as_deref()),
        (None, Some("3.000s (after undo)"))
    );
}

#[test]
fn junit_of_two_runs() {
    let (good, bad) = (Judged::article(), gone_wrong());
    insta::assert_snapshot!(junit::render(&suite::Part::of_runs(vec![good.view(), bad.view()])));
}

#[test]
fn csv_of_two_runs() {
    let (good, bad) = (Judged::article(), gone_wrong());
    insta::assert_snapshot!(csv::render(&suite::Part::of_runs(vec![good.view(), bad.view()])));
}

#[test]
fn log_of_the_article() {
    let judged = Judged::article();
    let mut text = String::new();
    log::write(&judged.view(), &mut text).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn the_log_stays_short_when_answers_alternate() {
    let mut fast = Prober::new(1, 2, 1, (100, 10_100));
    fast.seconds = 20;
    let judged = Judged::new(
        Run::new().endpoints(2, 1).kill(12_000).probe(fast.file()).ended(16_000),
        experiment(),
    );
    let mut text = String::new();
    log::write(&judged.view(), &mut text).unwrap();
    assert!(text.lines().count() < 200, "{}", text.lines().count());
    assert!(text.contains("more changes"));
}

#[test]
fn attempts_are_exported() {
    let judged = Judged::article();
    let mut bytes = Vec::new();
    jsonl::write(&judged.timeline, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, judged.findings.probes[0].total.judged());
    let failed = lines.iter().filter(|line| line["failed"] == true).count() as u64;
    assert_eq!(failed, judged.findings.probes[0].total.failed);
    insta::assert_snapshot!(text.lines().take(2).collect::<Vec<_>>().join("\n"));
}

#[test]
fn table_of_runs() {
    let judged = [
        Judged::article(),
        gone_wrong(),
        Judged::new(Run::new().endpoints(1, 1).kill(5000), experiment()),
    ];
    let runs: Vec<Summary> = judged.iter().map(|judged| Summary::new(&judged.view())).collect();
    let now = "2026-11-22T09:30:00Z".parse().unwrap();
    insta::assert_snapshot!(format!(
        "{}\n{}",
        runs::render(&runs, false, now, 100),
        runs::render(&runs, true, now, 100)
    ));
    assert!(runs::render(&[], false, now, 100).starts_with("RUN"));
}

#[test]
fn description_of_the_article() {
    insta::assert_snapshot!(describe::render(&Judged::article().view(), 1000));
}

#[test]
fn spread_of_three_runs() {
    let at = |ms: i64| {
        let mut run = Judged::article();
        let detected = run.findings.faults[0].node.detected.as_mut().unwrap();
        detected.at.latest = crate::stats::Seconds::from_nanos(ms * 1_000_000);
        detected.at.earliest = detected.at.latest;
        Summary::new(&run.view())
    };
    let report = spread::SpreadReport::new(vec![at(3300), at(4781), at(7100)]);
    assert_eq!((report.inside, report.detection.as_ref().unwrap().n), (Some(2), 3));
    let disturbed = Summary { left_out: Some("interrupted".into()), ..at(9000) };
    let spread = spread::SpreadReport::new(vec![at(3300), at(4781), disturbed]);
    let detection = spread.detection.clone().unwrap();
    assert_eq!((spread.left_out, detection.n, detection.max), (1, 2, 4.781.into()));
    let text = spread::render(&spread, &Style::default());
    assert!(
        text.contains("Left out of the spread: ") && text.contains(" (interrupted)."),
        "{text}"
    );
    let open = Summary { open: true, ..at(4781) };
    let spread = spread::SpreadReport::new(vec![at(3300), open]);
    assert_eq!((spread.still_failing, spread.error_window.as_ref().unwrap().n), (1, 1));
    let text = spread::render(&spread, &Style::default());
    assert!(text.contains("Not in the error window: 1 of 2 runs still failing"), "{text}");
    insta::assert_snapshot!(spread::render(&report, &Style::default()));
    let six = [3000, 3300, 3600, 4000, 4400, 4781].map(at).to_vec();
    let text = spread::render(&spread::SpreadReport::new(six), &Style::default());
    assert!(text.contains("3.800s (3."), "{text}");
    assert!(text.contains("(percentile bootstrap;"), "{text}");
}

#[test]
fn a_node_that_left_ready_without_a_fault_is_in_the_chain_of_every_cluster() {
    for kind in [ClusterKind::Kind, ClusterKind::Embedded] {
        let mut timeline = article().build();
        timeline.header.cluster.kind = kind;
        let before = Judged::of(timeline.clone());
        assert!(!terminal(&before, 100).contains("bystander"));
        let said = |ms, ready| {
            let (node, reason, change) =
                ("fast-detection-worker2".into(), String::new(), Change::Changed);
            let (transition, heartbeat, taints) = (None, None, Vec::new());
            let event = Event::Node { node, change, ready, reason, transition, heartbeat, taints };
            crate::timeline::Record::at(crate::analysis::testing::at(ms), event)
        };
        let mut away = timeline.clone();
        away.records.extend([said(-500, Ready::Unknown), said(5000, Ready::Unknown)]);
        away.records.sort_by_key(|record| record.at);
        assert!(
            !terminal(&Judged::of(away), 100).contains("bystander"),
            "it was not Ready before either"
        );
        timeline.records.extend([said(-500, Ready::True), said(5000, Ready::Unknown)]);
        timeline.records.sort_by_key(|record| record.at);
        let text = terminal(&Judged::of(timeline), 100);
        assert!(text.contains("+5.000s           other node       fast-detection-worker2 became NotReady, although no"), "{text}");
    }
}

#[test]
fn a_run_that_goes_on_has_no_verdict_yet() {
    let mut timeline = Run::new()
        .endpoints(1, 1)
        .kill(15_000)
        .event(2000, Event::Interrupted { signal: "SIGINT".into() })
        .build();
    timeline.growing = true;
    let judged = Judged::of(timeline);
    let text = terminal(&judged, 100);
    assert!(text.lines().next().unwrap().ends_with("RUNNING"), "{text}");
    assert!(text.contains("the run was cut short and is undoing its faults"), "{text}");
    let summary = Summary::new(&judged.view());
    assert_eq!((summary.state.as_str(), summary.word().as_str()), ("running", "RUNNING"));
}

/// An inconclusive run, and the retry that passed.
#[test]
fn every_try_is_in_every_form_and_a_pass_after_a_retry_is_flaky() {
    let (mut first, mut again) = (Judged::article(), Judged::article());
    let mut assertions = first.verdict.assertions.clone();
    (assertions[0].outcome, assertions[0].why) =
        (Outcome::Inconclusive, Some("the prober was late".into()));
    first.verdict = Verdict::new(None, assertions);
    first.timeline.header.run = "first".into();
    again.timeline.header.run = "again".into();
    again.timeline.header.retry = Some(Retry { of: "first".into(), number: 1 });
    let parts = suite::Part::of_runs(vec![first.view(), again.view()]);
    let text = terminal(&again, 120);
    assert!(text.lines().next().unwrap().ends_with("FLAKY"), "{text}");
    assert!(text.contains("run again, retry 1 of first, which was inconclusive"), "{text}");
    let table = suite::render(&suite::SuiteReport::new(&parts), &Style::default());
    for said in [" FLAKY ", "1 inconclusive run was retried", "1 FLAKY"] {
        assert!(table.contains(said), "{said}: {table}");
    }
    let Document::Run(report) = Document::of(&parts) else { panic!("one run was asked for") };
    assert_eq!((report.run.as_str(), report.state.as_str()), ("again", "flaky"));
    assert_eq!((report.earlier_tries.len(), report.earlier_tries[0].run.as_str()), (1, "first"));
    let junit = junit::render(&parts);
    let cases = first.verdict.assertions.len() + 1;
    let counts = format!(r#"tests="{cases}" failures="0" errors="0""#);
    for said in [&counts, r#"<flakyError message="the prober was late""#, r#"value="flaky""#] {
        assert!(junit.contains(said), "{said}: {junit}");
    }
    assert!(junit.contains(r#"<property name="try 1" value="first"/>"#), "{junit}");
    let markdown = markdown::render(&parts);
    for said in ["## 🔁 FLAKY: ", "⚠️ run 1 of 2: INCONCLUSIVE, RETRIED", "🔁 run 2 of 2: FLAKY"]
    {
        assert!(markdown.contains(said), "{said}: {markdown}");
    }
    let metrics = openmetrics::render(&parts);
    let retries = "outage_run_retries{experiment=\"worker-stop-fast\",number=\"1\"} 1\n";
    for said in ["verdict=\"flaky\"} 1\n", retries] {
        assert!(metrics.contains(said), "{said}: {metrics}");
    }
    assert!(!metrics.contains("number=\"2\"") && !metrics.contains("run=\"first\""), "{metrics}");
    let annotations = github::render(&parts, &str::to_owned);
    let flaky =
        annotations.lines().filter(|line| line.contains("flaky::it passed as retry 1 of first"));
    assert_eq!(flaky.count(), 1, "{annotations}");
    assert!(!annotations.contains("::error"), "{annotations}");
    let html = html::render(&parts);
    for said in [r#"class="verdict flaky""#, "INCONCLUSIVE</span> retried", "run=first"] {
        assert!(html.contains(said), "{said}");
    }
    let spread = spread::SpreadReport::new(vec![
        Summary::new(&first.view()),
        Summary::new(&again.view()),
        Summary::new(&Judged::article().view()),
    ]);
    assert_eq!(spread.outcome, Outcome::Pass, "the last try decides");
    assert_eq!(spread.runs.iter().map(|run| run.retried).collect::<Vec<_>>(), [true, false, false]);
    let text = spread::render(&spread, &Style::default());
    assert!(text.contains("3 runs   FLAKY") && text.contains("INCONCLUSIVE,"), "{text}");
    // Without a try after it, it is what it was.
    let alone = suite::Part::of_runs(vec![first.view()]);
    assert_eq!(suite::SuiteReport::new(&alone).outcome, Some(Outcome::Inconclusive));
}

#[test]
fn the_shard_is_in_every_form_and_a_missing_one_is_named() {
    let shard = |number| Some(Shard { number, of: 3 });
    let mut judged = Judged::article();
    judged.timeline.header.shard = shard(1);
    let mut parts = suite::Part::of_runs(vec![judged.view()]);
    let markdown = |parts: &[_]| markdown::render(parts);
    assert!(terminal(&judged, 120).contains(", shard 1/3, +0 is"));
    assert!(markdown(&parts).ends_with("\nShard 1/3.\n"));
    let Document::Run(report) = Document::of(&parts) else { panic!("one run was asked for") };
    assert_eq!(report.shard, shard(1));
    let why = "no such cluster".to_owned();
    let refused = suite::Part::not_run("e".into(), Vec::new(), not_run::NotRun::Refused, why);
    parts.push(suite::Part { shard: shard(3), ..refused });
    let both = "Shards 1/3, 3/3; no experiments from 2/3.";
    let text = suite::render(&suite::SuiteReport::new(&parts), &Style::default());
    for form in [markdown(&parts), text, html::render(&parts)] {
        assert!(form.contains(both), "{form}");
    }
    let junit = junit::render(&parts);
    for number in [1, 3] {
        let property = format!(r#"<property name="shard" value="{number}/3"/>"#);
        assert_eq!(junit.matches(&property).count(), 1, "{junit}");
    }
    parts[1].shard = None;
    assert!(markdown(&parts).contains("Shard 1/3."), "nobody expects the others");
}

/// The gone-wrong run, and those of its repetitions that were never begun.
#[test]
fn what_was_not_started_is_in_every_form() {
    let judged = gone_wrong();
    let part = |not_started| {
        let mut parts = suite::Part::of_runs(vec![judged.view()]);
        parts[0].not_started = not_started;
        parts
    };
    let text = "4 more runs were not started";
    assert!(markdown::render(&part(4)).contains(text));
    assert!(suite::render(&suite::SuiteReport::new(&part(4)), &Style::default()).contains(text));
    assert!(
        spread::render(&part(4)[0].spread().unwrap(), &Style::default())
            .contains(": 1 run, 4 not started ")
    );
    let junit = junit::render(&part(4));
    for suite in ["run 1", "not started"] {
        assert!(
            junit.contains(&format!(r#"<testsuite name="worker-stop-fast ({suite})""#)),
            "{junit}"
        );
    }
    assert!(junit::render(&part(0)).contains(r#"<testsuite name="worker-stop-fast""#));
    assert!(junit.contains(&format!(r#"<error message="{text}" type="not started">"#)), "{junit}");
    let value = serde_json::to_value(Document::of(&part(4))).unwrap();
    assert_eq!(
        (&value[0]["notStarted"], value[0]["runs"].as_array().unwrap().len()),
        (&serde_json::json!(4), 1)
    );
    assert!(
        matches!(Document::of(&part(0)), Document::Run(_)),
        "one that was asked for once is itself"
    );
    assert!(!junit::render(&part(0)).contains("not started"));
}

/// The first of twenty was refused before it had a folder.
#[test]
fn what_was_not_started_after_a_refusal_is_in_every_form() {
    let part = |not_started| suite::Part {
        experiment: "e".into(),
        claims: Vec::new(),
        status: suite::ExperimentStatus::NotRun(not_run::NotRun::Refused, "no steady state".into()),
        not_started,
        baseline: None,
        shard: None,
        errors: Vec::new(),
    };
    let (parts, text) = ([part(19)], "19 more runs were not started");
    let table = suite::SuiteReport::new(&parts);
    assert!(markdown::render(&parts).contains(&format!("refused: no steady state; {text}")));
    assert!(suite::render(&table, &Style::default()).contains(text));
    let junit = junit::render(&parts);
    assert!(junit.contains(&format!(r#"<error message="{text}" type="not started">"#)), "{junit}");
    assert!(junit.contains(r#"<testsuites name="outage" tests="2""#), "{junit}");
    assert!(junit.contains(r#"<testsuite name="e""#), "{junit}");
    assert!(junit.contains(r#"<testsuite name="e (not started)""#), "{junit}");
    let csv = csv::render(&parts);
    assert!(csv.ends_with(&format!("\ne,,,,,,,not started,{text},\n")), "{csv}");
    let value = serde_json::to_value(Document::of(&parts)).unwrap();
    assert_eq!(value["experiments"][0]["notStarted"], 19);
    assert_eq!(
        suite::SuiteReport::new(&[part(1)]).experiments[0].notes().unwrap(),
        "1 more run was not started"
    );
    assert_eq!(suite::SuiteReport::new(&[part(0)]).experiments[0].notes(), None);
}

#[test]
fn a_moment_that_a_watch_showed_is_as_uncertain_as_watches_were_late() {
    let renewal = |sent: i64| Event::Lease {
        namespace: "run".into(),
        name: crate::timeline::DELIVERY_LEASE.into(),
        change: Change::Changed,
        holder: Some(crate::analysis::testing::at(sent).0.to_string()),
        renewed: None,
        transitions: None,
        lasts_s: None,
    };
    let run = article().event(4512, renewal(4500)).event(5030, renewal(5000));
    let judged = Judged::new(run, experiment());
    let text = terminal(&judged, 100);
    assert!(text.contains("+4.781s ≤ 30ms    detected "), "{text}");
    assert!(text.contains("+4.860s ≤ 30ms    unready "), "{text}");
    let described = describe::render(&judged.view(), 1000);
    let delivered =
        "2 renewals of the test Lease delivered within 12ms (p50), 30ms (p99), 30ms (max)";
    assert!(described.contains(delivered), "{described}");
    let old = terminal(&Judged::article(), 100);
    assert!(!old.contains("+4.781s ≤"), "an older timeline has no width: {old}");
}

/// 7.1 s are more than the predicted 6.4 s; what happened up to two seconds earlier may be within them.
#[test]
fn what_a_late_watch_showed_is_no_surprise() {
    use crate::analysis::{DeliveryFinding, MomentDelay};
    let mut run = Judged::article();
    let shown = crate::stats::Seconds::from_f64(7.1);
    let detected = &mut run.findings.faults[0].node.detected.as_mut().unwrap().at;
    (detected.earliest, detected.latest) = (shown, shown);
    let inside = |run: &Judged| run.view().comparisons()[0].inside;
    assert_eq!(inside(&run), Some(false));
    let moments = vec![MomentDelay { at: shown, at_most: 2.0.into() }];
    run.findings.delivery = Some(DeliveryFinding { updates: 2, late: Default::default(), moments });
    assert_eq!(inside(&run), Some(true));
}

/// What was measured before an undo failed stays in the formats of CI, beside the failure.
#[test]
fn a_run_whose_undo_failed_has_its_values_in_junit_and_markdown() {
    let event = Event::Fault {
        step: 0,
        name: None,
        fault: "nodeStop".into(),
        target: "fast-detection-worker".into(),
        component: None,
        phase: FaultPhase::NotUndone,
        detail: "the kubelet found no inotify instances".into(),
    };
    let mut run = article();
    run.0
        .records
        .retain(|record| !matches!(record.event, Event::Fault { phase: FaultPhase::Undone, .. }));
    let run = run.event(40_000, event);
    let judged = Judged::new(run, experiment());
    let parts = suite::Part::of_runs(vec![judged.view()]);
    let why = "nodeStop of fast-detection-worker: the kubelet found no inotify instances";
    let (markdown, junit) = (markdown::render(&parts), junit::render(&parts));
    assert!(markdown.contains(&format!("| run | not undone | {why} |")), "{markdown}");
    assert!(markdown.contains("| detection within 7s | pass | 4.781s |"), "{markdown}");
    assert!(markdown.contains("| endpoints removed | 4.860s |"), "{markdown}");
    assert!(markdown.starts_with("## ⚠️ INCONCLUSIVE: `worker-stop-fast`\n"), "{markdown}");
    assert!(junit.contains(&format!(r#"<error message="{why}" type="not undone">"#)), "{junit}");
    assert!(junit.contains(r#"name="measured detection" value="4.781s""#), "{junit}");
    assert!(junit.contains(r#"timestamp="2026-11-22T06:23:41.207+00:00""#), "{junit}");
    assert!(!junit.contains(r#"name="detection within"#), "a name has no bound: {junit}");
}

/// What the model says comes from the header: another measurement leaves it alone.
#[test]
fn predictions_never_see_the_measurement() {
    let (good, bad) = (Judged::article(), Judged::new(Run::new(), experiment()));
    assert_eq!(good.view().predictions.steps, bad.view().predictions.steps);
    let detection = good.view().prediction().unwrap().detection;
    assert_eq!(format!("{detection:.1}"), "2.9s to 6.7s");
}

/// Where the leader may die with its node, the tries know more than the closed form: the last line
/// says what the chain says.
#[test]
fn the_last_line_predicts_as_the_chain_does() {
    let mut experiment = experiment();
    let target = NodeSelector { role: Some(NodeRole::ControlPlane), ..NodeSelector::default() };
    let fault = Fault::NodeKill { target };
    experiment.method = vec![Step::Fault {
        name: None,
        fault,
        hold: Duration::from_secs(60),
        meanwhile: Vec::new(),
    }];
    let mut timeline = article().build();
    timeline.header.experiment = serde_json::to_value(&experiment).unwrap();
    let nodes = &mut timeline.header.cluster.nodes;
    let plane = nodes.iter().find(|node| node.role == NodeRole::ControlPlane).unwrap().clone();
    nodes.extend(["a", "b"].map(|name| NodeFacts { name: name.into(), ..plane.clone() }));
    let mut ground = ground(&timeline.header, &analyse(&timeline));
    ground.targets.clear();
    let predictions = Predictions::new(Some(experiment), ground, 50, 1);
    let judged = Judged { predictions, ..Judged::of(timeline) };
    let between = judged.predictions.between(prediction::Quantity::Detection, 0).unwrap();
    assert!(between.most > judged.view().prediction().unwrap().detection.most, "{between:.1}");
    let said = format!("predicted detection is {between:.1}.");
    assert!(terminal(&judged, 200).contains(&said), "{said}");
}

/// A bound may be what the model says: of a run inside it, of one that left it, and of what it has
/// nothing to say of.
#[test]
fn predicted_bounds_are_judged() {
    let mut experiment = experiment();
    let within = Bound::Predicted;
    experiment.expect = vec![
        Expectation::Detection { of: None, after: None, within, at_least: None },
        Expectation::EndpointRemoval { service: None, within },
        Expectation::ErrorWindow {
            probe: "web".into(),
            at_most: Some(within),
            at_least: None,
            counts: ErrorTime::FirstToLast,
        },
        Expectation::Recovery { within },
    ];
    let judged = Judged::new(article(), experiment.clone());
    assert!(
        judged.verdict.assertions.iter().all(|a| a.outcome == crate::verdict::Outcome::Pass),
        "{:#?}",
        judged.verdict
    );
    let detection = &judged.verdict.assertions[0];
    assert_eq!(
        (detection.text.as_str(), detection.bound.as_str()),
        ("detection within predicted", "within predicted 6.7s")
    );
    let late = Run::new().endpoints(2, 1).kill(15_000).node(
        -9000,
        Change::Baseline,
        Ready::True,
        "KubeletReady",
    );
    let late = late
        .node(9000, Change::Changed, Ready::Unknown, "NodeStatusUnknown")
        .probe(Prober::new(20, 2, 1, (100, 9000)).file());
    let late = Judged::new(late.ended(27_000), experiment.clone());
    let outcomes: Vec<&str> = late.verdict.assertions.iter().map(|a| a.outcome.word()).collect();
    assert_eq!((outcomes[0], outcomes[2]), ("FAIL", "FAIL"), "{:#?}", late.verdict);
    assert!(
        terminal(&late, 100).contains("unexpected: detection took 9.0s, predicted 2.9s to 6."),
        "{}",
        terminal(&late, 100)
    );
    experiment.probes[0].connection = Connection::Reused;
    let kept = Judged::new(article(), experiment);
    let window = &kept.verdict.assertions[2];
    assert_eq!(window.outcome, crate::verdict::Outcome::Inconclusive);
    assert!(window.why.as_ref().unwrap().contains("no prediction: no probe targets"), "{window:?}");
}

/// A damaged or hostile file may say anything of its attempts.
fn garbage() -> impl proptest::strategy::Strategy<Value = Vec<crate::timeline::Attempt>> {
    use proptest::prelude::*;
    let numbers = || prop_oneof![0u64..2000, any::<u64>()];
    let attempt =
        (numbers(), numbers(), 0u16..600, numbers(), proptest::option::of(0u32..4), any::<bool>());
    let attempt = attempt.prop_map(|(slot, late_us, code, first_byte_us, backend, reused)| {
        let outcome = Answer::from_code(code).unwrap_or(Answer::Ok);
        let phases = crate::timeline::attempts::Phases { first_byte_us, ..Default::default() };
        let ended = None;
        crate::timeline::Attempt { slot, late_us, outcome, phases, backend, reused, ended }
    });
    proptest::collection::vec(attempt, 0..200)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..proptest::prelude::ProptestConfig::with_cases(40) })]

    #[test]
    fn garbage_has_a_report(attempts in garbage(), interval in 0u64..50) {
        let file = file(&span("web", interval, 200), &["web-0", "web-1"], attempts);
        let judged = Judged::new(Run::new().endpoints(2, 1).kill(3000).probe(file).ended(20_000), experiment());
        terminal(&judged, 80);
        let mut text = String::new();
        log::write(&judged.view(), &mut text).unwrap();
        let mut bytes = Vec::new();
        jsonl::write(&judged.timeline, &mut bytes).unwrap();
        let _: json::Report = serde_json::from_str(&json::pretty(&json::Report::new(&judged.view()))).unwrap();
    }
}

/// The article's run, which decides a claim either way, one that decides none, and one that was not
/// carried out.
fn suite_of_three(show: impl Fn(&[suite::Part<View<'_>>]) -> String) -> String {
    let claim = |id: &str, pass_means| Claim {
        id: id.into(),
        says: "it | is so".into(),
        source: None,
        pass_means,
        fail_means: None,
        by: Vec::new(),
    };
    let mut claiming = experiment();
    claiming.claims = vec![claim("B10", PassMeans::Confirmed), claim("A", PassMeans::Refuted)];
    let (good, mut bad) = (Judged::new(article(), claiming), gone_wrong());
    bad.timeline.header.name = "gone-wrong".into();
    let mut parts = suite::Part::of_runs(vec![good.view(), bad.view(), good.view()]);
    assert_eq!(parts.iter().map(|part| part.runs().len()).collect::<Vec<_>>(), [2, 1]);
    let why = "the model has no DNS".to_owned();
    let claims = vec![claim("B2", PassMeans::Confirmed)];
    parts.push(suite::Part {
        experiment: "dns-down".into(),
        claims,
        status: suite::ExperimentStatus::NotRun(not_run::NotRun::Skipped, why),
        not_started: 0,
        baseline: None,
        shard: None,
        errors: Vec::new(),
    });
    show(&parts)
}

#[test]
fn a_suite_is_one_table() {
    let shown = |style: &Style| {
        suite_of_three(|parts| suite::render(&suite::SuiteReport::new(parts), style))
    };
    let text = shown(&Style::default());
    assert!(text.lines().all(|line| text::width(line) <= 80), "{text}");
    insta::assert_snapshot!(text);
    let coloured = shown(&Style { colour: Some(Ink::new(7)), ..Style::default() });
    let coloured = coloured.replace("\u{10ffff}0000000000000007", "");
    assert!(coloured.contains("\x1b[1m\x1b[32mPASS\x1b[0m"), "{coloured:?}");
}

#[test]
fn a_suite_is_a_row_a_claim_in_markdown() {
    insta::assert_snapshot!(suite_of_three(markdown::render));
}

/// A comment on GitHub has 65536 characters: of what passed, the details give way first.
#[test]
fn markdown_of_many_runs_fits_into_a_comment() {
    let (good, bad) = (Judged::article(), gone_wrong());
    let parts = |good_runs: usize, bad_runs: usize| {
        let good = std::iter::repeat_with(|| good.view()).take(good_runs);
        let bad = std::iter::repeat_with(|| bad.view()).take(bad_runs);
        markdown::render(&suite::Part::of_runs(good.chain(bad).collect()))
    };
    let few = parts(2, 1);
    assert!(few.contains("run 1 of 3: PASS") && few.contains("run 3 of 3: FAIL"), "{few}");
    assert!(!few.contains("no room in a comment"), "{few}");
    let many = parts(60, 2);
    assert!(many.len() < 65_536, "{}", many.len());
    assert!(!many.contains("run 1 of 62: PASS") && many.contains("run 61 of 62: FAIL"), "{many}");
    assert!(many.contains("no room in a comment"), "{many}");
}

/// What passed is folded away, what did not is open, and every fold is closed.
#[test]
fn markdown_folds_what_passed() {
    let text = suite_of_three(markdown::render);
    assert_eq!(text.matches("<details>").count(), text.matches("</details>").count());
    assert!(text.contains("<summary>✅ PASS: worker-stop-fast</summary>"), "{text}");
    assert!(text.contains("\n### ❌ FAIL: `gone-wrong`\n"), "{text}");
    assert!(text.contains("| ❌ | endpoints removed within 5s | fail |"), "{text}");
}

/// Each at the line of its expectation; what is quoted neither ends a command nor begins one.
#[test]
fn annotations_are_at_the_lines_of_expectations() {
    let mut bad = gone_wrong();
    let places = crate::timeline::Places {
        file: "experiments/a,b.yaml".into(),
        expectations: vec![31, 32, 33, 34],
    };
    bad.timeline.header.places = Some(places);
    bad.findings.warnings.clear();
    let parts = suite::Part::of_runs(vec![bad.view()]);
    let text = github::render(&parts, &|file| format!("/repo/{file}"));
    let lines: Vec<&str> = text.lines().collect();
    let open = "::error file=/repo/experiments/a%2Cb.yaml,line=32,title=worker-stop-fast%3A errors \
                of web inconclusive::errors of web for at least 4.86s, at most 8s: not known to \
                have ended before the undo (run 20261122-062341-7f3a)";
    assert!(lines.contains(&open), "{text}");
    assert!(lines.iter().any(|line| line.contains("line=34,") && line.contains("not met")));
    assert!(!text.contains("line=31,"), "it passed: {text}");
    let why = "no steady state\n::set-output name=x::y";
    let refused =
        suite::Part::not_run("e".into(), Vec::new(), not_run::NotRun::Refused, why.into());
    let text = github::render(std::slice::from_ref(&refused), &str::to_owned);
    assert_eq!(text, "::error title=e%3A refused::no steady state%0A::set-output name=x::y\n");
    let errors = vec![not_run::FileError {
        file: "experiments/a.yaml".into(),
        line: 7,
        message: "unknown field `probe`".into(),
    }];
    let invalid = suite::Part { errors, ..refused };
    let text = github::render(&[invalid], &|file| format!("/repo/{file}"));
    let place = "file=/repo/experiments/a.yaml,line=7,title=e%3A invalid";
    assert_eq!(text, format!("::error {place}::unknown field `probe`\n"));
}

/// GitHub shows ten of each kind for a step, and drops the others in silence.
#[test]
fn annotations_that_would_be_dropped_are_counted() {
    let bad = gone_wrong();
    let parts = suite::Part::of_runs((0..5).map(|_| bad.view()).collect());
    let text = github::render(&parts, &str::to_owned);
    let errors = text.lines().filter(|line| line.starts_with("::error ")).count();
    assert_eq!(errors, 10, "{text}");
    assert!(text.contains("::error title=outage::6 more: see the job summary"), "{text}");
}

/// A trend of CI is found by names: they are the same whatever was measured.
#[test]
fn junit_has_the_same_names_for_each_run_of_an_experiment() {
    let bad = gone_wrong();
    let mut again = Judged::new(
        article(),
        serde_json::from_value(bad.timeline.header.experiment.clone()).unwrap(),
    );
    let header = &mut again.timeline.header;
    (header.run, header.seed) = ("20270101-000000-0000".into(), 99);
    let names = |judged: &Judged| {
        let text = junit::render(&suite::Part::of_runs(vec![judged.view()]));
        let cases = text.split("<testcase ").skip(1);
        let named = cases.map(|case| case.split('>').next().unwrap());
        named.map(|case| case.split(" time=").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_ne!(bad.verdict.outcome, again.verdict.outcome);
    let class = r#"classname="worker-stop-fast""#;
    let subjects = ["detection", "errors of web", "recovery", "endpoints removed", "run completed"];
    assert_eq!(names(&bad), subjects.map(|subject| format!(r#"name="{subject}" {class}"#)));
    assert_eq!(names(&again), names(&bad));
}

/// A strict reader of the format: metadata before samples, families and series once, escapes that
/// exist, and an end.
fn read_openmetrics(text: &str) -> std::collections::BTreeMap<String, f64> {
    let mut series = std::collections::BTreeMap::new();
    let mut families = std::collections::BTreeSet::new();
    let (mut family, mut has_help) = ("", false);
    let lines = text.strip_suffix("# EOF\n").expect("an end").lines();
    for line in lines {
        if let Some(name) = line.strip_prefix("# TYPE ") {
            family = name.strip_suffix(" gauge").expect("a type that both formats have");
            assert!(families.insert(family) && family.starts_with("outage_"), "{line}");
            assert!(family.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
            has_help = false;
        } else if let Some(unit) = line.strip_prefix("# UNIT ") {
            assert_eq!(unit, format!("{family} seconds"));
            assert!(family.ends_with("_seconds") && !has_help, "{line}");
        } else if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.starts_with(&format!("{family} ")) && !help.contains('\\'), "{line}");
            has_help = true;
        } else {
            let (labels, value) = line.rsplit_once(' ').expect("a value");
            let labels = labels.strip_prefix(family).expect("of this family");
            let labels = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap();
            let (mut names, mut rest) = (std::collections::BTreeSet::new(), labels);
            while let Some((name, after)) = rest.split_once("=\"") {
                assert!(names.insert(name.trim_start_matches(',')), "{line}");
                let mut end = 0;
                let bytes = after.as_bytes();
                while bytes[end] != b'"' {
                    let escape = bytes[end] == b'\\';
                    assert!(!escape || b"\\\"n".contains(&bytes[end + 1]), "{line}");
                    end += if escape { 2 } else { 1 };
                }
                rest = &after[end + 1..];
            }
            assert!(rest.is_empty() && has_help, "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            assert!(series.insert(format!("{family}{{{labels}}}"), value).is_none(), "{line}");
        }
    }
    series
}

#[test]
fn openmetrics_can_be_read() {
    let (good, mut bad) = (Judged::article(), gone_wrong());
    bad.timeline.header.name = "gone\"wrong\\\n\u{1b}".into();
    let mut parts = suite::Part::of_runs(vec![good.view(), good.view(), bad.view()]);
    let why = "no DNS".to_owned();
    parts.push(suite::Part::not_run("dns".into(), Vec::new(), not_run::NotRun::Skipped, why));
    let series = read_openmetrics(&openmetrics::render(&parts));
    let value = |name: &str| *series.get(name).unwrap_or_else(|| panic!("{name}: {series:#?}"));
    let run = r#"experiment="worker-stop-fast",number="1""#;
    assert_eq!(value(&format!(r#"outage_run_verdict{{{run},verdict="pass"}}"#)), 1.0);
    assert_eq!(value(&format!(r#"outage_run_verdict{{{run},verdict="fail"}}"#)), 0.0);
    let detection = format!(r#"outage_measured_seconds{{{run},quantity="detection""#);
    assert_eq!(value(&format!(r#"{detection},bound="least"}}"#)), 4.781);
    let errors = format!(r#"outage_measured_seconds{{{run},quantity="errors of web""#);
    let [least, most] = ["least", "most"].map(|it| value(&format!(r#"{errors},bound="{it}"}}"#)));
    assert!(least > 4.7 && most > least && most < 4.9, "{least} to {most}");
    assert_eq!(value(&format!(r#"outage_probe_failed_attempts{{{run},probe="web"}}"#)), 114.0);
    assert_eq!(value(r#"outage_runs_missing{experiment="dns",reason="skipped"}"#), 1.0);
    let bad = r#"experiment="gone\"wrong\\\n\\u{1b}",number="1""#;
    let removed = r#"expectation="endpoints removed",verdict="fail""#;
    assert_eq!(value(&format!("outage_expectation_verdict{{{bad},{removed}}}")), 1.0);
    let errors = format!(r#"outage_measured_seconds{{{bad},quantity="errors of web""#);
    assert!(value(&format!(r#"{errors},bound="least"}}"#)) > 4.8);
    assert!(!series.contains_key(&format!(r#"{errors},bound="most"}}"#)), "it had not ended");
}

#[test]
fn a_suite_is_one_junit_file() {
    let text = suite_of_three(junit::render);
    assert!(
        text.contains(r#"skipped="1">"#)
            && text.contains(r#"<skipped message="the model has no DNS"/>"#),
        "{text}"
    );
    assert!(text.contains(r#"<property name="claim A" value="refuted"/>"#), "{text}");
    assert_eq!(text.matches("<testsuite ").count(), 4);
}

#[test]
fn a_suite_as_json_can_be_read_again() {
    let value: serde_json::Value = serde_json::from_str(&suite_of_three(|parts| {
        json::pretty(&suite::SuiteReport::new(parts))
    }))
    .unwrap();
    let report: suite::SuiteReport = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), value);
    assert_eq!(report.experiments[0].claims[0].decision, claims::Decision::Confirmed);
    assert_eq!(report.experiments[2].claims[0].decision, claims::Decision::Open);
    assert_eq!(report.outcome, Some(crate::verdict::Outcome::Fail));
}

#[test]
fn another_pod_on_the_same_node_has_its_own_name() {
    let node = "fast-detection-worker";
    let run = Run::new()
        .endpoints(2, 1)
        .endpoint(2000, Change::Deleted, 0, node, false)
        .endpoint(20_000, Change::Changed, 5, node, true)
        .probe(Prober::new(20, 2, 1, (100, 200)).file())
        .kill(15_000)
        .ended(30_000);
    let text = terminal(&Judged::new(run, experiment()), 140);
    assert!(text.contains("web: replacement endpoint web-5 ready"), "{text}");
    assert!(!text.contains("is back in web"), "{text}");
}

#[test]
fn which_pods_of_a_deployment_a_scale_takes_is_not_said_at_its_request() {
    let fault = |phase| Event::Fault {
        step: 0,
        name: None,
        fault: "deploymentScale".into(),
        target: "web".into(),
        component: None,
        phase,
        detail: String::new(),
    };
    let run = Run::new()
        .endpoints(2, 1)
        .event(0, fault(FaultPhase::Requested))
        .event(300, fault(FaultPhase::Confirmed))
        .probe(Prober::new(20, 2, 1, (100, 200)).file())
        .ended(30_000);
    let text = terminal(&Judged::new(run, experiment()), 140);
    assert!(text.contains("scale requested") && !text.contains("of 2 endpoints"), "{text}");
}

#[test]
fn a_run_that_was_refused_says_so_and_draws_nothing() {
    let error = "the blast radius allows 1 worker".to_owned();
    let run = Run::new().event(-100, Event::Failed { error: error.clone(), refused: true });
    let judged =
        Judged::new(run.probe(Prober::new(20, 2, 1, (100, 200)).file()).ended(500), experiment());
    let text = terminal(&judged, 100);
    assert!(text.lines().next().unwrap().ends_with("REFUSED"), "{text}");
    assert!(
        text.ends_with(&format!("\n\n  Refused before any fault was injected: {error}.\n")),
        "{text}"
    );
    assert!(!text.contains("--repeat") && !text.contains("failed %"), "{text}");
    assert_eq!(Summary::new(&judged.view()).state, "refused");
    let table = csv::render(&suite::Part::of_runs(vec![judged.view()]));
    assert!(table.contains(",refused,") && !table.contains(",inconclusive,"), "{table}");
    let rows = suite::SuiteReport::new(&suite::Part::of_runs(vec![judged.view()])).experiments;
    assert_eq!((rows[0].outcome, rows[0].not_run), (None, Some(not_run::NotRun::Refused)));
    assert_eq!(rows[0].figures, error, "that it was refused its state says");
}

#[test]
fn watches_that_the_fault_itself_blinded_are_one_line() {
    let blind = |run: Run, watch: &str| {
        let gap = Event::WatchGap {
            watch: watch.into(),
            until: Some(crate::analysis::testing::at(5000)),
            reason: "reset".into(),
        };
        run.event(5000, gap).since(600)
    };
    let with = |component: Option<crate::timeline::Component>| {
        let run = [
            (0, crate::timeline::FaultPhase::Requested),
            (500, crate::timeline::FaultPhase::Confirmed),
        ];
        let run = run.into_iter().fold(Run::new(), |run, (ms, phase)| {
            let (fault, target, detail) =
                ("componentStop".into(), "fast-detection-control-plane".into(), String::new());
            run.event(
                ms,
                Event::Fault { step: 0, name: None, fault, target, component, phase, detail },
            )
        });
        let judged = Judged::new(
            ["nodes", "pods", "events"].into_iter().fold(run, blind).ended(9000),
            experiment(),
        );
        judged
            .view()
            .warnings()
            .into_iter()
            .filter(|line| line.contains("down from"))
            .collect::<Vec<_>>()
    };
    let own = with(Some(crate::timeline::Component::ApiServer));
    assert_eq!(own.len(), 1, "{own:?}");
    assert!(
        own[0].starts_with(
            "3 watches were down from +0.600s to +5.000s: the fault took the API server down ("
        ),
        "{own:?}"
    );
    let other = with(Some(crate::timeline::Component::Scheduler));
    assert!(other.len() == 1 && other[0].ends_with(" Try: repeat the run"), "{other:?}");
}

/// The moments of a run, as label and text.
fn moments(judged: &Judged) -> Vec<String> {
    let lines = chain::lines(&judged.timeline, &judged.findings, &judged.predictions);
    lines.iter().map(|line| format!("{}: {}", line.label, line.text)).collect()
}

#[test]
fn of_a_node_whose_kubelet_is_hit_only_that_is_named() {
    for (kind, request) in [("kubeletStop", "stop"), ("kubeletPause", "freeze")] {
        let run = Run::new()
            .fault_phase(0, kind, crate::timeline::FaultPhase::Requested, "")
            .fault_phase(300, kind, crate::timeline::FaultPhase::Confirmed, "");
        let moments = moments(&Judged::new(run.ended(9000), experiment()));
        let wanted = format!("{request} requested: the kubelet of fast-detection-worker");
        assert!(moments.contains(&wanted), "{moments:?}");
    }
}

/// Recorded before the engine's events had exit codes.
#[test]
fn a_node_that_had_to_be_killed_is_said_to_be() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/worker-stop");
    let moments = moments(&Judged::of(Timeline::read(&folder).unwrap()));
    let wanted = "down: container died: it had not shut down in time, and was killed";
    assert!(moments.iter().any(|moment| moment == wanted), "{moments:?}");
}

/// Between two texts, the first time.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    text.split_once(from).unwrap().1.split_once(to).unwrap().0
}

fn part(view: View<'_>) -> Vec<suite::Part<View<'_>>> {
    suite::Part::of_runs(vec![view])
}

#[test]
fn a_page_allows_its_own_script_and_style_and_nothing_else() {
    use base64::Engine as _;
    let judged = gone_wrong();
    let page = html::render(&part(judged.view()));
    let policy = between(&page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    for (from, to) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let sum = ring::digest::digest(&ring::digest::SHA256, between(&page, from, to).as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(sum);
        assert!(policy.contains(&hash), "{from}");
    }
    assert!(!page.contains(" style=") && !page.contains(" onload="));
}

#[test]
fn what_a_cluster_names_is_text_in_a_page_and_a_picture() {
    let mut timeline = article().build();
    let hostile = "</script><img src=x onerror=alert(1)>\u{1b}[2J\u{202e}\"'&";
    timeline.header.name = hostile.into();
    timeline.header.experiment = serde_json::to_value(experiment()).unwrap();
    for record in &mut timeline.records {
        match &mut record.event {
            Event::Endpoint { endpoint, .. } => endpoint.pod = Some(hostile.into()),
            Event::Node { reason, .. } => *reason = hostile.into(),
            _ => {}
        }
    }
    let judged = Judged::of(timeline);
    let page = html::render(&part(judged.view()));
    let picture = svg::render(&[&judged.view()]);
    for text in [&page, &*printable(&picture)] {
        assert!(!text.contains("<img") && !text.contains(is_unprintable));
        assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;\\u{1b}[2J\\u{202e}"));
    }
    assert_eq!(page.matches("</script>").count(), 2, "the data's and the script's own");
}

#[test]
fn a_page_has_all_that_the_text_has() {
    let judged = gone_wrong();
    let view = judged.view();
    let page = html::render(&part(judged.view()));
    let text = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for line in &view.chain {
        assert!(page.contains(&text(&line.text)), "{}", line.text);
    }
    for warning in view.warnings() {
        assert!(page.contains(&text(&warning)), "{warning}");
    }
    for assertion in &view.verdict.assertions {
        assert!(page.contains(&text(&assertion.text)), "{}", assertion.text);
    }
    for probe in &view.findings.probes {
        assert!(page.contains(&text(&terminal::counts(probe))), "{}", probe.name);
    }
}

/// As many nodes as a large cluster has, each of which sends its heartbeats too rarely.
#[test]
fn a_run_in_a_cluster_of_a_thousand_nodes_has_a_report_of_the_same_length() {
    let of_nodes = |count: usize| {
        let mut run = article();
        run.0.header.cluster.tuning.node_status_report_frequency = Some(Duration::from_secs(300));
        let run = (0..count).fold(run, |mut run, number| {
            let name = format!("node-{number:04}");
            run.0.header.cluster.nodes.push(NodeFacts {
                name: name.clone(),
                role: NodeRole::Worker,
                ..run.0.header.cluster.nodes[0].clone()
            });
            [-20_000, -10_000].into_iter().fold(run, |run, ms| {
                let renewed = Some(Run::new().0.header.anchor.wall_of(at(ms)));
                let (namespace, name, change) =
                    ("kube-node-lease".into(), name.clone(), Change::Changed);
                let (holder, transitions, lasts_s) = Default::default();
                let event =
                    Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s };
                run.event(ms, event)
            })
        });
        let judged = Judged::new(run, experiment());
        let view = judged.view();
        assert_eq!(
            view.nodes().left,
            (judged.timeline.header.cluster.nodes.len()).saturating_sub(24)
        );
        let page = html::render(&part(judged.view()));
        [
            terminal(&judged, 100).lines().count(),
            describe::render(&view, 100).lines().count(),
            markdown::render(&part(judged.view())).lines().count(),
            page.matches("<tr>").count(),
            view.warnings().len(),
        ]
    };
    let (few, many) = (of_nodes(3), of_nodes(1000));
    assert_eq!((few[4], many[4]), (3, 1), "warnings");
    for (few, many) in few.into_iter().zip(many) {
        assert!(many < few + 40, "{few} lines with 6 nodes, {many} with 1003");
    }
}

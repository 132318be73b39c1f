//! Several experiments in one command, in the model: needs neither Docker nor root.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::program::{Home, Output};
use super::{Test, test};

/// All tests of this rung.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("suite::parts_of_the_models_control_plane", parts_of_the_models_control_plane),
        test("suite::a_matrix_is_an_experiment_each", a_matrix_is_an_experiment_each),
        test("suite::shards_are_parts_of_one_report", shards_are_parts_of_one_report),
        test("suite::where_nothing_fits_nothing_passes", where_nothing_fits_nothing_passes),
        test("suite::a_signal_ends_all", a_signal_ends_all),
        test(
            "suite::a_signal_ends_all_that_run_at_the_same_time",
            a_signal_ends_all_that_run_at_the_same_time,
        ),
        test("suite::experiments_run_at_the_same_time", experiments_run_at_the_same_time),
        test("suite::an_inconclusive_run_is_retried", an_inconclusive_run_is_retried),
        test(
            "suite::a_machine_that_stalls_is_not_a_cluster_that_fails",
            a_machine_that_stalls_is_not_a_cluster_that_fails,
        ),
    ]
}

/// A folder of experiments beside this repository's workloads and kind configs.
struct Folder {
    home: Home,
}

impl Folder {
    fn new() -> Self {
        let home = Home::new();
        home.copy(&["experiments/workloads", "kind-configs"], |text| text);
        Self { home }
    }

    /// An experiment that is over as soon as it can be; it claims that clients of `web` go on (how
    /// a busy machine fares is not the question). With the default settings: with a grace period of
    /// 4 s, nodes may become NotReady when the API server is away for 2 s.
    fn add(&self, name: &str, fault: &str, hold: &str) {
        let spec = format!(
            "  claims: [{{id: B1, says: Clients go on}}]
  workload: [workloads/web.yaml]
  probes:
  - {{name: web, http: {{service: web}}, rate: 20/s, timeout: 500ms}}
  steadyState:
  - nodesReady: all
  - probe: {{name: web, successRatio: 1.0, for: 1s}}
  blastRadius: {{maxControlPlanes: 1, quorumLoss: true}}
  method:
  - fault: {fault}
    for: {hold}
  expect:
  - noErrors: {{probe: web}}
  - latency: {{probe: web, quantile: p50, atMost: 400ms}}
  - recovery: {{within: 60s}}
"
        );
        self.home.experiment_on("default", name, &spec);
    }

    fn component(&self, fault: &str, component: &str) {
        let name = format!("{component}-{}", fault.to_lowercase());
        self.add(
            &name,
            &format!("{{{fault}: {{component: {component}, target: {{role: control-plane}}}}}}"),
            "2s",
        );
    }

    /// Runs all of it in the model, on a machine that has nothing else.
    fn run(&self, more: &[&str]) -> Output {
        let all = self.home.path().join("experiments").to_string_lossy().into_owned();
        let arguments = [&["run", "-f", &all, "--cluster", "embedded"], more].concat();
        let mut command = self.home.command(&arguments);
        self.home.finish(command.env("PATH", "/nowhere").env("DOCKER_HOST", "unix:///nowhere.sock"))
    }
}

fn document(output: &Output) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}\n{}", output.stdout, output.stderr))
}

/// A busy machine may give the prober, or the model, no time for half a second.
fn is_undecided_by_the_machine(row: &Value) -> bool {
    let figures = row["figures"].as_str().unwrap_or_default();
    row["outcome"] == "inconclusive" && figures.contains("prober")
}

fn parts_of_the_models_control_plane() {
    let folder = Folder::new();
    folder.component("componentStop", "kube-apiserver");
    folder.component("componentStop", "etcd");
    folder.component("componentPause", "kube-controller-manager");
    folder.component("componentKill", "kube-scheduler");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/worker-stop-from-pod.yaml");
    folder
        .home
        .file("experiments/worker-stop-from-pod.yaml", &std::fs::read_to_string(root).unwrap());
    let output = folder.run(&["-o", "json"]);
    let suite = document(&output);
    output
        .says("run 3 of 5: kube-controller-manager-componentpause")
        .says("skipped: probe web runs in a pod");
    let rows = suite["experiments"].as_array().unwrap();
    let inconclusive = rows.iter().any(is_undecided_by_the_machine);
    output.exits(if inconclusive { 3 } else { 0 });
    assert_eq!(suite["outcome"], if inconclusive { "inconclusive" } else { "pass" });
    let states: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["experiment"].as_str().unwrap(),
                match is_undecided_by_the_machine(row) {
                    true => "pass",
                    false => row["outcome"].as_str().or(row["notRun"].as_str()).unwrap(),
                },
            )
        })
        .collect();
    let expected = [
        ("etcd-componentstop", "pass"),
        ("kube-apiserver-componentstop", "pass"),
        ("kube-controller-manager-componentpause", "pass"),
        ("kube-scheduler-componentkill", "pass"),
        ("worker-stop-from-pod", "skipped"),
    ];
    if states != expected {
        // What a run saw is gone with this folder.
        for run in rows.iter().filter_map(|row| row["runs"]["runs"][0]["run"].as_str()) {
            eprintln!("{}", folder.home.run(&["report", run]).stdout);
        }
    }
    assert_eq!(states, expected, "{suite:#}");
    // A model decides no claim.
    let claim = &rows[0]["claims"][0];
    assert_eq!(claim["decision"], "open");
    let figures = claim["figures"].as_str().unwrap();
    let word = if is_undecided_by_the_machine(&rows[0]) { "INCONCLUSIVE" } else { "PASS" };
    assert!(
        figures.starts_with(&format!("on the embedded model: {word}, errors of web ")),
        "{figures}"
    );
    assert_eq!(rows[4]["claims"][0]["decision"], "open");
    // Each fault was confirmed and undone; the watches were blind without an API server, and
    // nowhere else.
    for row in &rows[..4] {
        let run = row["runs"]["runs"][0]["run"].as_str().unwrap();
        let report = document(&folder.home.run(&["report", run, "-o", "json"]));
        let fault = &report["findings"]["faults"][0];
        assert!(fault["confirmed"]["at"].is_number() && fault["undone"].is_number(), "{fault:#}");
        assert!(
            row["experiment"].as_str().unwrap().starts_with(fault["component"].as_str().unwrap()),
            "{row:#}"
        );
        let warnings = report["findings"]["warnings"].to_string();
        assert_eq!(
            warnings.contains("watchGap"),
            row["experiment"] == "kube-apiserver-componentstop",
            "{row:#}: {warnings}"
        );
    }
    // The same offline, as a table for a document.
    let runs: Vec<String> = rows[..4]
        .iter()
        .map(|row| row["runs"]["runs"][0]["run"].as_str().unwrap().to_owned())
        .collect();
    let arguments: Vec<&str> = ["report", "--exit-code"]
        .into_iter()
        .chain(runs.iter().map(String::as_str))
        .chain(["-o", "markdown"])
        .collect();
    let table = folder.home.run(&arguments);
    table
        .exits(if inconclusive { 3 } else { 0 })
        .prints(&format!("| B1 | Clients go on | `etcd-componentstop` | open | on the embedded model: {word}, errors of web "))
        .prints("EMBEDDED MODEL");
    assert_eq!(table.stdout.matches("| B1 |").count(), 4);
}

fn a_matrix_is_an_experiment_each() {
    let folder = Folder::new();
    folder.add(
        "away",
        "{componentStop: {component: kube-scheduler, target: {role: control-plane}}}",
        "[1s, 2s]",
    );
    let output = folder.run(&[]);
    output.exits(0).says("run 2 of 2: away[for=2s]").prints("away[for=1s] on the EMBEDDED MODEL");
    let table = output.stdout.split("EXPERIMENT").nth(1).expect("a table at the end");
    for line in [
        "\naway[for=1s]   B1       PASS",
        "\naway[for=2s]   B1       PASS",
        "2 experiments in ",
        "claims: 2 open",
    ] {
        assert!(table.contains(line), "no {line:?} in:\n{table}");
    }
}

fn shards_are_parts_of_one_report() {
    let folder = Folder::new();
    let scheduler = "{componentStop: {component: kube-scheduler, target: {role: control-plane}}}";
    folder.add("away", scheduler, "[1s, 2s]");
    let first = folder.run(&["--shard", "1/3", "-o", "junit"]);
    first.says("shard 1/3: 1 of 2 experiments").says("at least 3s: away[for=1s]");
    first.exits(0).prints(r#"<property name="shard" value="1/3"/>"#);
    let all = folder.home.path().join("experiments").to_string_lossy().into_owned();
    let valid = folder.home.run(&["validate", "-f", &all, "--shard", "2/3"]);
    valid.exits(0).says("shard 2/3: 1 of 2 experiments").prints("away[for=2s] takes");
    assert!(!valid.stdout.contains("away[for=1s]"), "{}", valid.stdout);
    folder.run(&["--shard", "2/3"]).exits(0).prints(", shard 2/3, ");
    let empty = folder.run(&["--shard", "3/3", "-o", "junit"]);
    empty.exits(0).says("shard 3/3 is empty (2 experiments in all)").prints(r#"tests="0""#);
    let runs = ["report", "away[for=1s]", "away[for=2s]", "--exit-code"];
    let merged = folder.home.run(&runs);
    merged.exits(0).prints("2 experiments in ").prints("Shards 1/3, 2/3; no experiments from 3/3.");
    let json = document(&folder.home.run(&[&runs[..], &["-o", "json"]].concat()));
    let shards = json["experiments"].as_array().unwrap().iter().map(|row| row["shard"].clone());
    let shard = |number| serde_json::json!({"number": number, "of": 3});
    assert_eq!(shards.collect::<Vec<_>>(), [shard(1), shard(2)]);
    for (bad, why) in [("0/3", "no shard 0 of 3"), ("4/3", "no shard 4 of 3"), ("x", "K/N")] {
        folder.run(&["--shard", bad]).exits(2).says(why);
    }
}

fn where_nothing_fits_nothing_passes() {
    let folder = Folder::new();
    for name in ["worker-stop-from-pod", "again"] {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/worker-stop-from-pod.yaml");
        let text = std::fs::read_to_string(root)
            .unwrap()
            .replace("name: worker-stop-from-pod", &format!("name: {name}"));
        folder.home.file(&format!("experiments/{name}.yaml"), &text);
    }
    folder.run(&[]).exits(4).prints("2 experiments: 2 SKIPPED");
    let junit = folder.run(&["-o", "junit"]);
    junit.exits(4).prints(r#"tests="2" failures="0" errors="0""#);
    junit.prints(r#"errors="0" failures="0" skipped="1""#);
}

fn a_signal_ends_all() {
    let folder = Folder::new();
    folder.component("componentStop", "etcd");
    folder.component("componentStop", "kube-scheduler");
    let all = folder.home.path().join("experiments");
    let mut run =
        folder.home.start(&["run", "-f", &all.to_string_lossy(), "--cluster", "embedded"]);
    run.wait_for("componentStop confirmed", Duration::from_secs(120));
    run.signal("INT");
    let output = run.finish();
    output.exits(130).says("undone").prints("NOT STARTED").prints("1 INCONCLUSIVE, 1 NOT STARTED");
    assert!(!output.stderr.contains("run 2 of 2"), "{}", output.stderr);
}

fn a_signal_ends_all_that_run_at_the_same_time() {
    let folder = Folder::new();
    let components = ["kube-controller-manager", "kube-scheduler"];
    for component in components {
        let fault = format!(
            "{{componentStop: {{component: {component}, target: {{role: control-plane}}}}}}"
        );
        folder.add(component, &fault, "60s");
    }
    let all = folder.home.path().join("experiments");
    let arguments =
        ["run", "-f", &all.to_string_lossy(), "--cluster", "embedded", "--parallel", "2"];
    let mut run = folder.home.start(&arguments);
    for component in components {
        let line = format!("componentStop confirmed: {component} ");
        run.wait_for(&line, Duration::from_secs(120));
    }
    run.signal("INT");
    let output = run.finish();
    output.exits(130).prints("2 experiments in ").prints("2 INCONCLUSIVE");
    for component in components {
        let is_undone =
            |line: &str| line.starts_with(&format!("[{component}] ")) && line.contains(" undone: ");
        assert!(output.stderr.lines().any(is_undone), "{component}: {}", output.stderr);
    }
}

/// One is refused; reports have the order of the files, whichever ended first.
fn experiments_run_at_the_same_time() {
    let folder = Folder::new();
    let scheduler = "{componentStop: {component: kube-scheduler, target: {role: control-plane}}}";
    folder.add("a-long", scheduler, "6s");
    folder.add("b-short", scheduler, "1s");
    folder.add("c-third", scheduler, "6s");
    folder.add("d-refused", "{nodeStop: {target: {labels: {zone: nowhere}}}}", "1s");
    let events = folder.home.path().join("events.jsonl");
    let plan = folder.run(&["--parallel", "2", "--dry-run"]);
    plan.exits(4).says("queue 1/2: 2 experiments, at least ").says(": a-long, b-short");
    let to = events.to_string_lossy().into_owned();
    let flags = ["--parallel", "2", "--fail-on", "fail", "-o", "json", "--events", &to];
    let output = folder.run(&flags);
    output.exits(4).says(" in all, in 2 queues").says("[c-third] run 2 of 2 in queue 2/2: c-third");
    for line in output.stderr.lines().filter(|line| line.contains("componentStop confirmed")) {
        assert!(line.starts_with(['[']) && !line.starts_with("[d-"), "{line}");
    }
    let suite = document(&output);
    let rows = suite["experiments"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["experiment"].as_str().unwrap()).collect();
    assert_eq!(names, ["a-long", "b-short", "c-third", "d-refused"]);
    assert!(rows[..3].iter().all(|row| row["outcome"].is_string()), "{suite:#}");
    assert_eq!(rows[3]["notRun"], "refused", "{suite:#}");
    let events = std::fs::read_to_string(events).unwrap();
    let at = |kind: &str, experiment: &str| {
        let is_it = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            event["type"] == kind && event["experiment"] == experiment
        };
        events.lines().position(is_it).unwrap_or_else(|| panic!("no {kind} of {experiment}"))
    };
    assert!(at("runStarted", "c-third") < at("runEnded", "a-long"), "{events}");
    assert!(at("runStarted", "a-long") < at("runEnded", "c-third"), "{events}");
    let all = folder.home.path().join("experiments");
    let there = ["run", "-f", &all.to_string_lossy(), "--parallel", "2", "--context", "x"];
    folder.home.run(&there).exits(2).says("--parallel needs a cluster for each run, but a-long");
}

/// Runs an experiment on a machine that stops for a second in the middle of its fault.
fn stalled(folder: &Folder, more: &[&str]) -> Output {
    let (kind, component) = ("componentStop", "kube-scheduler");
    let target = "target: {role: control-plane}";
    folder.add("stalled", &format!("{{{kind}: {{component: {component}, {target}}}}}"), "8s");
    let file = folder.home.path().join("experiments/stalled.yaml");
    let arguments = ["run", "-f", &file.to_string_lossy(), "--cluster", "embedded"];
    let mut run = folder.home.start(&[&arguments[..], more].concat());
    run.wait_for("componentStop confirmed", Duration::from_secs(120));
    std::thread::sleep(Duration::from_secs(2));
    // Prober and model alike get no time.
    run.signal("STOP");
    std::thread::sleep(Duration::from_secs(1));
    run.signal("CONT");
    run.finish()
}

/// On a busy machine, more than once.
fn an_inconclusive_run_is_retried() {
    let folder = Folder::new();
    let output = stalled(&folder, &["--retries", "5", "--fail-on", "fail", "-o", "junit"]);
    output.exits(0).says("INCONCLUSIVE: ").says("retry 1 of 5");
    output.prints("<flakyError").prints(r#"<property name="try 1""#);
    assert_eq!(output.stdout.matches("<testsuite ").count(), 1, "{}", output.stdout);
    let all = folder.home.run(&["report", "latest+", "--exit-code", "-o", "markdown"]);
    all.exits(0).prints(": INCONCLUSIVE, RETRIED</summary>").prints("## 🔁 FLAKY: `stalled`");
}

fn a_machine_that_stalls_is_not_a_cluster_that_fails() {
    let folder = Folder::new();
    let output = stalled(&folder, &[]);
    output.exits(3).prints("INCONCLUSIVE").prints("prober");
    // The table of latencies has a column FAILED where the terminal has room for it.
    let failed = output.stdout.lines().any(|line| line.trim_start().starts_with("FAIL "));
    assert!(!failed, "{}", output.stdout);
}

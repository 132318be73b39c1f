//! Studies as a user runs them, on the embedded cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::model::start;
use super::offline::{copy_run, recorded};
use super::program::Home;
use super::{Test, test};

const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test(
            "study::a_killed_study_goes_on_with_nothing_lost",
            a_killed_study_goes_on_with_nothing_lost,
        ),
        test(
            "study::a_budget_ends_a_study_that_goes_on_later",
            a_budget_ends_a_study_that_goes_on_later,
        ),
        test("study::a_dry_run_and_validate_change_nothing", a_dry_run_and_validate_change_nothing),
        test("study::repeated_runs_share_their_workload", repeated_runs_share_their_workload),
        test(
            "study::stored_studies_are_listed_described_and_compared",
            stored_studies_are_listed_described_and_compared,
        ),
        test("study::mistakes_are_drawn_where_they_are", mistakes_are_drawn_where_they_are),
    ]
}

/// Two cells whose runs take a few seconds.
fn small(home: &Home, repeat: u32) -> String {
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let text = format!(
        "apiVersion: outage/v1alpha1
kind: Study
metadata: {{name: small}}
spec:
  question: Does it go on?
  repeat: {repeat}
  seed: 3
  matrix:
    settings:
    - name: fast
      set: {{cluster.kind.tuning.nodeMonitorGracePeriod: 2s}}
    - name: slower
      set: {{cluster.kind.tuning.nodeMonitorGracePeriod: 3s}}
  experiment:
    cluster: {{kind: {{config: ../kind-configs/fast-detection.yaml}}}}
    workload: [workloads/web.yaml]
    probes:
    - name: web
      http: {{service: web, path: /}}
      from: {{node: {{role: control-plane}}}}
      rate: 50/s
      timeout: 200ms
    steadyState:
    - nodesReady: all
    - probe: {{name: web, successRatio: 1.0, for: 1s}}
    method:
    - fault: {{nodePause: {{target: {{role: worker}}}}}}
      for: 6s
"
    );
    home.file("experiments/small.yaml", &text).to_string_lossy().into_owned()
}

fn studies(home: &Home) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(home.runs().join("studies"));
    folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The lines of the only study's journal after its first.
fn journal(home: &Home) -> Vec<Value> {
    let [folder] = &studies(home)[..] else { panic!("one study: {:?}", studies(home)) };
    let text = std::fs::read_to_string(folder.join("study.jsonl")).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn a_killed_study_goes_on_with_nothing_lost() {
    let home = Home::new();
    let file = small(&home, 2);
    let command = ["study", "-f", &file, "--cluster", "embedded", "-o", "json"];
    // In its fault, and while its workload is made.
    for (run, moment) in [("run 2 of 4", "nodePause confirmed"), ("run 3 of 4", "workload")] {
        let mut study = start(&home, &command);
        study.wait_for(run, 3 * MINUTE);
        let before = study.said().len();
        while !study.said()[before..].contains(moment) {
            std::thread::sleep(Duration::from_millis(20));
        }
        study.signal("KILL");
        study.finish();
    }
    let begun = journal(&home).iter().filter(|line| line.get("begun").is_some()).count();
    assert_eq!(begun, 4);
    // The same command goes on.
    let output = start(&home, &command).finish();
    output.exits(0).says("continuing study").says("2 of 4 runs are done").says("run 4 of 4");
    let lines = journal(&home);
    let runs: Vec<&Value> = lines.iter().filter_map(|line| line.get("begun")).collect();
    let slots: BTreeSet<String> =
        runs.iter().map(|run| format!("{} {}", run["cell"], run["repetition"])).collect();
    assert_eq!((runs.len(), slots.len()), (6, 4), "those killed were made again, no other was");
    for run in &runs {
        assert!(home.runs().join(run["run"].as_str().unwrap()).is_dir(), "{run}");
    }
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&report["planned"], &report["done"]), (&4.into(), &4.into()));
    let cells = report["cells"].as_array().unwrap();
    let sum =
        |key: &str| cells.iter().map(|cell| cell["ended"][key].as_u64().unwrap()).sum::<u64>();
    // The runs that were killed were repeated: a finished study has no unfinished ones.
    assert_eq!((sum("pass"), sum("unfinished"), sum("repeated")), (4, 0, 2), "{report:#}");
    let runs = || cells.iter().flat_map(|cell| cell["runs"].as_array().unwrap());
    assert_eq!(runs().filter(|run| run["repeated"] == true).count(), 2, "{report:#}");
    assert!(report["on"].as_str().unwrap().contains("EMBEDDED MODEL"));
    assert!(cells.iter().all(|cell| cell["measures"][0]["n"].as_u64() > Some(0)), "{report:#}");
    assert!(cells.iter().all(|cell| cell["detectionAgrees"].is_null()), "two runs prove nothing");
    // It prints again, offline; finished, the same command begins a new one.
    let again = home.run(&["report", "small", "-o", "json"]);
    assert_eq!(again.exits(0).stdout, output.stdout);
    home.run(&["report", "small"])
        .exits(0)
        .prints("Study small on the EMBEDDED MODEL")
        .prints("KS AT 1%")
        .prints("too few runs")
        .prints("2 interrupted runs were repeated and were not counted");
    home.run(&["report", "small", "-o", "csv"]).exits(0).prints("settings=fast,detection,2,2,");
    home.run(&["report", "small", "-o", "markdown"]).exits(0).prints("| cell | done |");
    assert_eq!(
        home.run(&["study", "--resume", "small", "-o", "json"]).exits(0).stdout,
        output.stdout
    );
}

fn repeated_runs_share_their_workload() {
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let text = "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {name: shared}
spec:
  cluster: {kind: {config: ../kind-configs/fast-detection.yaml, tuning: {nodeMonitorGracePeriod: 2s}}}
  workload: [workloads/web.yaml]
  probes:
  - {name: web, http: {service: web, path: /}, from: {node: {role: control-plane}}, rate: 50/s, timeout: 200ms}
  steadyState:
  - probe: {name: web, successRatio: 1.0, for: 1s}
  method:
  - fault: {nodePause: {target: {role: worker}}}
    for: 5s
";
    let file = home.file("experiments/shared.yaml", text).to_string_lossy().into_owned();
    let command = ["run", "-f", &file, "--cluster", "embedded", "--repeat", "3"];
    let output = start(&home, &command).finish();
    output.exits(0).says("the workload of the previous run is used again");
    let runs = std::fs::read_dir(home.runs()).unwrap().map(|run| run.unwrap().path());
    // `latest` is a link to one of them.
    let is_run = |run: &PathBuf| !run.is_symlink() && run.join("events.jsonl").is_file();
    let runs: Vec<PathBuf> = runs.filter(is_run).collect();
    let namespace = |run: &PathBuf| {
        let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
        let ready = events.lines().find(|line| line.contains("\"workloadReady\"")).unwrap();
        serde_json::from_str::<Value>(ready).unwrap()["namespace"].to_string()
    };
    let namespaces: BTreeSet<String> = runs.iter().map(namespace).collect();
    assert_eq!((runs.len(), namespaces.len()), (3, 1), "{namespaces:?}");
}

fn a_budget_ends_a_study_that_goes_on_later() {
    let home = Home::new();
    let file = small(&home, 50);
    let command = ["study", "-f", &file, "--cluster", "embedded", "--for", "20s"];
    let output = start(&home, &command).finish();
    output.exits(0).says("time budget used up").prints("to go: `kubectl outage study --resume");
    let done = || {
        let ended = |line: &&Value| line.pointer("/ended/done") == Some(&true.into());
        journal(&home).iter().filter(ended).count()
    };
    let first = done();
    assert!((1..=4).contains(&first), "{first}");
    let left = format!("{first} runs done; these are left");
    let left = if first == 1 { "1 run done; these are left".to_owned() } else { left };
    start(&home, &["study", "--resume", "--dry-run"]).finish().exits(0).prints(&left);
    let mut resumed = start(&home, &["study", "--resume"]);
    resumed.wait_for(&format!(": {first} of 100 runs are done"), MINUTE);
    resumed.wait_for("nodePause confirmed", MINUTE);
    resumed.signal("INT");
    let output = resumed.finish();
    output.exits(130).prints("EMBEDDED MODEL");
    assert_eq!(done(), first, "what was interrupted is not done");
}

fn a_dry_run_and_validate_change_nothing() {
    let home = Home::new();
    let file = small(&home, 4);
    home.run(&["validate", "-f", &file])
        .exits(0)
        .prints("valid (small: 2 cells, 8 runs take at least");
    let plan = start(&home, &["study", "-f", &file, "--cluster", "embedded", "--dry-run"]).finish();
    plan.exits(0).prints("8 runs in 2 cells on 2 clusters").prints("settings=slower");
    let json = ["study", "-f", &file, "--cluster", "embedded", "--dry-run", "-o", "json"];
    let json: Value = serde_json::from_str(&start(&home, &json).finish().exits(0).stdout).unwrap();
    assert_eq!((&json["runs"], json["cells"].as_array().unwrap().len()), (&8.into(), 2));
    home.run(&["study", "node-monitor", "--dry-run", "--cluster", "embedded"])
        .exits(0)
        .prints("EMBEDDED MODEL");
    assert!(studies(&home).is_empty());
    // An axis of versions, and the image that would make them one.
    let text = std::fs::read_to_string(&file).unwrap();
    let config = |name: &str, image: &str| {
        let nodes = format!(
            "nodes: [{{role: control-plane, image: \"{image}\"}}, {{role: worker, image: \"{image}\"}}]"
        );
        let text =
            format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: {name}\n{nodes}\n");
        home.file(&format!("experiments/{name}.yaml"), &text);
    };
    config("older", "kindest/node:v1.33.1");
    config("newer", "kindest/node:v1.34.0");
    let (before, after) = text.split_once("    settings:\n").unwrap();
    let experiment = after.split_once("  experiment:").unwrap().1;
    let axis = "    cluster.kind.config: [older.yaml, newer.yaml]\n";
    let versions = format!("{before}{axis}  experiment:{experiment}");
    let versions = home.file("experiments/versions.yaml", &versions).to_string_lossy().into_owned();
    let plan = ["study", "-f", &versions, "--dry-run"];
    home.run(&plan).exits(0).prints("cluster.kind.config=newer.yaml newer 4");
    let image = home.run(&[&plan[..], &["--node-image", "kindest/node:v1.34.0"]].concat());
    image.exits(2).says("use different Kubernetes versions (v1.33.1, v1.34.0)");
    let schema: Value =
        serde_json::from_str(&home.run(&["schema", "study"]).exits(0).stdout).unwrap();
    assert!(
        schema.pointer("/properties/spec/properties/matrix/description").is_some(),
        "{schema:#}"
    );
}

/// A finished study of recorded runs: in its first cell those of stopped workers, in the second the
/// others.
pub(crate) fn stored(home: &Home, name: &str, cells: [&str; 2]) {
    let cell = |name: &&str| {
        let choices = [serde_json::json!({"axis": "settings", "value": name})];
        serde_json::json!({"name": name, "choices": choices, "cluster": 0, "experiment": null, "kindConfig": null})
    };
    let runs = recorded();
    let header = serde_json::json!({
        "format": "outage.study-journal/v1", "name": name, "question": "Which is better?", "file": "s.yaml",
        "started": "2026-11-22T08:00:00Z", "on": "kind", "seed": 3, "repeat": 4, "rounds": 4, "nodes": 1000,
        "cells": cells.iter().map(cell).collect::<Vec<_>>(),
    });
    let mut lines = vec![header];
    for (repetition, from) in runs.iter().enumerate() {
        let events = std::fs::read_to_string(from.join("events.jsonl")).unwrap();
        let run: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
        let run = run["run"].as_str().unwrap();
        copy_run(from, &home.runs().join(run));
        let cell = u32::from(!from.to_string_lossy().contains("worker-stop"));
        lines.push(
            serde_json::json!({"begun": {"run": run, "cell": cell, "repetition": repetition}}),
        );
        lines.push(serde_json::json!({"ended": {"run": run, "done": true, "took": 60.0}}));
    }
    lines.push(serde_json::json!({"finished": {"at": "2026-11-22T09:00:00Z"}}));
    let lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
    home.file(
        &format!("state/outage/runs/studies/{name}-20261122-080000/study.jsonl"),
        &lines.concat(),
    );
}

fn stored_studies_are_listed_described_and_compared() {
    let home = Home::new();
    stored(&home, "settings", ["settings=default", "settings=tuned"]);
    stored(&home, "again", ["settings=default", "settings=tuned"]);
    let id = "settings-20261122-080000";
    let table = home.run(&["get", "studies"]);
    table.exits(0).prints("STUDY").prints(id).prints("finished");
    home.run(&["get", "study", "-o", "wide"]).exits(0).prints("Which is better?");
    let list = home.run(&["get", "studies", "-o", "json"]).exits(0).stdout.clone();
    let list: Value = serde_json::from_str(&list).unwrap();
    let of =
        |key: &str| list.as_array().unwrap().iter().map(|one| one[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["again", "settings"]);
    assert_eq!(of("planned"), [8, 8]);
    let described = home.run(&["describe", "study", "settings"]);
    described.exits(0).prints("Every run").prints("20261122-083622-f189").prints("Folder: ");
    // A journal that cannot be read is said, and no reason to fail.
    home.file("state/outage/runs/studies/broken/study.jsonl", "no\n");
    home.run(&["get", "studies"]).exits(0).says("broken").prints(id);

    let cells = home.run(&["compare", "settings", "again"]);
    cells.exits(3).prints("settings=default").prints("settings=tuned").prints("Both sides contain");
    let csv = home.run(&["compare", "settings:1", "settings:settings=tuned", "-o", "csv"]);
    csv.exits(3).prints("comparison,quantity,unit,before_n,").prints(",detection,seconds,");
    home.run(&["compare", "worker-stop-fast", "settings:2"]).exits(3).prints("detection");
    let cell = home.run(&["report", "settings:2", "-o", "csv"]);
    cell.exits(0).prints("kubelet-stop");
    assert!(!cell.stdout.contains("20261122-083622-f189"), "a run of the other cell");
    // A folder without runs is no name for all runs.
    home.run(&["compare", "settings:1", &home.path().to_string_lossy()]).exits(2);
    home.run(&["compare", "settings", "20261122-083622-f189"])
        .exits(2)
        .says("name one of its cells: `settings:1`");
    home.run(&["compare", "settings:3", "settings"])
        .exits(2)
        .says("1 settings=default; 2 settings=tuned");
}

fn mistakes_are_drawn_where_they_are() {
    let home = Home::new();
    let file = small(&home, 2);
    let text = std::fs::read_to_string(&file).unwrap();
    let wrong = text.replace("nodeMonitorGracePeriod: 3s", "nodeMonitorGracePerod: 3s");
    let wrong = home.file("experiments/wrong.yaml", &wrong).to_string_lossy().into_owned();
    let output = home.run(&["validate", "-f", &wrong]);
    output.exits(2).says("unknown field `nodeMonitorGracePerod`").says("did you mean");
    home.run(&["study", "-f", &wrong, "--cluster", "embedded"]).exits(2);
    home.run(&["run", "-f", &file]).exits(2).says("kubectl outage study -f FILE");
    home.run(&["study", "nod-monitor"]).exits(2).says("did you mean `node-monitor`?");
    home.run(&["study", "--resume", "x"]).exits(2).says("no study x");
    home.run(&["study"]).exits(2).says("no study given");
    home.assert_nothing_recorded();
}

//! What the program does without any cluster: usage, mistakes, reports of recorded runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::program::Home;
use super::{Test, test};

/// All tests of this rung.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("offline::help_names_commands_and_exit_codes", help_names_commands_and_exit_codes),
        test("offline::bad_usage_is_2", bad_usage_is_2),
        test(
            "offline::an_experiment_comes_from_standard_input",
            an_experiment_comes_from_standard_input,
        ),
        test("offline::every_built_in_experiment_is_valid", every_built_in_experiment_is_valid),
        test(
            "offline::a_program_that_is_not_there_is_a_warning",
            a_program_that_is_not_there_is_a_warning,
        ),
        test("offline::all_mistakes_are_reported_together", all_mistakes_are_reported_together),
        test("offline::a_bare_leader_is_one_of_three", a_bare_leader_is_one_of_three),
        test("offline::a_misspelt_name_is_guessed", a_misspelt_name_is_guessed),
        test("offline::no_engine_is_refused_with_a_hint", no_engine_is_refused_with_a_hint),
        test("offline::no_such_context", no_such_context),
        test("offline::a_role_has_what_an_experiment_needs", a_role_has_what_an_experiment_needs),
        test(
            "offline::a_preflight_says_what_stands_in_the_way",
            a_preflight_says_what_stands_in_the_way,
        ),
        test(
            "offline::an_unreachable_cluster_is_reported_soon",
            an_unreachable_cluster_is_reported_soon,
        ),
        test("offline::nothing_recorded_nothing_pending", nothing_recorded_nothing_pending),
        test(
            "offline::a_ledger_that_is_not_understood_is_refused",
            a_ledger_that_is_not_understood_is_refused,
        ),
        test("offline::the_environment_is_a_default", the_environment_is_a_default),
        test("offline::completions_and_schema", completions_and_schema),
        test(
            "offline::the_version_is_printed_without_a_server",
            the_version_is_printed_without_a_server,
        ),
        test("offline::recorded_runs_are_judged_again", recorded_runs_are_judged_again),
        test("offline::a_cut_timeline_is_read", a_cut_timeline_is_read),
        test(
            "offline::nothing_that_is_printed_writes_to_a_terminal",
            nothing_that_is_printed_writes_to_a_terminal,
        ),
        test(
            "offline::runs_are_found_whatever_the_folder_has",
            runs_are_found_whatever_the_folder_has,
        ),
        test("offline::names_and_files_are_refused_plainly", names_and_files_are_refused_plainly),
        test("offline::no_colour_when_piped", no_colour_when_piped),
        test("offline::lint_tells_what_a_kind_config_means", lint_tells_what_a_kind_config_means),
        test("offline::reports_go_to_files_beside_the_text", reports_go_to_files_beside_the_text),
        test(
            "offline::what_is_refused_before_a_run_is_in_the_files_of_the_report",
            what_is_refused_before_a_run_is_in_the_files_of_the_report,
        ),
        test("offline::recorded_runs_are_compared", recorded_runs_are_compared),
        test("offline::a_regression_fails", a_regression_fails),
        test("offline::lint_has_exit_codes_of_its_own", lint_has_exit_codes_of_its_own),
        test("offline::tune_writes_what_lint_accepts", tune_writes_what_lint_accepts),
    ]
}

fn help_names_commands_and_exit_codes() {
    let output = Home::new().run(&["--help"]);
    output.exits(0);
    for word in [
        "run",
        "validate",
        "lint",
        "get",
        "describe",
        "report",
        "recover",
        "completion",
        "130",
        "kubectl outage",
    ] {
        output.prints(word);
    }
}

fn bad_usage_is_2() {
    let home = Home::new();
    home.run(&[]).exits(2);
    home.run(&["run"]).exits(2).says("get experiments");
    home.run(&["run", "--repaet", "3"]).exits(2).says("--repeat");
    home.run(&["run", "-f", "nowhere.yaml"]).exits(2).says("nowhere.yaml");
    home.run(&["run", "worker-stop-fast", "--repeat", "0"]).exits(2);
    home.run(&["report", "nosuch"]).exits(2).says("get runs");
    let plan = home.run(&["run", "worker-stop-fast", "--dry-run", "-o", "csv"]);
    plan.exits(2).says("use `-o text`, `-o json` or `-o yaml`");
    home.run(&["get", "runs", "-o", "junit"]).exits(2).says("text, wide, json, yaml");
}

fn an_experiment_comes_from_standard_input() {
    let home = Home::new();
    let validate = |file: &str, folder: &str| {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let file = File::open(project.join(file)).unwrap();
        let mut command = home.command(&["validate", "-f", "-"]);
        home.finish(command.current_dir(project.join(folder)).stdin(file))
    };
    validate("worker-stop-fast.yaml", ".").exits(0).prints("<stdin>: valid");
    let elsewhere = validate("worker-stop-fast.yaml", "../src");
    elsewhere.exits(2).says("paths are relative to the working directory");
    let study = validate("studies/node-monitor.yaml", "studies");
    study.exits(0).prints("<stdin>: valid (node-monitor: 4 cells");
}

fn a_program_that_is_not_there_is_a_warning() {
    let home = Home::new();
    home.copy(&["experiments", "experiments/workloads", "kind-configs"], |text| {
        text.replace("[docker, ", "[no-such-tool, ")
    });
    let file = home.path().join("experiments/machine-command.yaml");
    let file = file.to_string_lossy();
    let valid = home.run(&["validate", "-f", &file]);
    valid.exits(0).says("warning: `no-such-tool` is not on PATH").says("install the program here");
}

fn every_built_in_experiment_is_valid() {
    let home = Home::new();
    let listed = home.run(&["get", "experiments"]);
    let names: Vec<&str> =
        listed.stdout.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() >= 8, "{}", listed.stdout);
    for name in names {
        home.run(&["validate", name]).exits(0).prints("valid");
    }
    home.run(&["validate", "-f", "experiments"]).exits(0).prints("worker-stop-fast");
    let folder = home.run(&["validate", "-f", "experiments/studies"]);
    folder.exits(0).prints("node-monitor.yaml: valid (node-monitor: 4 cells");
    assert!(!folder.stderr.contains("skipped"), "{}", folder.stderr);
}

fn all_mistakes_are_reported_together() {
    let home = Home::new();
    let good = std::fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments/node-kill.yaml"),
    )
    .unwrap();
    let bad = good
        .replace("rate: 50/s", "rate: 0/s")
        .replace("timeout: 200ms", "timeout: 200")
        .replace("nodeKill", "nodeKil");
    let file = home.file("bad.yaml", &bad);
    let output = home.run(&["validate", "-f", &file.to_string_lossy()]);
    output.exits(2).says("nodeKill").says("200ms").says("rate").says("bad.yaml:");
    let run =
        home.run(&["run", "-f", &file.to_string_lossy(), "--docker-host", "unix:///nowhere.sock"]);
    run.exits(2).says("nodeKill");
}

fn a_bare_leader_is_one_of_three() {
    let home = Home::new();
    let (whose, bare) =
        ("kube-scheduler, target: {role: control-plane}", "kube-scheduler, target: {leader: }");
    home.copy(&["experiments", "experiments/workloads", "kind-configs"], |text| {
        text.replace(whose, bare)
    });
    let file = home.path().join("experiments/scheduler-down.yaml");
    let output = home.run(&["validate", "-f", &file.to_string_lossy()]);
    output
        .exits(2)
        .says("error: a cluster has three leaders")
        .says("leader: kube-scheduler")
        .says("1 error in");
    // Where there is no cluster to ask, that is all there is to say.
    let run =
        home.run(&["run", "-f", &file.to_string_lossy(), "--docker-host", "unix:///nowhere.sock"]);
    run.exits(2).says("error: a cluster has three leaders").says("leader: etcd");
}

fn a_misspelt_name_is_guessed() {
    Home::new().run(&["run", "worker-stop-fats"]).exits(2).says("worker-stop-fast");
}

fn no_engine_is_refused_with_a_hint() {
    let home = Home::new();
    let output = home.run(&["run", "worker-stop-fast", "--docker-host", "unix:///nowhere.sock"]);
    output.exits(4).says("hint:").says("nowhere.sock");
    home.assert_nothing_recorded();
}

fn a_role_has_what_an_experiment_needs() {
    let home = Home::new();
    let nowhere = home.run(&["rbac", "node-drain", "--service-account", "outage"]);
    nowhere.exits(2).says("expected NAMESPACE/NAME");
    let chaos = home.run(&["rbac", "-f", "experiments/chaos-mesh/pod-failure.yaml"]);
    chaos.exits(4).says("cannot look up the resource name of PodChaos").says("--context NAME");
    let role = home.run(&["rbac", "node-drain", "--service-account", "ci/outage"]);
    role.exits(0).prints("kind: ClusterRole\nmetadata: {name: outage-node-drain}");
    role.prints("pods/eviction]").prints("kind: ServiceAccount, namespace: ci");
    home.run(&["rbac"]).exits(2).says("no experiment given");
}

fn a_preflight_says_what_stands_in_the_way() {
    let home = Home::new();
    let model = home.run(&["preflight", "worker-stop-fast", "--cluster", "embedded"]);
    model.exits(0).prints("ok       version").prints("ok       permissions").prints("\nready, ");
    let away = home.run(&["preflight", "worker-stop-fast", "--context", "nowhere", "-o", "json"]);
    away.exits(4).prints("\"outage.preflight/v1\"").prints("\"check\": \"cluster\"");
    away.prints("\"level\": \"error\"").prints("no kubeconfig");
}

fn no_such_context() {
    let home = Home::new();
    home.run(&["run", "worker-stop-fast", "--context", "nowhere"]).exits(4).says("hint:");
}

fn an_unreachable_cluster_is_reported_soon() {
    let home = Home::new();
    let config = r#"{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
        clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}], users: [{name: a, user: {}}]}"#;
    let config = home.file("kubeconfig", config);
    let began = Instant::now();
    let output = home.run(&[
        "run",
        "worker-stop-fast",
        "--context",
        "a",
        "--kubeconfig",
        &config.to_string_lossy(),
    ]);
    output.exits(4).says("127.0.0.1:1");
    assert!(began.elapsed() < Duration::from_secs(20));
}

fn nothing_recorded_nothing_pending() {
    let home = Home::new();
    home.run(&["get", "runs"]).exits(0).says("no runs");
    let nowhere = home.run(&["get", "runs", "--runs-dir", "/no/such/directory"]);
    nowhere.exits(0).says("no runs in /no/such/directory: there is no such directory");
    home.run(&["report"]).exits(2).says("get runs");
    home.run(&["describe", "run", "x"]).exits(2);
    home.run(&["recover"]).exits(0).prints("nothing to undo");
}

fn a_ledger_that_is_not_understood_is_refused() {
    let home = Home::new();
    home.file("state/outage/clusters/a/ledger.jsonl", "{\"owed\": \"what?\"}\n");
    home.run(&["recover"]).exits(5).says("another version");
}

fn the_environment_is_a_default() {
    let home = Home::new();
    let run = |image: &str, flags: &str| {
        let mut command = home.command(&["run", "worker-stop-fast", "--dry-run"]);
        command.args(flags.split(' ')).env("OUTAGE_NODE_IMAGE", image).env("OUTAGE_RUNS_DIR", "");
        home.finish(&mut command)
    };
    let image = "kindest/node:v1.31.0";
    let embedded = run(image, "--cluster embedded");
    assert_eq!(embedded.exits(0).stderr, "", "what nobody asked for has no effect in silence");
    let asked = run("", &format!("--cluster embedded --node-image {image}"));
    asked.exits(0).says("--node-image has no effect");
    let unknown = run("kindest/node@sha256:0", "--docker-host unix:///nowhere.sock");
    unknown.says("OUTAGE_NODE_IMAGE kindest/node@sha256:0 names no version");
    let runs = home.finish(home.command(&["get", "runs"]).env("OUTAGE_RUNS_DIR", ""));
    runs.exits(0).says(&format!("no runs in {}", home.runs().display()));
    let elsewhere = home.path().join("elsewhere");
    let runs = home.finish(home.command(&["get", "runs"]).env("OUTAGE_RUNS_DIR", &elsewhere));
    runs.exits(0).says(&format!("no runs in {}", elsewhere.display()));
}

fn completions_and_schema() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        home.run(&["completion", shell]).exits(0).prints("validate");
    }
    let schema = home.run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema.exits(0).stdout).unwrap();
    assert_eq!(
        schema["anyOf"].as_array().map(Vec::len),
        Some(4),
        "a run, several, a suite, a study: {schema:#}"
    );
    home.run(&["completion", "kubectl"]).exits(0).prints("__complete -- \"$@\"");
    let values = home.run(&["__complete", "--", "run", "--cluster", "e"]);
    let lines: Vec<&str> = values.exits(0).stdout.lines().collect();
    assert!(lines[0].starts_with("embedded\t") && lines[1..] == [":4"], "{lines:?}");
    home.run(&["explain", "nodeStop"])
        .exits(0)
        .prints("FIELD: spec.method.fault.nodeStop <Object>");
    home.run(&["explain"]).exits(0).prints("study");
    home.run(&["explain", "nodeStpo"]).exits(2).says("did you mean `spec.method.fault.nodeStop`?");
}

fn the_version_is_printed_without_a_server() {
    let home = Home::new();
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let printed = format!("Client Version: {version}\n");
    home.run(&["version"]).exits(0).prints(&printed);
    let json = home.run(&["version", "--client", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.exits(0).stdout).unwrap();
    assert_eq!(json["clientVersion"]["version"], version);
    assert!(json["clientVersion"]["target"].as_str().unwrap().contains(std::env::consts::ARCH));
    assert_eq!(json["clientVersion"]["kubernetes"].as_array().unwrap().len(), 2);
    assert!(json.get("serverVersion").is_none());
    let kubeconfig = home.file("config", "apiVersion: v1\nkind: Config\n");
    let unknown = ["version", "--context", "x", "--kubeconfig", kubeconfig.to_str().unwrap()];
    home.run(&unknown).exits(4).prints(&printed).says("error: ");
}

/// Real runs, recorded on kind (tests/recorded/README.md says where and how).
pub(crate) fn recorded() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut runs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    runs.sort();
    assert!(runs.len() >= 3, "recorded runs are missing");
    runs
}

fn recorded_runs_are_judged_again() {
    let home = Home::new();
    for run in recorded() {
        let path = run.to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(run.join("expected-exit-code"))
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        for form in ["text", "wide", "json", "yaml", "junit", "log", "jsonl"] {
            let output = home.run(&["report", &path, "--exit-code", "-o", form]);
            output.exits(expected);
            let warnings = output.stderr.lines().all(|line| line.starts_with("warning: run "));
            assert!(
                !output.stdout.is_empty()
                    && (output.stderr.is_empty() || form == "jsonl" && warnings),
                "{form} of {path}: {}",
                output.stderr
            );
            if form == "json" {
                super::chain::assert_order(&serde_json::from_str(&output.stdout).unwrap());
            }
        }
        home.run(&["report", &path]).exits(0);
        home.run(&["describe", "run", &path]).exits(0).prints("Folder");
    }
}

fn reports_go_to_files_beside_the_text() {
    let home = Home::new();
    let run = recorded()[0].to_string_lossy().into_owned();
    let file = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let [junit, markdown, json] = ["r.xml", "r.md", "r.json"].map(file);
    let outputs =
        [format!("junit={junit}"), format!("markdown={markdown}"), format!("json={json}")];
    let mut command = vec!["report", &run];
    outputs.iter().for_each(|output| command.extend(["-o", output]));
    let text = home.run(&command);
    assert_eq!(text.exits(0).stdout, home.run(&["report", &run]).stdout, "beside the text");
    for (form, path) in [("junit", &junit), ("markdown", &markdown), ("json", &json)] {
        let alone = home.run(&["report", &run, "-o", &format!("{form}=-")]).stdout;
        assert_eq!(std::fs::read_to_string(path).unwrap(), alone);
    }
    command.extend(["-o", "csv", "-o", "log"]);
    home.run(&command).exits(2).says("two output formats for standard output");
    let nowhere = format!("junit={}", file("no/r.xml"));
    for command in [["report", &run, "-o", &nowhere], ["run", "worker-stop-fast", "-o", &nowhere]] {
        home.run(&command).exits(2).says("its directory does not exist");
    }
    home.run(&["report", &run, "-o", "junit="]).exits(2).says("expected a file after `=`");
    home.run(&["report", &run, "-o", "junti=x"])
        .exits(2)
        .says("junit, csv, markdown, github, openmetrics");
    let plan = ["run", "worker-stop-fast", "--cluster", "embedded", "--dry-run", "-o"];
    let json = format!("json={json}");
    home.run(&[&plan[..], &[&json]].concat()).exits(0).prints("dry run: nothing is changed");
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(file("r.json")).unwrap()).unwrap();
    assert_eq!(plan[0]["experiment"], "worker-stop-fast");
    let predicted = home.run(&["predict", "worker-stop-fast", "-o", "json"]);
    let predicted: serde_json::Value = serde_json::from_str(&predicted.stdout).unwrap();
    let one = &predicted[0]["tried"][0]["predicted"];
    assert_eq!((&plan[0]["steps"][0]["predicted"], one.as_array().map(Vec::len)), (one, Some(4)));
}

/// CI looks for its file, and finds there why nothing was run.
fn what_is_refused_before_a_run_is_in_the_files_of_the_report() {
    let home = Home::new();
    let good = home.experiment("good", "method: []");
    let bad = home.file("bad.yaml", "kind: Experiment\nspec: {workload: [order.json]}\nx: 1\n");
    let bad = bad.to_string_lossy().into_owned();
    let file = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let [junit, json, order] = ["junit.xml", "report.json", "order.json"].map(file);
    let (to_junit, to_json) = (format!("junit={junit}"), format!("json={json}"));
    let refused = |arguments: &[&str], code: i32, names: &[&str], why: &str| {
        let typed = ["run", "-o", &to_junit, "-o", &to_json];
        home.run(&[&typed[..], arguments].concat()).exits(code);
        let xml = std::fs::read_to_string(&junit).unwrap();
        assert!(xml.contains(why) && xml.contains(r#"type="refused""#), "{xml}");
        let suite: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        let all = suite["experiments"].as_array().unwrap();
        let found: Vec<&str> = all.iter().filter_map(|one| one["experiment"].as_str()).collect();
        assert_eq!(found, names);
        [&junit, &json].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    };
    refused(&["-f", "absent.yaml"], 2, &["absent.yaml"], "absent.yaml");
    refused(&["-f", &good, "-f", &bad], 2, &[&good, &bad], "bad.yaml:3:1: ");
    refused(&["worker-stopp"], 2, &["worker-stopp"], "no such file or built-in experiment");
    refused(&[], 2, &["run"], "no experiment given");
    std::fs::write(file("runs"), "a file, and no directory").unwrap();
    let runs = file("runs");
    let unwritable = ["--runs-dir", &runs, "worker-stop-fast", "--cluster", "embedded"];
    refused(&unwritable, 4, &["worker-stop-fast"], "cannot");
    // It may be what the broken experiment would have read.
    std::fs::write(&order, "{}").unwrap();
    home.run(&["run", "-f", &bad, "-o", &format!("json={order}")]).exits(2);
    assert_eq!(std::fs::read_to_string(&order).unwrap(), "{}");
    let own = format!("json={bad}");
    home.run(&["run", "-f", &bad, "-o", &own]).exits(2).says("which is read here");
}

fn a_cut_timeline_is_read() {
    let home = Home::new();
    let run = &recorded()[0];
    let copy = home.path().join("cut");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(run).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_file())
    {
        let bytes = std::fs::read(entry.path()).unwrap();
        std::fs::write(copy.join(entry.file_name()), &bytes[..bytes.len() * 9 / 10 - 1]).unwrap();
    }
    let output = home.run(&["report", "--exit-code", &copy.to_string_lossy()]);
    assert!([1, 3].contains(&output.code), "a run without an end is not a pass: {}", output.stdout);
    output.prints("ends early").prints("is truncated");
}

/// What a terminal acts upon: escapes (also as one byte), a bell, a carriage return, a backspace, and
/// text that runs backwards.
const HOSTILE: &str =
    "x\x1b[2J\x1b]0;t\x07\x1b[32mPASS\x1b[0m\r\x08\x7f\u{9b}31m\u{85}\u{202e}\u{2066}y";

/// Appends `hostile` to every text of a value for which `is_read` still accepts the whole.
fn poison(
    whole: &mut serde_json::Value,
    hostile: &str,
    is_read: &dyn Fn(&serde_json::Value) -> bool,
) {
    fn texts(value: &serde_json::Value, at: String, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(_) => found.push(at),
            serde_json::Value::Array(all) => all
                .iter()
                .enumerate()
                .for_each(|(index, one)| texts(one, format!("{at}/{index}"), found)),
            serde_json::Value::Object(all) => all.iter().for_each(|(key, one)| {
                texts(one, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found)
            }),
            _ => {}
        }
    }
    let mut places = Vec::new();
    texts(whole, String::new(), &mut places);
    for place in places {
        let mut tried = whole.clone();
        let text = tried.pointer_mut(&place).expect("was found");
        *text = format!("{}{hostile}", text.as_str().unwrap_or_default()).into();
        if is_read(&tried) {
            *whole = tried;
        }
    }
}

/// A recorded run of an earlier version (without checksums) whose every text is hostile.
pub(crate) fn hostile_run(from: &Path, to: &Path, hostile: &str) {
    use outage::timeline::{Header, ProbeSpan, Record};
    std::fs::create_dir_all(to).unwrap();
    let reads = |is_header: bool| {
        move |value: &serde_json::Value| match is_header {
            true => {
                value["format"] == "outage.timeline/v1"
                    && serde_json::from_value::<Header>(value.clone())
                        .is_ok_and(|header| outage::prediction::experiment(&header).is_some())
            }
            false => serde_json::from_value::<Record>(value.clone()).is_ok(),
        }
    };
    let text = std::fs::read_to_string(from.join("events.jsonl")).unwrap();
    let mut events = String::new();
    for (number, line) in text.lines().enumerate() {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        poison(&mut value, hostile, &reads(number == 0));
        events += &format!("{value}\n");
    }
    std::fs::write(to.join("events.jsonl"), events).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_none_or(|extension| extension != "attempts") {
            continue;
        }
        let bytes = std::fs::read(&entry).unwrap();
        let end = bytes.iter().position(|&b| b == b'\n').unwrap();
        let mut span: serde_json::Value = serde_json::from_slice(&bytes[..end]).unwrap();
        poison(&mut span, hostile, &|value| {
            serde_json::from_value::<ProbeSpan>(value.clone()).is_ok()
                && value["format"] == "outage.attempts/v1"
        });
        let file = [span.to_string().as_bytes(), &bytes[end..]].concat();
        // A file has its probe's name, where files can.
        let name = span["probe"]["name"].as_str().filter(|name| !name.contains('/'));
        let name = name.map_or(entry.file_name().unwrap().to_owned(), |name| {
            format!("{name}.attempts").into()
        });
        std::fs::write(to.join(name), file).unwrap();
    }
}

/// Nothing but text, line breaks, and the colours that were asked for.
fn assert_harmless(what: &str, text: &str, coloured: bool) {
    let mut rest = text.to_owned();
    if coloured {
        for colour in ["0", "1", "2", "31", "32", "33"] {
            rest = rest.replace(&format!("\x1b[{colour}m"), "");
        }
        assert!(!text.contains("\x1b[32mPASS\x1b[0m\\r"), "{what}: a colour of the run's own");
    }
    let bad = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found = rest.char_indices().find(|(_, c)| bad(c));
    if let Some((at, c)) = found {
        let line = rest[..at].matches('\n').count();
        panic!("{what}: {c:?} in {:?}", rest.lines().nth(line));
    }
}

pub(crate) fn copy_run(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn runs_are_found_whatever_the_folder_has() {
    let home = Home::new();
    let began = |run: &Path| {
        let text = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
        let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        header["anchor"]["wall"].as_str().unwrap().to_owned()
    };
    let mut runs = recorded();
    runs.retain(|run| run.join("expected-exit-code").is_file());
    runs.sort_by_key(|run| std::cmp::Reverse(began(run)));
    for (number, run) in runs.iter().take(3).enumerate() {
        copy_run(run, &home.runs().join(format!("20260101-00000{number}-0000")));
    }
    let name = |run: &str| -> String {
        let report = home.run(&["report", run, "-o", "json"]);
        let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
        report["run"].as_str().unwrap().to_owned()
    };
    assert_eq!(name("latest"), name("20260101-000002-0000"), "there is no link");
    home.run(&["get", "runs"]).exits(0);
    let lines = home.run(&["report", "20260101-000000", "20260101-000001", "-o", "jsonl"]);
    let of: std::collections::BTreeSet<String> = (lines.stdout.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["run"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(of, [name("20260101-000000"), name("20260101-000001")].into());
    let several = home.run(&["describe", "run", "2026"]);
    several.exits(2).says(
        "3 runs begin with 2026: 20260101-000000-0000, 20260101-000001-0000, 20260101-000002-0000",
    );
    home.file("state/outage/runs/20260102-000000-none/x", "");
    home.file("state/outage/runs/20260103-000000-bad/events.jsonl", "{\"format\": 1");
    home.file("state/outage/runs/20260104-000000-empty/events.jsonl", "");
    let listed = home.run(&["get", "runs"]);
    listed.exits(0).says("20260102-000000-none cannot be read: it has no events.jsonl");
    listed.says("events.jsonl cannot be read: its first line is damaged: it ends too early");
    listed.says("events.jsonl cannot be read: it is empty: nothing of the run was recorded");
    assert_eq!(listed.stdout.lines().count(), 4, "{}", listed.stdout);
    let latest = home.run(&["report", "latest"]);
    latest
        .exits(4)
        .says("20260104-000000-empty")
        .says("it is empty: nothing of the run was recorded");
    let odd = Home::new();
    odd.file("state/outage/runs/20260102-000000-none/x", "");
    odd.run(&["get", "runs"]).exits(4).says("it has no events.jsonl");
}

fn names_and_files_are_refused_plainly() {
    let home = Home::new();
    for command in [&["run", "worker-stop"][..], &["run", "-f", "worker-stop"]] {
        home.run(command).exits(2).says("`worker-stop-default`").says("`worker-stop-fast`");
    }
    let nope = home.run(&["lint", "nope"]);
    nope.exits(2).says("cannot read nope: no such file");
    assert!(!nope.stderr.contains("experiment"), "{}", nope.stderr);
    for command in [&["validate", "-f", "-"][..], &["lint", "-"], &["cluster", "-f", "-"]] {
        home.run(command).exits(2).says("standard input is empty");
    }
    let twice = home
        .command(&["validate", "-f", "-", "-f", "-"])
        .stdin(File::open(recorded()[0].join("events.jsonl")).unwrap())
        .spawn();
    let twice = twice.unwrap().wait_with_output().unwrap();
    let twice = String::from_utf8(twice.stderr).unwrap();
    assert!(twice.contains("standard input (`-`) was given twice"), "{twice}");
    let zero = ["run", "worker-stop-fast", "--context", "a", "--kubeconfig", "/dev/zero"];
    home.run(&zero).exits(4).says("the kubeconfig /dev/zero cannot be used: larger than 4 MiB");
    home.run(&["validate", "-f", "/dev/zero"])
        .exits(2)
        .says("cannot read /dev/zero: larger than 4 MiB");
    let out = home.path().join("no/such/config");
    let cluster = home.run(&["cluster", "--kubeconfig-out", out.to_str().unwrap()]);
    cluster.exits(4).says("its directory does not exist").says("hint: create the directory first");
    assert!(!home.path().join("no").exists(), "nothing is made");
    let config = "kind-configs/default.yaml";
    home.run(&["lint", config]).exits(0).prints("v1.34.0 (assumed; --kubernetes sets it)");
    let given = home.run(&["lint", config, "--kubernetes", "v1.34.0"]);
    assert!(!given.exits(0).stdout.contains("assumed"), "{}", given.stdout);
    home.run(&["lint", config, "--kubernetes", "v99.0.0"])
        .exits(2)
        .says("a Kubernetes 1.x version");
    let long = "1".repeat(10_000);
    for (text, says) in [
        (format!("for: {long}s"), "is longer than a day"),
        (format!("for: {long}"), "expected a duration, found"),
        ("for: 90000".to_owned(), "did you mean `90000ms`?"),
        ("replicas: 99999999999".to_owned(), "is too large: 4294967295 at most"),
    ] {
        let field = match text.starts_with("for") {
            true => {
                format!("  method: [{{fault: {{nodeStop: {{target: {{role: worker}}}}}}, {text}}}]")
            }
            false => format!(
                "  method: [{{fault: {{deploymentScale: {{namespace: n, name: web, {text}}}}}, for: 1s}}]"
            ),
        };
        let file = home.experiment("odd", &field);
        let output = home.run(&["validate", "-f", &file]);
        output.exits(2).says(says);
        assert!(
            output.stderr.len() < 25_000,
            "the digits are not all repeated: {}",
            output.stderr.len()
        );
    }
}

fn nothing_that_is_printed_writes_to_a_terminal() {
    let home = Home::new();
    for (number, run) in recorded().iter().take(1).enumerate() {
        let name = format!("2026-hostile-{number}");
        hostile_run(run, &home.runs().join(&name), HOSTILE);
        let mut commands: Vec<Vec<&str>> = vec![
            vec!["describe", "run", &name],
            vec!["get", "runs"],
            vec!["get", "runs", "-o", "wide"],
            vec!["get", "runs", "-o", "json"],
            vec!["get", "runs", "-o", "yaml"],
        ];
        for form in [
            "text",
            "wide",
            "json",
            "yaml",
            "junit",
            "csv",
            "markdown",
            "github",
            "openmetrics",
            "html",
            "svg",
            "log",
            "jsonl",
        ] {
            commands.push(vec!["report", &name, "-o", form]);
        }
        for mut command in commands {
            for colour in ["never", "always"] {
                command.extend(["--color", colour]);
                let output = home.run(&command);
                let what = command.join(" ");
                assert!(output.stdout.contains('x'), "{what}: {}", output.stderr);
                assert_harmless(&what, &output.stdout, colour == "always");
                assert_harmless(&what, &output.stderr, colour == "always");
                command.truncate(command.len() - 2);
            }
        }
    }
    let [json, yaml] = ["json", "yaml"].map(|form| home.run(&["get", "runs", "-o", form]).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), json);
    // Mistakes quote what they are about.
    let file = home.path().join("x\x1b[31m.yaml");
    let text = format!(
        "apiVersion: outage.dev/v1\nkind: \"{0}\"\n\"{0}\": {{\n",
        "a\\e[31m\\u009b\\u202e"
    );
    std::fs::write(&file, text).unwrap();
    let path = file.to_string_lossy().into_owned();
    for command in [
        vec!["validate", "-f", &path],
        vec!["lint", &path],
        vec!["lint", &path, "-o", "json"],
        vec!["validate", HOSTILE],
        vec!["report", HOSTILE],
        vec![HOSTILE],
        vec!["run", &format!("--{HOSTILE}")],
    ] {
        let output = home.run(&command);
        assert_ne!(output.code, 0, "{command:?}");
        assert_harmless(&format!("{command:?}"), &output.stdout, false);
        assert_harmless(&format!("{command:?}"), &output.stderr, false);
    }
}

fn no_colour_when_piped() {
    let path = recorded()[0].to_string_lossy().into_owned();
    let output = Home::new().run(&["report", &path]);
    assert!(!output.stdout.contains('\x1b'), "{}", output.stdout);
    let longest = output.stdout.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 100, "{longest} columns where there is no terminal");
}

fn lint_tells_what_a_kind_config_means() {
    let home = Home::new();
    // The trap of several API servers is a real one, and no mistake of the file.
    home.run(&["lint", "kind-configs/ha-fast-detection.yaml"])
        .exits(0)
        .says("http2-health-check-above-grace");
    let single = ["default", "article-default", "fast-detection"]
        .map(|name| format!("kind-configs/{name}.yaml"));
    home.run(&["lint", &single[0], &single[1], &single[2], "--strict"])
        .exits(0)
        .prints("fast-detection")
        .prints("predicted 2.9s to 6.1s")
        .prints("66 000");
    let json = home.run(&[
        "lint",
        "-f",
        "kind-configs/fast-detection.yaml",
        "-o",
        "json",
        "--nodes",
        "5000",
    ]);
    let found: serde_json::Value = serde_json::from_str(&json.exits(0).stdout).unwrap();
    assert_eq!(found[0]["outlook"]["cost"]["writesPerMinute"], 330_000.0);
    assert_eq!(found[0]["outlook"]["settings"]["nodeMonitorGracePeriod"], 4.0);
    home.run(&["lint", "kind-configs/default.yaml", "--kubernetes", "v1.31.0"])
        .exits(0)
        .prints("node-monitor-grace-period 40s");
}

fn lint_has_exit_codes_of_its_own() {
    let home = Home::new();
    home.run(&["lint"]).exits(2).says("--context");
    home.run(&["lint", "nowhere.yaml"]).exits(2).says("nowhere.yaml");
    home.run(&["lint", "experiments/workloads/web.yaml"])
        .exits(2)
        .says("this is not a kind config");
    home.run(&["lint", "kind-configs", "--nodes", "5001"]).exits(2);
    home.run(&["lint", "src/lint/testdata/article-indentation.yaml"])
        .exits(1)
        .says("has no effect");
    let warned = home.file("nameless.yaml", "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n");
    let warned = warned.to_str().unwrap();
    home.run(&["lint", warned]).exits(0).says("no `name:`");
    home.run(&["lint", warned, "--strict"]).exits(1);
    let kubeconfig = home.file("none", "apiVersion: v1\nkind: Config\n");
    home.run(&["lint", "--context", "nowhere", "--kubeconfig", kubeconfig.to_str().unwrap()])
        .exits(4)
        .says("nowhere");
}

fn tune_writes_what_lint_accepts() {
    let home = Home::new();
    let issue = ["tune", "--detect-within", "10s", "--nodes", "200", "--loss", "0.1%"];
    let shown = home.run(&[&issue[..], &["--false-positives", "1/month"]].concat());
    shown.exits(0).prints("recommended").prints("not measured");
    let file = home.path().join("tuned.yaml");
    let file = file.to_str().unwrap();
    home.run(&["tune", "-f", "kind-configs/default.yaml", "--save", file]).exits(0);
    home.run(&["lint", file, "--strict"]).exits(0);
    home.run(&["tune", "--save", file]).exits(2).says("it exists already");
    home.run(&["tune", "--detect-within", "1s"])
        .exits(1)
        .prints("cannot be met: detection within 1s");
    home.run(&["tune", "--loss", "2"]).exits(2).says("0.1%");
    home.run(&["tune", "-f", file, "--context", "x"]).exits(2);
    let json = home.run(&["tune", "-o", "json"]).exits(0).stdout.clone();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (json["format"].as_str(), json["predicted"].as_bool()),
        (Some("outage.tune/v1"), Some(true))
    );
    assert!(json["front"].as_array().is_some_and(|front| front.len() > 20));
}

/// Copies of a recorded run with ids of their own, as a `--repeat` records them.
fn repeated(home: &Home, name: &str, day: &str, count: usize) {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    for number in 1..=count {
        let run = format!("202611{day}-000000-000{number}");
        let folder = home.runs().join(&run);
        std::fs::create_dir_all(&folder).unwrap();
        for file in std::fs::read_dir(&recorded).unwrap().map(|file| file.unwrap().path()) {
            std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
        }
        let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
        let (header, records) = events.split_once('\n').unwrap();
        let mut header: serde_json::Value = serde_json::from_str(header).unwrap();
        header["run"] = run.into();
        header["seed"] = (day.parse::<usize>().unwrap() * 1000 + number).into();
        header["repetition"] = serde_json::json!([number, count]);
        std::fs::write(folder.join("events.jsonl"), format!("{header}\n{records}")).unwrap();
    }
}

fn recorded_runs_are_compared() {
    let home = Home::new();
    repeated(&home, "worker-stop", "01", 4);
    repeated(&home, "worker-stop-with-stale-ports", "02", 4);
    repeated(&home, "node-pause", "03", 1);
    let (old, stale) = ("20261101-000000-0001+", "20261102-000000-0003+");
    let worse = home.run(&["compare", old, stale]);
    worse.exits(1).prints("2 worse").prints("Hodges-Lehmann").prints("Floor: 10%");
    worse.prints("nothing in experiment, versions, topology or settings");
    let floors = ["--floor", "50%", "--floor", "30s"];
    let open = home.run(&[&["compare", stale, old][..], &floors].concat());
    open.exits(3).prints("not judged (not ended in 4 of 4 runs before)");
    let list = "20261101-000000-0001,20261101-000000-0002";
    let few = home.run(&["compare", list, "20261102-000000-0001"]);
    few.exits(3).prints("too few runs (8 after are needed with 2 before)");
    let other = home.run(&["compare", old, "node-pause", "-o", "markdown"]);
    other.exits(3).prints("Differs: experiment: worker-stop-fast -> node-pause");
    let json = home.run(&["compare", old, stale, "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.exits(1).stdout).unwrap();
    assert_eq!(json["format"], "outage.compare/v1");
    home.run(&["schema", "compare"]).exits(0).prints("outage.compare/v1");
    home.run(&["compare", old]).exits(2).says("--baseline FILE");
    home.run(&["compare", old, "nosuch"]).exits(2).says("no run nosuch");
    home.run(&["compare", old, stale, "--floor", "much"]).exits(2).says("such as 10%");
    let model = |text: String| text.replacen(r#""kind":"kind""#, r#""kind":"embedded""#, 1);
    let events = home.runs().join("20261103-000000-0001/events.jsonl");
    std::fs::write(&events, model(std::fs::read_to_string(&events).unwrap())).unwrap();
    home.run(&["compare", old, "node-pause"]).exits(4).says("cannot be compared with runs on a");
}

fn a_regression_fails() {
    let home = Home::new();
    repeated(&home, "worker-stop", "01", 4);
    repeated(&home, "worker-stop-with-stale-ports", "02", 4);
    repeated(&home, "node-kill", "03", 4);
    let (old, stale) = ("20261101-000000-0001+", "20261102-000000-0001+");
    let file = home.path().join("baseline.json");
    let path = file.to_str().unwrap();
    home.run(&["compare", old, "--baseline", path]).exits(2).says("--save-baseline");
    let saved = home.run(&["compare", old, "--save-baseline", path]);
    saved.exits(0).says("baseline of worker-stop-fast saved").says("4 runs");
    let first = std::fs::read_to_string(&file).unwrap();
    home.run(&["compare", old, "--baseline", path]).exits(0).prints("no difference shown");
    let none = home.run(&["compare", "node-kill", "--baseline", path, "-o", "junit"]);
    none.exits(3).prints("<skipped message=").prints("has no runs of this experiment");
    home.run(&["compare", "node-kill", "--save-baseline", path]).exits(0).says("node-kill saved");
    let both = std::fs::read_to_string(&file).unwrap();
    assert!(both.contains("outage.baseline/v1") && both.len() > first.len());
    let both_flags = ["--baseline", path, "--save-baseline", path];
    let worse = home.run(&[&["compare", stale, "-o", "junit"][..], &both_flags].concat());
    worse.exits(1).says("not saved").prints(r#"type="worse""#);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), both);
    home.run(&["compare", old, "--save-baseline", path]).exits(0).says("replacing 4");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), both, "the same runs, the same file");
    home.run(&["compare", old, stale, "--baseline", path]).exits(2).says("one of the two sides");
    home.run(&["run", "worker-stop-fast", "--baseline", "no.json"]).exits(2).says("no.json");
}

//! What a pipeline reads of a run: its exit code, for every ending, and the reports for CI.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::model::start;
use super::offline::copy_run;
use super::program::Home;
use super::{Test, test};

/// Tests of recorded runs.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("endings::a_recorded_run_exits_as_it_ended", a_recorded_run_exits_as_it_ended),
        test(
            "endings::github_gets_annotations_and_a_summary",
            github_gets_annotations_and_a_summary,
        ),
        test("endings::metrics_replace_their_file", metrics_replace_their_file),
    ]
}

/// Tests in the model.
pub(crate) fn in_the_model() -> Vec<Test> {
    vec![
        test("endings::each_ending_of_a_run_has_its_code", each_ending_of_a_run_has_its_code),
        test("endings::no_secret_leaves_its_file", no_secret_leaves_its_file),
    ]
}

/// A recorded run with other lines: those of an earlier version, which have no checksum.
fn changed(
    home: &Home,
    ending: &str,
    recorded: &str,
    change: &dyn Fn(&str) -> Option<String>,
) -> String {
    let folder = home.path().join(ending);
    copy_run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(recorded), &folder);
    let events = folder.join("events.jsonl");
    let text = std::fs::read_to_string(&events).unwrap();
    let lines: Vec<String> = text.lines().filter_map(change).collect();
    std::fs::write(&events, lines.join("\n") + "\n").unwrap();
    folder.to_string_lossy().into_owned()
}

/// Puts a line before the last one, which says that the run has ended.
fn before_the_end(line: &str, event: &str) -> String {
    match line.contains(r#""event":"ended""#) {
        true => {
            let at = line.split([':', ',']).nth(1).unwrap();
            format!("{{\"at\":{at},{event}}}\n{line}")
        }
        false => line.to_owned(),
    }
}

/// Each ending, and its codes with `--fail-on fail`, `inconclusive` and `unexpected`.
fn a_recorded_run_exits_as_it_ended() {
    let home = Home::new();
    let keep = |line: &str| Some(line.to_owned());
    let event = |event: &'static str| move |line: &str| Some(before_the_end(line, event));
    let interrupted = r#""event":"interrupted","signal":"SIGINT""#;
    let failed = r#""event":"failed","error":"no room on the disk""#;
    let refused = r#""event":"failed","error":"no such node","refused":true"#;
    let grace = |line: &str| {
        let other = r#""nodeMonitorGracePeriod":{"secs":40,"nanos":0}"#;
        let ours = r#""nodeMonitorGracePeriod":{"secs":4,"nanos":0}"#;
        Some(line.replace(ours, other))
    };
    let unconfirmed =
        |line: &str| (!line.contains(r#""phase":"confirmed""#)).then(|| line.to_owned());
    let unfinished = |line: &str| (!line.contains(r#""event":"ended""#)).then(|| line.to_owned());
    type Change<'c> = &'c dyn Fn(&str) -> Option<String>;
    let endings: [(&str, &str, Change<'_>, [i32; 3]); 8] = [
        ("pass", "worker-stop", &keep, [0, 0, 0]),
        ("fail", "worker-stop-with-stale-ports", &keep, [1, 1, 1]),
        ("unexpected", "kubelet-stop", &grace, [0, 0, 1]),
        ("inconclusive", "node-kill", &unconfirmed, [0, 3, 3]),
        ("interrupted", "node-pause", &event(interrupted), [3, 3, 3]),
        ("failed", "node-disconnect", &event(failed), [3, 3, 3]),
        ("refused", "worker-stop-from-pod", &event(refused), [4, 4, 4]),
        ("unfinished", "worker-stop", &unfinished, [3, 3, 3]),
    ];
    for (ending, recorded, change, codes) in endings {
        let folder = changed(&home, ending, recorded, change);
        home.run(&["report", &folder]).exits(0);
        for (outcome, code) in ["fail", "inconclusive", "unexpected"].into_iter().zip(codes) {
            let output = home.run(&["report", &folder, "--fail-on", outcome]);
            assert_eq!(output.code, code, "{ending}, --fail-on {outcome}: {}", output.stdout);
            let is_told = output.stderr.contains("--fail-on");
            assert_eq!(is_told, code != codes[1], "{ending}, {outcome}: {}", output.stderr);
        }
        home.run(&["report", &folder, "--exit-code"]).exits(codes[1]);
    }
}

fn github_gets_annotations_and_a_summary() {
    let home = Home::new();
    let summary = home.file("summary.md", "before\n");
    let run = changed(&home, "fail", "worker-stop-with-stale-ports", &|line| {
        let places =
            r#""places":{"file":"experiments/worker-stop.yaml","expectations":[7,8,9,10]},"seed":"#;
        Some(line.replace(r#""seed":"#, places))
    });
    let mut command = home.command(&["report", &run, "-o", "github", "--exit-code"]);
    let output = home.finish(command.env("GITHUB_STEP_SUMMARY", &summary));
    output.exits(1);
    let stops = output.stdout.lines().next().unwrap();
    let token = stops.strip_prefix("::stop-commands::").expect("the text is no command");
    let (text, commands) = output.stdout.split_once(&format!("\n::{token}::\n")).expect("an end");
    assert!(text.contains("FAIL"), "{text}");
    assert!(commands.lines().all(|line| line.starts_with("::error ")), "{commands}");
    assert!(commands.contains("experiments/worker-stop.yaml,line="), "{commands}");
    let added = std::fs::read_to_string(&summary).unwrap();
    assert!(added.starts_with("before\n## ❌ FAIL: `"), "{added}");
    let lost = home.path().join("no/such/summary.md");
    let mut command = home.command(&["report", &run, "-o", "github"]);
    home.finish(command.env("GITHUB_STEP_SUMMARY", lost))
        .exits(3)
        .says("cannot write the job summary");
}

fn metrics_replace_their_file() {
    let home = Home::new();
    let file = home.file("outage.prom", "old\n");
    let run = changed(&home, "pass", "worker-stop", &|line| Some(line.to_owned()));
    home.run(&["report", &run, "-o", &format!("openmetrics={}", file.display())]).exits(0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# TYPE ") && text.ends_with("\n# EOF\n"), "{text}");
    let series = r#"outage_run_verdict{experiment="worker-stop-fast",number="1",verdict="pass"} 1"#;
    assert!(text.lines().any(|line| line == series), "{text}");
}

/// Each ending of `run` as a pipeline sees it: its code, and that all reports, the artifacts and the
/// events are there.
fn each_ending_of_a_run_has_its_code() {
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let spec = |timeout: &str, asks: &str, hold: &str, expect: &str| {
        format!(
            "  workload: [workloads/web.yaml]
  probes:
  - {{name: web, http: {{service: web{asks}}}, rate: 20/s, timeout: 500ms}}
  steadyStateTimeout: {timeout}
  steadyState:
  - nodesReady: all
  - probe: {{name: web, successRatio: 1.0, for: 1s}}
  blastRadius: {{maxControlPlanes: 1}}
  method:
  - fault:
      componentStop: {{component: kube-scheduler, target: {{role: control-plane}}}}
    for: {hold}
  expect:
  - {expect}
"
        )
    };
    let set = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: web}\n";
    home.file("experiments/workloads/set.yaml", set);
    let recovers = "recovery: {within: 60s}";
    let restarts = "restarted: {labels: {app: web}, within: 1s}";
    for (ending, spec, code, signal) in [
        ("pass", spec("60s", "", "1s", recovers), 0, false),
        ("cannot-pass", spec("60s", "", "2s", restarts), 3, false),
        ("invalid", spec("60s", "", "1s", "recovery: {within: soon}"), 2, false),
        ("never-steady", spec("3s", ", bodyContains: no-such-text", "1s", recovers), 3, false),
        (
            "refused",
            spec("60s", "", "1s", recovers).replace("web.yaml]", "web.yaml, workloads/set.yaml]"),
            4,
            false,
        ),
        ("interrupted", spec("60s", "", "60s", recovers), 130, true),
    ] {
        let file = home.experiment_on("default", ending, &spec);
        let at = |name: &str| home.path().join(ending).join(name).to_string_lossy().into_owned();
        let (artifacts, events) = (at("artifacts"), at("artifacts/events.jsonl"));
        let flags = ["--artifacts", &artifacts, "--events", &events, "-o", "github"];
        let run = ["run", "-f", &file, "--cluster", "embedded"];
        let mut run = start(&home, &[&run[..], &flags].concat());
        if signal {
            run.wait_for("componentStop confirmed", Duration::from_secs(120));
            run.signal("TERM");
        }
        let output = run.finish();
        let json: Value =
            serde_json::from_slice(&std::fs::read(at("artifacts/report.json")).unwrap()).unwrap();
        // A busy machine may leave the prober no time.
        let summary = json["verdict"]["summary"].as_str().unwrap_or_default();
        let undecided = json["verdict"]["outcome"] == "inconclusive" && summary.contains("prober");
        let code = if undecided && code == 0 { 3 } else { code };
        output.exits(code);
        let annotated = ["error", "warning"].map(|it| format!("\n::{it} "));
        let annotated = annotated.iter().any(|command| output.stdout.contains(command));
        assert_eq!(annotated, code != 0, "{ending}: {}", output.stdout);
        for form in ["txt", "yaml", "xml", "csv", "md", "prom", "html", "svg", "log"] {
            let report = std::fs::metadata(at(&format!("artifacts/report.{form}")));
            assert!(report.is_ok(), "{ending}: report.{form}: {report:?}");
        }
        // What is wrong with an experiment is known before anything goes on.
        if code == 2 {
            continue;
        }
        let events = std::fs::read_to_string(&events).unwrap();
        let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        assert_eq!((&last["type"], &last["exitCode"]), (&"ended".into(), &code.into()), "{events}");
        if code == 4 {
            continue;
        }
        let run = json["run"].as_str().expect("an id");
        home.run(&["report", &at(&format!("artifacts/{run}")), "-o", "json"]).exits(0);
        assert!(events.contains(r#""type":"runStarted""#) && events.contains(run), "{events}");
    }
}

/// Secrets in the experiment, the workload, a kubeconfig and the environment: none is in what a run
/// and its reports print and write.
fn no_secret_leaves_its_file() {
    const PLANTED: &str = "hunter2-";
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| {
        let image = "image: nginx:1.22\n";
        let variable = "        env: [{name: DB_PASSWORD, value: hunter2-variable}]\n";
        text.replace(image, &format!("{image}{variable}"))
    });
    let user = "{token: hunter2-user, client-key-data: hunter2-key}";
    let kubeconfig = home.file(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
             clusters: [{{name: a, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
             users: [{{name: a, user: {user}}}]\n"
        ),
    );
    let spec = "  workload: [workloads/web.yaml]
  probes:
  - name: web
    http:
      service: web
      headers:
        Authorization: Bearer hunter2-bearer, hunter2-more
        X-Api-Key: |-
          hunter2-block
        Cookie: &cookie \"a='hunter2-cookie'\"
        X-Token: *cookie
    rate: 20/s
    timeout: 500ms
  steadyStateTimeout: 60s
  steadyState:
  - nodesReady: all
  blastRadius: {maxControlPlanes: 1}
  method:
  - fault:
      componentStop: {component: kube-scheduler, target: {role: control-plane}}
    for: 1s
  expect:
  - recovery: {within: 60s}
";
    let file = home.experiment_on("default", "secrets", spec);
    let out = home.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let at = |name: &str| out.join(name).to_string_lossy().into_owned();
    let (artifacts, events, wide) = (at("artifacts"), at("events"), format!("wide={}", at("wide")));
    let run = ["run", "-f", &file, "--cluster", "embedded", "--artifacts", &artifacts];
    let run = [&run[..], &["--events", &events, "-o", &wide, "-o", "json"]].concat();
    let run = home.start_with(&run, |command| {
        let command = super::model::without_tools(command).env("KUBECONFIG", &kubeconfig);
        command.env("AWS_SECRET_ACCESS_KEY", "hunter2-environment");
    });
    let run = run.finish();
    run.is_judged();
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let folder = at(&format!("artifacts/{}", json["run"].as_str().unwrap()));
    let again = home.run(&["report", &folder, "-o", "json"]);
    let judged: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(judged["verdict"], json["verdict"]);
    let named = spec.replace("service: web", "url: 'http://me:hunter2-url@localhost/'");
    let wrong = home.run(&["validate", "-f", &home.experiment_on("default", "wrong", &named)]);
    wrong.exits(2).says("a user name in a URL is not supported");

    let mut found = Vec::new();
    for output in [&run, &again, &wrong] {
        let texts = [&output.stdout, &output.stderr];
        found.extend(texts.into_iter().filter(|text| text.contains(PLANTED)).cloned());
    }
    let mut folders = vec![out, home.path().join("state")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files += 1;
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                found.extend(text.contains(PLANTED).then(|| path.display().to_string()));
            }
        }
    }
    assert!(found.is_empty() && files > 10, "{files} files: {found:#?}");
    let record = std::fs::read_to_string(Path::new(&folder).join("events.jsonl")).unwrap();
    assert!(record.contains(r#""Authorization":"(secret)""#), "{record}");
}

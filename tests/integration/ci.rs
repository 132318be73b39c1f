//! What runs in somebody's CI, as far as it can be tried without one: the steps of the action, the
//! template for GitLab, and what a release is packed of.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::program::{Home, PROGRAM};
use super::{Test, test};

const ACTION: &str = ".github/actions/outage/action.yml";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("ci::the_action_is_documented", the_action_is_documented),
        test("ci::the_action_runs_what_it_is_given", the_action_runs_what_it_is_given),
        test("ci::the_action_downloads_what_is_missing", the_action_downloads_what_is_missing),
        test("ci::the_template_for_gitlab_runs", the_template_for_gitlab_runs),
        test("ci::scripts_of_workflows_are_shell", scripts_of_workflows_are_shell),
        test("ci::a_release_has_what_its_users_need", a_release_has_what_its_users_need),
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &str) -> Value {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn steps(action: &Value) -> &[Value] {
    action["runs"]["steps"].as_array().unwrap()
}

fn the_action_is_documented() {
    let (action, page) =
        (yaml(ACTION), std::fs::read_to_string(root().join("docs/ci.md")).unwrap());
    let text = std::fs::read_to_string(root().join(ACTION)).unwrap();
    let names =
        |kind: &str| -> Vec<String> { action[kind].as_object().unwrap().keys().cloned().collect() };
    for (name, what) in ["inputs", "outputs"].iter().flat_map(|kind| {
        names(kind).into_iter().map(|name| (name.clone(), action[*kind][&name].clone()))
    }) {
        assert!(page.contains(&format!("\n| `{name}` |")), "docs/ci.md does not explain {name}");
        assert!(what["description"].is_string(), "{name}");
    }
    let used: BTreeSet<&str> = text
        .split("inputs.")
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '-').next().unwrap())
        .collect();
    assert_eq!(used, names("inputs").iter().map(String::as_str).collect());
}

/// A job's machine: programs that stand in for others, and what GitHub gives each step.
struct Job {
    home: Home,
}

impl Job {
    fn new() -> Self {
        let home = Home::new();
        for folder in ["bin", "served", "temp"] {
            std::fs::create_dir(home.path().join(folder)).unwrap();
        }
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, script: &str) -> &Self {
        let path = self.home.file(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A `kubectl-outage` that ends with this code, and notes its arguments.
    fn outage(&self, code: u8) -> &Self {
        let notes = self.path("called");
        self.program(
            "kubectl-outage",
            &format!(
                "if [ \"$1\" = --help ]; then exec {PROGRAM} --help; fi\necho \"$@\" >>{}\nexit {code}",
                notes.display()
            ),
        )
    }

    /// Runs a script in this job's folder; whether it succeeded, and what it printed.
    fn bash(&self, script: &str, variables: &[(String, String)]) -> (bool, String) {
        let output = Command::new("bash")
            .args(["-c", script])
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.home.path())
            .env("RUNNER_TEMP", self.path("temp"))
            .envs(
                ["GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"].map(|n| (n, self.path(n))),
            )
            .envs(variables.iter().cloned())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), text.concat())
    }

    /// Runs the action's scripts one after the other, as GitHub does; the names of those that failed.
    fn action(&self, inputs: &[(&str, &str)]) -> (Vec<String>, String) {
        let (action, mut failed, mut printed) = (yaml(ACTION), Vec::new(), String::new());
        for step in steps(&action).iter().filter(|step| step["run"].is_string()) {
            let value = |(name, value): (&String, &Value)| {
                let value = value.as_str().unwrap();
                let inner = value.trim_start_matches("${{ ").trim_end_matches(" }}");
                let value = match inner.strip_prefix("inputs.") {
                    Some(input) => match inputs.iter().find(|(name, _)| *name == input) {
                        Some((_, value)) => (*value).to_owned(),
                        None => action["inputs"][input]["default"].as_str().unwrap().to_owned(),
                    },
                    None if inner.ends_with(".exit-code") => self.output("exit-code"),
                    None => "owner/repository".to_owned(),
                };
                (name.clone(), value)
            };
            let variables: Vec<_> = step["env"].as_object().unwrap().iter().map(value).collect();
            let (succeeded, text) = self.bash(step["run"].as_str().unwrap(), &variables);
            printed += &text;
            if !succeeded {
                failed.push(step["name"].as_str().unwrap().to_owned());
            }
        }
        (failed, printed)
    }

    fn output(&self, name: &str) -> String {
        let outputs = self.read("GITHUB_OUTPUT");
        let value =
            outputs.lines().filter_map(|line| line.strip_prefix(&format!("{name}="))).next_back();
        value.unwrap_or_default().to_owned()
    }
}

fn the_action_runs_what_it_is_given() {
    let job = Job::new();
    job.outage(0).program("kind", "");
    job.home.file("with space/a.yaml", "");
    job.home.file("more/b.yaml", "");
    job.home.file("baseline.json", "{}");
    let inputs = [
        ("experiments", "more\nnode-drain"),
        ("args", "--repeat 3"),
        ("baseline", "baseline.json"),
    ];
    let (failed, printed) = job.action(&inputs);
    assert!(failed.is_empty(), "{failed:?}: {printed}");
    let called = job.read("called");
    let begin =
        "run -f more node-drain --cluster kind --baseline baseline.json --repeat 3 --runs-dir ";
    assert!(called.starts_with(begin), "{called}");
    let reports = job.path("temp/outage-reports").display().to_string();
    assert!(called.ends_with(&format!(" --artifacts {reports} -o github\n")), "{called}");
    assert_eq!(job.output("reports"), reports);

    let job = Job::new();
    job.outage(3);
    let (failed, printed) = job.action(&[
        ("cluster", "embedded"),
        ("baseline", "none.json"),
        ("save-baseline", "b.json"),
    ]);
    assert_eq!(failed, ["Exit as the run did"], "{printed}");
    assert!(printed.contains("::notice::there is no baseline none.json yet"), "{printed}");
    assert!(printed.contains("exit code 3: inconclusive, or an error"), "{printed}");
    let called = job.read("called");
    let begin = "run worker-stop-fast --cluster embedded --save-baseline b.json --runs-dir ";
    assert!(called.starts_with(begin), "{called}");
    assert_eq!(job.output("exit-code"), "3");
}

fn the_action_downloads_what_is_missing() {
    let job = Job::new();
    let served = job.path("served");
    job.program(
        "curl",
        &format!(
            "for url; do :; done\ncase $1 in *O) cp {0}/${{url##*/}} .;; *) cat {0}/${{url##*/}};; esac",
            served.display()
        ),
    );
    let (archive, kind) = match std::env::consts::ARCH {
        "aarch64" => ("kubectl-outage-aarch64-unknown-linux-gnu.tar.gz", "kind-linux-arm64"),
        _ => ("kubectl-outage-x86_64-unknown-linux-gnu.tar.gz", "kind-linux-amd64"),
    };
    let pack = format!(
        "set -e\ncd served\necho 'echo it is kind' >{kind}\nsha256sum {kind} >{kind}.sha256sum\n\
         echo 'echo it is outage' >kubectl-outage\ntar -czf {archive} kubectl-outage\n\
         sha256sum -- *.tar.gz >checksums.txt"
    );
    let (packed, printed) = job.bash(&pack, &[]);
    assert!(packed, "{printed}");
    // What they add to the PATH is GitHub's to do: here the program is still missing after them.
    let (failed, printed) = job.action(&[]);
    assert!(!failed.iter().any(|step| step.starts_with("Install")), "{failed:?}: {printed}");
    let added = job.read("GITHUB_PATH");
    for (folder, program, prints) in added
        .lines()
        .zip([("kubectl-outage", "outage"), ("kind", "kind")])
        .map(|(a, (b, c))| (a, b, c))
    {
        let (_, printed) = job.bash(&format!("sh {folder}/{program}"), &[]);
        assert_eq!(printed, format!("it is {prints}\n"));
    }
    assert_eq!(added.lines().count(), 2, "{added}");
    std::fs::write(served.join(archive), "something else").unwrap();
    let (failed, _) = job.action(&[]);
    assert_eq!(failed[0], "Install outage", "a checksum does not fit");
}

fn the_template_for_gitlab_runs() {
    let template = yaml("docs/ci/gitlab.yml");
    let job = &template[".outage"];
    let lines = job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let script = format!("set -e\n{}", lines.collect::<Vec<_>>().join("\n"));
    let variables = job["variables"].as_object().unwrap();
    let variables: Vec<(String, String)> =
        variables.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect();
    let machine = Job::new();
    machine.outage(0);
    let (succeeded, printed) = machine.bash(&script, &variables);
    assert!(succeeded, "{printed}");
    let called = machine.read("called");
    assert!(called.starts_with("run worker-stop-fast --delete-cluster --runs-dir "), "{called}");
    machine.home.file("a baseline.json", "{}");
    machine.outage(1);
    let named = variables.iter().filter(|(name, _)| name != "BASELINE").cloned();
    let named: Vec<_> =
        named.chain([("BASELINE".to_owned(), "a baseline.json".to_owned())]).collect();
    assert!(!machine.bash(&script, &named).0, "a failed run fails the job");
    assert!(machine.read("called").contains("run worker-stop-fast --baseline a baseline.json "));
}

/// That bash can read them, and that nothing is put into them by GitHub: a branch's name could be a
/// command.
fn scripts_of_workflows_are_shell() {
    let workflows = std::fs::read_dir(root().join(".github/workflows")).unwrap();
    let workflows: Vec<Value> =
        workflows.map(|file| yaml(file.unwrap().path().to_str().unwrap())).collect();
    let jobs = workflows.iter().flat_map(|workflow| workflow["jobs"].as_object().unwrap().values());
    let of_jobs = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    let mut count = 0;
    for step in of_jobs.chain(steps(&yaml(ACTION))) {
        let Some(script) = step["run"].as_str() else { continue };
        let output = Command::new("bash").args(["-n", "-c", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!script.contains("${{"), "an expression belongs into `env`: {script}");
        count += 1;
    }
    assert!(count > 10, "only {count}");
}

fn a_release_has_what_its_users_need() {
    let job = Job::new();
    // The program itself is large in a test.
    job.program("kubectl-outage", &format!("exec {PROGRAM} \"$@\""));
    let script = format!(
        "set -e\ncd served\nbash {0}/.ci/package ../bin/kubectl-outage kubectl-outage-aarch64-apple-darwin.tar.gz\n\
         cp kubectl-outage-aarch64-apple-darwin.tar.gz kubectl-outage-x86_64-unknown-linux-gnu.tar.gz\n\
         bash {0}/.ci/krew-manifest v9.8.7 https://example.com/it . >../krew.yaml\n\
         tar -xzf kubectl-outage-aarch64-apple-darwin.tar.gz",
        root().display()
    );
    let (packed, printed) = job.bash(&script, &[]);
    assert!(packed, "{printed}");
    assert!(job.read("served/completions/kubectl-outage.zsh").contains("worker"));
    assert!(job.read("served/kubectl_complete-outage").contains("__complete"));
    assert!(job.read("served/LICENSE").contains("Apache License"));
    let page = job.read("served/man/kubectl-outage-run.1");
    assert!(page.starts_with(".TH \"kubectl-outage-run\" 1\n.SH NAME\n"), "{page}");
    assert!(page.contains("\n.SH Cluster options\n") && page.contains("\\-\\-repeat"), "{page}");
    let pages = std::fs::read_dir(job.path("served/man")).unwrap().count();
    let help = job.home.run(&["--help"]).stdout.clone();
    let commands = help.split("\n\n").find_map(|part| part.strip_prefix("Commands:\n")).unwrap();
    let begins = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    assert_eq!(
        pages,
        commands.lines().filter(begins).count(),
        "all but help, and one of the whole"
    );
    let manifest: Value = serde_saphyr::from_str(&job.read("krew.yaml")).unwrap();
    let [mac, linux] = manifest["spec"]["platforms"].as_array().unwrap().as_slice() else {
        panic!()
    };
    assert_eq!(manifest["spec"]["version"], "v9.8.7");
    assert_eq!(mac["selector"]["matchLabels"]["os"], "darwin");
    assert_eq!(linux["selector"]["matchLabels"]["arch"], "amd64");
    assert_eq!(
        linux["uri"],
        "https://example.com/it/releases/download/v9.8.7/kubectl-outage-x86_64-unknown-linux-gnu.tar.gz"
    );
    assert_eq!(linux["sha256"].as_str().unwrap().len(), 64);
}

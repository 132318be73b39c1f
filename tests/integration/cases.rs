//! Inputs as people have them, in public bug reports and in their own files, and what is right for
//! each (`tests/cases/`).

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::program::{Home, Output, unwrapped};
use super::{Test, test};

/// All tests of this rung.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        // It takes the longest.
        test(
            "cases::a_report_predicts_with_the_clusters_own_tolerations",
            a_report_predicts_with_the_clusters_own_tolerations,
        ),
        test("cases::every_case_has_its_right_answer", every_case_has_its_right_answer),
        test("cases::what_lint_finds_the_others_find_too", what_lint_finds_the_others_find_too),
        test("cases::texts_that_kind_takes_are_taken", texts_that_kind_takes_are_taken),
        test("cases::an_image_without_a_version_is_a_guess", an_image_without_a_version_is_a_guess),
        test("cases::a_misspelt_kind_hides_nothing", a_misspelt_kind_hides_nothing),
        test("cases::types_that_no_server_has", types_that_no_server_has),
        test("cases::experiments_fit_their_schema", experiments_fit_their_schema),
    ]
}

/// A command, and what is right to say about the file.
struct Case {
    /// The command and its flags; the file comes last.
    command: &'static str,
    /// Below `tests/cases`.
    file: &'static str,
    code: i32,
    says: &'static [&'static str],
    never: &'static [&'static str],
}

const DRY_RUN: &str = "run --cluster embedded --dry-run -f";
const PREDICT: &str = "predict --trials 200 -f";
const VALIDATE: &str = "validate -f";

const CASES: &[Case] = &[
    Case {
        command: "lint",
        file: "01-pod-eviction-timeout/kind.yaml",
        code: 1,
        says: &[
            "error: `pod-eviction-timeout` was removed in Kubernetes 1.27",
            "error: `enable-taint-manager` was removed in Kubernetes 1.27",
            "`tolerationSeconds`",
            "`default-unreachable-toleration-seconds`",
        ],
        never: &[],
    },
    Case {
        command: "lint",
        file: "02-json6902-other-kubeadm/kind.yaml",
        code: 1,
        says: &["silently ignores a patch of `kubeadm.k8s.io/v1beta2`"],
        never: &[],
    },
    Case {
        command: "lint",
        file: "02-json6902-other-kubeadm/replace.yaml",
        code: 1,
        says: &[
            "there is nothing at /controllerManager/extraArgs/node-monitor-grace-period",
            "`op: add`",
        ],
        never: &[],
    },
    Case {
        command: "lint",
        file: "05-lowercase-kind/kind.yaml",
        code: 1,
        says: &["a patch of kind `joinConfiguration`", "did you mean `JoinConfiguration`?"],
        never: &[],
    },
    Case {
        command: "lint",
        file: "05-lowercase-kind/tuned.yaml",
        code: 1,
        says: &[
            "a patch of kind `kubeletConfiguration`",
            "silently ignores a patch of `kubeadm.k8s.io/v1beta2`",
        ],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "07-dash-too-many/exp-kind.yaml",
        code: 0,
        says: &[
            "warning: a node without `role` is a control plane, one of 2 here",
            "warning: 2 control planes tolerate no more failures than 1",
        ],
        never: &["error"],
    },
    Case {
        command: "lint",
        file: "12-values-that-kind-refuses/kind.yaml",
        code: 1,
        says: &["`dualstack`", "`iptable`", "podSubnet is `10.244.0.0`", "64430000"],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "13-no-cni/exp-kind.yaml",
        code: 0,
        says: &["warning: no network plugin is installed: nodes do not become Ready"],
        never: &["kube-proxy"],
    },
    Case {
        command: PREDICT,
        file: "13-no-cni/exp-no-proxy.yaml",
        code: 0,
        says: &[
            "warning: no network plugin is installed: nodes do not become Ready",
            "warning: there is no kube-proxy: no Service answers",
        ],
        never: &[],
    },
    Case {
        command: PREDICT,
        file: "14-flags-4s-16s/exp-kind.yaml",
        code: 0,
        says: &["the flag --node-status-update-frequency does not change"],
        never: &["pods stay for 5m", "rescheduling - - - - - always"],
    },
    Case {
        command: "lint",
        file: "16-anchors-merge/kind.yaml",
        code: 0,
        says: &["1 control plane, 3 workers", "nodeStatusUpdateFrequency 2s"],
        never: &["error", "warning"],
    },
    Case {
        command: VALIDATE,
        file: "20-octal-mode/exp.yaml",
        code: 0,
        says: &["valid"],
        never: &["error", "warning"],
    },
    Case {
        command: VALIDATE,
        file: "27-headless/exp.yaml",
        code: 2,
        says: &["the Service `web` is headless: it has no ClusterIP to probe"],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "27-headless/exp-external.yaml",
        code: 2,
        says: &[
            "the Service `web` is an ExternalName: it has no ClusterIP to probe",
            "`address: \"api.example.test:PORT\"`",
        ],
        never: &[],
    },
    Case {
        command: PREDICT,
        file: "28-session-affinity/exp.yaml",
        code: 0,
        says: &["failed share in it 100% 100% 100% 100% 100%"],
        never: &["50% 50%"],
    },
    Case {
        command: PREDICT,
        file: "30-statefulset/exp.yaml",
        code: 0,
        says: &["rescheduling - - - - - always", "stays Terminating"],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "34-role-label/exp.yaml",
        code: 0,
        says: &["warning: no node of", "has the label node-role.kubernetes.io/worker="],
        never: &[],
    },
    Case {
        command: DRY_RUN,
        file: "34-role-label/exp.yaml",
        code: 4,
        says: &["no node matches label node-role.kubernetes.io/worker="],
        never: &[],
    },
    Case {
        command: PREDICT,
        file: "34-role-label/exp-zone.yaml",
        code: 0,
        says: &["nodeKill of zoned-worker2"],
        never: &["has the label"],
    },
    Case {
        command: VALIDATE,
        file: "34-role-label/exp-master.yaml",
        code: 2,
        says: &["unknown role `master`", "`worker`", "`control-plane`"],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "34-role-label/exp-list.yaml",
        code: 2,
        says: &[
            "expected the name of one node, found a list",
            "use `role` or `labels` (with `count`",
        ],
        never: &[],
    },
    Case {
        command: VALIDATE,
        file: "34-role-label/exp-regex.yaml",
        code: 2,
        says: &["is not the name of one node", "use `role` or `labels` (with `count`"],
        never: &[],
    },
    Case {
        command: "lint",
        file: "42-report-frequency/kind.yaml",
        code: 0,
        says: &[
            "posted only every 1m",
            "nodeStatusReportFrequency, which is set to 1m",
            "kind.yaml:9:30",
        ],
        never: &["the flag", "5m"],
    },
    Case {
        command: "lint",
        file: "43-lint-and-run-disagree/kind.yaml",
        code: 1,
        says: &["error: kind writes", "v1beta4", "leave `apiVersion` out"],
        never: &["node-monitor-grace-period 4s"],
    },
    Case {
        command: "lint",
        file: "43-lint-and-run-disagree/v1beta2.yaml",
        code: 1,
        says: &["error: kind writes", "v1beta2"],
        never: &["node-monitor-grace-period 4s"],
    },
    Case {
        command: "lint --kubernetes v1.34.0",
        file: "44-image-version/kind.yaml",
        code: 0,
        says: &["Kubernetes v1.31.0", "node-monitor-grace-period 40s"],
        never: &["assumed"],
    },
    Case {
        command: "predict --trials 200 --kubernetes v1.34.0 -f",
        file: "44-image-version/exp.yaml",
        code: 0,
        says: &["Kubernetes v1.31.0", "node-monitor-grace-period 40s"],
        never: &["warning"],
    },
    Case {
        command: VALIDATE,
        file: "44-image-version/exp.yaml",
        code: 0,
        says: &["valid"],
        never: &["warning"],
    },
    Case {
        command: DRY_RUN,
        file: "44-image-version/exp.yaml",
        code: 0,
        says: &["old-image"],
        never: &["warning"],
    },
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn run(home: &Home, command: &str, file: &Path) -> Output {
    let file = file.to_string_lossy();
    let arguments: Vec<&str> = command.split(' ').chain([file.as_ref()]).collect();
    home.run(&arguments)
}

/// All that was printed, wherever its lines break.
fn text(output: &Output) -> String {
    unwrapped(&format!("{}\n{}", output.stderr, output.stdout))
}

fn every_case_has_its_right_answer() {
    let home = Home::new();
    for Case { command, file, code, says, never } in CASES {
        let output = run(&home, command, &folder().join(file));
        let text = text(&output);
        assert_eq!(output.code, *code, "{command} {file}: {text}");
        for part in *says {
            assert!(text.contains(part), "{command} {file} does not say {part:?}: {text}");
        }
        for part in *never {
            assert!(!text.contains(part), "{command} {file} says {part:?}: {text}");
        }
    }
}

/// The experiments of all cases.
fn experiments() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut all: Vec<PathBuf> = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("exp"))
        .collect();
    all.sort();
    assert!(all.len() >= 20, "{all:?}");
    all
}

/// The kind config that an experiment names.
fn config_of(experiment: &Path) -> PathBuf {
    let text = std::fs::read_to_string(experiment).unwrap();
    let (_, rest) = text.split_once("config: ").unwrap();
    experiment.parent().unwrap().join(rest.split('}').next().unwrap())
}

fn what_lint_finds_the_others_find_too() {
    let home = Home::new();
    for experiment in experiments() {
        let lint = run(&home, "lint -o json -f", &config_of(&experiment));
        let found: Json = serde_json::from_str(&lint.stdout).unwrap();
        let problems = found[0]["problems"].as_array().unwrap();
        let of_severity = |severity: &str| -> Vec<&str> {
            let wanted = problems.iter().filter(|one| one["severity"] == *severity);
            wanted.map(|one| one["message"].as_str().unwrap()).collect()
        };
        let (errors, mut warnings) = (of_severity("error"), of_severity("warning"));
        // The model's traps (`[name]`) come with a prediction, for the settings as a whole.
        warnings.retain(|message| !message.ends_with(']'));
        for command in [VALIDATE, PREDICT, DRY_RUN] {
            let output = run(&home, command, &experiment);
            let text = text(&output);
            let about = format!("{command} {}: {text}", experiment.display());
            assert!(errors.is_empty() || output.code == 2, "{about}");
            for message in &errors {
                assert!(text.contains(message), "{message:?} is not in {about}");
            }
            for message in warnings.iter().filter(|_| errors.is_empty() && output.code == 0) {
                assert!(text.contains(message), "{message:?} is not in {about}");
            }
        }
    }
}

const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

fn texts_that_kind_takes_are_taken() {
    let home = Home::new();
    let lint = |name: &str, text: &str| {
        let file = home.file(name, &format!("{HEAD}{text}"));
        home.run(&["lint", file.to_str().unwrap(), "--strict"])
    };
    lint("number.yaml", "name: 2024\n").exits(0).prints("cluster 2024");
    let patch = "name: dots\nkubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 2s\n  ...\n";
    lint("dots.yaml", patch).exits(0).prints("nodeStatusUpdateFrequency 2s");
}

fn an_image_without_a_version_is_a_guess() {
    let home = Home::new();
    let file = folder().join("44-image-version/exp.yaml");
    let image = "kindest/node@sha256:0000";
    let output = run(
        &home,
        &format!("run --dry-run --docker-host unix:///nowhere.sock --node-image {image} -f"),
        &file,
    );
    output.says("--node-image kindest/node@sha256:0000 names no version");
    output.says("Kubernetes v1.34.0 is assumed");
}

fn a_misspelt_kind_hides_nothing() {
    let home = Home::new();
    let good = std::fs::read_to_string(folder().join("20-octal-mode/exp.yaml")).unwrap();
    let bad = good
        .replace("kind: Experiment", "kind: Experimnet")
        .replace("rate: 50/s", "rate: 50")
        .replace("nodeKill", "nodeKil");
    let file = home.file("bad.yaml", &bad);
    let output = home.run(&["validate", "-f", file.to_str().unwrap()]);
    output.exits(2).says("expected the kind `Experiment`, found `Experimnet`");
    output.says("did you mean `50/s`?").says("did you mean `nodeKill`?");
    let other = bad.replace("kind: Experimnet", "kind: Experiment").replace("v1alpha1", "v1alpha2");
    let file = home.file("version.yaml", &other);
    let output = home.run(&["validate", "-f", file.to_str().unwrap()]);
    output.exits(2).says("unknown apiVersion").says("did you mean `nodeKill`?");
}

fn types_that_no_server_has() {
    let home = Home::new();
    home.copy(&["tests/cases/common", "tests/cases/20-octal-mode"], |text| {
        text.replace("kind: ConfigMap", "kind: Configmap")
            .replace("apiVersion: apps/v1", "apiVersion: apps/v1beta1")
    });
    let file = home.path().join("tests/cases/20-octal-mode/exp.yaml");
    let output = home.run(&["validate", "-f", file.to_str().unwrap()]);
    output.exits(2).says("error: Kubernetes has no kind `Configmap` in `v1`");
    output.says("did you mean `ConfigMap`?");
    output.says("warning: Kubernetes 1.34 has no kind `Deployment` in `apps/v1beta1`");
}

/// Why a value does not fit a schema, as far as schemas of experiments go; the innermost reason.
fn misfit(value: &Json, schema: &Json, root: &Json) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return misfit(value, root.pointer(&reference[1..]).unwrap(), root);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let reasons: Vec<_> = any.iter().map(|one| misfit(value, one, root)).collect();
        return reasons.into_iter().collect::<Option<Vec<_>>>().map(|all| all.join(" / "));
    }
    let is = |name: &Json| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    let wrong_type = match &schema["type"] {
        Json::Null => false,
        Json::Array(names) => !names.iter().any(is),
        name => !is(name),
    };
    let no_word = schema["enum"].as_array().is_some_and(|words| !words.contains(value));
    let no_const = !schema["const"].is_null() && schema["const"] != *value;
    if wrong_type || no_word || no_const {
        return Some(format!("{value} is not {schema}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let has = |one: &&Json| value.get(one["required"][0].as_str().unwrap()).is_some();
        if choices.iter().filter(has).count() != 1 {
            return Some(format!("{value} has not one of {choices:?}"));
        }
    }
    let names = schema["required"].as_array().into_iter().flatten();
    let mut missing = names.filter(|name| value.get(name.as_str().unwrap()).is_none());
    if let Some(missing) = missing.next() {
        return Some(format!("{value} has no {missing}"));
    }
    let fields = value.as_object().into_iter().flatten().find_map(|(name, field)| {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(known), _) => misfit(field, known, root),
            (None, Json::Bool(false)) => Some(format!("{name} is unknown in {}", schema["title"])),
            (None, other) => misfit(field, other, root),
        }
    });
    let items = value.as_array().into_iter().flatten();
    fields.or_else(|| items.into_iter().find_map(|item| misfit(item, &schema["items"], root)))
}

fn experiments_fit_their_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema_of = |kind: &str| -> Json {
        let path = root.join(format!("docs/schemas/{kind}.json"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let read = |path: &Path| -> Json {
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (schema, study) = (schema_of("experiment"), schema_of("study"));
    let mut all = Vec::new();
    for folder in ["", "apps", "chaos-mesh", "litmus", "machines", "studies"] {
        let entries = std::fs::read_dir(root.join("experiments").join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        for path in paths.filter(|path| path.extension().is_some_and(|it| it == "yaml")) {
            let value = read(&path);
            let schema = if value["kind"] == "Study" { &study } else { &schema };
            assert_eq!(misfit(&value, schema, schema), None, "{}", path.display());
            all.push(path);
        }
    }
    assert!(all.len() > 50);
    let mut wrong = read(&all[0]);
    wrong["spec"]["prob"] = Json::Null;
    assert_eq!(misfit(&wrong, &schema, &schema).as_deref(), Some("prob is unknown in \"spec\""));
    wrong["spec"].as_object_mut().unwrap().remove("prob");
    wrong["spec"]["method"][0]["fault"] = serde_json::json!({"nodeKil": {}});
    assert!(misfit(&wrong, &schema, &schema).is_some());
    let step = &schema["$defs"]["step"]["properties"];
    let described = step["fault"]["properties"]["nodeKill"]["description"].as_str().unwrap();
    assert_eq!(described, "A node loses power (`docker kill`).");
    assert_eq!(step["meanwhile"]["items"]["$ref"], "#/$defs/step");
}

/// Pods of a lost node move 20 s after it is NotReady: what comes back then is no surprise.
fn a_report_predicts_with_the_clusters_own_tolerations() {
    let home = Home::new();
    let file = folder().join("14-flags-4s-16s/exp-kind.yaml").to_string_lossy().into_owned();
    let run = home.run(&["run", "-f", &file, "--cluster", "embedded", "-o", "json"]);
    let report: Json = serde_json::from_str(&run.exits(0).stdout).unwrap();
    let comparisons = report["beside"].as_array().unwrap();
    let recovery = comparisons.iter().find(|one| one["quantity"] == "recovery").unwrap();
    assert_eq!(recovery["inside"], true, "{recovery:#}");
}

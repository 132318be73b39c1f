//! The table of who may import whom (CONTRIBUTING.md explains it).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const EVERYTHING: &[&str] = &[
    "agent",
    "analysis",
    "canary",
    "cli",
    "cluster",
    "compare",
    "docker",
    "embedded",
    "engine",
    "experiment",
    "fault",
    "helper",
    "http2",
    "kind_config",
    "lint",
    "model",
    "node",
    "observe",
    "plan",
    "prediction",
    "preflight",
    "probe",
    "report",
    "resolver",
    "series",
    "stats",
    "study",
    "timeline",
    "tls",
    "tune",
    "verdict",
    "watch",
    "workload",
    "yaml",
];

/// A module, and what of ours it may name.
fn table() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("stats", &[] as &[&str]),
        ("timeline", &[]),
        ("yaml", &["timeline"]),
        ("kind_config", &["timeline", "yaml"]),
        // The one reader of workloads says what becomes of pods in the model's terms.
        ("workload", &["model", "timeline", "yaml"]),
        ("experiment", &["kind_config", "stats", "timeline", "workload", "yaml"]),
        ("model", &["stats", "timeline"]),
        ("analysis", &["stats", "timeline"]),
        ("prediction", &["experiment", "kind_config", "model", "stats", "timeline", "workload"]),
        ("verdict", &["experiment", "model", "prediction", "analysis", "stats", "timeline"]),
        // It reads what runs were made of and what was found in them; a format shows it.
        ("compare", &["analysis", "experiment", "prediction", "stats", "timeline", "verdict"]),
        (
            "report",
            &[
                "compare",
                "verdict",
                "experiment",
                "model",
                "prediction",
                "analysis",
                "stats",
                "timeline",
            ],
        ),
        // Printed as reports are.
        ("lint", &["kind_config", "model", "report", "stats", "timeline", "yaml"]),
        // Its choices are described as lint describes settings, and printed as reports are.
        ("tune", &["lint", "model", "report", "stats", "timeline"]),
        // A journal keeps each cell's choices as the experiment's reader has them.
        ("study", &["experiment", "series", "stats"]),
        ("series", &["stats"]),
        ("node", &[]),
        ("docker", &["node", "timeline", "tls"]),
        ("cluster", &["docker", "resolver", "timeline", "tls", "workload", "yaml"]),
        // The pods that lead into the nodes of any cluster.
        ("helper", &["cluster", "node"]),
        // A fault says what it is to the embedded cluster's model.
        ("fault", &["cluster", "docker", "embedded", "experiment", "node", "timeline"]),
        // What would undo a fault, and how long that may take, are the fault's own to say.
        ("plan", &["experiment", "fault", "stats", "timeline"]),
        // The rights that an experiment needs, and judgements of a cluster before it runs.
        ("preflight", &["experiment", "model", "plan", "timeline", "workload", "yaml"]),
        // Whoever connects by a name resolves it in the same way, without the C library.
        ("resolver", &["timeline"]),
        // The TLS of probes, and of the connections to a cluster and to a container engine.
        ("tls", &[]),
        // Probes speak it, and so do the embedded cluster's pods.
        ("http2", &[]),
        ("probe", &["http2", "resolver", "timeline", "tls"]),
        ("observe", &["timeline"]),
        ("watch", &["cluster", "timeline"]),
        ("agent", &["probe", "observe", "node", "resolver", "timeline"]),
        // It asks through the cluster, sees through a watch, and tells what probers tell.
        ("canary", &["agent", "cluster", "experiment", "timeline", "watch"]),
        ("embedded", &["http2", "model", "stats", "timeline", "workload", "yaml"]),
        (
            "engine",
            &[
                "agent",
                "canary",
                "cluster",
                "docker",
                "embedded",
                "experiment",
                "fault",
                "helper",
                "kind_config",
                "node",
                "plan",
                "preflight",
                "probe",
                "stats",
                "timeline",
                "watch",
                "workload",
            ],
        ),
        ("cli", EVERYTHING),
    ])
}

/// Crates that only these modules may name.
const CRATES: &[(&str, &[&str])] = &[
    ("bollard", &["docker"]),
    ("kube", &["cluster", "watch"]),
    ("k8s_openapi", &["cluster", "watch"]),
    ("hyper", &["cluster", "embedded"]),
    ("clap", &["cli"]),
    ("anyhow", &["cli"]),
    ("indicatif", &["cli"]),
    ("annotate_snippets", &["cli"]),
];

/// Only `cli` may print. (Who may read the environment and exit is in clippy.toml.)
const ONLY_CLI: &[&str] = &["println!(", "eprintln!(", "print!("];

/// Every file of `src`, with the module that it belongs to and its text without tests and comments.
fn sources() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                let module = name.split(['/', '.']).next().unwrap().to_owned();
                files.push((name, module, code_of(&std::fs::read_to_string(&path).unwrap())));
            }
        }
    }
    let tests_only: BTreeSet<String> =
        files.iter().flat_map(|(name, _, code)| test_modules(name, code)).collect();
    // And what those include.
    let of_tests = |name: &str| {
        tests_only.iter().any(|file| name == file || name.starts_with(&file.replace(".rs", "/")))
    };
    files.retain(|(name, ..)| !of_tests(name));
    files.sort();
    files
}

/// The files that a file includes for tests alone: `#[cfg(test)] mod name;`.
fn test_modules(file: &str, code: &str) -> Vec<String> {
    let folder = match file.rsplit_once('/').map_or(file, |(_, name)| name) {
        "mod.rs" | "lib.rs" | "main.rs" => Path::new(file).parent().unwrap().to_owned(),
        _ => Path::new(file).with_extension(""),
    };
    let after = code.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.lines().next());
    let names = after.filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    names.map(|name| folder.join(format!("{name}.rs")).to_string_lossy().into_owned()).collect()
}

fn code_of(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The modules that a text names as `crate::module`, also inside braces.
fn named(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').map(str::to_owned).collect(),
            None => vec![rest.to_owned()],
        };
        named.extend(names.iter().map(|n| {
            n.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        }));
    }
    named
}

/// Every import stands in the table.
pub(crate) fn imports_follow_the_table() {
    let table = table();
    let mut broken = Vec::new();
    for (file, module, code) in sources() {
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed = table
            .get(module.as_str())
            .unwrap_or_else(|| panic!("src/{module} is not in the table of layers"));
        for name in named(&code) {
            if name != module
                && EVERYTHING.contains(&name.as_str())
                && !allowed.contains(&name.as_str())
            {
                broken.push(format!("src/{file}: {module} must not name {name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Crates stay behind their adapters, and only `cli` prints.
pub(crate) fn adapters_keep_their_crates() {
    let mut broken = Vec::new();
    for (file, module, code) in sources() {
        for (name, owners) in CRATES {
            let named =
                code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"));
            if named && !owners.contains(&module.as_str()) {
                broken.push(format!("src/{file}: only {owners:?} may name {name}"));
            }
        }
        let prints = ONLY_CLI.iter().filter(|what| code.contains(**what));
        if module != "cli" && module != "main" {
            broken.extend(prints.map(|what| format!("src/{file}: only cli may use {what}")));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Where a kind of fault may be asked for beside its own file, its table and the reader of experiments, and why.
const KINDS_ASKED_FOR: &[(&str, &[&str], &str)] = &[
    (
        "cli/generator.rs",
        &[
            "NodeStop",
            "NodeKill",
            "NodeReboot",
            "NodePause",
            "NodeFreeze",
            "NodeDisconnect",
            "NodeDrain",
            "KubeletStop",
            "KubeletPause",
            "KubeletThrottle",
            "Partition",
            "PodDelete",
            "ContainerKill",
            "ComponentStop",
        ],
        "these are offered by names that people type; not every fault needs one",
    ),
    (
        "report/chain.rs",
        &["NodeStop"],
        "only of an orderly shutdown it is news that the node was killed",
    ),
];

/// The names of faults, as strings, stand in the table of their kinds and in the reader of experiments. Who asks for a kind asks the table
/// for what it needs to know of it.
pub(crate) fn faults_are_named_by_their_kind() {
    // A container and a kubeconfig have a field `command`, too.
    let kinds = outage::timeline::FaultKind::ALL.map(|kind| kind.name());
    let names = kinds.into_iter().filter(|name| *name != "command");
    let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    let mut broken: Vec<String> = sources()
        .into_iter()
        .filter(|(file, module, _)| module != "experiment" && file != "timeline/fault_kind.rs")
        .flat_map(|(file, _, code)| {
            let named = names.iter().filter(|name| code.contains(name.as_str()));
            named.map(|name| format!("src/{file}: {name}, not its FaultKind")).collect::<Vec<_>>()
        })
        .collect();
    let mut asked = BTreeSet::new();
    for (file, module, code) in sources() {
        if ["fault", "timeline", "experiment"].contains(&module.as_str()) {
            continue;
        }
        for kind in kinds_asked_for(&code) {
            let allowed = |(its, kinds, _): &&(&str, &[&str], &str)| {
                *its == file && kinds.contains(&kind.as_str())
            };
            if KINDS_ASKED_FOR.iter().find(allowed).is_none() {
                broken.push(format!("src/{file}: FaultKind::{kind}, not what the table has of it"));
            }
            asked.insert((file.clone(), kind));
        }
    }
    for (file, kinds, _) in KINDS_ASKED_FOR {
        for kind in *kinds {
            if !asked.contains(&(file.to_string(), kind.to_string())) {
                broken.push(format!("src/{file}: does not ask for FaultKind::{kind} any more"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The kinds of faults that a text names.
fn kinds_asked_for(code: &str) -> Vec<String> {
    let kinds = outage::timeline::FaultKind::ALL.map(|kind| format!("{kind:?}"));
    let after = code.split("FaultKind::").skip(1);
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    after.map(name).filter(|name| kinds.contains(name)).collect()
}

/// The checks themselves see what they must see.
pub(crate) fn the_checks_can_fail() {
    assert_eq!(
        named("use crate::{docker::Docker, timeline}; crate::fault::x()")
            .into_iter()
            .collect::<Vec<_>>(),
        ["docker", "fault", "timeline"]
    );
    assert_eq!(code_of("a\n// crate::x\nb\n#[cfg(test)]\nmod tests { crate::y }"), "a\nb");
    let code = "FaultKind::ALL; FaultKind::NodeKill => crate::timeline::FaultKind::NodeStop.name()";
    assert_eq!(kinds_asked_for(code), ["NodeKill", "NodeStop"]);
    assert!(table().values().all(|allowed| allowed.iter().all(|name| EVERYTHING.contains(name))));
}

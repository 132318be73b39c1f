//! Licences and duplicates of the dependencies against deny.toml, without cargo-deny: it takes
//! minutes to build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("dependencies::licences_are_allowed", licences_are_allowed),
        test("dependencies::duplicates_have_a_reason", duplicates_have_a_reason),
        test("dependencies::the_checks_can_fail", the_checks_can_fail),
    ]
}

struct Package {
    name: String,
    version: String,
    licence: String,
}

/// What is linked into the program and its tests on Linux.
fn packages() -> Vec<Package> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let linked = metadata["resolve"]["nodes"].as_array().unwrap().iter();
    let linked: BTreeSet<&str> = linked.map(|node| node["id"].as_str().unwrap()).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| linked.contains(package["id"].as_str().unwrap()));
    let package = |package: &Value| Package {
        name: text(&package["name"]),
        version: text(&package["version"]),
        licence: text(&package["license"]),
    };
    packages.map(package).collect()
}

/// The strings of a list of deny.toml.
fn list(key: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\n{key} = [\n")).expect("the list is there");
    let (list, _) = rest.split_once("\n]").unwrap();
    let first = |line: &str| line.split('"').nth(1).map(str::to_owned);
    list.lines().filter_map(first).collect()
}

/// Whether a licence expression can be met. `A/B` is an old way to write `A OR B`.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    // Parentheses in these expressions only ever hold an OR beside an AND.
    let all = expression.split(" AND ");
    let any = |part: &str| {
        part.split(" OR ").any(|one| allowed.iter().any(|a| a == one.trim_matches(['(', ')', ' '])))
    };
    match expression.contains('(') || !expression.contains(" OR ") {
        true => all.into_iter().all(any),
        false => expression.split(" OR ").any(|one| one.split(" AND ").all(any)),
    }
}

fn licences_are_allowed() {
    let allowed = list("allow");
    let refused: Vec<String> = packages()
        .iter()
        .filter(|package| !is_met(&package.licence, &allowed))
        .map(|package| format!("{}@{}: {:?}", package.name, package.version, package.licence))
        .collect();
    assert!(refused.is_empty(), "deny.toml allows none of\n{}", refused.join("\n"));
}

fn duplicates_have_a_reason() {
    let skipped = list("skip");
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        let skip = format!("{}@{}", package.name, package.version);
        if !skipped.contains(&skip) {
            versions.entry(package.name).or_default().push(package.version);
        }
    }
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "deny.toml gives no reason for {versions:?}");
}

fn the_checks_can_fail() {
    let allowed = ["MIT", "ISC"].map(str::to_owned);
    for (expression, met) in [
        ("MIT", true),
        ("Apache-2.0/MIT", true),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0 AND ISC", false),
        ("(Apache-2.0 OR MIT) AND ISC", true),
        ("(Apache-2.0 OR MIT) AND Zlib", false),
        ("Apache-2.0 AND ISC OR MIT", true),
        ("GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), met, "{expression}");
    }
    assert!(list("skip").iter().all(|skip| skip.contains('@')) && list("allow").len() > 3);
}

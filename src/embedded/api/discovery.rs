//! What the server says that it has.

use serde_json::{Value, json};

use crate::embedded::store::{Kind, kinds};

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer of `/version`.
pub(super) fn version(version: &str) -> Value {
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({"major": major, "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)})
}

/// The answer of `/api`.
pub(super) fn core_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// The answer of `/apis`.
pub(super) fn groups() -> Value {
    let mut named: Vec<&Kind> =
        kinds::ALL.into_iter().filter(|kind| !kind.group.is_empty()).collect();
    named.dedup_by_key(|kind| kind.group);
    let group = |kind: &&Kind| {
        let version = json!({"groupVersion": kind.api_version(), "version": kind.version});
        json!({"name": kind.group, "versions": [version], "preferredVersion": version})
    };
    let groups: Vec<Value> = named.iter().map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// The answer of `/api/v1` and `/apis/<group>/<version>`; `None` where there is nothing of it.
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let all = kinds::ALL.into_iter();
    let of: Vec<&Kind> =
        all.filter(|kind| (kind.group, kind.version) == (group, version)).collect();
    let first = of.first()?;
    let resources: Vec<Value> = of.iter().flat_map(|kind| with_parts(kind)).collect();
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": first.api_version(), "resources": resources}))
}

fn with_parts(kind: &Kind) -> Vec<Value> {
    let categories = if kind.in_all { &["all"][..] } else { &[] };
    let mut all = vec![
        json!({"name": kind.plural, "singularName": kind.singular(), "kind": kind.kind,
        "namespaced": kind.namespaced, "verbs": VERBS, "shortNames": kind.short, "categories": categories}),
    ];
    if kind.has_scale {
        all.push(json!({"name": format!("{}/scale", kind.plural), "singularName": "", "kind": "Scale",
            "group": "autoscaling", "version": "v1", "namespaced": true, "verbs": ["get", "patch", "update"]}));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_once() {
        let groups = groups();
        let names: Vec<&str> = groups["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| group["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["apps", "discovery.k8s.io", "coordination.k8s.io"]);
        let of = |group: &str| {
            let resources =
                resources(group, "v1").unwrap()["resources"].as_array().unwrap().clone();
            resources
                .iter()
                .map(|resource| resource["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let apps = [
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ];
        assert_eq!(of("apps"), apps);
        assert!(of("").contains(&"nodes".to_owned()) && resources("batch", "v1").is_none());
    }

    #[test]
    fn the_version_is_split() {
        let version = version("v1.34.4");
        assert_eq!(
            (&version["major"], &version["minor"], &version["gitVersion"]),
            (&"1".into(), &"34".into(), &"v1.34.4".into())
        );
    }
}

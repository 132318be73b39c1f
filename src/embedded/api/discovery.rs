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

/// All kinds that have a path.
pub(super) fn kinds() -> impl Iterator<Item = &'static Kind> {
    kinds::ALL.into_iter().chain([&kinds::NEW_EVENTS])
}

/// The answer of `/api`.
pub(super) fn core_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// The answer of `/apis`.
pub(super) fn groups() -> Value {
    let mut names: Vec<(&str, &str)> = kinds()
        .map(|kind| (kind.group, kind.version))
        .filter(|(group, _)| !group.is_empty())
        .collect();
    names.dedup();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": names.iter().map(|(group, version)| self::group(group, version)).collect::<Vec<_>>()})
}

fn group(group: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [version], "preferredVersion": version})
}

/// The answer of `/apis/<group>`; `None` where there is no such group.
pub(super) fn one_group(name: &str) -> Option<Value> {
    let kind = kinds().find(|kind| kind.group == name && !name.is_empty())?;
    let mut group = group(kind.group, kind.version);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

/// The answer of `/api/v1` and `/apis/<group>/<version>`; `None` where there is nothing of it.
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let of: Vec<&Kind> =
        kinds().filter(|kind| (kind.group, kind.version) == (group, version)).collect();
    let first = of.first()?;
    let resources: Vec<Value> = of.iter().flat_map(|kind| with_parts(kind)).collect();
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(), "resources": resources}),
    )
}

fn with_parts(kind: &Kind) -> Vec<Value> {
    let mut resource = json!({"name": kind.plural, "singularName": kind.singular(), "namespaced": kind.namespaced, "kind": kind.kind,
        "verbs": VERBS});
    if !kind.short.is_empty() {
        resource["shortNames"] = kind.short.into();
    }
    if kind.in_all {
        resource["categories"] = ["all"].as_slice().into();
    }
    let part = |name: &str| json!({"name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced});
    let mut all = vec![resource];
    if kind.has_status {
        let mut status = part("status");
        status["kind"] = kind.kind.into();
        status["verbs"] = ["get", "patch", "update"].as_slice().into();
        all.push(status);
    }
    if kind.has_scale {
        let mut scale = part("scale");
        for (field, value) in [("group", "autoscaling"), ("version", "v1"), ("kind", "Scale")] {
            scale[field] = value.into();
        }
        scale["verbs"] = ["get", "patch", "update"].as_slice().into();
        all.push(scale);
    }
    if kind == &kinds::NODES {
        let mut proxy = part("proxy");
        proxy["kind"] = "NodeProxyOptions".into();
        proxy["verbs"] = ["get"].as_slice().into();
        all.push(proxy);
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
        assert_eq!(names, ["apps", "discovery.k8s.io", "coordination.k8s.io", "events.k8s.io"]);
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
            "deployments/status",
            "deployments/scale",
            "replicasets",
            "replicasets/status",
            "replicasets/scale",
        ];
        assert_eq!(of("apps"), apps);
        assert!(
            of("").contains(&"nodes/proxy".to_owned())
                && resources("batch", "v1").is_none()
                && one_group("batch").is_none()
        );
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

//! A workload that the server knows how to make, made in the run's namespace. Nothing that exists
//! is ever adopted.

use std::collections::BTreeMap;

use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersion};
use kube::discovery::{self, Scope};

use super::connect::Cluster;
use super::error::ClusterError;
use crate::workload::{Manifest, Object};
use crate::yaml::Diagnostic;

/// Objects that the server can make in a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(super) objects: Vec<Known>,
}

impl Workload {
    /// Kinds and names, in the order of their creation.
    pub(crate) fn summary(&self) -> Vec<String> {
        self.objects.iter().map(|known| known.label.clone()).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// An object of a kind that the server has.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) resource: ApiResource,
    pub(super) label: String,
    file: String,
    pub(super) object: DynamicObject,
}

#[derive(Clone)]
pub(super) struct ServerKind {
    pub(super) resource: ApiResource,
    pub(super) namespaced: bool,
}

impl Cluster {
    /// Checks that the server knows every object's kind, that it belongs to a namespace, and that
    /// the server would take it; nothing is created. The inner error has all problems together, at
    /// their places.
    pub(crate) async fn check_workload(
        &self,
        manifest: &Manifest,
    ) -> Result<Result<Workload, Vec<Diagnostic>>, ClusterError> {
        let mut known = BTreeMap::new();
        for version in manifest.objects().iter().map(Object::api_version) {
            if !known.contains_key(version) {
                known.insert(version.to_owned(), self.kinds_of(version).await?);
            }
        }
        let workload = match sort_out(manifest, &known) {
            Ok(workload) => workload,
            Err(problems) => return Ok(Err(problems)),
        };
        let refused = self.refusals(manifest, &workload).await?;
        Ok(if refused.is_empty() { Ok(workload) } else { Err(refused) })
    }

    /// All kinds of an apiVersion; none where the server does not have it.
    pub(super) async fn kinds_of(
        &self,
        api_version: &str,
    ) -> Result<Vec<ServerKind>, ClusterError> {
        let Ok(version) = api_version.parse::<GroupVersion>() else { return Ok(Vec::new()) };
        let client = self.client();
        match self
            .call(
                format!("list the kinds of {api_version}"),
                discovery::pinned_group(&client, &version),
            )
            .await
        {
            Ok(group) => {
                let kinds = group.versioned_resources(&version.version).into_iter();
                Ok(kinds
                    .map(|(resource, can)| ServerKind {
                        resource,
                        namespaced: can.scope == Scope::Namespaced,
                    })
                    .collect())
            }
            Err(ClusterError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes all objects in a namespace of ours, in order. Errors at the first that can't be made,
    /// also because it exists.
    pub(crate) async fn apply(
        &self,
        workload: &Workload,
        namespace: &str,
    ) -> Result<(), ClusterError> {
        for Known { resource, label, file, object } in &workload.objects {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, resource);
            let params = PostParams::default();
            self.call(format!("create {label} of {file}"), api.create(&params, object)).await?;
        }
        Ok(())
    }
}

fn sort_out(
    manifest: &Manifest,
    known: &BTreeMap<String, Vec<ServerKind>>,
) -> Result<Workload, Vec<Diagnostic>> {
    let (mut objects, mut problems) = (Vec::new(), Vec::new());
    for object in manifest.objects() {
        let kinds = known.get(object.api_version()).map(Vec::as_slice).unwrap_or_default();
        match kinds.iter().find(|kind| kind.resource.kind == object.kind()) {
            Some(kind) if kind.namespaced => match serde_json::from_value(object.json().clone()) {
                Ok(dynamic) => objects.push(Known {
                    resource: kind.resource.clone(),
                    label: object.label(),
                    file: object.file().name.clone(),
                    object: dynamic,
                }),
                Err(error) => problems.push(problem(object, &error.to_string())),
            },
            Some(_) => {
                problems.push(problem(object, "is not namespaced and would outlive the run"))
            }
            None => problems.push(problem(object, &unknown(object, kinds, known))),
        }
    }
    if problems.is_empty() { Ok(Workload { objects }) } else { Err(problems) }
}

fn problem(object: &Object, why: &str) -> Diagnostic {
    object.error("kind", format!("{}: {why}", object.label()))
}

fn unknown(
    object: &Object,
    kinds: &[ServerKind],
    known: &BTreeMap<String, Vec<ServerKind>>,
) -> String {
    let (kind, version) = (object.kind(), object.api_version());
    if kinds.is_empty() {
        return format!("the server has no apiVersion {version}");
    }
    let elsewhere =
        known.iter().find(|(_, kinds)| kinds.iter().any(|other| other.resource.kind == kind));
    let near = kinds.iter().find(|other| strsim::jaro_winkler(&other.resource.kind, kind) > 0.9);
    match (elsewhere, near) {
        (Some((other, _)), _) => format!("the server has {kind} in {other}, not in {version}"),
        (None, Some(near)) => {
            format!("the server has no {kind} in {version}; did you mean {}?", near.resource.kind)
        }
        (None, None) => format!("the server has no {kind} in {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(api_version: &str, kind: &str, namespaced: bool) -> ServerKind {
        let version: GroupVersion = api_version.parse().unwrap();
        ServerKind { resource: ApiResource::from_gvk(&version.with_kind(kind)), namespaced }
    }

    fn server() -> BTreeMap<String, Vec<ServerKind>> {
        let core = vec![known("v1", "Pod", true), known("v1", "Namespace", false)];
        BTreeMap::from([
            ("v1".to_owned(), core),
            ("apps/v1".to_owned(), vec![known("apps/v1", "Deployment", true)]),
            ("x/v1".to_owned(), Vec::new()),
        ])
    }

    fn check(objects: &[(&str, &str)]) -> Result<Workload, Vec<Diagnostic>> {
        let text: Vec<String> = objects
            .iter()
            .enumerate()
            .map(|(i, (v, k))| format!("apiVersion: {v}\nkind: {k}\nmetadata: {{name: a{i}}}\n"))
            .collect();
        sort_out(&Manifest::of_texts([("w.yaml", text.join("---\n").as_str())]), &server())
    }

    #[test]
    fn known_kinds_of_a_namespace_pass_in_order() {
        assert_eq!(
            check(&[("apps/v1", "Deployment"), ("v1", "Pod")]).unwrap().summary(),
            ["Deployment/a0", "Pod/a1"]
        );
    }

    #[test]
    fn what_would_fail_or_outlive_the_run_is_refused_before() {
        let problems = check(&[
            ("v1", "Namespace"),
            ("v1", "Deployment"),
            ("apps/v1", "Deploymnet"),
            ("x/v1", "Thing"),
        ])
        .unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "w.yaml:2:7: error: Namespace/a0: is not namespaced and would outlive the run",
                "w.yaml:6:7: error: Deployment/a1: the server has Deployment in apps/v1, not in v1",
                "w.yaml:10:7: error: Deploymnet/a2: the server has no Deploymnet in apps/v1; did you mean Deployment?",
                "w.yaml:14:7: error: Thing/a3: the server has no apiVersion x/v1",
            ]
        );
    }
}

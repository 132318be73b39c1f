//! A workload that the server knows how to make, made in the run's namespace. Nothing that exists is ever adopted.

use std::collections::BTreeMap;

use kube::api::{Api, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersion};
use kube::discovery::{self, Scope};

use super::connect::Cluster;
use super::error::ClusterError;
use super::manifest::{Manifest, ManifestError, ManifestObject};

/// Objects that the server can make in a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    objects: Vec<(ApiResource, ManifestObject)>,
}

impl Workload {
    /// Kinds and names, in the order in which they are made.
    pub(crate) fn summary(&self) -> Vec<String> {
        self.objects.iter().map(|(_, object)| object.label()).collect()
    }

    /// Whether there is nothing to make.
    pub(crate) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

/// A kind that the server has.
#[derive(Clone)]
struct Known {
    resource: ApiResource,
    namespaced: bool,
}

impl Cluster {
    /// Holds a manifest against what the server can make; nothing is created. The inner error has all problems at once: kinds
    /// that the server lacks, and kinds that belong to no namespace.
    pub(crate) async fn check_workload(
        &self,
        manifest: &Manifest,
    ) -> Result<Result<Workload, Vec<ManifestError>>, ClusterError> {
        let mut known = BTreeMap::new();
        for version in manifest.objects().iter().map(ManifestObject::api_version) {
            if !known.contains_key(version) {
                known.insert(version.to_owned(), self.kinds_of(version).await?);
            }
        }
        Ok(sort_out(manifest, &known))
    }

    /// All kinds of an apiVersion; none where the server does not have it.
    async fn kinds_of(&self, api_version: &str) -> Result<Vec<Known>, ClusterError> {
        let Ok(version) = api_version.parse::<GroupVersion>() else { return Ok(Vec::new()) };
        let client = self.client();
        match self
            .call(format!("look for {api_version}"), discovery::pinned_group(&client, &version))
            .await
        {
            Ok(group) => {
                let kinds = group.versioned_resources(&version.version).into_iter();
                Ok(kinds
                    .map(|(resource, can)| Known {
                        resource,
                        namespaced: can.scope == Scope::Namespaced,
                    })
                    .collect())
            }
            Err(ClusterError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Makes all objects in a namespace of ours, in order. Errors at the first that can't be made, also because it exists.
    pub(crate) async fn apply(
        &self,
        workload: &Workload,
        namespace: &str,
    ) -> Result<(), ClusterError> {
        for (resource, object) in &workload.objects {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client(), namespace, resource);
            self.call(
                format!("make {} of {}", object.label(), object.file),
                api.create(&PostParams::default(), &object.object),
            )
            .await?;
        }
        Ok(())
    }
}

fn sort_out(
    manifest: &Manifest,
    known: &BTreeMap<String, Vec<Known>>,
) -> Result<Workload, Vec<ManifestError>> {
    let (mut objects, mut problems) = (Vec::new(), Vec::new());
    for object in manifest.objects() {
        let kinds = known.get(object.api_version()).map(Vec::as_slice).unwrap_or_default();
        match kinds.iter().find(|kind| kind.resource.kind == object.kind()) {
            Some(kind) if kind.namespaced => objects.push((kind.resource.clone(), object.clone())),
            Some(_) => {
                problems.push(object.error("belongs to no namespace, and so would outlive the run"))
            }
            None => problems.push(object.error(unknown(object, kinds, known))),
        }
    }
    if problems.is_empty() { Ok(Workload { objects }) } else { Err(problems) }
}

fn unknown(
    object: &ManifestObject,
    kinds: &[Known],
    known: &BTreeMap<String, Vec<Known>>,
) -> String {
    let (kind, version) = (object.kind(), object.api_version());
    if kinds.is_empty() {
        return format!("the server has no apiVersion {version}");
    }
    let elsewhere =
        known.iter().find(|(_, kinds)| kinds.iter().any(|other| other.resource.kind == kind));
    let near = kinds.iter().find(|other| strsim::jaro_winkler(&other.resource.kind, kind) > 0.9);
    match (elsewhere, near) {
        (Some((other, _)), _) => format!("the server has no {kind} in {version}, but in {other}"),
        (None, Some(near)) => {
            format!("the server has no {kind} in {version}; did you mean {}?", near.resource.kind)
        }
        (None, None) => format!("the server has no {kind} in {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(api_version: &str, kind: &str, namespaced: bool) -> Known {
        let version: GroupVersion = api_version.parse().unwrap();
        Known { resource: ApiResource::from_gvk(&version.with_kind(kind)), namespaced }
    }

    fn server() -> BTreeMap<String, Vec<Known>> {
        let core = vec![known("v1", "Pod", true), known("v1", "Namespace", false)];
        BTreeMap::from([
            ("v1".to_owned(), core),
            ("apps/v1".to_owned(), vec![known("apps/v1", "Deployment", true)]),
            ("x/v1".to_owned(), Vec::new()),
        ])
    }

    fn check(objects: &[(&str, &str)]) -> Result<Workload, Vec<ManifestError>> {
        let text: Vec<String> = objects
            .iter()
            .map(|(v, k)| format!("apiVersion: {v}\nkind: {k}\nmetadata: {{name: a}}\n"))
            .collect();
        sort_out(&Manifest::parse([("w.yaml", text.join("---\n").as_str())]).unwrap(), &server())
    }

    #[test]
    fn known_kinds_of_a_namespace_pass_in_order() {
        assert_eq!(
            check(&[("apps/v1", "Deployment"), ("v1", "Pod")]).unwrap().summary(),
            ["Deployment/a", "Pod/a"]
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
                "w.yaml: Namespace/a: belongs to no namespace, and so would outlive the run",
                "w.yaml: Deployment/a: the server has no Deployment in v1, but in apps/v1",
                "w.yaml: Deploymnet/a: the server has no Deploymnet in apps/v1; did you mean Deployment?",
                "w.yaml: Thing/a: the server has no apiVersion x/v1",
            ]
        );
    }
}

//! All objects of a workload's files.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ingress::{IngressSpec, Route};
use super::object::Object;
use super::pods::Pods;
use super::service::Service;
use crate::yaml::tree::{Node, quoted};
use crate::yaml::{Diagnostic, Diagnostics, SourceFile};

/// The objects, in the files' order. No two have the same API group, kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    objects: Vec<Object>,
}

impl Manifest {
    /// Reads located documents, with all problems together: what is not an object, has no name, or
    /// is defined twice.
    pub(crate) fn read<'a>(
        documents: impl IntoIterator<Item = (&'a Arc<SourceFile>, &'a Node)>,
    ) -> (Self, Vec<Diagnostic>) {
        let (mut manifest, mut problems) = (Self::default(), Vec::new());
        for (file, document) in documents {
            for object in Object::read(file, document, &mut problems) {
                match manifest.same(&object) {
                    Some(first) => problems.push(duplicate(&object, first)),
                    None => manifest.objects.push(object),
                }
            }
        }
        (manifest, problems)
    }

    /// What [`Self::for_prediction`] gave.
    pub(crate) fn recorded(objects: &[Value]) -> Self {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let file = Arc::new(SourceFile { name: "recorded".into(), text: list.to_string() });
        let documents = crate::yaml::parse(&file, &mut Diagnostics::default()).unwrap_or_default();
        Self::read(documents.iter().map(|document| (&file, document))).0
    }

    /// Of each Service and of all that makes pods: what a prediction needs to know. No environment,
    /// no image, no command.
    pub(crate) fn for_prediction(&self) -> Vec<Value> {
        let needed = |object: &&Object| Service::of(object).is_some() || Pods::of(object).is_some();
        self.objects.iter().filter(needed).map(|object| kept(object.json(), NEEDED)).collect()
    }

    fn same(&self, object: &Object) -> Option<&Object> {
        let id = |object: &Object| (object.group().to_owned(), object.label());
        self.objects.iter().find(|other| id(other) == id(object))
    }

    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<&str> {
        self.objects.iter().filter(|o| o.kind() == kind).map(Object::name).collect()
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = Service<'_>> {
        self.objects.iter().filter_map(Service::of)
    }

    pub(crate) fn service(&self, name: &str) -> Option<Service<'_>> {
        self.services().find(|service| service.name() == name)
    }

    /// The rules of an Ingress. `None`: no file has it, or it is not as Kubernetes has it.
    pub(crate) fn routes(&self, ingress: &str) -> Option<Vec<Route>> {
        let mut objects = self.objects.iter();
        let found = objects.find(|it| it.kind() == "Ingress" && it.name() == ingress)?;
        IngressSpec::of(found).map(IngressSpec::routes)
    }

    /// Pods, and what makes pods.
    pub(crate) fn pods(&self) -> impl Iterator<Item = Pods<'_>> {
        self.objects.iter().filter_map(Pods::of)
    }

    /// Whether an autoscaler may decide how many pods there are.
    pub(crate) fn is_autoscaled(&self) -> bool {
        !self.names("HorizontalPodAutoscaler").is_empty()
    }

    /// How many pods an object makes. `None`: there is no such object, or an autoscaler decides.
    pub(crate) fn fixed_replicas(&self, kind: &str, name: &str) -> Option<usize> {
        let is_it = |object: &&Object| object.kind() == kind && object.name() == name;
        let pods = self.objects.iter().find(is_it).and_then(Pods::of)?;
        (!self.is_autoscaled()).then_some(pods.replicas)
    }

    /// The first pods that a Service selects; `None` where it has no selector, or no file has such
    /// pods.
    pub(crate) fn behind(&self, service: &Service<'_>) -> Option<Pods<'_>> {
        let selector = service.selector();
        self.pods().find(|pods| !selector.is_empty() && pods.have(&selector))
    }

    /// Reads texts that must have no problem.
    #[cfg(test)]
    pub(crate) fn of_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (manifest, problems) = Self::with_problems(files);
        assert_eq!(problems, Vec::<String>::new());
        manifest
    }

    /// Reads texts, and what is wrong with their objects as lines.
    #[cfg(test)]
    fn with_problems<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> (Self, Vec<String>) {
        let mut all = crate::yaml::Diagnostics::default();
        let files: Vec<_> = files
            .into_iter()
            .map(|(name, text)| {
                let file = Arc::new(SourceFile { name: name.into(), text: text.into() });
                let documents = crate::yaml::parse(&file, &mut all).unwrap_or_default();
                (file, documents)
            })
            .collect();
        let documents = files.iter().flat_map(|(file, all)| all.iter().map(move |one| (file, one)));
        let (manifest, problems) = Self::read(documents);
        all.extend(problems);
        (manifest, all.iter().map(ToString::to_string).collect())
    }
}

/// What a prediction reads, by path; `metadata` and `spec` are also those of a template.
const NEEDED: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata.name",
    "metadata.labels",
    "spec.selector",
    "spec.type",
    "spec.clusterIP",
    "spec.ports",
    "spec.sessionAffinity",
    "spec.internalTrafficPolicy",
    "spec.replicas",
    "spec.parallelism",
    "spec.tolerations",
    "spec.affinity",
    "spec.nodeSelector",
    "spec.nodeName",
    "spec.terminationGracePeriodSeconds",
];

/// The value with these fields alone.
fn kept(value: &Value, paths: &[&str]) -> Value {
    let mut kept = json!({});
    for path in paths {
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(found) = value.pointer(&pointer) else { continue };
        path.split('.').fold(&mut kept, |at, field| &mut at[field]).clone_from(found);
    }
    if let Some(template) = value.pointer("/spec/template") {
        kept["spec"]["template"] = self::kept(template, paths);
    }
    kept
}

fn duplicate(object: &Object, first: &Object) -> Diagnostic {
    let message = format!("the {} {} is defined twice", object.kind(), quoted(object.name()));
    object.error("metadata.name", message).related(
        first.file(),
        first.span("metadata.name"),
        "first here",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(manifest: &Manifest) -> Vec<String> {
        manifest.objects().iter().map(Object::label).collect()
    }

    #[test]
    fn what_a_prediction_needs_is_recorded_and_nothing_secret() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hidden}\n---\n\
            apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {a: b}, sessionAffinity: ClientIP}\n---\n\
            apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 3\n  template:\n\
            \x20   metadata: {labels: {a: b}}\n    spec: {tolerations: [{key: x}], containers: [{name: c, env: [{name: P, value: hidden}]}]}\n";
        let manifest = Manifest::of_texts([("a.yaml", text)]);
        let recorded = manifest.for_prediction();
        assert!(!format!("{recorded:?}").contains("hidden"), "{recorded:?}");
        let read = Manifest::recorded(&recorded);
        assert_eq!(labels(&read), ["Service/web", "Deployment/web"]);
        let service = read.service("web").unwrap();
        assert!(service.routing().is_sticky());
        let behind = read.behind(&service).unwrap();
        assert_eq!(
            (behind.replicas, &behind.template["spec"]),
            (3, &json!({"tolerations": [{"key": "x"}]}))
        );
    }

    #[test]
    fn documents_and_lists_become_objects() {
        let first = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
            - {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}\n- {apiVersion: v1, kind: Pod, metadata: {name: client}}\n";
        let typed = "apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: a}}]\n";
        let manifest = Manifest::of_texts([("a.yaml", first), ("b.yaml", ""), ("c.yaml", typed)]);
        assert_eq!(
            labels(&manifest),
            ["Service/web", "Deployment/web", "Pod/client", "ConfigMap/a"]
        );
        assert_eq!(manifest.objects()[3].api_version(), "v1");
    }

    #[test]
    fn a_kind_that_ends_in_list_is_an_object_where_it_has_no_items() {
        let text = "apiVersion: net.example.test/v1\nkind: AllowList\nmetadata: {name: a}\nspec: {items: [1]}\n";
        assert_eq!(labels(&Manifest::of_texts([("a.yaml", text)])), ["AllowList/a"]);
    }

    #[test]
    fn all_problems_have_their_places() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: Pod\n---\n\
            apiVersion: v1\nkind: Pod\nmetadata: {}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: 0644, labels: {on: yes}}\n";
        let (manifest, problems) = Manifest::with_problems([("a.yaml", text), ("b.yaml", "a: [")]);
        assert_eq!(labels(&manifest), ["Pod/a"]);
        assert!(problems[0].starts_with("b.yaml:1:"), "{problems:?}");
        assert_eq!(
            problems[1..],
            [
                "a.yaml:7:18: error: the Pod `a` is defined twice",
                "a.yaml:9:1: error: expected a Kubernetes object: it needs `apiVersion` and `kind`",
                "a.yaml:13:11: error: a Pod without a name",
                "a.yaml:17:18: error: YAML reads this name as a number or a boolean (put it in \
                 quotes)",
            ]
        );
    }

    #[test]
    fn an_item_of_a_list_is_an_object_and_has_a_kind() {
        let list = |kind: &str, item: &str| {
            let text = format!("apiVersion: v1\nkind: {kind}\nitems: [{item}]\n");
            Manifest::with_problems([("a.yaml", text.as_str())]).1
        };
        let wanted =
            "a.yaml:3:9: error: expected a Kubernetes object: it needs `apiVersion` and `kind`";
        for item in ["a", "[a]", "3", "~"] {
            assert_eq!(list("List", item), [wanted], "{item}");
            assert_eq!(list("PodList", item), [wanted], "{item}");
        }
        assert_eq!(list("List", "{metadata: {name: a}}"), [wanted]);
        assert_eq!(list("PodList", "{metadata: {name: a}}"), [""; 0]);
    }

    #[test]
    fn what_must_be_a_text_is_one() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {version: 1.10, old: \"no\"}}\ndata:\n  debug: yes\n";
        let (_, problems) = Manifest::with_problems([("a.yaml", text)]);
        assert_eq!(
            problems,
            [
                "a.yaml:3:39: error: `version` must be a string, not a number (put the value in \
                 quotes)",
                "a.yaml:5:10: error: `debug` must be a string, not a boolean (put the value in \
                 quotes)",
            ]
        );
    }

    #[test]
    fn the_same_name_in_another_group_is_another_object() {
        let text = "apiVersion: a.example.test/v1\nkind: Web\nmetadata: {name: a}\n---\napiVersion: b.example.test/v1\nkind: Web\nmetadata: {name: a}\n";
        assert_eq!(Manifest::of_texts([("a.yaml", text)]).objects().len(), 2);
    }
}

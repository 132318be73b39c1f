//! What the workload's files define, as far as an experiment refers to it; and objects that a run can't own.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::experiment::decode::fields::Cx;
use crate::experiment::diagnostic::{Diagnostic, Span};
use crate::experiment::files::ReadFile;
use crate::experiment::tree::{Node, Value, quoted};

/// What a workload defines.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Services by name, with their ports.
    pub services: BTreeMap<String, Vec<u16>>,
    /// Deployments by name.
    pub deployments: BTreeSet<String>,
    /// Every pod and pod template.
    pub pods: Vec<Pod>,
}

/// A pod, or what pods are made from.
#[derive(Debug, Default)]
pub(super) struct Pod {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its containers' names.
    pub containers: Vec<String>,
}

impl Pod {
    fn of(object: &Node, path: &str) -> Self {
        let (pod, _) = object.find(path);
        let containers = pod.find("spec.containers").0.items().iter();
        let containers = containers
            .filter_map(|container| Some(container.text_at("name")?.to_owned()))
            .collect();
        Self { labels: texts(pod, "metadata.labels"), containers }
    }

    /// Whether it has all of these labels.
    pub(super) fn has(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// Kinds that live outside of namespaces. The server's own list is asked before a run, too; this one needs no server.
const CLUSTER_SCOPED: &[&str] = &[
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];

/// Reads all objects, and tells those that a run can't have.
pub(super) fn read(cx: &Cx, files: &[ReadFile]) -> Objects {
    let mut reader = Reader { cx, objects: Objects::default(), seen: HashMap::new() };
    for file in files {
        if file.documents.is_empty() {
            let start = Span::of_bytes(&file.file.text, 0, 0);
            cx.tell(Diagnostic::warning("the file has no objects").at(&file.file, start));
        }
        file.documents.iter().for_each(|document| reader.object(file, document));
    }
    reader.objects
}

struct Reader<'a, 'f> {
    cx: &'a Cx<'f>,
    objects: Objects,
    seen: HashMap<(String, String), (ReadFile, Span)>,
}

impl Reader<'_, '_> {
    fn object(&mut self, file: &ReadFile, object: &Node) {
        let error =
            |node: &Node, message: String| Diagnostic::error(message).at(&file.file, node.focus());
        let (Some(kind), Some(_)) = (object.text_at("kind"), object.text_at("apiVersion")) else {
            self.cx.tell(error(
                object,
                "expected a Kubernetes object: it needs `apiVersion` and `kind`".into(),
            ));
            return;
        };
        if let Some(items) = object.get("items").filter(|_| kind.ends_with("List")) {
            items.items().iter().for_each(|item| self.object(file, item));
            return;
        }
        if CLUSTER_SCOPED.contains(&kind) {
            let hint = "a run owns one namespace and nothing else; make this object yourself, before the run";
            self.cx.tell(
                error(object.find("kind").0, format!("a {kind} belongs to the whole cluster"))
                    .hint(hint),
            );
        }
        if let (namespace, true) = object.find("metadata.namespace") {
            let hint = "leave it out: the run puts its objects into a namespace of its own, and removes it";
            self.cx
                .tell(error(namespace, "an object with a namespace of its own".into()).hint(hint));
        }
        match object.text_at("metadata.name") {
            Some(name) => self.named(file, object, kind, name),
            None => {
                self.cx.tell(error(object.find("metadata").0, format!("a {kind} without a name")))
            }
        }
    }

    fn named(&mut self, file: &ReadFile, object: &Node, kind: &str, name: &str) {
        let at = object.find("metadata.name").0.focus();
        if let Some((other, first)) =
            self.seen.insert((kind.into(), name.into()), (file.clone(), at))
        {
            let message = format!("the {kind} {} is there twice", quoted(name));
            self.cx.tell(Diagnostic::error(message).at(&file.file, at).related(
                &other.file,
                first,
                "first here",
            ));
        }
        match kind {
            "Service" => {
                let ports = object.find("spec.ports").0.items().iter();
                let ports = ports.filter_map(|port| port.text_at("port")?.parse().ok()).collect();
                self.objects.services.insert(name.to_owned(), ports);
            }
            "Pod" => self.objects.pods.push(Pod::of(object, "")),
            "CronJob" => {}
            _ if object.find("spec.template.metadata").1 => {
                self.objects.pods.push(Pod::of(object, "spec.template"))
            }
            _ => {}
        }
        if kind == "Deployment" {
            self.objects.deployments.insert(name.to_owned());
        }
    }
}

fn texts(object: &Node, path: &str) -> BTreeMap<String, String> {
    match object.find(path) {
        (Node { value: Value::Map(entries), .. }, true) => entries
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.text()?.to_owned())))
            .collect(),
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_workload;

    #[test]
    fn objects_that_a_run_cannot_own_are_refused() {
        let told = with_workload("kind: Deployment", "kind: ClusterRole");
        assert!(
            told.contains("web.yaml:2:7: error: a ClusterRole belongs to the whole cluster"),
            "{told}"
        );
        let told = with_workload(
            "metadata: {name: web}\nspec: {selector",
            "metadata: {name: web, namespace: prod}\nspec: {selector",
        );
        assert!(
            told.contains("web.yaml:12:34: error: an object with a namespace of its own"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(
            with_workload("kind: Service\n", "")
                .contains("web.yaml:10:1: error: expected a Kubernetes object")
        );
        let told = with_workload(
            "metadata: {name: web}\nspec: {selector",
            "metadata: {}\nspec: {selector",
        );
        assert!(told.contains("web.yaml:12:11: error: a Service without a name"), "{told}");
    }

    #[test]
    fn two_of_one_name_are_refused() {
        let again = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Service";
        let told = with_workload("---\napiVersion: v1\nkind: Service", again);
        assert!(told.contains("error: the Service `web` is there twice"), "{told}");
    }

    #[test]
    fn the_items_of_a_list_count() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}";
        let told = with_workload(
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{name: http, port: 80}]}",
            list,
        );
        assert_eq!(told, "");
    }
}

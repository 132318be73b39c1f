//! One object of a workload, and its place in its file.

use std::sync::Arc;

use serde_json::Value;

use super::fields::{self, Misspelt};
use super::kinds::{self, Unserved};
use crate::yaml::json;
use crate::yaml::tree::{self, Node, quoted};
use crate::yaml::{Diagnostic, SourceFile, Span};

/// An object: its API version, kind and name are there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    file: Arc<SourceFile>,
    node: Node,
    value: Value,
}

/// Where Kubernetes takes texts only, and YAML easily makes a number or a boolean.
const TEXTS: &[&str] = &[
    "metadata.labels",
    "metadata.annotations",
    "spec.selector.matchLabels",
    "spec.template.metadata.labels",
    "spec.template.metadata.annotations",
    "spec.template.spec.nodeSelector",
    "spec.nodeSelector",
];

impl Object {
    /// The objects of a document: of a list its items. Problems have their places.
    pub(super) fn read(
        file: &Arc<SourceFile>,
        node: &Node,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<Self> {
        Self::with_defaults(file, node, None, problems)
    }

    /// The items of a typed list (`PodList`) may leave out what the list says.
    fn with_defaults(
        file: &Arc<SourceFile>,
        node: &Node,
        list: Option<(&str, &str)>,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<Self> {
        let named = |field| node.text_at(field).filter(|text| !text.is_empty());
        let types = match (named("apiVersion"), named("kind")) {
            (Some(version), Some(kind)) => Some((version, kind)),
            (None, None) => list,
            _ => None,
        };
        let is_mapping = matches!(node.value, tree::Value::Map(_));
        let Some((version, kind)) = types.filter(|_| is_mapping) else {
            let message = "expected a Kubernetes object: it needs `apiVersion` and `kind`";
            problems.push(Diagnostic::error(message).at(file, node.focus()));
            return Vec::new();
        };
        // As kubectl recognises a list.
        if let Some(items) = node.get("items") {
            let item = kind.strip_suffix("List").unwrap_or(kind);
            // A plain `List` says nothing of its items.
            let item = (!item.is_empty()).then_some((version, item));
            let read = |node| Self::with_defaults(file, node, item, problems);
            return items.items().iter().flat_map(read).collect();
        }
        let mut value = json::of_node(node);
        value["apiVersion"] = version.into();
        value["kind"] = kind.into();
        let object = Self { file: file.clone(), node: node.clone(), value };
        if object.value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
            problems.push(object.unnamed());
            return Vec::new();
        }
        problems.extend(object.not_texts());
        vec![object]
    }

    fn unnamed(&self) -> Diagnostic {
        match &self.value["metadata"]["name"] {
            Value::Number(_) | Value::Bool(_) => self
                .error("metadata.name", "YAML reads this name as a number or a boolean".into())
                .hint("put it in quotes"),
            _ => self.error("metadata", format!("{} without a name", with_article(self.kind()))),
        }
    }

    /// What the API server would refuse of it: its type, or misspelt fields.
    pub(crate) fn schema_problems(&self) -> Vec<Diagnostic> {
        let what = |which: &str| {
            format!("{which} has no kind {} in `{}`", quoted(self.kind()), self.api_version())
        };
        match kinds::unserved(self.api_version(), self.kind()) {
            Some(Unserved::Never { hint }) => {
                vec![self.error("kind", what("Kubernetes")).hint_if(hint)]
            }
            Some(Unserved::OtherVersion { hint }) => {
                vec![self.warning(self.span("apiVersion"), what("Kubernetes 1.34")).hint(hint)]
            }
            None => self.misspelt(),
        }
    }

    fn misspelt(&self) -> Vec<Diagnostic> {
        let object = format!("the {} {}", self.kind(), quoted(self.name()));
        let problem = |slip: Misspelt| {
            let message = format!("unknown field {} in {object}", quoted(slip.name));
            let at = slip.node.key.unwrap_or(slip.node.focus());
            self.warning(at, message).hint(format!("did you mean `{}`?", slip.meant))
        };
        let found = fields::misspelt(self.api_version(), self.kind(), &self.node);
        found.into_iter().map(problem).collect()
    }

    fn warning(&self, at: Span, message: String) -> Diagnostic {
        Diagnostic::warning(message).at(&self.file, at)
    }

    /// Whether it lives outside of namespaces.
    pub(crate) fn is_cluster_scoped(&self) -> bool {
        kinds::is_cluster_scoped(self.kind())
    }

    fn not_texts(&self) -> Vec<Diagnostic> {
        let service = (self.kind() == "Service").then_some("spec.selector");
        let data = (self.kind() == "ConfigMap").then_some("data");
        let mut problems = Vec::new();
        for path in TEXTS.iter().copied().chain(service).chain(data) {
            for (key, value) in self.at(path).as_object().into_iter().flatten() {
                if matches!(value, Value::Number(_) | Value::Bool(_)) {
                    let what = if value.is_boolean() { "boolean" } else { "number" };
                    let node = self.node.find(path).0;
                    let place = node.get(key).map_or(node.focus(), Node::focus);
                    let message = format!("{} must be a string, not a {what}", quoted(key));
                    let problem = Diagnostic::error(message).at(&self.file, place);
                    problems.push(problem.hint("put the value in quotes"));
                }
            }
        }
        problems
    }

    pub(crate) fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    pub(crate) fn group(&self) -> &str {
        self.api_version().rsplit_once('/').map_or("", |(group, _)| group)
    }

    pub(crate) fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// `Deployment/web`
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    pub(crate) fn json(&self) -> &Value {
        &self.value
    }

    pub(crate) fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    /// The place of a field such as `metadata.name`, or of the nearest field around it.
    pub(crate) fn span(&self, path: &str) -> Span {
        self.node.find(path).0.focus()
    }

    pub(crate) fn error(&self, path: &str, message: String) -> Diagnostic {
        Diagnostic::error(message).at(&self.file, self.span(path))
    }

    /// The value at a path; null where there is none.
    pub(super) fn at(&self, path: &str) -> &Value {
        path.split('.').fold(&self.value, |value, step| &value[step])
    }
}

/// "a Service", "an Ingress".
pub(crate) fn with_article(kind: &str) -> String {
    format!("{} {kind}", if kind.starts_with(['A', 'E', 'I', 'O']) { "an" } else { "a" })
}

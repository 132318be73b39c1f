//! The objects of a workload as its files have them, before a server has seen them.

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

/// A file of a workload that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub(crate) struct ManifestError {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// One object of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ManifestObject {
    /// The file that it is from.
    pub file: String,
    /// The object.
    pub object: DynamicObject,
}

impl ManifestObject {
    /// Its kind and name: `Deployment/web`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind(), self.object.name_any())
    }

    /// Its apiVersion.
    pub(super) fn api_version(&self) -> &str {
        self.object.types.as_ref().map_or("", |types| &types.api_version)
    }

    /// Its kind.
    pub(super) fn kind(&self) -> &str {
        self.object.types.as_ref().map_or("", |types| &types.kind)
    }

    /// A mistake in it.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> ManifestError {
        ManifestError { file: self.file.clone(), why: format!("{}: {why}", self.label()) }
    }
}

/// All objects of a workload's files, in the files' order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    objects: Vec<ManifestObject>,
}

impl Manifest {
    /// Reads files (name and text): several documents each, `List`s taken apart. Errors with all problems at once: what is no
    /// YAML, no object, has no name, has a namespace of its own, or is there twice.
    pub(crate) fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<ManifestError>> {
        let (mut objects, mut problems) = (Vec::<ManifestObject>::new(), Vec::new());
        for (file, text) in files {
            let error = |why: String| ManifestError { file: file.to_owned(), why };
            let documents: Vec<Value> = match serde_saphyr::from_multiple(text) {
                Ok(documents) => documents,
                Err(why) => {
                    problems.push(error(why.to_string()));
                    continue;
                }
            };
            for value in documents.into_iter().filter(|value| !value.is_null()).flat_map(unfold) {
                match read(file, value) {
                    Ok(object) if objects.iter().any(|have| same(have, &object)) => {
                        problems.push(object.error("is there twice"));
                    }
                    Ok(object) => objects.push(object),
                    Err(why) => problems.push(error(why)),
                }
            }
        }
        if problems.is_empty() { Ok(Self { objects }) } else { Err(problems) }
    }

    /// The objects.
    pub(crate) fn objects(&self) -> &[ManifestObject] {
        &self.objects
    }

    /// Kinds and names, in order: what `apply` would create.
    #[cfg(test)]
    pub(crate) fn summary(&self) -> Vec<String> {
        self.objects.iter().map(ManifestObject::label).collect()
    }
}

fn same(a: &ManifestObject, b: &ManifestObject) -> bool {
    a.api_version() == b.api_version() && a.label() == b.label()
}

/// A `List` (of any kind) is its items.
fn unfold(value: Value) -> Vec<Value> {
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match value {
        Value::Object(mut list) if is_list && list.get("items").is_some_and(Value::is_array) => {
            match list.remove("items") {
                Some(Value::Array(items)) => items.into_iter().flat_map(unfold).collect(),
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

fn read(file: &str, value: Value) -> Result<ManifestObject, String> {
    for field in ["apiVersion", "kind"] {
        if value[field].as_str().is_none_or(str::is_empty) {
            return Err(format!("an object lacks `{field}`"));
        }
    }
    let kind = value["kind"].as_str().unwrap_or_default().to_owned();
    let object: DynamicObject = serde_json::from_value(value)
        .map_err(|error| format!("an object of kind {kind}: {error}"))?;
    let object = ManifestObject { file: file.to_owned(), object };
    if object.object.metadata.name.as_deref().is_none_or(str::is_empty) {
        return Err(format!("an object of kind {kind} lacks `metadata.name`"));
    }
    if let Some(namespace) = &object.object.metadata.namespace {
        return Err(format!(
            "{} has the namespace {namespace}; leave it out: each run has a namespace of its own",
            object.label()
        ));
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let first = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n---\napiVersion: v1\nkind: List\nitems:\n\
            - {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}\n- {apiVersion: v1, kind: Pod, metadata: {name: client}}\n";
        let manifest = Manifest::parse([("a.yaml", first), ("b.yaml", "")]).unwrap();
        assert_eq!(manifest.summary(), ["Service/web", "Deployment/web", "Pod/client"]);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\nkind: Pod\n---\n\
            apiVersion: v1\nkind: Pod\nmetadata: {}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: default}\n";
        let problems = Manifest::parse([("a.yaml", text), ("b.yaml", "a: [")]).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "a.yaml: Pod/a: is there twice");
        assert_eq!(texts[1], "a.yaml: an object lacks `apiVersion`");
        assert_eq!(texts[2], "a.yaml: an object of kind Pod lacks `metadata.name`");
        assert!(
            texts[3].starts_with("a.yaml: Pod/b has the namespace default; leave it out"),
            "{}",
            texts[3]
        );
        assert!(texts[4].starts_with("b.yaml: "), "{}", texts[4]);
        assert_eq!(texts.len(), 5);
    }
}

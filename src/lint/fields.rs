//! Fields that nobody reads: misspelt, or at a level where they mean nothing.

use super::extra_args;
use super::schema::{CLUSTER, DOCUMENTS, Shape};
use super::told::Told;
use crate::experiment::tree::{Node, Value, quoted};
use crate::yaml::suggest;

/// Who reads a mapping, and so what becomes of a field that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// kind refuses the whole file.
    Kind,
    /// kubeadm and the kubelet write a line to a log, and go on.
    Kubernetes,
}

/// Whether a document is a kind config; if not, it is told.
pub(super) fn is_kind_config(told: &mut Told, root: &Node) -> bool {
    let (kind, version) = (root.text_at("kind"), root.text_at("apiVersion"));
    let group = version.is_some_and(|version| version.starts_with("kind.x-k8s.io/"));
    let hint = "it begins with `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`";
    if kind != Some("Cluster") || !group {
        told.error(root.focus(), "this is no kind config").hint(hint);
        return false;
    }
    if version != Some("kind.x-k8s.io/v1alpha4") {
        told.error(root.find("apiVersion").0.focus(), "kind knows only `kind.x-k8s.io/v1alpha4`")
            .hint(hint);
    }
    true
}

/// Tells the fields of a mapping, and of those within it, that are not known.
pub(super) fn check(told: &mut Told, node: &Node, shape: &'static Shape, reader: Reader) {
    check_below(told, node, &mut vec![shape], reader);
}

fn check_below(told: &mut Told, node: &Node, path: &mut Vec<&'static Shape>, reader: Reader) {
    let shape = path[path.len() - 1];
    if let Value::List(items) = &node.value {
        return items.iter().for_each(|item| check_below(told, item, path, reader));
    }
    let Value::Map(entries) = &node.value else {
        if !node.is_null() {
            told.error(
                node.focus(),
                format!("expected {} (a mapping), found {}", shape.what, node.described()),
            );
        }
        return;
    };
    for (key, value) in entries {
        if !shape.fields.contains(&key.as_str()) {
            unknown(told, key, value, path, reader);
        } else if let Some((_, inner)) = shape.within.iter().find(|(name, _)| name == key) {
            path.push(inner);
            check_below(told, value, path, reader);
            path.pop();
        }
    }
}

fn unknown(told: &mut Told, key: &str, value: &Node, path: &[&'static Shape], reader: Reader) {
    let shape = path[path.len() - 1];
    let at = value.key.unwrap_or(value.focus());
    let hint = home(key, path).or_else(|| {
        suggest::closest(key, shape.fields.iter().copied())
            .map(|near| format!("did you mean `{near}`?"))
    });
    match reader {
        Reader::Kind => told
            .error(at, format!("unknown field {} in {}: kind refuses it", quoted(key), shape.what))
            .hint_if(hint),
        Reader::Kubernetes if hint.is_some() => {
            told.error(
                at,
                format!("unknown field {} in {}: it has no effect", quoted(key), shape.what),
            )
            .hint_if(hint);
        }
        // A newer Kubernetes may have it.
        Reader::Kubernetes => {
            let message = format!(
                "unknown field {} in {}: Kubernetes 1.34 has none such, and would ignore it",
                quoted(key),
                shape.what
            );
            told.warn(at, message);
        }
    }
}

/// Where a field would be right.
fn home(key: &str, path: &[&'static Shape]) -> Option<String> {
    let (shape, around) = path.split_last()?;
    let deeper: Vec<&str> = shape
        .within
        .iter()
        .filter(|(_, inner)| inner.fields.contains(&key))
        .map(|(name, _)| *name)
        .collect();
    if !deeper.is_empty() {
        return Some(format!(
            "it belongs into {}: is it indented enough?",
            suggest::listed(&deeper, "or")
        ));
    }
    if let Some(outer) = around.iter().rev().find(|outer| outer.fields.contains(&key)) {
        return Some(format!("it belongs to {}: is it indented too far?", outer.what));
    }
    if shape.fields.contains(&"extraArgs") && key.contains('-') {
        return Some("flags stand below `extraArgs`, indented deeper".to_owned());
    }
    if let Some(owner) = extra_args::owner(key).filter(|owner| shape.fields.contains(owner)) {
        return Some(format!(
            "it is a flag, and belongs below `extraArgs` of `{owner}`: is it indented enough?"
        ));
    }
    let document = DOCUMENTS.iter().find(|document| document.shape.fields.contains(&key));
    document.filter(|_| path[0].what == CLUSTER.what).map(|document| {
        format!("it belongs into a patch of kind {}: the patch's text must be indented deeper than its `- |`", document.kind)
    })
}

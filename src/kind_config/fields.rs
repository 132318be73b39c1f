//! Fields that nobody reads: misspelt, or at a level where they mean nothing.

use super::known_flags;
use super::problems::Problems;
use super::schema::{CLUSTER, DOCUMENTS, Shape, Type};
use super::values;
use crate::yaml::suggest;
use crate::yaml::tree::{Node, Value, quoted};

/// Who reads a mapping, and so what becomes of a field that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// kind refuses the whole file.
    Kind,
    /// kubeadm and the kubelet write a line to a log, and go on.
    Kubernetes,
}

/// Whether a document is a kind config; if not, it is problems.
pub(super) fn is_kind_config(problems: &mut Problems, root: &Node) -> bool {
    let (kind, version) = (root.text_at("kind"), root.text_at("apiVersion"));
    let group = version.is_some_and(|version| version.starts_with("kind.x-k8s.io/"));
    let hint = "it begins with `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`";
    if kind != Some("Cluster") || !group {
        problems.error(root.focus(), "this is not a kind config").hint(hint);
        return false;
    }
    if version != Some("kind.x-k8s.io/v1alpha4") {
        problems
            .error(root.find("apiVersion").0.focus(), "kind knows only `kind.x-k8s.io/v1alpha4`")
            .hint(hint);
    }
    true
}

/// Reports the fields of a mapping, and of those within it, that are not known or hold another
/// type.
pub(super) fn check(problems: &mut Problems, node: &Node, shape: &'static Shape, reader: Reader) {
    check_below(problems, node, &mut vec![shape], reader);
}

fn check_below(
    problems: &mut Problems,
    node: &Node,
    path: &mut Vec<&'static Shape>,
    reader: Reader,
) {
    let shape = path[path.len() - 1];
    if let Value::List(items) = &node.value {
        return items.iter().for_each(|item| check_below(problems, item, path, reader));
    }
    let Value::Map(entries) = &node.value else {
        if !node.is_null() {
            problems.error(
                node.focus(),
                format!("expected {} (a mapping), found {}", shape.what, node.described()),
            );
        }
        return;
    };
    for (key, value) in entries {
        if !shape.has(key) {
            unknown(problems, key, value, path, reader);
            continue;
        }
        match shape.type_of(key) {
            Some(Type::Many(_)) if !value.is_null() && !matches!(value.value, Value::List(_)) => {
                problems.mistyped(key, value, "a list");
            }
            Some(Type::One(inner) | Type::Many(inner)) => {
                path.push(inner);
                check_below(problems, value, path, reader);
                path.pop();
            }
            Some(kind) => values::check_type(problems, key, value, kind),
            None => {}
        }
    }
}

fn unknown(
    problems: &mut Problems,
    key: &str,
    value: &Node,
    path: &[&'static Shape],
    reader: Reader,
) {
    let shape = path[path.len() - 1];
    let at = value.key.unwrap_or(value.focus());
    let hint = home(key, path).or_else(|| {
        suggest::closest(key, shape.names()).map(|near| format!("did you mean `{near}`?"))
    });
    match reader {
        Reader::Kind => problems
            .error(at, format!("unknown field {} in {}: kind refuses it", quoted(key), shape.what))
            .hint_if(hint),
        Reader::Kubernetes if hint.is_some() => {
            problems
                .error(
                    at,
                    format!("unknown field {} in {}: it has no effect", quoted(key), shape.what),
                )
                .hint_if(hint);
        }
        // A newer Kubernetes may have it.
        Reader::Kubernetes => {
            let message = format!(
                "unknown field {} in {}: Kubernetes 1.34 does not have it and ignores it",
                quoted(key),
                shape.what
            );
            problems.warn(at, message);
        }
    }
}

/// Where a field would be right.
fn home(key: &str, path: &[&'static Shape]) -> Option<String> {
    let (shape, around) = path.split_last()?;
    let deeper: Vec<&str> =
        shape.within().filter(|(_, inner)| inner.has(key)).map(|(name, _)| name).collect();
    if !deeper.is_empty() {
        return Some(format!(
            "it belongs in {}: is it indented enough?",
            suggest::listed(&deeper, "or")
        ));
    }
    if let Some(outer) = around.iter().rev().find(|outer| outer.has(key)) {
        return Some(format!("it belongs to {}: is it indented too far?", outer.what));
    }
    if shape.has("extraArgs") && key.contains('-') {
        return Some("flags go below `extraArgs`, indented deeper".to_owned());
    }
    if let Some(owner) = known_flags::owner(key).filter(|owner| shape.has(owner)) {
        return Some(format!(
            "it is a flag and belongs below `extraArgs` of `{owner}`: is it indented enough?"
        ));
    }
    let document = DOCUMENTS.iter().find(|document| document.shape.has(key));
    document.filter(|_| path[0].what == CLUSTER.what).map(|document| {
        format!("it belongs in a patch of kind {}: the patch's text must be indented deeper than its `- |`", document.kind)
    })
}

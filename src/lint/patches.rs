//! The patches of a kind config: which document each is for, and whether anybody reads it.
//!
//! kind writes kubeadm's configuration for each node, applies the cluster's patches to it and then the node's own, and keeps silent
//! about a patch that fits no document (`pkg/internal/patch`). `kubeadm init`, on the first control plane, reads all documents but the
//! JoinConfiguration; `kubeadm join`, on all others, reads only that one (`joinconfiguration.go`) and takes the rest from the cluster.

use super::fields::{self, Reader};
use super::nodes::Nodes;
use super::schema::{DOCUMENTS, Document, KUBEADM};
use super::told::Told;
use crate::experiment::tree::{Node, Value, quoted};
use crate::experiment::{Diagnostics, SourceFile, Span};
use crate::timeline::minor_version;
use crate::yaml;
use crate::yaml::suggest;

/// Whom a patch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Every node.
    Cluster,
    /// One node, by its place in the file.
    Node(usize),
}

/// A patch that has an effect.
#[derive(Clone, Debug)]
pub(super) struct Patch {
    /// Whom it is for.
    pub level: Level,
    /// What it patches.
    pub document: &'static Document,
    /// What it says.
    pub root: Node,
}

/// The patches that have an effect, in the order in which kind applies them; the others are told.
pub(super) fn read(told: &mut Told, config: &Node, nodes: &Nodes) -> Vec<Patch> {
    let mut found = Vec::new();
    level(told, config, Level::Cluster, nodes, &mut found);
    for (index, node) in config.get("nodes").map(Node::items).unwrap_or_default().iter().enumerate()
    {
        level(told, node, Level::Node(index), nodes, &mut found);
    }
    found
}

fn level(told: &mut Told, node: &Node, level: Level, nodes: &Nodes, found: &mut Vec<Patch>) {
    if let Some(patches) = node.get("kubeadmConfigPatches").filter(|patches| !patches.is_null()) {
        if !matches!(patches.value, Value::List(_)) {
            told.error(
                patches.focus(),
                format!(
                    "expected a list of patches, found {}: kind refuses it",
                    patches.described()
                ),
            )
            .hint("each patch begins with `- |`");
        }
        patches.items().iter().for_each(|patch| one(told, patch, level, nodes, found));
    }
    for patch in node.get("kubeadmConfigPatchesJSON6902").map(Node::items).unwrap_or_default() {
        json_patch(told, patch);
    }
}

fn one(told: &mut Told, patch: &Node, level: Level, nodes: &Nodes, found: &mut Vec<Patch>) {
    if let Value::Map(_) | Value::List(_) = patch.value {
        told.error(
            patch.focus(),
            format!("a patch is a text, found {}: kind refuses it", patch.described()),
        )
        .hint("begin it with `- |` and put its text below, indented deeper");
        return;
    }
    let mut problems = Diagnostics::default();
    let documents = yaml::inner::documents(told.file(), patch, &mut problems);
    if documents.is_empty() && problems.is_empty() {
        told.error(before(told.file(), patch.span), "the patch is empty")
            .hint("its text must be indented deeper than its `- |`");
    }
    told.extend(problems);
    for root in documents {
        let Some(document) = document(told, &root, nodes) else { continue };
        fields::check(told, &root, document.shape, Reader::Kubernetes);
        if is_read(told, &root, document, level, nodes) {
            found.push(Patch { level, document, root });
        }
    }
}

/// Of a text that is empty, the sign before it (`|`): the text itself would begin on the next line.
fn before(file: &SourceFile, span: Span) -> Span {
    let end = file.text[..span.start].trim_end().len();
    Span::of_bytes(&file.text, end.saturating_sub(1), end)
}

/// The document that a patch fits, by kind and, where it has one, by version.
fn document(told: &mut Told, root: &Node, nodes: &Nodes) -> Option<&'static Document> {
    if !matches!(root.value, Value::Map(_)) {
        told.error(root.focus(), format!("a patch is a mapping, found {}", root.described()));
        return None;
    }
    let kinds: Vec<&str> = DOCUMENTS.iter().map(|document| document.kind).collect();
    let Some(kind) = root.text_at("kind") else {
        told.error(
            root.focus(),
            "a patch without `kind:`: kind applies it to nothing, without a word",
        )
        .hint_if(suggest::hint("", &kinds, "the kinds are"));
        return None;
    };
    let Some(document) = DOCUMENTS.iter().find(|document| document.kind == kind) else {
        let message =
            format!("a patch of kind {}: kind applies it to nothing, without a word", quoted(kind));
        told.error(root.find("kind").0.focus(), message).hint_if(suggest::hint(
            kind,
            &kinds,
            "the kinds are",
        ));
        return None;
    };
    version_fits(told, root, document, nodes).then_some(document)
}

fn version_fits(told: &mut Told, root: &Node, document: &Document, nodes: &Nodes) -> bool {
    let Some(version) = root.text_at("apiVersion") else { return true };
    let wanted = match document.group {
        KUBEADM => format!("{KUBEADM}/{}", kubeadm_version(&nodes.kubernetes)),
        other => other.to_owned(),
    };
    if version != wanted {
        let message = format!(
            "kind writes `{wanted}` for Kubernetes {}: a patch of {} is applied to nothing, without a word",
            nodes.kubernetes,
            quoted(version)
        );
        told.error(root.find("apiVersion").0.focus(), message)
            .hint("leave `apiVersion` out: kind then looks at the kind alone");
    }
    version == wanted
}

/// The version of kubeadm's configuration that kind writes: v1beta2 before Kubernetes 1.23, v1beta4 since 1.36 (kind 0.33).
pub(super) fn kubeadm_version(kubernetes: &str) -> &'static str {
    match minor_version(kubernetes) {
        Some(minor) if minor < 23 => "v1beta2",
        Some(minor) if minor >= 36 => "v1beta4",
        _ => "v1beta3",
    }
}

fn is_read(told: &mut Told, root: &Node, document: &Document, level: Level, nodes: &Nodes) -> bool {
    let Level::Node(index) = level else { return true };
    let Some(node) = nodes.all.get(index) else { return false };
    let first = nodes.first_control_plane() == Some(index);
    let join = document.kind == "JoinConfiguration";
    if first != join {
        return true;
    }
    let at = root.find("kind").0.focus();
    if join {
        told.error(
            at,
            format!(
                "a JoinConfiguration has no effect on {}: it does not join, it makes the cluster",
                node.name
            ),
        )
        .hint("an InitConfiguration is read there");
    } else {
        let message = format!(
            "{} has no effect on {}: only the first control plane's is read, the others take it from the cluster",
            document.shape.what, node.name
        );
        told.error(at, message)
            .hint("put the patch at the top level, or on the first control plane");
    }
    false
}

/// Settings in a JSON patch are not looked at, here and by `run`.
fn json_patch(told: &mut Told, patch: &Node) {
    const WATCHED: &[&str] = &["node-monitor", "nodeStatus", "nodeLease", "node-status-update"];
    let text = patch.text_at("patch").unwrap_or_default();
    if WATCHED.iter().any(|name| text.contains(name)) {
        told.warn(patch.focus(), "settings of failure detection in a JSON patch are not read here")
            .hint("put them into kubeadmConfigPatches");
    }
}

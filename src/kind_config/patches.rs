//! The patches of a kind config: which document each one is for, and whether anything reads it.
//!
//! kind writes kubeadm's configuration for each node, applies the cluster's patches to it and then
//! the node's own, and silently ignores a patch that fits no document (`pkg/internal/patch`).
//! `kubeadm init`, on the first control plane, reads all documents but the JoinConfiguration;
//! `kubeadm join`, on all others, reads only that one (`joinconfiguration.go`) and takes the rest
//! from the cluster.

use json_patch::PatchOperation;

use super::fields::{self, Reader};
use super::nodes::{DeclaredNode, Nodes};
use super::problems::Problems;
use super::schema::{DOCUMENTS, Document, KUBEADM};
use crate::yaml::suggest;
use crate::yaml::tree::{Node, Value, quoted};
use crate::yaml::{self, Diagnostics, SourceFile, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Cluster,
    /// One node, by its place in the file.
    Node(usize),
}

/// The patches that kind applies, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Patches {
    merges: Vec<Patch<Node>>,
    /// JSON patches (RFC 6902).
    json: Vec<Patch<Vec<Operation>>>,
}

#[derive(Clone, Debug)]
struct Patch<T> {
    target: Target,
    content: T,
}

#[derive(Clone, Debug)]
struct Target {
    level: Level,
    document: &'static Document,
    /// With its version; `None`: the kind decides alone.
    api_version: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub operation: PatchOperation,
    pub at: Span,
    pub value: Option<Node>,
}

impl Target {
    fn is(&self, level: Level, kind: &str, node: &DeclaredNode) -> bool {
        self.level == level && self.document.kind == kind && self.fits(node)
    }

    fn fits(&self, node: &DeclaredNode) -> bool {
        let written = written(self.document, node);
        self.api_version.as_ref().is_none_or(|version| *version == written)
    }
}

/// The `apiVersion` of a document that kind writes for a node.
fn written(document: &Document, node: &DeclaredNode) -> String {
    match document.group {
        KUBEADM => format!("{KUBEADM}/{}", node.kubeadm()),
        other => other.to_owned(),
    }
}

impl Patches {
    /// The merge patches of a level for a node's document.
    pub(super) fn merges_for(
        &self,
        level: Level,
        kind: &str,
        node: &DeclaredNode,
    ) -> impl Iterator<Item = &Node> {
        of(&self.merges, level, kind, node)
    }

    /// The JSON patches of a level for a node's document.
    pub(super) fn json_for(
        &self,
        level: Level,
        kind: &str,
        node: &DeclaredNode,
    ) -> impl Iterator<Item = &Vec<Operation>> {
        of(&self.json, level, kind, node)
    }
}

fn of<'p, T>(
    patches: &'p [Patch<T>],
    level: Level,
    kind: &str,
    node: &DeclaredNode,
) -> impl Iterator<Item = &'p T> {
    let is_for_it = move |patch: &&Patch<T>| patch.target.is(level, kind, node);
    patches.iter().filter(is_for_it).map(|patch| &patch.content)
}

/// The patches that kind applies; those that have no effect are reported.
pub(super) fn read(problems: &mut Problems, config: &Node, nodes: &Nodes) -> Patches {
    let mut reader = Reading { problems, nodes, found: Patches::default() };
    reader.level(config, Level::Cluster);
    for (index, node) in config.get("nodes").map(Node::items).unwrap_or_default().iter().enumerate()
    {
        reader.level(node, Level::Node(index));
    }
    reader.found
}

struct Reading<'r, 'f> {
    problems: &'r mut Problems<'f>,
    nodes: &'r Nodes,
    found: Patches,
}

impl Reading<'_, '_> {
    fn level(&mut self, node: &Node, level: Level) {
        if let Some(patches) = node.get("kubeadmConfigPatches").filter(|patches| !patches.is_null())
        {
            if !matches!(patches.value, Value::List(_)) {
                let message = format!(
                    "expected a list of patches, found {}: kind refuses it",
                    patches.described()
                );
                self.problems.error(patches.focus(), message).hint("each patch begins with `- |`");
            }
            patches.items().iter().for_each(|patch| self.merge_patch(patch, level));
        }
        for patch in node.get("kubeadmConfigPatchesJSON6902").map(Node::items).unwrap_or_default() {
            self.json_patch(patch, level);
        }
    }

    fn merge_patch(&mut self, patch: &Node, level: Level) {
        if let Value::Map(_) | Value::List(_) = patch.value {
            let message =
                format!("a patch must be a string, found {}: kind refuses it", patch.described());
            self.problems
                .error(patch.focus(), message)
                .hint("begin it with `- |` and put its text below, indented deeper");
            return;
        }
        for root in self.inside(patch, "the patch is empty") {
            if !matches!(root.value, Value::Map(_)) {
                let message = format!("a patch must be a mapping, found {}", root.described());
                self.problems.error(root.focus(), message);
                continue;
            }
            let Some(document) = self.document(&root, "kind") else { continue };
            let api_version = root.text_at("apiVersion").map(str::to_owned);
            let target = Target { level, document, api_version };
            if !self.fits(
                &target,
                root.find("apiVersion").0.focus(),
                "leave `apiVersion` out: kind then matches by kind alone",
            ) {
                continue;
            }
            fields::check(self.problems, &root, document.shape, Reader::Kubernetes);
            self.is_read(&target, &root);
            let root = self.flags_as_map(root, &target);
            self.found.merges.push(Patch { target, content: root });
        }
    }

    /// The documents inside a patch's text.
    fn inside(&mut self, patch: &Node, if_empty: &str) -> Vec<Node> {
        let file = self.problems.file();
        let mut found = Diagnostics::default();
        let documents = yaml::inner::documents(file, patch, &mut found);
        if documents.is_empty() && found.is_empty() {
            self.problems
                .error(before(file, patch.span), if_empty)
                .hint("its text must be indented deeper than its `- |`");
        }
        self.problems.extend(found);
        documents
    }

    fn document(&mut self, root: &Node, field: &str) -> Option<&'static Document> {
        let kinds: Vec<&str> = DOCUMENTS.iter().map(|document| document.kind).collect();
        let kind = root.text_at(field);
        let found = DOCUMENTS.iter().find(|document| Some(document.kind) == kind);
        if found.is_none() {
            let (at, what) = match kind {
                Some(kind) => (root.find(field).0.focus(), format!("of kind {}", quoted(kind))),
                None => (root.focus(), "without `kind:`".to_owned()),
            };
            self.problems
                .error(at, format!("a patch {what}: kind silently ignores it"))
                .hint_if(suggest::hint(kind.unwrap_or_default(), &kinds, "the kinds are"));
        }
        found
    }

    /// Whether a patch is for a version that kind writes on one of its nodes.
    fn fits(&mut self, target: &Target, at: Span, hint: &str) -> bool {
        let nodes: Vec<&DeclaredNode> = match target.level {
            Level::Cluster => self.nodes.all.iter().collect(),
            Level::Node(index) => self.nodes.all.get(index).into_iter().collect(),
        };
        let fits = nodes.iter().any(|node| target.fits(node));
        if let (false, Some(node), Some(version)) = (fits, nodes.first(), &target.api_version) {
            let message = format!(
                "kind writes `{}` for Kubernetes {} and silently ignores a patch of {}",
                written(target.document, node),
                node.version(),
                quoted(version)
            );
            // Whatever the version turns out to be, a patch that names none is applied.
            self.problems.error(at, message).hint(hint);
        }
        fits
    }

    /// Reports a node's own patch that neither `kubeadm init` nor `kubeadm join` reads there.
    fn is_read(&mut self, target: &Target, root: &Node) {
        let Level::Node(index) = target.level else { return };
        let Some(node) = self.nodes.all.get(index) else { return };
        let is_first = self.nodes.first_control_plane() == Some(index);
        let joins = target.document.kind == "JoinConfiguration";
        let at = root.find("kind").0.focus();
        let (message, hint) = match (is_first, joins) {
            (true, true) => (
                format!(
                    "a JoinConfiguration has no effect on {}, which does not join the cluster \
                     but creates it",
                    node.name
                ),
                "use an InitConfiguration there",
            ),
            (false, false) => (
                format!(
                    "{} has no effect on {}: only the first control plane's is read, the others take it from the cluster",
                    target.document.shape.what, node.name
                ),
                "put the patch at the top level, or on the first control plane",
            ),
            _ => return,
        };
        self.problems.error(at, message).hint(hint);
    }

    /// Flags as a map; kubeadm v1beta4 has a list of names and values.
    fn flags_as_map(&mut self, root: Node, target: &Target) -> Node {
        let node = match target.level {
            Level::Cluster => self.nodes.first_control_plane().unwrap_or(0),
            Level::Node(index) => index,
        };
        let Some(node) = self.nodes.all.get(node) else { return root };
        let Value::Map(entries) = root.value else { return root };
        let mut entries = entries;
        for (_, component) in &mut entries {
            let Value::Map(fields) = &mut component.value else { continue };
            let named = |(name, _): &&mut (String, Node)| {
                matches!(name.as_str(), "extraArgs" | "kubeletExtraArgs")
            };
            for (_, flags) in fields.iter_mut().filter(named) {
                let Value::List(items) = &flags.value else { continue };
                if node.kubeadm() != "v1beta4" {
                    flags_are_a_map(self.problems, node, flags.focus());
                }
                let flag = |item: &Node| {
                    let name = item.get("name")?;
                    let value = Node { key: Some(name.span), ..item.get("value")?.clone() };
                    Some((name.text()?.to_owned(), value))
                };
                flags.value = Value::Map(items.iter().filter_map(flag).collect());
            }
        }
        Node { value: Value::Map(entries), ..root }
    }

    fn json_patch(&mut self, patch: &Node, level: Level) {
        let Some(document) = self.document(patch, "kind") else { return };
        let (group, version) = (
            patch.text_at("group").unwrap_or_default(),
            patch.text_at("version").unwrap_or_default(),
        );
        let api_version = match (group, version) {
            ("", "") => None,
            ("", version) => Some(version.to_owned()),
            (group, version) => Some(format!("{group}/{version}")),
        };
        let target = Target { level, document, api_version };
        let at = patch.get("version").or(patch.get("group")).unwrap_or(patch).focus();
        if !self.fits(
            &target,
            at,
            "leave `group` and `version` out: kind then matches by kind alone",
        ) {
            return;
        }
        let Some(text) = patch.get("patch").filter(|text| !text.is_null()) else {
            self.problems.error(patch.focus(), "the patch has no `patch:`");
            return;
        };
        let operations: Vec<Operation> = match self.inside(text, "the patch is empty").as_slice() {
            [list] if matches!(list.value, Value::List(_)) => {
                list.items().iter().filter_map(|item| self.operation(item)).collect()
            }
            [other, ..] => {
                let message = format!(
                    "a JSON patch must be a list of operations, found {}",
                    other.described()
                );
                self.problems.error(other.focus(), message).hint(
                    "such as `[{op: add, path: /controllerManager/extraArgs/v, value: \"4\"}]`",
                );
                return;
            }
            [] => return,
        };
        self.is_read(&target, patch);
        self.found.json.push(Patch { target, content: operations });
    }

    fn operation(&mut self, item: &Node) -> Option<Operation> {
        match serde_json::from_value(yaml::json::of_node(item)) {
            Ok(operation) => {
                Some(Operation { operation, at: item.focus(), value: item.get("value").cloned() })
            }
            Err(why) => {
                let message = format!("not an operation of a JSON patch: {why}; kind refuses it");
                self.problems.error(item.focus(), message).hint(
                    "an operation has `op` (add, remove, replace, move, copy or test), `path`, \
                     and usually `value`",
                );
                None
            }
        }
    }
}

/// Reports flags in the form of another kubeadm.
pub(super) fn flags_are_a_map(problems: &mut Problems, node: &DeclaredNode, at: Span) {
    let message = format!(
        "a list of flags is the form of kubeadm v1beta4, and kind writes {} for Kubernetes {}: kubeadm refuses it",
        node.kubeadm(),
        node.version()
    );
    node.error_of_version(problems, at, message)
        .hint("write a map, `flag: value`: kind turns it into a list where kubeadm wants one");
}

/// Of a text that is empty, the sign before it (`|`): the text itself would begin on the next line.
fn before(file: &SourceFile, span: Span) -> Span {
    let end = file.text[..span.start].trim_end().len();
    Span::of_bytes(&file.text, end.saturating_sub(1), end)
}

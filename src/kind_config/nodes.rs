//! The nodes of a kind config, named as kind names them, and the version of Kubernetes that each
//! runs.

use super::problems::{Latest, Problems};
use super::{Kubernetes, labels};
use crate::timeline::{NodeRole, minor_version};
use crate::yaml::tree::{Node, Value, quoted};
use crate::yaml::{Span, suggest};

/// What the file says about its nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nodes {
    pub cluster: String,
    pub is_named: bool,
    /// In the file's order. A file without nodes means one control plane.
    pub all: Vec<DeclaredNode>,
    /// Whether no image names the version.
    pub kubernetes_is_assumed: bool,
}

/// One node, before patches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DeclaredNode {
    pub name: String,
    pub role: NodeRole,
    pub kubernetes: String,
    /// Whether that is a guess: its image does not tell, and nobody else did.
    pub kubernetes_is_assumed: bool,
    /// The file's `labels`, as kind hands them to the kubelet.
    pub labels: Vec<(String, String)>,
}

impl Nodes {
    /// The node on which `kubeadm init` runs.
    pub(super) fn first_control_plane(&self) -> Option<usize> {
        self.all.iter().position(|node| node.role == NodeRole::ControlPlane)
    }

    /// The version of the first control plane.
    pub(super) fn kubernetes(&self) -> &str {
        &self.all[self.first_control_plane().unwrap_or(0)].kubernetes
    }
}

impl DeclaredNode {
    pub(super) fn version(&self) -> String {
        match self.kubernetes_is_assumed {
            true => format!("{} (assumed: no node image names a version)", self.kubernetes),
            false => self.kubernetes.clone(),
        }
    }

    /// An error if its version is what the file says; a warning where it is assumed, since another
    /// one may take it.
    pub(super) fn error_of_version<'p>(
        &self,
        problems: &'p mut Problems<'_>,
        at: Span,
        message: impl Into<String>,
    ) -> Latest<'p> {
        match self.kubernetes_is_assumed {
            true => problems.warn(at, message),
            false => problems.error(at, message),
        }
    }

    /// The version of kubeadm's configuration that kind writes: v1beta2 before Kubernetes 1.23,
    /// v1beta4 since 1.36 (kind 0.33).
    pub(super) fn kubeadm(&self) -> &'static str {
        match minor_version(&self.kubernetes) {
            Some(minor) if minor < 23 => "v1beta2",
            Some(minor) if minor >= 36 => "v1beta4",
            _ => "v1beta3",
        }
    }
}

/// A node is named after cluster and role, `-control-plane12` at the longest, and a node's name has
/// at most 63 characters.
const LONGEST_NAME: usize = 47;

/// Reads them. Roles that do not exist, a cluster without control plane and images of several
/// versions are reported.
pub(super) fn read(problems: &mut Problems, root: &Node, kubernetes: Kubernetes<'_>) -> Nodes {
    let cluster = root.text_at("name").filter(|name| !name.is_empty());
    if let Some(why) = cluster.and_then(wrong_name) {
        problems
            .error(
                root.find("name").0.focus(),
                format!(
                    "{} cannot be a cluster's name: {why}",
                    quoted(cluster.unwrap_or_default())
                ),
            )
            .hint("lowercase letters, digits, `.` and `-`");
    }
    let is_named = cluster.is_some();
    let cluster = cluster.unwrap_or("kind").to_owned();
    let items = root.get("nodes").map(Node::items).unwrap_or_default();
    let mut images = images(problems, items);
    if !matches!(kubernetes, Kubernetes::Default(_)) {
        images.fill(None);
    }
    let of_image = images.iter().flatten().next().copied();
    let first = items.iter().position(|item| role_of(item) == Some(NodeRole::ControlPlane));
    let of_cluster = first.and_then(|first| images[first]).or(of_image);
    let (version, is_given) = match kubernetes {
        Kubernetes::Exactly(version) => (version, true),
        Kubernetes::Default(version) | Kubernetes::Guess(version) => {
            (of_cluster.unwrap_or(version), false)
        }
    };
    let mut all: Vec<DeclaredNode> = Vec::new();
    for (item, image) in items.iter().zip(&images) {
        let role = role(problems, item);
        let same = all.iter().filter(|node| node.role == role).count() + 1;
        let number = if same == 1 { String::new() } else { same.to_string() };
        all.push(DeclaredNode {
            name: format!("{cluster}-{}{number}", role.name()),
            role,
            kubernetes: image.unwrap_or(version).to_owned(),
            kubernetes_is_assumed: image.is_none() && !is_given,
            labels: labels(problems, item),
        });
    }
    if all.is_empty() {
        all.push(DeclaredNode {
            name: format!("{cluster}-control-plane"),
            role: NodeRole::ControlPlane,
            kubernetes: version.to_owned(),
            kubernetes_is_assumed: !is_given,
            labels: Vec::new(),
        });
    }
    control_planes(problems, root, items, &all);
    Nodes { cluster, is_named, all, kubernetes_is_assumed: of_image.is_none() && !is_given }
}

/// Why a name is not one for a cluster.
pub(super) fn wrong_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.chars().all(allowed) {
        Some("kind refuses it")
    } else if name.len() > LONGEST_NAME {
        Some("with more than 47 characters its nodes' names are too long")
    } else {
        name.starts_with(['-', '.']).then_some("the nodes' names would not be valid")
    }
}

/// No control plane, or a number of them that does not do what it seems to.
fn control_planes(problems: &mut Problems, root: &Node, items: &[Node], all: &[DeclaredNode]) {
    let at = root.find("nodes").0.focus();
    let count = all.iter().filter(|node| node.role == NodeRole::ControlPlane).count();
    if count == 0 {
        problems
            .error(at, "there is no control-plane node: kind refuses it")
            .hint("add `- role: control-plane`");
    }
    if count < 2 {
        return;
    }
    for item in items.iter().filter(|item| item.text_at("role").is_none()) {
        problems
            .warn(item.focus(), format!("a node without `role` is a control plane, one of {count} here"))
            .hint("if this belongs to the node above, its `- ` is one too many; otherwise add a `role:`");
    }
    if count.is_multiple_of(2) {
        let message = format!(
            "{count} control planes tolerate no more failures than {}: etcd needs a majority",
            count - 1
        );
        problems.warn(at, message).hint("use an odd number of control planes");
    }
}

fn role_of(node: &Node) -> Option<NodeRole> {
    match node.text_at("role") {
        None | Some("" | "control-plane") => Some(NodeRole::ControlPlane),
        Some("worker") => Some(NodeRole::Worker),
        Some(_) => None,
    }
}

fn role(problems: &mut Problems, node: &Node) -> NodeRole {
    role_of(node).unwrap_or_else(|| {
        let role = node.text_at("role").unwrap_or_default();
        problems
            .error(
                node.find("role").0.focus(),
                format!("unknown node role {}: kind refuses it", quoted(role)),
            )
            .hint("`control-plane` or `worker`");
        // As it was probably meant, so that one slip is one problem.
        match suggest::closest(role, ["control-plane"]) {
            Some(_) => NodeRole::ControlPlane,
            None => NodeRole::Worker,
        }
    })
}

fn labels(problems: &mut Problems, node: &Node) -> Vec<(String, String)> {
    let Some(Value::Map(entries)) = node.get("labels").map(|labels| &labels.value) else {
        return Vec::new();
    };
    let mut label = |(name, value): &(String, Node)| {
        let text = value.text().unwrap_or_default();
        labels::check(problems, value.key.unwrap_or(value.focus()), name, text);
        (name.clone(), text.to_owned())
    };
    entries.iter().map(&mut label).collect()
}

/// The version that each node's image names (`kindest/node:v1.34.4@sha256:...`).
fn images<'n>(problems: &mut Problems, nodes: &'n [Node]) -> Vec<Option<&'n str>> {
    let versions: Vec<_> =
        nodes.iter().map(|node| node.text_at("image").and_then(version_of_image)).collect();
    let first = versions.iter().flatten().next();
    for (node, version) in nodes.iter().zip(&versions) {
        if let (Some(first), Some(version)) = (first, version)
            && first != version
        {
            let message = format!("this node runs Kubernetes {version}, another one {first}");
            problems.warn(node.find("image").0.focus(), message);
        }
    }
    versions
}

pub(crate) fn version_of_image(image: &str) -> Option<&str> {
    let (_, tag) = image.split('@').next()?.rsplit_once(':')?;
    tag.starts_with("v1.").then_some(tag)
}

//! The nodes of a kind config, named as kind will name them, and the version of Kubernetes that they run.

use serde::Serialize;

use super::told::Told;
use crate::experiment::tree::{Node, quoted};
use crate::timeline::NodeRole;
use crate::yaml::suggest;

/// What the file says of its nodes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Nodes {
    /// The cluster's name; kind's own (`kind`) where the file has none.
    pub cluster: String,
    /// The nodes, in the file's order. A file without nodes means one control plane.
    pub all: Vec<ConfigNode>,
    /// The version of Kubernetes: that of the node image, else what was given.
    pub kubernetes: String,
    /// Whether the version was given, because no image tells it.
    pub kubernetes_is_assumed: bool,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConfigNode {
    /// Its name in Kubernetes.
    pub name: String,
    /// Its role.
    pub role: NodeRole,
}

impl Nodes {
    /// The node on which kubeadm makes the cluster: the first control plane.
    pub(super) fn first_control_plane(&self) -> Option<usize> {
        self.all.iter().position(|node| node.role == NodeRole::ControlPlane)
    }

    /// How many API servers there will be.
    pub(super) fn api_servers(&self) -> u32 {
        self.all.iter().filter(|node| node.role == NodeRole::ControlPlane).count() as u32
    }
}

/// Reads them. Roles that there are not, a cluster without control plane and images of several versions are told.
pub(super) fn read(told: &mut Told, root: &Node, kubernetes: &str) -> Nodes {
    let cluster = name(told, root);
    let items = root.get("nodes").map(Node::items).unwrap_or_default();
    let mut all: Vec<ConfigNode> = Vec::new();
    for item in items {
        let role = role(told, item);
        let same = all.iter().filter(|node| node.role == role).count() + 1;
        let number = if same == 1 { String::new() } else { same.to_string() };
        all.push(ConfigNode { name: format!("{cluster}-{}{number}", role.name()), role });
    }
    if all.is_empty() {
        all.push(ConfigNode {
            name: format!("{cluster}-control-plane"),
            role: NodeRole::ControlPlane,
        });
    }
    let tags = images(told, items);
    let nodes = Nodes {
        cluster,
        all,
        kubernetes_is_assumed: tags.is_none(),
        kubernetes: tags.unwrap_or_else(|| kubernetes.to_owned()),
    };
    if nodes.first_control_plane().is_none() {
        told.error(root.find("nodes").0.focus(), "no node is a control plane: kind refuses it")
            .hint("add `- role: control-plane`");
    }
    nodes
}

fn name(told: &mut Told, root: &Node) -> String {
    let Some(name) = root.text_at("name") else {
        let message = "the kind config has no `name:`, so kind calls its cluster `kind`, as it does any other";
        told.warn(root.focus(), message)
            .hint("add `name: my-experiments`; `kubectl outage run` needs it");
        return "kind".to_owned();
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if !name.chars().all(allowed) {
        let message = format!("{} can't be a cluster's name: kind refuses it", quoted(name));
        told.error(root.find("name").0.focus(), message)
            .hint("lowercase letters, digits, `.` and `-`");
    }
    name.to_owned()
}

fn role(told: &mut Told, node: &Node) -> NodeRole {
    match node.text_at("role") {
        None | Some("control-plane") => NodeRole::ControlPlane,
        Some("worker") => NodeRole::Worker,
        Some(other) => {
            told.error(
                node.find("role").0.focus(),
                format!("{} is no role of a node: kind refuses it", quoted(other)),
            )
            .hint("`control-plane` or `worker`");
            // As it was probably meant, so that one slip is one problem.
            if suggest::closest(other, ["control-plane"]).is_some() {
                NodeRole::ControlPlane
            } else {
                NodeRole::Worker
            }
        }
    }
}

/// The version that the node images agree on (`kindest/node:v1.34.4@sha256:...`).
fn images(told: &mut Told, nodes: &[Node]) -> Option<String> {
    let mut first: Option<&str> = None;
    for node in nodes {
        let Some(tag) = node.text_at("image").and_then(version_of_image) else { continue };
        match first {
            None => first = Some(tag),
            Some(known) if known != tag => {
                let message = format!("this node runs Kubernetes {tag}, another one {known}");
                told.warn(node.find("image").0.focus(), message)
                    .hint("the first one's defaults are taken here");
            }
            Some(_) => {}
        }
    }
    first.map(str::to_owned)
}

fn version_of_image(image: &str) -> Option<&str> {
    let untouched = image.split('@').next()?;
    let (_, tag) = untouched.rsplit_once(':')?;
    tag.starts_with("v1.").then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_tells_the_version() {
        assert_eq!(version_of_image("kindest/node:v1.31.0@sha256:abc"), Some("v1.31.0"));
        assert_eq!(version_of_image("localhost:5000/node"), None);
        assert_eq!(version_of_image("kindest/node:latest"), None);
    }
}

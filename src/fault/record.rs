//! The undo record: what a later process needs in order to undo a fault.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::NodeFaultRecord;
use crate::docker::{Addresses, Container};
use crate::node::NodeHandle;
use crate::timeline::NodeRole;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeTarget {
    /// The node's name in Kubernetes.
    pub node: String,
    /// The container's full id. A container of the same name that was made later has another one
    /// and is not touched.
    pub container_id: String,
    pub container_name: String,
    pub role: NodeRole,
    /// Its addresses before the fault, by the container engine's network.
    pub addresses: Addresses,
    /// The kind cluster that it belongs to; empty: the node is no container of ours, and
    /// `container_id` is the Node's uid.
    pub cluster: String,
}

impl NodeTarget {
    pub(crate) fn new(node: impl Into<String>, container: &Container) -> Self {
        Self {
            node: node.into(),
            container_id: container.id.clone(),
            container_name: container.name.clone(),
            role: container.role,
            addresses: container.addresses.clone(),
            cluster: container.cluster.clone(),
        }
    }

    /// For people.
    pub(super) fn machine(&self) -> Machine<'_> {
        Machine { name: &self.container_name, is_container: !self.cluster.is_empty() }
    }

    /// For the way into it.
    pub(crate) fn handle(&self) -> NodeHandle {
        NodeHandle { name: self.node.clone(), id: self.container_id.clone() }
    }
}

/// The machine that a fault hits, as people know it: a container of an engine, or a node of which
/// only the API is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine<'a> {
    pub name: &'a str,
    pub is_container: bool,
}

impl Machine<'_> {
    /// `in container kind-worker`, `on node worker-1`
    pub(super) fn place(self) -> String {
        format!("{} {self}", if self.is_container { "in" } else { "on" })
    }

    /// A command in it, as it is typed.
    pub(super) fn typed(self, command: &str) -> String {
        match self.is_container {
            true => format!("docker exec {} {command}", self.name),
            false => format!("as root on node {}: {command}", self.name),
        }
    }
}

/// `container kind-worker`, `node worker-1`
impl std::fmt::Display for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", if self.is_container { "container" } else { "node" }, self.name)
    }
}

/// The version of the record. One that this program does not know can't be read, and the error
/// names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UndoFormat {
    #[serde(rename = "outage.undo/v1")]
    V1,
}

/// All that is needed to undo a fault on a node, without the cluster's API. Plain data, to be
/// written before the fault is injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undo {
    /// The version of this record.
    pub format: UndoFormat,
    pub run: String,
    /// The step of its method, from 0.
    pub step: u32,
    pub target: NodeTarget,
    #[serde(alias = "harm", deserialize_with = "fault")]
    pub fault: NodeFaultRecord,
}

/// Earlier versions wrote a fault without fields as its bare name: `"nodeKill"`, not `{"nodeKill":
/// null}`.
fn fault<'de, D: Deserializer<'de>>(from: D) -> Result<NodeFaultRecord, D::Error> {
    let value = match Value::deserialize(from)? {
        Value::String(name) => Value::Object([(name, Value::Null)].into_iter().collect()),
        other => other,
    };
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

impl Undo {
    /// What it hits: the node, or the pod on it.
    pub(crate) fn hits(&self) -> &str {
        self.fault.pod().unwrap_or(&self.target.node)
    }

    /// Whether commands of the user's undo it, which need no way into the node.
    pub(crate) fn is_by_command(&self) -> bool {
        self.fault.kind().traits().by_command
    }

    /// What the undo does, for people: `start container kind-worker (docker start)`.
    pub(crate) fn describe(&self) -> String {
        self.fault.describe(self.target.machine())
    }

    /// The command that does the same by hand.
    pub(crate) fn by_hand(&self) -> String {
        self.fault.by_hand(self.target.machine())
    }
}

/// A name that no other fault has. It goes into scripts and unit names, so it is of letters, digits
/// and dashes alone.
pub(super) fn mark(run: &str, step: u32) -> String {
    let plain: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    format!("outage-{plain}-{step}")
}

/// The same as the value of a label, which may have 63 characters and must begin and end with a
/// letter or digit.
pub(super) fn label(run: &str, step: u32) -> String {
    let plain: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    format!("{}-{step}", plain.trim_start_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_nothing_that_a_shell_would_see() {
        assert_eq!(mark("2026-11/22 $(x)'\"", 3), "outage-2026-11-22---x----3");
    }

    #[test]
    fn the_bare_name_of_an_earlier_version_is_read() {
        let text = r#"{"format":"outage.undo/v1","run":"r","step":0,"target":{"node":"n","containerId":"i","containerName":"n","role":"worker","addresses":{},"cluster":"c"},"harm":"nodeKill"}"#;
        let undo: Undo = serde_json::from_str(text).unwrap();
        assert_eq!(undo.describe(), "start container n (docker start)");
    }
}

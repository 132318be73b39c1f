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

    /// For the way into it.
    pub(crate) fn handle(&self) -> NodeHandle {
        NodeHandle { name: self.node.clone(), id: self.container_id.clone() }
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

    /// What the undo does, for people: `start container kind-worker (docker start)`.
    pub(crate) fn describe(&self) -> String {
        self.words(self.fault.describe(&self.target.container_name))
    }

    /// The command that does the same by hand.
    pub(crate) fn by_hand(&self) -> String {
        self.words(self.fault.by_hand(&self.target.container_name))
    }

    /// What is said of a container, said of a node that is not one.
    fn words(&self, text: String) -> String {
        let NodeTarget { container_name: name, cluster, .. } = &self.target;
        match cluster.is_empty() {
            true => text
                .replace(&format!("docker exec {name} "), &format!("as root on node {name}: "))
                .replace("in container ", "on node "),
            false => text,
        }
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

//! The parts of a control plane.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A control-plane component. Each control-plane node runs one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub enum Component {
    /// kube-apiserver.
    #[serde(rename = "kube-apiserver")]
    ApiServer,
    /// An etcd member.
    #[serde(rename = "etcd")]
    Etcd,
    /// kube-scheduler.
    #[serde(rename = "kube-scheduler")]
    Scheduler,
    /// kube-controller-manager.
    #[serde(rename = "kube-controller-manager")]
    ControllerManager,
}

impl Component {
    pub const ALL: [Component; 4] =
        [Component::ApiServer, Component::Etcd, Component::Scheduler, Component::ControllerManager];

    /// As its static pod, its program and an experiment call it: `kube-apiserver`.
    pub fn name(self) -> &'static str {
        match self {
            Component::ApiServer => "kube-apiserver",
            Component::Etcd => "etcd",
            Component::Scheduler => "kube-scheduler",
            Component::ControllerManager => "kube-controller-manager",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.name() == name)
    }

    /// What a fault hits, for people: `kube-scheduler on node-1`; where no part is hit, the node itself.
    pub fn on(part: Option<Self>, node: &str) -> String {
        part.map_or_else(|| node.to_owned(), |part| format!("{} on {node}", part.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_it_is_called() {
        for component in Component::ALL {
            assert_eq!(serde_json::to_value(component).unwrap(), component.name());
        }
    }
}

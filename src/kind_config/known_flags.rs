//! The flags of components that matter here, and those that Kubernetes has removed.

/// The flags that matter here, and which component has them.
pub(super) const FLAGS: &[(&str, Component)] = &[
    ("node-monitor-period", Component::ControllerManager),
    ("node-monitor-grace-period", Component::ControllerManager),
    ("node-startup-grace-period", Component::ControllerManager),
    ("node-eviction-rate", Component::ControllerManager),
    ("secondary-node-eviction-rate", Component::ControllerManager),
    ("unhealthy-zone-threshold", Component::ControllerManager),
    ("large-cluster-size-threshold", Component::ControllerManager),
    ("node-status-update-frequency", Component::Kubelet),
    ("default-not-ready-toleration-seconds", Component::ApiServer),
    ("default-unreachable-toleration-seconds", Component::ApiServer),
];

/// A flag that Kubernetes no longer has.
pub(super) struct Removed {
    pub name: &'static str,
    pub component: Component,
    /// The minor version without it.
    pub since: u32,
    pub hint: &'static str,
}

const TOLERATIONS: &str = "how long pods stay on a lost node is set by `tolerationSeconds` in the pods, or for all by the API server's \
    `default-unreachable-toleration-seconds` and `default-not-ready-toleration-seconds`";

pub(super) const REMOVED: &[Removed] = &[
    Removed {
        name: "pod-eviction-timeout",
        component: Component::ControllerManager,
        since: 27,
        hint: TOLERATIONS,
    },
    Removed {
        name: "enable-taint-manager",
        component: Component::ControllerManager,
        since: 27,
        hint: "leave it out: taints always evict",
    },
    Removed {
        name: "network-plugin",
        component: Component::Kubelet,
        since: 24,
        hint: "leave it out: the container runtime has the network plugin",
    },
    Removed {
        name: "container-runtime",
        component: Component::Kubelet,
        since: 27,
        hint: "leave it out: there is only the remote runtime",
    },
];

/// A component whose flags kubeadm sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Component {
    ApiServer,
    ControllerManager,
    Scheduler,
    Kubelet,
}

impl Component {
    pub(super) const ALL: [Self; 4] =
        [Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kubelet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ApiServer => "the API server",
            Self::ControllerManager => "the controller manager",
            Self::Scheduler => "the scheduler",
            Self::Kubelet => "the kubelet",
        }
    }

    /// Where its flags stand in its document.
    pub(super) fn pointer(self) -> &'static str {
        match self {
            Self::ApiServer => "/apiServer/extraArgs",
            Self::ControllerManager => "/controllerManager/extraArgs",
            Self::Scheduler => "/scheduler/extraArgs",
            Self::Kubelet => "/nodeRegistration/kubeletExtraArgs",
        }
    }
}

/// The field of a ClusterConfiguration below which a flag stands.
pub(super) fn owner(flag: &str) -> Option<&'static str> {
    match FLAGS.iter().find(|(known, _)| *known == flag)?.1 {
        Component::ControllerManager => Some("controllerManager"),
        Component::ApiServer => Some("apiServer"),
        _ => None,
    }
}

//! The kinds of objects that the embedded cluster has.

/// A kind of objects, as discovery shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version in the group.
    pub version: &'static str,
    /// The resource's name in paths. No two kinds share it.
    pub plural: &'static str,
    /// The name of one object's type.
    pub kind: &'static str,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// Short names for people.
    pub short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// Whether its status is written apart from the rest.
    pub has_status: bool,
    /// Whether it has a `scale`.
    pub has_scale: bool,
    /// Whether `metadata.generation` counts the changes of its request.
    pub has_generation: bool,
}

/// What most kinds are.
const PLAIN: Kind = Kind {
    group: "",
    version: "v1",
    plural: "",
    kind: "",
    namespaced: true,
    short: &[],
    in_all: false,
    has_status: false,
    has_scale: false,
    has_generation: false,
};

pub(crate) static NAMESPACES: Kind = Kind {
    plural: "namespaces",
    kind: "Namespace",
    namespaced: false,
    short: &["ns"],
    has_status: true,
    ..PLAIN
};
pub(crate) static NODES: Kind = Kind {
    plural: "nodes",
    kind: "Node",
    namespaced: false,
    short: &["no"],
    has_status: true,
    ..PLAIN
};
pub(crate) static PODS: Kind = Kind {
    plural: "pods",
    kind: "Pod",
    short: &["po"],
    in_all: true,
    has_status: true,
    has_generation: true,
    ..PLAIN
};
pub(crate) static SERVICES: Kind = Kind {
    plural: "services",
    kind: "Service",
    short: &["svc"],
    in_all: true,
    has_status: true,
    ..PLAIN
};
/// The old form of a Service's endpoints.
pub(crate) static ENDPOINTS: Kind =
    Kind { plural: "endpoints", kind: "Endpoints", short: &["ep"], ..PLAIN };
pub(crate) static EVENTS: Kind = Kind { plural: "events", kind: "Event", short: &["ev"], ..PLAIN };
pub(crate) static SERVICE_ACCOUNTS: Kind =
    Kind { plural: "serviceaccounts", kind: "ServiceAccount", short: &["sa"], ..PLAIN };
pub(crate) static CONFIG_MAPS: Kind =
    Kind { plural: "configmaps", kind: "ConfigMap", short: &["cm"], ..PLAIN };
pub(crate) static SECRETS: Kind = Kind { plural: "secrets", kind: "Secret", ..PLAIN };
pub(crate) static ENDPOINT_SLICES: Kind = Kind {
    group: "discovery.k8s.io",
    plural: "endpointslices",
    kind: "EndpointSlice",
    has_generation: true,
    ..PLAIN
};
/// Leases: nodes' heartbeats and leaders' locks.
pub(crate) static LEASES: Kind =
    Kind { group: "coordination.k8s.io", plural: "leases", kind: "Lease", ..PLAIN };
pub(crate) static DEPLOYMENTS: Kind = Kind {
    group: "apps",
    plural: "deployments",
    kind: "Deployment",
    short: &["deploy"],
    in_all: true,
    has_status: true,
    has_scale: true,
    has_generation: true,
    ..PLAIN
};
pub(crate) static REPLICA_SETS: Kind = Kind {
    group: "apps",
    plural: "replicasets",
    kind: "ReplicaSet",
    short: &["rs"],
    in_all: true,
    has_status: true,
    has_scale: true,
    has_generation: true,
    ..PLAIN
};

/// All kinds, in the order in which discovery names them.
pub(crate) static ALL: [&Kind; 13] = [
    &NAMESPACES,
    &NODES,
    &PODS,
    &SERVICES,
    &ENDPOINTS,
    &EVENTS,
    &SERVICE_ACCOUNTS,
    &CONFIG_MAPS,
    &SECRETS,
    &DEPLOYMENTS,
    &REPLICA_SETS,
    &ENDPOINT_SLICES,
    &LEASES,
];

/// The kind of a path.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    let wanted = (group, version, plural);
    ALL.into_iter().find(|kind| (kind.group, kind.version, kind.plural) == wanted)
}

impl Kind {
    /// `v1`, or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The name of the resource as error texts have it: `pods`, or `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// One object's name in commands: `pod`.
    pub(crate) fn singular(&self) -> String {
        self.kind.to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_share_their_objects() {
        let plurals: std::collections::BTreeSet<_> = ALL.iter().map(|kind| kind.plural).collect();
        assert_eq!(plurals.len(), ALL.len());
        assert_eq!(DEPLOYMENTS.api_version(), "apps/v1");
        assert_eq!(
            (PODS.qualified(), DEPLOYMENTS.qualified()),
            ("pods".into(), "deployments.apps".into())
        );
    }
}

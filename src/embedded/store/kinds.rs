//! The kinds of objects that the embedded cluster has.

/// A kind of objects, as discovery shows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The API group; empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    /// The resource's name in paths. No two kinds share it.
    pub plural: &'static str,
    /// The name of one object's type.
    pub kind: &'static str,
    pub namespaced: bool,
    /// Short names for people.
    pub short: &'static [&'static str],
    /// Whether `kubectl get all` shows it.
    pub in_all: bool,
    /// Whether its status is written apart from the rest.
    pub has_status: bool,
    pub has_scale: bool,
    /// Whether `metadata.generation` counts the changes of its request.
    pub has_generation: bool,
}

/// A kind in namespaces, with a name for one object's type and short names for people.
const fn of(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Kind {
    Kind {
        group,
        version: "v1",
        plural,
        kind,
        namespaced: true,
        short,
        in_all: false,
        has_status: false,
        has_scale: false,
        has_generation: false,
    }
}

/// A kind of pods, or of what makes pods.
const fn workload(kind: Kind, has_scale: bool) -> Kind {
    Kind { in_all: true, has_status: true, has_scale, has_generation: true, ..kind }
}

pub(crate) static NAMESPACES: Kind =
    Kind { namespaced: false, has_status: true, ..of("", "namespaces", "Namespace", &["ns"]) };
pub(crate) static NODES: Kind =
    Kind { namespaced: false, has_status: true, ..of("", "nodes", "Node", &["no"]) };
pub(crate) static PODS: Kind = workload(of("", "pods", "Pod", &["po"]), false);
pub(crate) static SERVICES: Kind =
    Kind { in_all: true, has_status: true, ..of("", "services", "Service", &["svc"]) };
/// The old form of a Service's endpoints.
pub(crate) static ENDPOINTS: Kind = of("", "endpoints", "Endpoints", &["ep"]);
pub(crate) static EVENTS: Kind = of("", "events", "Event", &["ev"]);
pub(crate) static SERVICE_ACCOUNTS: Kind = of("", "serviceaccounts", "ServiceAccount", &["sa"]);
pub(crate) static CONFIG_MAPS: Kind = of("", "configmaps", "ConfigMap", &["cm"]);
pub(crate) static SECRETS: Kind = of("", "secrets", "Secret", &[]);
pub(crate) static ENDPOINT_SLICES: Kind =
    Kind { has_generation: true, ..of("discovery.k8s.io", "endpointslices", "EndpointSlice", &[]) };
/// Leases: nodes' heartbeats and leaders' locks.
pub(crate) static LEASES: Kind = of("coordination.k8s.io", "leases", "Lease", &[]);
pub(crate) static DEPLOYMENTS: Kind =
    workload(of("apps", "deployments", "Deployment", &["deploy"]), true);
pub(crate) static REPLICA_SETS: Kind =
    workload(of("apps", "replicasets", "ReplicaSet", &["rs"]), true);

pub(crate) static STATEFUL_SETS: Kind =
    workload(of("apps", "statefulsets", "StatefulSet", &["sts"]), true);

/// All kinds, in the order in which discovery names them.
pub(crate) static ALL: [&Kind; 14] = [
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
    &STATEFUL_SETS,
    &ENDPOINT_SLICES,
    &LEASES,
];

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

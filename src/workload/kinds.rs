//! The kinds of objects that Kubernetes itself has, with their API versions: what is known of an
//! object's type without a server. Custom resources have API groups with a dot and are not listed.

use crate::yaml::suggest;

/// A kind of Kubernetes 1.34.
struct Kind {
    name: &'static str,
    /// The API versions that serve it, the preferred one first.
    versions: &'static [&'static str],
    scope: Scope,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

/// What is wrong with an object's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unserved {
    /// No version of Kubernetes has it.
    Never { hint: Option<String> },
    /// Kubernetes 1.34 does not have it any more, or not yet.
    OtherVersion { hint: String },
}

use Scope::{Cluster, Namespaced};

const fn kind(name: &'static str, versions: &'static [&'static str], scope: Scope) -> Kind {
    Kind { name, versions, scope }
}

const ADMISSION: &[&str] = &["admissionregistration.k8s.io/v1"];
const FLOW: &[&str] = &["flowcontrol.apiserver.k8s.io/v1"];
const RBAC: &[&str] = &["rbac.authorization.k8s.io/v1"];
const RESOURCE: &[&str] = &["resource.k8s.io/v1", "resource.k8s.io/v1beta2"];
const STORAGE: &[&str] = &["storage.k8s.io/v1"];

#[rustfmt::skip]
static KINDS: &[Kind] = &[
    kind("ConfigMap", &["v1"], Namespaced),
    kind("Endpoints", &["v1"], Namespaced),
    kind("Event", &["events.k8s.io/v1", "v1"], Namespaced),
    kind("LimitRange", &["v1"], Namespaced),
    kind("PersistentVolumeClaim", &["v1"], Namespaced),
    kind("Pod", &["v1"], Namespaced),
    kind("PodTemplate", &["v1"], Namespaced),
    kind("ReplicationController", &["v1"], Namespaced),
    kind("ResourceQuota", &["v1"], Namespaced),
    kind("Secret", &["v1"], Namespaced),
    kind("Service", &["v1"], Namespaced),
    kind("ServiceAccount", &["v1"], Namespaced),
    kind("ControllerRevision", &["apps/v1"], Namespaced),
    kind("DaemonSet", &["apps/v1"], Namespaced),
    kind("Deployment", &["apps/v1"], Namespaced),
    kind("ReplicaSet", &["apps/v1"], Namespaced),
    kind("StatefulSet", &["apps/v1"], Namespaced),
    kind("HorizontalPodAutoscaler", &["autoscaling/v2", "autoscaling/v1"], Namespaced),
    kind("CronJob", &["batch/v1"], Namespaced),
    kind("Job", &["batch/v1"], Namespaced),
    kind("Lease", &["coordination.k8s.io/v1"], Namespaced),
    kind("EndpointSlice", &["discovery.k8s.io/v1"], Namespaced),
    kind("Ingress", &["networking.k8s.io/v1"], Namespaced),
    kind("NetworkPolicy", &["networking.k8s.io/v1"], Namespaced),
    kind("PodDisruptionBudget", &["policy/v1"], Namespaced),
    kind("Role", RBAC, Namespaced),
    kind("RoleBinding", RBAC, Namespaced),
    kind("ResourceClaim", RESOURCE, Namespaced),
    kind("ResourceClaimTemplate", RESOURCE, Namespaced),
    kind("CSIStorageCapacity", STORAGE, Namespaced),
    kind("APIService", &["apiregistration.k8s.io/v1"], Cluster),
    kind("CSIDriver", STORAGE, Cluster),
    kind("CSINode", STORAGE, Cluster),
    kind("CertificateSigningRequest", &["certificates.k8s.io/v1"], Cluster),
    kind("ClusterRole", RBAC, Cluster),
    kind("ClusterRoleBinding", RBAC, Cluster),
    kind("ComponentStatus", &["v1"], Cluster),
    kind("CustomResourceDefinition", &["apiextensions.k8s.io/v1"], Cluster),
    kind("DeviceClass", RESOURCE, Cluster),
    kind("FlowSchema", FLOW, Cluster),
    kind("IngressClass", &["networking.k8s.io/v1"], Cluster),
    kind("MutatingAdmissionPolicy", &["admissionregistration.k8s.io/v1beta1"], Cluster),
    kind("MutatingAdmissionPolicyBinding", &["admissionregistration.k8s.io/v1beta1"], Cluster),
    kind("MutatingWebhookConfiguration", ADMISSION, Cluster),
    kind("Namespace", &["v1"], Cluster),
    kind("Node", &["v1"], Cluster),
    kind("PersistentVolume", &["v1"], Cluster),
    kind("PriorityClass", &["scheduling.k8s.io/v1"], Cluster),
    kind("PriorityLevelConfiguration", FLOW, Cluster),
    kind("RuntimeClass", &["node.k8s.io/v1"], Cluster),
    kind("StorageClass", STORAGE, Cluster),
    kind("ValidatingAdmissionPolicy", ADMISSION, Cluster),
    kind("ValidatingAdmissionPolicyBinding", ADMISSION, Cluster),
    kind("ValidatingWebhookConfiguration", ADMISSION, Cluster),
    kind("VolumeAttachment", STORAGE, Cluster),
];

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

/// Whether objects of a kind live outside of namespaces. The server's own list is asked before a
/// run, too.
pub(super) fn is_cluster_scoped(name: &str) -> bool {
    KINDS.iter().any(|kind| kind.name == name && kind.scope == Cluster)
}

/// What a kind of Kubernetes' own is called as a resource: `Ingress` is `ingresses`. `None`: it is
/// not one, and only its server knows.
pub(crate) fn resource_name(api_version: &str, name: &str) -> Option<String> {
    let kind = KINDS.iter().find(|kind| kind.name == name)?;
    if kind.versions.iter().all(|version| group(version) != group(api_version)) {
        return None;
    }
    let kind = name.to_lowercase();
    Some(match kind.strip_suffix('y') {
        _ if kind == "endpoints" => kind,
        Some(rest) => format!("{rest}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    })
}

/// What is wrong with an object's type; `None`: nothing, or it may be a custom resource's.
pub(super) fn unserved(api_version: &str, name: &str) -> Option<Unserved> {
    let named = KINDS.iter().find(|kind| kind.name == name);
    if named.is_some_and(|kind| kind.versions.contains(&api_version)) {
        return None;
    }
    let of_group = |kind: &&Kind| kind.versions.iter().any(|v| group(v) == group(api_version));
    let write = |kind: &Kind| format!("write `apiVersion: {}`", kind.versions[0]);
    if let Some(kind) = named.filter(of_group) {
        return Some(Unserved::OtherVersion { hint: write(kind) });
    }
    // `extensions` had several of today's kinds until 1.22; other groups without a dot, and the
    // core, have only what is listed.
    if group(api_version).contains('.') {
        return None;
    }
    let hint = named.map(write).or_else(|| {
        let served = KINDS.iter().filter(of_group).map(|kind| kind.name);
        let near = suggest::closest(name, served)
            .or_else(|| suggest::closest(name, KINDS.iter().map(|kind| kind.name)))?;
        Some(format!("did you mean `{near}`?"))
    });
    Some(Unserved::Never { hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_once() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert!(KINDS[..index].iter().all(|other| other.name != kind.name), "{}", kind.name);
        }
    }

    #[test]
    fn only_kubernetes_own_kinds_have_known_names() {
        for (version, kind, resource) in [
            ("apps/v1", "Deployment", "deployments"),
            ("networking.k8s.io/v1beta1", "Ingress", "ingresses"),
            ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
            ("v1", "Endpoints", "endpoints"),
            ("v1", "ComponentStatus", "componentstatuses"),
        ] {
            assert_eq!(resource_name(version, kind).as_deref(), Some(resource));
        }
        for (version, kind) in
            [("serving.knative.dev/v1", "Service"), ("chaos-mesh.org/v1alpha1", "PodChaos")]
        {
            assert_eq!(resource_name(version, kind), None, "{kind}");
        }
    }

    #[test]
    fn what_is_served_and_custom_resources_pass() {
        for (version, name) in [
            ("v1", "Service"),
            ("apps/v1", "Deployment"),
            ("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("cert-manager.io/v1", "Certificate"),
            ("serving.knative.dev/v1", "Service"),
            ("gateway.networking.k8s.io/v1", "Gateway"),
        ] {
            assert_eq!(unserved(version, name), None, "{version} {name}");
        }
    }

    #[test]
    fn slips_and_old_versions_are_told_apart() {
        let never = |hint: &str| Some(Unserved::Never { hint: Some(hint.into()) });
        let other = |hint: &str| Some(Unserved::OtherVersion { hint: hint.into() });
        let cases = [
            ("apps/v1", "Deploymnet", never("did you mean `Deployment`?")),
            ("v1", "service", never("did you mean `Service`?")),
            ("v1", "Deployment", never("write `apiVersion: apps/v1`")),
            ("extensions/v1beta1", "Ingress", never("write `apiVersion: networking.k8s.io/v1`")),
            ("apps/v1beta1", "Deployment", other("write `apiVersion: apps/v1`")),
            ("policy/v1beta1", "PodDisruptionBudget", other("write `apiVersion: policy/v1`")),
            ("v1", "Gadget", Some(Unserved::Never { hint: None })),
        ];
        for (version, name, wanted) in cases {
            assert_eq!(unserved(version, name), wanted, "{version} {name}");
        }
    }
}

//! Misspelt fields of the objects that experiments mostly have. The API server drops an unknown field
//! or refuses it; here one is reported where a known one was probably meant, since a newer
//! Kubernetes may have others.

use crate::yaml::suggest;
use crate::yaml::tree::{Node, Value};

/// A mapping of an object, and the mappings within it.
struct Shape {
    /// Fields whose content is not looked at.
    fields: &'static [&'static str],
    /// Fields that hold such a mapping, or a list of them.
    within: &'static [(&'static str, &'static Shape)],
}

/// A field that is not known, and the one that was probably meant.
pub(super) struct Misspelt<'n> {
    pub name: &'n str,
    pub node: &'n Node,
    pub meant: &'static str,
}

#[rustfmt::skip]
static OBJECT_META: Shape = Shape {
    fields: &[
        "name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "uid",
        "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
        "selfLink", "managedFields",
    ],
    within: &[],
};

static LABEL_SELECTOR: Shape = Shape { fields: &["matchLabels", "matchExpressions"], within: &[] };

static PROBE: Shape = Shape {
    fields: &[
        "exec",
        "failureThreshold",
        "grpc",
        "initialDelaySeconds",
        "periodSeconds",
        "successThreshold",
        "tcpSocket",
        "terminationGracePeriodSeconds",
        "timeoutSeconds",
    ],
    within: &[(
        "httpGet",
        &Shape { fields: &["host", "httpHeaders", "path", "port", "scheme"], within: &[] },
    )],
};

#[rustfmt::skip]
static CONTAINER: Shape = Shape {
    fields: &[
        "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "name",
        "resizePolicy", "restartPolicy", "restartPolicyRules", "securityContext",
        "stdin", "stdinOnce", "terminationMessagePath", "terminationMessagePolicy", "tty",
        "volumeDevices", "volumeMounts", "workingDir",
    ],
    within: &[
        ("livenessProbe", &PROBE),
        ("readinessProbe", &PROBE),
        ("startupProbe", &PROBE),
        ("ports", &Shape { fields: &["containerPort", "hostIP", "hostPort", "name", "protocol"], within: &[] }),
        ("resources", &Shape { fields: &["claims", "limits", "requests"], within: &[] }),
    ],
};

#[rustfmt::skip]
static POD_SPEC: Shape = Shape {
    fields: &[
        "activeDeadlineSeconds", "automountServiceAccountToken", "dnsConfig", "dnsPolicy",
        "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "hostUsers",
        "hostname", "hostnameOverride", "imagePullSecrets", "nodeName", "nodeSelector", "os",
        "overhead", "preemptionPolicy", "priority", "priorityClassName", "readinessGates", "resourceClaims",
        "resources", "restartPolicy", "runtimeClassName", "schedulerName", "schedulingGates", "securityContext",
        "serviceAccount", "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace", "subdomain",
        "terminationGracePeriodSeconds", "topologySpreadConstraints", "volumes", "workloadRef",
    ],
    within: &[
        ("containers", &CONTAINER),
        ("initContainers", &CONTAINER),
        ("affinity", &Shape { fields: &["nodeAffinity", "podAffinity", "podAntiAffinity"], within: &[] }),
        ("tolerations", &Shape { fields: &["effect", "key", "operator", "tolerationSeconds", "value"], within: &[] }),
    ],
};

static TEMPLATE: Shape =
    Shape { fields: &[], within: &[("metadata", &OBJECT_META), ("spec", &POD_SPEC)] };

#[rustfmt::skip]
static CONTROLLER_SPEC: Shape = Shape {
    fields: &[
        "minReadySeconds", "ordinals", "paused", "persistentVolumeClaimRetentionPolicy", "podManagementPolicy",
        "progressDeadlineSeconds", "replicas", "revisionHistoryLimit", "serviceName", "strategy",
        "updateStrategy", "volumeClaimTemplates",
    ],
    within: &[("selector", &LABEL_SELECTOR), ("template", &TEMPLATE)],
};

#[rustfmt::skip]
static SERVICE_SPEC: Shape = Shape {
    fields: &[
        "allocateLoadBalancerNodePorts", "clusterIP", "clusterIPs", "externalIPs", "externalName",
        "externalTrafficPolicy", "healthCheckNodePort", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy",
        "loadBalancerClass", "loadBalancerIP", "loadBalancerSourceRanges", "publishNotReadyAddresses",
        "selector", "sessionAffinity", "sessionAffinityConfig", "trafficDistribution", "type",
    ],
    within: &[
        ("ports", &Shape { fields: &["appProtocol", "name", "nodePort", "port", "protocol", "targetPort"], within: &[] }),
    ],
};

const HEAD: [&str; 3] = ["apiVersion", "kind", "status"];

static CONTROLLER: Shape =
    Shape { fields: &HEAD, within: &[("metadata", &OBJECT_META), ("spec", &CONTROLLER_SPEC)] };
static POD: Shape =
    Shape { fields: &HEAD, within: &[("metadata", &OBJECT_META), ("spec", &POD_SPEC)] };
static SERVICE: Shape =
    Shape { fields: &HEAD, within: &[("metadata", &OBJECT_META), ("spec", &SERVICE_SPEC)] };

/// The misspelt fields of an object of one of Kubernetes' own kinds.
pub(super) fn misspelt<'n>(api_version: &str, kind: &str, object: &'n Node) -> Vec<Misspelt<'n>> {
    let shape = match (api_version, kind) {
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => &CONTROLLER,
        ("v1", "Pod") => &POD,
        ("v1", "Service") => &SERVICE,
        _ => return Vec::new(),
    };
    let mut found = Vec::new();
    below(object, shape, &mut found);
    found
}

fn below<'n>(node: &'n Node, shape: &'static Shape, found: &mut Vec<Misspelt<'n>>) {
    node.items().iter().for_each(|item| below(item, shape, found));
    let Value::Map(entries) = &node.value else { return };
    for (name, value) in entries {
        if let Some((_, inner)) = shape.within.iter().find(|(field, _)| field == name) {
            below(value, inner, found);
        } else if !shape.fields.contains(&name.as_str()) {
            // A field that is there as well was not meant.
            let nested = shape.within.iter().map(|(field, _)| *field);
            let known = shape.fields.iter().copied().chain(nested);
            let absent = known.filter(|field| node.get(field).is_none());
            if let Some(meant) = suggest::closest(name, absent) {
                found.push(Misspelt { name, node: value, meant });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    #[test]
    fn slips_are_found_at_any_depth_and_what_is_new_passes() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, lables: {a: b}}\nspec:\n  replica: 2\n  brandNew: 1\n  template:\n    spec:\n      containers:\n      - {name: a, image: b, readynessProbe: {periodSecond: 1}}\n";
        let manifest = Manifest::of_texts([("a.yaml", text)]);
        let found: Vec<String> =
            manifest.objects()[0].schema_problems().iter().map(ToString::to_string).collect();
        let place = |at: &str, name: &str, meant: &str| {
            format!(
                "a.yaml:{at}: warning: unknown field `{name}` in the Deployment `web` (did you mean `{meant}`?)"
            )
        };
        assert_eq!(
            found,
            [
                place("3:23", "lables", "labels"),
                place("5:3", "replica", "replicas"),
                place("10:29", "readynessProbe", "readinessProbe"),
            ]
        );
    }

    #[test]
    fn the_examples_have_no_slip() {
        for text in [
            include_str!("../../experiments/workloads/web.yaml"),
            include_str!("../../tests/cases/30-statefulset/web.yaml"),
            include_str!("../../tests/cases/28-session-affinity/web.yaml"),
        ] {
            let manifest = Manifest::of_texts([("web.yaml", text)]);
            assert!(manifest.objects().iter().all(|object| object.schema_problems().is_empty()));
        }
    }
}

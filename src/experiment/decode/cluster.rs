//! What an experiment runs on, and how much of it may be affected.

use serde_json::json;

use super::fields::{Cx, Fields, record};
use super::scalar::{count, dns_label, flag, path, positive, text};
use crate::experiment::diagnostic::Span;
use crate::experiment::image::image;
use crate::experiment::schema::{BlastRadius, Cluster, MonitorSettings, TuningRequest};
use crate::experiment::tree::{Node, Value};

/// `spec.cluster`.
pub(crate) fn cluster(cx: &Cx, node: &Node) -> Option<Cluster> {
    let mut fields = Fields::of(cx, node, "a cluster")?;
    fields.about("The cluster that the experiment runs on.");
    let found = fields.one_of(&[("kind", kind), ("context", context)]);
    fields.about_field(
        "context",
        "A kubeconfig context by its name, or `{}`: that of `--context`, else the current one.",
    );
    let allowed = fields
        .doc("The same context again: allows faults there although it is not a kind cluster.")
        .optional("allowContext", focused_text);
    let image = fields
        .doc("The image of the helper pods, which run commands in the nodes.")
        .optional("helperImage", image);
    let settings = fields
        .doc("Settings of the controller manager, where they cannot be read from the cluster.")
        .optional("settings", settings);
    let named = fields.first_key(&["allowContext", "helperImage", "settings"]);
    fields.finish();
    match (found?, named) {
        (Cluster::NamedContext { name, .. }, _) => Some(Cluster::NamedContext {
            allow_context: allowed_as(cx, &name, allowed?)?,
            helper_image: image?,
            settings: settings?,
            name,
        }),
        (other, None) => Some(other),
        (_, Some((field, key))) => cx.error_hint(
            key,
            format!("`{field}` needs a context with a name"),
            format!("write `cluster: {{context: NAME, {field}: ...}}`"),
        ),
    }
}

fn focused_text(cx: &Cx, node: &Node) -> Option<Spanned> {
    Some(Spanned { text: text(cx, node)?, span: node.focus() })
}

/// A text and its place.
struct Spanned {
    text: String,
    span: Span,
}

/// Another context's name would allow nothing.
fn allowed_as(cx: &Cx, context: &str, allowed: Option<Spanned>) -> Option<Option<String>> {
    match allowed {
        Some(Spanned { text, span }) if text != context => {
            let message = format!("`allowContext` is {text}, but the context is {context}");
            let hint =
                format!("faults are allowed where both are the same: `allowContext: {context}`");
            cx.error_hint(span, message, hint)
        }
        allowed => Some(allowed.map(|allowed| allowed.text)),
    }
}

/// Settings that cannot be read from a cluster whose control plane is managed.
fn settings(cx: &Cx, node: &Node) -> Option<MonitorSettings> {
    record!(cx, node, "`settings`" => MonitorSettings {
        /// The controller manager's `--node-monitor-period`.
        node_monitor_period: optional("nodeMonitorPeriod", positive),
        /// The controller manager's `--node-monitor-grace-period`.
        node_monitor_grace_period: optional("nodeMonitorGracePeriod", positive),
    })
}

fn kind(cx: &Cx, node: &Node) -> Option<Cluster> {
    record!(
        /// A kind cluster. It is created if no cluster of its name exists, and kept.
        cx, node, "a kind cluster" => Cluster::Kind {
        /// The kind config, which must have a `name`.
        config: required("config", path),
        /// Settings of failure detection that replace those of the config. They become part of the
        /// cluster's name.
        tuning: optional("tuning", tuning),
    })
}

/// `context: NAME`, or `context: {}` for that of the command line, or the current one.
fn context(cx: &Cx, node: &Node) -> Option<Cluster> {
    cx.reads(|| json!({"type": ["string", "object", "null"], "maxProperties": 0}))?;
    match &node.value {
        Value::Map(entries) if entries.is_empty() => Some(Cluster::Context),
        _ if node.is_null() => Some(Cluster::Context),
        _ => match node.text().filter(|name| !name.trim().is_empty()) {
            Some(name) => Some(Cluster::NamedContext {
                name: name.to_owned(),
                allow_context: None,
                helper_image: None,
                settings: None,
            }),
            None => cx.expected(node, "the name of a kubeconfig context"),
        },
    }
}

fn tuning(cx: &Cx, node: &Node) -> Option<TuningRequest> {
    record!(cx, node, "`tuning`" => TuningRequest {
        /// The kubelet's `nodeStatusUpdateFrequency`.
        node_status_update_frequency: optional("nodeStatusUpdateFrequency", positive),
        /// The controller manager's `--node-monitor-period`.
        node_monitor_period: optional("nodeMonitorPeriod", positive),
        /// The controller manager's `--node-monitor-grace-period`.
        node_monitor_grace_period: optional("nodeMonitorGracePeriod", positive),
    })
}

/// `spec.blastRadius`.
pub(crate) fn blast_radius(cx: &Cx, node: &Node) -> Option<BlastRadius> {
    let default = BlastRadius::default();
    record!(cx, node, "`blastRadius`" => BlastRadius {
        /// Workers that may be down at the same time.
        max_workers: or("maxWorkers", default.max_workers, count),
        /// Control-plane nodes that may be down, lack a component or be drained at the same time.
        max_control_planes: or("maxControlPlanes", default.max_control_planes, count),
        /// Whether etcd may lose its quorum.
        quorum_loss: or("quorumLoss", default.quorum_loss, flag),
        /// Whether the cluster's data may be unavailable for a while.
        data_loss: or("dataLoss", default.data_loss, flag),
        /// Namespaces, besides the run's and the experiment's own, whose objects may be affected.
        namespaces: or("namespaces", default.namespaces, namespaces),
        /// Whether the load balancer in front of the API servers may be lost.
        load_balancer: or("loadBalancer", default.load_balancer, flag),
        /// Whether the last ready replica of a Deployment or StatefulSet of another application may
        /// be lost.
        last_replica: or("lastReplica", default.last_replica, flag),
        /// Whether a fault on a node may take down more pods than disruption budgets allow.
        exceed_disruption_budgets: or("exceedDisruptionBudgets", default.exceed_disruption_budgets, flag),
    })
}

fn namespaces(cx: &Cx, node: &Node) -> Option<Vec<String>> {
    cx.items(node, dns_label)?.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn a_kind_cluster_may_ask_for_other_settings() {
        let (found, problems) =
            decoded("kind: {config: k.yaml, tuning: {nodeMonitorGracePeriod: 4s}}", cluster);
        assert_eq!(problems, "");
        let tuning = TuningRequest {
            node_monitor_grace_period: Some(Duration::from_secs(4)),
            ..TuningRequest::default()
        };
        assert_eq!(found, Some(Cluster::Kind { config: "k.yaml".into(), tuning: Some(tuning) }));
    }

    #[test]
    fn a_context_may_be_named() {
        assert_eq!(decoded("context: {}", cluster).0, Some(Cluster::Context));
        assert_eq!(decoded("context:", cluster).0, Some(Cluster::Context));
        let named = |allow_context| {
            Some(Cluster::NamedContext {
                name: "kind-shop".into(),
                allow_context,
                helper_image: None,
                settings: None,
            })
        };
        assert_eq!(decoded("context: kind-shop", cluster).0, named(None));
        let allowed = decoded("{context: kind-shop, allowContext: kind-shop}", cluster);
        assert_eq!(allowed, (named(Some("kind-shop".into())), String::new()));
        let wrong = decoded("{context: prod, allowContext: staging}", cluster).1;
        assert!(wrong.contains("`allowContext` is staging, but the context is prod"), "{wrong}");
        let wrong = decoded("{context: prod, helperImage: 'Busy box'}", cluster).1;
        assert!(wrong.contains("is not an image: its name must be lowercase"), "{wrong}");
        let wrong = decoded("{context: {}, allowContext: kind-shop}", cluster).1;
        assert!(wrong.contains("`allowContext` needs a context with a name"), "{wrong}");
        let given = decoded("{context: a, settings: {nodeMonitorGracePeriod: 40s}}", cluster).0;
        let settings = MonitorSettings {
            node_monitor_period: None,
            node_monitor_grace_period: Some(Duration::from_secs(40)),
        };
        let wanted = Cluster::NamedContext {
            name: "a".into(),
            allow_context: None,
            helper_image: None,
            settings: Some(settings),
        };
        assert_eq!(given, Some(wanted));
        let wrong = decoded("context: {name: kind-shop}", cluster).1;
        assert!(wrong.contains("expected the name of a kubeconfig context"), "{wrong}");
    }

    #[test]
    fn the_blast_radius_is_small_by_default() {
        let (found, _) = decoded("{maxControlPlanes: 1}", blast_radius);
        assert_eq!(found, Some(BlastRadius { max_control_planes: 1, ..BlastRadius::default() }));
        let (found, problems) =
            decoded("{dataLoss: true, namespaces: [kube-system]}", blast_radius);
        let wanted = BlastRadius {
            data_loss: true,
            namespaces: vec!["kube-system".into()],
            ..BlastRadius::default()
        };
        assert_eq!((found, problems.as_str()), (Some(wanted), ""));
        assert!(decoded("{maxWorkers: -1}", blast_radius).1.contains("expected a whole number"));
    }
}

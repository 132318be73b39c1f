//! What an experiment runs on, and how much of it may be harmed.

use super::fields::{Cx, Fields};
use super::scalar::{count, dns_label, flag, path, positive};
use crate::experiment::schema::{BlastRadius, Cluster, TuningRequest};
use crate::experiment::tree::{Node, Value};

/// `spec.cluster`.
pub(crate) fn cluster(cx: &Cx, node: &Node) -> Option<Cluster> {
    cx.union(node, "a cluster", &[("kind", kind), ("context", context)])
}

fn kind(cx: &Cx, node: &Node) -> Option<Cluster> {
    let mut fields = Fields::of(cx, node, "a kind cluster")?;
    let config = fields.required("config", path);
    let tuning = fields.optional("tuning", tuning);
    fields.finish();
    Some(Cluster::Kind { config: config?, tuning: tuning? })
}

/// The context's name is the command line's, so that a file never harms a cluster that nobody
/// named.
fn context(cx: &Cx, node: &Node) -> Option<Cluster> {
    match &node.value {
        Value::Map(entries) if entries.is_empty() => Some(Cluster::Context),
        _ if node.is_null() => Some(Cluster::Context),
        _ => cx.error_hint(
            node.focus(),
            "an experiment cannot name a context",
            "write `context: {}`, and pass `--context NAME --allow-context NAME`",
        ),
    }
}

fn tuning(cx: &Cx, node: &Node) -> Option<TuningRequest> {
    let mut fields = Fields::of(cx, node, "`tuning`")?;
    let node_status_update_frequency = fields.optional("nodeStatusUpdateFrequency", positive);
    let node_monitor_period = fields.optional("nodeMonitorPeriod", positive);
    let node_monitor_grace_period = fields.optional("nodeMonitorGracePeriod", positive);
    fields.finish();
    Some(TuningRequest {
        node_status_update_frequency: node_status_update_frequency?,
        node_monitor_period: node_monitor_period?,
        node_monitor_grace_period: node_monitor_grace_period?,
    })
}

/// `spec.blastRadius`.
pub(crate) fn blast_radius(cx: &Cx, node: &Node) -> Option<BlastRadius> {
    let default = BlastRadius::default();
    let mut fields = Fields::of(cx, node, "`blastRadius`")?;
    let max_workers = fields.or("maxWorkers", default.max_workers, count);
    let max_control_planes = fields.or("maxControlPlanes", default.max_control_planes, count);
    let quorum_loss = fields.or("quorumLoss", default.quorum_loss, flag);
    let data_loss = fields.or("dataLoss", default.data_loss, flag);
    let namespaces = fields.or("namespaces", Vec::new(), |cx, node| cx.items(node, dns_label));
    let load_balancer = fields.or("loadBalancer", default.load_balancer, flag);
    fields.finish();
    Some(BlastRadius {
        max_workers: max_workers?,
        max_control_planes: max_control_planes?,
        quorum_loss: quorum_loss?,
        load_balancer: load_balancer?,
        data_loss: data_loss?,
        namespaces: namespaces?.into_iter().collect::<Option<_>>()?,
    })
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
    fn a_context_is_never_named_in_a_file() {
        assert_eq!(decoded("context: {}", cluster).0, Some(Cluster::Context));
        assert_eq!(decoded("context:", cluster).0, Some(Cluster::Context));
        assert!(decoded("context: production", cluster).1.contains("cannot name a context"));
        assert!(
            decoded("context: {name: production}", cluster).1.contains("cannot name a context")
        );
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

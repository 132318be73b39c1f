//! The kind config: what a run needs of it.

use super::Check;
use crate::experiment::decode::{known, scalar::is_dns_label};
use crate::experiment::diagnostic::{Diagnostic, Span};
use crate::experiment::files::ReadFile;
use crate::experiment::schema::{Count, Fault, From};
use crate::experiment::tree::quoted;
use crate::timeline::{Component, NodeRole};

pub fn check(check: &Check, config: &ReadFile) {
    let error = |span: Span, message: String| Diagnostic::error(message).at(&config.file, span);
    let [root] = config.documents.as_slice() else {
        let message = format!("a kind config is one document, this file has {}", config.documents.len());
        check.tell(error(Span::of_bytes(&config.file.text, 0, 0), message));
        return;
    };
    if root.text_at("kind") != Some("Cluster") || !root.text_at("apiVersion").is_some_and(|v| v.starts_with("kind.x-k8s.io/")) {
        let hint = "it begins with `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`";
        check.tell(error(root.focus(), "this is no kind config".into()).hint(hint));
        return;
    }
    match root.text_at("name") {
        Some(name) if is_dns_label(name) => {}
        Some(name) => check.tell(error(root.find("name").0.focus(), format!("{} can't be a cluster's name", quoted(name)))),
        None => {
            let message = "the kind config has no `name:`, so kind would call its cluster `kind`, as it does any other";
            check.tell(error(root.focus(), message.into()).hint("add `name: my-experiments`"));
        }
    }
    let roles = root.find("nodes").0.items().iter().map(|node| node.text_at("role").unwrap_or("control-plane"));
    let roles: Vec<&str> = roles.collect();
    targets_are_there(check, config, &roles);
    a_node_is_left(check, config, &roles);
    a_majority_is_left(check, config, &roles);
}

/// The run refuses it as well, but only when the cluster is there.
fn a_majority_is_left(check: &Check, config: &ReadFile, roles: &[&str]) {
    let planes = roles.iter().filter(|role| **role == "control-plane").count().max(1);
    let allowed = check.draft.blast_radius.as_ref().is_none_or(|radius| radius.quorum_loss);
    for (_, fault, place) in check.faults() {
        let Some(target) = fault.target().filter(|target| target.role == Some(NodeRole::ControlPlane)) else { continue };
        if matches!(fault, Fault::EtcdDataLoss { .. }) && planes > 1 {
            let message =
                format!("{} has {planes} members of etcd, and data that one loses it gets back from the others", config.file.name);
            check.tell(check.error(&place, message).hint("a kind config with one control plane shows what is lost"));
        }
        let hit = match target.count {
            Count::All => planes,
            Count::Exactly(count) => count as usize,
        };
        let takes_etcd = fault.takes_node() || fault.component() == Some(Component::Etcd);
        if takes_etcd && !allowed && planes > 1 && target.followers.is_none() && (planes - hit.min(planes)) * 2 <= planes {
            let message =
                format!("this takes {hit} of the {planes} control planes of {}, and etcd's quorum with them", config.file.name);
            check.tell(check.error(&format!("{place}.target"), message).hint("`blastRadius: {quorumLoss: true}` allows it"));
        }
    }
}

/// kind makes one control plane where the config names no node.
fn targets_are_there(check: &Check, config: &ReadFile, roles: &[&str]) {
    for (_, fault, place) in check.faults() {
        let (missing, what) = match fault.target().and_then(|target| target.role) {
            Some(NodeRole::Worker) => (!roles.contains(&"worker"), "worker"),
            Some(NodeRole::ExternalLoadBalancer) => (
                roles.iter().filter(|role| **role == "control-plane").count() < 2,
                "load balancer (kind makes one before several control planes)",
            ),
            _ => (false, ""),
        };
        if missing {
            let place = format!("{place}.target.role");
            check.tell(check.error(&place, format!("the cluster of {} has no {what}", config.file.name)));
        }
    }
}

/// The only node of a role can't be harmed and host a probe at once. By name the file alone knows (see `harm.rs`), by labels only the run.
fn a_node_is_left(check: &Check, config: &ReadFile, roles: &[&str]) {
    let only = |role: NodeRole| match role {
        NodeRole::Worker => roles.iter().filter(|known| **known == "worker").count() == 1,
        NodeRole::ControlPlane => roles.iter().filter(|known| **known == "control-plane").count() <= 1,
        NodeRole::ExternalLoadBalancer => false,
    };
    for (_, fault, place) in check.faults() {
        let role = fault.target().and_then(|target| target.role);
        let Some(role) = role.filter(|role| fault.takes_node() && only(*role)) else { continue };
        let asks_from = |from: &From| matches!(from, From::Node(selector) if selector.role == Some(role));
        for (number, probe) in known(&check.draft.probes).filter(|(_, probe)| asks_from(&probe.from)) {
            let at = check.at(&format!("spec.probes[{number}].from.node.role"));
            let message =
                format!("this harms the only {} of {}, from which the probe `{}` asks", role.name(), config.file.name, probe.name);
            let hint = "ask from a node of another role, or add a node to the kind config";
            let place = format!("{place}.target.role");
            check.tell(check.error(&place, message).related(check.cx.file(), at, "asked from here").hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, both, changed, with_config};

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    #[test]
    fn a_config_needs_a_name() {
        let told = with_config(&format!("{HEAD}nodes: [{{role: worker}}]\n"));
        assert!(told.contains("kind.yaml:1:1: error: the kind config has no `name:`"), "{told}");
        assert!(
            with_config(&format!("{HEAD}name: A_b\nnodes: [{{role: worker}}]\n")).contains("kind.yaml:3:7: error: `A_b` can't be")
        );
    }

    #[test]
    fn something_else_is_no_config() {
        assert!(with_config("kind: Pod\napiVersion: v1\n").contains("this is no kind config"));
        assert!(with_config("").contains("this file has 0"));
        assert!(with_config("a: [\n").contains("never closed"));
    }

    #[test]
    fn the_nodes_that_are_harmed_are_in_it() {
        let told = with_config(&format!("{HEAD}name: test\n"));
        assert_eq!(told, "20:33: error: the cluster of kind.yaml has no worker");
        let told = changed("role: worker, mostEndpointsOf: web", "role: external-load-balancer");
        assert!(told.contains("has no load balancer"), "{told}");
    }

    #[test]
    fn a_quorum_is_lost_by_permission_only() {
        let three =
            format!("{HEAD}name: test\nnodes: [{{role: control-plane}}, {{role: control-plane}}, {{role: control-plane}}]\n");
        let told = |fault: &str, radius: &str| {
            let experiment = GOOD.replace("nodeStop: {target: {role: worker, mostEndpointsOf: web}}", fault);
            let radius = format!("  blastRadius: {{maxControlPlanes: 3, dataLoss: true{radius}}}\n  method:\n");
            both(&experiment.replace("  method:\n", &radius).replace("from: {node: {role: control-plane}}", "from: host"), &three)
        };
        let kill = |count: &str| format!("nodeKill: {{target: {{role: control-plane{count}}}}}");
        let quorum = "control planes of kind.yaml, and etcd's quorum with them (`blastRadius: {quorumLoss: true}` allows it)";
        assert!(told(&kill(", count: 2"), "").contains(quorum), "{}", told(&kill(", count: 2"), ""));
        assert!(told(&kill(", count: all"), "").contains(quorum) && !told(&kill(""), "").contains(quorum));
        assert!(!told(&kill(", count: 2"), ", quorumLoss: true").contains(quorum));
        let loss = told("etcdDataLoss: {target: {role: control-plane}}", ", quorumLoss: true");
        assert!(loss.contains("error: kind.yaml has 3 members of etcd"), "{loss}");
    }

    #[test]
    fn the_only_worker_can_not_be_probe_host_and_target() {
        let told = changed("from: {node: {role: control-plane}}", "from: {node: {role: worker}}");
        assert!(told.contains("20:33: error: this harms the only worker of kind.yaml, from which the probe `web` asks"), "{told}");
        let two = format!("{HEAD}name: test\nnodes: [{{role: worker}}, {{role: worker}}]\n");
        assert_eq!(with_config(&two), "");
    }
}

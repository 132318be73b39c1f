//! The kind config: what a run needs of it. Whether its nodes suffice for the method a rehearsal tells (`cli/planned.rs`): of a run that is
//! told to use another cluster it says nothing.

use super::Check;
use crate::experiment::decode::scalar::is_dns_label;
use crate::experiment::diagnostic::{Diagnostic, Span};
use crate::experiment::files::ReadFile;
use crate::experiment::schema::Fault;
use crate::experiment::tree::{Node, quoted};

pub(super) fn check(check: &Check, config: &ReadFile) {
    let error = |span: Span, message: String| Diagnostic::error(message).at(&config.file, span);
    let [root] = config.documents.as_slice() else {
        let message =
            format!("a kind config is one document, this file has {}", config.documents.len());
        check.tell(error(Span::of_bytes(&config.file.text, 0, 0), message));
        return;
    };
    if root.text_at("kind") != Some("Cluster")
        || !root.text_at("apiVersion").is_some_and(|v| v.starts_with("kind.x-k8s.io/"))
    {
        let hint = "it begins with `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`";
        check.tell(error(root.focus(), "this is no kind config".into()).hint(hint));
        return;
    }
    match root.text_at("name") {
        Some(name) if is_dns_label(name) => {}
        Some(name) => check.tell(error(
            root.find("name").0.focus(),
            format!("{} can't be a cluster's name", quoted(name)),
        )),
        None => {
            let message = "the kind config has no `name:`, so kind would call its cluster `kind`, as it does any other";
            check.tell(error(root.focus(), message.into()).hint("add `name: my-experiments`"));
        }
    }
    data_is_lost_for_good(check, config, root);
}

/// What one member of etcd loses, the others give back.
fn data_is_lost_for_good(check: &Check, config: &ReadFile, root: &Node) {
    let roles = root
        .find("nodes")
        .0
        .items()
        .iter()
        .map(|node| node.text_at("role").unwrap_or("control-plane"));
    let planes = roles.filter(|role| *role == "control-plane").count();
    for (_, fault, place) in check.faults() {
        if planes > 1 && matches!(fault, Fault::EtcdDataLoss { .. }) {
            let message = format!(
                "{} has {planes} members of etcd, and data that one loses it gets back from the others",
                config.file.name
            );
            check.tell(
                check
                    .error(&place, message)
                    .hint("a kind config with one control plane shows what is lost"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, both, with_config};

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    #[test]
    fn a_config_needs_a_name() {
        let told = with_config(&format!("{HEAD}nodes: [{{role: worker}}]\n"));
        assert!(told.contains("kind.yaml:1:1: error: the kind config has no `name:`"), "{told}");
        assert!(
            with_config(&format!("{HEAD}name: A_b\nnodes: [{{role: worker}}]\n"))
                .contains("kind.yaml:3:7: error: `A_b` can't be")
        );
    }

    #[test]
    fn something_else_is_no_config() {
        assert!(with_config("kind: Pod\napiVersion: v1\n").contains("this is no kind config"));
        assert!(with_config("").contains("this file has 0"));
        assert!(with_config("a: [\n").contains("never closed"));
    }

    #[test]
    fn data_is_lost_only_where_no_other_member_has_it() {
        let told = |planes: &str| {
            let loss = GOOD.replace(
                "nodeStop: {target: {role: worker, mostEndpointsOf: web}}",
                "etcdDataLoss: {target: {role: control-plane}}",
            );
            let radius = "  blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}\n  method:\n";
            both(
                &loss.replace("  method:\n", radius),
                &format!("{HEAD}name: test\nnodes: [{planes}]\n"),
            )
        };
        assert!(!told("{role: control-plane}").contains("members of etcd"));
        assert!(
            told("{role: control-plane}, {}, {role: worker}")
                .contains("error: kind.yaml has 2 members of etcd")
        );
    }
}

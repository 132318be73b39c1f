//! Faults on objects of a namespace: which, and what is done to them.

use super::fields::{Cx, Fields};
use super::node;
use super::scalar::{count, dns_label, labels, node_name};
use crate::experiment::schema::{Count, Fault, PodSelector};
use crate::experiment::tree::Node;

/// `deploymentScale`.
pub(crate) fn deployment_scale(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`deploymentScale`")?;
    let namespace = fields.optional("namespace", dns_label);
    // An object's name may have dots, as a node's.
    let name = fields.required("name", node_name);
    let replicas = fields.required("replicas", count);
    fields.finish();
    Some(Fault::DeploymentScale { namespace: namespace?, name: name?, replicas: replicas? })
}

/// `deploymentPlace`.
pub(crate) fn deployment_place(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`deploymentPlace`")?;
    let namespace = fields.optional("namespace", dns_label);
    let name = fields.required("name", node_name);
    let on = fields.required("on", node::ground);
    fields.finish();
    Some(Fault::DeploymentPlace { namespace: namespace?, name: name?, on: Box::new(on?) })
}

/// `podDelete`.
pub(crate) fn pod_delete(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`podDelete`")?;
    let pods = pods(&mut fields);
    fields.finish();
    Some(Fault::PodDelete { pods: pods? })
}

/// `containerKill`.
pub(crate) fn container_kill(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`containerKill`")?;
    let pods = pods(&mut fields);
    let container = fields.optional("container", dns_label);
    fields.finish();
    Some(Fault::ContainerKill { pods: pods?, container: container? })
}

fn pods(fields: &mut Fields) -> Option<PodSelector> {
    let namespace = fields.optional("namespace", dns_label);
    let labels = fields.required("labels", labels);
    let count = fields.or("count", Count::default(), node::count);
    Some(PodSelector { namespace: namespace?, labels: labels?, count: count? })
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;
    use crate::timeline::NodeRole;

    #[test]
    fn a_deployment_is_scaled_to_a_number() {
        let (found, problems) =
            decoded("{namespace: kube-system, name: coredns, replicas: 0}", deployment_scale);
        assert_eq!(problems, "");
        let wanted = Fault::DeploymentScale {
            namespace: Some("kube-system".into()),
            name: "coredns".into(),
            replicas: 0,
        };
        assert_eq!(found, Some(wanted));
        let told = decoded("{replicas: -1}", deployment_scale).1;
        assert!(
            told.contains("`deploymentScale` needs `name`")
                && told.contains("expected a whole number"),
            "{told}"
        );
    }

    #[test]
    fn a_deployment_is_moved_to_some_nodes() {
        let (found, problems) =
            decoded("{name: web, on: {role: worker, count: 2}}", deployment_place);
        assert_eq!(problems, "");
        let Some(Fault::DeploymentPlace { namespace: None, on, .. }) = found else {
            panic!("{found:?}")
        };
        assert_eq!((on.role, on.count), (Some(NodeRole::Worker), Count::Exactly(2)));
        let wrong = |yaml: &str| decoded(yaml, deployment_place).1;
        assert!(wrong("{name: web}").contains("`deploymentPlace` needs `on`"));
        assert!(wrong("{name: web, on: {count: 2}}").contains("would take any node"));
        assert!(wrong("{name: web, on: {leader: etcd}}").contains("unknown field `leader`"));
    }

    #[test]
    fn pods_are_chosen_by_labels_and_number() {
        let count = |yaml: &str| match decoded(yaml, pod_delete).0 {
            Some(Fault::PodDelete { pods }) => Ok(pods.count),
            _ => Err(decoded(yaml, pod_delete).1),
        };
        assert_eq!(count("{labels: {app: web}}"), Ok(Count::Exactly(1)));
        assert_eq!(count("{labels: {app: web}, count: all}"), Ok(Count::All));
        assert_eq!(count("{labels: {app: web}, count: 2}"), Ok(Count::Exactly(2)));
        assert!(
            count("{labels: {app: web}, count: 0}")
                .unwrap_err()
                .contains("expected a number of 1 or more, or `all`")
        );
        assert!(count("{labels: {}}").unwrap_err().contains("would choose anything"));
    }
}

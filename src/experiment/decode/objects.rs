//! Faults on objects of a namespace: which, and what is done to them.

use super::fields::{Cx, Fields};
use super::node;
use super::scalar::{count, dns_label, labels, node_name};
use crate::experiment::schema::{Count, Fault, PodSelector};
use crate::experiment::tree::Node;

/// `deploymentScale`.
pub fn deployment_scale(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`deploymentScale`")?;
    let namespace = fields.optional("namespace", dns_label);
    // An object's name may have dots, as a node's.
    let name = fields.required("name", node_name);
    let replicas = fields.required("replicas", count);
    fields.finish();
    Some(Fault::DeploymentScale { namespace: namespace?, name: name?, replicas: replicas? })
}

/// `podDelete`.
pub fn pod_delete(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`podDelete`")?;
    let pods = pods(&mut fields);
    fields.finish();
    Some(Fault::PodDelete { pods: pods? })
}

/// `containerKill`.
pub fn container_kill(cx: &Cx, node: &Node) -> Option<Fault> {
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

    #[test]
    fn a_deployment_is_scaled_to_a_number() {
        let (found, problems) = decoded("{namespace: kube-system, name: coredns, replicas: 0}", deployment_scale);
        assert_eq!(problems, "");
        let wanted = Fault::DeploymentScale { namespace: Some("kube-system".into()), name: "coredns".into(), replicas: 0 };
        assert_eq!(found, Some(wanted));
        let told = decoded("{replicas: -1}", deployment_scale).1;
        assert!(told.contains("`deploymentScale` needs `name`") && told.contains("expected a whole number"), "{told}");
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
        assert!(count("{labels: {app: web}, count: 0}").unwrap_err().contains("expected 1 or more"));
        assert!(count("{labels: {}}").unwrap_err().contains("would choose anything"));
    }
}

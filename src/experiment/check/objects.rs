//! Objects that a run can't own.

use crate::experiment::decode::fields::Cx;
use crate::workload::{Manifest, with_article};

pub(super) fn check(cx: &Cx, workload: &Manifest) {
    for object in workload.objects() {
        if object.is_cluster_scoped() {
            let message = format!("{} belongs to the whole cluster", with_article(object.kind()));
            let hint = "a run owns one namespace and nothing else; create this object yourself before the run";
            cx.report(object.error("kind", message).hint(hint));
        } else {
            object.schema_problems().into_iter().for_each(|problem| cx.report(problem));
        }
        if object.json()["metadata"]["namespace"].is_string() {
            let hint =
                "leave it out: the run creates all objects in its own namespace and removes it";
            let message = "this object names its own namespace".to_owned();
            cx.report(object.error("metadata.namespace", message).hint(hint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_workload;

    #[test]
    fn objects_that_a_run_cannot_own_are_refused() {
        let diagnostics = with_workload(
            "apiVersion: apps/v1\nkind: Deployment",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole",
        );
        assert!(
            diagnostics.contains("web.yaml:2:7: error: a ClusterRole belongs to the whole cluster"),
            "{diagnostics}"
        );
        let diagnostics = with_workload(
            "metadata: {name: web}\nspec: {selector",
            "metadata: {name: web, namespace: prod}\nspec: {selector",
        );
        assert!(
            diagnostics.contains("web.yaml:12:34: error: this object names its own namespace"),
            "{diagnostics}"
        );
    }

    #[test]
    fn what_the_reader_refuses_is_reported() {
        assert!(
            with_workload("kind: Service\n", "")
                .contains("web.yaml:10:1: error: expected a Kubernetes object")
        );
        let diagnostics = with_workload(
            "metadata: {name: web}\nspec: {selector",
            "metadata: {}\nspec: {selector",
        );
        assert!(
            diagnostics.contains("web.yaml:12:11: error: a Service without a name"),
            "{diagnostics}"
        );
        let again = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Service";
        let diagnostics = with_workload("---\napiVersion: v1\nkind: Service", again);
        assert!(diagnostics.contains("error: the Service `web` is defined twice"), "{diagnostics}");
    }

    #[test]
    fn the_items_of_a_list_count() {
        let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}";
        let diagnostics = with_workload(
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{name: http, port: 80}]}",
            list,
        );
        assert_eq!(diagnostics, "");
    }
}

//! Which pods must not be lost together: those of each Deployment and StatefulSet, and those of each
//! disruption budget.

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use kube::core::{Selector, SelectorExt};

use super::connect::Cluster;
use super::error::ClusterError;
use super::objects::Pod;
use super::query::{controller, pod_ready};

/// What the Deployment controller labels its pods with: the end of the ReplicaSet's name.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// The ready pods of one controller, or under one disruption budget, by node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadyPods {
    pub namespace: String,
    /// `Deployment shop/db`, `PodDisruptionBudget shop/checkout`.
    pub name: String,
    /// How many disruptions the budget allows now; `None`: it is a controller.
    pub allowed: Option<u32>,
    pub by_node: BTreeMap<String, u32>,
}

/// A disruption budget, and the labels of its pods.
struct Budget {
    pods: ReadyPods,
    selector: Selector,
}

impl Cluster {
    /// All controllers and disruption budgets with ready pods. The pods are read page by page, and
    /// none is kept.
    pub(crate) async fn ready_pods(&self) -> Result<Vec<ReadyPods>, ClusterError> {
        let budgets: Api<PodDisruptionBudget> = Api::all(self.client());
        let what = "list the PodDisruptionBudgets";
        let found = self.list_all(what, budgets, ListParams::default()).await?;
        let mut budgets: Vec<Budget> = found.into_iter().filter_map(budget).collect();
        let mut controllers: BTreeMap<String, ReadyPods> = BTreeMap::new();
        let pods: Api<Pod> = Api::all(self.client());
        self.each_page("list the pods", pods, ListParams::default(), |page| {
            for pod in page.iter().filter(|pod| is_up(pod)) {
                count(pod, &mut controllers, &mut budgets);
            }
        })
        .await?;
        let budgets = budgets.into_iter().map(|budget| budget.pods);
        Ok(controllers.into_values().chain(budgets).collect())
    }
}

fn is_up(pod: &Pod) -> bool {
    pod_ready(pod) && pod.metadata.deletion_timestamp.is_none()
}

fn count(pod: &Pod, controllers: &mut BTreeMap<String, ReadyPods>, budgets: &mut [Budget]) {
    let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) else { return };
    let namespace = pod.namespace().unwrap_or_default();
    if let Some(owner) = keeper(pod) {
        let name = format!("{} {namespace}/{}", owner.kind, owner.name);
        let group = controllers.entry(name.clone()).or_insert_with(|| ReadyPods {
            namespace: namespace.clone(),
            name,
            allowed: None,
            by_node: BTreeMap::new(),
        });
        *group.by_node.entry(node.clone()).or_default() += 1;
    }
    let of = |budget: &&mut Budget| {
        budget.pods.namespace == namespace && budget.selector.matches(pod.labels())
    };
    for budget in budgets.iter_mut().filter(of) {
        *budget.pods.by_node.entry(node.clone()).or_default() += 1;
    }
}

/// Who keeps a number of such pods.
struct Keeper<'a> {
    kind: &'a str,
    name: &'a str,
}

/// The Deployment, ReplicaSet or StatefulSet of a pod.
fn keeper(pod: &Pod) -> Option<Keeper<'_>> {
    let owner = controller(pod)?;
    match owner.kind.as_str() {
        "StatefulSet" => Some(Keeper { kind: "StatefulSet", name: &owner.name }),
        "ReplicaSet" => {
            let hash = pod.labels().get(TEMPLATE_HASH);
            let deployment =
                hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
            Some(match deployment {
                Some(name) => Keeper { kind: "Deployment", name },
                None => Keeper { kind: "ReplicaSet", name: &owner.name },
            })
        }
        _ => None,
    }
}

/// One without a selector covers no pod.
fn budget(found: PodDisruptionBudget) -> Option<Budget> {
    let (namespace, name) = (found.namespace().unwrap_or_default(), found.name_any());
    let selector = Selector::try_from(found.spec?.selector?).ok()?;
    let allowed = found.status.map_or(0, |status| status.disruptions_allowed);
    let name = format!("PodDisruptionBudget {namespace}/{name}");
    let allowed = Some(u32::try_from(allowed).unwrap_or(0));
    Some(Budget {
        pods: ReadyPods { namespace, name, allowed, by_node: BTreeMap::new() },
        selector,
    })
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, node: &str, owner: Value, labels: Value) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [owner]},
            "spec": {"nodeName": node}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    }

    fn owner(kind: &str, name: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true})
    }

    /// Two pages of pods, and a budget.
    async fn answer(request: http::Request<Body>) -> Result<Response<Body>, tower::BoxError> {
        let web = |name, node| {
            pod(
                name,
                node,
                owner("ReplicaSet", "web-559b"),
                json!({"app": "web", "pod-template-hash": "559b"}),
            )
        };
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let value = match path {
            "/api/v1/pods" if query.contains("continue=next") => json!({"metadata": {}, "items": [
                web("web-2", "w2"), pod("db-0", "w2", owner("StatefulSet", "db"), json!({}))]}),
            "/api/v1/pods" => json!({"metadata": {"continue": "next"}, "items": [
                web("web-1", "w1"), pod("agent", "w1", owner("DaemonSet", "agent"), json!({"app": "web"})),
                {"metadata": {"name": "starts", "namespace": "shop"}, "spec": {"nodeName": "w1"}}]}),
            "/apis/policy/v1/poddisruptionbudgets" => json!({"metadata": {}, "items": [
                {"metadata": {"name": "web", "namespace": "shop"},
                 "spec": {"minAvailable": 1, "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}},
                 "status": {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}},
                {"metadata": {"name": "of-none", "namespace": "shop"}, "spec": {}}]}),
            other => panic!("{other}"),
        };
        assert!(query.contains("limit=500"), "{path}?{query}");
        Ok(Response::builder().body(Body::from(value.to_string().into_bytes()))?)
    }

    #[tokio::test]
    async fn ready_pods_are_counted_by_controller_and_budget_page_by_page() {
        let found = Cluster::of_service(answer).ready_pods().await.unwrap();
        let shown = found.iter().map(|it| {
            let on = it.by_node.iter().map(|(node, count)| format!("{node}: {count}"));
            format!("{} {:?} {}", it.name, it.allowed, on.collect::<Vec<_>>().join(", "))
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "Deployment shop/web None w1: 1, w2: 1",
                "StatefulSet shop/db None w2: 1",
                "PodDisruptionBudget shop/web Some(1) w1: 2, w2: 1"
            ]
        );
    }
}

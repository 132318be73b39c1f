//! A cluster of which little more than the API server lives, and clients of it.

use http::{Method, Request};
use serde_json::{Value, json};

use super::{ApiServer, Deletion, Hooks, Proxied};
use crate::cluster::Cluster;
use crate::embedded::store::{Kind, Store, kinds, object};

/// Pods and namespaces end when somebody takes them away; a kubelet tells its settings.
struct Rest;

impl Hooks for Rest {
    fn deletion(&self, kind: &'static Kind, _: &Value, grace: Option<u32>) -> Deletion {
        match kind.plural {
            "namespaces" => Deletion::Later(0),
            "pods" if grace != Some(0) => Deletion::Later(grace.unwrap_or(30)),
            _ => Deletion::Now,
        }
    }

    fn node_proxy(&self, _: &str, path: &str) -> Proxied {
        let path = path.to_owned();
        let settings = json!({"kubeletconfig": {"nodeStatusUpdateFrequency": "1s", "nodeLeaseDurationSeconds": 40, "clusterDomain": "x.y"}});
        Box::pin(async move {
            assert_eq!(path, "configz");
            Ok(("application/json", settings.to_string()))
        })
    }
}

/// A store with a node and the namespaces `default` and `kube-system`, served.
pub(super) async fn served() -> (ApiServer, Store, Cluster) {
    serve(Store::new()).await
}

pub(super) async fn serve(store: Store) -> (ApiServer, Store, Cluster) {
    for name in ["default", "kube-system"] {
        store.put(
            &kinds::NAMESPACES,
            json!({"metadata": {"name": name}, "status": {"phase": "Active"}}),
        );
    }
    store.put(&kinds::NODES, node("True"));
    let api = ApiServer::start(store.clone(), "127.0.0.1:0".parse().unwrap(), "v1.34.0", Rest)
        .await
        .unwrap();
    let cluster = Cluster::from_kubeconfig(&api.kubeconfig("embedded")).await.unwrap();
    (api, store, cluster)
}

/// The node `w`.
pub(super) fn node(ready: &str) -> Value {
    json!({"metadata": {"name": "w"}, "spec": {}, "status": {"conditions": [{"type": "Ready", "status": ready}],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.9"}]}})
}

/// Ends what was deleted and gives each namespace its service account, as the controllers and
/// kubelets do.
pub(super) async fn tidy(store: Store) {
    let mut feed = store.follow(0);
    while let Ok(changes) = feed.next().await {
        for now in
            changes.iter().filter_map(|change| change.after.as_ref().map(|now| (change.kind, now)))
        {
            match now {
                (kind, pod) if kind == &kinds::PODS && object::is_deleted(pod) => {
                    store.remove(kind, object::namespace(pod), object::name(pod));
                }
                (kind, namespace) if kind == &kinds::NAMESPACES => of_namespace(&store, namespace),
                _ => {}
            }
        }
    }
}

fn of_namespace(store: &Store, namespace: &Value) {
    let name = object::name(namespace);
    if !object::is_deleted(namespace) {
        store.put(
            &kinds::SERVICE_ACCOUNTS,
            json!({"metadata": {"name": "default", "namespace": name}}),
        );
        return;
    }
    for kind in kinds::ALL.into_iter().filter(|kind| kind.namespaced) {
        store
            .list(kind, Some(name))
            .iter()
            .for_each(|object| drop(store.remove(kind, name, object::name(object))));
    }
    store.remove(&kinds::NAMESPACES, "", name);
}

/// What the server answers; a refusal is its status code and reason.
pub(super) async fn ask(
    cluster: &Cluster,
    method: Method,
    path: &str,
    body: Value,
) -> Result<Value, (u16, String)> {
    send(cluster, method, path, "application/json", body).await
}

/// The same, with a content type.
pub(super) async fn send(
    cluster: &Cluster,
    method: Method,
    path: &str,
    content_type: &str,
    body: Value,
) -> Result<Value, (u16, String)> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content_type)
        .body(body)
        .unwrap();
    cluster.client().request::<Value>(request).await.map_err(|error| match error {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => (0, other.to_string()),
    })
}

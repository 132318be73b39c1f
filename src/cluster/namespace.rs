//! The namespace of a run: made for it, and gone with it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::RUN_LABEL;
use super::leftovers::Leftovers;
use super::objects::Pod;
use crate::timeline::Ready;
use crate::timeline::leader::SYSTEM_NAMESPACE;

/// The label that everybody's tools look at, and our value of it.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "outage");
/// The label that says which pods a namespace takes.
const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";
const POLL: Duration = Duration::from_millis(300);
/// Between two looks whether a namespace is still there.
const WATCHED: Duration = Duration::from_secs(2);
/// The controller manager makes the account within a second, if it lives.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a pod of ours may take to end by itself.
const POD_GRACE_SECONDS: u32 = 1;
/// After which a pod on a node that is not Ready is deleted by force: its kubelet can't confirm its
/// end.
const FORCE_AFTER: Duration = Duration::from_secs(5);

impl Cluster {
    /// What tells this cluster from any other, whatever its contexts are called: the uid of its
    /// namespace kube-system, which lives as long as the cluster; its server's address where the
    /// user may not read that.
    pub(crate) async fn identity(&self) -> Result<String, ClusterError> {
        match self.system_uid().await {
            Ok(uid) => Ok(uid.unwrap_or_else(|| self.server().to_owned())),
            Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => {
                Ok(self.server().to_owned())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it is the cluster of this identity. Errors when that cannot be told now.
    pub(crate) async fn is(&self, identity: &str) -> Result<bool, ClusterError> {
        if identity == self.server() {
            return Ok(true);
        }
        Ok(self.system_uid().await?.as_deref() == Some(identity))
    }

    async fn system_uid(&self) -> Result<Option<String>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client());
        let what = format!("read the namespace {SYSTEM_NAMESPACE}");
        Ok(self.call(what, api.get(SYSTEM_NAMESPACE)).await?.metadata.uid)
    }

    /// Makes a namespace with our labels, and waits until pods can be made in it. Errors when it
    /// exists, and when the API server does not take its name, or the run's full id as a label (at
    /// most 63 letters, digits, `-`, `_` and `.`).
    pub(crate) async fn create_namespace(&self, name: &str, run: &str) -> Result<(), ClusterError> {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let labels = [(MANAGED_BY.0, MANAGED_BY.1), (RUN_LABEL, run)];
        namespace.metadata.labels =
            Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let api: Api<Namespace> = Api::all(self.client());
        self.call(
            format!("create the namespace {name}"),
            api.create(&PostParams::default(), &namespace),
        )
        .await?;
        self.await_account(name).await
    }

    /// Makes a namespace as above, unless it is there, and lets it take pods that may do anything to
    /// their node.
    pub(crate) async fn allow_privileged(&self, name: &str, run: &str) -> Result<(), ClusterError> {
        match self.create_namespace(name, run).await {
            Ok(()) | Err(ClusterError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error),
        }
        let api: Api<Namespace> = Api::all(self.client());
        let label = json!({"metadata": {"labels": {POD_SECURITY: "privileged"}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(&label));
        let patched = api.patch(name, &params, &patch);
        self.call(format!("label the namespace {name}"), patched).await.map(drop)
    }

    /// Makes the namespace of one run that of another: who undoes that one removes it. Errors when it
    /// is not there, or not that run's.
    pub(crate) async fn hand_over_namespace(
        &self,
        name: &str,
        from: &str,
        to: &str,
    ) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client());
        let what = || format!("label the namespace {name}");
        let found = self.call(what(), api.get(name)).await?;
        if !is_of(&found, from) || found.metadata.deletion_timestamp.is_some() {
            let why = format!("it is not that of run {from}, or is being deleted");
            return Err(ClusterError::NotFound { what: what(), why });
        }
        let label = json!({"metadata": {"labels": {RUN_LABEL: to}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(&label));
        self.call(what(), api.patch(name, &params, &patch)).await.map(drop)
    }

    /// Ends when somebody deletes a namespace, once it is there. A server that does not answer says
    /// nothing of it, and neither does one whose etcd has lost its data.
    pub(crate) async fn until_deleted(&self, name: &str) {
        let mut was = None;
        loop {
            let now = self.uid_of(name).await;
            match (&was, now) {
                (None, Ok(Some(uid))) => {
                    was = self.identity().await.ok().map(|cluster| (uid, cluster));
                }
                // Its data may have come back since the first look: only a second one tells.
                (Some((uid, cluster)), Ok(now)) if now.as_ref() != Some(uid) => {
                    let is_same = self.is(cluster).await.is_ok_and(|is_it| is_it);
                    let again = self.uid_of(name).await;
                    if is_same && again.is_ok_and(|again| again.as_ref() != Some(uid)) {
                        return;
                    }
                }
                _ => {}
            }
            sleep(WATCHED).await;
        }
    }

    /// The UID of a namespace that is not being deleted.
    async fn uid_of(&self, name: &str) -> Result<Option<String>, ClusterError> {
        let api: Api<Namespace> = Api::all(self.client());
        let found = self.call(format!("look for the namespace {name}"), api.get_opt(name)).await?;
        let stays = found.filter(|found| found.metadata.deletion_timestamp.is_none());
        Ok(stays.and_then(|found| found.metadata.uid))
    }

    /// The namespaces that runs have made and that are not being deleted.
    pub(crate) async fn namespaces_of_runs(&self) -> Result<Vec<String>, ClusterError> {
        let ours = format!("{}={},{RUN_LABEL}", MANAGED_BY.0, MANAGED_BY.1);
        let (api, params) =
            (Api::<Namespace>::all(self.client()), ListParams::default().labels(&ours));
        let found = self.list_all("list the namespaces of runs", api, params).await?;
        let stays = |namespace: &&Namespace| namespace.metadata.deletion_timestamp.is_none();
        Ok(found.iter().filter(stays).map(Namespace::name_any).collect())
    }

    /// Pods are refused until the namespace has its service account.
    async fn await_account(&self, namespace: &str) -> Result<(), ClusterError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let deadline = Instant::now() + ACCOUNT_TIMEOUT;
        while self
            .call("look for the namespace's service account", api.get_opt("default"))
            .await?
            .is_none()
        {
            if Instant::now() >= deadline {
                let what = format!("namespace {namespace} got no service account");
                let why = "the controller manager creates it; is it running?".to_owned();
                return Err(ClusterError::TooSlow { what, within: ACCOUNT_TIMEOUT, why });
            }
            sleep(POLL / 3).await;
        }
        Ok(())
    }

    /// Deletes the namespace of a run, given by its full id, and waits until it is gone. One that
    /// is not there is not an error, and one without this run's labels is never touched: it is somebody
    /// else's, and nothing of this run is left. Pods on nodes that are not Ready are deleted by
    /// force. An API server that does not answer, or not as it should, is asked again (see
    /// [`ClusterError::may_pass`]). Errors when something is left after `within`; with what kept it
    /// from being asked when the API server does not answer at that time.
    ///
    /// May be dropped and called again.
    pub(crate) async fn remove_namespace(
        &self,
        namespace: &str,
        run: &str,
        within: Duration,
    ) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client());
        let began = Instant::now();
        loop {
            let left = match self
                .push_namespace(&api, namespace, run, began.elapsed() >= FORCE_AFTER)
                .await
            {
                Ok(None) => return Ok(()),
                Ok(Some(left)) => {
                    ClusterError::NamespaceStays { namespace: namespace.to_owned(), within, left }
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error),
            };
            if began.elapsed() >= within {
                return Err(left);
            }
            sleep(POLL).await;
        }
    }

    /// Looks for the namespace of a run and pushes it towards its end; what is left in it, or
    /// `None` when nothing of the run is.
    async fn push_namespace(
        &self,
        api: &Api<Namespace>,
        name: &str,
        run: &str,
        force: bool,
    ) -> Result<Option<Leftovers>, ClusterError> {
        match self.call(format!("remove the namespace {name}"), api.get_opt(name)).await? {
            Some(found) if is_of(&found, run) => {
                self.end_namespace(api, &found, force).await?;
                Ok(Some(Leftovers::of(&found)))
            }
            _ => Ok(None),
        }
    }

    /// One push towards a namespace's end.
    async fn end_namespace(
        &self,
        api: &Api<Namespace>,
        found: &Namespace,
        force: bool,
    ) -> Result<(), ClusterError> {
        let name = found.name_any();
        if found.metadata.deletion_timestamp.is_none() {
            // By its uid: one of the same name that was made since is another.
            let this = Preconditions { uid: found.metadata.uid.clone(), resource_version: None };
            let params = DeleteParams::background().preconditions(this);
            gone_is_fine(
                self.call(format!("delete the namespace {name}"), api.delete(&name, &params)).await,
            )?;
            self.hurry_pods(&name).await;
        }
        if force {
            self.force_pods(&name).await;
        }
        Ok(())
    }

    /// Half a minute for each `sleep` that ignores SIGTERM would be for nothing.
    async fn hurry_pods(&self, namespace: &str) {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let params = DeleteParams::default().grace_period(POD_GRACE_SECONDS);
        let _ = self
            .call("delete the pods", api.delete_collection(&params, &ListParams::default()))
            .await;
    }

    /// What fails here is tried again at the next look.
    async fn force_pods(&self, namespace: &str) {
        let Ok(nodes) = self.nodes().await else { return };
        let ready: BTreeMap<&str, bool> =
            nodes.iter().map(|node| (node.name.as_str(), node.ready == Ready::True)).collect();
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let Ok(pods) = self.list_all("list the pods", api.clone(), ListParams::default()).await
        else {
            return;
        };
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if node.is_none_or(|node| !ready.get(node).copied().unwrap_or(false)) {
                let _ = self
                    .call(
                        "force-delete a pod",
                        api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)),
                    )
                    .await;
            }
        }
    }
}

fn is_of(namespace: &Namespace, run: &str) -> bool {
    let says = |label: &str, value: &str| {
        namespace.labels().get(label).is_some_and(|found| found == value)
    };
    says(MANAGED_BY.0, MANAGED_BY.1) && says(RUN_LABEL, run)
}

fn gone_is_fine<T>(result: Result<T, ClusterError>) -> Result<(), ClusterError> {
    match result {
        // A conflict says that it is being deleted already. One that can't be asked for is asked
        // for again.
        Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 409, .. }) => Ok(()),
        Err(error) if error.is_unreachable() => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server that has at most one namespace.
    #[derive(Clone, Default)]
    struct Server {
        namespace: Arc<Mutex<Option<Value>>>,
        calls: Arc<Mutex<Vec<String>>>,
        /// The uid of its namespace kube-system.
        system: Arc<Mutex<&'static str>>,
        /// It answers only so many calls.
        answers: Option<usize>,
    }

    impl Server {
        fn with(labels: Value) -> Self {
            let server = Self::default();
            *server.namespace.lock().unwrap() =
                Some(json!({"metadata": {"name": "outage-7f3a", "uid": "u1", "labels": labels}}));
            server
        }

        fn cluster(&self) -> Cluster {
            let server = self.clone();
            Cluster::of_service(move |request| {
                let server = server.clone();
                async move { server.answer(request).await }
            })
        }

        async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, tower::BoxError> {
            let (method, path) = (request.method().clone(), request.uri().path().to_owned());
            let body = request.into_body().collect_bytes().await?;
            let mut calls = self.calls.lock().unwrap();
            calls.push(
                format!("{method} {path} {}", String::from_utf8_lossy(&body)).trim().to_owned(),
            );
            if self.answers.is_some_and(|answers| calls.len() > answers) {
                return Err("connection refused".into());
            }
            let mut namespace = self.namespace.lock().unwrap();
            match method {
                Method::POST => *namespace = Some(serde_json::from_slice(&body)?),
                Method::DELETE if !path.ends_with("/pods") => drop(namespace.take()),
                _ => {}
            }
            let missing = json!({"kind": "Status", "status": "Failure", "message": "no", "reason": "NotFound", "code": 404});
            let (code, value) = match (&method, path.ends_with("/pods"), &*namespace) {
                (&Method::DELETE, ..) => (200, json!({"kind": "Status", "status": "Success"})),
                _ if path.ends_with("/serviceaccounts/default") => {
                    (200, json!({"metadata": {"name": "default"}}))
                }
                _ if path.ends_with("/kube-system") => {
                    (200, json!({"metadata": {"uid": *self.system.lock().unwrap()}}))
                }
                (_, _, Some(namespace)) => (200, namespace.clone()),
                _ => (404, missing),
            };
            Ok(Response::builder().status(code).body(Body::from(value.to_string().into_bytes()))?)
        }
    }

    const FULL: &str = "20261122-085423-7f3a";

    #[tokio::test(start_paused = true)]
    async fn a_namespace_has_the_name_and_the_run_that_it_was_given() {
        let server = Server::default();
        server.cluster().create_namespace("outage-7f3a", FULL).await.unwrap();
        let made = server.namespace.lock().unwrap().clone().unwrap();
        assert_eq!(made["metadata"]["name"], "outage-7f3a");
        assert_eq!(
            made["metadata"]["labels"],
            json!({"app.kubernetes.io/managed-by": "outage", "outage.run": FULL})
        );
        server
            .cluster()
            .remove_namespace("outage-7f3a", FULL, Duration::from_secs(5))
            .await
            .unwrap();
        assert!(server.namespace.lock().unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_runs_own_namespace_is_removed() {
        let ours = json!({"app.kubernetes.io/managed-by": "outage", "outage.run": FULL});
        let server = Server::with(ours);
        server
            .cluster()
            .remove_namespace("outage-7f3a", FULL, Duration::from_secs(5))
            .await
            .unwrap();
        let calls = server.calls.lock().unwrap().clone();
        assert!(calls.iter().any(|call| call.starts_with("DELETE /api/v1/namespaces/outage-7f3a")
            && call.contains(r#""uid":"u1""#)));
        for labels in [
            json!({"app.kubernetes.io/managed-by": "outage", "outage.run": "20251122-085423-7f3a"}),
            json!({"app.kubernetes.io/managed-by": "outage", "outage.run": "7f3a"}),
            json!({"app.kubernetes.io/managed-by": "outage"}),
            json!({"app.kubernetes.io/managed-by": "helm", "outage.run": FULL}),
            json!({}),
        ] {
            let server = Server::with(labels.clone());
            server
                .cluster()
                .remove_namespace("outage-7f3a", FULL, Duration::from_secs(5))
                .await
                .unwrap();
            assert_eq!(
                *server.calls.lock().unwrap(),
                ["GET /api/v1/namespaces/outage-7f3a"],
                "{labels}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_was_there_is_lost_where_its_cluster_has_not_lost_everything() {
        let terminating =
            json!({"metadata": {"uid": "u1", "deletionTimestamp": "2026-11-22T08:54:23Z"}});
        for left in [None, Some(terminating)] {
            let server = Server::with(json!({}));
            let cluster = server.cluster();
            let lost = tokio::spawn(async move { cluster.until_deleted("outage-7f3a").await });
            let is = async |namespace: Option<Value>, system: &'static str| {
                *server.namespace.lock().unwrap() = namespace;
                *server.system.lock().unwrap() = system;
                sleep(WATCHED * 2).await;
                lost.is_finished()
            };
            let ours = server.namespace.lock().unwrap().clone();
            assert!(!is(None, "s").await, "it is yet to be made");
            assert!(!is(ours.clone(), "s").await);
            assert!(!is(None, "of an empty store").await);
            assert!(!is(ours, "s").await, "the data is back");
            assert!(is(left, "s").await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_told_from_a_namespace_that_stays() {
        for answers in [0, 1] {
            let ours = json!({"app.kubernetes.io/managed-by": "outage", "outage.run": FULL});
            let server = Server { answers: Some(answers), ..Server::with(ours) };
            let began = Instant::now();
            let error = server
                .cluster()
                .remove_namespace("outage-7f3a", FULL, Duration::from_secs(5))
                .await
                .unwrap_err();
            assert!(
                error.is_unreachable() && error.to_string().contains("connection refused"),
                "{error:?}"
            );
            assert!(began.elapsed() >= Duration::from_secs(5), "it is asked again");
        }
        let terminating = json!({"metadata": {"name": "outage-7f3a", "deletionTimestamp": "2026-11-22T08:54:23Z",
            "labels": {"app.kubernetes.io/managed-by": "outage", "outage.run": FULL}}});
        let server = Server::default();
        *server.namespace.lock().unwrap() = Some(terminating);
        let error = server
            .cluster()
            .remove_namespace("outage-7f3a", FULL, Duration::from_secs(3))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the namespace outage-7f3a was not deleted within 3s: it is still being deleted"
        );
        assert!(
            error.hint().unwrap().contains("kubectl get namespace outage-7f3a"),
            "{:?}",
            error.hint()
        );
    }
}

//! Whether a workload is ready, what it waits for, and whether it can ever become ready.

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::connect::Cluster;
use super::error::ClusterError;
use super::objects::{ContainerStatus, DaemonSet, Deployment, Job, Pod, Service, StatefulSet};
use super::pod_problems::{containers, described, unscheduled};
use super::query::pod_ready;

/// Reasons for which a container waits that more waiting seldom cures.
pub(super) const HOPELESS: [&str; 9] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
    "ImageInspectError",
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub ready: bool,
    /// What is not, and how far it is: `Deployment/web: 1 of 2 available`.
    pub waiting: Vec<String>,
    /// Why it never will be: an image that can't be pulled, a quota that is exceeded.
    pub stuck: Option<String>,
}

impl Cluster {
    /// Looks at all Deployments, StatefulSets, DaemonSets, Jobs, Pods and Services of a namespace,
    /// once.
    pub(crate) async fn readiness(&self, namespace: &str) -> Result<Readiness, ClusterError> {
        let client = || self.client();
        let all = ListParams::default;
        let deployments: Vec<Deployment> = self
            .list_all("list the Deployments", Api::namespaced(client(), namespace), all())
            .await?;
        let stateful: Vec<StatefulSet> =
            self.list_served("list the StatefulSets", Api::namespaced(client(), namespace)).await?;
        let daemons: Vec<DaemonSet> =
            self.list_served("list the DaemonSets", Api::namespaced(client(), namespace)).await?;
        let jobs: Vec<Job> =
            self.list_served("list the Jobs", Api::namespaced(client(), namespace)).await?;
        let pods: Vec<Pod> =
            self.list_all("list the pods", Api::namespaced(client(), namespace), all()).await?;
        let services: Vec<Service> =
            self.list_all("list the Services", Api::namespaced(client(), namespace), all()).await?;
        let mut waiting: Vec<String> = Vec::new();
        waiting.extend(deployments.iter().filter_map(deployment));
        waiting.extend(stateful.iter().filter_map(stateful_set));
        waiting.extend(daemons.iter().filter_map(daemon_set));
        waiting.extend(jobs.iter().filter_map(job));
        waiting.extend(pods.iter().filter_map(pod));
        for service in services.iter().filter(|service| selects(service)) {
            let endpoints = self.endpoints(namespace, &service.name_any()).await?;
            if !endpoints.iter().any(|endpoint| endpoint.ready) {
                let chosen = pods.iter().filter(|pod| is_chosen(pod, service)).count();
                let why = if chosen == 0 { ", and no pod matches its selector" } else { "" };
                waiting.push(format!("Service/{}: no ready endpoint{why}", service.name_any()));
            }
        }
        let mut stuck = pods
            .iter()
            .find_map(stuck_pod)
            .or_else(|| deployments.iter().find_map(stuck_deployment));
        if stuck.is_none() && !waiting.is_empty() {
            stuck = self.refused_pods(namespace).await?;
        }
        Ok(Readiness { ready: waiting.is_empty() && stuck.is_none(), waiting, stuck })
    }

    /// A whole list; empty where the server does not have the kind, and so nobody has any.
    async fn list_served<K>(&self, what: &str, api: Api<K>) -> Result<Vec<K>, ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        match self.list_all(what, api, ListParams::default()).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// Pods that a controller was not allowed to make: only the events say so.
    async fn refused_pods(&self, namespace: &str) -> Result<Option<String>, ClusterError> {
        let params = ListParams::default().fields("reason=FailedCreate");
        let events: Vec<Event> = self
            .list_all("list the events", Api::namespaced(self.client(), namespace), params)
            .await?;
        Ok(events.iter().find_map(refused))
    }
}

fn refused(event: &Event) -> Option<String> {
    let message = event.message.as_deref()?;
    let about = &event.involved_object;
    let label = format!("{}/{}", about.kind.as_deref()?, about.name.as_deref()?);
    is_refusal(message).then(|| format!("{label}: {message}"))
}

/// A missing service account is made in a moment; everything else that is forbidden stays so.
fn is_refusal(message: &str) -> bool {
    (message.contains("exceeded quota") || message.contains("is forbidden"))
        && !message.contains("serviceaccount")
}

/// What a controller waits for: how many it has of how many, and whether it has seen its newest
/// form.
fn count(kind: &str, name: String, seen: bool, have: i32, want: i32, word: &str) -> Option<String> {
    match (seen, have >= want) {
        (true, true) => None,
        (false, _) => Some(format!("{kind}/{name}: not seen by its controller yet")),
        (true, false) => Some(format!("{kind}/{name}: {have} of {want} {word}")),
    }
}

fn deployment(object: &Deployment) -> Option<String> {
    let want = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = object.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= object.metadata.generation;
    let have = status.available_replicas.unwrap_or(0).min(status.updated_replicas.unwrap_or(0));
    count("Deployment", object.name_any(), seen, have, want, "available")
}

fn stateful_set(object: &StatefulSet) -> Option<String> {
    let want = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = object.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= object.metadata.generation;
    count("StatefulSet", object.name_any(), seen, status.ready_replicas.unwrap_or(0), want, "ready")
}

fn daemon_set(object: &DaemonSet) -> Option<String> {
    let status = object.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= object.metadata.generation;
    count(
        "DaemonSet",
        object.name_any(),
        seen,
        status.number_ready,
        status.desired_number_scheduled,
        "ready",
    )
}

/// A Job is there when it is done, or when all of its pods are ready or have succeeded.
fn job(object: &Job) -> Option<String> {
    let spec = object.spec.clone().unwrap_or_default();
    let status = object.status.clone().unwrap_or_default();
    let (done, at_work) = (status.succeeded.unwrap_or(0), status.ready.unwrap_or(0));
    let completions = spec.completions.or(spec.parallelism).unwrap_or(1);
    let want = completions.min(spec.parallelism.unwrap_or(1).max(1));
    if done >= completions {
        return None;
    }
    count("Job", object.name_any(), true, done + at_work, want, "ready or succeeded")
}

fn pod(object: &Pod) -> Option<String> {
    let phase =
        object.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    if object.metadata.deletion_timestamp.is_some() || phase == "Succeeded" || pod_ready(object) {
        return None;
    }
    let why = object.status.as_ref().and_then(unscheduled);
    let why = why.map_or(String::new(), |why| format!(", not scheduled: {why}"));
    Some(format!("Pod/{}: {phase}{why}", object.name_any()))
}

fn selects(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref())
        .is_some_and(|selector| !selector.is_empty())
}

fn is_chosen(pod: &Pod, service: &Service) -> bool {
    let wanted = service.spec.iter().flat_map(|spec| spec.selector.iter().flatten());
    let labels = pod.labels();
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn stuck_pod(object: &Pod) -> Option<String> {
    let status = object.status.as_ref()?;
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let hopeless = containers(status).find_map(hopeless_container);
    let owned = object.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    let failed = status.phase.as_deref() == Some("Failed") && !owned;
    let why = hopeless.or_else(|| {
        failed.then(|| {
            status.message.clone().or(status.reason.clone()).unwrap_or_else(|| "failed".into())
        })
    });
    why.map(|why| format!("Pod/{}: {why}", object.name_any()))
}

fn hopeless_container(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let is_hopeless = waiting.reason.as_deref().is_some_and(|reason| HOPELESS.contains(&reason));
    is_hopeless.then(|| described(container))
}

fn stuck_deployment(object: &Deployment) -> Option<String> {
    let conditions = object.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions
        .iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    let message = failure.message.as_deref().filter(|message| is_refusal(message))?;
    Some(format!("Deployment/{}: {message}", object.name_any()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_deployment_waits_for_its_newest_pods() {
        let with = |status: Value| {
            deployment(&object(
                json!({"metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": status}),
            ))
        };
        assert_eq!(
            with(json!({"observedGeneration": 2, "availableReplicas": 2, "updatedReplicas": 2})),
            None
        );
        assert_eq!(
            with(json!({"observedGeneration": 2, "availableReplicas": 2, "updatedReplicas": 1}))
                .unwrap(),
            "Deployment/web: 1 of 2 available"
        );
        assert_eq!(
            with(json!({"observedGeneration": 1, "availableReplicas": 2, "updatedReplicas": 2}))
                .unwrap(),
            "Deployment/web: not seen by its controller yet"
        );
    }

    #[test]
    fn a_daemon_set_that_nobody_has_seen_is_not_ready() {
        let status = json!({"currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0});
        let fresh = object(json!({"metadata": {"name": "d", "generation": 1}, "status": status}));
        assert_eq!(daemon_set(&fresh).unwrap(), "DaemonSet/d: not seen by its controller yet");
    }

    #[test]
    fn a_job_is_ready_when_done_or_at_work() {
        let with = |status: Value| {
            job(&object(
                json!({"metadata": {"name": "j"}, "spec": {"template": {}}, "status": status}),
            ))
        };
        assert_eq!(with(json!({"succeeded": 1})), None);
        assert_eq!(with(json!({"ready": 1, "active": 1})), None);
        assert_eq!(with(json!({"active": 1})).unwrap(), "Job/j: 0 of 1 ready or succeeded");
    }

    fn waiting_pod(reason: &str) -> Pod {
        object(
            json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "containerStatuses": [{
            "name": "c", "image": "no/such:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "not found"}}}]}}),
        )
    }

    #[test]
    fn a_missing_image_is_reported_immediately() {
        assert_eq!(
            stuck_pod(&waiting_pod("ErrImagePull")).unwrap(),
            "Pod/p: ErrImagePull of container c (image no/such:1): not found"
        );
        assert_eq!(stuck_pod(&waiting_pod("ContainerCreating")), None);
        assert_eq!(pod(&waiting_pod("ContainerCreating")).unwrap(), "Pod/p: Pending");
    }

    #[test]
    fn a_quota_is_stuck_and_a_late_account_is_not() {
        let event = |message: &str| {
            refused(&object(
                json!({"metadata": {}, "involvedObject": {"kind": "Job", "name": "j"}, "message": message}),
            ))
        };
        assert!(
            event("pods \"a\" is forbidden: exceeded quota: q").unwrap().starts_with("Job/j: ")
        );
        assert_eq!(event("pods \"a\" is forbidden: error looking up serviceaccount default"), None);
        assert_eq!(event("timed out"), None);
    }

    #[test]
    fn a_pod_that_nothing_takes_says_why_it_waits() {
        let why = "0/3 nodes are available: 1 node(s) were unschedulable";
        let pending: Pod = object(
            json!({"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}]}}),
        );
        assert_eq!(pod(&pending).unwrap(), format!("Pod/p: Pending, not scheduled: {why}"));
    }

    #[test]
    fn a_service_chooses_by_all_of_its_labels() {
        let service: Service = object(
            json!({"metadata": {"name": "s"}, "spec": {"selector": {"app": "web", "tier": "a"}}}),
        );
        let with = |labels: Value| {
            is_chosen(&object(json!({"metadata": {"name": "p", "labels": labels}})), &service)
        };
        assert!(with(json!({"app": "web", "tier": "a", "x": "y"})) && !with(json!({"app": "web"})));
    }

    #[test]
    fn a_bare_pod_that_failed_stays_so() {
        let failed: Pod = object(
            json!({"metadata": {"name": "p"}, "status": {"phase": "Failed", "reason": "NodeAffinity"}}),
        );
        assert_eq!(stuck_pod(&failed).unwrap(), "Pod/p: NodeAffinity");
        let owned: Pod = object(
            json!({"metadata": {"name": "p", "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}]}, "status": {"phase": "Failed"}}),
        );
        assert_eq!(stuck_pod(&owned), None);
    }
}

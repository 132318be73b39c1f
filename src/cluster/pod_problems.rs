//! Pods that are not well, and why, as far as Kubernetes knows it: what explains a wait that
//! does not end.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::connect::Cluster;
use super::error::ClusterError;
use super::objects::{Condition, ContainerStatus, Pod, PodStatus, Waiting};
use super::query::pod_ready;
use crate::timeline::readable;

/// A container that ended not longer ago than this is not well, even if it runs again.
const RECENT: SignedDuration = SignedDuration::from_mins(5);
/// So many pods' logs are read: the same thing is wrong with the others.
const LOGS: usize = 3;
const LAST_LINES: i64 = 3;
const LAST_BYTES: i64 = 2_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodProblem {
    pub namespace: String,
    pub pod: String,
    pub node: Option<String>,
    /// It is ready; a container of it has ended lately.
    pub ready: bool,
    /// `CrashLoopBackOff of container kube-proxy (image i), last exit code 1, 12 restarts`
    pub why: String,
    /// Of the container that ended.
    pub last_log_lines: Option<String>,
    ended: Option<String>,
}

impl std::fmt::Display for PodProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pod {}/{}", self.namespace, self.pod)?;
        if let Some(node) = &self.node {
            write!(f, " on {node}")?;
        }
        write!(f, ": {}", self.why)?;
        match &self.last_log_lines {
            Some(words) => write!(f, "; its last log lines: {words}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
impl PodProblem {
    pub(crate) fn example(namespace: &str, pod: &str, last_log_lines: Option<&str>) -> Self {
        Self {
            namespace: namespace.into(),
            pod: pod.into(),
            node: None,
            ready: false,
            why: "not ready".into(),
            last_log_lines: last_log_lines.map(Into::into),
            ended: None,
        }
    }
}

impl Cluster {
    /// The pods of a namespace that are not well, those that are not ready first,
    /// and of these those with a container that keeps ending.
    pub(crate) async fn pod_problems(
        &self,
        namespace: &str,
    ) -> Result<Vec<PodProblem>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let pods = self.list_all("list the pods", api, ListParams::default()).await?;
        let now = Timestamp::now();
        let mut problems: Vec<PodProblem> =
            pods.iter().filter_map(|pod| pod_problem(pod, now)).collect();
        problems.sort_by_key(|problem| (problem.ready, problem.ended.is_none()));
        let api: Api<core::Pod> = Api::namespaced(self.client(), namespace);
        for problem in problems.iter_mut().take(LOGS) {
            let Some(container) = problem.ended.clone() else { continue };
            let params = LogParams {
                container: Some(container),
                previous: true,
                tail_lines: Some(LAST_LINES),
                limit_bytes: Some(LAST_BYTES),
                ..LogParams::default()
            };
            let logs = self.call("read a pod's log", api.logs(&problem.pod, &params)).await;
            problem.last_log_lines =
                logs.ok().map(|text| readable(&text)).filter(|t| !t.is_empty());
        }
        Ok(problems)
    }
}

fn pod_problem(pod: &Pod, now: Timestamp) -> Option<PodProblem> {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Pending");
    if pod.metadata.deletion_timestamp.is_some() || phase == "Succeeded" {
        return None;
    }
    let ended = containers(&status).find(|container| has_ended_lately(container, now));
    let ready = pod_ready(pod);
    if ready && ended.is_none() {
        return None;
    }
    let waiting = containers(&status).find(|container| waiting(container).is_some());
    let why = match (ended.or(waiting), unscheduled(&status)) {
        (Some(container), _) => described(container),
        (None, Some(why)) => format!("{phase}, not scheduled: {}", readable(why)),
        (None, None) => format!("{phase}, not ready"),
    };
    Some(PodProblem {
        namespace: pod.namespace().unwrap_or_default(),
        pod: pod.name_any(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ready,
        why,
        last_log_lines: None,
        ended: ended.map(|container| container.name.clone()),
    })
}

pub(super) fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

fn has_ended_lately(container: &ContainerStatus, now: Timestamp) -> bool {
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let at = last.and_then(|end| end.finished_at.as_ref());
    container.restart_count > 0 && at.is_some_and(|at| now.duration_since(at.0) < RECENT)
}

fn waiting(container: &ContainerStatus) -> Option<&Waiting> {
    container.state.as_ref()?.waiting.as_ref().filter(|waiting| waiting.reason.is_some())
}

/// What a container waits for: `ErrImagePull of container c (image no/such:1): not found`.
pub(super) fn described(container: &ContainerStatus) -> String {
    let waiting = waiting(container);
    let what = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or("a restart");
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let code = last.map_or(String::new(), |end| format!(", last exit code {}", end.exit_code));
    let restarts = match container.restart_count {
        0 => String::new(),
        1 => ", 1 restart".to_owned(),
        count => format!(", {count} restarts"),
    };
    let message = waiting.and_then(|waiting| waiting.message.as_deref()).map(readable);
    let message = message.filter(|text| !text.is_empty());
    let message = message.map_or(String::new(), |message| format!(": {message}"));
    let (name, image) = (&container.name, &container.image);
    format!("{what} of container {name} (image {image}){code}{restarts}{message}")
}

/// Why no node takes a pod.
pub(super) fn unscheduled(status: &PodStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter().flatten();
    let is_it =
        |condition: &&Condition| condition.type_ == "PodScheduled" && condition.status == "False";
    Some(conditions.find(is_it)?.message.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(status: Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "p", "namespace": "kube-system"}, "spec": {"nodeName": "w"}, "status": status});
        let now = "2026-11-22T06:25:00Z".parse().unwrap();
        pod_problem(&serde_json::from_value(pod).unwrap(), now).map(|found| found.to_string())
    }

    fn container(state: Value, finished: &str) -> Value {
        json!([{"name": "c", "image": "i", "restartCount": 7, "state": state,
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": finished}}}])
    }

    const READY: &str = "Ready";

    #[test]
    fn a_container_that_keeps_ending_is_not_well_while_it_runs() {
        let ready = json!([{"type": READY, "status": "True"}]);
        let running = |finished| {
            problem(
                json!({"phase": "Running", "conditions": ready, "containerStatuses": container(json!({}), finished)}),
            )
        };
        let text = "Pod kube-system/p on w: a restart of container c (image i), last exit code 1, 7 restarts";
        assert_eq!(running("2026-11-22T06:24:00Z").as_deref(), Some(text));
        assert_eq!(running("2026-11-22T05:24:00Z"), None);
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
        let crashing = problem(
            json!({"phase": "Running", "containerStatuses": container(waiting, "2026-11-22T06:24:00Z")}),
        );
        assert!(
            crashing
                .unwrap()
                .contains(": CrashLoopBackOff of container c (image i), last exit code 1")
        );
    }

    #[test]
    fn what_a_pod_waits_for_is_quoted() {
        let unscheduled = json!([{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]);
        assert_eq!(
            problem(json!({"phase": "Pending", "conditions": unscheduled})).unwrap(),
            "Pod kube-system/p on w: Pending, not scheduled: 0/3 nodes are available"
        );
        let waiting = json!([{"name": "c", "image": "i", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such\nimage"}}}]);
        assert_eq!(
            problem(json!({"phase": "Pending", "containerStatuses": waiting})).unwrap(),
            "Pod kube-system/p on w: ErrImagePull of container c (image i): no such; image"
        );
        assert_eq!(problem(json!({"phase": "Succeeded"})), None);
    }
}

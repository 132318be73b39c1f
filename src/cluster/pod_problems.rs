//! Pods that are not well, and why, as far as Kubernetes knows it: what explains a wait that
//! does not end.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;
use kube::api::{Api, ListParams, LogParams};

use super::connect::Cluster;
use super::error::ClusterError;
use super::objects::{Condition, ContainerStatus, Pod, PodStatus, Waiting};
use super::query::pod_ready;
use crate::timeline::log_line::complains;
use crate::timeline::readable;

/// So many pods' logs are read: the same thing is wrong with the others.
const LOGS: usize = 3;
const LAST_LINES: i64 = 3;
const LAST_BYTES: i64 = 2_000;
/// So much of a log's line is quoted.
const QUOTED: usize = 160;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodProblem {
    pub namespace: String,
    pub pod: String,
    pub node: Option<String>,
    /// It is ready; a container of it ended not long ago.
    pub ready: bool,
    /// `CrashLoopBackOff of container kube-proxy (image i), last exit code 1, 12 restarts`
    pub why: String,
    /// Of the container that ended.
    pub last_log_lines: Vec<String>,
    ended: Option<String>,
}

impl std::fmt::Display for PodProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pod {}/{}", self.namespace, self.pod)?;
        if let Some(node) = &self.node {
            write!(f, " on {node}")?;
        }
        write!(f, ": {}", self.why)?;
        match self.quote() {
            Some(line) => write!(f, "; its log: {line}"),
            None => Ok(()),
        }
    }
}

impl PodProblem {
    /// How bad it is: what does not run and keeps ending first, what runs again last.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        (self.ready, self.ended.is_none())
    }

    /// The last of its lines that says what went wrong, else the last, cut to a length that can be
    /// read in passing.
    fn quote(&self) -> Option<String> {
        let mut lines = self.last_log_lines.iter().rev();
        let line = lines.clone().find(|line| complains(line)).or(lines.next())?;
        let cut = line.char_indices().nth(QUOTED).map(|(end, _)| format!("{}...", &line[..end]));
        Some(cut.unwrap_or_else(|| line.clone()))
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
            last_log_lines: last_log_lines.into_iter().map(Into::into).collect(),
            ended: last_log_lines.map(|_| "c".into()),
        }
    }
}

impl Cluster {
    /// The pods of a namespace that are not well now, the worst first: those that are not ready,
    /// and those with a container that ended after `since`. An earlier restart explains nothing.
    pub(crate) async fn pod_problems(
        &self,
        namespace: &str,
        since: Timestamp,
    ) -> Result<Vec<PodProblem>, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let pods = self.list_all("list the pods", api, ListParams::default()).await?;
        let mut problems: Vec<PodProblem> =
            pods.iter().filter_map(|pod| pod_problem(pod, since)).collect();
        problems.sort_by_key(PodProblem::rank);
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
            let text = logs.unwrap_or_default();
            let lines = text.lines().map(readable).filter(|line| !line.is_empty());
            problem.last_log_lines = lines.collect();
        }
        Ok(problems)
    }
}

fn pod_problem(pod: &Pod, since: Timestamp) -> Option<PodProblem> {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Pending");
    if pod.metadata.deletion_timestamp.is_some() || phase == "Succeeded" {
        return None;
    }
    let ready = pod_ready(pod);
    let ended = |container: &&ContainerStatus| {
        // Why one waits is how it ended, whenever that was.
        let since = waiting(container).map_or(since, |_| Timestamp::MIN);
        has_ended_since(container, since)
    };
    let ended = containers(&status).find(ended);
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
        last_log_lines: Vec::new(),
        ended: ended.map(|container| container.name.clone()),
    })
}

pub(super) fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
}

fn has_ended_since(container: &ContainerStatus, since: Timestamp) -> bool {
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let at = last.and_then(|end| end.finished_at.as_ref());
    container.restart_count > 0 && at.is_some_and(|at| at.0 >= since)
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
    let message = conditions.find(is_it)?.message.as_deref().unwrap_or_default();
    // The same nodes follow once more, for preemption.
    let end = [". no new claims to deallocate", ". preemption:"].map(|more| message.find(more));
    Some(end.into_iter().flatten().min().map_or(message, |end| &message[..end]))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(status: Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "p", "namespace": "kube-system"}, "spec": {"nodeName": "w"}, "status": status});
        let since = "2026-11-22T06:20:00Z".parse().unwrap();
        pod_problem(&serde_json::from_value(pod).unwrap(), since).map(|found| found.to_string())
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
        let unready = problem(
            json!({"phase": "Running", "containerStatuses": container(json!({}), "2026-11-22T05:24:00Z")}),
        );
        assert_eq!(unready.as_deref(), Some("Pod kube-system/p on w: Running, not ready"));
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
    fn one_line_that_complains_is_quoted() {
        let quoted = |lines: &[&str]| {
            let mut pod = PodProblem::example("kube-system", "p", None);
            pod.last_log_lines = lines.iter().map(|line| (*line).to_owned()).collect();
            pod.to_string()
        };
        assert_eq!(quoted(&[]), "Pod kube-system/p: not ready");
        let klog = ["I1122 starting", "F1122 command failed err=\"too many open files\"", "exit"];
        let text = "Pod kube-system/p: not ready; its log: F1122 command failed err=\"too many open files\"";
        assert_eq!(quoted(&klog), text);
        let long = quoted(&[&"ä".repeat(400)]);
        assert!(long.ends_with("ä...") && long.chars().count() < 210, "{long}");
    }

    #[test]
    fn what_a_pod_waits_for_is_quoted() {
        let none = "0/3 nodes are available: 3 node(s) had untolerated taint(s)";
        let preemption = "0/3 nodes are available: 3 Preemption is not helpful for scheduling.";
        for more in [
            String::new(),
            format!(". preemption: {preemption}"),
            format!(". no new claims to deallocate, preemption: {preemption}"),
        ] {
            let message = format!("{none}{more}");
            let unscheduled =
                json!([{"type": "PodScheduled", "status": "False", "message": message}]);
            assert_eq!(
                problem(json!({"phase": "Pending", "conditions": unscheduled})).unwrap(),
                format!("Pod kube-system/p on w: Pending, not scheduled: {none}")
            );
        }
        let waiting = json!([{"name": "c", "image": "i", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such\nimage"}}}]);
        assert_eq!(
            problem(json!({"phase": "Pending", "containerStatuses": waiting})).unwrap(),
            "Pod kube-system/p on w: ErrImagePull of container c (image i): no such; image"
        );
        assert_eq!(problem(json!({"phase": "Succeeded"})), None);
    }
}

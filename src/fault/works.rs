//! Undone means that it works again: after its undo, what a fault has hit runs, stays up, and its
//! node sends heartbeats. The same for every fault on a node; else it is not undone, and the error
//! quotes the node.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::component::Part;
use super::context::{FaultContext, Look};
use super::error::FaultError;
use super::kubelet;
use super::node_fault::NodeFault;
use crate::cluster::{Cluster, Heartbeat};
use crate::node::{AccessErrorKind, NodeState};
use crate::timeline::log_line::is_error;
use crate::timeline::{NodeRole, format_seconds};

/// So long it must be the same process: one that crashes at its start runs for a moment, again and
/// again (a kubelet without inotify instances for 250 ms, and systemd starts another a second
/// later).
const STEADY: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 3000 });
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 500 });
/// How long it may take until it works: a node that boots on a busy machine, a control plane whose
/// API server starts after its etcd.
pub(crate) const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 90 });
/// How much later than its interval a heartbeat may come.
const SLACK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// The bound on reading a node's last log lines.
const ASK: Duration = Duration::from_secs(5);
/// So much of a log is quoted.
const LINES: usize = 3;
/// Among so many lines the last error is looked for.
const LOOK_BACK: usize = 300;
/// What systemd writes to a unit's log when its process ends.
const EXITED: &str = "Main process exited";

/// What was found after an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has been the same running process for a while: which, in words.
    Runs(String),
    /// Nothing can be verified: somebody has switched off the node, which the fault did not.
    NodeOff,
}

/// What is found instead of heartbeats where somebody has deleted the Node object.
const NODE_DELETED: &str = "its Node object was deleted, so heartbeats cannot be checked (restart its kubelet to create the Node again)";

/// What must work after an undo.
#[derive(Clone, Debug)]
pub(super) enum Works {
    /// The node: its kubelet runs, and sends heartbeats.
    Node,
    /// The kubelet runs; its heartbeats were never gone.
    Kubelet,
    /// The control-plane component runs.
    Component(Part),
    /// The container runs: kind's load balancer has no kubelet.
    Container,
}

impl Works {
    pub(super) fn of(fault: &impl NodeFault, role: NodeRole) -> Self {
        match fault.part() {
            _ if role == NodeRole::ExternalLoadBalancer => Self::Container,
            Some(part) => Self::Component(part),
            None if fault.pod().is_some() => Self::Kubelet,
            None => Self::Node,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Component(part) => part.name(),
            Self::Node | Self::Kubelet => "kubelet",
            Self::Container => "container",
        }
    }

    /// Which process runs. What is seen tells it from any other.
    async fn look(&self, context: &FaultContext<'_, '_>) -> Result<Look, FaultError> {
        match self {
            Self::Container => {
                let started = context.machine().await?.started_at;
                let at = started.map_or_else(String::new, |at| format!(", started at {at},"));
                Ok(Look::Seen(format!("its container{at}")))
            }
            Self::Component(part) => part.process(context).await,
            Self::Node | Self::Kubelet => kubelet::look(context).await,
        }
    }

    /// What it, or else its machine, wrote last.
    async fn last_log_lines(&self, context: &FaultContext<'_, '_>) -> Vec<String> {
        let log = match self {
            Self::Container => return machine_words(context).await,
            Self::Component(part) => {
                let name = part.name();
                format!(
                    "tail -q -n {LOOK_BACK} $(ls -tr /var/log/pods/kube-system_{name}-*/{name}/*.log | tail -n 2)"
                )
            }
            Self::Node | Self::Kubelet => {
                format!(
                    "journalctl --unit=kubelet --lines={LOOK_BACK} --output=cat --no-pager --quiet"
                )
            }
        };
        let output = context.run_within(ASK, &["sh", "-c", &log]).await;
        let text = output.ok().filter(|output| output.code == 0).map(|output| output.text());
        match text.filter(|text| !text.is_empty()) {
            Some(text) => why(&text.lines().collect::<Vec<_>>()),
            None => machine_words(context).await,
        }
    }

    async fn broken(
        &self,
        context: &FaultContext<'_, '_>,
        seen: String,
        after: Duration,
    ) -> FaultError {
        context.not_undone(seen, after).quoting(self.last_log_lines(context).await)
    }
}

/// The last error of a log and what follows it; without one, the log's end. What a process wrote
/// that was started since the last exit is left out: it has not said yet what will end it.
fn why(log: &[&str]) -> Vec<String> {
    let exited = log.iter().rposition(|line| line.contains(EXITED));
    let log = exited.map_or(log, |exited| &log[..=exited]);
    let end = log.len().saturating_sub(LINES);
    let start = log.iter().rposition(|line| is_error(line)).unwrap_or(end);
    log[start..].iter().take(LINES).map(|line| (*line).to_owned()).collect()
}

/// The end of the container's log: what systemd wrote to the console.
pub(super) async fn machine_words(context: &FaultContext<'_, '_>) -> Vec<String> {
    let Some(docker) = context.docker else { return Vec::new() };
    docker.last_log_lines(context.container(), LINES).await.unwrap_or_default()
}

/// Ends when it has been the same running process for a while. A node that another has switched off
/// has nothing inside it that could run: its kubelet and its components start with it. A container
/// engine that is away is waited for, too.
pub(super) async fn stays_up(
    context: &FaultContext<'_, '_>,
    works: &Works,
    machine_is_ours: bool,
) -> Result<Found, FaultError> {
    let (began, mut processes) = (Instant::now(), 0);
    let (mut since, mut known) = (began, None);
    loop {
        let seen = match context.state().await {
            Ok(NodeState::Down) if !machine_is_ours => return Ok(Found::NodeOff),
            Ok(NodeState::Up) => works.look(context).await.or_else(passing)?,
            Ok(NodeState::Down) => Look::NotYet("its container is not running".into()),
            Ok(NodeState::Frozen) => Look::NotYet("its container is paused".into()),
            Err(error) => passing(error)?,
        };
        match &seen {
            Look::Seen(process) if known.as_ref() == Some(process) => {
                if since.elapsed() >= STEADY {
                    return Ok(Found::Runs(format!(
                        "{process} has run for {}",
                        format_seconds(STEADY)
                    )));
                }
            }
            Look::Seen(process) => {
                (since, known) = (Instant::now(), Some(process.clone()));
                processes += 1;
            }
            Look::NotYet(_) => known = None,
        }
        if began.elapsed() > LIMIT {
            let seen = match seen {
                _ if processes > 1 => format!("its {} does not stay up", works.name()),
                Look::NotYet(seen) => seen,
                Look::Seen(_) => format!("its {} has only just started", works.name()),
            };
            return Err(works.broken(context, seen, LIMIT).await);
        }
        sleep(LOOK).await;
    }
}

/// An answer that did not come proves nothing yet: the node may be busy, or go down.
fn passing(error: FaultError) -> Result<Look, FaultError> {
    match error {
        FaultError::Access(access) if access.kind == AccessErrorKind::Timeout => {
            Ok(Look::NotYet("it does not answer in time".into()))
        }
        FaultError::Access(access)
            if matches!(
                access.kind,
                AccessErrorKind::Down
                    | AccessErrorKind::Refused
                    | AccessErrorKind::Away
                    | AccessErrorKind::NotSent
                    | AccessErrorKind::NotAllowed
            ) =>
        {
            Ok(Look::NotYet(access.message))
        }
        FaultError::Frozen { .. } => Ok(Look::NotYet("its container is paused".into())),
        other => Err(other),
    }
}

/// Ends when the node has sent a heartbeat after the first look, and so after the undo, whatever
/// the clocks say. An API server that is away is waited for, and so is a Node object that is not
/// there: a kubelet that starts creates it. One that was seen to run on (`kubelet_runs`) does not,
/// once somebody has deleted it: no later look would find more. All of it, with the connection, has
/// begun at `began`. What was found, in words.
pub(super) async fn sends_heartbeat(
    context: &FaultContext<'_, '_>,
    works: &Works,
    cluster: &Cluster,
    began: Instant,
    kubelet_runs: bool,
) -> Result<&'static str, FaultError> {
    let (mut first, mut limit): (Option<Heartbeat>, _) = (None, LIMIT);
    let mut gone_since = None;
    loop {
        let seen = match cluster.heartbeat_of(&context.target.node).await {
            Err(error) if error.is_not_found() && kubelet_runs => {
                if gone_since.get_or_insert_with(Instant::now).elapsed() > limit {
                    return Ok(NODE_DELETED);
                }
                sleep(LOOK).await;
                continue;
            }
            Err(error) if error.may_pass() || error.is_not_found() => error.to_string(),
            now => {
                let now = now?;
                limit = heartbeat_limit(now.interval());
                if first.get_or_insert_with(|| now.clone()).differs(&now) {
                    return Ok("the node sends heartbeats");
                }
                "the node has not sent a heartbeat".into()
            }
        };
        if began.elapsed() > limit {
            return Err(works.broken(context, seen, limit).await);
        }
        sleep(LOOK).await;
    }
}

/// How long a heartbeat may take to come: one whose settings make it rare has its interval.
fn heartbeat_limit(interval: Option<Duration>) -> Duration {
    interval.map_or(LIMIT, |interval| LIMIT.max(interval + SLACK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::docker::fake::{FakeContainer, FakeEngine};
    use crate::fault::{Undo, samples, sends_heartbeat, stays_up, undo};
    use crate::node::AccessError;
    use crate::timeline::FaultKind;
    use serde_json::json;

    const WORDS: &str = "too many open files";

    fn plan(kind: FaultKind) -> Undo {
        samples::plan_of(&samples::fault(kind)).unwrap()
    }

    /// A node whose kubelet's process is this at each look.
    fn node(mut process: impl FnMut(&mut FakeContainer) -> String + Send + 'static) -> FakeEngine {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(move |node, argv| match argv.join(" ") {
                text if text.contains(kubelet::PROCESS) => match process(node) {
                    none if none.is_empty() => (1, none),
                    process => (0, process),
                },
                text if text.contains("journalctl --unit=kubelet") => {
                    (0, format!("failed to create fsnotify watcher: {WORDS}\n"))
                }
                text if text == "systemctl is-system-running" => (0, "running".into()),
                _ => (0, String::new()),
            })
        });
        engine
    }

    #[test]
    fn the_last_error_is_quoted() {
        let failed = "E1130 04:19:49.076222 3728 kubelet.go:1687] \"Failed to start cAdvisor\"";
        let in_container = format!("2026-11-30T04:19:49.1Z stderr F {failed}");
        let info = "I1130 04:19:50.1 3730 server.go:1] up";
        let exited = "kubelet.service: Main process exited, code=exited, status=1/FAILURE";
        let of_the_next = "E1130 04:19:51.1 3731 server.go:12] \"Failed to set rlimit\"";
        assert_eq!(why(&[failed, info, failed, info, exited, of_the_next]), [failed, info, exited]);
        assert_eq!(why(&[info, &in_container]), [in_container.as_str()]);
        assert_eq!(why(&[exited, info, info, exited]), [info, info, exited]);
        assert_eq!(why(&[info, info, info, failed]), [failed]);
        assert_eq!(why(&["Failed to start x", "E is a letter"]).len(), 2);
    }

    #[tokio::test]
    async fn a_kubelet_that_stays_up_works() {
        let (engine, began) = (node(|_| "7 S".into()), Instant::now());
        let found = stays_up(&plan(FaultKind::KubeletStop), &engine.connect().await).await;
        let Found::Runs(seen) = found.unwrap() else { panic!("the node is up") };
        assert!(seen.starts_with("its kubelet, process 7, has run for "), "{seen}");
        assert!(began.elapsed() >= STEADY);
    }

    /// Each of its processes is there for two looks, and then another one is.
    #[tokio::test]
    async fn a_kubelet_that_crashes_again_and_again_is_not_undone() {
        for kind in [FaultKind::KubeletStop, FaultKind::KubeletPause, FaultKind::NodeKill] {
            let mut looks = 0;
            let engine = node(move |_| {
                looks += 1;
                format!("{} S", looks / 2)
            });
            let (plan, docker) = (plan(kind), engine.connect().await);
            undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
            let error = stays_up(&plan, &docker).await.unwrap_err().to_string();
            assert!(error.contains("its kubelet does not stay up after 2s; the end"), "{error}");
            assert!(error.ends_with(WORDS), "{error}");
        }
    }

    #[tokio::test]
    async fn a_node_in_which_no_kubelet_comes_up_is_not_undone() {
        let engine = node(|_| String::new());
        let error =
            stays_up(&plan(FaultKind::NodeStop), &engine.connect().await).await.unwrap_err();
        assert!(error.to_string().contains("its kubelet has no process after 2s"), "{error}");
    }

    #[tokio::test]
    async fn only_a_machine_that_a_fault_took_must_be_on() {
        let engine = node(|_| "7 S".into());
        engine.worker(|c| c.running = false);
        let docker = engine.connect().await;
        let found = stays_up(&plan(FaultKind::NodeDisconnect), &docker).await;
        assert_eq!(found.unwrap(), Found::NodeOff, "nothing can be verified");
        let error = stays_up(&plan(FaultKind::NodePause), &docker).await.unwrap_err();
        assert!(error.to_string().contains("its container is not running"), "{error}");
    }

    #[tokio::test]
    async fn a_component_that_crashes_again_and_again_is_not_undone() {
        let (engine, mut looks) = (FakeEngine::start(), 0);
        engine.with(|state| {
            state.script = Box::new(move |_, argv| {
                looks += 1;
                match argv.join(" ") {
                    text if text.contains("echo end") => (0, format!("now {looks} {looks} S\nend")),
                    text if text.contains("/var/log/pods/kube-system_etcd-") => (0, WORDS.into()),
                    _ => (0, String::new()),
                }
            })
        });
        let [stop, ..] = samples::component_faults(crate::timeline::Component::Etcd);
        let plan = samples::plan_of(&stop).unwrap();
        let error = stays_up(&plan, &engine.connect().await).await.unwrap_err().to_string();
        assert!(error.contains("its etcd does not stay up") && error.ends_with(WORDS), "{error}");
    }

    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/c-worker";
    const NODE: &str = "/api/v1/nodes/c-worker";

    /// The worker's Node and its Lease, which is renewed after so many looks.
    fn api(beats_after: u32) -> FakeApi {
        let lease = |version: &str| {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": "c-worker", "resourceVersion": version}, "spec": {}})
        };
        let api = FakeApi::with(LEASE, lease("1"));
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "c-worker"},
            "spec": {}, "status": {"conditions": []}});
        api.put(NODE, node);
        let mut looks = 0;
        api.before_each(move |objects, call| {
            looks += u32::from(call.contains(LEASE));
            if looks > beats_after {
                objects.insert(LEASE.into(), lease("2"));
            }
            None
        });
        api
    }

    #[tokio::test]
    async fn a_node_is_undone_when_it_sends_a_heartbeat() {
        let (engine, plan) = (node(|_| "7 S".into()), plan(FaultKind::NodeDisconnect));
        let docker = engine.connect().await;
        sends_heartbeat(&plan, &docker, &api(3).cluster(), Instant::now(), true).await.unwrap();
        let dead = api(u32::MAX).cluster();
        let error = sends_heartbeat(&plan, &docker, &dead, Instant::now(), true).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the node has not sent a heartbeat after 2s"), "{text}");
        assert!(text.ends_with(WORDS), "{text}");
    }

    /// A kubelet that starts creates it; without that, the machine is all that can be looked at.
    #[tokio::test]
    async fn a_node_object_that_was_deleted_is_waited_for_and_then_done_without() {
        let (engine, plan) = (node(|_| "7 S".into()), plan(FaultKind::KubeletPause));
        let docker = engine.connect().await;
        let gone = FakeApi::with(LEASE, json!({})).cluster();
        let found = sends_heartbeat(&plan, &docker, &gone, Instant::now(), true).await;
        assert_eq!(found.unwrap(), NODE_DELETED);
        // Where nobody has seen a kubelet, the node may be off.
        sends_heartbeat(&plan, &docker, &gone, Instant::now(), false).await.unwrap_err();
        let (api, mut looks) = (api(u32::MAX), 0);
        let (lease, node) = (api.object(LEASE), api.object(NODE));
        api.before_each(move |objects, call| {
            looks += u32::from(call.contains(LEASE));
            let mut lease = lease.clone();
            lease["metadata"]["resourceVersion"] = json!(looks.to_string());
            objects.insert(LEASE.into(), lease);
            match looks {
                ..=5 => objects.remove(NODE),
                _ => objects.insert(NODE.into(), node.clone()),
            };
            None
        });
        let found = sends_heartbeat(&plan, &docker, &api.cluster(), Instant::now(), true).await;
        assert_eq!(found.unwrap(), "the node sends heartbeats");
    }

    #[test]
    fn a_rare_heartbeat_is_given_its_interval() {
        assert_eq!(heartbeat_limit(None), LIMIT);
        assert_eq!(heartbeat_limit(Some(Duration::from_millis(100))), LIMIT);
        assert_eq!(heartbeat_limit(Some(Duration::from_secs(90))), Duration::from_secs(90) + SLACK);
    }

    #[test]
    fn an_engine_that_does_not_answer_once_is_asked_again() {
        for kind in [AccessErrorKind::Timeout, AccessErrorKind::Away, AccessErrorKind::Refused] {
            let error = AccessError { kind, message: "inspect".into(), hint: None };
            assert!(matches!(passing(FaultError::Access(error)), Ok(Look::NotYet(_))), "{kind:?}");
        }
        let gone = FaultError::Gone { machine: "container c".into() };
        assert!(passing(gone).is_err_and(|error| error.is_gone()));
    }
}

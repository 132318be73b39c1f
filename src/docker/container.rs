//! kind's node containers, and the state of one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use bollard::query_parameters::{ListContainersOptions, LogsOptions};
use futures_util::TryStreamExt;
use serde_json::Value;

use super::client::{ASK, Docker, bounded, bounded_json};
use super::error::DockerError;
use crate::timeline::{NodeRole, readable};

const CLUSTER: &str = "io.x-k8s.kind.cluster";
const ROLE: &str = "io.x-k8s.kind.role";

/// A container's addresses by network, IPv4 before IPv6. A container that is not running has none.
pub(crate) type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// A node of a kind cluster, running or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub id: String,
    /// The container's name, which is the node's.
    pub name: String,
    /// The kind cluster that it belongs to.
    pub cluster: String,
    /// Its role, from kind's label.
    pub role: NodeRole,
    pub addresses: Addresses,
    /// The image that it was made from, as it was named then.
    pub image: String,
    /// Whether it is running (a paused one is).
    pub running: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerState {
    pub id: String,
    pub name: String,
    /// Whether it has a process. One that is paused, or being stopped, is running, too.
    pub running: bool,
    pub paused: bool,
    /// Whether the engine is about to start it again by its restart policy.
    pub restarting: bool,
    pub dead: bool,
    /// Its last exit code; `None` while it runs.
    pub exit_code: Option<i64>,
    /// When it was started last, by the engine's clock.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended last, by the engine's clock; `None` when it never did.
    pub finished_at: Option<jiff::Timestamp>,
    /// How often the engine restarted it by its policy.
    pub restart_count: i64,
    pub addresses: Addresses,
    /// Its first process, as the engine's machine numbers it; `None` while it does not run.
    pub pid: Option<i64>,
}

impl ContainerState {
    /// Whether it has really ended since its last start: an engine may say "not running" of one
    /// that is still shutting down.
    pub(crate) fn has_ended(&self) -> bool {
        !self.running && self.finished_at >= self.started_at
    }
}

impl Docker {
    /// The containers of a kind cluster, by kind's labels, in the order of their names; empty when
    /// there is no such cluster. kind's load balancer is among them.
    pub(crate) async fn kind_nodes(&self, cluster: &str) -> Result<Vec<Container>, DockerError> {
        let what = format!("list the containers of kind cluster {cluster}");
        let found = self.labelled(&what, format!("{CLUSTER}={cluster}")).await?;
        let mut nodes: Vec<_> = found.iter().filter_map(container).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// The names of all kind clusters that this engine has containers of, running or not.
    pub(crate) async fn kind_clusters(&self) -> Result<BTreeSet<String>, DockerError> {
        let found = self.labelled("list the kind clusters", CLUSTER.into()).await?;
        Ok(found.iter().filter_map(|summary| text(&summary["Labels"][CLUSTER])).collect())
    }

    /// The state of a container, by its id or name. Errors with `NoSuchContainer` when it does not
    /// exist.
    pub(crate) async fn inspect(&self, container: &str) -> Result<ContainerState, DockerError> {
        let what = format!("inspect container {container}");
        let found = bounded_json(&what, ASK, self.bollard.inspect_container(container, None));
        Ok(state(&found.await?))
    }

    /// The last lines that a container wrote, without colours and empty ones: why it ended, often.
    pub(crate) async fn last_log_lines(
        &self,
        container: &str,
        lines: usize,
    ) -> Result<Vec<String>, DockerError> {
        let what = format!("read the log of container {container}");
        let options = LogsOptions {
            stdout: true,
            stderr: true,
            tail: (lines * 2).to_string(),
            ..Default::default()
        };
        let read = self.bollard.logs(container, Some(options)).try_fold(
            Vec::new(),
            async |mut all, piece| {
                all.extend_from_slice(piece.as_ref());
                Ok(all)
            },
        );
        let all = bounded(&what, ASK, read).await?;
        let text = String::from_utf8_lossy(&all);
        let read: Vec<String> =
            text.lines().map(readable).filter(|line| !line.is_empty()).collect();
        Ok(read[read.len().saturating_sub(lines)..].to_vec())
    }

    async fn labelled(&self, what: &str, label: String) -> Result<Vec<Value>, DockerError> {
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options =
            ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
        match bounded_json(what, ASK, self.bollard.list_containers(Some(options))).await? {
            Value::Array(containers) => Ok(containers),
            _ => Ok(Vec::new()),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Docker writes `/name`, Podman `name`.
fn plain(name: &Value) -> Option<String> {
    Some(name.as_str()?.trim_start_matches('/').to_owned())
}

fn container(summary: &Value) -> Option<Container> {
    let labels = &summary["Labels"];
    let role = match labels[ROLE].as_str()? {
        "control-plane" => NodeRole::ControlPlane,
        "worker" => NodeRole::Worker,
        "external-load-balancer" => NodeRole::ExternalLoadBalancer,
        _ => return None,
    };
    Some(Container {
        id: text(&summary["Id"])?,
        name: plain(&summary["Names"][0])?,
        cluster: text(&labels[CLUSTER])?,
        role,
        addresses: addresses(summary),
        image: text(&summary["Image"]).unwrap_or_default(),
        running: matches!(summary["State"].as_str(), Some("running" | "paused" | "stopping")),
    })
}

/// An engine may add states: what is not known is taken for none of these.
fn state(found: &Value) -> ContainerState {
    let state = &found["State"];
    let is = |field: &str| state[field] == true;
    let pid = state["Pid"].as_i64().filter(|&pid| pid > 0);
    // Podman says `Running: false` of one that is still stopping.
    let running = is("Running") || pid.is_some();
    ContainerState {
        id: text(&found["Id"]).unwrap_or_default(),
        name: plain(&found["Name"]).unwrap_or_default(),
        running,
        paused: is("Paused"),
        restarting: is("Restarting"),
        dead: is("Dead"),
        exit_code: state["ExitCode"].as_i64().filter(|_| !running),
        started_at: stamp(&state["StartedAt"]),
        finished_at: stamp(&state["FinishedAt"]),
        restart_count: found["RestartCount"].as_i64().unwrap_or(0),
        addresses: addresses(found),
        pid,
    }
}

/// The engine's zero time means never.
fn stamp(value: &Value) -> Option<jiff::Timestamp> {
    value.as_str()?.parse().ok().filter(|at: &jiff::Timestamp| at.as_second() > 0)
}

fn addresses(container: &Value) -> Addresses {
    let networks = container["NetworkSettings"]["Networks"].as_object();
    let of = |end: &Value| -> Vec<IpAddr> {
        let fields = ["IPAddress", "GlobalIPv6Address"].into_iter();
        fields.filter_map(|field| end[field].as_str()?.parse().ok()).collect()
    };
    let networks = networks.into_iter().flatten();
    networks
        .map(|(network, end)| (network.clone(), of(end)))
        .filter(|(_, found)| !found.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn nodes_are_read_by_their_labels() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let nodes = docker.kind_nodes("c").await.unwrap();
        let seen: Vec<_> = nodes.iter().map(|n| (n.name.as_str(), n.role, n.running)).collect();
        assert_eq!(
            seen,
            [
                ("c-control-plane", NodeRole::ControlPlane, true),
                ("c-worker", NodeRole::Worker, true)
            ]
        );
        assert_eq!(
            nodes[1].addresses["kind"],
            ["172.18.0.3".parse::<IpAddr>().unwrap(), "fc00::3".parse().unwrap()]
        );
        assert_eq!(docker.kind_clusters().await.unwrap(), BTreeSet::from(["c".to_owned()]));
        assert_eq!(docker.kind_nodes("other").await.unwrap(), []);
    }

    /// As Podman 4.3 answers of a container that is being stopped, and after that.
    #[tokio::test]
    async fn a_state_that_docker_does_not_have_is_read() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let still = json!({
            "Status": "stopping", "Running": false, "Pid": 4242, "ExitCode": 0,
            "StartedAt": "2026-11-22T07:01:00Z", "FinishedAt": "2026-11-22T06:00:00Z",
        });
        let state = async |state: serde_json::Value| {
            engine.worker(|c| c.reported_state = Some(state));
            docker.inspect("c-worker").await.unwrap()
        };
        let stopping = state(still.clone()).await;
        assert!(stopping.running && !stopping.has_ended() && stopping.pid == Some(4242));
        let mut ended = still;
        ended["Pid"] = 0.into();
        let without_end = state(ended.clone()).await;
        assert!(!without_end.running && !without_end.has_ended(), "it has ended before its start");
        ended["Status"] = "stopped".into();
        ended["FinishedAt"] = "2026-11-22T07:01:10Z".into();
        assert!(state(ended).await.has_ended());
        assert_eq!(docker.kind_nodes("c").await.unwrap().len(), 2, "and it is listed");
    }

    #[tokio::test]
    async fn a_state_is_read() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let state = docker.inspect("c-worker").await.unwrap();
        assert!(
            state.running
                && !state.paused
                && state.exit_code.is_none()
                && state.finished_at.is_none()
        );
        docker.kill("c-worker").await.unwrap();
        let state = docker.inspect("c-worker").await.unwrap();
        assert_eq!((state.running, state.exit_code, state.addresses.len()), (false, Some(137), 0));
        let error = docker.inspect("nobody").await.unwrap_err();
        assert_eq!(error.to_string(), "inspect container nobody: there is no such container");
    }
}

//! Whether a cluster is whole: asked of its API, not of the program.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A node that was down boots, and is seen ready; a Deployment's pods are replaced.
const WHOLE_WITHIN: Duration = Duration::from_secs(180);
/// A heartbeat is due every 10 s unless the cluster is tuned.
const BEAT_WITHIN: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(250);

/// What the cluster's API answers; `None`: it does not.
pub(crate) type Ask<'a> = &'a dyn Fn(&str) -> Option<Value>;

/// A cluster, as far as a fault could have changed it.
pub(crate) struct State {
    nodes: BTreeMap<String, Value>,
    deployments: BTreeMap<String, Value>,
    namespaces: Vec<String>,
    /// When each node was heard of last.
    beats: BTreeMap<String, String>,
}

impl State {
    pub(crate) fn read(ask: Ask<'_>) -> Option<Self> {
        let items =
            |path: &str| -> Option<Vec<Value>> { Some(ask(path)?["items"].as_array()?.clone()) };
        let name = |object: &Value| {
            let meta = &object["metadata"];
            let text = |field: &str| meta[field].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("namespace"), text("name"))
        };
        let nodes = items("/api/v1/nodes")?;
        let deployments = items("/apis/apps/v1/deployments")?;
        let leases = items("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases")?;
        let namespaces = items("/api/v1/namespaces")?;
        Some(Self {
            nodes: nodes.iter().map(|node| (name(node), node_of(node))).collect(),
            deployments: deployments.iter().map(|web| (name(web), deployment_of(web))).collect(),
            namespaces: namespaces.iter().map(name).collect(),
            beats: leases
                .iter()
                .map(|lease| (name(lease), lease["spec"]["renewTime"].to_string()))
                .collect(),
        })
    }

    /// What is not as before.
    fn differs(&self, before: &Self, namespaces: Namespaces) -> Option<String> {
        if namespaces == Namespaces::AsBefore && self.namespaces != before.namespaces {
            return Some(format!("namespaces are {:?}", self.namespaces));
        }
        let of = |now: &BTreeMap<String, Value>, before: &BTreeMap<String, Value>| {
            let differs = before.iter().find(|(name, was)| now.get(*name) != Some(was));
            differs.map(|(name, was)| format!("{name} is {:?}, was {was}", now.get(name)))
        };
        let gone = of(&self.nodes, &before.nodes);
        gone.or_else(|| of(&self.deployments, &before.deployments))
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Namespaces {
    AsBefore,
    /// A run's namespace stays until `recover`.
    Any,
}

/// Waits until the nodes are Ready and beat, and everything else is as it was.
pub(crate) fn wait(
    ask: Ask<'_>,
    before: &State,
    namespaces: Namespaces,
    longer: Duration,
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match State::read(ask).map(|now| now.differs(before, namespaces)) {
            Some(None) => break,
            differs if began.elapsed() > WHOLE_WITHIN + longer => {
                return Err(differs.flatten().unwrap_or("the API does not answer".into()));
            }
            _ => sleep(LOOK),
        }
    }
    let (began, mut first) = (Instant::now(), None);
    loop {
        let beats = State::read(ask).map(|state| state.beats);
        let silent = match (&first, &beats) {
            (Some(first), Some(now)) => {
                let mut nodes = before.beats.keys();
                nodes.find(|node| now.get(*node) <= BTreeMap::get(first, *node)).cloned()
            }
            _ => Some("(not read)".into()),
        };
        match silent {
            None => return Ok(()),
            Some(node) if began.elapsed() > BEAT_WITHIN => {
                return Err(format!("node {node} sends no heartbeat"));
            }
            Some(_) => sleep(LOOK),
        }
        first = first.or(beats);
    }
}

/// Ready, not cordoned, not tainted, not marked by a run.
fn node_of(node: &Value) -> Value {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.filter(|condition| condition["type"] == "Ready");
    let ready: Vec<&Value> = ready.map(|condition| &condition["status"]).collect();
    let keys = |taints: &Value| -> Vec<Value> {
        taints.as_array().into_iter().flatten().map(|taint| taint["key"].clone()).collect()
    };
    serde_json::json!({
        "ready": ready, "cordoned": node["spec"]["unschedulable"] == true,
        "taints": keys(&node["spec"]["taints"]), "labels": node["metadata"]["labels"],
    })
}

/// Its replicas, of which all are ready, and where they may be.
fn deployment_of(deployment: &Value) -> Value {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    serde_json::json!({
        "replicas": spec["replicas"], "affinity": spec["template"]["spec"]["affinity"],
        "ready": status["readyReplicas"], "labels": deployment["metadata"]["labels"],
    })
}

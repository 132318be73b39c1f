//! Between two runs: waits until the cluster is whole again, and looks at it
//! anew. A run ends when its own steady state is back, which may be before the rest of the cluster
//! is: a part of the control plane that waits for its old lease, a DNS pod.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::docker::DockerError;
use crate::engine::abort::Abort;
use crate::engine::environment::claim::refuse_pending_but;
use crate::engine::environment::handle::{ClusterHandle, KindNodes, Nodes, Preparing, Say};
use crate::engine::environment::kind;
use crate::engine::error::RunError;
use crate::engine::undo::back_off::BackOff;
use crate::engine::undo::ledger::{Entry, Ledger};
use crate::engine::undo::recover::{self, Tools, UndoProgress};
use crate::engine::undo::watchdog::beating;
use crate::timeline::leader::{LEADER_LEASES, SYSTEM_NAMESPACE};
use crate::timeline::{Component, NodeRole, Ready, few, format_seconds};

/// How long a cluster may take to be whole again. A kubelet that has failed to start a pod several
/// times waits up to 5 minutes.
const LIMIT: Duration = Duration::from_secs(360);
/// How long one look may take: an API server that hangs must not hold the limit up.
const LOOK: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Those who renew a lease there while they work.
const LEADERS: [Component; 2] = [Component::ControllerManager, Component::Scheduler];

/// Undoes what is still in the ledger, waits until nothing is missing, and looks at the cluster anew.
/// Refused when something still is missing after six minutes, when something is not undone, or by a
/// signal.
pub(crate) async fn restore(
    handle: &mut ClusterHandle,
    abort: &Abort,
    say: Say<'_>,
) -> Result<(), RunError> {
    let kept = handle.kept();
    settle(handle, &kept, say).await?;
    refuse_pending_but(&handle.state, &kept)?;
    let after = match &handle.nodes {
        Nodes::Kind(nodes) if nodes.hit.is_empty() => After::Workers,
        _ => After::ControlPlane,
    };
    tokio::select! {
        ended = whole(handle, after, say) => ended?,
        signal = abort.interrupted() => return Err(RunError::refused(format!("interrupted by {signal} between two runs"))),
    }
    kind::look_again(handle).await
}

/// Undoes what the runs on this handle have left in the ledger: what was not possible at the end of one may
/// be now, and what was to be done to containers that are gone is gone with them. What is left
/// stays in the ledger, and so does `kept`. Errors when that can't be read.
pub(crate) async fn settle(
    handle: &ClusterHandle,
    kept: &[u64],
    say: Say<'_>,
) -> Result<(), RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
    let mut ledger = Ledger::open(&handle.state.ledger())?;
    let mut report = |entry: &Entry, progress: UndoProgress<'_>| match progress {
        UndoProgress::Begins => say(Preparing::Step(&format!(
            "undoing what an earlier run left: {}",
            entry.undo.describe()
        ))),
        UndoProgress::Waits(what) => say(Preparing::Step(what)),
        UndoProgress::GoesOn(long) => say(Preparing::Step(&format!(
            "still undoing it after {}: {}",
            format_seconds(long),
            entry.undo.describe()
        ))),
        UndoProgress::Ended(Ok(())) => {
            say(Preparing::Step(&format!("finally undone: {}", entry.undo.describe())))
        }
        UndoProgress::Ended(Err(error)) => say(Preparing::Step(&format!(
            "still not undone: {}: {}",
            entry.undo.describe(),
            error.line()
        ))),
    };
    let undone = recover::matching(
        &mut ledger,
        |entry| !kept.contains(&entry.id),
        async |entry: &Entry| tools(nodes, &entry.engine),
        &mut report,
    );
    beating(&handle.state, undone).await;
    Ok(())
}

/// Another engine's containers are not to be reached from here.
fn tools(nodes: &KindNodes, engine: &str) -> Result<Tools, RunError> {
    if engine != nodes.engine {
        return Err(RunError::failed(format!(
            "it has to be undone on another container engine, {engine}"
        )));
    }
    Ok(Tools {
        docker: Some(nodes.docker.clone()),
        helpers: None,
        kind: nodes.kind.clone(),
        cluster: None,
        hit: nodes.hit.clone(),
    })
}

/// What a cluster recovers from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// A run that hit no control plane.
    Workers,
    /// A run that hit one.
    ControlPlane,
    /// A change of the nodes' settings.
    NewSettings,
}

impl After {
    fn words(self) -> &'static str {
        match self {
            Self::Workers | Self::ControlPlane => "the previous run",
            Self::NewSettings => "its settings were changed",
        }
    }

    /// Whether the controller manager and the scheduler were restarted: they wait for their old
    /// lease.
    fn restarts_leaders(self) -> bool {
        self != Self::Workers
    }
}

/// Ends when nothing is missing; refused when something still is after six minutes.
pub(super) async fn whole(
    handle: &ClusterHandle,
    after: After,
    say: Say<'_>,
) -> Result<(), RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
    let mut missing = Vec::new();
    let mut last = String::new();
    let whole = async {
        let (mut pulses, mut back_off) = (Pulses::default(), BackOff::new());
        loop {
            missing = tokio::time::timeout(LOOK, look(handle, nodes, after, &mut pulses))
                .await
                .unwrap_or_else(|_| {
                    vec![format!("the API server did not answer within {}", format_seconds(LOOK))]
                });
            if missing.is_empty() {
                return Ok(());
            }
            is_there(handle, nodes).await?;
            let line = format!("waiting for the cluster to recover: {}", few(&missing));
            if line != last {
                say(Preparing::Step(&line));
                last = line;
            }
            // A fault on one control plane can keep the others waiting, too: without a quorum they
            // end again and again.
            let ours = |_: &str| !nodes.hit.is_empty();
            back_off
                .end(&nodes.docker, handle.state.cluster(), ours)
                .await
                .iter()
                .for_each(|line| say(Preparing::Step(line)));
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = tokio::time::timeout(LIMIT, whole).await;
    ended.unwrap_or_else(|_| Err(not_whole(handle.state.cluster(), after, &missing)))
}

fn not_whole(cluster: &str, after: After, missing: &[String]) -> RunError {
    let limit = format_seconds(LIMIT);
    RunError::refused(format!("cluster {cluster} had not recovered {limit} after {}: {}", after.words(), few(missing)))
        .hint(format!("inspect it with kubectl, or run `kind delete cluster --name {cluster}` to let the next run recreate it"))
}

/// Refuses a cluster that was deleted: waiting does not bring it back.
async fn is_there(handle: &ClusterHandle, nodes: &KindNodes) -> Result<(), RunError> {
    for container in &nodes.containers {
        let state = nodes.docker.inspect(&container.id).await;
        if matches!(state, Err(DockerError::NoSuchContainer { .. })) {
            let cluster = handle.state.cluster();
            let text =
                format!("cluster {cluster} was deleted: container {} is gone", container.name);
            return Err(RunError::refused(text)
                .hint("run the same command again: it recreates the cluster"));
        }
    }
    Ok(())
}

/// What is missing, for people.
async fn look(
    handle: &ClusterHandle,
    nodes: &KindNodes,
    after: After,
    pulses: &mut Pulses,
) -> Vec<String> {
    match seen(handle, nodes, after, pulses).await {
        Ok(missing) => missing,
        Err(error) => vec![error.line()],
    }
}

async fn seen(
    handle: &ClusterHandle,
    nodes: &KindNodes,
    after: After,
    pulses: &mut Pulses,
) -> Result<Vec<String>, RunError> {
    let mut missing = Vec::new();
    for container in &nodes.containers {
        let state = nodes.docker.inspect(&container.id).await.map_err(RunError::failed_by)?;
        if !state.running || state.paused {
            missing.push(format!("{} is not running", container.name));
        }
    }
    if !missing.is_empty() {
        return Ok(missing);
    }
    let known = handle.cluster.nodes().await.map_err(RunError::failed_by)?;
    let not_ready = known
        .iter()
        .filter(|node| node.ready != Ready::True)
        .map(|node| format!("{} is not Ready", node.name));
    let gone = handle.facts.nodes.iter().filter(|fact| {
        fact.role != NodeRole::ExternalLoadBalancer
            && !known.iter().any(|node| node.name == fact.name)
    });
    missing.extend(not_ready.chain(gone.map(|fact| format!("{} is no longer a node", fact.name))));
    missing.extend(
        handle.cluster.readiness(SYSTEM_NAMESPACE).await.map_err(RunError::failed_by)?.waiting,
    );
    if !after.restarts_leaders() {
        return Ok(missing);
    }
    let leases = handle.cluster.lease_versions(LEADER_LEASES).await.map_err(RunError::failed_by)?;
    missing.extend(
        pulses.silent(leases).into_iter().map(|name| format!("{name} has not renewed its lease")),
    );
    Ok(missing)
}

/// Whose lease was renewed since the first look.
#[derive(Default)]
struct Pulses {
    first: BTreeMap<String, String>,
    alive: BTreeMap<String, bool>,
}

impl Pulses {
    /// Those that no look has seen renewing yet. One that has no lease is not asked for it: another
    /// may do its work.
    fn silent(&mut self, versions: BTreeMap<String, String>) -> Vec<&'static str> {
        for (name, version) in versions {
            let first = self.first.entry(name.clone()).or_insert_with(|| version.clone());
            *self.alive.entry(name).or_default() |= *first != version;
        }
        LEADERS
            .into_iter()
            .map(Component::name)
            .filter(|name| self.alive.get(*name) == Some(&false))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn who_renews_its_lease_is_alive_and_stays_so() {
        let mut pulses = Pulses::default();
        let first =
            [("kube-scheduler", "7"), ("kube-controller-manager", "3"), ("apiserver-x", "1")];
        assert_eq!(pulses.silent(versions(&first)), LEADERS.map(Component::name));
        assert_eq!(
            pulses.silent(versions(&[("kube-scheduler", "8"), ("kube-controller-manager", "3")])),
            ["kube-controller-manager"]
        );
        assert_eq!(
            pulses.silent(versions(&[("kube-scheduler", "8"), ("kube-controller-manager", "4")])),
            [] as [&str; 0]
        );
    }

    #[test]
    fn who_has_no_lease_is_not_waited_for() {
        assert_eq!(Pulses::default().silent(versions(&[("apiserver-x", "1")])), [] as [&str; 0]);
    }

    #[test]
    fn what_is_missing_is_said_with_the_command_that_helps() {
        let error = not_whole(
            "c",
            After::NewSettings,
            &["n is not Ready".into(), "kube-scheduler has not renewed its lease".into()],
        );
        assert!(
            error
                .line()
                .contains("after its settings were changed: n is not Ready, kube-scheduler has"),
            "{error}"
        );
        assert!(error.hint.unwrap().contains("kind delete cluster --name c"));
    }
}

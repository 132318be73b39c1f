//! Other settings of failure detection for the nodes of a running kind cluster, and the way back: much
//! sooner there than a new cluster is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::environment::differences::{Unequal, unequal};
use crate::engine::environment::handle::{ClusterHandle, Nodes, Preparing, Retuned, Say};
use crate::engine::environment::kind;
use crate::engine::environment::restore::{self, Leaders};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::ledger::{Ledger, RunRef, UndoEntry};
use crate::engine::undo::settings::{self, SettingsFiles};
use crate::node::NodeHandle;
use crate::timeline::{NodeRole, Tuning, format_duration, format_seconds};

/// How long the API may take to show what the running components have.
const SHOWN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);

/// Gives the nodes these settings, and ends when the cluster is whole with them. Before the first
/// change the files are in the ledger, under `run`. `None`: they are as wanted.
pub(crate) async fn retune(
    handle: &mut ClusterHandle,
    tuning: &Tuning,
    run: &str,
    say: Say<'_>,
) -> Result<Option<Duration>, RunError> {
    let tuning = tuning.completed(&handle.facts.kubernetes);
    if unequal(&tuning, &handle.facts.tuning).is_empty() {
        return Ok(None);
    }
    let begun = Instant::now();
    say(Preparing::Step(&format!("changing the settings of the nodes: {}", words(&tuning))));
    if matches!(&handle.nodes, Nodes::Kind(nodes) if nodes.retuned.is_none()) {
        let original = read(handle).await?;
        record(handle, original, run)?;
    }
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(None) };
    let Some(retuned) = &nodes.retuned else { return Ok(None) };
    let files = match unequal(&tuning, &retuned.tuning).is_empty() {
        true => retuned.files.clone(),
        false => retuned.files.iter().map(|node| node.with(&tuning)).collect::<Result<_, _>>()?,
    };
    settings::write(&nodes.docker, &files).await?;
    settled(handle, &tuning, say).await?;
    Ok(Some(begun.elapsed()))
}

/// Gives the nodes the settings back that they had. Errors when that is not seen: then it stays in
/// the ledger.
pub(crate) async fn give_back(handle: &mut ClusterHandle, say: Say<'_>) -> Result<(), RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
    let Some(retuned) = nodes.retuned.clone() else { return Ok(()) };
    let docker = nodes.docker.clone();
    let given = async {
        if !read(handle).await.is_ok_and(|files| files == retuned.files) {
            say(Preparing::Step(&format!(
                "restoring the settings of the nodes: {}",
                words(&retuned.tuning)
            )));
            settings::write(&docker, &retuned.files).await?;
            settled(handle, &retuned.tuning, say).await?;
        }
        Ledger::open(&handle.state.ledger())?.settle(retuned.entry)
    };
    given.await.map_err(|error| {
        let hint = "run `kubectl outage recover` to restore the settings of the nodes";
        RunError { kind: RunErrorKind::NotUndone, ..error }.hint(hint)
    })?;
    if let Nodes::Kind(nodes) = &mut handle.nodes {
        nodes.retuned = None;
    }
    Ok(())
}

async fn read(handle: &ClusterHandle) -> Result<Vec<SettingsFiles>, RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for container in &nodes.containers {
        let is_control_plane = container.role == NodeRole::ControlPlane;
        if is_control_plane || container.role == NodeRole::Worker {
            let node = NodeHandle { name: container.name.clone(), id: container.id.clone() };
            files.push(SettingsFiles::read(&nodes.docker, node, is_control_plane).await?);
        }
    }
    Ok(files)
}

fn record(
    handle: &mut ClusterHandle,
    files: Vec<SettingsFiles>,
    run: &str,
) -> Result<(), RunError> {
    let tuning = handle.facts.tuning;
    let mut ledger = Ledger::open(&handle.state.ledger())?;
    let Nodes::Kind(nodes) = &mut handle.nodes else { return Ok(()) };
    let cluster = handle.state.cluster().to_owned();
    let undo = UndoEntry::Settings { cluster, nodes: files.clone(), tuning };
    let entry = ledger.record(RunRef { run, engine: &nodes.engine, access: None }, undo)?;
    nodes.retuned = Some(Retuned { entry, files, tuning });
    Ok(())
}

/// Ends when the running components say that they have the settings, and nothing is missing.
async fn settled(
    handle: &mut ClusterHandle,
    tuning: &Tuning,
    say: Say<'_>,
) -> Result<(), RunError> {
    let until = Instant::now() + SHOWN;
    restore::whole(handle, Leaders::Restarted, say).await?;
    loop {
        kind::look_again(handle).await?;
        let wrong = unequal(tuning, &handle.facts.tuning);
        let Some(Unequal { name, has, wanted }) = wrong.first() else { return Ok(()) };
        if Instant::now() > until {
            return Err(RunError::failed(format!(
                "{} after the change, the {name} of the nodes is {has} instead of {wanted}",
                format_seconds(SHOWN)
            )));
        }
        sleep(LOOK).await;
    }
}

/// The settings in a line.
fn words(tuning: &Tuning) -> String {
    let text = |value: Option<Duration>| value.map_or_else(|| "default".into(), format_duration);
    format!(
        "kubelet {}, lease {}, monitor period {}, grace period {}",
        text(tuning.node_status_update_frequency),
        text(tuning.node_lease_duration),
        text(tuning.node_monitor_period),
        text(tuning.node_monitor_grace_period),
    )
}

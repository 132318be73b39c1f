//! Other settings of failure detection for the nodes of a running kind cluster, and the way back: much
//! sooner there than a new cluster is.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::abort::Abort;
use crate::engine::environment::handle::{ClusterHandle, Nodes, Preparing, Retuned, Say};
use crate::engine::environment::kind;
use crate::engine::environment::restore::{self, After};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::ledger::{Ledger, RunRef, UndoEntry};
use crate::engine::undo::settings::{self, SettingsFiles};
use crate::node::NodeHandle;
use crate::timeline::{
    NodeRole, Tuning, TuningSource, Unequal, few, format_duration, format_seconds,
};

/// How long the API may take to show what the running components have.
const SHOWN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(500);
const UNREAD: &str = "the nodes' settings cannot be read";

/// Gives the nodes these settings, and ends when the cluster is whole with them. Before the first
/// change the files are in the ledger, under `run`. `None`: they are as wanted.
pub(crate) async fn retune(
    handle: &mut ClusterHandle,
    tuning: &Tuning,
    run: &str,
    abort: &Abort,
    say: Say<'_>,
) -> Result<Option<Duration>, RunError> {
    if !matches!(handle.nodes, Nodes::Kind(_)) {
        return Ok(None);
    }
    if !is_read(handle) {
        kind::look_again(handle).await?;
    }
    if !is_read(handle) {
        return Err(RunError::refused(format!("{UNREAD}, so they are not changed")));
    }
    let tuning = tuning.completed(&handle.facts.kubernetes);
    if tuning.unequal(&handle.facts.tuning).is_empty() {
        return Ok(None);
    }
    let begun = Instant::now();
    say(Preparing::Step(&format!("changing failure detection on the nodes: {}", words(&tuning))));
    if matches!(&handle.nodes, Nodes::Kind(nodes) if nodes.retuned.is_none()) {
        let original = read(handle).await?;
        record(handle, original, run)?;
    }
    let Nodes::Kind(nodes) = &mut handle.nodes else { return Ok(None) };
    let Some(retuned) = &mut nodes.retuned else { return Ok(None) };
    let is_original = tuning.unequal(&retuned.tuning).is_empty();
    let files = match is_original {
        true => retuned.files.clone(),
        false => retuned.files.iter().map(|node| node.with(&tuning)).collect::<Result<_, _>>()?,
    };
    retuned.is_restored = false;
    settings::write(&nodes.docker, &files).await?;
    tokio::select! {
        ended = settled(handle, &tuning, say) => ended?,
        signal = abort.interrupted() => return Err(RunError::refused(format!("interrupted by {signal} while the nodes' settings were being changed"))),
    }
    if let Nodes::Kind(nodes) = &mut handle.nodes
        && let Some(retuned) = &mut nodes.retuned
    {
        retuned.is_restored = is_original;
    }
    Ok(Some(begun.elapsed()))
}

/// Gives the nodes the settings back that they had. Errors when that is not seen: then it stays in
/// the ledger.
pub(crate) async fn give_back(handle: &mut ClusterHandle, say: Say<'_>) -> Result<(), RunError> {
    let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
    let Some(retuned) = nodes.retuned.clone() else { return Ok(()) };
    let docker = nodes.docker.clone();
    let given = async {
        if !retuned.is_restored {
            say(Preparing::Step(&format!(
                "restoring the nodes' original settings: {}",
                words(&retuned.tuning)
            )));
            settings::write(&docker, &retuned.files).await?;
            settled(handle, &retuned.tuning, say).await?;
        }
        Ledger::open(&handle.state.ledger())?.settle(retuned.entry)
    };
    given.await.map_err(|error| {
        let hint = "run `kubectl outage recover` to restore the nodes' original settings";
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
    nodes.retuned = Some(Retuned { entry, files, tuning, is_restored: true });
    Ok(())
}

/// Ends when the running components say that they have the settings, and nothing is missing.
async fn settled(
    handle: &mut ClusterHandle,
    tuning: &Tuning,
    say: Say<'_>,
) -> Result<(), RunError> {
    restore::whole(handle, After::NewSettings, say).await?;
    let until = Instant::now() + SHOWN;
    // What is true only while the components restart is no fact of later runs.
    let known = handle.warnings.clone();
    loop {
        handle.warnings.clone_from(&known);
        kind::look_again(handle).await?;
        let others = handle.cluster.kubelets_without(tuning).await.map_err(RunError::failed_by)?;
        let wrong = match tuning.unequal(&handle.facts.tuning).first() {
            _ if !is_read(handle) => UNREAD.to_owned(),
            Some(Unequal { name, has, wanted }) => {
                format!("the nodes have {name} {has} instead of {wanted}")
            }
            // The slowest of the kubelets says nothing of the others.
            None if !others.is_empty() => format!("{} still have the old settings", few(&others)),
            None => return Ok(()),
        };
        if Instant::now() > until {
            let limit = format_seconds(SHOWN);
            return Err(RunError::failed(format!("{limit} after the change, {wrong}")));
        }
        sleep(LOOK).await;
    }
}

/// Whether the running components have said which settings they have; otherwise they are assumed.
fn is_read(handle: &ClusterHandle) -> bool {
    handle.facts.tuning.source == TuningSource::Cluster
}

/// The settings in a line.
fn words(tuning: &Tuning) -> String {
    let text = |value: Option<Duration>| value.map_or_else(|| "default".into(), format_duration);
    format!(
        "nodeStatusUpdateFrequency {}, nodeLeaseDurationSeconds {}, node-monitor-period {}, node-monitor-grace-period {}",
        text(tuning.node_status_update_frequency),
        text(tuning.node_lease_duration),
        text(tuning.node_monitor_period),
        text(tuning.node_monitor_grace_period),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::docker::fake::FakeEngine;
    use crate::engine::environment::handle::KindNodes;
    use crate::engine::environment::state_dir::{Claim, StateDir};
    use crate::engine::undo::hit_control_planes::HitControlPlanes;
    use crate::engine::undo::ledger::Access;
    use crate::engine::undo::settings::tests::{api, cluster, files, show, tuning};
    use crate::timeline::ClusterKind;

    async fn found(root: &Path, engine: &FakeEngine, api: &FakeApi) -> ClusterHandle {
        let (docker, cluster) = (engine.connect().await, api.cluster());
        settings::write(&docker, &[files(true), files(false)]).await.unwrap();
        let facts = cluster.facts(ClusterKind::Kind, "c", None, &[]).await.unwrap();
        let state = StateDir::of_kind(root, "c", "e").make().unwrap();
        let nodes = KindNodes {
            containers: docker.kind_nodes("c").await.unwrap(),
            docker,
            engine: "e".into(),
            kind: Err(RunError::refused("no kind")),
            access: Access::Kind { cluster: "c".into() },
            binary: Arc::default(),
            made: false,
            hit: HitControlPlanes::default(),
            retuned: None,
        };
        let claim = Claim { lock: state.lock().unwrap(), state };
        ClusterHandle::new(cluster, facts, claim, Nodes::Kind(Box::new(nodes)))
    }

    /// Calls for the kubelets' settings are refused, so many times.
    fn refuse(api: &FakeApi, mut times: u32) {
        api.before_each(move |_, call| {
            let refused = call.ends_with("configz") && times > 0;
            times -= u32::from(refused);
            refused.then_some(403)
        });
    }

    #[tokio::test]
    async fn files_that_are_right_are_not_taken_for_nodes_that_work_with_them() {
        let (root, engine) = (tempfile::tempdir().unwrap(), cluster());
        let (original, other) = (tuning(5), tuning(1));
        let api = api(&original);
        let mut handle = found(root.path(), &engine, &api).await;
        let (signal, abort) = Abort::by_hand();
        show(&api, &other);
        retune(&mut handle, &other, "r", &abort, &mut |_| {}).await.unwrap().unwrap();
        signal.send_replace(Some("SIGINT"));
        let back = retune(&mut handle, &original, "r", &abort, &mut |_| {}).await;
        let why = back.unwrap_err().message;
        assert!(why.starts_with("interrupted by SIGINT while the nodes' settings"), "{why}");
        show(&api, &original);
        let mut said = Vec::new();
        let mut say = |news: Preparing<'_>| said.push(format!("{news:?}"));
        give_back(&mut handle, &mut say).await.unwrap();
        assert!(said[0].contains("restoring the nodes' original settings"), "{said:?}");
        assert!(Ledger::open(&handle.state.ledger()).unwrap().pending().is_empty());
    }

    #[tokio::test]
    async fn nodes_that_were_seen_to_work_with_their_own_settings_are_left_alone() {
        let (root, engine) = (tempfile::tempdir().unwrap(), cluster());
        let api = api(&tuning(5));
        let mut handle = found(root.path(), &engine, &api).await;
        let (_signal, abort) = Abort::by_hand();
        for wanted in [tuning(1), tuning(5)] {
            show(&api, &wanted);
            retune(&mut handle, &wanted, "r", &abort, &mut |_| {}).await.unwrap().unwrap();
        }
        let mut said = Vec::new();
        let mut say = |news: Preparing<'_>| said.push(format!("{news:?}"));
        give_back(&mut handle, &mut say).await.unwrap();
        assert_eq!(said, Vec::<String>::new());
        assert!(handle.kept().is_empty());
    }

    /// To slower settings, the slowest kubelet is the first that has them.
    #[tokio::test]
    async fn every_kubelet_is_waited_for() {
        let (root, engine) = (tempfile::tempdir().unwrap(), cluster());
        let (fast, slow) = (
            tuning(1),
            Tuning { node_status_update_frequency: Some(Duration::from_secs(10)), ..tuning(1) },
        );
        let api = api(&slow);
        let worker = "/api/v1/nodes/c-worker/proxy/configz";
        let late = api.object(worker);
        show(&api, &fast);
        let mut handle = found(root.path(), &engine, &api).await;
        let (_signal, abort) = Abort::by_hand();
        let early = api.object(worker);
        show(&api, &slow);
        api.put(worker, early);
        let mut looks = 0;
        api.before_each(move |objects, call| {
            looks += u32::from(call.contains("c-worker/proxy/configz"));
            if looks > 3 {
                objects.insert(worker.to_owned(), late.clone());
            }
            None
        });
        retune(&mut handle, &slow, "r", &abort, &mut |_| {}).await.unwrap().unwrap();
        assert_eq!(handle.cluster.kubelets_without(&slow).await.unwrap(), [] as [String; 0]);
        assert_eq!(handle.cluster.kubelets_without(&fast).await.unwrap().len(), 2);
        assert_eq!(api.object(worker), api.object("/api/v1/nodes/c-control-plane/proxy/configz"));
    }

    #[tokio::test]
    async fn settings_that_cannot_be_read_are_not_changed() {
        let (root, engine) = (tempfile::tempdir().unwrap(), cluster());
        let api = api(&tuning(5));
        refuse(&api, u32::MAX);
        let mut handle = found(root.path(), &engine, &api).await;
        let (_signal, abort) = Abort::by_hand();
        let refused = retune(&mut handle, &tuning(1), "r", &abort, &mut |_| {}).await.unwrap_err();
        assert_eq!(refused.kind, RunErrorKind::Refused);
        assert!(refused.message.contains("cannot be read"), "{refused}");
        assert!(handle.kept().is_empty());
    }

    #[tokio::test]
    async fn assumed_settings_end_no_change_and_leave_no_warning() {
        let (root, engine) = (tempfile::tempdir().unwrap(), cluster());
        let api = api(&tuning(5));
        let mut handle = found(root.path(), &engine, &api).await;
        let (warnings, wanted) =
            (handle.warnings.clone(), Tuning::defaults(&handle.facts.kubernetes));
        let (_signal, abort) = Abort::by_hand();
        show(&api, &wanted);
        refuse(&api, 2);
        retune(&mut handle, &wanted, "r", &abort, &mut |_| {}).await.unwrap().unwrap();
        assert!(is_read(&handle));
        assert_eq!(handle.warnings, warnings);
    }
}

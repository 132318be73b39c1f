//! Ways to harm, and the undo of each: siblings of one shape, one file each.
//!
//! ```text
//! plan -> Undo (the engine writes it to disk) -> inject -> ... -> undo
//! ```
//!
//! An [`Undo`] is all that a later process needs in order to take a fault back without the cluster's API. `inject` may be dropped at
//! any await, and `undo` may follow at once: what was still on its way then is waited for, or refused when it arrives.

mod back_off;
mod component;
mod component_kill;
mod component_pause;
mod component_stop;
mod container_kill;
mod error;
mod etcd_data_loss;
mod inside;
mod kubelet_stop;
mod node_disconnect;
mod node_kill;
mod node_pause;
mod node_reboot;
mod node_stop;
mod object;
mod packet_filter;
mod partition;
#[cfg(test)]
mod real_tests;
mod record;
mod revive;
mod scene;
mod switch_off;
mod takes;

use std::time::Duration;

pub(crate) use back_off::end_back_off;
pub(crate) use error::FaultError;
pub(crate) use object::{Move, ObjectHarm, ObjectUndo, Resize, inject_object, undo_object};
pub(crate) use partition::Cut;
pub(crate) use record::{Harm, NodeTarget, Undo, UndoFormat};
pub(crate) use takes::{injection_takes, undo_takes};

use crate::docker::Docker;
use crate::experiment::Fault;
use crate::timeline::FaultPhase;
use component::Part;
use scene::Scene;

/// How long an engine that does not answer is waited for in an undo.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts of an undo.
const RETRY: Duration = Duration::from_millis(500);

/// What is told of a fault's progress: a phase, and what was seen.
pub(crate) type Progress<'a> = dyn FnMut(FaultPhase, String) + 'a;

/// Works out what will take a fault back, before any harm. Nothing is called.
///
/// `run` and `step` (its number in the method) make the marks that the fault leaves in the node, so that no two faults meet.
/// `dead_man` is the time after which a fault inside the node ends by itself if nobody undoes it; choose it well above the fault's
/// own time.
///
/// `None`: it is no fault on a node alone. A partition is planned by [`plan_partition`], the death of a container by
/// [`plan_container_kill`], and what is done through the API is an [`ObjectUndo`].
pub(crate) fn plan_on_node(
    fault: &Fault,
    target: &NodeTarget,
    run: &str,
    step: u32,
    dead_man: Duration,
) -> Option<Undo> {
    let mark = || record::mark(run, step);
    let harm = match fault {
        Fault::NodeStop { grace, .. } => Harm::NodeStop { grace: *grace },
        Fault::NodeKill { .. } => Harm::NodeKill,
        Fault::NodeReboot { .. } => Harm::NodeReboot,
        Fault::NodePause { .. } => Harm::NodePause,
        Fault::NodeDisconnect { .. } => Harm::NodeDisconnect { mark: mark(), dead_man },
        Fault::KubeletStop { .. } => Harm::KubeletStop { mark: mark(), dead_man },
        Fault::ComponentStop { component, .. } => {
            Harm::ComponentStop { component: *component, mark: mark(), dead_man }
        }
        Fault::ComponentKill { component, .. } => {
            Harm::ComponentKill { component: *component, mark: mark(), dead_man }
        }
        Fault::ComponentPause { component, .. } => {
            Harm::ComponentPause { component: *component, mark: mark(), dead_man }
        }
        Fault::EtcdDataLoss { .. } => Harm::EtcdDataLoss { mark: mark(), dead_man },
        Fault::Partition { .. }
        | Fault::NodeDrain { .. }
        | Fault::DeploymentScale { .. }
        | Fault::DeploymentPlace { .. }
        | Fault::PodDelete { .. }
        | Fault::ContainerKill { .. } => return None,
    };
    Some(undo_of(target, run, step, harm))
}

/// The same for a fault on a node alone.
#[cfg(test)]
pub(crate) fn plan(
    fault: &Fault,
    target: &NodeTarget,
    run: &str,
    step: u32,
    dead_man: Duration,
) -> Undo {
    plan_on_node(fault, target, run, step, dead_man).expect("is a fault on a node")
}

/// The same for a partition, by whom it cuts the node off from.
pub(crate) fn plan_partition(
    cut: Cut,
    target: &NodeTarget,
    run: &str,
    step: u32,
    dead_man: Duration,
) -> Undo {
    undo_of(target, run, step, Harm::Partition { cut, mark: record::mark(run, step), dead_man })
}

/// The same for the death of a pod's containers, by their ids without the runtime's name; `which` tells several pods of a step apart.
pub(crate) fn plan_container_kill(
    (pod, containers): (&str, Vec<String>),
    target: &NodeTarget,
    (run, step, which): (&str, u32, usize),
    dead_man: Duration,
) -> Undo {
    let mark = format!("{}-{which}", record::mark(run, step));
    undo_of(
        target,
        run,
        step,
        Harm::ContainerKill { pod: pod.to_owned(), containers, mark, dead_man },
    )
}

/// `1 pod`, `2 pods`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn undo_of(target: &NodeTarget, run: &str, step: u32, harm: Harm) -> Undo {
    Undo { format: UndoFormat::V1, run: run.to_owned(), step, target: target.clone(), harm }
}

/// Does the harm of a plan, and ends when its effect was seen to be there.
///
/// Reports `Requested` right before the harming call (what is needed first is done by then), `Returned` when it comes back, and
/// `Confirmed` when its effect was seen, the last two in either order. On an error, or when the future is dropped, the harm may have
/// been done or be on its way: call [`undo`].
pub(crate) async fn inject(
    undo: &Undo,
    docker: &Docker,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut scene = Scene { docker, undo, progress };
    match &undo.harm {
        Harm::NodeStop { grace } => node_stop::inject(&mut scene, *grace).await,
        Harm::NodeKill => node_kill::inject(&mut scene).await,
        Harm::NodeReboot => node_reboot::inject(&mut scene).await,
        Harm::NodePause => node_pause::inject(&mut scene).await,
        Harm::NodeDisconnect { mark, dead_man } => {
            packet_filter::inject(&mut scene, &node_disconnect::filter(mark), *dead_man).await
        }
        Harm::Partition { cut, mark, dead_man } => {
            packet_filter::inject(&mut scene, &partition::filter(mark, cut), *dead_man).await
        }
        Harm::EtcdDataLoss { mark, dead_man } => {
            etcd_data_loss::inject(&mut scene, mark, *dead_man).await
        }
        Harm::ContainerKill { containers, mark, dead_man, .. } => {
            container_kill::inject(&mut scene, containers, mark, *dead_man).await
        }
        Harm::KubeletStop { mark, dead_man } => {
            kubelet_stop::inject(&mut scene, mark, *dead_man).await
        }
        Harm::ComponentStop { component, mark, dead_man } => {
            component_stop::inject(&mut scene, Part::of(*component, mark), *dead_man).await
        }
        Harm::ComponentKill { component, mark, dead_man } => {
            component_kill::inject(&mut scene, Part::of(*component, mark), *dead_man).await
        }
        Harm::ComponentPause { component, mark, dead_man } => {
            component_pause::inject(&mut scene, Part::of(*component, mark), *dead_man).await
        }
    }
}

/// Takes a fault back, and ends when its effect was seen to be gone. May be called any number of times, also for a fault that was never
/// injected, and by another process.
///
/// Reports `UndoRequested` when it begins, and `Undone` or `NotUndone` when it ends. An engine that is away is waited for, for 60 s.
/// [`FaultError::Gone`] says that the container no longer exists: then nothing is left to be undone.
pub(crate) async fn undo(
    undo: &Undo,
    docker: &Docker,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut scene = Scene { docker, undo, progress };
    scene.say(FaultPhase::UndoRequested, describe(undo));
    let until = tokio::time::Instant::now() + PATIENCE;
    let result = loop {
        match undo_once(&mut scene).await {
            Err(FaultError::Docker(error))
                if error.is_engine_away() && tokio::time::Instant::now() < until =>
            {
                tokio::time::sleep(RETRY).await;
            }
            other => break other,
        }
    };
    match &result {
        Ok(seen) => scene.say(FaultPhase::Undone, seen.clone()),
        Err(error) => scene.say(FaultPhase::NotUndone, error.to_string()),
    }
    result.map(drop)
}

/// One attempt; says what was seen at its end.
async fn undo_once(scene: &mut Scene<'_, '_>) -> Result<String, FaultError> {
    match &scene.undo.harm {
        Harm::NodeStop { .. } | Harm::NodeKill | Harm::NodeReboot | Harm::NodePause => {
            revive::revive(scene).await
        }
        Harm::NodeDisconnect { mark, .. } | Harm::Partition { mark, .. } => {
            packet_filter::undo(scene, mark).await
        }
        Harm::EtcdDataLoss { mark, .. } => etcd_data_loss::undo(scene, mark).await,
        Harm::ContainerKill { mark, .. } => container_kill::undo(scene, mark).await,
        Harm::KubeletStop { mark, .. } => kubelet_stop::undo(scene, mark).await,
        Harm::ComponentStop { component, mark, .. } => {
            component_stop::undo(scene, Part::of(*component, mark)).await
        }
        Harm::ComponentKill { component, mark, .. } => {
            component_kill::undo(scene, Part::of(*component, mark)).await
        }
        Harm::ComponentPause { component, mark, .. } => {
            component_pause::undo(scene, Part::of(*component, mark)).await
        }
    }
}

/// What the undo does, for people: `start container kind-worker (docker start)`.
pub(crate) fn describe(undo: &Undo) -> String {
    let container = &undo.target.container_name;
    match &undo.harm {
        Harm::NodeStop { .. } | Harm::NodeKill | Harm::NodeReboot => {
            format!("start container {container} (docker start)")
        }
        Harm::NodePause => format!("thaw container {container} (docker unpause)"),
        Harm::EtcdDataLoss { .. } => {
            format!("put etcd's data directory back in container {container}")
        }
        Harm::ContainerKill { pod, .. } => {
            format!(
                "nothing: the kubelet in container {container} starts the containers of {pod} again"
            )
        }
        Harm::NodeDisconnect { mark, .. } | Harm::Partition { mark, .. } => {
            format!("take the packet filter {mark} out of container {container}")
        }
        Harm::KubeletStop { .. } => format!("start the kubelet in container {container}"),
        Harm::ComponentStop { component, .. } => {
            format!("put the manifest of {} back in container {container}", component.name())
        }
        Harm::ComponentKill { component, .. } => {
            format!("wait for {} in container {container}", component.name())
        }
        Harm::ComponentPause { component, .. } => {
            format!("thaw {} in container {container}", component.name())
        }
    }
}

/// The command that does the same by hand.
pub(crate) fn by_hand(undo: &Undo) -> String {
    let container = &undo.target.container_name;
    match &undo.harm {
        Harm::NodeStop { .. } | Harm::NodeKill | Harm::NodeReboot => {
            format!("docker start {container}")
        }
        Harm::NodePause => format!("docker unpause {container}"),
        // The dead man's switch is a unit of the node's; starting it is what it would do by itself.
        Harm::NodeDisconnect { mark, .. }
        | Harm::Partition { mark, .. }
        | Harm::EtcdDataLoss { mark, .. } => {
            format!("docker exec {container} systemctl start {mark}.service")
        }
        Harm::KubeletStop { .. } => format!("docker exec {container} systemctl start kubelet"),
        Harm::ComponentStop { component, mark, .. } => {
            component_stop::by_hand(container, Part::of(*component, mark))
        }
        // It is the kubelet that starts it.
        Harm::ComponentKill { .. } | Harm::ContainerKill { .. } => {
            format!("docker exec {container} systemctl restart kubelet")
        }
        Harm::ComponentPause { mark, .. } => {
            format!("docker exec {container} systemctl start {mark}.service")
        }
    }
}

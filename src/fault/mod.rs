//! The faults: one file each, one line each in the list below.
//!
//! ```text
//! plan -> Undo (the engine writes it to disk) -> inject -> ... -> undo
//! ```
//!
//! An [`Undo`] is all that a later process needs in order to undo a fault without the cluster's
//! API, an [`ObjectUndo`] what it needs beside that.

mod back_off;
mod closed_way;
mod command;
mod component;
mod component_kill;
mod component_pause;
mod component_stop;
mod container_kill;
mod context;
mod error;
mod etcd_data_loss;
mod find_processes;
mod kubelet;
mod kubelet_pause;
mod kubelet_stop;
mod kubelet_throttle;
mod modelled;
mod node_disconnect;
mod node_fault;
mod node_freeze;
mod node_kill;
mod node_pause;
mod node_plan;
mod node_reboot;
mod node_stop;
mod object;
mod packet_filter;
mod partition;
mod power_off;
mod power_on;
mod program;
mod record;
mod registry;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
mod undo_timer;
mod works;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use back_off::end_back_off;
pub(crate) use command::{MissingProgram, SHOWN_BY, lacks, missing_programs};
pub(crate) use error::FaultError;
pub(crate) use modelled::{ModelNode, Modelled};
pub(crate) use node_plan::{NodeFacts, Plan, PodContainers};
#[cfg(test)]
pub(crate) use object::deployment::PlannedDeployment;
#[cfg(test)]
pub(crate) use object::deployment_place::DeploymentPlace;
#[cfg(test)]
pub(crate) use object::deployment_scale::DeploymentScale;
#[cfg(test)]
pub(crate) use object::manifest::Manifest;
#[cfg(test)]
pub(crate) use object::node_drain::NodeDrain;
#[cfg(test)]
pub(crate) use object::node_taint::NodeTaint;
#[cfg(test)]
pub(crate) use object::pod_delete::PodDelete;
pub(crate) use object::{Lookup, ObjectUndo, inject_object, undo_object};
pub(crate) use record::{NodeTarget, Undo};
pub(crate) use undo_timer::UndoAfter;
pub(crate) use works::{Found, LIMIT as WORKS_WITHIN};

use crate::cluster::Cluster;
use crate::embedded::NodeId;
use crate::experiment::Fault;
use crate::node::{AccessError, AccessErrorKind};
use crate::timeline::{Component, FaultKind, FaultName, FaultPhase, Impact, NodeRole};
use closed_way::ClosedWay;
pub(crate) use context::Way;
use context::{CLOSING, COMMAND, FaultContext, Look};
use node_fault::{NodeFault, Undone};
use object::{ObjectContext, ObjectFault};
use record::{Machine, UndoFormat};
use undo_timer::UndoTimer;
use works::Works;

registry::faults! {
    node {
        NodeStop in node_stop,
        NodeKill in node_kill,
        NodeReboot in node_reboot,
        NodePause in node_pause,
        NodeFreeze in node_freeze,
        NodeDisconnect in node_disconnect,
        KubeletStop in kubelet_stop,
        KubeletPause in kubelet_pause,
        KubeletThrottle in kubelet_throttle,
        ComponentStop in component_stop,
        ComponentKill in component_kill,
        ComponentPause in component_pause,
        Partition in partition,
        Command in command,
        EtcdDataLoss in etcd_data_loss,
        ContainerKill in container_kill,
    }
    object {
        DeploymentScale in deployment_scale,
        DeploymentPlace in deployment_place,
        Manifest in manifest,
        PodDelete in pod_delete,
        NodeDrain in node_drain,
        NodeTaint in node_taint,
    }
}

/// How long an undo is tried again where the container engine does not answer, or refuses.
const AWAY: Duration = Duration::from_secs(60);
/// Between two attempts of an undo.
const RETRY: Duration = Duration::from_millis(500);

/// Hears how far a fault is: a phase, and what was seen.
pub(crate) type Progress<'a> = dyn FnMut(FaultPhase, String) + 'a;

/// Works out what will undo a fault on a node, before anything is touched. Calls nothing. Errors
/// when the fault is impossible there.
pub(crate) fn plan(plan: &Plan<'_>) -> Result<Undo, FaultError> {
    let fault = NodeFaultRecord::plan(plan)?;
    let Plan { target, run, step, .. } = *plan;
    Ok(Undo { format: UndoFormat::V1, run: run.to_owned(), step, target: target.clone(), fault })
}

/// The plan of a fault that needs nothing but its node.
#[cfg(test)]
pub(crate) fn planned(
    fault: &Fault,
    target: &NodeTarget,
    run: &str,
    step: u32,
    undo_after: Duration,
) -> Undo {
    let undo_after = UndoAfter::both(undo_after);
    let facts = NodeFacts::default();
    plan(&Plan { fault, target, facts, cluster: &[], pod: None, run, step, undo_after }).unwrap()
}

/// Refuses a planned fault whose node is not in the state that the fault needs, such as one whose
/// kubelet is already stopped. [`inject`] checks this again.
pub(crate) async fn check(undo: &Undo, way: impl Into<Way<'_>>) -> Result<(), FaultError> {
    let mut quiet = |_, _| {};
    undo.fault.check(&FaultContext::new(way.into(), &undo.target, &mut quiet)).await
}

/// Injects a planned fault, and ends when its effect was seen.
///
/// Reports `Requested` right before the call that injects (what is needed first is done by then),
/// `Returned` when it comes back, and `Confirmed` when its effect was seen, the last two in either
/// order. On an error that is no refusal, or when the future is dropped, the fault may have been
/// injected or be on its way: call [`undo`].
pub(crate) async fn inject(
    undo: &Undo,
    way: impl Into<Way<'_>>,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut context = FaultContext::new(way.into(), &undo.target, progress);
    context.closes_way_in = context.docker.is_none() && closes_way_in(undo);
    undo.fault.check(&context).await?;
    match undo.fault.inject(&mut context).await {
        Err(FaultError::Access(error)) if context.requested && may_close_way_in(&context, undo) => {
            closed(&mut context, undo, error).await
        }
        other => other,
    }
}

/// Whether nothing can be run in the node while the fault is in effect, where the way in leads
/// through its kubelet.
pub(crate) fn closes_way_in(undo: &Undo) -> bool {
    let impact = undo.fault.kind().traits().impact;
    matches!(impact, Impact::Kubelet | Impact::Network | Impact::MachineFrozen)
}

/// The same where it depends on what else the cluster has (the way in begins at an API server), or
/// on how slow the kubelet gets.
fn may_close_way_in(context: &FaultContext<'_, '_>, undo: &Undo) -> bool {
    let of_api =
        [Component::ApiServer, Component::Etcd].map(Some).contains(&undo.fault.component());
    let slow = undo.fault.kind().traits().impact == Impact::KubeletSlow;
    context.closes_way_in || (context.docker.is_none() && (of_api || slow))
}

/// A fault that closes the way in can't be looked at from inside: it is in effect when nothing can
/// be run there any more. Where the way in is open again, as through another API server, a look from
/// inside has to show it.
async fn closed(
    context: &mut FaultContext<'_, '_>,
    undo: &Undo,
    error: AccessError,
) -> Result<(), FaultError> {
    let is_closed = |kind| matches!(kind, AccessErrorKind::Away | AccessErrorKind::Timeout);
    if !is_closed(error.kind) {
        return Err(FaultError::Access(error));
    }
    let until = Instant::now() + undo.fault.component().map_or(Duration::ZERO, |_| component::END);
    let mut looks = 0;
    while looks < CLOSED_LOOKS || Instant::now() < until {
        looks += 1;
        match context.access.run(&context.handle, CLOSED_LIMIT, &["true"]).await {
            Err(seen) if is_closed(seen.kind) => {
                context.report(FaultPhase::Confirmed, "commands can no longer be run in it");
                return Ok(());
            }
            _ => {}
        }
        if let Ok(Some(Look::Seen(effect))) = undo.fault.look(context).await {
            context.report(FaultPhase::Confirmed, effect);
            return Ok(());
        }
        tokio::time::sleep(RETRY).await;
    }
    Err(FaultError::Access(error))
}

/// How often, at least, a node is asked that should not answer, and how long it has for an answer.
const CLOSED_LOOKS: u32 = 20;
const CLOSED_LIMIT: Duration = Duration::from_secs(3);
/// How long after its injection a fault that closes the way in is confirmed, where nothing answers.
pub(crate) const CLOSED_WITHIN: Duration = CLOSING.saturating_add(CLOSED_LIMIT);

/// Sets the timer in the node anew, if the fault has one: from now on it waits for the shorter time
/// after the confirmation. To be called when all targets of a step are confirmed, since the hold
/// counts from the last. Whether it was set; if not, its longer time stays.
pub(crate) async fn set_timer_anew(undo: &Undo, way: impl Into<Way<'_>>) -> bool {
    let way: Way<'_> = way.into();
    let Some(timer) = undo.fault.undo_timer() else { return false };
    // It was set with the injection: the way in is closed by now.
    if way.docker.is_none() && closes_way_in(undo) {
        return true;
    }
    let mut quiet = |_, _| {};
    timer.confirm(&FaultContext::new(way, &undo.target, &mut quiet)).await.is_ok()
}

/// How long after its effect, at least, the node's own timer undoes a fault, where the way in
/// leads through its kubelet; `None`: it has no timer.
pub(crate) fn undoes_itself_after(undo: &Undo) -> Option<Duration> {
    undo.fault.undo_timer().map(|timer| timer.after(closes_way_in(undo) || undo.fault.is_slow()))
}

/// Undoes a fault, and ends when its effect was seen to be gone. May be called any number of times,
/// also for a fault that was never injected, and by another process.
///
/// Reports `UndoRequested` when it begins, `WoreOff` where the effect was over before, and
/// `Reverted` or `NotUndone` when it ends. It is undone when [`stays_up`] and, where the fault takes
/// the node's heartbeats, [`sends_heartbeat`] say so. Where the container engine is away or
/// refuses, it is asked again for 60 s.
/// [`FaultError::Gone`]: the container no longer exists, nothing is left to be undone.
pub(crate) async fn undo(
    undo: &Undo,
    way: impl Into<Way<'_>>,
    progress: &mut Progress<'_>,
) -> Result<(), FaultError> {
    let mut context = FaultContext::new(way.into(), &undo.target, progress);
    context.report(FaultPhase::UndoRequested, undo.describe());
    // The node's own timer opens a way in that the fault has closed.
    let timer = undo.fault.undo_timer().filter(|_| context.docker.is_none());
    let mut closed = undoes_itself_after(undo).filter(|_| timer.is_some()).map(ClosedWay::new);
    let until = Instant::now() + timer.map_or(AWAY, |timer| AWAY + timer.times.confirmed);
    let result = loop {
        match undo.fault.undo(&context).await {
            // Whatever the engine or the node answers: a start that was refused may succeed next.
            Err(FaultError::Access(error)) if error.kind != AccessErrorKind::Down => {
                if Instant::now() >= until {
                    break Err(FaultError::Access(match closed {
                        Some(closed) => closed.in_the_end(error),
                        None => error,
                    }));
                }
                if let Some(waits) = closed.as_mut().and_then(|closed| closed.news(&error)) {
                    context.report(FaultPhase::Waits, waits);
                }
                tokio::time::sleep(RETRY).await;
            }
            other => break other,
        }
    };
    match &result {
        Ok(Undone { seen, wore_off }) => {
            if *wore_off {
                context.report(FaultPhase::WoreOff, seen.clone());
            }
            context.report(FaultPhase::Reverted, seen.clone());
        }
        Err(error) => context.report(FaultPhase::NotUndone, error.to_string()),
    }
    result.map(drop)
}

/// Ends when what was undone runs, and stays up, or when there is nothing that could.
pub(crate) async fn stays_up(undo: &Undo, way: impl Into<Way<'_>>) -> Result<Found, FaultError> {
    let mut quiet = |_, _| {};
    let context = &FaultContext::new(way.into(), &undo.target, &mut quiet);
    let machine_is_ours = undo.fault.name().traits().engine.is_some();
    works::stays_up(context, &undo.fault.works(undo.target.role), machine_is_ours).await
}

/// Whether the fault takes its node's heartbeats.
pub(crate) fn takes_heartbeats(undo: &Undo) -> bool {
    matches!(undo.fault.works(undo.target.role), Works::Node)
}

/// Ends when the node has sent a heartbeat since the call, or has no Node object. The time for it,
/// [`WORKS_WITHIN`] or more where heartbeats are rare, counts from `began`: that for the connection
/// is a part of it. Only where its kubelet was seen to run, a Node object that stays away is enough.
pub(crate) async fn sends_heartbeat(
    undo: &Undo,
    way: impl Into<Way<'_>>,
    cluster: &Cluster,
    began: Instant,
    kubelet_runs: bool,
) -> Result<&'static str, FaultError> {
    let mut quiet = |_, _| {};
    let context = &FaultContext::new(way.into(), &undo.target, &mut quiet);
    let works = undo.fault.works(undo.target.role);
    works::sends_heartbeat(context, &works, cluster, began, kubelet_runs).await
}

/// What undoes a fault in the model behind an embedded cluster, for people.
pub(crate) fn describe_in_model(fault: &Fault, name: &str) -> String {
    if let Some(record) = ObjectFaultRecord::plan_on_node(fault, name, &[]) {
        return record.describe();
    }
    modelled(fault, ModelNode { id: NodeId(0), name })
        .map_or_else(|| format!("undo {} on {name}", fault.kind()), |modelled| modelled.describe)
}

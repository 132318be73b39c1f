//! The process of a part of the control plane freezes (SIGSTOP), and thaws (SIGCONT).
//!
//! When the freeze lasts longer than the liveness probe is patient (about 80 s in kubeadm's manifests), the kubelet kills the process and
//! starts another: then that one must run, and the thaw finds nothing to do.

use std::time::Duration;

use super::component::{Part, Seen};
use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

fn freezing(part: Part<'_>) -> String {
    format!(
        "{finding}\n\
         processes=$(found); [ -n \"$processes\" ] || {{ echo 'no process is there'; exit 1; }}\n\
         echo \"$processes\" | while read -r pid rest; do kill -STOP $pid || exit 1; done || exit 1",
        finding = part.finding(),
    )
}

/// One that ends at this moment can't be thawed, and needs not.
fn thawing(part: Part<'_>) -> String {
    let finding = part.finding();
    healing(
        part.mark,
        &format!("{finding}\nfound | while read -r pid rest; do kill -CONT $pid 2>/dev/null; done"),
    )
}

pub(super) async fn inject(
    scene: &mut Scene<'_, '_>,
    part: Part<'_>,
    dead_man: Duration,
) -> Result<(), FaultError> {
    part.must_run(scene).await?;
    arm(scene, part.mark, dead_man, &[], &thawing(part)).await?;
    scene.say(FaultPhase::Requested, format!("kill -STOP {}", part.name()));
    harm(scene, part.mark, "freeze the process", &freezing(part)).await?;
    scene.say(FaultPhase::Returned, "the signal is sent");
    part.until_harmed(scene, Seen::frozen).await?;
    scene.say(FaultPhase::Confirmed, format!("the process of {} is frozen", part.name()));
    Ok(())
}

pub(super) async fn undo(scene: &Scene<'_, '_>, part: Part<'_>) -> Result<String, FaultError> {
    if heal(scene, "thaw the process", &thawing(part)).await?.is_none() {
        return Ok(format!("the node does not run: its {} starts with it", part.name()));
    }
    part.until_well(scene, |_| true).await
}

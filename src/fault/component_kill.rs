//! The process of a part of the control plane is killed; its kubelet starts it again by itself.

use std::time::Duration;

use super::component::{Part, Seen};
use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

fn killing(part: Part<'_>) -> String {
    format!(
        "{finding}\n\
         found >{witness}; [ -s {witness} ] || {{ echo 'no process is there'; exit 1; }}\n\
         while read -r pid rest; do kill -KILL $pid || exit 1; done <{witness}",
        finding = part.finding(),
        witness = part.witness(),
    )
}

/// Nothing is to be healed: the switch is the ticket only, so that no late script kills after the undo.
fn nothing(part: Part<'_>) -> String {
    healing(part.mark, ":")
}

pub(super) async fn inject(
    scene: &mut Scene<'_, '_>,
    part: Part<'_>,
    dead_man: Duration,
) -> Result<(), FaultError> {
    part.must_run(scene).await?;
    arm(scene, part.mark, dead_man, &[], &nothing(part)).await?;
    scene.say(FaultPhase::Requested, format!("kill -KILL {}", part.name()));
    harm(scene, part.mark, "kill the process", &killing(part)).await?;
    scene.say(FaultPhase::Returned, "the signal is sent");
    part.until_harmed(scene, Seen::replaced).await?;
    scene.say(FaultPhase::Confirmed, format!("the process of {} is gone", part.name()));
    Ok(())
}

pub(super) async fn undo(scene: &Scene<'_, '_>, part: Part<'_>) -> Result<String, FaultError> {
    if heal(scene, "take the ticket away", &nothing(part)).await?.is_none() {
        return Ok(format!("the node does not run: its {} starts with it", part.name()));
    }
    part.until_well(scene, Seen::replaced).await
}

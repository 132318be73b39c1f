//! A part of the control plane ends and is held down: its static pod's manifest is moved out of the kubelet's sight, and back.
//!
//! It is kept beside the directory of manifests, on the same file system: it moves in one step, and a restart of the node loses nothing.

use std::time::Duration;

use super::component::{Part, Seen};
use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

const MANIFESTS: &str = "/etc/kubernetes/manifests";

fn manifest(part: Part<'_>) -> String {
    format!("{MANIFESTS}/{}.yaml", part.name())
}

/// The run's own directory.
fn keep(part: Part<'_>) -> String {
    format!("/etc/kubernetes/{}", part.mark)
}

fn kept(part: Part<'_>) -> String {
    format!("{}/{}.yaml", keep(part), part.name())
}

fn moving_away(part: Part<'_>) -> String {
    let (manifest, keep) = (manifest(part), keep(part));
    format!(
        "{finding}\n\
         [ -e {manifest} ] || {{ echo '{manifest} is not there'; exit 1; }}\n\
         found >{witness}; mkdir -p {keep} && mv {manifest} {keep}/ || exit 1",
        finding = part.finding(),
        witness = part.witness(),
    )
}

/// One that has come to its place meanwhile is somebody's will, and is not overwritten.
fn moving_back(part: Part<'_>) -> String {
    let (manifest, keep, kept) = (manifest(part), keep(part), kept(part));
    healing(
        part.mark,
        &format!(
            "if [ -e {kept} ]; then\n\
             [ ! -e {manifest} ] || {{ echo 'another manifest is in the place of {kept}'; exit 1; }}\n\
             mv {kept} {manifest} || exit 1\n\
             fi\n\
             rmdir {keep} 2>/dev/null\n\
             [ -e {manifest} ] || {{ echo '{manifest} is lost'; exit 1; }}"
        ),
    )
}

pub(super) fn by_hand(container: &str, part: Part<'_>) -> String {
    format!("docker exec {container} mv {} {MANIFESTS}/", kept(part))
}

pub(super) async fn inject(
    scene: &mut Scene<'_, '_>,
    part: Part<'_>,
    dead_man: Duration,
) -> Result<(), FaultError> {
    part.must_run(scene).await?;
    arm(scene, part.mark, dead_man, &[], &moving_back(part)).await?;
    scene.say(FaultPhase::Requested, format!("move {} away", manifest(part)));
    harm(scene, part.mark, "move the manifest away", &moving_away(part)).await?;
    scene.say(FaultPhase::Returned, "its manifest is moved away");
    // A process that another has put in its place meanwhile was started by the kubelet before it looked.
    part.until_harmed(scene, Seen::gone).await?;
    scene.say(FaultPhase::Confirmed, format!("no {} runs", part.name()));
    Ok(())
}

pub(super) async fn undo(scene: &Scene<'_, '_>, part: Part<'_>) -> Result<String, FaultError> {
    if heal(scene, "move the manifest back", &moving_back(part)).await?.is_none() {
        // What was moved stays moved while the node is down: this undo has to come again.
        let seen = "the node does not run, so that its manifest could not be moved back,".into();
        return Err(FaultError::NotUndone { node: scene.node(), seen, after: Duration::ZERO });
    }
    part.until_well(scene, Seen::replaced).await
}

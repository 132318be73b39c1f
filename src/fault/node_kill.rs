//! Power loss: `docker kill`. (It does not trigger the container's restart policy.)

use super::error::FaultError;
use super::scene::Scene;
use super::switch_off::{ended, until_seen};
use crate::timeline::FaultPhase;

pub(super) async fn inject(scene: &mut Scene<'_, '_>) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    scene.say(FaultPhase::Requested, "docker kill");
    let call = scene.docker.kill(scene.container());
    until_seen(scene, call, ended).await
}

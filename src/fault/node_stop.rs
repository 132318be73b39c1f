//! An orderly shutdown: `docker stop` is systemd's own, cut short by a kill when the grace is over.

use std::time::Duration;

use super::error::FaultError;
use super::scene::Scene;
use super::switch_off::{ended, until_seen};
use crate::timeline::FaultPhase;

pub(super) async fn inject(scene: &mut Scene<'_, '_>, grace: Duration) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    scene.say(FaultPhase::Requested, format!("docker stop, {}s of grace", grace.as_secs_f64()));
    let call = scene.docker.stop(scene.container(), grace);
    until_seen(scene, call, ended).await
}

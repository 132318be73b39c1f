//! A freeze: `docker pause`. The node's processes stand still, its connections stay open and silent.

use super::error::FaultError;
use super::scene::Scene;
use super::switch_off::until_seen;
use crate::timeline::FaultPhase;

pub(super) async fn inject(scene: &mut Scene<'_, '_>) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    scene.say(FaultPhase::Requested, "docker pause");
    let call = scene.docker.pause(scene.container());
    until_seen(scene, call, |state| state.paused.then(|| "container paused".into())).await
}

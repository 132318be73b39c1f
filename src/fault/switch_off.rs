//! A call that takes a container down, and its confirmation: the container is down before the call returns, or after.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::error::FaultError;
use super::scene::Scene;
use crate::docker::{ContainerState, DockerError};
use crate::timeline::FaultPhase;

/// How often is looked. The exact time is in Docker's own event; this one must not load the engine.
const LOOK: Duration = Duration::from_millis(50);
/// How long after the call's return the effect may take to be seen.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Drives `call` and looks at the container meanwhile, until both the call came back and `effect` says what it saw of the effect.
pub(super) async fn until_seen(
    scene: &mut Scene<'_, '_>,
    call: impl Future<Output = Result<(), DockerError>>,
    effect: impl Fn(&ContainerState) -> Option<String>,
) -> Result<(), FaultError> {
    let mut call = pin!(call);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut returned, mut seen) = (None, false);
    while returned.is_none() || !seen {
        tokio::select! {
            biased;
            result = &mut call, if returned.is_none() => {
                result.map_err(|error| scene.error(error))?;
                returned = Some(Instant::now());
                scene.say(FaultPhase::Returned, "the call came back");
                looks.reset_immediately();
            }
            _ = looks.tick(), if !seen => {
                if let Some(what) = effect(&scene.state().await?) {
                    seen = true;
                    scene.say(FaultPhase::Confirmed, what);
                } else if returned.is_some_and(|at| at.elapsed() > PATIENCE) {
                    return Err(FaultError::NotConfirmed { node: scene.node(), seen: "its container still runs".into(), after: PATIENCE });
                }
            }
        }
    }
    Ok(())
}

/// The container has ended.
pub(super) fn ended(state: &ContainerState) -> Option<String> {
    let at =
        state.finished_at.map_or_else(String::new, |at| format!(" at {at} by the engine's clock"));
    (!state.running)
        .then(|| format!("container exited with {}{at}", state.exit_code.unwrap_or_default()))
}

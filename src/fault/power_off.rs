//! A call that takes a node's machine down, and its confirmation: it is down before the call
//! returns, or after.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::context::FaultContext;
use super::error::FaultError;
use crate::docker::{ContainerState, DockerError};
use crate::timeline::FaultPhase;

/// How often to look. The exact time is in Docker's own event; this one must not load the container
/// engine.
const LOOK: Duration = Duration::from_millis(50);
/// How long after the call's return the effect may take to be seen.
pub(super) const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);

/// Drives `call` on a node that is up, and looks at the machine meanwhile, until both the call came
/// back and `effect` says what it saw of the effect.
pub(super) async fn take_down(
    context: &mut FaultContext<'_, '_>,
    requested: impl Into<String>,
    call: impl Future<Output = Result<(), DockerError>>,
    effect: impl Fn(&ContainerState) -> Option<String>,
) -> Result<(), FaultError> {
    context.report(FaultPhase::Requested, requested);
    let mut call = pin!(call);
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut returned, mut seen) = (None, false);
    while returned.is_none() || !seen {
        tokio::select! {
            biased;
            result = &mut call, if returned.is_none() => {
                context.switched(result)?;
                returned = Some(Instant::now());
                context.report(FaultPhase::Returned, "the call returned");
                looks.reset_immediately();
            }
            _ = looks.tick(), if !seen => {
                if let Some(what) = effect(&context.machine().await?) {
                    seen = true;
                    context.report(FaultPhase::Confirmed, what);
                } else if returned.is_some_and(|at| at.elapsed() > CONFIRM_TIMEOUT) {
                    return Err(context.not_confirmed("its container still runs", CONFIRM_TIMEOUT));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn ended(state: &ContainerState) -> Option<String> {
    let at =
        state.finished_at.map_or_else(String::new, |at| format!(" at {at} by the engine's clock"));
    state
        .has_ended()
        .then(|| format!("container exited with {}{at}", state.exit_code.unwrap_or_default()))
}

//! Power off and on again at once: `docker kill`, then `docker start`. The node boots while the fault is observed.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::revive::{Seen, look};
use super::scene::Scene;
use crate::timeline::FaultPhase;

const LOOK: Duration = Duration::from_millis(50);
/// How long each half may take to be seen.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn inject(scene: &mut Scene<'_, '_>) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    let before = scene.state().await?.started_at;
    scene.say(FaultPhase::Requested, "docker kill, docker start");
    scene.docker.kill(scene.container()).await.map_err(|error| scene.error(error))?;
    until_down(scene).await?;
    scene.docker.start(scene.container()).await.map_err(|error| scene.error(error))?;
    scene.say(FaultPhase::Returned, "the calls came back");
    until_up(scene).await?;
    let after = scene.state().await?.started_at;
    if after <= before {
        return Err(not_confirmed(scene, "its container has not been started again"));
    }
    let at = after.map_or_else(String::new, |at| format!(" at {at} by the engine's clock"));
    scene.say(FaultPhase::Confirmed, format!("container started again{at}"));
    Ok(())
}

async fn until_down(scene: &Scene<'_, '_>) -> Result<(), FaultError> {
    let end = Instant::now() + PATIENCE;
    while scene.state().await?.running {
        if Instant::now() > end {
            return Err(not_confirmed(scene, "its container still runs"));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// Its init answers.
async fn until_up(scene: &Scene<'_, '_>) -> Result<(), FaultError> {
    let end = Instant::now() + PATIENCE;
    while look(scene).await? != Seen::Up {
        if Instant::now() > end {
            return Err(not_confirmed(scene, "its init does not answer"));
        }
        sleep(LOOK).await;
    }
    Ok(())
}

fn not_confirmed(scene: &Scene<'_, '_>, seen: &str) -> FaultError {
    FaultError::NotConfirmed { node: scene.node(), seen: seen.into(), after: PATIENCE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::experiment::{Fault, NodeSelector};
    use crate::fault::record::tests::target;
    use crate::fault::{inject, plan, undo};

    #[tokio::test]
    async fn it_goes_off_and_on_and_is_seen_to() {
        let engine = FakeEngine::start();
        let plan = plan(
            &Fault::NodeReboot { target: NodeSelector::default() },
            &target(),
            "r",
            0,
            Duration::from_secs(60),
        );
        let (docker, mut phases) = (engine.connect().await, Vec::new());
        inject(&plan, &docker, &mut |phase, _| phases.push(phase)).await.unwrap();
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        let calls = engine.calls();
        let place = |what: &str| {
            calls
                .iter()
                .position(|call| call.contains(what))
                .unwrap_or_else(|| panic!("{what}: {calls:?}"))
        };
        assert!(place("/kill") < place("/start"));
        undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
        assert!(engine.worker(|c| c.running));
    }

    #[tokio::test]
    async fn one_that_was_cut_in_the_middle_is_started_by_its_undo() {
        let engine = FakeEngine::start();
        engine.with(|state| state.refuse = Some(("/start".into(), 500, "no room".into())));
        let plan = plan(
            &Fault::NodeReboot { target: NodeSelector::default() },
            &target(),
            "r",
            0,
            Duration::from_secs(60),
        );
        let docker = engine.connect().await;
        inject(&plan, &docker, &mut |_, _| {}).await.unwrap_err();
        assert!(engine.worker(|c| !c.running));
        engine.with(|state| state.refuse = None);
        undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
        assert!(engine.worker(|c| c.running));
    }
}

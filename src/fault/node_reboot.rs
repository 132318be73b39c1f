//! Power off and on again without a pause: `docker kill`, then `docker start`. The node boots while
//! the fault is observed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::power_on::{self, Cause, Seen, look};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

/// How each half is looked for.
const HALF: Wait = Wait { every: Duration::from_millis(50), limit: Duration::from_secs(30) };

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeReboot;

impl NodeFault for NodeReboot {
    power_on::undone_by!("start", Cause::Kill);

    fn injection_timeout(_: &Fault) -> Duration {
        COMMAND + HALF.limit * 2
    }

    fn plan(_: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self)
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        context.must_be_up().await?;
        let before = context.machine().await?.started_at;
        context.report(FaultPhase::Requested, "docker kill, docker start");
        context.switched(context.switch()?.kill(context.container()).await)?;
        let down = context.look_until_seen(HALF, async |context| {
            Ok(match context.machine().await?.running {
                true => Look::NotYet("its container still runs".into()),
                false => Look::Seen(String::new()),
            })
        });
        if let Look::NotYet(seen) = down.await? {
            return Err(context.not_confirmed(seen, HALF.limit));
        }
        context.switched(context.switch()?.start(context.container()).await)?;
        context.report(FaultPhase::Returned, "the calls returned");
        let restarted = async |context: &FaultContext<'_, '_>| {
            if look(context).await? != Seen::Up {
                return Ok(Look::NotYet("its init does not answer".into()));
            }
            let after = context.machine().await?.started_at;
            if after <= before {
                return Ok(Look::NotYet("its container has not been restarted".into()));
            }
            let at = after.map_or_else(String::new, |at| format!(" at {at} by the engine's clock"));
            Ok(Look::Seen(format!("container started again{at}")))
        };
        context.confirm(HALF, restarted).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::experiment::{Fault, NodeSelector};
    use crate::fault::samples::target;
    use crate::fault::{inject, planned, undo};

    #[tokio::test]
    async fn it_goes_off_and_on_and_is_seen_to() {
        let engine = FakeEngine::start();
        let plan = planned(
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
        let plan = planned(
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

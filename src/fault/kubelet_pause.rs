//! The kubelet freezes (SIGSTOP) and goes on (SIGCONT): its node becomes NotReady while its pods go on
//! answering, and for systemd nothing has happened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{NodeFault, Plan};
use super::switch::{SHORT, Switch};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

const WAIT: Wait = Wait { every: Duration::from_millis(100), limit: Duration::from_secs(30) };
const FREEZE: &str = "systemctl kill --signal=STOP kubelet";
/// One that has ended meanwhile is started.
const UNFREEZE: &str =
    "systemctl kill --signal=CONT kubelet || systemctl start --no-block kubelet || exit 1";
/// Prints the state of the kubelet's process as the kernel has it: `S`, `R`, `T` (stopped by a signal); nothing
/// where there is none.
const STATE: &str = "set -- $(cat /proc/$(systemctl show --property=MainPID --value kubelet)/stat 2>/dev/null); echo $3";

/// The kubelet is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KubeletPause(Switch);

impl NodeFault for KubeletPause {
    const UNDO_TIMEOUT: Duration = WAIT.limit;

    fn injection_timeout(_: &Fault) -> Duration {
        COMMAND + WAIT.limit
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self(plan.switch()))
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        context.must_be_up().await?;
        let unit = context.run(&["systemctl", "is-active", "kubelet"]).await?.text();
        if unit != "active" {
            return Err(context.refused(format!("its kubelet is {unit} already")));
        }
        if process_state(context).await? == "T" {
            return Err(context.refused("its kubelet is frozen already"));
        }
        self.0.arm(context, &[], &self.0.undo_script(SHORT, UNFREEZE)).await?;
        context.report(FaultPhase::Requested, "kill -STOP kubelet");
        self.0.inject(SHORT, context, "freeze the kubelet", FREEZE).await?;
        context.report(FaultPhase::Returned, "the signal is sent");
        let frozen = async |context: &FaultContext<'_, '_>| {
            Ok(match process_state(context).await? == "T" {
                true => Look::Seen("the kubelet is frozen".into()),
                false => Look::NotYet("its kubelet still runs".into()),
            })
        };
        context.confirm(WAIT, frozen).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<String, FaultError> {
        let script = self.0.undo_script(SHORT, UNFREEZE);
        if self.0.undo(SHORT, context, "unfreeze the kubelet", &script).await?.is_none() {
            return Ok("the node does not run: its kubelet starts with it".into());
        }
        let runs = context.look_until_seen(WAIT, async |context| {
            Ok(match process_state(context).await?.as_str() {
                "" => Look::NotYet("its kubelet does not run".into()),
                "T" => Look::NotYet("its kubelet is frozen".into()),
                _ => Look::Seen("the kubelet runs".into()),
            })
        });
        match runs.await? {
            Look::Seen(seen) => Ok(seen),
            Look::NotYet(seen) => Err(context.not_undone(seen, WAIT.limit)),
        }
    }

    fn describe(&self, container: &str) -> String {
        format!("unfreeze the kubelet in container {container}")
    }

    fn by_hand(&self, container: &str) -> String {
        format!("docker exec {container} systemctl kill --signal=CONT kubelet")
    }
}

async fn process_state(context: &FaultContext<'_, '_>) -> Result<String, FaultError> {
    Ok(context.run(&["sh", "-c", STATE]).await?.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::{inject, samples, undo};
    use crate::timeline::FaultKind;

    /// A node whose kubelet obeys.
    fn node() -> FakeEngine {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let text = argv.join(" ");
                let frozen = node.inside.contains_key("frozen");
                match () {
                    () if text == "systemctl is-active kubelet" => return (0, "active".into()),
                    () if text.contains("exec systemd-run") => {}
                    () if text.contains(STATE) => {
                        return (0, if frozen { "T" } else { "S" }.into());
                    }
                    () if text.contains(UNFREEZE) => drop(node.inside.remove("frozen")),
                    () if text.contains(FREEZE) => {
                        node.inside.insert("frozen".into(), String::new());
                    }
                    () => {}
                }
                (0, String::new())
            });
        });
        engine
    }

    #[tokio::test]
    async fn it_is_frozen_once_and_unfrozen_any_number_of_times() {
        let engine = node();
        let plan = samples::plan_of(&samples::fault(FaultKind::KubeletPause)).unwrap();
        let (docker, mut phases) = (engine.connect().await, Vec::new());
        inject(&plan, &docker, &mut |phase, _| phases.push(phase)).await.unwrap();
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        let again = inject(&plan, &docker, &mut |_, _| {}).await.unwrap_err().to_string();
        assert_eq!(again, "inject the fault on node c-worker: its kubelet is frozen already");
        for _ in 0..2 {
            let mut seen = String::new();
            undo(&plan, &docker, &mut |_, text| seen = text).await.unwrap();
            assert_eq!(seen, "the kubelet runs");
        }
    }
}

//! The kubelet freezes (SIGSTOP) and goes on (SIGCONT): its node becomes NotReady while its pods go
//! on answering, and for systemd nothing has happened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look};
use super::error::FaultError;
use super::kubelet::{self, Scripts, WAIT, must_be_active, process};
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::Fault;

const FREEZE: &str = "systemctl kill --signal=STOP kubelet";
/// One that has ended meanwhile is started.
const UNFREEZE: &str = "systemctl kill --signal=CONT kubelet; sent=$?
if systemctl is-active --quiet kubelet; then [ $sent = 0 ] || exit 1
else systemctl start --no-block kubelet || exit 1; fi";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KubeletPause(UndoTimer);

impl NodeFault for KubeletPause {
    kubelet::on_kubelet!();

    async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await?;
        if process(context).await?.is_some_and(|process| process.is_frozen()) {
            return Err(context.refused("its kubelet is already frozen"));
        }
        Ok(())
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let scripts = Scripts {
            what: "freeze the kubelet",
            inject: FREEZE,
            undo: UNFREEZE,
            tools: &[],
            request: "kill -STOP kubelet".into(),
            returned: "the signal was sent",
        };
        let frozen = async |context: &FaultContext<'_, '_>| {
            Ok(match process(context).await? {
                Some(process) if process.is_frozen() => Look::Seen("the kubelet is frozen".into()),
                Some(_) => Look::NotYet("its kubelet still runs".into()),
                None => Look::NotYet("its kubelet has no process".into()),
            })
        };
        kubelet::inject(context, &self.0, scripts, frozen).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        kubelet::undo(context, &self.0, "unfreeze the kubelet", UNFREEZE).await
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("unfreeze the kubelet {}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed("systemctl kill --signal=CONT kubelet")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(
            fault,
            node,
            "kubelet frozen",
            "kubelet unfrozen",
            "unfreeze the kubelet of {node}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::kubelet::PROCESS;
    use crate::fault::{inject, samples, undo};
    use crate::timeline::{FaultKind, FaultPhase};

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
                    () if text.contains(PROCESS) => {
                        return (0, if frozen { "7 T" } else { "7 S" }.into());
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
        assert_eq!(again, "inject the fault on node c-worker: its kubelet is already frozen");
        for _ in 0..2 {
            let mut seen = String::new();
            undo(&plan, &docker, &mut |_, text| seen = text).await.unwrap();
            assert_eq!(seen, "the kubelet runs");
        }
    }

    /// What a script ends and says where `systemctl` is this.
    fn shell(systemctl: &str, script: &str) -> (Option<i32>, String) {
        let script = format!("systemctl() {{ {systemctl}; }}\n{script}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    #[test]
    fn a_kubelet_that_has_ended_is_started_and_one_that_stays_frozen_is_reported() {
        let unit = |kill: i32, active: i32| {
            format!(
                "case $1 in kill) return {kill};; is-active) return {active};; *) echo $1;; esac"
            )
        };
        assert_eq!(shell(&unit(0, 0), UNFREEZE), (Some(0), String::new()));
        assert_eq!(shell(&unit(0, 3), UNFREEZE), (Some(0), "start".into()));
        assert_eq!(shell(&unit(1, 3), UNFREEZE), (Some(0), "start".into()));
        assert_eq!(shell(&unit(1, 0), UNFREEZE), (Some(1), String::new()));
    }
}

//! All of a node freezes (SIGSTOP), as `docker pause` does it, where there is no container to pause:
//! its pods, its kubelet, the container runtime and its other services. systemd goes on, and so
//! does the undo timer in it.
//!
//! Signals, and not the freezer of control groups: with version 1 of these, services have no group
//! of their own to be frozen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look};
use super::error::FaultError;
use super::kubelet::{self, Scripts, WAIT, must_be_active};
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::Fault;

/// Which processes: those of pods, of the kubelet, and of services.
const HIT: &str = r"(^0:|name=systemd):.*(kubepods|/kubelet|system\.slice/[^/]*\.service)";
/// And not these services: without them systemd may wait, and starts no undo timer.
const SPARED: &str = r"system\.slice/(outage-|systemd-|dbus)";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeFreeze(UndoTimer);

impl NodeFault for NodeFreeze {
    kubelet::on_kubelet!();

    async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let (freeze, unfreeze) = (self.freeze(), self.unfreeze());
        let scripts = Scripts {
            what: "freeze the processes",
            inject: &freeze,
            undo: &unfreeze,
            tools: &["grep"],
            request: "kill -STOP all but systemd".into(),
            returned: "the signals were sent",
        };
        let script = self.look();
        let frozen = async |context: &FaultContext<'_, '_>| {
            let output = context.run(&["sh", "-c", &script]).await?;
            if output.code != 0 {
                return Err(context.command_failed("look at the frozen processes", &output));
            }
            let text = output.text();
            let (all, running) = text.split_once(' ').unwrap_or((&text, ""));
            Ok(match running {
                "0" => Look::Seen(format!("{all} processes are frozen")),
                running => Look::NotYet(format!("{running} of {all} processes are still running")),
            })
        };
        kubelet::inject(context, &self.0, scripts, frozen).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        kubelet::undo(context, &self.0, "unfreeze the processes", &self.unfreeze()).await
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("unfreeze all processes {}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        self.0.by_hand(machine)
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "frozen", "node unfrozen", "unfreeze {node}")
    }
}

impl NodeFreeze {
    /// Where the frozen processes are listed, each before it is frozen: one that somebody else has
    /// frozen stays so.
    fn list(&self) -> String {
        format!("/run/{}.frozen", self.0.mark)
    }

    /// Goes through the processes until there is none left: some may be starting. Where it is
    /// sent from a pod, that pod is spared.
    fn freeze(&self) -> String {
        let list = self.list();
        format!(
            r#"own=$(sed -n 's,^[0-9]*:[^:]*:\(.*kubepods.*\)/[^/]*$,\1,p' /proc/self/cgroup | head -n 1)
: > {list}
for pass in 1 2 3 4 5; do
  left=0
  all=$(grep -lsE '{HIT}' /proc/[0-9]*/cgroup)
  for file in $(grep -LsE '{SPARED}' $all | xargs -r grep -LsF ":${{own:-none}}/"); do
    pid=${{file#/proc/}}; pid=${{pid%/cgroup}}
    grep -qs '^State:.[TtZX]' /proc/$pid/status && continue
    echo $pid >> {list}
    kill -STOP $pid 2>/dev/null && left=1
  done
  [ $left = 0 ] && break
done
[ -s {list} ] || {{ echo 'found no process of a pod or a service'; exit 1; }}"#
        )
    }

    fn unfreeze(&self) -> String {
        let list = self.list();
        format!("if [ -e {list} ]; then kill -CONT $(cat {list}) 2>/dev/null; rm -f {list}; fi")
    }

    /// Prints how many are to be frozen, and how many of them run.
    fn look(&self) -> String {
        let list = self.list();
        format!(
            "files=$(sed 's,.*,/proc/&/status,' {list}) || exit 1\n\
             echo $(sort -u {list} | wc -l) $(grep -Ls '^State:.[TtZX]' $files | sort -u | wc -l)"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::kubelet::PROCESS;
    use crate::fault::{NodeFaultRecord, inject, samples, undo};
    use crate::timeline::{FaultKind, FaultPhase};

    /// A node whose processes obey.
    fn node() -> FakeEngine {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let text = argv.join(" ");
                let frozen = node.inside.contains_key("frozen");
                match () {
                    () if text == "systemctl is-active kubelet" => return (0, "active".into()),
                    () if text.contains("exec systemd-run") => {}
                    () if text.contains(PROCESS) => return (0, "7 S".into()),
                    () if text.contains("kill -CONT") => drop(node.inside.remove("frozen")),
                    () if text.contains("kill -STOP") => {
                        node.inside.insert("frozen".into(), String::new());
                    }
                    () if text.contains("wc -l") => {
                        return (0, if frozen { "57 0" } else { "57 57" }.into());
                    }
                    () => {}
                }
                (0, String::new())
            });
        });
        engine
    }

    #[tokio::test]
    async fn it_is_frozen_and_unfrozen_any_number_of_times() {
        let engine = node();
        let plan = samples::plan_of(&samples::fault(FaultKind::NodeFreeze)).unwrap();
        let (docker, mut said) = (engine.connect().await, Vec::new());
        inject(&plan, &docker, &mut |phase, text| said.push((phase, text))).await.unwrap();
        let phases: Vec<_> = said.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        assert_eq!(said[2].1, "57 processes are frozen");
        for _ in 0..2 {
            let mut seen = String::new();
            undo(&plan, &docker, &mut |_, text| seen = text).await.unwrap();
            assert_eq!(seen, "the kubelet runs");
        }
    }

    /// Only processes of a real one are listed; here one of ours stands for them.
    #[test]
    fn what_is_listed_is_seen_and_unfrozen() {
        let plan = samples::plan_of(&samples::fault(FaultKind::NodeFreeze)).unwrap();
        let NodeFaultRecord::NodeFreeze(fault) = &plan.fault else { panic!("{plan:?}") };
        let (folder, mut child) =
            (tempfile::tempdir().unwrap(), Command::new("sleep").arg("60").spawn().unwrap());
        let list = folder.path().join("list");
        std::fs::write(&list, format!("{0}\n{0}\n4194305\n", child.id())).unwrap();
        let sh = |script: &str| {
            let script = script.replace(&fault.list(), list.to_str().unwrap());
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(sh(&fault.look()), "2 1");
        sh(&format!("kill -STOP {}", child.id()));
        while sh(&fault.look()) != "2 0" {}
        sh(&fault.unfreeze());
        assert!(!list.exists());
        let state = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!state.contains("T (stopped)"), "{state}");
    }

    #[test]
    fn pods_and_services_are_hit_and_what_the_undo_needs_is_spared() {
        let matches = |pattern: &str, line: &str| {
            let script = format!("printf '%s\\n' '{line}' | grep -qE '{pattern}'");
            Command::new("sh").args(["-c", &script]).status().unwrap().success()
        };
        for line in [
            "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/cri-1.scope",
            "0::/system.slice/kubelet.service",
            "1:name=systemd:/docker/0123/system.slice/containerd.service",
            "12:name=systemd:/kubepods.slice/kubepods-burstable.slice/pod2/3",
            "0::/kubelet/kubepods/burstable/pod1/2",
        ] {
            assert!(matches(HIT, line) && !matches(SPARED, line), "{line}");
        }
        for line in [
            "0::/init.scope",
            "0::/",
            "0::/user.slice/user-0.slice",
            "3:cpu:/system.slice/a.service",
        ] {
            assert!(!matches(HIT, line), "{line}");
        }
        for unit in ["outage-r-0", "systemd-journald", "dbus"] {
            assert!(matches(SPARED, &format!("0::/system.slice/{unit}.service")), "{unit}");
        }
    }
}

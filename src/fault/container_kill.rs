//! The processes of a pod's containers are killed inside its node; the kubelet starts the
//! containers again by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::{NOTHING, SHORT, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::{FaultPhase, counted};

const WAIT: Wait = Wait { every: Duration::from_millis(50), limit: Duration::from_secs(10) };

/// The processes of a pod's containers are killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerKill {
    pod: String,
    containers: Vec<String>,
    #[serde(flatten)]
    timer: UndoTimer,
}

impl NodeFault for ContainerKill {
    const UNDO_TIMEOUT: Duration = Duration::ZERO;
    const PREVIEW_WITHOUT_NODE: Option<&'static str> =
        Some("not needed: the kubelet restarts the containers");

    fn injection_timeout(_: &Fault) -> Duration {
        COMMAND + WAIT.limit
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let pod = plan.pod.ok_or_else(|| plan.another_fault())?;
        let UndoTimer { mark, times } = plan.undo_timer();
        let timer = UndoTimer { mark: format!("{mark}-{}", pod.number), times };
        Ok(Self { pod: pod.pod.to_owned(), containers: pod.ids.to_vec(), timer })
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let Self { containers, timer, .. } = self;
        timer.arm(context, &["grep"], &timer.undo_script(SHORT, NOTHING)).await?;
        let (many, node) = (counted(containers.len(), "container"), context.node());
        context.report(FaultPhase::Requested, format!("kill -KILL in {many} on {node}"));
        timer.inject(SHORT, context, "kill the container's process", &kill(containers)).await?;
        context.report(FaultPhase::Returned, "the signal was sent");
        let script = format!("{}\nfound; echo end", find_processes(containers));
        let gone = async |context: &FaultContext<'_, '_>| {
            Ok(match context.run(&["sh", "-c", &script]).await?.text() == "end" {
                true => Look::Seen(format!("its processes on {node} are gone")),
                false => Look::NotYet("a process of the container is there".into()),
            })
        };
        context.confirm(WAIT, gone).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        self.timer.take_ticket(context).await?;
        Ok("nothing to undo: the kubelet restarts the container".into())
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        let pod = &self.pod;
        format!("nothing: the kubelet {} restarts the containers of {pod}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed("systemctl restart kubelet")
    }

    fn pod(&self) -> Option<&str> {
        Some(&self.pod)
    }
}

/// A function of the shell that prints the processes of these containers, by their control groups.
/// A container that is started again has another id: what is found is never its successor.
fn find_processes(containers: &[String]) -> String {
    format!(
        "found() {{ for at in /proc/[0-9]*; do grep -qE '{ids}' $at/cgroup 2>/dev/null && echo ${{at#/proc/}}; done; }}",
        ids = containers.join("|")
    )
}

/// One that has ended by itself meanwhile is not a failure: whether they are gone is looked at
/// afterwards.
fn kill(containers: &[String]) -> String {
    format!(
        "{finding}\n\
         met=$(found); [ -n \"$met\" ] || {{ echo 'no process of the container is there'; exit 1; }}\n\
         for one in $met; do kill -KILL $one 2>/dev/null; done; :",
        finding = find_processes(containers)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_own_processes_are_found() {
        let (mine, other) = ("a".repeat(64), "b".repeat(64));
        let script = find_processes(&[mine.clone(), other.clone()]);
        assert!(script.contains(&format!("grep -qE '{mine}|{other}' $at/cgroup")), "{script}");
        // No process here is in such a group.
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{script}\nfound; echo end")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "end\n");
    }
}

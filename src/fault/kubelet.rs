//! A node's kubelet: systemd's unit of it, and its process.

use std::time::Duration;

use super::context::{FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::Undone;
use super::undo_timer::{SHORT, UndoTimer};
use crate::timeline::FaultPhase;

pub(super) const WAIT: Wait =
    Wait { every: Duration::from_millis(100), limit: Duration::from_secs(30) };
/// Prints the kubelet's process id and its state as the kernel has it: `S`, `R`, `T` (stopped by a
/// signal). Fails where there is no such process, or systemd does not say.
pub(super) const PROCESS: &str =
    "pid=$(systemctl show --property=MainPID --value kubelet) && [ \"$pid\" -gt 0 ] &&
stat=$(cat /proc/$pid/stat) && set -- $stat && echo \"$1 $3\"";

/// What every fault on a kubelet says in the same way. `$timer`: where its record has the timer;
/// nothing: the record is the timer.
macro_rules! on_kubelet {
    () => {
        fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
            Ok(Self(plan.undo_timer()))
        }

        kubelet::on_kubelet!(0);
    };
    ($timer:tt) => {
        const UNDO_TIMEOUT: Duration = WAIT.limit;

        fn injection_timeout(_: &Fault) -> Duration {
            COMMAND + WAIT.limit
        }

        fn undo_timer(&self) -> Option<&UndoTimer> {
            Some(&self.$timer)
        }
    };
}
pub(super) use on_kubelet;

pub(super) struct Process {
    pid: String,
    state: String,
}

impl Process {
    pub(super) fn is_frozen(&self) -> bool {
        self.state == "T"
    }

    /// A zombie does not run.
    pub(super) fn runs(&self) -> bool {
        ["R", "S", "D"].contains(&self.state.as_str())
    }
}

/// Refuses a node that is not up, and one whose kubelet is not active.
pub(super) async fn must_be_active(context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
    context.must_be_up().await?;
    match unit(context).await? {
        state if state == "active" => Ok(()),
        state => Err(context.refused(format!("its kubelet is already {state}"))),
    }
}

/// `active`, `inactive`, `activating`, `deactivating`, `failed`.
pub(super) async fn unit(context: &FaultContext<'_, '_>) -> Result<String, FaultError> {
    Ok(context.run(&["systemctl", "is-active", "kubelet"]).await?.text())
}

/// `None`: there is none, or that can't be seen.
pub(super) async fn process(context: &FaultContext<'_, '_>) -> Result<Option<Process>, FaultError> {
    let output = context.run(&["sh", "-c", PROCESS]).await?;
    let text = output.text();
    let seen = text.split_once(' ').filter(|_| output.code == 0);
    Ok(seen.map(|(pid, state)| Process { pid: pid.to_owned(), state: state.to_owned() }))
}

pub(super) async fn look(context: &FaultContext<'_, '_>) -> Result<Look, FaultError> {
    Ok(match process(context).await? {
        Some(process) if process.runs() => {
            Look::Seen(format!("its kubelet, process {},", process.pid))
        }
        Some(process) => {
            Look::NotYet(format!("its kubelet's process is in state {}", process.state))
        }
        None => Look::NotYet("its kubelet has no process".into()),
    })
}

/// A fault that one script in the node injects, and another undoes.
pub(super) struct Scripts<'a> {
    /// What the first does, after "failed to".
    pub what: &'static str,
    pub inject: &'a str,
    pub undo: &'a str,
    /// What they need beside a shell and systemd.
    pub tools: &'a [&'a str],
    /// What is requested.
    pub request: String,
    /// What it means that the first has ended.
    pub returned: &'static str,
}

/// Arms the timer, injects, and ends when the effect is there.
pub(super) async fn inject(
    context: &mut FaultContext<'_, '_>,
    timer: &UndoTimer,
    scripts: Scripts<'_>,
    effect: impl AsyncFnMut(&FaultContext<'_, '_>) -> Result<Look, FaultError>,
) -> Result<(), FaultError> {
    let Scripts { what, inject, undo, tools, request, returned } = scripts;
    timer.arm(context, tools, &timer.undo_script(SHORT, undo)).await?;
    context.report(FaultPhase::Requested, request);
    timer.inject(SHORT, context, what, inject).await?;
    context.report(FaultPhase::Returned, returned);
    context.confirm(WAIT, effect).await
}

/// Runs an undo script, and ends when the kubelet's process runs. Whether it stays is seen later
/// (`works.rs`).
pub(super) async fn undo(
    context: &FaultContext<'_, '_>,
    timer: &UndoTimer,
    what: &'static str,
    script: &str,
) -> Result<Undone, FaultError> {
    let script = timer.undo_script(SHORT, script);
    if timer.undo(SHORT, context, what, &script).await?.is_none() {
        return Ok("the node is not running: its kubelet starts with it".into());
    }
    match context.look_until_seen(WAIT, look).await? {
        Look::Seen(_) => Ok("the kubelet runs".into()),
        Look::NotYet(seen) => Err(context.not_undone(seen, WAIT.limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_systemd_does_not_name_is_not_seen() {
        let shell = |systemctl: &str| {
            let script = format!("systemctl() {{ {systemctl}; }}\n{PROCESS}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            (output.status.success(), text.split(' ').next().unwrap_or_default().to_owned())
        };
        for silent in ["return 1", "echo", "echo 0", "echo 1; return 1"] {
            assert_eq!(shell(silent), (false, String::new()), "{silent}");
        }
        let here = std::process::id();
        assert_eq!(shell(&format!("echo {here}")), (true, here.to_string()));
    }
}

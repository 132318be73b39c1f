//! A node reboots while the fault is observed: gracefully, or as after a power loss. Through its
//! container engine that is `docker stop` or `docker kill`, then `docker start`. Where there is no
//! container, the node does it itself; that it died is seen by its silence, and that it came back by
//! its boot id.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::power_on::{self, Cause, Seen, look};
use super::record::Machine;
use crate::experiment::Fault;
use crate::node::AccessErrorKind;
use crate::timeline::{FaultPhase, format_seconds};

/// How each half is looked for.
const HALF: Wait = Wait { every: Duration::from_millis(50), limit: Duration::from_secs(30) };
/// How long a container may take to shut down, as in Docker.
const GRACE: Duration = Duration::from_secs(10);
/// The same of a machine: systemd gives each of its services 90 s.
const SHUTDOWN: Wait = Wait {
    every: Duration::from_millis(if cfg!(test) { 10 } else { 200 }),
    limit: Duration::from_secs(300),
};
/// How long a node that has died may take to say so.
const ANSWER: Duration = Duration::from_secs(2);
/// So many looks in a row must fail: one may fail for another reason.
const SILENT_LOOKS: u32 = 3;

/// The code of a script that must not reboot what it runs on.
const IN_CONTAINER: i64 = 76;
const ORDERLY: &str = "systemctl reboot";
/// The kernel reboots immediately: no disk is synced and no service is stopped.
///
/// /proc/sysrq-trigger is the machine's own in a container, too, where it would reboot the machine
/// that the container runs on. So it is written only in the first namespace of processes, which
/// has this number in every kernel, and where systemd says that there is no container.
const HARD: &str = "[ \"$(readlink /proc/1/ns/pid)\" = 'pid:[4026531836]' ] || exit 76
[ \"$(systemd-detect-virt --container)\" = none ] || exit 76
echo b >/proc/sysrq-trigger";
/// Prints what tells this boot from others: the kernel's id, and when its first process began, by
/// which a container is told from the same one before; and when that was.
const BOOT: &str = "read -r id </proc/sys/kernel/random/boot_id && set -- $(cat /proc/1/stat) &&
shift 21 && began=$(sed -n 's/^btime //p' /proc/stat) &&
echo $id-$1 $(date -u -d @$((began + $1 / 100)) +%FT%TZ)";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<Recorded>")]
pub(crate) struct NodeReboot {
    hard: bool,
}

/// Earlier versions knew only power losses, and wrote nothing.
#[derive(Deserialize)]
struct Recorded {
    hard: bool,
}

impl From<Option<Recorded>> for NodeReboot {
    fn from(recorded: Option<Recorded>) -> Self {
        Self { hard: recorded.is_none_or(|recorded| recorded.hard) }
    }
}

/// Which boot of a node this is.
#[derive(Debug, PartialEq, Eq)]
struct Boot {
    id: String,
    at: String,
}

impl Boot {
    /// Runs a script in this boot and in no later one: a command that got no answer may be sent
    /// again, or arrive late.
    fn alone(&self, script: &str) -> String {
        format!("case \"$({BOOT})\" in '{} '*) ;; *) exit 0 ;; esac\n{script}", self.id)
    }
}

impl NodeFault for NodeReboot {
    const UNDO_TIMEOUT: Duration = power_on::BOOT_TIMEOUT;

    fn injection_timeout(_: &Fault) -> Duration {
        COMMAND + SHUTDOWN.limit
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let Fault::NodeReboot { hard, .. } = *plan.fault else { return Err(plan.another_fault()) };
        Ok(Self { hard })
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        match context.docker {
            Some(_) => self.switch_off_and_on(context).await,
            None => self.reboot_itself(context).await,
        }
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let cause = if self.hard { Cause::Kill } else { Cause::Stop };
        if context.docker.is_some() {
            return power_on::undo(context, cause).await;
        }
        // Nobody here can switch it off: it is waited for.
        let Undone { seen, wore_off } = power_on::undo(context, Cause::Kill).await?;
        let seen = match boot(context).await {
            Ok(Boot { id, at }) => format!("{seen}: boot {id}, since {at} by its own clock"),
            Err(_) => seen,
        };
        Ok(Undone { seen, wore_off })
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        match machine.is_container {
            true => format!("start {machine} (docker start)"),
            false => format!("wait until {machine} has booted"),
        }
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        match machine.is_container {
            true => format!("docker start {}", machine.name),
            false => format!("kubectl wait --for=condition=Ready node/{}", machine.name),
        }
    }
}

impl NodeReboot {
    async fn switch_off_and_on(
        &self,
        context: &mut FaultContext<'_, '_>,
    ) -> Result<(), FaultError> {
        let before = context.machine().await?.started_at;
        let (switch, container) = (context.switch()?, context.container());
        if self.hard {
            context.report(FaultPhase::Requested, "docker kill, docker start");
            context.switched(switch.kill(container).await)?;
        } else {
            context.report(FaultPhase::Requested, "docker stop, docker start");
            context.switched(switch.stop(container, GRACE).await)?;
        }
        let down = context.look_until_seen(HALF, async |context| {
            Ok(match context.machine().await?.running {
                true => Look::NotYet("its container still runs".into()),
                false => Look::Seen(String::new()),
            })
        });
        if let Look::NotYet(seen) = down.await? {
            return Err(context.not_confirmed(seen, HALF.limit));
        }
        context.switched(switch.start(container).await)?;
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

    async fn reboot_itself(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let before = boot(context).await?;
        let (script, what) = if self.hard {
            (HARD, "sysrq b (the kernel reboots immediately)")
        } else {
            (ORDERLY, ORDERLY)
        };
        context.report(FaultPhase::Requested, what);
        let script = before.alone(script);
        match context.run_within(ANSWER * 5, &["sh", "-c", &script]).await {
            Ok(output) if output.code == IN_CONTAINER => {
                return Err(FaultError::Command {
                    node: context.node(),
                    what: "reboot the node",
                    output: "it is a container, or systemd-detect-virt cannot tell: in a \
                        container, a hard reboot would reboot the machine that it runs on"
                        .into(),
                });
            }
            Ok(output) if output.code != 0 => {
                return Err(context.command_failed("reboot the node", &output));
            }
            Ok(_) => context.report(FaultPhase::Returned, "the node accepted it"),
            // It died before it could answer.
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error),
        }
        self.await_death(context, &before).await
    }

    /// No engine says when it died: it was between its last answer and the first that did not come.
    async fn await_death(
        &self,
        context: &mut FaultContext<'_, '_>,
        before: &Boot,
    ) -> Result<(), FaultError> {
        let asked = Instant::now();
        let (mut answered, mut silent) = (asked, 0);
        loop {
            let began = Instant::now();
            let now = timeout(ANSWER, boot(context)).await;
            match now {
                Ok(Ok(now)) if now.id != before.id => {
                    let (Boot { id, at }, was) = (now, &before.id);
                    let seen = format!(
                        "the node rebooted: boot ID {was} before, {id} after, up since {at} by its own clock"
                    );
                    context.report(FaultPhase::Confirmed, seen);
                    return Ok(());
                }
                Ok(Ok(_)) => (answered, silent) = (began, 0),
                Ok(Err(error)) if !is_silence(&error) => return Err(error),
                _ => silent += 1,
            }
            if silent >= SILENT_LOOKS {
                let last = format_seconds(answered - asked);
                let seen = format!(
                    "the node stopped answering; its last answer came {last} after the request (boot ID {})",
                    before.id
                );
                context.report(FaultPhase::Confirmed, seen);
                return Ok(());
            }
            if asked.elapsed() > SHUTDOWN.limit {
                return Err(context.not_confirmed("it still answers", SHUTDOWN.limit));
            }
            sleep(SHUTDOWN.every).await;
        }
    }
}

/// Whether a node did not answer, which it does not while it is down.
fn is_silence(error: &FaultError) -> bool {
    match error {
        FaultError::Access(error) => {
            !matches!(error.kind, AccessErrorKind::NotSent | AccessErrorKind::NotAllowed)
        }
        FaultError::Gone { .. } => true,
        _ => false,
    }
}

async fn boot(context: &FaultContext<'_, '_>) -> Result<Boot, FaultError> {
    let output = context.run_within(ANSWER * 5, &["sh", "-c", BOOT]).await?;
    let text = output.text();
    match text.split_once(' ').filter(|_| output.code == 0) {
        Some((id, at)) => Ok(Boot { id: id.to_owned(), at: at.to_owned() }),
        None => Err(context.command_failed("read the boot id", &output)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::experiment::NodeSelector;
    use crate::fault::samples::{ThroughKubelet, target};
    use crate::fault::{Undo, inject, planned, undo};

    fn plan(hard: bool) -> Undo {
        let fault = Fault::NodeReboot { target: NodeSelector::default(), hard };
        planned(&fault, &target(), "r", 0, Duration::from_secs(60))
    }

    #[tokio::test]
    async fn it_goes_off_and_on_and_is_seen_to() {
        let engine = FakeEngine::start();
        let plan = plan(true);
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
        let plan = plan(true);
        let docker = engine.connect().await;
        inject(&plan, &docker, &mut |_, _| {}).await.unwrap_err();
        assert!(engine.worker(|c| !c.running));
        engine.with(|state| state.refuse = None);
        undo(&plan, &docker, &mut |_, _| {}).await.unwrap();
        assert!(engine.worker(|c| c.running));
    }

    #[tokio::test]
    async fn an_orderly_one_is_given_its_time_to_shut_down() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        inject(&plan(false), &docker, &mut |_, _| {}).await.unwrap();
        let calls = engine.calls();
        assert!(calls.iter().any(|call| call.contains("/stop?t=10")), "{calls:?}");
        assert!(!calls.iter().any(|call| call.contains("/kill")), "{calls:?}");
    }

    #[test]
    fn a_record_of_an_earlier_version_is_of_a_power_loss() {
        assert_eq!(serde_json::from_str::<NodeReboot>("null").unwrap(), NodeReboot { hard: true });
        for hard in [true, false] {
            let text = serde_json::to_string(&NodeReboot { hard }).unwrap();
            assert_eq!(serde_json::from_str::<NodeReboot>(&text).unwrap(), NodeReboot { hard });
        }
    }

    /// What the script of a hard reboot would write where, in a machine of this kind. It never runs
    /// with the real files.
    fn sysrq(namespace: &str, virt: &str) -> (Option<i32>, String) {
        let trigger = tempfile::NamedTempFile::new().unwrap();
        let script = HARD.replace("/proc/sysrq-trigger", trigger.path().to_str().unwrap());
        assert!(!script.contains("/proc/sysrq"), "{script}");
        let script = format!(
            "readlink() {{ echo 'pid:[{namespace}]'; }}\nsystemd-detect-virt() {{ {virt}; }}\n{script}"
        );
        // A shell may refuse such a name of a function.
        let script = script.replace("systemd-detect-virt", "detect_virt");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        (output.status.code(), std::fs::read_to_string(trigger.path()).unwrap())
    }

    #[test]
    fn a_hard_reboot_of_a_container_is_never_carried_out() {
        let none = "echo none; return 1";
        assert_eq!(sysrq("4026531836", none), (Some(0), "b\n".into()));
        let refused = (Some(76), String::new());
        assert_eq!(sysrq("4026532186", none), refused, "another namespace of processes");
        assert_eq!(sysrq("4026531836", "echo docker"), refused);
        assert_eq!(sysrq("4026531836", "return 127"), refused, "nobody can tell");
        assert_eq!(i64::from(refused.0.unwrap()), IN_CONTAINER);
    }

    #[test]
    fn this_boot_is_told_from_others() {
        let output = std::process::Command::new("sh").args(["-c", BOOT]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (id, at) = text.trim().split_once(' ').unwrap();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert!(id.starts_with(kernel.trim()) && id.len() > kernel.trim().len() + 1, "{id}");
        assert!(at.parse::<jiff::Timestamp>().unwrap() < jiff::Timestamp::now(), "{at}");
    }

    #[test]
    fn a_reboot_that_is_asked_for_again_after_it_does_nothing() {
        let sh = |script: &str| {
            let output = std::process::Command::new("sh").args(["-c", script]).output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
        };
        let (_, now) = sh(BOOT);
        let (id, at) = now.split_once(' ').unwrap();
        let mut boot = Boot { id: id.to_owned(), at: at.to_owned() };
        assert_eq!(sh(&boot.alone("echo reboots")), (true, "reboots".into()));
        for before in [format!("{id}0"), id[..id.len() - 1].to_owned(), "a-3".into()] {
            boot.id = before;
            assert_eq!(sh(&boot.alone("echo reboots")), (true, String::new()), "{}", boot.id);
        }
    }

    /// What a node through its kubelet says of a reboot: silent for so many commands after it was
    /// asked for, and then up again.
    async fn rebooted(
        hard: bool,
        silent_for: u32,
    ) -> (Vec<(FaultPhase, String)>, Result<(), FaultError>) {
        let (mut asked, mut silent, mut said) = (false, 0, Vec::new());
        let node = ThroughKubelet::new(|command| {
            match command.strip_prefix("sh -c ").unwrap_or(command) {
                text if !hard && text.ends_with(ORDERLY) => asked = true,
                text if hard && text.ends_with(HARD) => {
                    asked = true;
                    return Err(AccessErrorKind::Away);
                }
                _ => {}
            }
            if asked && silent < silent_for {
                silent += u32::from(!command.contains("systemctl reboot"));
                if silent > 0 {
                    return Err(AccessErrorKind::Away);
                }
            }
            Ok(match command {
                "systemctl is-system-running" => "running",
                _ if asked => "b-9 2026-11-30T12:00:00Z",
                _ => "a-3 2026-11-01T12:00:00Z",
            })
        });
        let mut progress = |phase, text| said.push((phase, text));
        let mut result = inject(&plan(hard), node.way(), &mut progress).await;
        if result.is_ok() {
            result = undo(&plan(hard), node.way(), &mut progress).await;
        }
        (said, result)
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_engine_a_node_is_down_when_it_is_silent_and_back_by_its_boot_id() {
        for hard in [true, false] {
            let (said, result) = rebooted(hard, 12).await;
            result.unwrap();
            let confirmed = said.iter().find(|(phase, _)| *phase == FaultPhase::Confirmed).unwrap();
            assert!(
                confirmed.1.starts_with("the node stopped answering; its last answer"),
                "{said:?}"
            );
            assert!(confirmed.1.ends_with("(boot ID a-3)"), "{said:?}");
            let back = "the node runs: boot b-9, since 2026-11-30T12:00:00Z by its own clock";
            assert_eq!(said.last().unwrap(), &(FaultPhase::Reverted, back.to_owned()));
            let returned = said.iter().any(|(phase, _)| *phase == FaultPhase::Returned);
            assert_eq!(returned, !hard, "a kernel that reboots does not answer");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reboot_that_was_too_fast_to_be_seen_is_told_by_the_boot_id() {
        let (said, result) = rebooted(false, 1).await;
        result.unwrap();
        let seen = "the node rebooted: boot ID a-3 before, b-9 after, up since 2026-11-30T12:00:00Z by its own clock";
        assert!(said.contains(&(FaultPhase::Confirmed, seen.to_owned())), "{said:?}");
    }

    #[tokio::test]
    async fn a_container_is_not_rebooted_hard_through_the_api() {
        let node = ThroughKubelet::new(|command| {
            Ok(match command.contains(HARD) {
                true => "76",
                false => "a-3 2026-11-01T12:00:00Z",
            })
        });
        let error = inject(&plan(true), node.way(), &mut |_, _| {}).await.unwrap_err().to_string();
        assert!(
            error.contains("a hard reboot would reboot the machine that it runs on"),
            "{error}"
        );
    }
}

//! Scripts inside a node, and the undo timer: one of the node's own systemd that undoes the fault
//! when nobody else does. It waits for as long as the injection may take at worst; once the fault is
//! confirmed, a second one waits for the rest alone, and starts what the first would.
//!
//! The timer is also a ticket: a script that injects does nothing unless its timer is armed, and
//! an undo disarms it, both under one lock. So a script that arrives late, after the undo, injects
//! nothing; and a timer that is armed late finds nothing to undo and goes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::context::FaultContext;
use super::error::FaultError;
use super::record::Machine;
use super::{CLOSED_WITHIN, RETRY};
use crate::node::NodeState;

/// The exit code of a script whose tools are not in the node.
const NO_TOOL: i64 = 71;
/// The exit code of a script that has waited for the lock too long.
const LOCKED: i64 = 73;
/// The exit code of a script that injects and whose timer is not armed.
const NO_TICKET: i64 = 75;
/// How long an undo waits for the lock: no script holds it for longer.
const LONGEST_HOLD: Duration = if cfg!(test) { Duration::from_secs(2) } else { LONG.limit };
/// The undo of a fault that is over by itself: only the ticket is taken away, so that no late
/// script injects after the undo.
pub(super) const NOTHING: &str = ":";

/// The undo timer of one fault in a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UndoTimer {
    /// The name of its units, and of all that the fault leaves in the node.
    pub mark: String,
    #[serde(flatten)]
    pub times: UndoAfter,
}

/// When a fault is undone if its run has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UndoAfter {
    /// From before its injection. Earlier versions call it `deadMan`, and know no other.
    #[serde(alias = "deadMan")]
    pub requested: Duration,
    /// From its confirmation.
    #[serde(default)]
    pub confirmed: Duration,
}

impl UndoAfter {
    #[cfg(test)]
    pub(crate) fn both(after: Duration) -> Self {
        Self { requested: after, confirmed: after }
    }
}

/// How long a script may take, with all that it waits for.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long it waits for the lock.
    lock_secs: u32,
    /// The bound on the whole.
    pub limit: Duration,
}

/// For scripts that wait for etcd's end, for which its pod has 30 s; and for another script that
/// does.
pub(super) const LONG: Limits = Limits { lock_secs: 110, limit: Duration::from_secs(220) };

/// For scripts that wait for nothing.
pub(super) const SHORT: Limits = Limits { lock_secs: 20, limit: Duration::from_secs(30) };

impl Limits {
    /// Every script takes this lock; /run is a directory that every node has, so that no file is
    /// left behind.
    fn lock(self) -> String {
        format!(
            "exec 9</run && flock -w {} 9 || {{ echo 'the lock on /run is held by another'; exit {LOCKED}; }}",
            self.lock_secs
        )
    }
}

/// The begin of a command that sets a timer; what is to run follows.
fn set_timer(unit: &str, after: Duration) -> String {
    format!(
        "exec systemd-run --quiet --collect --unit={unit} --description='outage: undo timer' \
         --on-active={}ms --timer-property=AccuracySec=50ms",
        after.as_millis().max(1)
    )
}

impl UndoTimer {
    /// Arms the timer: `undo` will run in the node when its time is over, unless it is disarmed.
    /// Errors when one of `tools` is missing.
    pub(super) async fn arm(
        &self,
        context: &FaultContext<'_, '_>,
        tools: &[&str],
        undo: &str,
    ) -> Result<(), FaultError> {
        let script = format!(
            "for tool in systemd-run systemctl flock {tools}; do command -v $tool >/dev/null || \
             {{ echo $tool; exit {NO_TOOL}; }}; done\n{timer} --property=Type=oneshot \
             --property=Restart=on-failure --property=RestartSec=3 /bin/sh -c \"$1\"",
            tools = tools.join(" "),
            timer = set_timer(&self.mark, self.times.requested),
        );
        let output = context.run(&["sh", "-c", &script, "sh", undo]).await?;
        match output.code {
            0 => Ok(()),
            NO_TOOL => Err(context.refused(format!("it has no {}", output.error_text()))),
            _ => Err(context.command_failed("arm the node's undo timer", &output)),
        }
    }

    /// The fault is there: from now on only its own time is waited for. What has been undone
    /// meanwhile stays so.
    pub(super) async fn confirm(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        let output = context.run(&["sh", "-c", &self.set_anew()]).await?;
        match output.code {
            0 => Ok(()),
            _ => Err(context.command_failed("reset the node's undo timer", &output)),
        }
    }

    fn set_anew(&self) -> String {
        let mark = &self.mark;
        // Where one counts from the injection, it goes when the other is there.
        format!(
            "{}\nsystemctl is-active --quiet {mark}.timer || exit 0\n({}) || exit 1\n\
             systemctl stop {mark}-effect.service {mark}-injected.timer 2>/dev/null\nexit 0",
            SHORT.lock(),
            self.set_second("confirmed", self.times.confirmed),
        )
    }

    /// How long after its effect, or its confirmation, the fault is undone. Where it closes the way
    /// in, it needs no time for a confirmation beyond the first seconds.
    pub(super) fn after(&self, closes_way_in: bool) -> Duration {
        let confirmed = self.times.confirmed;
        match closes_way_in {
            true => confirmed.saturating_sub(CLOSED_WITHIN).max(CLOSED_WITHIN.min(confirmed)),
            false => confirmed,
        }
    }

    /// Sets a second timer, which counts from the confirmation or from the injection.
    fn set_second(&self, from: &str, after: Duration) -> String {
        let mark = &self.mark;
        let timer = set_timer(&format!("{mark}-{from}"), after);
        format!("{timer} systemctl start --no-block {mark}.service")
    }

    /// Runs a script that injects, if the timer is armed.
    pub(super) async fn inject(
        &self,
        limits: Limits,
        context: &FaultContext<'_, '_>,
        what: &'static str,
        script: &str,
    ) -> Result<(), FaultError> {
        let after = self.after(context.closes_way_in);
        let set_timer = self.set_second("injected", after);
        self.inject_timed(limits, context, what, script, (&set_timer, "")).await
    }

    /// The same where the effect comes long after the injection: `effect` ends when it is there, and
    /// the fault's own time counts from then. Ends with the effect, or with the way in, if the
    /// effect closes that.
    pub(super) async fn inject_slowly(
        &self,
        effect: (&str, Duration),
        context: &FaultContext<'_, '_>,
        what: &'static str,
        script: &str,
    ) -> Result<(), FaultError> {
        let (effect, limit) = effect;
        let set_timer = self.set_second("injected", self.after(true));
        // A unit lives on when the command that started it is cut off.
        let unit = format!(
            "exec systemd-run --quiet --collect --unit={}-effect /bin/sh -c \"$1\"",
            self.mark
        );
        let wait = format!("{effect}\n{set_timer}");
        // An undo takes the lock while this waits.
        let script = format!("{script}\nexec 9<&-\n{effect}");
        let limits = Limits { limit: SHORT.limit + limit, ..SHORT };
        self.inject_timed(limits, context, what, &script, (&unit, &wait)).await
    }

    async fn inject_timed(
        &self,
        limits: Limits,
        context: &FaultContext<'_, '_>,
        what: &'static str,
        script: &str,
        (set_timer, argument): (&str, &str),
    ) -> Result<(), FaultError> {
        // Where the way in leads through the kubelet it may be closed as soon as the fault is there:
        // its own time counts from its injection, until it is set anew.
        let (confirmed, argument) = match context.docker {
            Some(_) => (String::new(), ""),
            None => (format!("({set_timer})\n"), argument),
        };
        let script = format!(
            "{}\nsystemctl is-active --quiet {}.timer || exit {NO_TICKET}\n{confirmed}{script}",
            limits.lock(),
            self.mark
        );
        let argv = ["sh", "-c", &script, "sh", argument];
        let output = context.run_within(limits.limit, &argv).await?;
        let output = match output.code {
            0 => return Ok(()),
            NO_TICKET => "it was undone in the meantime".into(),
            _ => output.error_text(),
        };
        Err(FaultError::Command { node: context.node(), what, output })
    }

    /// The script that undoes the fault and disarms the timer, for the undo and for the timer
    /// itself.
    pub(super) fn undo_script(&self, limits: Limits, script: &str) -> String {
        // Its own service must not stop itself before it is done: only the timers are stopped.
        let (lock, mark) = (limits.lock(), &self.mark);
        format!(
            "{lock}\n{script}\nsystemctl stop {mark}.timer {mark}-effect.service {mark}-injected.timer \
             {mark}-confirmed.timer 2>/dev/null\nexit 0"
        )
    }

    /// Runs an undo script, again as long as another script has the lock. `None`: the node does not
    /// run, so that there is nothing inside it.
    pub(super) async fn undo(
        &self,
        limits: Limits,
        context: &FaultContext<'_, '_>,
        what: &'static str,
        script: &str,
    ) -> Result<Option<String>, FaultError> {
        let began = Instant::now();
        loop {
            match context.state().await? {
                NodeState::Down => return Ok(None),
                NodeState::Frozen => return Err(context.frozen()),
                NodeState::Up => {}
            }
            let output = context.run_within(limits.limit, &["sh", "-c", script]).await?;
            match output.code {
                0 => return Ok(Some(output.text())),
                LOCKED if began.elapsed() < LONGEST_HOLD => sleep(RETRY).await,
                _ => return Err(context.command_failed(what, &output)),
            }
        }
    }

    /// Undoes a fault that is over by itself.
    pub(super) async fn take_ticket(
        &self,
        context: &FaultContext<'_, '_>,
    ) -> Result<Option<String>, FaultError> {
        let script = self.undo_script(SHORT, NOTHING);
        self.undo(SHORT, context, "disarm the node's undo timer", &script).await
    }

    /// Starting the timer's unit is what it would do by itself.
    pub(super) fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed(&format!("systemctl start {}.service", self.mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::kubelet::PROCESS;
    use crate::fault::samples::{component_faults, fault, plan_of, target};
    use crate::fault::{Plan, Undo, inject, undo};
    use crate::timeline::{Component, FaultKind};

    fn plans() -> [Undo; 2] {
        let kinds = [FaultKind::NodeDisconnect, FaultKind::KubeletStop];
        kinds.map(|kind| plan_of(&fault(kind)).unwrap())
    }

    /// A node whose scripts end with these codes, by what they do.
    fn node(
        arming: (i64, &'static str),
        injecting: (i64, &'static str),
        healing: (i64, &'static str),
    ) -> FakeEngine {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(move |_, argv| {
                let text = argv.join(" ");
                let (code, says) = match () {
                    () if text.contains("ip -o addr show") => {
                        (0, "2: eth0 inet 172.18.0.3/16\n2: eth0 inet6 fc00::3/64")
                    }
                    () if text == "systemctl is-active kubelet" => (0, "active"),
                    () if text.contains(PROCESS) => (0, "7 S"),
                    () if text.contains("exec systemd-run") => arming,
                    () if text
                        .contains("systemctl is-active --quiet outage-r-0.timer || exit 75") =>
                    {
                        injecting
                    }
                    () => healing,
                };
                (code, says.to_owned())
            })
        });
        engine
    }

    async fn refused(engine: &FakeEngine, plan: &Undo) -> String {
        let (docker, mut said) = (engine.connect().await, Vec::new());
        let error = inject(plan, &docker, &mut |phase, _| said.push(phase)).await.unwrap_err();
        assert!(!said.contains(&crate::timeline::FaultPhase::Returned));
        error.to_string()
    }

    #[tokio::test]
    async fn an_injection_needs_its_tools_and_its_ticket() {
        for plan in plans() {
            assert_eq!(
                refused(&node((71, "flock"), (0, ""), (0, "0")), &plan).await,
                "inject the fault on node c-worker: it has no flock"
            );
            let error = refused(&node((1, "unit exists"), (0, ""), (0, "0")), &plan).await;
            assert_eq!(error, "arm the node's undo timer in node c-worker: unit exists");
            let error = refused(&node((0, ""), (75, ""), (0, "0")), &plan).await;
            assert!(error.ends_with("in node c-worker: it was undone in the meantime"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_off_the_cables_is_no_target() {
        let engine = node((0, ""), (0, ""), (0, "0"));
        let [mut cut, _] = plans();
        cut.target.addresses.insert("other".into(), vec!["10.9.8.7".parse().unwrap()]);
        let error = refused(&engine, &cut).await;
        assert_eq!(
            error,
            "inject the fault on node c-worker: its address 10.9.8.7 is on none of its interfaces"
        );
    }

    #[tokio::test]
    async fn an_undo_waits_for_a_script_that_has_the_lock_for_long_and_not_for_ever() {
        for (held, times) in [(2, 3), (u32::MAX, 0)] {
            let (engine, tries) =
                (FakeEngine::start(), std::sync::Arc::new(std::sync::Mutex::new(0u32)));
            let counted = tries.clone();
            engine.with(|state| {
                state.script = Box::new(move |_, argv| match argv.join(" ") {
                    text if text.contains(
                        "flock -w 20 9 || { echo 'the lock on /run is held by another'; exit 73; }",
                    ) =>
                    {
                        *counted.lock().unwrap() += 1;
                        if *counted.lock().unwrap() <= held {
                            (73, "held".into())
                        } else {
                            (0, String::new())
                        }
                    }
                    text if text.contains(PROCESS) => (0, "7 S".into()),
                    _ => (0, String::new()),
                });
            });
            let ([_, kubelet], docker, began) = (plans(), engine.connect().await, Instant::now());
            let undone = undo(&kubelet, &docker, &mut |_, _| {}).await;
            assert_eq!(undone.is_ok(), times == 3, "{undone:?}");
            assert!(times == 0 || *tries.lock().unwrap() == times);
            assert!(times == 3 || began.elapsed() >= LONGEST_HOLD, "{:?}", began.elapsed());
        }
    }

    /// The script that a fault gives its timer, on a node where all is well.
    async fn given_to_the_timer(plan: &Undo) -> String {
        let (engine, given) =
            (FakeEngine::start(), std::sync::Arc::new(std::sync::Mutex::new(None)));
        let heard = given.clone();
        engine.with(|state| {
            state.script = Box::new(move |_, argv| match argv.join(" ") {
                text if text.contains("exec systemd-run") => {
                    *heard.lock().unwrap() = argv.last().cloned();
                    (1, "enough".into())
                }
                text if text.contains("ip -o addr show") => {
                    (0, "2: eth0 inet 172.18.0.3/16\n2: eth0 inet6 fc00::3/64".into())
                }
                text if text == "systemctl is-active kubelet" => (0, "active".into()),
                text if text.contains("cpu.max") => (0, "max 100000".into()),
                text if text.contains("echo end") => (0, "now 7 70 S\nend".into()),
                _ => (0, String::new()),
            });
        });
        let docker = engine.connect().await;
        inject(plan, &docker, &mut |_, _| {}).await.unwrap_err();
        let given = given.lock().unwrap().take();
        given.unwrap_or_else(|| panic!("no timer: {plan:?}"))
    }

    #[tokio::test]
    async fn no_timers_script_has_what_systemd_reads() {
        let inside = FaultKind::ALL.map(fault).into_iter().filter_map(|fault| plan_of(&fault).ok());
        let inside = inside.filter(|plan| plan.fault.kind().traits().is_inside_node());
        let parts = Component::ALL.into_iter().flat_map(component_faults);
        let parts = parts.map(|fault| plan_of(&fault).unwrap());
        let plans: Vec<Undo> = inside.chain(parts).collect();
        for plan in &plans {
            let script = given_to_the_timer(plan).await;
            assert!(
                !script.contains("${") && !script.contains('%'),
                "{}: {script}",
                plan.fault.kind()
            );
        }
    }

    /// A run that dies right after the confirmation waits for the rest of its time alone.
    #[tokio::test]
    async fn the_time_is_set_anew_when_the_fault_is_confirmed() {
        let (engine, set) =
            (FakeEngine::start(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
        let heard = set.clone();
        engine.with(|state| {
            state.script = Box::new(move |_, argv| {
                let text = argv.join(" ");
                if let Some((_, after)) = text.split_once("--on-active=") {
                    let unit = text.split_once("--unit=").unwrap().1;
                    let of = |text: &str| text.split_whitespace().next().unwrap().to_owned();
                    heard.lock().unwrap().push((of(unit), of(after)));
                }
                match () {
                    () if text.contains("ip -o addr show") => {
                        (0, "2: eth0 inet 172.18.0.3/16\n2: eth0 inet6 fc00::3/64".into())
                    }
                    () if text.contains("/dev/tcp/") => (0, "3 silent".into()),
                    () => (0, String::new()),
                }
            })
        });
        let undo_after =
            UndoAfter { requested: Duration::from_secs(82), confirmed: Duration::from_secs(12) };
        let (fault, target) = (&fault(FaultKind::NodeDisconnect), &target());
        let facts = crate::fault::NodeFacts::default();
        let plan =
            Plan { fault, target, facts, cluster: &[], pod: None, run: "r", step: 0, undo_after };
        let plan = crate::fault::plan(&plan).unwrap();
        let docker = engine.connect().await;
        inject(&plan, &docker, &mut |_, _| {}).await.unwrap();
        let unit = |name: &str, after: &str| (name.to_owned(), after.to_owned());
        let wanted = [unit("outage-r-0", "82000ms"), unit("outage-r-0-confirmed", "12000ms")];
        assert_eq!(*set.lock().unwrap(), wanted[..1], "other targets may not be confirmed yet");
        assert!(crate::fault::set_timer_anew(&plan, &docker).await);
        assert_eq!(*set.lock().unwrap(), wanted);
    }

    /// Its hold counts from the confirmation: a timer that counts from before would end it early.
    #[tokio::test]
    async fn a_fault_that_keeps_the_way_in_open_has_its_timer_set_anew_through_the_api_too() {
        for (kind, sent) in [(FaultKind::KubeletThrottle, 1), (FaultKind::KubeletStop, 0)] {
            let mut scripts = Vec::new();
            let plan = plan_of(&fault(kind)).unwrap();
            {
                let node = crate::fault::samples::ThroughKubelet::new(|command| {
                    scripts.push(command.to_owned());
                    Ok("")
                });
                assert!(crate::fault::set_timer_anew(&plan, node.way()).await);
            }
            assert_eq!(scripts.len(), sent, "{kind}: {scripts:?}");
            for script in scripts {
                let set = script.find("--unit=outage-r-0-confirmed").unwrap();
                let stopped = script.find(" outage-r-0-injected.timer 2>/dev/null").unwrap();
                assert!(set < stopped, "{script}");
            }
        }
    }

    /// The timer that counts from the injection is not stopped for one that could not be set.
    #[test]
    fn the_earlier_timer_goes_when_the_later_is_set() {
        use std::os::unix::fs::PermissionsExt;
        let timer =
            UndoTimer { mark: "outage-r-0".into(), times: UndoAfter::both(Duration::from_secs(9)) };
        let folder = tempfile::tempdir().unwrap();
        let called = |code: i32| {
            for tool in ["systemctl", "systemd-run"] {
                let code = if tool == "systemctl" { 0 } else { code };
                let path = folder.path().join(tool);
                std::fs::write(&path, format!("#!/bin/sh\necho {tool} $1\nexit {code}\n")).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
            }
            let script = timer.set_anew();
            let (_, script) = script.split_once('\n').expect("the lock is a line");
            let script = format!("PATH={}:$PATH\n{script}", folder.path().display());
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        };
        let (active, set) = ("systemctl is-active\n", "systemd-run --quiet\n");
        assert_eq!(called(0), (true, format!("{active}{set}systemctl stop\n")));
        assert_eq!(called(1), (false, format!("{active}{set}")));
    }

    #[tokio::test]
    async fn an_undo_reports_what_it_found() {
        let engine = node((0, ""), (0, ""), (1, "rule is left"));
        let docker = engine.connect().await;
        let mut quiet = |_, _| {};
        for plan in plans() {
            assert!(
                undo(&plan, &docker, &mut quiet)
                    .await
                    .unwrap_err()
                    .to_string()
                    .ends_with("rule is left")
            );
            engine.worker(|c| c.paused = true);
            assert!(matches!(
                undo(&plan, &docker, &mut quiet).await,
                Err(FaultError::Frozen { .. })
            ));
            engine.worker(|c| (c.paused, c.running) = (false, false));
            undo(&plan, &docker, &mut quiet).await.unwrap();
            engine.worker(|c| c.running = true);
        }
    }
}

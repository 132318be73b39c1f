//! What the faults on a part of the control plane share: its static pod's process, found in /proc
//! inside the node (a node need not have crictl, and the API may be what is down).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::back_off::end_back_off;
use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::find_processes::find_processes;
use super::node_plan::Plan;
use super::undo_timer::UndoTimer;
use crate::timeline::{Component, format_seconds};

/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// A static pod is given 30 s to end (its terminationGracePeriodSeconds), then it is killed.
pub(super) const END: Duration = Duration::from_secs(45);
/// The kubelet waits before it starts a container again: 10 s, and twice as long each time up to 5
/// min.
pub(super) const START: Duration = Duration::from_secs(330);
/// What is not back after so long is not being started: its kubelet waits.
const STARTED_WITHIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 12 });
/// After which a kubelet that could not be helped is looked at again: etcd may have been missing.
const HELPED_AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 5000 });

/// Beyond one command.
pub(super) const INJECTION_TIMEOUT: Duration =
    Duration::from_secs(COMMAND.as_secs() + END.as_secs());

/// A part of the control plane, under one fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    pub component: Component,
    #[serde(flatten)]
    pub timer: UndoTimer,
}

/// What every fault whose record is its [`Part`] says in the same way.
macro_rules! on_part {
    ($effect:expr) => {
        const UNDO_TIMEOUT: Duration = component::START;

        fn injection_timeout(_: &Fault) -> Duration {
            component::INJECTION_TIMEOUT
        }

        fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
            Part::plan(plan).map(Self)
        }

        fn part(&self) -> Option<Part> {
            Some(self.0.clone())
        }

        async fn look(&self, context: &FaultContext<'_, '_>) -> Result<Option<Look>, FaultError> {
            self.0.look_for(context, $effect).await.map(Some)
        }

        fn undo_timer(&self) -> Option<&UndoTimer> {
            Some(&self.0.timer)
        }
    };
}
pub(super) use on_part;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    /// Its number and its start: no other has both.
    id: String,
    /// Whether it is stopped by a signal.
    frozen: bool,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The processes that the fault has hit.
    met: Vec<String>,
    now: Vec<Process>,
}

/// What a fault does to the process of its part: how a look shows it, and its words.
pub(super) type Effect = (fn(&Seen) -> bool, &'static str);

impl Seen {
    pub(super) fn gone(&self) -> bool {
        self.now.is_empty()
    }

    /// None of the processes that the fault has hit is there.
    pub(super) fn replaced(&self) -> bool {
        !self.now.iter().any(|process| self.met.contains(&process.id))
    }

    /// The same where it is known that the fault has hit one.
    pub(super) fn killed(&self) -> bool {
        !self.met.is_empty() && self.replaced()
    }

    /// Every process is stopped by a signal, and there is one.
    pub(super) fn frozen(&self) -> bool {
        !self.now.is_empty() && self.now.iter().all(|process| process.frozen)
    }

    /// A process is there, and none is stopped by a signal.
    pub(super) fn runs(&self) -> bool {
        !self.now.is_empty() && !self.now.iter().any(|process| process.frozen)
    }

    fn pids(&self) -> String {
        let pid = |process: &Process| process.id.split(' ').next().unwrap_or_default().to_owned();
        self.now.iter().map(pid).collect::<Vec<_>>().join(", ")
    }

    fn read(text: &str) -> Self {
        let mut seen = Self { met: Vec::new(), now: Vec::new() };
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["met", pid, start, _] => seen.met.push(format!("{pid} {start}")),
                ["now", pid, start, state] => {
                    seen.now.push(Process { id: format!("{pid} {start}"), frozen: state == "T" })
                }
                _ => {}
            }
        }
        seen
    }
}

impl Part {
    pub(super) fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let component = plan.fault.component().ok_or_else(|| plan.another_fault())?;
        Ok(Self { component, timer: plan.undo_timer() })
    }

    pub(super) fn name(&self) -> &'static str {
        self.component.name()
    }

    /// Where the processes that the fault has hit are written down. Like them it goes with a
    /// restart: /run is memory.
    pub(super) fn witness(&self) -> String {
        format!("/run/{}.met", self.timer.mark)
    }

    pub(super) fn find_processes(&self) -> String {
        find_processes(self.component)
    }

    /// A script that ends when no process is there, or when one must have ended. It exits where the
    /// manifest is back: then the fault is undone.
    pub(super) fn until_gone(&self, manifest: &str) -> String {
        format!(
            "{}\nn=0; while [ -n \"$(found)\" ] && [ $n -lt {} ]; do \
             [ ! -e {manifest} ] || exit 0; n=$((n+1)); sleep 0.1; done",
            self.find_processes(),
            END.as_millis() / 100,
        )
    }

    /// What is seen where the whole node does not run.
    pub(super) fn node_is_down(&self) -> String {
        format!("the node is not running: its {} starts with it", self.name())
    }

    pub(super) async fn look(&self, context: &FaultContext<'_, '_>) -> Result<Seen, FaultError> {
        let (finding, witness) = (self.find_processes(), self.witness());
        let script = format!(
            "{finding}\nsed 's/^/met /' {witness} 2>/dev/null\nfound | sed 's/^/now /'\necho end"
        );
        let output = context.run(&["sh", "-c", &script]).await?;
        let text = output.text();
        if output.code != 0 || !text.ends_with("end") {
            return Err(context.command_failed("look for a process", &output));
        }
        Ok(Seen::read(&text))
    }

    pub(super) async fn process(&self, context: &FaultContext<'_, '_>) -> Result<Look, FaultError> {
        let seen = self.look(context).await?;
        Ok(match () {
            () if seen.gone() => Look::NotYet(format!("no {} runs", self.name())),
            () if !seen.runs() => Look::NotYet(format!("its {} is frozen", self.name())),
            () => Look::Seen(format!("its {}, process {},", self.name(), seen.pids())),
        })
    }

    /// Only what is well is hit.
    pub(super) async fn must_run(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        context.must_be_up().await?;
        let seen = self.look(context).await?;
        match () {
            () if seen.gone() => Err(context.refused(format!("no {} runs there", self.name()))),
            () if !seen.runs() => {
                Err(context.refused(format!("its {} is already frozen", self.name())))
            }
            () => Ok(()),
        }
    }

    /// Waits until the fault's effect is seen, and reports it.
    pub(super) async fn confirm(
        &self,
        context: &mut FaultContext<'_, '_>,
        limit: Duration,
        effect: Effect,
    ) -> Result<(), FaultError> {
        let look = async |context: &FaultContext<'_, '_>| self.look_for(context, effect).await;
        context.confirm(Wait { every: LOOK, limit }, look).await
    }

    pub(super) async fn look_for(
        &self,
        context: &FaultContext<'_, '_>,
        (is_there, words): Effect,
    ) -> Result<Look, FaultError> {
        Ok(match is_there(&self.look(context).await?) {
            true => Look::Seen(words.replace("{}", self.name())),
            false => Look::NotYet(format!("its {} still runs", self.name())),
        })
    }

    /// Waits until the part runs, and none of the processes that `leaves` it is there. Says so. A
    /// kubelet that lets it wait is restarted, once: to an undo that takes the longer the more
    /// often there was a fault nobody could give a time.
    pub(super) async fn until_well(
        &self,
        context: &FaultContext<'_, '_>,
        leaves: fn(&Seen) -> bool,
    ) -> Result<String, FaultError> {
        let began = Instant::now();
        let (mut before, mut help_at, mut restarted) = (None, began + STARTED_WITHIN, None);
        loop {
            // Two looks: what crashes at its start runs for a moment.
            let seen = self.look(context).await?;
            // One that was asked to end and has not when it must be dead was not asked: its kubelet
            // never saw what was done.
            let settled = leaves(&seen) || began.elapsed() > END;
            if seen.runs() && settled && before.as_ref() == Some(&seen) {
                context.run(&["rm", "-f", &self.witness()]).await?;
                return Ok(self.well(&seen, restarted));
            }
            if seen.gone() && restarted.is_none() && Instant::now() > help_at {
                // A help, no duty: where that can't be done it is waited on.
                help_at = Instant::now() + HELPED_AGAIN_AFTER;
                let helped = end_back_off(context.access, &context.handle)
                    .await
                    .is_ok_and(|waiting| !waiting.is_empty());
                restarted = helped.then(|| began.elapsed());
            }
            if began.elapsed() > START {
                let seen = if seen.gone() { "no {} runs" } else { "its {} does not stay up" }
                    .replace("{}", self.name());
                return Err(context.not_undone(seen, START));
            }
            before = Some(seen);
            sleep(LOOK).await;
        }
    }

    fn well(&self, seen: &Seen, restarted: Option<Duration>) -> String {
        let how = restarted.map_or(String::new(), |after| {
            format!(
                "; its kubelet delayed the restart and was itself restarted after {}",
                format_seconds(after)
            )
        });
        format!("{} runs as process {}{how}", self.name(), seen.pids())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::samples::{ThroughKubelet, component_faults, target};
    use crate::fault::{Undo, UndoAfter, inject, planned, undo};
    use crate::node::AccessErrorKind;
    use crate::timeline::FaultPhase;

    fn plans() -> [Undo; 3] {
        component_faults(Component::Scheduler)
            .map(|fault| planned(&fault, &target(), "r", 0, Duration::from_secs(60)))
    }

    /// A node with a kubelet that starts the scheduler where its manifest is, and the answers to
    /// our scripts. Its state is `process` (`pid start state`), `manifest`, `met`.
    fn node() -> FakeEngine {
        let engine = FakeEngine::start();
        engine.worker(|c| {
            c.inside.extend(
                [("process", "7 70 S"), ("manifest", "")]
                    .map(|(k, v)| (k.to_owned(), v.to_owned())),
            )
        });
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let (text, inside) = (argv.join(" "), &mut node.inside);
                let armed = inside.contains_key("armed");
                let process = inside.get("process").cloned();
                match () {
                    () if text.contains("exec systemd-run") => {
                        inside.insert("armed".into(), String::new());
                    }
                    () if text.contains("echo end") => return (0, looked(inside)),
                    // Its etcd is still coming.
                    () if text.contains("try-restart") && inside.remove("in vain").is_some() => {}
                    () if text.contains("try-restart") => {
                        inside.insert("process".into(), "11 110 S".into());
                        return (0, "kube-scheduler".into());
                    }
                    () if text.contains("exit 75") && !armed => return (75, String::new()),
                    () if text.contains("found >/run/outage-r-0.met; mkdir") => {
                        inside.insert("met".into(), process.unwrap_or_default());
                        inside.retain(|key, _| key != "process" && key != "manifest");
                    }
                    () if text.contains("kill -KILL") => {
                        inside.insert("met".into(), process.unwrap_or_default());
                        inside.insert("process".into(), "8 80 S".into());
                    }
                    () if text.contains("kill -STOP") => {
                        inside.insert("process".into(), "7 70 T".into());
                    }
                    () if text.contains("systemctl stop outage-r-0.timer") => healed(inside, &text),
                    () if text.starts_with("rm -f /run/outage-r-0.met") => {
                        inside.remove("met");
                    }
                    () => {}
                }
                (0, String::new())
            });
        });
        engine
    }

    type Inside = std::collections::BTreeMap<String, String>;

    fn looked(inside: &Inside) -> String {
        let line = |key: &str, word: &str| {
            inside.get(key).map_or(String::new(), |process| format!("{word} {process}\n"))
        };
        format!("{}{}end", line("met", "met"), line("process", "now"))
    }

    fn healed(inside: &mut Inside, text: &str) {
        inside.remove("armed");
        if text.contains("mv ") && inside.insert("manifest".into(), String::new()).is_none() {
            inside.insert("process".into(), "9 90 S".into());
        }
        if text.contains("kill -CONT") {
            inside.insert("process".into(), "7 70 S".into());
        }
    }

    async fn carry_out(
        engine: &FakeEngine,
        plan: &Undo,
        back: bool,
    ) -> Result<Vec<(FaultPhase, String)>, FaultError> {
        let (docker, mut phases) = (engine.connect().await, Vec::new());
        let mut progress = |phase, seen| phases.push((phase, seen));
        let result = if back {
            undo(plan, &docker, &mut progress).await
        } else {
            inject(plan, &docker, &mut progress).await
        };
        result.map(|()| phases)
    }

    #[tokio::test]
    async fn each_is_done_confirmed_and_undone_twice() {
        let effects = [
            "no kube-scheduler runs",
            "the process of kube-scheduler is gone",
            "the process of kube-scheduler is frozen",
        ];
        for ((plan, effect), pid) in plans().iter().zip(effects).zip([9, 8, 7]) {
            let engine = node();
            let seen = carry_out(&engine, plan, false).await.unwrap();
            let phases: Vec<FaultPhase> = seen.iter().map(|(phase, _)| *phase).collect();
            assert_eq!(
                phases,
                [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]
            );
            assert_eq!(seen[2].1, effect);
            for _ in 0..2 {
                let seen = carry_out(&engine, plan, true).await.unwrap();
                assert_eq!(
                    seen[1],
                    (FaultPhase::Reverted, format!("kube-scheduler runs as process {pid}"))
                );
                assert!(
                    engine.worker(
                        |c| !c.inside.contains_key("armed") && !c.inside.contains_key("met")
                    )
                );
            }
        }
    }

    /// The API server refuses new connections when it is asked to end. The command that was sent
    /// before ends with its process.
    #[tokio::test(start_paused = true)]
    async fn an_api_server_has_stopped_when_the_command_that_waits_for_that_is_cut_off() {
        let (mut ran, mut phases) = (Vec::new(), Vec::new());
        let [stop, ..] = component_faults(Component::ApiServer);
        let plan = planned(&stop, &target(), "r", 0, Duration::from_secs(60));
        {
            let node = ThroughKubelet::new(|command| {
                ran.push(command.to_owned());
                match ran.len() {
                    4.. => Err(AccessErrorKind::Away),
                    2 => Ok("now 7 70 S\nend"),
                    _ => Ok(""),
                }
            });
            inject(&plan, node.way(), &mut |phase, _| phases.push(phase)).await.unwrap();
        }
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Confirmed]);
        let script = &ran[3];
        let [timer, moved, wait] = ["--unit=outage-r-0-effect", "mv ", "exec 9<&-\nfound() {"]
            .map(|part| script.find(part).unwrap_or_else(|| panic!("no {part} in {script}")));
        assert!(timer < moved && moved < wait, "{script}");
        // What the unit does: it waits, then sets the timer.
        let [wait, timer] = ["while [ -n", "--unit=outage-r-0-injected"]
            .map(|part| script.rfind(part).unwrap_or_else(|| panic!("no {part} in {script}")));
        assert!(wait < timer, "{script}");
    }

    /// The command came through the API server that is hit; the others answer.
    #[tokio::test(start_paused = true)]
    async fn a_fault_on_one_of_several_api_servers_is_looked_for_when_its_command_is_cut_off() {
        let hit = ["end", "met 7 70 S\nend", "now 7 70 T\nend"];
        let not_hit = "now 7 70 S\nend";
        for (fault, hit) in component_faults(Component::ApiServer).iter().zip(hit) {
            let plan = planned(fault, &target(), "r", 0, Duration::from_secs(60));
            for last in [hit, not_hit] {
                let (mut looks, mut cut, mut phases) = (0, false, Vec::new());
                let result = {
                    let node = ThroughKubelet::new(|command| match command {
                        command if command.contains("exit 75") => {
                            cut = true;
                            Err(AccessErrorKind::Away)
                        }
                        command if command.ends_with("echo end") && cut => {
                            looks += 1;
                            Ok(if looks < 50 { not_hit } else { last })
                        }
                        command if command.ends_with("echo end") => Ok(not_hit),
                        _ => Ok(""),
                    });
                    inject(&plan, node.way(), &mut |phase, _| phases.push(phase)).await
                };
                assert_eq!(result.is_ok(), last == hit, "{result:?}");
                assert_eq!(phases.contains(&FaultPhase::Confirmed), last == hit, "{phases:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_does_not_run_or_is_frozen_is_no_target() {
        for (process, why) in [
            ("", "no kube-scheduler runs there"),
            ("7 70 T", "its kube-scheduler is already frozen"),
        ] {
            for plan in plans() {
                let engine = node();
                engine.worker(|c| {
                    if process.is_empty() {
                        c.inside.remove("process")
                    } else {
                        c.inside.insert("process".into(), process.into())
                    }
                });
                let error = carry_out(&engine, &plan, false).await.unwrap_err();
                assert_eq!(error.to_string(), format!("inject the fault on node c-worker: {why}"));
                assert!(engine.worker(|c| !c.inside.contains_key("armed")));
            }
        }
    }

    #[tokio::test]
    async fn an_undo_waits_for_a_new_process_after_a_stop_that_was_cut() {
        let engine = node();
        let [stop, ..] = plans();
        // The old process has been asked to end and has not yet: it proves nothing.
        engine.worker(|c| c.inside.insert("met".into(), "7 70 S".into()));
        let (result, ()) = tokio::join!(carry_out(&engine, &stop, true), async {
            sleep(Duration::from_millis(600)).await;
            engine.worker(|c| c.inside.insert("process".into(), "12 120 S".into()));
        });
        assert_eq!(result.unwrap()[1].1, "kube-scheduler runs as process 12");
    }

    #[tokio::test]
    async fn a_kubelet_that_lets_a_part_wait_is_restarted_and_that_is_reported() {
        let engine = node();
        let [_, kill, _] = plans();
        engine.worker(|c| drop(c.inside.remove("process")));
        let began = Instant::now();
        let seen = carry_out(&engine, &kill, true).await.unwrap();
        assert!(began.elapsed() >= STARTED_WITHIN, "what comes back by itself is left alone");
        assert_eq!(
            seen[1].1,
            "kube-scheduler runs as process 11; its kubelet delayed the restart and was itself \
             restarted after 1s"
        );
    }

    #[tokio::test]
    async fn help_that_was_in_vain_is_tried_again() {
        let engine = node();
        let [_, kill, _] = plans();
        engine.worker(|c| {
            c.inside.remove("process");
            c.inside.insert("in vain".into(), String::new());
        });
        let seen = carry_out(&engine, &kill, true).await.unwrap();
        assert!(
            seen[1]
                .1
                .starts_with("kube-scheduler runs as process 11; its kubelet delayed the restart"),
            "{}",
            seen[1].1
        );
    }

    #[tokio::test]
    async fn a_manifest_on_a_node_that_is_down_is_still_pending() {
        let engine = node();
        engine.worker(|c| c.running = false);
        let [stop, kill, pause] = plans();
        assert!(matches!(carry_out(&engine, &stop, true).await, Err(FaultError::NotUndone { .. })));
        for other in [kill, pause] {
            carry_out(&engine, &other, true).await.unwrap();
        }
    }

    /// The function as a shell runs it, on a process of this test's own.
    #[test]
    fn a_process_is_found_by_its_program() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("kube-controller-manager");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        let find = |component| {
            let script = format!("{}\nfound", find_processes(component));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let mine = format!("{} ", child.id());
        let end = std::time::Instant::now() + Duration::from_secs(5);
        while !find(Component::ControllerManager).lines().any(|line| line.starts_with(&mine))
            && std::time::Instant::now() < end
        {}
        let found = find(Component::ControllerManager);
        let others = find(Component::Scheduler);
        let part = Part {
            component: Component::ControllerManager,
            timer: UndoTimer { mark: "r".into(), times: UndoAfter::both(Duration::ZERO) },
        };
        let manifest = folder.path().join("manifest");
        let wait = || {
            let script = part.until_gone(manifest.to_str().unwrap());
            std::process::Command::new("sh").args(["-c", &script]).spawn().unwrap()
        };
        std::fs::write(&manifest, "").unwrap();
        let began = std::time::Instant::now();
        let undone = wait().wait().unwrap().success() && began.elapsed() < END / 2;
        std::fs::remove_file(&manifest).unwrap();
        let mut wait = wait();
        std::thread::sleep(Duration::from_millis(300));
        let waited = wait.try_wait().unwrap().is_none();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(undone, "it ends when the manifest is back");
        assert!(waited && wait.wait().unwrap().success(), "it ends when the process does");
        assert!(
            found.lines().any(|line| line.starts_with(&mine) && line.split(' ').count() == 3),
            "{found}"
        );
        assert!(!others.lines().any(|line| line.starts_with(&mine)), "{others}");
    }
}

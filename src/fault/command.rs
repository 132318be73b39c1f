//! Commands of the user's, run on this machine, for what only the owner of a node's machine can do:
//! a cloud's API, libvirt, IPMI. The record has them with everything filled in, so that a later
//! process can undo the fault without asking anybody what the node was.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::context::FaultContext;
use super::error::FaultError;
use super::node_fault::{NodeFault, Undone};
use super::node_plan::{NodeFacts, Plan};
use super::program::{Surroundings, end_left, shown};
use super::record::{Machine, mark};
use crate::experiment::{self, Check, Commands, Experiment, Fault, Placeholder, typed};
use crate::timeline::{CommandEffect, FaultPhase};

/// Between two looks whether something is so: a cloud limits how often it is asked.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// So long the fault must be seen to be gone: what a command had asked for may still be on its way.
const STEADY: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 3000 });
/// How long a look before the fault may take.
const FIRST_LOOK: Duration = Duration::from_secs(20);
/// What one fault's undo may take that does not say otherwise.
const UNSAID: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Command {
    #[serde(flatten)]
    commands: Commands,
    #[serde(flatten)]
    surroundings: Surroundings,
    /// Tells the program that injects from all others, for a later process that finds it running.
    /// Earlier versions wrote none.
    #[serde(default)]
    mark: String,
}

/// The environment variable with that mark.
const MARK: &str = "OUTAGE_INJECT";

/// What a check has shown.
struct Shown {
    is_so: bool,
    /// ``docker inspect w` prints `true``
    seen: String,
}

impl NodeFault for Command {
    const UNDO_TIMEOUT: Duration = UNSAID;

    fn undo_timeout(fault: &Fault) -> Duration {
        timeout_of(fault) * 2
    }

    fn injection_timeout(fault: &Fault) -> Duration {
        FIRST_LOOK * 5 + timeout_of(fault) * 3
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let Fault::Command { commands, .. } = plan.fault else { return Err(plan.another_fault()) };
        let node = &plan.target.node;
        let lacks = |lacking: Lacking| {
            let what = format!("`{{{}}}` cannot be filled in", lacking.placeholder);
            plan.impossible(format!("{what}: node {node} has no {}", lacking.what), Some(SHOWN_BY))
        };
        let filled = |argv: &[String]| {
            argv.iter()
                .map(|argument| experiment::fill(argument, |name| value(node, plan.facts, name)))
                .collect::<Result<Vec<_>, _>>()
                .map_err(lacks)
        };
        let check = |check: &Check| {
            Ok::<_, FaultError>(Check { argv: filled(&check.argv)?, prints: check.prints.clone() })
        };
        let commands = Commands {
            inject: filled(&commands.inject)?,
            confirm: check(&commands.confirm)?,
            undo: filled(&commands.undo)?,
            confirm_undone: check(&commands.confirm_undone)?,
            ..(**commands).clone()
        };
        // Whoever undoes it later may have been started elsewhere.
        let directory = std::env::current_dir().ok();
        Ok(Self {
            commands,
            surroundings: Surroundings { directory, environment: environment(plan) },
            mark: format!("{}-{}", mark(plan.run, plan.step), plan.target.node),
        })
    }

    /// Its programs know nothing of the node's machine. What they must find takes them a while: they
    /// are asked once, in the injection.
    async fn check(&self, _: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        Ok(())
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let Commands { inject, confirm, undo, confirm_undone, timeout, .. } = &self.commands;
        let first_look = FIRST_LOOK.min(*timeout);
        let refused = |error: FaultError| context.refused(error.to_string());
        for argv in [inject, &confirm.argv, undo] {
            self.surroundings.find(argv, first_look).await.map_err(refused)?;
        }
        let before = self.look(confirm_undone, first_look).await.map_err(refused)?;
        if !before.is_so {
            return Err(context.refused(format!(
                "`confirmUndone` does not succeed before the fault: {}",
                before.seen
            )));
        }
        // One that waits shows nothing yet.
        if let Ok(before) = self.look(confirm, first_look).await
            && before.is_so
        {
            return Err(
                context.refused(format!("`confirm` succeeds before the fault: {}", before.seen))
            );
        }
        context.report(FaultPhase::Requested, shown(inject));
        let ended = self.surroundings.with(MARK, &self.mark).run(inject, *timeout).await?;
        if !ended.succeeded() {
            let (command, why) = (shown(inject), ended.describe());
            return Err(FaultError::Program { command, why });
        }
        context.report(FaultPhase::Returned, ended.describe());
        let end = Instant::now() + *timeout;
        loop {
            let now = self.look(confirm, *timeout).await?;
            if now.is_so {
                context.report(FaultPhase::Confirmed, now.seen);
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(context.not_confirmed(now.seen, *timeout));
            }
            sleep(LOOK).await;
        }
    }

    /// The command is run again where the fault comes back, or the machine refused it: it may still
    /// be on its way down. One that fails where the fault is gone has found nothing to do.
    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let Commands { undo, confirm_undone, timeout, .. } = &self.commands;
        // Its run may have been killed while it was injecting: what comes after the undo would stay.
        end_left(MARK, &self.mark).await;
        let end = Instant::now() + *timeout * 2;
        let (mut done, mut gone_since): (bool, Option<Instant>) = (false, None);
        let mut failed = String::new();
        loop {
            if !done {
                (done, failed) = match self.surroundings.run(undo, *timeout).await {
                    Ok(ended) if ended.succeeded() => (true, String::new()),
                    Ok(ended) => (false, format!(" (`{}` {})", shown(undo), ended.describe())),
                    Err(error) => (false, format!(" ({error})")),
                };
            }
            let now = match self.look(confirm_undone, *timeout).await {
                Ok(now) => now,
                Err(error) => Shown { is_so: false, seen: error.to_string() },
            };
            match (now.is_so, gone_since) {
                (true, Some(since)) if since.elapsed() >= STEADY => return Ok(now.seen.into()),
                (true, since) => gone_since = Some(since.unwrap_or_else(Instant::now)),
                (false, Some(_)) => (done, gone_since) = (false, None),
                (false, None) => {}
            }
            if Instant::now() >= end && !now.is_so {
                return Err(context.not_undone(format!("{}{failed}", now.seen), *timeout * 2));
            }
            sleep(LOOK).await;
        }
    }

    fn effect(&self) -> Option<CommandEffect> {
        Some(self.commands.effect)
    }

    fn commands(&self) -> Vec<String> {
        self.commands.lines()
    }

    fn describe(&self, _: Machine<'_>) -> String {
        format!("run `{}`", shown(&self.commands.undo))
    }

    fn by_hand(&self, _: Machine<'_>) -> String {
        typed(&self.commands.undo)
    }
}

impl Command {
    async fn look(&self, check: &Check, limit: Duration) -> Result<Shown, FaultError> {
        let ended = self.surroundings.run(&check.argv, limit).await?;
        let command = shown(&check.argv);
        let printed = ended.printed();
        let is_so =
            ended.succeeded() && check.prints.as_ref().is_none_or(|wanted| *wanted == printed);
        let seen = match (&check.prints, ended.succeeded()) {
            (Some(_), true) => {
                format!("`{command}` prints `{}`", crate::timeline::readable(&printed))
            }
            _ => format!("`{command}` {}", ended.describe()),
        };
        Ok(Shown { is_so, seen })
    }
}

fn timeout_of(fault: &Fault) -> Duration {
    if let Fault::Command { commands, .. } = fault { commands.timeout } else { UNSAID }
}

/// A program of `command` faults that this machine does not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MissingProgram {
    /// The field whose command is the first that needs it: `spec.method[0].fault.command.undo`.
    pub place: String,
    pub program: String,
}

impl MissingProgram {
    pub(crate) fn hint(&self) -> &'static str {
        "commands run on this machine: install the program here, or name it by its path"
    }
}

/// The programs of an experiment that this machine does not have, each once.
pub(crate) async fn missing_programs(experiment: &Experiment) -> Vec<MissingProgram> {
    let here = Surroundings { directory: None, environment: BTreeMap::new() };
    let mut missing: Vec<MissingProgram> = Vec::new();
    for step in experiment.steps() {
        let Some((Fault::Command { commands, .. }, _)) = step.fault() else { continue };
        for (field, argv) in commands.argvs() {
            let program = &argv[0];
            let depends_on_node = experiment::fill(program, |_| Err(())).is_err();
            let is_known = missing.iter().any(|one| one.program == *program);
            if !depends_on_node && !is_known && here.find(argv, FIRST_LOOK).await.is_err() {
                let place = format!("{}.fault.command.{field}", step.place);
                missing.push(MissingProgram { place, program: program.clone() });
            }
        }
    }
    missing
}

/// A placeholder for which a node has no value.
#[derive(Debug)]
struct Lacking {
    placeholder: String,
    /// `label zone`
    what: String,
}

/// Where a person finds what a node has.
pub(crate) const SHOWN_BY: &str = "`kubectl get node -o yaml` shows what it has";

/// What a node does not have and the commands of a fault need: ``no label zone, which `{label:zone}`
/// needs``.
pub(crate) fn lacks(fault: &Fault, node: &str, facts: NodeFacts<'_>) -> Option<String> {
    let Fault::Command { commands, .. } = fault else { return None };
    let arguments = commands.argvs().into_iter().flat_map(|(_, argv)| argv);
    let lacking = arguments
        .filter_map(|argument| experiment::fill(argument, |name| value(node, facts, name)).err());
    lacking.map(|it| format!("no {}, which `{{{}}}` needs", it.what, it.placeholder)).next()
}

/// What a placeholder stands for.
fn value(node: &str, facts: NodeFacts<'_>, name: &str) -> Result<String, Lacking> {
    let lacks = |what: String| Lacking { placeholder: name.to_owned(), what };
    let provider_id = || facts.provider_id.ok_or_else(|| lacks("spec.providerID".into()));
    Ok(match Placeholder::named(name) {
        Some(Placeholder::Node) => node,
        Some(Placeholder::Address) => {
            facts.address.ok_or_else(|| lacks("internal address".into()))?
        }
        Some(Placeholder::ProviderId) => provider_id()?,
        Some(Placeholder::InstanceId) => {
            let id = provider_id()?;
            id.rsplit('/').next().unwrap_or(id)
        }
        Some(Placeholder::Label(key)) => {
            let label = facts.labels.and_then(|labels| labels.get(key));
            label.ok_or_else(|| lacks(format!("label {key}")))?
        }
        None => return Err(lacks("such fact".into())),
    }
    .to_owned())
}

/// The same for programs that would rather read it there.
fn environment(plan: &Plan<'_>) -> BTreeMap<String, String> {
    let labels = plan.facts.labels.into_iter().flatten();
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    let facts = [
        ("OUTAGE_NODE", plan.target.node.as_str()),
        ("OUTAGE_NODE_ADDRESS", plan.facts.address.unwrap_or_default()),
        ("OUTAGE_PROVIDER_ID", plan.facts.provider_id.unwrap_or_default()),
        ("OUTAGE_NODE_LABELS", &labels.join(",")),
    ];
    facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::experiment::NodeSelector;
    use crate::fault::samples::{plan_of, target};
    use crate::fault::{NodeFacts, Undo, UndoAfter, inject, plan, undo};
    use crate::timeline::FaultName;

    /// A machine that is a file: it is on while the file is there.
    struct Machine(tempfile::TempDir);

    fn sh(script: &str) -> Vec<String> {
        ["sh", "-c", script, "sh", "{node}"].map(str::to_owned).into()
    }

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("c-worker"), "on").unwrap();
            Self(folder)
        }

        fn is_on(&self) -> bool {
            self.0.path().join("c-worker").exists()
        }

        fn commands(&self) -> Commands {
            let folder = self.0.path().display();
            let state = sh(&format!("cat {folder}/$1 2>/dev/null || echo off"));
            let check = |prints: &str| Check { argv: state.clone(), prints: Some(prints.into()) };
            Commands {
                effect: CommandEffect::NodeDown,
                inject: sh(&format!("rm {folder}/$1; echo stopping >&2")),
                confirm: check("off"),
                undo: sh(&format!("echo on > {folder}/$1")),
                confirm_undone: check("on"),
                timeout: Duration::from_secs(1),
            }
        }
    }

    fn undo_of(commands: Commands) -> Undo {
        plan_of(&Fault::Command { target: NodeSelector::default(), commands: commands.into() })
            .unwrap()
    }

    async fn injected(commands: Commands) -> Result<Vec<(FaultPhase, String)>, String> {
        let (docker, mut said) = (FakeEngine::start().connect().await, Vec::new());
        let undo = undo_of(commands);
        let result = inject(&undo, &docker, &mut |phase, text| said.push((phase, text))).await;
        result.map(|()| said).map_err(|error| error.to_string())
    }

    async fn undone(commands: Commands) -> Result<String, String> {
        let (docker, mut seen) = (FakeEngine::start().connect().await, String::new());
        let result = undo(&undo_of(commands), &docker, &mut |_, text| seen = text).await;
        result.map(|()| seen).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn it_is_injected_confirmed_and_undone_any_number_of_times() {
        let machine = Machine::new();
        let said = injected(machine.commands()).await.unwrap();
        let phases: Vec<_> = said.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        assert_eq!(said[1].1, "exited with 0: stopping");
        assert!(said[2].1.ends_with("prints `off`"), "{said:?}");
        assert!(!machine.is_on());
        for _ in 0..2 {
            let seen = undone(machine.commands()).await.unwrap();
            assert!(seen.ends_with("prints `on`") && machine.is_on(), "{seen}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_undone_or_confirmed_is_refused_before_it_is_injected() {
        let machine = Machine::new();
        let refused = async |change: fn(&mut Commands)| {
            let mut commands = machine.commands();
            change(&mut commands);
            let why = injected(commands).await.unwrap_err();
            assert!(machine.is_on(), "{why}");
            why
        };
        let absent = "run `no-such-program`: no such program on PATH";
        let why = refused(|it| it.undo = vec!["no-such-program".into()]).await;
        assert!(why.ends_with(absent), "{why}");
        let why = refused(|it| it.confirm.argv = vec!["no-such-program".into()]).await;
        assert!(why.ends_with(absent), "{why}");
        let why = refused(|it| it.confirm_undone.prints = Some("up".into())).await;
        assert!(why.contains("`confirmUndone` does not succeed before the fault"), "{why}");
        assert!(why.ends_with("prints `on`"), "{why}");
        let why = refused(|it| it.confirm.prints = None).await;
        assert!(why.contains("`confirm` succeeds before the fault"), "{why}");
        let why = refused(|it| it.inject = sh("echo no rights >&2; exit 3")).await;
        assert!(why.ends_with("exited with 3: no rights"), "{why}");
        let why = refused(|it| it.inject = sh("true")).await;
        assert!(why.contains("prints `on` 1") && why.ends_with("after the call"), "{why}");
    }

    /// As `virsh start` does it, and a machine that is still on its way down.
    #[tokio::test]
    async fn an_undo_that_fails_is_right_where_the_fault_is_gone_and_else_is_repeated() {
        let machine = Machine::new();
        let mut commands = machine.commands();
        commands.undo = sh("echo already active >&2; exit 1");
        assert!(undone(commands.clone()).await.unwrap().ends_with("prints `on`"));
        injected(machine.commands()).await.unwrap();
        let error = undone(commands).await.unwrap_err();
        assert!(
            error.contains("prints `off` (`sh -c") && error.contains("already active"),
            "{error}"
        );
        let mut twice = machine.commands();
        let folder = machine.0.path().display();
        twice.undo = sh(&format!(
            "[ -e {folder}/asked ] || {{ touch {folder}/asked; exit 1; }}; echo on > {folder}/$1"
        ));
        assert!(undone(twice).await.unwrap().ends_with("prints `on`"));
    }

    #[tokio::test]
    async fn a_program_that_this_machine_does_not_have_is_named_once() {
        let missing = || vec!["no-such-program".to_owned(), "{node}".into()];
        let mut commands = Machine::new().commands();
        commands.confirm.argv = missing();
        commands.undo = missing();
        commands.inject = vec!["{node}-tool".into()];
        let fault = Fault::Command { target: NodeSelector::default(), commands: commands.into() };
        let hold = Duration::from_secs(1);
        let step = experiment::Step::Fault { name: None, fault, hold, meanwhile: Vec::new() };
        let base = experiment::parse(experiment::load("worker-stop-fast").unwrap()).unwrap();
        let found = missing_programs(&Experiment { method: vec![step], ..base.experiment }).await;
        let place = "spec.method[0].fault.command.confirm".to_owned();
        assert_eq!(found, [MissingProgram { place, program: "no-such-program".into() }]);
    }

    #[test]
    fn the_record_has_everything_filled_in() {
        let mut commands = Machine::new().commands();
        commands.undo = ["start", "{instanceID}", "--zone={label:zone}"].map(str::to_owned).into();
        let fault = Fault::Command { target: NodeSelector::default(), commands: commands.into() };
        let labels = [("zone".to_owned(), "a".to_owned())].into();
        let planned = |facts: NodeFacts<'_>| {
            let (target, undo_after) = (&target(), UndoAfter::both(Duration::from_secs(60)));
            plan(&Plan {
                fault: &fault,
                target,
                facts,
                cluster: &[],
                pod: None,
                run: "r",
                step: 0,
                undo_after,
            })
        };
        let facts = NodeFacts {
            address: Some("10.0.0.1"),
            provider_id: Some("aws:///eu-west-1a/i-0abc"),
            labels: Some(&labels),
        };
        let undo = planned(facts).unwrap();
        assert_eq!(undo.describe(), "run `start i-0abc --zone=a`");
        assert_eq!(undo.by_hand(), "start i-0abc --zone=a");
        assert_eq!(undo.fault.name(), FaultName::Command(CommandEffect::NodeDown));
        let text = serde_json::to_string(&undo).unwrap();
        assert!(text.contains(r#""OUTAGE_NODE_LABELS":"zone=a""#), "{text}");
        assert_eq!(serde_json::from_str::<Undo>(&text).unwrap(), undo);
        let error = planned(NodeFacts { labels: None, ..facts }).unwrap_err();
        assert!(error.to_string().ends_with("node c-worker has no label zone"), "{error}");
        let error = planned(NodeFacts { provider_id: None, ..facts }).unwrap_err();
        assert!(error.to_string().ends_with("has no spec.providerID"), "{error}");
    }
}

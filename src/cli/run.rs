//! `run`: carries experiments out and reports. `suite.rs` has their order and reports, `series/`
//! the runs.

use std::path::Path;

use super::args::{Access, Experiments, Run};
use super::command::Command;
use super::compare::History;
use super::dry_run::DryRun;
use super::env::Env;
use super::events::{self, Events};
use super::execution::listen;
use super::failure::Failure;
use super::generator::ChosenFault;
use super::init::{self, Wish};
use super::load::Place;
use super::output::complain_lines;
use super::outputs::Outputs;
use super::suite::{self, Times};
use super::{block_on, exit, live, load, queues, shard};
use crate::cluster::Cluster;
use crate::engine::environment::handle::{Environment, Found};
use crate::engine::environment::provision;
use crate::engine::error::RunError;
use crate::engine::leaders;
use crate::engine::session;
use crate::experiment::Parsed;
use crate::plan;
use crate::report::not_run::NotRun;
use crate::report::suite::Part;
use crate::report::{View, hang};
use crate::timeline::ObjectRef;

/// Runs; exits with the gravest code.
pub(super) fn run(args: &Run, env: &Env) -> Result<u8, Failure> {
    let mut events = Events::default();
    let ended = block_on(load_and_run(args, env, &mut events));
    events.end(*ended.as_ref().unwrap_or_else(|failure| &failure.code));
    ended
}

async fn load_and_run(args: &Run, env: &Env, events: &mut Events) -> Result<u8, Failure> {
    let outputs = Outputs::new(&args.output)?.with_artifacts(args.artifacts.as_deref())?;
    let events_file = args.events.as_deref().map(events::file).transpose()?.flatten();
    let outputs = outputs.beside_events(events_file)?;
    if args.dry_run {
        outputs.refuse_unplanned()?;
    }
    outputs.refuse_inputs(args.save.as_slice())?;
    outputs.refuse_inputs(&args.experiments.filename)?;
    let history = History::open(&args.history)?;
    outputs.refuse_inputs(&history.files())?;
    let place = args.execution.place(env);
    let loaded = match &args.service {
        Some(service) => about(service, args, place, env).await,
        None => load::even_open(&args.experiments, place, env)
            .map(|experiments| Loaded { experiments, connected: None }),
    };
    // What waits for a report of this command finds the error there.
    let refuse = |failure: Failure, parts: &dyn Fn(&Failure) -> Vec<Part<View<'static>>>| {
        if !args.dry_run {
            outputs.write_for_programs(&parts(&failure), env);
        }
        failure
    };
    let Loaded { mut experiments, connected } =
        loaded.map_err(|failure| match outputs.may_replace_input(args.experiments.all()) {
            true => failure,
            false => refuse(failure, &|failure| unread(&args.experiments, failure)),
        })?;
    experiments.iter_mut().for_each(|parsed| args.execution.widen(&mut parsed.experiment));
    let inputs: Vec<_> = experiments.iter().flat_map(Parsed::files).collect();
    outputs.refuse_inputs(&inputs)?;
    if let Some(target) = &args.events {
        *events = Events::open(target)?;
    }
    let mut experiments = shard::members(experiments, args.part.shard, args.repeat, env);
    if experiments.is_empty() {
        return Ok(if args.dry_run { exit::PASS } else { outputs.write_for_programs(&[], env) });
    }
    let queues = queues::queues(args, &mut experiments, env)
        .map_err(|failure| refuse(failure, &|failure| refused(&experiments, failure)))?;
    let suite = (&experiments[..], &queues[..]);
    carry_out(args, env, (&outputs, &*events), &history, suite, connected)
        .await
        .map_err(|failure| refuse(failure, &|failure| refused(&experiments, failure)))
}

/// What was named, and the cluster to which reading it has connected.
struct Loaded {
    experiments: Vec<Parsed>,
    connected: Option<Cluster>,
}

async fn carry_out(
    args: &Run,
    env: &Env,
    (outputs, events): (&Outputs, &Events),
    history: &History,
    (experiments, queues): (&[Parsed], &[Vec<usize>]),
    connected: Option<Cluster>,
) -> Result<u8, Failure> {
    let (execution, abort) = (&args.execution, listen()?);
    let artifacts = outputs.artifacts_folder();
    let environment = execution.environment(env, args.dry_run)?;
    let environment = Environment { connected, artifacts, ..environment };
    let (fail_on, watch) = (args.fail_on, args.watch && env.stderr.live);
    let command = Command::new(execution, env, outputs, &abort, environment);
    let shard = args.part.shard;
    let command = Command { fail_on, watch, shard, events: events.clone(), ..command };
    if args.watch && !watch {
        let why = "--watch needs a terminal that can redraw (not CI, not TERM=dumb); progress is \
                   shown as plain lines";
        complain_lines(&hang("note: ", why, env.stderr.width));
    }
    execution.warn(experiments, env);
    refuse_open(&command, experiments).await?;
    let times = Times { repeat: args.repeat, retries: args.retries };
    if args.dry_run {
        return Ok(dry_run(&command, experiments, times).await);
    }
    session::refuse_unwritable(&env.runs_dir)?;
    Ok(suite::carry_out(&command, history, (experiments, queues), times).await)
}

/// The experiments that were named, where they could not be read.
fn unread(named: &Experiments, failure: &Failure) -> Vec<Part<View<'static>>> {
    let part = |name| Part::not_run(name, Vec::new(), NotRun::Refused, failure.line());
    let mut parts: Vec<_> = named.all().into_iter().map(part).collect();
    // A report without any experiment would look like one in which nothing failed.
    if parts.is_empty() {
        parts.push(part("run".to_owned()));
    }
    // A workload's file, and those of a folder, belong to whatever was named first.
    for error in &failure.in_files {
        let named = parts.iter().position(|part| part.experiment == error.file);
        parts[named.unwrap_or(0)].errors.push(error.clone());
    }
    parts
}

/// The experiments that were read, where none was begun.
fn refused(experiments: &[Parsed], failure: &Failure) -> Vec<Part<View<'static>>> {
    let part = |Parsed { experiment, .. }: &Parsed| {
        let (name, claims) = (experiment.name.clone(), experiment.claims.clone());
        Part::not_run(name, claims, NotRun::Refused, failure.line())
    };
    experiments.iter().map(part).collect()
}

/// The experiment about an existing Service, with the fault that was named in the place of a built-in
/// experiment.
async fn about(
    service: &ObjectRef,
    args: &Run,
    place: Place<'_>,
    env: &Env,
) -> Result<Loaded, Failure> {
    let [fault] = &args.experiments.names[..] else {
        return Err(Failure::usage("--service takes the name of one fault")
            .hint("for example: kubectl outage run worker-stop --service shop/frontend"));
    };
    let fault = ChosenFault::named(fault)?;
    if let Some(path) = &args.save {
        if path == Path::new(init::STDOUT) {
            return Err(Failure::usage(
                "--save takes a file: standard output is used for the report",
            )
            .hint("`kubectl outage init` writes an experiment to standard output"));
        }
        init::refuse_unsavable(path)?;
    }
    let Access { context, kubeconfig, .. } = &args.execution.access;
    let cluster = live::cluster(context.as_deref(), kubeconfig.as_deref(), env).await?;
    let namespace = args.experiments.namespace.as_deref();
    let application = &init::application(&cluster, service, namespace).await?;
    let names_context = context.is_some();
    let nodes = &cluster.nodes().await.map_err(RunError::refused_by)?;
    let wish = Wish { application, nodes, fault, names_context };
    let written = init::write(&cluster, wish).await?;
    written.chosen.iter().for_each(|line| complain!("   {line}"));
    if let Some(path) = &args.save {
        written.save(path)?;
    }
    let experiments = load::written(written.source, place, env)?;
    Ok(Loaded { experiments, connected: Some(cluster) })
}

async fn dry_run(command: &Command<'_>, experiments: &[Parsed], times: Times) -> u8 {
    let (mut codes, mut plans) = (Vec::new(), DryRun::new(command.env.width, times));
    for parsed in experiments {
        let shown = match command.wanted(parsed) {
            Ok(wanted) => plans.add(parsed, &wanted, command).await,
            Err(error) => Err(error.into()),
        };
        // One that can't be run does not keep the others from it.
        codes.push(shown.unwrap_or_else(|failure| {
            if experiments.len() > 1 {
                complain!("cannot run {}:", parsed.experiment.name);
            }
            failure.report()
        }));
    }
    codes.push(plans.write(command.outputs));
    exit::gravest(codes)
}

/// Errors when an experiment leaves open which leader it means, and says who leads now where
/// its cluster is there.
async fn refuse_open(command: &Command<'_>, experiments: &[Parsed]) -> Result<(), Failure> {
    let mut now = Vec::new();
    for parsed in experiments {
        now.push(if parsed.open().next().is_some() {
            who_leads(command, parsed).await
        } else {
            None
        });
    }
    load::refuse_open(experiments, &now, command.env)
}

/// Who leads in the cluster of an experiment; `None`: it is not there, or does not say.
async fn who_leads(command: &Command<'_>, parsed: &Parsed) -> Option<String> {
    let (wanted, environment) = (
        command.wanted(parsed).ok()?,
        Environment { only_look: true, ..command.environment.clone() },
    );
    match provision::find(&wanted, &environment, &mut |_| {}).await.ok()? {
        Found::ClusterHandle(handle) => Some(plan::who_leads(&leaders::now(&handle).await.ok()?)),
        Found::Absent(_) => None,
    }
}

//! `study`: one experiment in many variants, again and again, until its numbers are known.
//!
//! ```text
//! file -> Study (experiment/study.rs) -> planned.rs (clusters, order, dry run) -> runner.rs (runs, journal) -> result.rs (report)
//! ```

pub(super) mod planned;
pub(super) mod result;
mod runner;

use std::time::Instant;

use planned::Planned;
use result::StudyRuns;
use runner::Runner;

use super::args::{self, ClusterChoice, Execution};
use super::command::Command;
use super::env::Env;
use super::execution::listen;
use super::load::{self, Setting};
use super::outputs::Outputs;
use super::{block_on, exit, failure::Failure};
use crate::engine::backend::embedded;
use crate::engine::error::RunError;
use crate::engine::seed;
use crate::engine::session;
use crate::experiment::{self, Study};
use crate::study::journal::{FORMAT, Ground, Header, Journal, Recorded};

pub(super) fn study(args: &args::Study, env: &Env) -> Result<u8, Failure> {
    let outputs = Outputs::new(&args.output)?;
    if args.dry_run {
        outputs.refuse_unplanned()?;
    }
    let resumed = args.resume.as_deref().map(|id| Recorded::find(&env.runs_dir, id)).transpose()?;
    let file = file(args, resumed.as_ref())?;
    let execution = &execution(args, resumed.as_ref());
    let source = load::study_source(&file, env)?;
    let setting = Setting { place: execution.place(env), namespace: None };
    let study = load::study(source, setting, env)?;
    let inputs = study.cells.iter().flat_map(|cell| cell.parsed.files());
    outputs.refuse_inputs(&inputs.chain(study.source.paths([])).collect::<Vec<_>>())?;
    refuse_unmodelled(&study, execution)?;
    block_on(async {
        let abort = listen()?;
        let environment = execution.environment(env, args.dry_run)?;
        let command = Command::new(execution, env, &outputs, &abort, environment);
        let command = Command { repeat: study.repeat, ..command };
        execution.warn(study.cells.iter().map(|cell| &cell.parsed), env);
        let planned = Planned::new(&study, &command)?;
        if args.dry_run {
            return Ok(planned.dry_run(&command));
        }
        session::refuse_unwritable(&env.runs_dir)?;
        let journal = journal(args, &planned, header(&planned, &file, execution), resumed, env)?;
        let until = args.budget.map(|budget| Instant::now() + budget);
        let ended = Runner::new(&command, &planned, journal, until).carry_out().await;
        command.warned.tell_repeated();
        let result = StudyRuns::read(&Recorded::read(&ended.folder)?);
        let written = result.write(&outputs, env);
        Ok(exit::gravest(ended.codes.into_iter().chain([result.code(), written])))
    })
}

/// What the study is read from: what was named, else what the one that goes on was read from.
fn file(args: &args::Study, resumed: Option<&Recorded>) -> Result<String, Failure> {
    let named = args.filename.as_ref().map(|file| file.to_string_lossy().into_owned());
    let recorded = resumed.map(|study| study.header.file.clone());
    let found = named.or(args.name.clone());
    if found.is_none() && recorded.as_deref() == Some("-") {
        return Err(Failure::usage("the study was read from standard input")
            .hint("pass the same study again, with -f"));
    }
    found.or(recorded).ok_or_else(|| {
        let all = experiment::built_in_studies().join(", ");
        Failure::usage("no study given")
            .hint(format!("pass a file with -f FILE, or the name of a built-in study ({all})"))
    })
}

/// A study goes on where it began.
fn execution(args: &args::Study, resumed: Option<&Recorded>) -> Execution {
    let mut execution = args.execution.clone();
    let nowhere = execution.cluster.is_none() && execution.access.context.is_none();
    match resumed.map(|study| &study.header.on) {
        Some(Ground::Embedded) if nowhere => execution.cluster = Some(ClusterChoice::Embedded),
        Some(Ground::Context { name }) if nowhere => execution.access.context.clone_from(name),
        _ => {}
    }
    execution
}

/// Errors when the model can't show one of the cells: before the first hour, not after it.
fn refuse_unmodelled(study: &Study, execution: &Execution) -> Result<(), Failure> {
    if !execution.is_embedded() {
        return Ok(());
    }
    for cell in &study.cells {
        embedded::refuse_unmodelled(&cell.parsed.experiment).map_err(|error| {
            complain!("cell {}:", cell.name);
            Failure::from(error)
        })?;
    }
    Ok(())
}

fn header(planned: &Planned<'_>, file: &str, execution: &Execution) -> Header {
    let study = planned.study;
    let on = match &execution.access.context {
        _ if execution.is_embedded() => Ground::Embedded,
        Some(name) => Ground::Context { name: Some(name.clone()) },
        None => planned.ground(),
    };
    // It goes on from any directory.
    let path = std::path::Path::new(file);
    let file = path.canonicalize().ok().filter(|path| path.is_file());
    let file = file.map_or_else(|| path.display().to_string(), |path| path.display().to_string());
    Header {
        format: FORMAT.into(),
        name: study.name.clone(),
        question: study.question.clone(),
        file,
        started: jiff::Timestamp::now(),
        on,
        seed: execution.seed.or(study.seed).unwrap_or_else(|| seed::fresh() >> 32),
        repeat: study.repeat,
        rounds: study.rounds,
        nodes: study.nodes,
        cells: planned.records(),
    }
}

/// The journal of the study that goes on, or of a new one. A study goes on when it is named, or when
/// its file is as it was and nothing was finished.
fn journal(
    args: &args::Study,
    planned: &Planned<'_>,
    header: Header,
    resumed: Option<Recorded>,
    env: &Env,
) -> Result<Journal, Failure> {
    let seed = args.execution.seed.or(planned.study.seed);
    let is_same = |study: &Header, header: &Header| {
        study.is_same(header) && seed.is_none_or(|seed| seed == study.seed)
    };
    if let Some(recorded) = resumed {
        if !is_same(&recorded.header, &header) {
            let error = RunError::refused(format!(
                "{} is not the study that {} began with",
                header.file,
                recorded.id()
            ));
            return Err(error
                .hint("its cells, repetitions, seed or cluster have changed: start a new study with `kubectl outage study -f FILE`")
                .into());
        }
        return go_on(recorded, planned);
    }
    let unfinished = Recorded::all(&env.runs_dir).0.into_iter().rev();
    let mut unfinished =
        unfinished.filter(|study| !study.finished && study.header.name == header.name);
    let newest = unfinished.next().filter(|_| !args.new);
    match newest {
        Some(recorded) if is_same(&recorded.header, &header) => go_on(recorded, planned),
        other => {
            if let Some(other) = other {
                complain!(
                    "starting a new study: the unfinished {} has different cells, repetitions, seed or cluster",
                    other.id()
                );
            }
            let journal = Journal::create(&env.runs_dir, header)?;
            complain!("study {} (seed {})", journal.id(), journal.header.seed);
            Ok(journal)
        }
    }
}

fn go_on(recorded: Recorded, planned: &Planned<'_>) -> Result<Journal, Failure> {
    let mut journal = recorded.resume()?;
    result::settle(&mut journal)?;
    let done = journal.entries.iter().filter(|it| it.end.as_ref().is_some_and(|end| end.done));
    complain!(
        "continuing study {}: {} of {} runs are done (seed {})",
        journal.id(),
        done.count(),
        planned.runs(),
        journal.header.seed
    );
    Ok(journal)
}

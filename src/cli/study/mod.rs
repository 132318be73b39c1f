//! `study`: one experiment in many variants, again and again, until its numbers are known.
//!
//! ```text
//! file -> Study (experiment/study.rs) -> planned.rs (clusters, order, dry run) -> runs.rs (journal) -> result.rs (report)
//! ```

pub(super) mod planned;
pub(super) mod result;
mod runs;

use std::time::Instant;

use planned::Planned;
use result::StudyRuns;

use super::args::{self, ClusterChoice, Execution};
use super::command::Command;
use super::env::Env;
use super::execution::listen;
use super::exit::{self, FailOn};
use super::load::{self, Setting};
use super::outputs::Outputs;
use super::{block_on, failure::Failure};
use crate::engine::backend::embedded;
use crate::engine::error::RunError;
use crate::engine::seed;
use crate::engine::session;
use crate::experiment::{self, Study};
use crate::report::not_run::NotRun;
use crate::report::suite::Part;
use crate::study::journal::{FORMAT, Ground, Header, Journal, Recorded};

pub(super) fn study(args: &args::Study, env: &Env) -> Result<u8, Failure> {
    let outputs = Outputs::new(&args.output)?;
    if args.dry_run {
        outputs.refuse_unplanned()?;
    }
    let resumed = args.resume.as_deref().map(|id| Recorded::find(&env.runs_dir, id)).transpose()?;
    let file = file(args, resumed.as_ref())?;
    let execution = &execution(args, resumed.as_ref());
    outputs.refuse_inputs(args.filename.as_slice())?;
    // What waits for a report of this command finds the error there.
    let refuse = |failure: Failure| {
        if !args.dry_run {
            let part = Part::not_run(file.clone(), Vec::new(), NotRun::Refused, failure.line());
            outputs.write_for_programs(&[part], env);
        }
        failure
    };
    let setting = Setting { place: execution.place(env), namespace: None };
    let read = load::study_source(&file, env).and_then(|source| load::study(source, setting, env));
    let study = read.map_err(|failure| match outputs.may_replace_input([file.clone()]) {
        true => failure,
        false => refuse(failure),
    })?;
    let inputs = study.cells.iter().flat_map(|cell| cell.parsed.files());
    outputs.refuse_inputs(&inputs.chain(study.source.paths([])).collect::<Vec<_>>())?;
    refuse_unmodelled(&study, execution).map_err(refuse)?;
    let ended = block_on(async {
        let abort = listen()?;
        let environment = execution.environment(env, args.dry_run)?;
        let command = Command::new(execution, env, &outputs, &abort, environment);
        execution.warn(study.cells.iter().map(|cell| &cell.parsed), env);
        let planned = Planned::new(&study, &command, !args.no_retune)?;
        let header = header(&planned, &file, execution);
        let goes_on = goes_on(args, &planned, &header, resumed, env)?;
        if args.dry_run {
            return Ok(planned.dry_run(&command, goes_on.as_ref()));
        }
        session::refuse_unwritable(&env.runs_dir)?;
        let journal = match goes_on {
            Some(recorded) => go_on(recorded, &planned)?,
            None => begin(header, env)?,
        };
        let until = args.budget.map(|budget| Instant::now() + budget);
        let ended = runs::carry_out(&command, &planned, journal, until).await;
        let result = StudyRuns::read(&Recorded::read(&ended.folder)?);
        let written = result.write(&outputs, env);
        Ok(exit::gravest(ended.codes.into_iter().chain([result.code(FailOn::default()), written])))
    });
    ended.map_err(refuse)
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
        files: planned.files(),
    }
}

/// The study that goes on; `None`: a new one begins. A study goes on when it is named, or when its
/// files are as they were and nothing was finished.
fn goes_on(
    args: &args::Study,
    planned: &Planned<'_>,
    header: &Header,
    resumed: Option<Recorded>,
    env: &Env,
) -> Result<Option<Recorded>, Failure> {
    let seed = args.execution.seed.or(planned.study.seed);
    let changed = |study: &Header| {
        let mut changed = study.changed(header);
        changed.extend(seed.filter(|seed| *seed != study.seed).map(|_| "its seed".to_owned()));
        changed.join(", ")
    };
    if let Some(recorded) = resumed {
        let changed = changed(&recorded.header);
        if !changed.is_empty() {
            let (file, id) = (&header.file, recorded.id());
            let error = RunError::refused(format!("{file} has changed since study {id} began"));
            return Err(error
                .caused_by(format!("changed: {changed}"))
                .hint("start a new study with `kubectl outage study -f FILE`")
                .into());
        }
        return Ok(Some(recorded));
    }
    let all = Recorded::all(&env.runs_dir);
    for damaged in &all.damaged {
        complain!("warning: study {} is left out: {}", damaged.id, damaged.why);
    }
    let newest = all
        .read
        .into_iter()
        .rev()
        .find(|study| !args.new && !study.finished && study.header.name == header.name);
    let Some(newest) = newest else { return Ok(None) };
    match changed(&newest.header) {
        changed if changed.is_empty() => Ok(Some(newest)),
        changed => {
            complain!(
                "starting a new study: since the unfinished {} began, this has changed: {changed}",
                newest.id()
            );
            Ok(None)
        }
    }
}

fn begin(header: Header, env: &Env) -> Result<Journal, Failure> {
    let journal = Journal::create(&env.runs_dir, header)?;
    complain!("study {} (seed {})", journal.id(), journal.header.seed);
    Ok(journal)
}

fn go_on(recorded: Recorded, planned: &Planned<'_>) -> Result<Journal, Failure> {
    let mut journal = recorded.resume()?;
    result::settle(&mut journal)?;
    let done = journal.entries.iter().filter(|it| it.is_done());
    complain!(
        "continuing study {}: {} of {} runs are done (seed {})",
        journal.id(),
        done.count(),
        planned.runs(),
        journal.header.seed
    );
    Ok(journal)
}

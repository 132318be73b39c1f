//! `validate`: checks experiments and studies without touching any cluster.

use std::path::PathBuf;

use super::args::{Experiments, Validate};
use super::env::Env;
use super::load::{Place, Setting};
use super::study::planned;
use super::{block_on, exit, failure::Failure, load, print, shard};
use crate::experiment::{self, Diagnostic, Parsed, Source};
use crate::fault;
use crate::plan::RunLength;
use crate::stats::Seconds;

/// Checks; prints one line for each good experiment or study.
pub(super) fn validate(args: &Validate, env: &Env) -> Result<u8, Failure> {
    let (studies, experiments) = apart(&args.experiments);
    let has_studies = !studies.is_empty();
    for source in studies {
        let file = source.name().to_owned();
        let study = load::study(source, Setting { namespace: None, place: Place::OWN }, env)?;
        load::show(&missing_programs(study.cells.iter().map(|cell| &cell.parsed)), env);
        print(&format!("{file}: {}", planned::summary(&study)));
    }
    if has_studies && experiments.filename.is_empty() && experiments.names.is_empty() {
        return Ok(exit::PASS);
    }
    let experiments = load::experiments(&experiments, Place::OWN, env)?;
    let experiments = shard::members(experiments, args.part.shard, 1, env);
    load::show(&missing_programs(&experiments), env);
    for parsed in experiments {
        let at_least = RunLength::of(&parsed.experiment).at_least;
        print(&format!(
            "{}: valid ({} takes at least {})",
            parsed.source.name(),
            parsed.experiment.name,
            Seconds::from(at_least).to_minutes()
        ));
    }
    Ok(exit::PASS)
}

/// Warnings of programs that this machine does not have, each once: a run may be made on another.
fn missing_programs<'p>(all: impl IntoIterator<Item = &'p Parsed>) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    for parsed in all {
        for missing in block_on(fault::missing_programs(&parsed.experiment)) {
            let text = format!(
                "`{}` is not on PATH: a run on this machine would be refused",
                missing.program
            );
            if found.iter().all(|one| one.message != text) {
                found.push(parsed.warning(&missing.place, text).hint(missing.hint()));
            }
        }
    }
    found
}

/// The studies among what was named, and the rest.
fn apart(named: &Experiments) -> (Vec<Source>, Experiments) {
    let (mut studies, mut rest) = (Vec::new(), named.clone());
    let mut is_study = |name: &str| {
        let study = experiment::as_study(name);
        let found = study.is_some();
        studies.extend(study);
        found
    };
    rest.filename.retain(|file: &PathBuf| !is_study(&file.to_string_lossy()));
    rest.names.retain(|name| !is_study(name));
    (studies, rest)
}

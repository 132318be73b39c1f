//! `validate`: checks experiments and studies without touching any cluster.

use super::args::Validate;
use super::env::Env;
use super::load::{Place, Setting};
use super::study::planned;
use super::{block_on, exit, failure::Failure, load, print, shard};
use crate::experiment::{Diagnostic, Parsed};
use crate::fault;
use crate::plan::RunLength;
use crate::stats::Seconds;

/// Checks; prints one line for each good experiment or study.
pub(super) fn validate(args: &Validate, env: &Env) -> Result<u8, Failure> {
    let (experiments, studies) = load::with_studies(&args.experiments, Place::OWN, env)?;
    for source in studies {
        let file = source.name().to_owned();
        let study = load::study(source, Setting { namespace: None, place: Place::OWN }, env)?;
        load::show(&missing_programs(study.cells.iter().map(|cell| &cell.parsed)), env);
        print(&format!("{file}: {}", planned::summary(&study)));
    }
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

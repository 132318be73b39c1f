//! `report`: prints recorded runs, or a study, again, offline; their verdicts are its exit code only if asked.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::args::Report;
use super::env::Env;
use super::outputs::Outputs;
use super::{exit, failure::Failure, judge, study};
use crate::study::journal::Recorded;
use crate::timeline::Timeline;

pub(super) fn report(args: &Report, env: &Env) -> Result<u8, Failure> {
    let outputs = Outputs::new(&args.output)?;
    if let [name] = &args.runs[..]
        && Timeline::find(&env.runs_dir, name).is_err()
        && let Ok(recorded) = Recorded::find(&env.runs_dir, name)
    {
        let study = study::result::StudyRuns::read(&recorded);
        let written = study.write(&outputs, env);
        let judged = args.exit_code.then(|| study.code());
        return Ok(exit::gravest(judged.into_iter().chain([written])));
    }
    let mut folders = Vec::new();
    for name in &args.runs {
        let folder = Timeline::find(&env.runs_dir, name)?;
        folders.push(folder.canonicalize().unwrap_or(folder));
    }
    let mut runs = Vec::new();
    for folder in distinct(folders) {
        runs.push(judge::judge(&folder)?);
    }
    let written = outputs.report(&judge::parts(&runs), env);
    let judged = runs.iter().filter(|_| args.exit_code).map(judge::Judged::code);
    Ok(exit::gravest(judged.chain([written])))
}

/// A run that was named twice (by its id and as `latest`) counts once.
pub(super) fn distinct(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    folders.into_iter().filter(|folder| seen.insert(folder.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_named_twice_counts_once() {
        let folders = ["b", "a", "b"].map(PathBuf::from).to_vec();
        assert_eq!(distinct(folders), ["b", "a"].map(PathBuf::from));
    }
}

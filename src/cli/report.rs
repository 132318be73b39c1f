//! `report`: judges recorded runs again, offline.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::args::Report;
use super::env::Env;
use super::{exit, failure::Failure, judge};
use crate::timeline::Timeline;

/// Prints the report of runs; exits as their verdicts ask.
pub(super) fn report(args: &Report, env: &Env) -> Result<u8, Failure> {
    let mut folders = Vec::new();
    for name in &args.runs {
        let folder = Timeline::find(&env.runs_dir, name)?;
        folders.push(folder.canonicalize().unwrap_or(folder));
    }
    let mut runs = Vec::new();
    for folder in distinct(folders) {
        runs.push(judge::judge(&folder)?);
    }
    judge::print(&runs, args.output, env);
    Ok(exit::gravest(runs.iter().map(|run| run.code())))
}

/// A run that was named twice (by its id and as `latest`) counts once.
fn distinct(folders: Vec<PathBuf>) -> Vec<PathBuf> {
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

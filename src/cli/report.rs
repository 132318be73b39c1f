//! `report`: judges recorded runs again, offline.

use super::args::Report;
use super::env::Env;
use super::{exit, failure::Failure, judge};
use crate::timeline::Timeline;

/// Prints the report of runs; exits as their verdicts ask.
pub fn report(args: &Report, env: &Env) -> Result<u8, Failure> {
    let mut runs = Vec::new();
    for name in &args.runs {
        runs.push(judge::judge(&Timeline::find(&env.runs_dir, name)?)?);
    }
    judge::print(&runs, args.output, env);
    Ok(exit::gravest(runs.iter().map(|run| run.code())))
}

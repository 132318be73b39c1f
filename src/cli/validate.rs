//! `validate`: checks experiments without touching any cluster.

use super::args::Validate;
use super::env::Env;
use super::load::Place;
use super::{exit, failure::Failure, load, print};
use crate::plan::RunLength;
use crate::stats::Seconds;

/// Checks; prints one line for each good experiment.
pub(super) fn validate(args: &Validate, env: &Env) -> Result<u8, Failure> {
    for parsed in load::experiments(&args.experiments, Place::OWN, env)? {
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

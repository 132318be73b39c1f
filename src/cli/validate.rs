//! `validate`: checks experiments without touching any cluster.

use super::args::Validate;
use super::env::Env;
use super::load::Place;
use super::{exit, failure::Failure, load, print};
use crate::plan::RunLength;

/// Checks; prints one line for each good experiment.
pub(super) fn validate(args: &Validate, env: &Env) -> Result<u8, Failure> {
    for parsed in load::experiments(&args.filename, &args.names, Place::OWN, env)? {
        let at_least = RunLength::of(&parsed.experiment).at_least.as_secs();
        print(&format!(
            "{}: valid ({} takes at least {at_least} s)",
            parsed.source.name(),
            parsed.experiment.name
        ));
    }
    Ok(exit::PASS)
}

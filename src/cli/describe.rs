//! `describe`: what a run recorded.

use super::args::{Describe, Described};
use super::env::Env;
use super::{exit, failure::Failure, judge, print};
use crate::timeline::Timeline;

pub(super) fn describe(args: &Describe, env: &Env) -> Result<u8, Failure> {
    let Described::Run = args.what;
    let folder = Timeline::find(&env.runs_dir, &args.run)?;
    let run = judge::judge(&folder)?;
    print(&run.describe(env.width));
    let folder = folder.canonicalize().unwrap_or(folder);
    print(&format!("Folder: {}", folder.display()));
    Ok(exit::PASS)
}

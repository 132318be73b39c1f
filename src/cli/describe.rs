//! `describe`: what a run or a study recorded.

use std::path::Path;

use super::args::{Describe, Described};
use super::env::Env;
use super::study::result::StudyRuns;
use super::{exit, failure::Failure, judge, print};
use crate::study::journal::Recorded;
use crate::timeline::Timeline;

pub(super) fn describe(args: &Describe, env: &Env) -> Result<u8, Failure> {
    match args.what {
        Described::Run => {
            let folder = Timeline::find(&env.runs_dir, &args.name)?;
            show(&judge::judge(&folder)?.describe(env.width), &folder);
        }
        Described::Study => {
            let study = Recorded::find(&env.runs_dir, &args.name)?;
            show(&StudyRuns::read(&study).describe(&env.style()), &study.folder);
        }
    }
    Ok(exit::PASS)
}

fn show(text: &str, folder: &Path) {
    print(text);
    let folder = folder.canonicalize().unwrap_or(folder.to_owned());
    print(&format!("Folder: {}", folder.display()));
}

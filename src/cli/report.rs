//! `report`: prints recorded runs, or a study, again, offline; their verdicts are its exit code only if asked.

use super::args::Report;
use super::env::Env;
use super::named::Found;
use super::outputs::Outputs;
use super::{exit, failure::Failure, judge, study};
use crate::report::suite::Part;
use crate::study::journal::Recorded;
use crate::timeline::Timeline;

pub(super) fn report(args: &Report, env: &Env) -> Result<u8, Failure> {
    let outputs = Outputs::new(&args.output)?.with_artifacts(args.artifacts.as_deref())?;
    let judges = args.exit_code || args.fail_on.is_some();
    let fail_on = args.fail_on.unwrap_or_default();
    if let [name] = &args.runs[..]
        && Timeline::find(&env.runs_dir, name).is_err()
        && let Ok(recorded) = Recorded::find(&env.runs_dir, name)
    {
        let study = study::result::StudyRuns::read(&recorded);
        let written = study.write(&outputs, env);
        let judged = judges.then(|| study.code(fail_on));
        return Ok(exit::gravest(judged.into_iter().chain([written])));
    }
    let mut found = Found::default();
    for name in &args.runs {
        found.add(name, &env.runs_dir)?;
    }
    if found.folders.is_empty() {
        return Err(Failure::usage(format!("no runs in {}", args.runs.join(", "))));
    }
    let runs = found.folders.iter().map(|folder| judge::judge(folder));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let parts = judge::parts(&runs);
    let written = outputs.report(&parts, env);
    judge::explain_codes(&parts, fail_on);
    let decisive = parts.iter().filter(|_| judges).flat_map(Part::decisive);
    Ok(exit::gravest(decisive.map(|view| judge::code(view, fail_on)).chain([written])))
}

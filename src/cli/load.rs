//! The experiments that were named: loaded and checked, all problems at once.

use std::path::PathBuf;
use std::time::Duration;

use super::diagnostics;
use super::env::Env;
use super::{exit, failure::Failure};
use crate::cluster::KindConfig;
use crate::engine::provision::Wanted;
use crate::engine::run::faults;
use crate::experiment::{self, Diagnostic, Fault, Parsed, Source};
use crate::model::{self, FaultPlan, KubeletEnd};
use crate::timeline::Tuning;

/// A Kubernetes version whose defaults are taken where the cluster is not there yet.
pub const TODAY: &str = "v1.34.0";

/// Loads and checks. Prints warnings and errors; any error ends the command before any harm.
pub fn experiments(files: &[PathBuf], names: &[String], env: &Env) -> Result<Vec<Parsed>, Failure> {
    let named: Vec<String> = files.iter().map(|file| file.to_string_lossy().into_owned()).chain(names.iter().cloned()).collect();
    if named.is_empty() {
        return Err(Failure::usage(
            "error: no experiment named\n\nhint: `kubectl outage run -f FILE`, or one of those inside this program: `kubectl outage get experiments`",
        ));
    }
    let (mut parsed, mut broken) = (Vec::new(), false);
    for name in &named {
        match experiment::load_all(name) {
            Ok(sources) => sources.into_iter().for_each(|source| broken |= !check(source, &mut parsed, env)),
            Err(problems) => {
                show(&problems, env);
                broken = true;
            }
        }
    }
    if broken { Err(Failure::told(exit::USAGE)) } else { Ok(parsed) }
}

/// Whether an experiment is good; if so it is kept.
fn check(source: Source, parsed: &mut Vec<Parsed>, env: &Env) -> bool {
    match experiment::parse(source) {
        Ok(one) => {
            let warnings: Vec<Diagnostic> = one.warnings.iter().cloned().chain(expected(&one)).collect();
            show(&warnings, env);
            parsed.push(one);
            true
        }
        Err(problems) => {
            show(&problems, env);
            false
        }
    }
}

fn show(problems: &[Diagnostic], env: &Env) {
    if !problems.is_empty() {
        eprint!("{}", diagnostics::render(problems, env.stderr.colour, env.stderr.width));
    }
}

/// The settings that the experiment's own kind cluster will have.
pub fn asked_tuning(parsed: &Parsed) -> Option<Tuning> {
    let file = parsed.kind_config.as_ref()?;
    let experiment::Cluster::Kind { tuning, .. } = &parsed.experiment.cluster else { return None };
    let Ok(Wanted::Kind { config, .. }) = Wanted::kind(&file.path, &file.text, *tuning) else { return None };
    Some(KindConfig::parse(&config).ok()?.expected(TODAY))
}

/// Warnings that need the model: a fault that is over before it can be detected.
fn expected(parsed: &Parsed) -> Vec<Diagnostic> {
    let Some(tuning) = asked_tuning(parsed) else { return Vec::new() };
    let mut warnings = Vec::new();
    for (step, fault, hold) in faults(&parsed.experiment) {
        let plan = FaultPlan { end: end_of(fault), hold, nodes: 1, zone: 1, only_zone: false, pods: None };
        for trap in model::traps_of_fault(&plan, &tuning, TODAY) {
            warnings.push(parsed.warning(&format!("spec.method[{step}].for"), trap.text).hint(trap.hint));
        }
    }
    warnings
}

/// The latest time at which a fault will be detected; `None` when it can't be said.
pub fn detection_by(tuning: &Tuning, fault: &Fault) -> Option<Duration> {
    let prediction = model::predict(tuning, TODAY, end_of(fault)).ok()?;
    Some(Duration::from_secs_f64(prediction.detection.most.as_f64()))
}

fn end_of(fault: &Fault) -> KubeletEnd {
    let grace = match fault {
        Fault::NodeStop { grace, .. } => Some(*grace),
        _ => None,
    };
    KubeletEnd::of_fault(fault.kind(), grace)
}

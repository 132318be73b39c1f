//! The experiments that were named: loaded and checked, all problems at once.

use std::path::PathBuf;

use super::diagnostics;
use super::env::Env;
use super::{exit, failure::Failure};
use crate::cluster::KindConfig;
use crate::engine::run::faults;
use crate::experiment::{self, Diagnostic, Parsed};
use crate::model;
use crate::timeline::Tuning;

/// A Kubernetes version whose defaults are taken where the cluster is not there yet.
const TODAY: &str = "v1.34.0";

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
        for source in experiment::load_all(name).map_err(|e| Failure::usage(diagnostics::plain(&e)))? {
            match experiment::parse(source) {
                Ok(one) => {
                    show(&[one.warnings.clone(), expected(&one)].concat(), env);
                    parsed.push(one);
                }
                Err(problems) => {
                    show(&problems.0, env);
                    broken = true;
                }
            }
        }
    }
    if broken { Err(Failure::told(exit::USAGE)) } else { Ok(parsed) }
}

fn show(problems: &[Diagnostic], env: &Env) {
    if !problems.is_empty() {
        eprint!("{}", diagnostics::render(problems, env.stderr.colour, env.stderr.width));
    }
}

/// The settings that the experiment's own kind cluster will have.
pub fn asked_tuning(parsed: &Parsed) -> Option<Tuning> {
    let (_, text) = parsed.kind_config.as_ref()?;
    let mut tuning = KindConfig::parse(text).ok()?.expected(TODAY);
    if let experiment::Cluster::Kind { tuning: Some(asked), .. } = &parsed.experiment.cluster {
        if let Some(update) = asked.node_status_update_frequency {
            tuning.node_status_update_frequency = Some(update);
            tuning.node_status_report_frequency = Some(update);
        }
        tuning.node_monitor_period = asked.node_monitor_period.or(tuning.node_monitor_period);
        tuning.node_monitor_grace_period = asked.node_monitor_grace_period.or(tuning.node_monitor_grace_period);
    }
    Some(tuning)
}

/// Warnings that need the model: a fault that is over before it can be detected.
fn expected(parsed: &Parsed) -> Vec<Diagnostic> {
    let Some(tuning) = asked_tuning(parsed) else { return Vec::new() };
    let mut warnings = Vec::new();
    for (step, fault, hold) in faults(&parsed.experiment) {
        let Some(latest) = model::detection_by(&tuning, fault.kind()) else { continue };
        if hold < latest {
            let text = format!("the fault may be undone before it is detected: detection takes up to {:.1} s here", latest.as_secs_f64());
            let hint = format!("`for: {}s` or longer", latest.as_secs() + 5);
            warnings.extend(parsed.warn(&format!("spec.method[{step}].for"), text, Some(hint)));
        }
    }
    warnings
}

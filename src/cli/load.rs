//! The experiments that were named: loaded and checked, all problems at once.

use std::path::{Path, PathBuf};

use super::env::Env;
use super::{diagnostics, exit, failure::Failure, planned};
use crate::experiment::{self, Diagnostic, Parsed, Source};
use crate::model::About;
use crate::prediction;

/// A Kubernetes version whose defaults are taken where the cluster is not there yet.
pub(super) const TODAY: &str = "v1.34.0";

/// Where experiments are to run, as far as it decides what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the cluster of their own kind config, where they have one.
    Own,
    /// In a cluster that the command names, or nowhere.
    Other,
}

/// Loads and checks. Prints warnings and errors; any error ends the command before any harm, and so does what is left open.
pub(super) fn experiments(
    files: &[PathBuf],
    names: &[String],
    place: Place,
    env: &Env,
) -> Result<Vec<Parsed>, Failure> {
    let parsed = even_open(files, names, place, env)?;
    refuse_open(&parsed, &[], env)?;
    Ok(parsed)
}

/// Errors when something is left open, `now` saying what a cluster that is at hand knows of it.
pub(super) fn refuse_open(
    parsed: &[Parsed],
    now: &[Option<String>],
    env: &Env,
) -> Result<(), Failure> {
    let with = |open: &Diagnostic, now: Option<&String>| match (&open.hint, now) {
        (Some(hint), Some(now)) => open.clone().hint(format!("{hint}; {now}")),
        _ => open.clone(),
    };
    let now = now.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let open: Vec<Diagnostic> = parsed
        .iter()
        .zip(now)
        .flat_map(|(one, now)| one.open().map(move |open| with(open, now)))
        .collect();
    show(&open, env);
    if open.is_empty() { Ok(()) } else { Err(Failure::told(exit::USAGE)) }
}

/// The same, but what is left open is neither printed nor an error yet.
pub(super) fn even_open(
    files: &[PathBuf],
    names: &[String],
    place: Place,
    env: &Env,
) -> Result<Vec<Parsed>, Failure> {
    let named: Vec<String> = files
        .iter()
        .map(|file| file.to_string_lossy().into_owned())
        .chain(names.iter().cloned())
        .collect();
    if named.is_empty() {
        return Err(Failure::usage(
            "error: no experiment named\n\nhint: name a file with -f FILE, or one of those inside this program: `kubectl outage get experiments`",
        ));
    }
    let (mut parsed, mut broken) = (Vec::new(), false);
    for name in &named {
        let (file, cell) = cell(name);
        let first = parsed.len();
        match experiment::load_all(file) {
            Ok(sources) => sources
                .into_iter()
                .for_each(|source| broken |= !check(source, place, &mut parsed, env)),
            Err(problems) => {
                show(&problems, env);
                broken = true;
            }
        }
        if let Some(cell) = cell.filter(|_| !broken) {
            let chosen = only(parsed.split_off(first), cell)?;
            parsed.extend(chosen);
        }
    }
    if broken { Err(Failure::told(exit::USAGE)) } else { Ok(parsed) }
}

/// One experiment of a matrix, as its run is called: `control-plane-away[for=10s]`. A file may have such a name, too.
fn cell(name: &str) -> (&str, Option<&str>) {
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((file, cell)) if !Path::new(name).exists() => (file, Some(cell)),
        _ => (name, None),
    }
}

/// Those of a file that have this setting.
fn only(all: Vec<Parsed>, cell: &str) -> Result<Vec<Parsed>, Failure> {
    let names: Vec<String> = all.iter().map(|one| one.experiment.name.clone()).collect();
    let wanted: Vec<Parsed> =
        all.into_iter().filter(|one| one.experiment.name.ends_with(&format!("[{cell}]"))).collect();
    match wanted.is_empty() {
        false => Ok(wanted),
        true => Err(Failure::usage(format!(
            "error: no experiment [{cell}]\n\nhint: there are {}",
            names.join(", ")
        ))),
    }
}

/// Whether a file is good; if so its experiments are kept.
fn check(source: Source, place: Place, parsed: &mut Vec<Parsed>, env: &Env) -> bool {
    match experiment::parse_all_with(source, &|one| more(one, place)) {
        Ok(all) => {
            for one in all {
                let warnings: Vec<Diagnostic> =
                    one.warnings.iter().filter(|problem| !problem.is_open()).cloned().collect();
                show(&warnings, env);
                parsed.push(one);
            }
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
        complain!(
            "{}",
            diagnostics::render(problems, env.stderr.colour, env.stderr.width).trim_end()
        );
    }
}

/// The text of a kind config.
pub(super) fn kind_config(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("error: cannot read {}: {e}", path.display())))
}

/// What the experiment's modules can't know: what the engine would refuse, and what the model expects.
fn more(parsed: &Parsed, place: Place) -> Vec<Diagnostic> {
    let refused =
        if place == Place::Own { planned::refused(parsed) } else { parsed.without_nodes() };
    let clean = refused.is_empty() && !parsed.warnings.has_errors();
    refused.into_iter().chain(if clean { expected(parsed) } else { Vec::new() }).collect()
}

/// Warnings that need the model: a fault that is over before it can be detected.
fn expected(parsed: &Parsed) -> Vec<Diagnostic> {
    let Some(ground) = planned::today(parsed) else { return Vec::new() };
    let traps = prediction::traps(&parsed.experiment, &ground)
        .into_iter()
        .filter(|(_, trap)| trap.about == About::Hold);
    let steps = parsed.experiment.steps();
    let place = |number: u32| {
        steps.iter().find(|step| step.number == number).map(|step| format!("{}.for", step.place))
    };
    traps
        .map(|(step, trap)| {
            parsed.warning(&place(step).unwrap_or_default(), trap.text).hint(trap.hint)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str) -> Vec<Parsed> {
        experiment::parse_all(experiment::load(name).unwrap()).unwrap()
    }

    #[test]
    fn nothing_is_odd_about_those_inside_this_program() {
        for name in experiment::built_in_names() {
            let all = experiment::parse_all_with(experiment::load(name).unwrap(), &|one| {
                more(one, Place::Own)
            });
            all.unwrap().iter().for_each(|one| assert_eq!(one.warnings.to_string(), "", "{name}"));
        }
    }

    #[test]
    fn one_experiment_of_a_matrix_is_named_as_its_run_is() {
        let names = all("control-plane-away").into_iter().map(|one| one.experiment.name);
        let whole = names.last().unwrap();
        let (file, setting) = cell(&whole);
        assert_eq!(file, "control-plane-away");
        let chosen = only(all(file), setting.unwrap()).unwrap();
        assert_eq!(
            chosen.iter().map(|one| one.experiment.name.as_str()).collect::<Vec<_>>(),
            [whole.as_str()]
        );
        let refused = only(all(file), "for=7s").unwrap_err();
        assert!(refused.code == exit::USAGE && refused.text.contains(&whole), "{}", refused.text);
        assert_eq!((cell("node-kill"), cell("a]")), (("node-kill", None), ("a]", None)));
    }
}

//! The experiments that were named: loaded and checked, all problems together.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::args::Experiments;
use super::env::Env;
use super::generator::ChosenFault;
use super::{diagnostics, expected_cluster, failure::Failure};
use crate::experiment::{self, Cluster, Diagnostic, Diagnostics, Parsed, Source, Study};
pub(super) use crate::experiment::{Place, Setting};
use crate::kind_config::{self, KindConfig, Kubernetes};
use crate::lint;
use crate::model::About;
use crate::plan::{self, Known, Nodes, Request};
use crate::prediction::{self, StepTrap};
use crate::timeline::include_labels;

/// Loads and checks. Prints warnings and errors; any error ends the command before any fault, and so
/// does what is left open.
pub(super) fn experiments(
    named: &Experiments,
    place: Place,
    env: &Env,
) -> Result<Vec<Parsed>, Failure> {
    let parsed = even_open(named, place, env)?;
    refuse_open(&parsed, &[], env)?;
    Ok(parsed)
}

/// The same, and the studies among what was named or in a directory that was: they are not checked
/// yet.
pub(super) fn with_studies(
    named: &Experiments,
    place: Place,
    env: &Env,
) -> Result<(Vec<Parsed>, Vec<Source>), Failure> {
    let mut studies = Vec::new();
    let parsed = read(named, place, Some(&mut studies), env)?;
    refuse_open(&parsed, &[], env)?;
    Ok((parsed, studies))
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
    if open.is_empty() { Ok(()) } else { Err(Failure::reported(&open)) }
}

/// An experiment that was written for this command, checked as one that a person wrote.
pub(super) fn written(source: Source, place: Place, env: &Env) -> Result<Vec<Parsed>, Failure> {
    let all = checked(source, Setting { place, namespace: None }).map_err(|problems| {
        show(&problems, env);
        Failure::reported(&problems)
    })?;
    show(&warnings(&all), env);
    Ok(all)
}

/// The same, but what is left open is neither printed nor an error yet.
pub(super) fn even_open(
    experiments: &Experiments,
    place: Place,
    env: &Env,
) -> Result<Vec<Parsed>, Failure> {
    read(experiments, place, None, env)
}

/// `studies`: where they go; without it, they are none of what is asked for.
fn read(
    experiments: &Experiments,
    place: Place,
    mut studies: Option<&mut Vec<Source>>,
    env: &Env,
) -> Result<Vec<Parsed>, Failure> {
    let setting = Setting { place, namespace: experiments.namespace.as_deref() };
    let named = experiments.all();
    if named.is_empty() {
        return Err(Failure::usage("no experiment given").hint("pass a file with -f FILE, or the name of a built-in experiment (`kubectl outage get experiments`)"));
    }
    let (mut parsed, mut broken) = (Vec::new(), Vec::new());
    for name in &named {
        if let Some(studies) = &mut studies
            && let Some(study) = experiment::as_study(name)
        {
            studies.push(study);
            continue;
        }
        let (file, cell) = cell(name);
        let first = parsed.len();
        match experiment::load_all(file) {
            Ok(sources) => {
                for source in own(file, sources, studies.as_deref_mut())? {
                    match checked(source, setting) {
                        Ok(all) => parsed.extend(all),
                        Err(problems) => {
                            show(&problems, env);
                            broken.extend(problems);
                        }
                    }
                }
            }
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(|one| for_service(one, file)).collect();
                show(&problems, env);
                broken.extend(problems);
            }
        }
        if let Some(cell) = cell.filter(|_| broken.is_empty()) {
            let chosen = only(parsed.split_off(first), cell)?;
            parsed.extend(chosen);
        }
    }
    show(&warnings(&parsed), env);
    let twice = same_names(&parsed);
    show(&twice, env);
    broken.extend(twice);
    if broken.is_empty() { Ok(parsed) } else { Err(Failure::reported(&broken)) }
}

/// What could not be loaded, and how it is run where it is the name of a fault for a Service.
fn for_service(problem: &Diagnostic, name: &str) -> Diagnostic {
    let hint = problem.hint.as_deref().filter(|_| ChosenFault::names().any(|fault| fault == name));
    match hint {
        Some(hint) => problem.clone().hint(format!(
            "with `--service NAMESPACE/NAME`, `kubectl outage run {name}` probes an existing \
             Service during this fault; {hint}"
        )),
        None => problem.clone(),
    }
}

/// The experiments of a directory: its other YAML files are named in one line, and skipped. A file
/// that is named itself is meant to be one.
fn own(
    path: &str,
    sources: Vec<Source>,
    studies: Option<&mut Vec<Source>>,
) -> Result<Vec<Source>, Failure> {
    if !Path::new(path).is_dir() {
        return Ok(sources);
    }
    let (mut foreign, own): (Vec<Source>, Vec<Source>) =
        sources.into_iter().partition(|one| one.is_foreign() || experiment::is_study(one));
    let mut has_studies = false;
    if let Some(studies) = studies {
        let found: Vec<Source> = foreign.extract_if(.., |one| experiment::is_study(one)).collect();
        has_studies = !found.is_empty();
        studies.extend(found);
    }
    let names: Vec<&str> = foreign.iter().map(Source::name).collect();
    if own.is_empty() && !has_studies {
        return Err(Failure::usage(format!("no experiment in {path}"))
            .hint(format!("not `kind: Experiment`: {}", names.join(", "))));
    }
    if !names.is_empty() {
        complain!("skipped, not `kind: Experiment`: {}", names.join(", "));
    }
    Ok(own)
}

/// Experiments of one name can't be told apart in a report, nor by their runs.
fn same_names(parsed: &[Parsed]) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<&str, &Parsed> = BTreeMap::new();
    let mut problems = Vec::new();
    for one in parsed {
        let name = one.experiment.name.as_str();
        match seen.get(name) {
            None => _ = seen.insert(name, one),
            Some(first) => {
                let other = first.locate("metadata.name");
                let problem = if first.source.name() == one.source.name() {
                    one.error("metadata.name", format!("`{name}` was given twice"))
                        .hint("--repeat N runs an experiment several times")
                } else {
                    one.error("metadata.name", format!("there are two experiments called `{name}`"))
                        .hint("give each experiment its own name")
                        .related(&other.file, other.span, "the other one")
                };
                problems.push(problem);
            }
        }
    }
    problems
}

/// One experiment of a matrix, as its run is called: `control-plane-away[for=10s]`. A file may have
/// such a name, too.
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
        true => Err(Failure::usage(format!("no experiment [{cell}]"))
            .hint(format!("there are {}", names.join(", ")))),
    }
}

/// The experiments of a file, or all that is wrong with them.
pub(super) fn checked(source: Source, setting: Setting) -> Result<Vec<Parsed>, Diagnostics> {
    let mut reading = experiment::read_for(source, setting);
    for one in &mut reading.experiments {
        let found = more(one, setting.place);
        one.warnings.extend(found);
    }
    reading.finish()
}

/// A study, its cells checked as experiments are. Prints warnings and errors; any error ends the
/// command, and so does what is left open.
pub(super) fn study(source: Source, setting: Setting, env: &Env) -> Result<Study, Failure> {
    let mut reading = experiment::read_study(source, setting);
    for cell in &mut reading.study.cells {
        let found = more(&cell.parsed, setting.place);
        cell.parsed.warnings.extend(found);
    }
    match reading.finish() {
        Ok(study) => {
            show(&study.warnings, env);
            Ok(study)
        }
        Err(problems) => {
            show(&problems, env);
            Err(Failure::reported(&problems))
        }
    }
}

/// What a study is read from: a file, or the name of a built-in one.
pub(super) fn study_source(name: &str, env: &Env) -> Result<Source, Failure> {
    experiment::load_study(name).map_err(|problems| {
        show(&problems, env);
        Failure::reported(&problems)
    })
}

/// The same without what the model expects.
#[cfg(test)]
pub(super) fn accepted(source: Source) -> Result<Vec<Parsed>, Diagnostics> {
    let mut reading = experiment::read(source);
    for one in &mut reading.experiments {
        let found = refused(one, Place::OWN);
        one.warnings.extend(found);
    }
    reading.finish()
}

/// Their warnings. What several experiments have in common is drawn at the first, and counted.
fn warnings(experiments: &[Parsed]) -> Vec<Diagnostic> {
    let mut all: Vec<(Diagnostic, usize)> = Vec::new();
    let warnings = experiments.iter().flat_map(|one| one.warnings.iter());
    for warning in warnings.filter(|problem| !problem.is_open()) {
        let same = |known: &&mut (Diagnostic, usize)| {
            (&known.0.message, &known.0.hint) == (&warning.message, &warning.hint)
        };
        match all.iter_mut().find(same) {
            Some((_, more)) => *more += 1,
            None => all.push((warning.clone(), 0)),
        }
    }
    let with_count = |(mut warning, more): (Diagnostic, usize)| {
        if more > 0 {
            warning.message += &format!(" ({more} more like this)");
        }
        warning
    };
    all.into_iter().map(with_count).collect()
}

pub(super) fn show(problems: &[Diagnostic], env: &Env) {
    if !problems.is_empty() {
        complain!(
            "{}",
            diagnostics::render(problems, env.stderr.colour, env.stderr.width).trim_end()
        );
    }
}

/// Prints what is wrong with a file.
pub(super) fn unusable(problems: &[Diagnostic], env: &Env) -> Failure {
    show(problems, env);
    Failure::reported(problems)
}

/// A kind config that a flag names, for this version of Kubernetes where its images do not tell
/// one. Its warnings are printed.
pub(super) fn kind_config(path: &Path, kubernetes: &str, env: &Env) -> Result<KindConfig, Failure> {
    let source = experiment::load_file(path).map_err(|problems| unusable(&problems, env))?;
    let reading = kind_config::read(source.file(), Kubernetes::Default(kubernetes));
    if !reading.problems.has_errors() {
        show(&reading.problems, env);
    }
    reading.usable().map_err(|problems| unusable(&problems, env))
}

/// What the file alone does not say: what a run would refuse, and what the model expects.
fn more(parsed: &Parsed, place: Place) -> Vec<Diagnostic> {
    let refused = refused(parsed, place);
    let clean = refused.is_empty() && !parsed.warnings.has_errors();
    let expected = if clean { expected(parsed) } else { Vec::new() };
    let found = refused.into_iter().chain(unlabelled(parsed)).chain(expected);
    found.chain(harmful_settings(parsed)).collect()
}

/// What `lint` calls an error of the kind config's settings. Those of a `tuning` have their place
/// in the experiment.
fn harmful_settings(parsed: &Parsed) -> Vec<Diagnostic> {
    let Some(config) = &parsed.kind_config else { return Vec::new() };
    let is_tuned = matches!(&parsed.experiment.cluster, Cluster::Kind { tuning: Some(_), .. });
    let locate = |problem: Diagnostic| match is_tuned {
        true => Diagnostic { at: Some(parsed.locate("spec.cluster.kind.tuning")), ..problem },
        false => problem,
    };
    lint::harmful_settings(config).into_iter().map(locate).collect()
}

/// Labels that a new node has besides those of its kind config.
const LABELS_OF_KUBERNETES: &[&str] =
    &["kubernetes.io/arch", "beta.kubernetes.io/", "node.kubernetes.io/"];

/// Warnings of labels by which no node of the kind config is chosen, or which none has for a command:
/// someone must add them first.
fn unlabelled(parsed: &Parsed) -> Vec<Diagnostic> {
    let Some(config) = &parsed.kind_config else { return Vec::new() };
    let warning = |place: &str, labels: &str| {
        let message = format!("no node of {} has the label {labels}", config.path());
        parsed.warning(place, message).hint(
            "set it in the node's `labels` in the kind config; a run that finds no node is refused",
        )
    };
    let is_known = |name: &str| !LABELS_OF_KUBERNETES.iter().any(|own| name.starts_with(own));
    let mut found = Vec::new();
    for step in parsed.experiment.steps() {
        let Some((fault, _)) = step.fault() else { continue };
        let place = format!("{}.fault.{}", step.place, fault.kind());
        let labels = fault.target().map(|target| &target.labels);
        if let Some(labels) = labels.filter(|all| all.keys().all(|name| is_known(name)))
            && !config.nodes.iter().any(|node| include_labels(&node.labels, labels))
        {
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            found.push(warning(&format!("{place}.target.labels"), &labels.join(", ")));
        }
        for (field, label) in fault.labels_in_commands() {
            if is_known(&label) && !config.nodes.iter().any(|it| it.labels.contains_key(&label)) {
                found.push(warning(&format!("{place}.{field}"), &label));
            }
        }
    }
    found
}

/// What a run would refuse, at its places.
fn refused(parsed: &Parsed, place: Place) -> Vec<Diagnostic> {
    let nodes = match place {
        Place::Own(_) => expected_cluster::nodes(parsed),
        Place::Other => None,
    };
    let plan = plan::plan(Request {
        experiment: &parsed.experiment,
        nodes: nodes.as_deref().map_or(Nodes::Unknown, Nodes::Expected),
        known: Known::default(),
        seed: None,
        undo_timer_margin: Duration::ZERO,
    });
    // That a step shares the nodes of no other was reported at its place.
    let refused =
        plan.refused.into_iter().filter(|one| !parsed.has_error_at(&format!("{}.of", one.place)));
    refused.map(|one| parsed.error(&one.place, one.why.message).hint_if(one.why.hint)).collect()
}

/// Warnings that need the model: a fault that is over before it can be detected.
fn expected(parsed: &Parsed) -> Vec<Diagnostic> {
    let steps = parsed.experiment.steps();
    let place = |number: u32| {
        steps.iter().find(|step| step.number == number).map(|step| format!("{}.for", step.place))
    };
    hold_traps(parsed)
        .into_iter()
        .map(|StepTrap { step, trap }| {
            parsed.warning(&place(step).unwrap_or_default(), trap.text).hint(trap.hint)
        })
        .collect()
}

/// The faults that are over too soon in the cluster that the experiment makes.
pub(super) fn hold_traps(parsed: &Parsed) -> Vec<StepTrap> {
    let Some(cluster) = expected_cluster::model(parsed) else { return Vec::new() };
    let traps = prediction::traps(&parsed.experiment, &cluster).into_iter();
    traps.filter(|it| it.trap.about == About::Hold).collect()
}

#[cfg(test)]
mod tests;

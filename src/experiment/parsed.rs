//! The whole way: source -> [`Parsed`], or all that is wrong with it.

use std::path::PathBuf;

use super::decode::fields::Cx;
use super::decode::{self, Draft};
use super::diagnostic::{Diagnostic, Diagnostics, Location, Span};
use super::files::{self, Files, Setting};
use super::matrix::Variant;
use super::resolve::{Names, resolve};
use super::schema::{Cluster, Expectation, Experiment};
use super::source::Source;
use super::tree::Node;
use super::{check, matrix, yaml};
use crate::kind_config::KindConfig;
use crate::timeline::{Places, Tuning};
use crate::workload::Manifest;
use crate::yaml::hidden;

/// An experiment without errors, and everything that had to be read for it, before any fault.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub experiment: Experiment,
    /// What is odd about it, and what it leaves open; none of these is an error.
    pub warnings: Diagnostics,
    pub source: Source,
    pub workload: Manifest,
    /// The kind config with the experiment's own tuning; `None` where the experiment runs in
    /// another cluster.
    pub kind_config: Option<KindConfig>,
    /// What the kind config sets that it names, where it runs in another cluster.
    pub own_tuning: Option<Tuning>,
    root: Node,
}

impl Parsed {
    /// Its name in the file: without the setting that sets it apart from the others of a matrix.
    pub(crate) fn file_name(&self) -> &str {
        self.experiment.name.split('[').next().unwrap_or_default()
    }

    /// What it leaves open: it can't be run as it is.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Diagnostic> {
        self.warnings.iter().filter(|problem| problem.is_open())
    }

    /// The place of a field, such as `spec.method[0].for`; where the file leaves it out, of the
    /// nearest field around it.
    pub(crate) fn locate(&self, path: &str) -> Location {
        Location { file: self.source.file().clone(), span: self.root.find(path).0.focus() }
    }

    /// Where its expectations are written; `None`: in no file.
    pub(crate) fn places(&self) -> Option<Places> {
        let file = self.source.path()?;
        let line = |(index, one): (usize, &Expectation)| {
            self.locate(&format!("spec.expect[{index}].{}", one.kind())).span.line as u32
        };
        let expectations = self.experiment.expect.iter().enumerate().map(line).collect();
        Some(Places { file: file.to_owned(), expectations })
    }

    /// The settings of failure detection that its claims are about, where it runs in a cluster that
    /// its kind config does not describe. Faults on objects do not depend on them.
    pub(crate) fn claimed_tuning(&self) -> Option<Tuning> {
        let Experiment { claims, .. } = &self.experiment;
        self.own_tuning.filter(|_| !claims.is_empty() && self.experiment.faults_on_nodes())
    }

    /// The files that it was read from: its own, and those that it names.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let Experiment { workload, cluster, probes, .. } = &self.experiment;
        let mut probes = probes.clone();
        let of_probes = probes.iter_mut().flat_map(|probe| probe.ask.files_mut());
        let config = match cluster {
            Cluster::Kind { config, .. } => Some(config.as_path()),
            _ => None,
        };
        let named = workload.iter().map(PathBuf::as_path).chain(config);
        self.source.paths(named.chain(of_probes.map(|named| named.file)))
    }

    /// Its file as timelines have it: with `*` in the place of secrets.
    pub(crate) fn recorded_text(&self) -> String {
        hidden::document(self.source.text(), &self.root).into_owned()
    }

    pub(crate) fn has_error_at(&self, path: &str) -> bool {
        let place = self.locate(path);
        self.warnings.iter().any(|one| one.is_error() && one.at.as_ref() == Some(&place))
    }

    /// An error at a field's place, for what only the caller can know (what a run would refuse,
    /// say).
    pub(crate) fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.locate(path);
        Diagnostic::error(message).at(&place.file, place.span)
    }

    /// A warning at a field's place, for what only the caller can know (what the model expects,
    /// say).
    pub(crate) fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.locate(path);
        Diagnostic::warning(message).at(&place.file, place.span)
    }
}

/// A file, read: the experiments that could be understood, each with what is wrong with it so far.
pub(crate) struct Reading {
    /// Whoever knows more may add to their problems.
    pub experiments: Vec<Parsed>,
    /// What could not be understood.
    problems: Diagnostics,
}

impl Reading {
    /// The experiments, or all that is wrong with any of them, in the file's order. What is wrong
    /// with several is reported once.
    pub(crate) fn finish(self) -> Result<Vec<Parsed>, Diagnostics> {
        let mut wrong = self.problems;
        for one in &self.experiments {
            if one.warnings.has_errors() {
                wrong.add_new(one.warnings.clone());
            }
        }
        wrong.sort();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut experiments = self.experiments;
        experiments.iter_mut().for_each(|one| one.warnings.sort());
        Ok(experiments)
    }
}

/// Reads and checks a file, and the files that it names: one experiment, or several where settings
/// are lists (`matrix.rs`).
pub(crate) fn read_for(source: Source, setting: Setting) -> Reading {
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(source.file(), &mut problems);
    let Some(root) = documents.and_then(|all| only_document(&source, all, &mut problems)) else {
        return Reading { experiments: Vec::new(), problems };
    };
    let variants = matrix::expand(source.file(), &root, &mut problems);
    let mut reading = Reading { experiments: Vec::new(), problems: Diagnostics::default() };
    for variant in variants {
        match one(source.clone(), variant, problems.clone(), setting) {
            Ok(one) => reading.experiments.push(one),
            Err(wrong) => reading.problems.add_new(wrong),
        }
    }
    reading
}

/// The same for a run in the experiment's own cluster.
pub(crate) fn read(source: Source) -> Reading {
    read_for(source, Setting::OWN)
}

/// The same for whoever adds nothing. Errors: all problems, errors and warnings.
pub(crate) fn parse_all(source: Source) -> Result<Vec<Parsed>, Diagnostics> {
    read(source).finish()
}

/// The same of a file that is one experiment; of several the first.
pub(crate) fn parse(source: Source) -> Result<Parsed, Diagnostics> {
    parse_all(source).map(|mut all| all.swap_remove(0))
}

/// One experiment of a file; `problems` are those of the file as a whole.
pub(super) fn one(
    source: Source,
    Variant { setting, root }: Variant,
    mut problems: Diagnostics,
    command: Setting,
) -> Result<Parsed, Diagnostics> {
    let cx = Cx::new(source.file());
    let mut draft = decode::experiment(&cx, &root);
    if let (Some(draft), Some(namespace)) = (&mut draft, command.namespace) {
        draft.namespace = Some(namespace.to_owned());
    }
    let files = draft
        .as_mut()
        .map(|draft| files::read(&cx, &root, draft, &source, command.place))
        .unwrap_or_default();
    let namespace = draft.as_ref().and_then(|draft| draft.namespace.clone());
    let names = Names {
        workload: &files.workload,
        has_workload: draft.as_ref().is_some_and(|draft| !draft.workload.is_empty()),
        namespace: namespace.as_deref(),
    };
    if let Some(draft) = &draft {
        check::check(&cx, &root, draft, &files, &names);
        if !draft.is_complete() {
            check::radius(&cx, &root, draft, &names);
        }
    }
    problems.extend(cx.into_problems());
    let Some(mut experiment) = draft.and_then(Draft::complete) else {
        // Whatever was not understood has been reported: nothing is refused in silence.
        if !problems.has_errors() {
            let message = "this experiment could not be read: internal error, please report it";
            problems.push(Diagnostic::error(message).at(source.file(), root.focus()));
        }
        return Err(problems);
    };
    experiment.name.extend(setting.map(|setting| format!("[{setting}]")));
    resolve(&mut experiment, &names);
    Ok(assemble(experiment, source, root, &files, problems))
}

pub(super) fn only_document(
    source: &Source,
    documents: Vec<Node>,
    problems: &mut Diagnostics,
) -> Option<Node> {
    let file = source.file();
    match <[Node; 1]>::try_from(documents) {
        Ok([root]) => return Some(root),
        Err(none) if none.is_empty() => {
            problems.push(
                Diagnostic::error("the file is empty").at(file, Span::of_bytes(&file.text, 0, 0)),
            );
        }
        Err(several) => {
            let message =
                "an experiment file must contain a single YAML document; this is a second one";
            let hint = "put each experiment into its own file, all in one directory";
            problems.push(Diagnostic::error(message).at(file, several[1].focus()).hint(hint));
        }
    }
    None
}

fn assemble(
    experiment: Experiment,
    source: Source,
    root: Node,
    files: &Files,
    warnings: Diagnostics,
) -> Parsed {
    let Files { workload, kind_config, own_tuning, .. } = files;
    let (workload, kind_config) = (workload.clone(), kind_config.clone());
    Parsed { experiment, warnings, workload, kind_config, own_tuning: *own_tuning, source, root }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::experiment::schema::*;
    use crate::experiment::source::{built_in_names, load};
    use crate::timeline::NodeRole;

    /// As the design has it, comments included.
    const DESIGNED: &str = include_str!("testdata/designed.yaml");

    fn designed() -> Parsed {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
        parse(Source::from_text("x.yaml", DESIGNED, folder))
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn the_designed_example_says_what_it_says() {
        let experiment = designed().experiment;
        let worker = NodeSelector {
            role: Some(NodeRole::Worker),
            most_endpoints_of: Some("web".into()),
            ..NodeSelector::default()
        };
        let seconds = Duration::from_secs;
        assert_eq!(experiment.name, "worker-stop-fast");
        assert_eq!(
            experiment.cluster,
            Cluster::Kind { config: "../kind-configs/fast-detection.yaml".into(), tuning: None }
        );
        assert_eq!(
            (experiment.probes[0].rate, experiment.probes[0].timeout),
            (50.0, Duration::from_millis(200))
        );
        assert_eq!(
            experiment.method,
            [Step::Fault {
                name: None,
                fault: Fault::NodeStop { target: worker, grace: seconds(10) },
                hold: seconds(15),
                meanwhile: Vec::new()
            }]
        );
        assert_eq!(
            experiment.expect,
            [
                Expectation::Detection {
                    of: None,
                    after: None,
                    within: Bound::Fixed(seconds(7)),
                    at_least: None
                },
                Expectation::ErrorWindow {
                    probe: "web".into(),
                    at_most: Some(Bound::Fixed(seconds(8))),
                    at_least: None,
                    counts: ErrorTime::FirstToLast,
                },
                Expectation::Recovery { within: Bound::Fixed(seconds(60)) },
            ]
        );
        assert_eq!(experiment.blast_radius, BlastRadius::default());
        assert_eq!(
            (experiment.workload_timeout, experiment.steady_state_timeout),
            (seconds(120), seconds(120))
        );
    }

    #[test]
    fn everything_is_read_before_any_fault() {
        let parsed = designed();
        assert!(
            parsed.workload.objects()[0].file().name.ends_with("experiments/workloads/web.yaml")
        );
        assert_eq!(parsed.kind_config.unwrap().name, "fast-detection");
    }

    #[test]
    fn a_caller_can_warn_at_a_field() {
        let warning = designed().warning("spec.method[0].for", "too short").hint("make it longer");
        assert_eq!(warning.to_string(), "x.yaml:22:10: warning: too short (make it longer)");
    }

    #[test]
    fn a_field_that_is_not_there_is_located_nearby() {
        assert_eq!(designed().locate("spec.method[0].fault.nodeStop.grace").span.line, 21);
        assert_eq!(designed().locate("spec.blastRadius").span.line, 4);
    }

    #[test]
    fn every_built_in_experiment_is_right_and_named_as_its_file() {
        for name in built_in_names() {
            for parsed in
                parse_all(load(name).unwrap()).unwrap_or_else(|problems| panic!("{problems}"))
            {
                assert_eq!(parsed.warnings.to_string(), "", "{name}");
                assert_eq!(parsed.file_name(), name);
                assert!(parsed.experiment.question.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn experiments_for_existing_applications_are_right_and_named_as_their_files() {
        let folders = ["apps", "machines", "chaos-mesh", "litmus"]
            .map(|name| format!(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/{}"), name));
        let files: Vec<_> = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .map(|file| file.unwrap().path())
            .collect();
        assert!(files.len() >= 18, "{files:?}");
        for path in files {
            let folder = path.parent().unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let parsed = parse(Source::from_text(path.to_str().unwrap(), text, folder))
                .unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(parsed.warnings.to_string(), "", "{name}");
            assert_eq!(parsed.file_name(), name);
            assert!(parsed.experiment.question.is_some() && parsed.experiment.workload.is_empty());
        }
    }

    #[test]
    fn a_list_of_settings_is_an_experiment_each() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
        let source =
            |hold: &str| Source::from_text("x.yaml", DESIGNED.replace("for: 15s", hold), folder);
        let all = parse_all(source("for: [10s, 1m]")).unwrap();
        let diagnostics: Vec<_> =
            all.iter().map(|p| (p.experiment.name.as_str(), p.file_name())).collect();
        let name = "worker-stop-fast";
        assert_eq!(
            diagnostics,
            [("worker-stop-fast[for=10s]", name), ("worker-stop-fast[for=1m]", name)]
        );
        assert!(
            matches!(all[1].experiment.method[0], Step::Fault { hold, .. } if hold == Duration::from_secs(60))
        );
        let wrong = parse_all(source("for: [12s, 1, 1m]\n    fro: 1s")).unwrap_err().to_string();
        assert_eq!(wrong.lines().count(), 2, "each once: {wrong}");
        assert!(
            wrong.contains("x.yaml:22:16: ") && wrong.contains("unknown field `fro`"),
            "{wrong}"
        );
    }

    #[test]
    fn an_experiment_survives_the_timeline() {
        let experiment = designed().experiment;
        let json = serde_json::to_value(&experiment).unwrap();
        assert_eq!(serde_json::from_value::<Experiment>(json).unwrap(), experiment);
    }
}

//! The whole way: source -> [`Parsed`], or all that is wrong with it.

use super::decode::fields::Cx;
use super::decode::{self, Draft};
use super::diagnostic::{Diagnostic, Diagnostics, Location, Span};
use super::files::{self, Files};
use super::matrix::Variant;
use super::schema::Experiment;
use super::source::Source;
use super::tree::Node;
use super::{check, matrix, yaml};

/// An experiment without errors, and everything that had to be read for it, before any harm.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    /// The experiment.
    pub experiment: Experiment,
    /// What is odd about it, and what it leaves open; none of these is an error.
    pub warnings: Diagnostics,
    /// Where it came from.
    pub source: Source,
    /// The files of Kubernetes objects, in the order of `workload`.
    pub workload: Vec<WorkloadFile>,
    /// The kind config; `None` where the experiment runs on a context.
    pub kind_config: Option<KindConfigFile>,
    without_nodes: Vec<Diagnostic>,
    root: Node,
}

/// A file of Kubernetes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadFile {
    /// Its path, for people.
    pub path: String,
    /// Its text: one YAML document or several.
    pub text: String,
}

/// A kind config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindConfigFile {
    /// Its path, for people.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The cluster's name in it.
    pub name: String,
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

    /// What would be refused of the method, as far as the file alone tells: for who doesn't know the nodes.
    pub(crate) fn without_nodes(&self) -> Vec<Diagnostic> {
        self.without_nodes.clone()
    }

    /// The place of a field, such as `spec.method[0].for`; where the file leaves it out, of the nearest field around it.
    pub(crate) fn locate(&self, path: &str) -> Location {
        Location { file: self.source.file().clone(), span: self.root.find(path).0.focus() }
    }

    /// An error at a field's place, for what only the caller can know (what a run would refuse, say).
    pub(crate) fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.locate(path);
        Diagnostic::error(message).at(&place.file, place.span)
    }

    /// A warning at a field's place, for what only the caller can know (what the model expects, say).
    pub(crate) fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.locate(path);
        Diagnostic::warning(message).at(&place.file, place.span)
    }
}

/// Parses and checks a file, and reads the files that it names: one experiment, or several where settings are lists (`matrix.rs`).
/// Errors: all problems, errors and warnings, in the file's order.
pub(crate) fn parse_all(source: Source) -> Result<Vec<Parsed>, Diagnostics> {
    parse_all_with(source, &Parsed::without_nodes)
}

/// What a caller finds wrong or odd in an experiment whose problems so far are its `warnings`; there may be errors among them. Of who
/// doesn't know the nodes that includes [`Parsed::without_nodes`].
pub(crate) type More<'a> = &'a dyn Fn(&Parsed) -> Vec<Diagnostic>;

/// The same, with what only the caller can know, so that it is told along with all else.
pub(crate) fn parse_all_with(source: Source, more: More<'_>) -> Result<Vec<Parsed>, Diagnostics> {
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(source.file(), &mut problems);
    let Some(root) = documents.and_then(|all| only_document(&source, all, &mut problems)) else {
        return Err(problems);
    };
    let variants = matrix::expand(source.file(), &root, &mut problems);
    let (mut parsed, mut wrong) = (Vec::new(), Diagnostics::default());
    for variant in variants {
        match one(source.clone(), variant, problems.clone(), more) {
            Ok(one) => parsed.push(one),
            // What is wrong with each of them is told once.
            Err(told) => {
                let news: Vec<Diagnostic> =
                    told.into_iter().filter(|problem| !wrong.contains(problem)).collect();
                wrong.extend(news);
            }
        }
    }
    wrong.sort();
    if wrong.is_empty() { Ok(parsed) } else { Err(wrong) }
}

/// The same of a file that is one experiment; of several the first.
pub(crate) fn parse(source: Source) -> Result<Parsed, Diagnostics> {
    parse_all(source).map(|mut all| all.swap_remove(0))
}

/// One experiment of a file; `problems` are those of the file as a whole.
fn one(
    source: Source,
    Variant { setting, root }: Variant,
    mut problems: Diagnostics,
    more: More<'_>,
) -> Result<Parsed, Diagnostics> {
    let cx = Cx::new(source.file());
    let draft = decode::experiment(&cx, &root);
    let files =
        draft.as_ref().map(|draft| files::read(&cx, &root, draft, &source)).unwrap_or_default();
    if let Some(draft) = &draft {
        check::check(&cx, &root, draft, &files);
    }
    let without_nodes =
        draft.as_ref().map(|draft| radius(&source, &root, draft)).unwrap_or_default();
    problems.extend(cx.into_problems());
    problems.sort();
    let Some(mut experiment) = draft.and_then(Draft::complete) else {
        problems.extend(without_nodes);
        problems.sort();
        return Err(problems);
    };
    experiment.name.extend(setting.map(|setting| format!("[{setting}]")));
    let mut parsed = assemble(experiment, source, root, &files, problems, without_nodes);
    let told = more(&parsed);
    parsed.warnings.extend(told);
    parsed.warnings.sort();
    if parsed.warnings.has_errors() { Err(parsed.warnings) } else { Ok(parsed) }
}

fn radius(source: &Source, root: &Node, draft: &Draft) -> Vec<Diagnostic> {
    let cx = Cx::new(source.file());
    check::radius(&cx, root, draft);
    cx.into_problems().into_iter().collect()
}

fn only_document(
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
            let message = "an experiment's file holds one document, and this is a second one";
            let hint = "put each experiment into a file of its own, all in one directory";
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
    without_nodes: Vec<Diagnostic>,
) -> Parsed {
    let workload = files
        .workload
        .iter()
        .map(|read| WorkloadFile { path: read.file.name.clone(), text: read.file.text.clone() });
    let kind_config = files.kind_config.as_ref().map(|read| KindConfigFile {
        path: read.file.name.clone(),
        text: read.file.text.clone(),
        name: read
            .documents
            .first()
            .and_then(|root| root.text_at("name"))
            .unwrap_or_default()
            .to_owned(),
    });
    Parsed {
        experiment,
        warnings,
        workload: workload.collect(),
        kind_config,
        source,
        without_nodes,
        root,
    }
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
                    at_least: None
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
    fn everything_is_read_before_any_harm() {
        let parsed = designed();
        assert!(
            parsed.workload[0].path.ends_with("experiments/workloads/web.yaml")
                && parsed.workload[0].text.contains("nginx")
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
    fn a_list_of_settings_is_an_experiment_each() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
        let source =
            |hold: &str| Source::from_text("x.yaml", DESIGNED.replace("for: 15s", hold), folder);
        let all = parse_all(source("for: [10s, 1m]")).unwrap();
        let told: Vec<_> =
            all.iter().map(|p| (p.experiment.name.as_str(), p.file_name())).collect();
        let name = "worker-stop-fast";
        assert_eq!(told, [("worker-stop-fast[for=10s]", name), ("worker-stop-fast[for=1m]", name)]);
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

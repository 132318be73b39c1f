//! The whole way: source -> [`Parsed`], or all that is wrong with it.

use super::decode::fields::Cx;
use super::decode::{self, Draft};
use super::diagnostic::{Diagnostic, Diagnostics, Location, Span};
use super::files::{self, Files};
use super::schema::Experiment;
use super::source::Source;
use super::tree::Node;
use super::{check, yaml};

/// An experiment without errors, and everything that had to be read for it, before any harm.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The experiment.
    pub experiment: Experiment,
    /// What is odd about it; none of these is an error.
    pub warnings: Diagnostics,
    /// Where it came from.
    pub source: Source,
    /// The files of Kubernetes objects, in the order of `workload`.
    pub workload: Vec<WorkloadFile>,
    /// The kind config; `None` where the experiment runs on a context.
    pub kind_config: Option<KindConfigFile>,
    root: Node,
}

/// A file of Kubernetes objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadFile {
    /// Its path, for people.
    pub path: String,
    /// Its text: one YAML document or several.
    pub text: String,
}

/// A kind config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindConfigFile {
    /// Its path, for people.
    pub path: String,
    /// Its text.
    pub text: String,
    /// The cluster's name in it.
    pub name: String,
}

impl Parsed {
    /// The place of a field, such as `spec.method[0].for`; where the file leaves it out, of the nearest field around it.
    pub fn locate(&self, path: &str) -> Location {
        Location { file: self.source.file().clone(), span: self.root.find(path).0.focus() }
    }

    /// A warning at a field's place, for what only the caller can know (what the model expects, say).
    pub fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let place = self.locate(path);
        Diagnostic::warning(message).at(&place.file, place.span)
    }
}

/// Parses and checks an experiment, and reads the files that it names. Errors: all problems, errors and warnings, in the file's order.
pub fn parse(source: Source) -> Result<Parsed, Diagnostics> {
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(source.file(), &mut problems);
    let Some(root) = documents.and_then(|all| only_document(&source, all, &mut problems)) else { return Err(problems) };
    let cx = Cx::new(source.file());
    let draft = decode::experiment(&cx, &root);
    let files = files::read(&cx, &root, &draft, &source);
    check::check(&cx, &root, &draft, &files);
    problems.extend(cx.into_problems());
    problems.sort();
    assemble(source, root, draft, files, problems)
}

fn only_document(source: &Source, documents: Vec<Node>, problems: &mut Diagnostics) -> Option<Node> {
    let file = source.file();
    match <[Node; 1]>::try_from(documents) {
        Ok([root]) => return Some(root),
        Err(none) if none.is_empty() => {
            problems.push(Diagnostic::error("the file is empty").at(file, Span::of_bytes(&file.text, 0, 0)));
        }
        Err(several) => {
            let message = "an experiment's file holds one document, and this is a second one";
            let hint = "put each experiment into a file of its own, all in one directory";
            problems.push(Diagnostic::error(message).at(file, several[1].focus()).hint(hint));
        }
    }
    None
}

fn assemble(source: Source, root: Node, draft: Draft, files: Files, problems: Diagnostics) -> Result<Parsed, Diagnostics> {
    if problems.has_errors() {
        return Err(problems);
    }
    let Some(experiment) = draft.complete() else {
        return Err(Diagnostic::error(format!("{} could not be understood", source.name())).into());
    };
    let workload = files.workload.iter().map(|read| WorkloadFile { path: read.file.name.clone(), text: read.file.text.clone() });
    let kind_config = files.kind_config.as_ref().map(|read| KindConfigFile {
        path: read.file.name.clone(),
        text: read.file.text.clone(),
        name: read.documents.first().and_then(|root| root.text_at("name")).unwrap_or_default().to_owned(),
    });
    Ok(Parsed { experiment, warnings: problems, workload: workload.collect(), kind_config, source, root })
}

//! The files that an experiment names, read before anything is created.

use std::path::Path;
use std::sync::Arc;

use super::decode::{Draft, fields::Cx, known};
use super::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use super::schema::{Ask, Cluster, Fault, FileText, NamedFile, Probe, Step, TuningRequest};
use super::source::Source;
use super::tree::Node;
use super::yaml;
use crate::kind_config::{self, DEFAULT_KUBERNETES, KindConfig, Kubernetes, Reading};
use crate::timeline::Tuning;
use crate::workload::Manifest;

/// Where an experiment is to run, and where what exists is looked for: what the command says of
/// both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting<'a> {
    pub place: Place<'a>,
    /// `-n`: in the place of the file's own `namespace`.
    pub namespace: Option<&'a str>,
}

impl Setting<'_> {
    /// The experiment's own cluster, and what the file says.
    pub(crate) const OWN: Self = Self { place: Place::OWN, namespace: None };
}

/// Where an experiment is to run, as far as it decides what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// In the cluster of its own kind config, where it has one, with nodes of this version.
    Own(Kubernetes<'a>),
    /// In a cluster that the command names, or nowhere: its own kind config is not read.
    Other,
}

impl Place<'_> {
    /// The own cluster, with the default version where the node images do not tell theirs.
    pub(crate) const OWN: Self = Self::Own(Kubernetes::Default(DEFAULT_KUBERNETES));
}

#[derive(Clone, Debug)]
pub(super) struct ReadFile {
    pub file: Arc<SourceFile>,
    pub documents: Vec<Node>,
}

#[derive(Debug, Default)]
pub(super) struct Files {
    /// The objects of the workload's files that could be read.
    pub workload: Manifest,
    /// Whether each of the workload's files could be read, so that what none of them has is really
    /// not there.
    pub complete: bool,
    /// The kind config with the experiment's own tuning, as far as it can be read.
    pub kind_config: Option<KindConfig>,
    /// What that config sets, where the experiment runs in another cluster and the config can be
    /// read.
    pub own_tuning: Option<Tuning>,
}

/// Reads them; what can't be read is reported where it is named.
pub(super) fn read(
    cx: &Cx,
    root: &Node,
    draft: &mut Draft,
    source: &Source,
    place: Place,
) -> Files {
    of_probes(cx, root, draft, source);
    of_faults(cx, root, draft, source);
    let workload: Vec<_> = known(&draft.workload)
        .map(|(index, path)| one(cx, root, source, &format!("spec.workload[{index}]"), path))
        .collect();
    let complete =
        workload.iter().all(Option::is_some) && draft.workload.iter().all(Option::is_some);
    let (mut kind_config, mut own_tuning) = (None, None);
    if let Some(Cluster::Kind { config, tuning }) = &draft.cluster {
        let tuning = tuning.unwrap_or_default();
        match place {
            Place::Own(kubernetes) => {
                let file = text(cx, root, source, "spec.cluster.kind.config", config);
                kind_config = file.and_then(|file| read_kind_config(cx, &file, tuning, kubernetes));
            }
            Place::Other => own_tuning = tuning_elsewhere(source, config, tuning),
        }
    }
    let workload: Vec<ReadFile> = workload.into_iter().flatten().collect();
    Files { workload: manifest(cx, &workload), complete, kind_config, own_tuning }
}

/// What a server takes before it has said how much it takes.
const MAX_HTTP2_BODY: usize = 65_535;

/// Reads the files that probes name: bodies, certificates, keys.
fn of_probes(cx: &Cx, root: &Node, draft: &mut Draft, source: &Source) {
    for (index, probe) in draft.probes.iter_mut().enumerate() {
        let Some(Probe { ask, .. }) = probe else { continue };
        let kind = ask.kind();
        if let Ask::Http(http) = &*ask
            && let Some(FileText { file: None, text }) = &http.body
            && source.is_beside(text)
        {
            let at = root.find(&format!("spec.probes[{index}].http.body")).0.focus();
            let warning = Diagnostic::warning("the body is the name of a file, not its content");
            let hint = format!("did you mean `{{file: {text}}}`?");
            cx.report(warning.at(cx.file(), at).hint(hint));
        }
        for NamedFile { field, file, text: into } in ask.files_mut() {
            let place = format!("spec.probes[{index}].{kind}.{field}.file");
            let Some(read) = text(cx, root, source, &place, file) else { continue };
            if read.text.trim().is_empty() {
                let at = root.find(&place).0.focus();
                cx.error::<()>(at, format!("the file {} is empty", file.display()));
            }
            into.clone_from(&read.text);
        }
        if let Ask::Http(http) = &*ask
            && let Some(FileText { text, .. }) = http.body.as_ref().filter(|_| http.http2)
            && text.len() > MAX_HTTP2_BODY
        {
            let at = root.find(&format!("spec.probes[{index}].http.body")).0.focus();
            cx.error::<()>(at, "the body of an HTTP/2 request can have at most 64 KiB");
        }
    }
}

/// Reads the files with the objects that faults create.
fn of_faults(cx: &Cx, root: &Node, draft: &mut Draft, source: &Source) {
    fn each(steps: &mut [Step], place: &str, read: &mut dyn FnMut(&mut Fault, String)) {
        for (index, step) in steps.iter_mut().enumerate() {
            let place = format!("{place}[{index}]");
            let Step::Fault { fault, meanwhile, .. } = step else { continue };
            read(fault, format!("{place}.fault"));
            each(meanwhile, &format!("{place}.meanwhile"), read);
        }
    }
    let mut read = |fault: &mut Fault, place: String| {
        let Some(applied) = fault.applied_mut() else { return };
        let Some(path) = applied.file.clone() else { return };
        let place = format!("{place}.manifest.file");
        let Some(read) = one(cx, root, source, &place, &path) else { return };
        match manifest(cx, std::slice::from_ref(&read)).objects() {
            [object] => applied.set(object),
            objects => {
                let (at, count) = (root.find(&place).0.focus(), objects.len());
                let message = format!("expected a file with one object, found {count}");
                cx.error_hint::<()>(at, message, "write a step for each object");
            }
        }
    };
    for (index, step) in draft.method.iter_mut().enumerate() {
        let Some(step) = step else { continue };
        let place = format!("spec.method[{index}]");
        let Step::Fault { fault, meanwhile, .. } = step else { continue };
        read(fault, format!("{place}.fault"));
        each(meanwhile, &format!("{place}.meanwhile"), &mut read);
    }
}

fn manifest(cx: &Cx, files: &[ReadFile]) -> Manifest {
    for ReadFile { file, .. } in files.iter().filter(|read| read.documents.is_empty()) {
        let start = Span::of_bytes(&file.text, 0, 0);
        cx.report(Diagnostic::warning("the file has no objects").at(file, start));
    }
    let documents =
        files.iter().flat_map(|read| read.documents.iter().map(|one| (&read.file, one)));
    let (manifest, problems) = Manifest::read(documents);
    problems.into_iter().for_each(|problem| cx.report(problem));
    manifest
}

/// The settings for which an experiment was written, where it runs elsewhere and its config need not
/// be there.
fn tuning_elsewhere(source: &Source, config: &Path, tuning: TuningRequest) -> Option<Tuning> {
    let file = source.read_beside(config).ok()?;
    let config = kind_config::read(&file, Kubernetes::Default(DEFAULT_KUBERNETES)).config?;
    Some(config.with_tuning(&tuning.into()).unwrap_or(config).asked)
}

fn read_kind_config(
    cx: &Cx,
    file: &Arc<SourceFile>,
    tuning: TuningRequest,
    kubernetes: Kubernetes,
) -> Option<KindConfig> {
    let Reading { config, problems } = kind_config::read(file, kubernetes);
    let is_right = !problems.has_errors();
    problems.into_iter().for_each(|problem| cx.report(problem));
    let config = config?;
    match config.with_tuning(&tuning.into()) {
        Ok(tuned) => Some(tuned),
        Err(problems) => {
            if is_right {
                problems.into_iter().for_each(|problem| cx.report(problem));
            }
            Some(config)
        }
    }
}

fn one(cx: &Cx, root: &Node, source: &Source, place: &str, path: &Path) -> Option<ReadFile> {
    let file = text(cx, root, source, place, path)?;
    let mut problems = Diagnostics::default();
    let documents = yaml::parse(&file, &mut problems);
    problems.into_iter().for_each(|problem| cx.report(problem));
    Some(ReadFile { documents: documents?, file })
}

fn text(
    cx: &Cx,
    root: &Node,
    source: &Source,
    place: &str,
    path: &Path,
) -> Option<Arc<SourceFile>> {
    match source.read_beside(path) {
        Ok(file) => Some(file),
        Err(why) => {
            let at = root.find(place).0.focus();
            let message = format!("cannot read {}: {why}", path.display());
            cx.report(
                Diagnostic::error(message)
                    .at(cx.file(), at)
                    .hint(format!("paths are relative to {}", source.place())),
            );
            None
        }
    }
}

//! `lint`: what kind configs, or a live cluster, make of failure detection. Changes nothing.

use std::path::Path;

use serde::Serialize;

use super::args::{Lint, LintForm};
use super::env::Env;
use super::{block_on, diagnostics, exit, failure::Failure, live, print};
use crate::engine::error::RunError;
use crate::experiment::{self, Diagnostic, Diagnostics, Severity, Source};
use crate::kind_config::{DEFAULT_KUBERNETES, KindNode};
use crate::lint::{self, KubeletGroup, Outlook};
use crate::report::json;
use crate::timeline::{NodeRole, counted};

/// What was found in one file or cluster.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// The file, or the context.
    subject: String,
    /// The cluster, as far as it is known.
    #[serde(flatten)]
    picture: Option<Picture>,
    problems: Vec<Problem>,
    #[serde(skip)]
    diagnostics: Diagnostics,
    #[serde(skip)]
    code: u8,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Picture {
    cluster: String,
    kubernetes_is_assumed: bool,
    nodes: Vec<NodeSummary>,
    kubelets: Vec<KubeletGroup>,
    outlook: Outlook,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeSummary {
    name: String,
    role: NodeRole,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    severity: &'static str,
    message: String,
    hint: Option<String>,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

/// Checks all, and prints what was found in each.
pub(super) fn lint(args: &Lint, env: &Env) -> Result<u8, Failure> {
    let files: Vec<&Path> = args.filename.iter().chain(&args.files).map(AsRef::as_ref).collect();
    if files.is_empty() && args.context.is_none() {
        let hint = "`kubectl outage lint FILE...` checks kind configs, `kubectl outage lint --context NAME` a running cluster";
        return Err(Failure::usage("nothing to check").hint(hint));
    }
    let mut all: Vec<Found> = files.into_iter().flat_map(|path| in_path(path, args)).collect();
    if args.context.is_some() {
        all.push(block_on(in_cluster(args, env))?);
    }
    match args.output {
        LintForm::Text => all.iter().for_each(|found| show(found, env)),
        LintForm::Json => print(&json::pretty(&all)),
        LintForm::Yaml => print(&json::yaml(&all)),
    }
    Ok(exit::gravest(all.iter().map(|found| found.code)))
}

fn in_path(path: &Path, args: &Lint) -> Vec<Found> {
    match experiment::load_files(path) {
        Ok(sources) => sources.iter().map(|source| in_file(source, args)).collect(),
        Err(problems) => vec![Found::new(path.display().to_string(), None, problems, exit::USAGE)],
    }
}

fn in_file(source: &Source, args: &Lint) -> Found {
    let subject = source.name().to_owned();
    let linted =
        match lint::lint(source.file(), args.kubernetes.as_deref().unwrap_or(DEFAULT_KUBERNETES)) {
            Ok(linted) => linted,
            Err(problems) => return Found::new(subject, None, problems, exit::USAGE),
        };
    let config = linted.config;
    let api_servers = config.count(NodeRole::ControlPlane) as u32;
    let node = |node: KindNode| NodeSummary { name: node.name, role: node.role };
    let picture = Picture {
        outlook: lint::outlook(&config.tuning(), &config.kubernetes, api_servers, args.nodes),
        cluster: config.name,
        kubernetes_is_assumed: config.kubernetes_is_assumed && args.kubernetes.is_none(),
        nodes: config.nodes.into_iter().map(node).collect(),
        kubelets: linted.kubelets,
    };
    let code = code(&linted.problems, args.strict);
    Found::new(subject, Some(picture), linted.problems, code)
}

async fn in_cluster(args: &Lint, env: &Env) -> Result<Found, RunError> {
    let (facts, warnings) =
        live::facts(args.context.as_deref(), args.kubeconfig.as_deref(), env).await?;
    let nodes: Vec<NodeSummary> = facts
        .nodes
        .into_iter()
        .map(|node| NodeSummary { name: node.name, role: node.role })
        .collect();
    let api_servers =
        nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).count() as u32;
    let outlook = lint::outlook(&facts.tuning, &facts.kubernetes, api_servers, args.nodes);
    let problems: Diagnostics = warnings
        .into_iter()
        .map(Diagnostic::warning)
        .chain(outlook.traps.iter().map(lint::without_place))
        .collect();
    let code = code(&problems, args.strict);
    let picture = Picture {
        outlook,
        cluster: facts.name,
        kubernetes_is_assumed: false,
        nodes,
        kubelets: Vec::new(),
    };
    Ok(Found::new(format!("context {}", picture.cluster), Some(picture), problems, code))
}

fn code(problems: &[Diagnostic], strict: bool) -> u8 {
    let fails = |problem: &Diagnostic| strict || problem.severity == Severity::Error;
    if problems.iter().any(fails) { exit::FAIL } else { exit::PASS }
}

fn show(found: &Found, env: &Env) {
    if !found.diagnostics.is_empty() {
        complain!(
            "{}",
            diagnostics::render(&found.diagnostics, env.stderr.colour, env.stderr.width).trim_end()
        );
    }
    if let Some(picture) = &found.picture {
        print(&lint::text::render(
            &title(&found.subject, picture),
            &picture.outlook,
            &picture.kubelets,
            env.width,
        ));
    }
}

/// `kind-configs/x.yaml: cluster x, 1 control plane, 2 workers, Kubernetes v1.34.0 (assumed)`.
fn title(subject: &str, picture: &Picture) -> String {
    let count = |role: NodeRole, what: &str| {
        counted(picture.nodes.iter().filter(|node| node.role == role).count(), what)
    };
    let assumed =
        if picture.kubernetes_is_assumed { " (assumed; --kubernetes sets it)" } else { "" };
    let nodes = [count(NodeRole::ControlPlane, "control plane"), count(NodeRole::Worker, "worker")]
        .join(", ");
    format!(
        "{subject}: cluster {}, {nodes}, Kubernetes {}{assumed}",
        picture.cluster, picture.outlook.kubernetes
    )
}

impl Found {
    fn new(subject: String, picture: Option<Picture>, diagnostics: Diagnostics, code: u8) -> Self {
        Self {
            subject,
            picture,
            problems: diagnostics.iter().map(Problem::of).collect(),
            diagnostics,
            code,
        }
    }
}

impl Problem {
    fn of(problem: &Diagnostic) -> Self {
        let at = problem.at.as_ref();
        Self {
            severity: problem.severity.name(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            file: at.map(|at| at.file.name.clone()),
            line: at.map(|at| at.span.line),
            column: at.map(|at| at.span.column),
        }
    }
}

#[cfg(test)]
mod tests;

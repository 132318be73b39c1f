//! `preflight`: whether an experiment could run, and what stands in its way. Changes nothing.

use std::cmp::Reverse;

use serde::Serialize;

use super::args::{Execution, LintForm, PreflightArgs, UNDO_TIMER_MARGIN};
use super::command::Command;
use super::env::Env;
use super::execution::listen;
use super::failure::Failure;
use super::outputs::Outputs;
use super::{block_on, exit, load, print};
use crate::cluster::kubeconfig_paths;
use crate::engine::abort::Abort;
use crate::engine::environment::handle::Found;
use crate::engine::environment::provision::{self, ClusterSpec};
use crate::engine::error::RunError;
use crate::engine::preflight::{PreflightResult, of_error, programs, role_of_missing};
use crate::experiment::Parsed;
use crate::preflight::{Check, Finding, Level};
use crate::report::{json, view};
use crate::timeline::counted;

const FORMAT: &str = "outage.preflight/v1";

/// What was found for one experiment, as it is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    format: &'static str,
    /// `None`: only the cluster was looked at.
    experiment: Option<String>,
    /// `None`: it could not be reached, or does not exist yet.
    cluster: Option<String>,
    /// The worst of the findings.
    level: Level,
    findings: Vec<Finding>,
    /// The rights that are missing, as YAML that can be applied.
    missing_role: Option<String>,
}

pub(super) fn preflight(args: &PreflightArgs, env: &Env) -> Result<u8, Failure> {
    let execution = &Execution {
        cluster: args.cluster,
        seed: None,
        node_image: None,
        delete_cluster: false,
        undo_timer_margin: UNDO_TIMER_MARGIN,
        nodes: args.nodes.clone(),
        monitor: args.monitor,
        access: args.access.clone(),
    };
    let mut experiments = match args.experiments.all().is_empty() {
        true => Vec::new(),
        false => load::experiments(&args.experiments, execution.place(env), env)?,
    };
    experiments.iter_mut().for_each(|parsed| execution.widen(&mut parsed.experiment));
    let environment = execution.environment(env, !args.enter_nodes)?;
    let outputs = &Outputs::new(&[])?;
    let documents = block_on(async {
        let abort = &listen()?;
        let command = Command::new(execution, env, outputs, abort, environment);
        let enters = args.enter_nodes.then_some(abort);
        Ok::<_, Failure>(all(&command, &experiments, enters).await)
    })?;
    match args.output {
        LintForm::Text => {
            print(&documents.iter().map(Document::text).collect::<Vec<_>>().join("\n"))
        }
        LintForm::Json => print(&json::pretty(&documents)),
        LintForm::Yaml => print(&json::yaml(&documents)),
    }
    let refused = documents.iter().any(|document| document.level == Level::Error);
    Ok(if refused { exit::REFUSED } else { exit::PASS })
}

async fn all(
    command: &Command<'_>,
    experiments: &[Parsed],
    enters: Option<&Abort>,
) -> Vec<Document> {
    if experiments.is_empty() {
        return vec![one(command, None, enters).await];
    }
    let mut documents = Vec::new();
    for parsed in experiments {
        documents.push(one(command, Some(parsed), enters).await);
    }
    documents
}

async fn one(command: &Command<'_>, parsed: Option<&Parsed>, enters: Option<&Abort>) -> Document {
    let found = look(command, parsed, enters).await;
    let (cluster, result) = found.unwrap_or_else(|error| {
        let findings = vec![of_error(Check::Cluster, &error)];
        (None, PreflightResult { findings, missing: Vec::new() })
    });
    let PreflightResult { mut findings, missing } = result;
    findings.sort_by_key(order);
    Document {
        format: FORMAT,
        experiment: parsed.map(|parsed| parsed.experiment.name.clone()),
        cluster,
        level: findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok),
        findings,
        missing_role: role_of_missing(&missing),
    }
}

/// The cluster first, then the worst.
fn order(finding: &Finding) -> impl Ord + use<> {
    (finding.check != Check::Cluster, Reverse(finding.level))
}

async fn look(
    command: &Command<'_>,
    parsed: Option<&Parsed>,
    enters: Option<&Abort>,
) -> Result<(Option<String>, PreflightResult), RunError> {
    let wanted = match parsed {
        Some(parsed) => command.wanted(parsed)?,
        None => current(command),
    };
    let handle = match provision::find(&wanted, &command.environment, &mut |_| {}).await? {
        Found::ClusterHandle(handle) => handle,
        Found::Absent(name) => {
            let text = format!("kind cluster {name} does not exist yet: a run creates it");
            let mut findings = vec![Finding::ok(Check::Cluster, text)];
            if let Some(parsed) = parsed {
                findings.extend(programs(&parsed.experiment).await);
            }
            return Ok((None, PreflightResult { findings, missing: Vec::new() }));
        }
    };
    // Who may not inject a fault there has not been asked for privileged pods either.
    let named = parsed.map_or(Ok(()), |parsed| command.refuse_unnamed(parsed, &handle));
    let enters = enters.filter(|_| named.is_ok());
    let mut result = command.preflight(&handle, parsed).all(enters).await;
    result.findings.extend(named.err().map(|error| of_error(Check::Cluster, &error)));
    Ok((Some(view::cluster(&handle.facts)), result))
}

/// The cluster of the command line alone.
fn current(command: &Command<'_>) -> ClusterSpec {
    let (access, env) = (&command.execution.access, command.env);
    if command.execution.is_embedded() {
        return ClusterSpec::Embedded { config: super::cluster::default_config() };
    }
    let kubeconfig = kubeconfig_paths(
        access.kubeconfig.as_deref(),
        env.kubeconfig.as_deref(),
        env.home.as_deref(),
    );
    let given = command.execution.given_settings(None);
    ClusterSpec::Context { kubeconfig, context: access.context.clone(), given }
}

impl Document {
    fn text(&self) -> String {
        let of = self.experiment.as_ref().map_or(String::new(), |name| format!(" of {name}"));
        let on = self.cluster.as_ref().map_or(String::new(), |cluster| format!(" on {cluster}"));
        let mut text = format!("preflight{of}{on}\n\n");
        for Finding { check, level, message, hint } in &self.findings {
            text += &format!("  {:<8} {:<13} {message}\n", level.word(), check.words());
            text += &hint.as_ref().map_or(String::new(), |hint| format!("{:25}hint: {hint}\n", ""));
        }
        if let Some(role) = &self.missing_role {
            text += &format!(
                "\nMissing permissions. Have a cluster administrator apply these roles and bind them to your user:\n\n{role}"
            );
        }
        let count = |level| self.findings.iter().filter(|it| it.level == level).count();
        let (errors, warnings) = (count(Level::Error), count(Level::Warning));
        let (warnings, errors) = (counted(warnings, "warning"), counted(errors, "error"));
        text + &match self.level {
            Level::Error => format!("\n{errors}, {warnings}: a run would be refused\n"),
            _ => format!("\nready, {warnings}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_comes_first_and_then_the_worst() {
        let mut all = [
            Finding::ok(Check::Disk, ""),
            Finding::note(Check::Helpers, ""),
            Finding::error(Check::Rights, ""),
            Finding::ok(Check::Cluster, ""),
            Finding::warning(Check::Version, ""),
        ];
        all.sort_by_key(order);
        let order = [Check::Cluster, Check::Rights, Check::Version, Check::Helpers, Check::Disk];
        assert_eq!(all.map(|finding| finding.check), order);
    }

    #[test]
    fn findings_are_listed_with_their_hints_and_the_missing_role() {
        let document = Document {
            format: FORMAT,
            experiment: Some("worker-stop".into()),
            cluster: Some("context prod".into()),
            level: Level::Error,
            findings: vec![
                Finding::ok(Check::Version, "Kubernetes v1.34.4"),
                Finding::error(Check::Rights, "the user cannot list nodes").hint("ask for it"),
            ],
            missing_role: Some("kind: ClusterRole\n".into()),
        };
        assert_eq!(
            document.text(),
            "preflight of worker-stop on context prod

  ok       version       Kubernetes v1.34.4
  error    permissions   the user cannot list nodes
                         hint: ask for it

Missing permissions. Have a cluster administrator apply these roles and bind them to your user:

kind: ClusterRole

1 error, 0 warnings: a run would be refused
"
        );
        let json: serde_json::Value = serde_json::from_str(&json::pretty(&[document])).unwrap();
        assert_eq!(json[0]["findings"][1]["level"], "error");
        assert_eq!(json[0]["format"], "outage.preflight/v1");
    }
}

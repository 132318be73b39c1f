//! What is looked at before an experiment runs: asks the cluster, and `preflight/` judges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::{StreamExt, stream};

use crate::cluster::{AccessRequest, Cluster, ClusterError};
use crate::engine::environment::handle::{ClusterHandle, Nodes};
use crate::engine::error::RunError;
use crate::engine::granted::Granted;
use crate::experiment::{Experiment, Parsed};
use crate::fault;
use crate::plan::RunLength;
use crate::preflight::rights::{self, ObjectKind, Operation, ResourceNames, WayIn};
use crate::preflight::{Check, Finding, Level, Right, judge, role};
use crate::timeline::few;

/// How many questions are asked at the same time.
const AT_ONCE: usize = 8;

/// An experiment, or none, in a cluster that is there.
#[derive(Clone, Copy)]
pub(crate) struct Preflight<'a> {
    pub handle: &'a ClusterHandle,
    pub parsed: Option<&'a Parsed>,
    /// Where runs are recorded.
    pub runs_dir: &'a Path,
    pub granted: &'a Granted,
}

/// What was found, and the rights that the user lacks.
pub(crate) struct PreflightResult {
    pub findings: Vec<Finding>,
    pub missing: Vec<Right>,
}

impl Preflight<'_> {
    /// What every run looks at itself: an error refuses it, a warning is recorded. What a run finds
    /// out anyway is left out.
    pub(crate) async fn of_run(self) -> Result<Vec<Finding>, RunError> {
        let mut found = self.rights().await;
        found.findings.extend([judge::version(&self.handle.facts.kubernetes), self.disk()]);
        // Of the settings in a kind config, its reading has said so.
        if self.parsed.is_none_or(|parsed| parsed.kind_config.is_none()) {
            found.findings.extend(judge::heartbeats(&self.handle.facts));
        }
        found.findings.extend(self.claims());
        found.findings.push(self.leftovers().await);
        if let Some(parsed) = self.parsed {
            found.findings.extend(programs(&parsed.experiment).await);
        }
        found.findings.extend(self.platforms().await);
        without_errors(found.findings)
    }

    /// Why something could not be read: a user who lacks rights is told which.
    pub(crate) async fn explain(self, error: RunError) -> RunError {
        without_errors(self.rights().await.findings).err().unwrap_or(error)
    }

    /// Whether the user may do all that the experiment needs.
    pub(super) async fn rights(&self) -> PreflightResult {
        let needed = match self.needed().await {
            Ok(needed) => needed,
            Err(error) => return unchecked(&error),
        };
        let may = needed.into_iter().map(async |right| {
            let may = self.may(&right.of).await;
            (right, may)
        });
        let answers: Vec<_> = stream::iter(may).buffered(AT_ONCE).collect().await;
        let count = answers.len();
        let mut missing = Vec::new();
        for (right, may) in answers {
            match may {
                Ok(true) => {}
                Ok(false) => missing.push(right),
                Err(error) => return unchecked(&error),
            }
        }
        PreflightResult { findings: of_missing(&missing, count), missing }
    }

    async fn needed(&self) -> Result<Vec<Right>, ClusterError> {
        let Some(parsed) = self.parsed else { return Ok(rights::of_any()) };
        let way = match self.handle.nodes {
            Nodes::Api(_) => WayIn::HelperPods,
            _ => WayIn::Engine,
        };
        let with_workload = [(&parsed.experiment, &parsed.workload)];
        let custom = rights::custom_kinds(with_workload);
        let names = resource_names(&self.handle.cluster, &custom).await?;
        Ok(rights::of(with_workload, way, &names))
    }

    async fn may(&self, operation: &Operation) -> Result<bool, ClusterError> {
        let cluster = &self.handle.cluster;
        let grant = (cluster.server().to_owned(), cluster.context().to_owned(), operation.clone());
        if self.granted.has(&grant) {
            return Ok(true);
        }
        let Operation { namespace, group, resource, name, verb } = operation;
        let (namespace, name) = (namespace.as_deref(), name.as_deref());
        let may = cluster.may(AccessRequest { verb, group, resource, namespace, name }).await?;
        if may {
            self.granted.add(grant);
        }
        Ok(may)
    }

    pub(super) fn claims(&self) -> Option<Finding> {
        judge::claims(&self.parsed?.claimed_tuning()?, &self.handle.facts)
    }

    /// Namespaces of earlier runs.
    pub(super) async fn leftovers(&self) -> Finding {
        let kept = self.handle.workload.get().map(|kept| kept.namespace);
        let found = self.handle.cluster.namespaces_of_runs().await.map(|mut left| {
            left.retain(|namespace| Some(namespace) != kept.as_ref());
            left
        });
        match found {
            Ok(left) if left.is_empty() => Finding::ok(Check::Leftovers, "none"),
            Ok(left) => {
                let text = format!("namespaces of other runs: {}", few(&left));
                Finding::warning(Check::Leftovers, text).hint(format!(
                    "if none of them is still running, `kubectl delete namespace {}`",
                    left.join(" ")
                ))
            }
            Err(error) => Finding::note(Check::Leftovers, format!("cannot be looked for: {error}")),
        }
    }

    pub(super) fn disk(&self) -> Finding {
        let experiment = self.parsed.map(|parsed| &parsed.experiment);
        let longest = experiment.map(|it| RunLength::of(it).at_most).unwrap_or_default();
        // The directory is made by the first run.
        let there = self.runs_dir.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
        match there {
            Some(disk) => judge::disk(experiment, longest, disk.f_bavail * disk.f_frsize),
            None => Finding::warning(Check::Disk, "the free space for runs cannot be read"),
        }
    }
}

/// What a server calls the resources of custom kinds, as far as it has them.
pub(crate) async fn resource_names(
    cluster: &Cluster,
    kinds: &BTreeSet<ObjectKind>,
) -> Result<ResourceNames, ClusterError> {
    let mut names = BTreeMap::new();
    for (version, kind) in kinds {
        if let Some(served) = cluster.served_kind(version, kind).await? {
            names.insert((version.clone(), kind.clone()), served.plural);
        }
    }
    Ok(ResourceNames(names))
}

fn unchecked(error: &ClusterError) -> PreflightResult {
    let text = format!("cannot be checked: {error}");
    PreflightResult { findings: vec![Finding::warning(Check::Rights, text)], missing: Vec::new() }
}

/// Whether this machine has the programs of `command` faults. Nothing where there is no such fault.
pub(crate) async fn programs(experiment: &Experiment) -> Vec<Finding> {
    if !experiment.fault_kinds().iter().any(|kind| kind.traits().by_command) {
        return Vec::new();
    }
    let missing = fault::missing_programs(experiment).await;
    if missing.is_empty() {
        return vec![Finding::ok(Check::Programs, "the programs of all commands are on PATH")];
    }
    let error = |it: fault::MissingProgram| {
        let text = format!("{} is not on PATH ({})", it.program, it.place);
        Finding::error(Check::Programs, text).hint(it.hint())
    };
    missing.into_iter().map(error).collect()
}

/// Refuses where there are errors.
pub(crate) fn without_errors(findings: Vec<Finding>) -> Result<Vec<Finding>, RunError> {
    if findings.iter().all(|finding| finding.level != Level::Error) {
        return Ok(findings);
    }
    let errors = findings.iter().filter(|finding| finding.level == Level::Error);
    let refused = RunError::refused("the preflight found errors")
        .caused_by_all(errors.clone().map(|finding| finding.message.clone()));
    Err(refused.maybe_hint(errors.filter_map(|finding| finding.hint.clone()).next()))
}

/// What a cluster that cannot be used says of itself.
pub(crate) fn of_error(check: Check, error: &RunError) -> Finding {
    let message = [std::slice::from_ref(&error.message), &error.causes[..]].concat().join(": ");
    Finding::error(check, message).maybe_hint(error.hint.clone())
}

fn of_missing(missing: &[Right], count: usize) -> Vec<Finding> {
    let hint = "`kubectl outage rbac -f FILE` prints the roles that the experiment needs";
    let (optional, needed): (Vec<&Right>, Vec<&Right>) =
        missing.iter().partition(|right| right.without.is_some());
    let mut found = Vec::new();
    for right in optional {
        let text = format!("the user cannot {}: {}", right.of, right.without.unwrap_or_default());
        found.push(Finding::warning(Check::Rights, text));
    }
    // Last: the error of a run that is refused has the hint.
    if !needed.is_empty() {
        let text = format!("the user cannot {}", few(needed.iter().map(|right| &right.of)));
        found.push(Finding::error(Check::Rights, text));
    }
    match found.pop() {
        // Once, below the last of them.
        Some(last) => found.push(last.hint(hint)),
        None => {
            let text = format!("all {count} required permissions are granted");
            found.push(Finding::ok(Check::Rights, text));
        }
    }
    found
}

/// The rights that are missing, as a role to apply; `None`: none is.
pub(crate) fn role_of_missing(missing: &[Right]) -> Option<String> {
    (!missing.is_empty()).then(|| role::yaml("outage-missing", missing, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::RunErrorKind;
    use crate::engine::existing_tests::parsed;

    #[tokio::test]
    async fn a_program_that_is_not_there_refuses_the_run() {
        let of = async |undo: &str| {
            let text = format!(
                "apiVersion: outage/v1alpha1\nkind: Experiment\nmetadata: {{name: a}}\nspec:\n  \
                 probes: [{{name: web, tcp: {{address: 'a:80'}}, from: host}}]\n  method:\n  - fault: \
                 {{command: {{target: {{name: w1}}, effect: nodeDown, inject: [sh], confirm: [sh], \
                 undo: [{undo}], confirmUndone: [sh]}}}}\n    for: 1s\n"
            );
            without_errors(programs(&parsed(&text).experiment).await)
        };
        let found = of("sh").await.unwrap();
        assert_eq!((found.len(), found[0].level), (1, Level::Ok));
        let refused = of("no-such-program").await.unwrap_err();
        assert_eq!(refused.kind, RunErrorKind::Refused);
        let why = "no-such-program is not on PATH (spec.method[0].fault.command.undo)";
        assert_eq!(refused.causes, [why]);
    }
}

//! What is looked at before an experiment runs: asks the cluster, and `preflight/` judges.

use std::path::Path;

use futures_util::{StreamExt, stream};

use crate::cluster::AccessRequest;
use crate::engine::environment::handle::{ClusterHandle, Nodes};
use crate::engine::error::RunError;
use crate::experiment::Parsed;
use crate::plan::RunLength;
use crate::preflight::rights::{self, Operation, WayIn};
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
        let findings = found.findings;
        if findings.iter().all(|finding| finding.level != Level::Error) {
            return Ok(findings);
        }
        let errors = findings.iter().filter(|finding| finding.level == Level::Error);
        let refused = RunError::refused("the preflight found errors")
            .caused_by_all(errors.clone().map(|finding| finding.message.clone()));
        Err(refused.maybe_hint(errors.filter_map(|finding| finding.hint.clone()).next()))
    }

    /// Whether the user may do all that the experiment needs.
    pub(super) async fn rights(&self) -> PreflightResult {
        let needed = self.parsed.map_or_else(rights::of_any, |parsed| {
            let way = match self.handle.nodes {
                Nodes::Api(_) => WayIn::HelperPods,
                _ => WayIn::Engine,
            };
            rights::of([(&parsed.experiment, &parsed.workload)], way)
        });
        let may = needed.into_iter().map(async |right| {
            let Operation { namespace, group, resource, name, verb } = &right.of;
            let request = AccessRequest {
                verb,
                group,
                resource,
                namespace: namespace.as_deref(),
                name: name.as_deref(),
            };
            let may = self.handle.cluster.may(request).await;
            (right, may)
        });
        let answers: Vec<_> = stream::iter(may).buffered(AT_ONCE).collect().await;
        let count = answers.len();
        let mut missing = Vec::new();
        for (right, may) in answers {
            match may {
                Ok(true) => {}
                Ok(false) => missing.push(right),
                Err(error) => {
                    let text = format!("cannot be checked: {error}");
                    let findings = vec![Finding::warning(Check::Rights, text)];
                    return PreflightResult { findings, missing: Vec::new() };
                }
            }
        }
        PreflightResult { findings: of_missing(&missing, count), missing }
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
    if !needed.is_empty() {
        let text = format!("the user cannot {}", few(needed.iter().map(|right| &right.of)));
        found.push(Finding::error(Check::Rights, text).hint(hint));
    }
    for right in optional {
        let text = format!("the user cannot {}: {}", right.of, right.without.unwrap_or_default());
        found.push(Finding::warning(Check::Rights, text).hint(hint));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            Check::Rights,
            format!("all {count} required permissions are granted"),
        ));
    }
    found
}

/// The rights that are missing, as a role to apply; `None`: none is.
pub(crate) fn role_of_missing(missing: &[Right]) -> Option<String> {
    (!missing.is_empty()).then(|| role::yaml("outage-missing", missing, None))
}

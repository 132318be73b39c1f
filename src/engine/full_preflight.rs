//! All that a preflight looks at before anybody asks for a run: more than a run does itself.

use std::collections::BTreeMap;

use crate::engine::abort::Abort;
use crate::engine::environment::handle::{ApiNodes, Nodes};
use crate::engine::error::RunError;
use crate::engine::node_preflight::of_platforms;
use crate::engine::plan::known;
use crate::engine::preflight::{Preflight, PreflightResult, of_error, programs};
use crate::engine::session;
use crate::experiment::Parsed;
use crate::plan::{self, Node, Refusal, Request};
use crate::preflight::{Check, Finding, judge};
use crate::timeline::few;

/// How Kubernetes calls the machine of a node that kind made.
const KIND_PROVIDER: &str = "kind://";
/// Of more nodes that are excluded one finding says it.
const MOST_EXCLUDED: usize = 8;

impl Preflight<'_> {
    /// `enters`: the nodes are entered, until it is interrupted.
    pub(crate) async fn all(self, enters: Option<&Abort>) -> PreflightResult {
        let Self { handle, .. } = self;
        let server = format!("the API server answers: {}", handle.cluster.server());
        let mut found = vec![Finding::ok(Check::Cluster, server)];
        found.push(judge::version(&handle.facts.kubernetes));
        let rights = self.rights().await;
        found.extend(rights.findings);
        let nodes = handle.nodes().await;
        found.push(match &nodes {
            Ok(nodes) => judge::nodes(nodes),
            Err(error) => of_error(Check::Nodes, error),
        });
        let nodes = nodes.ok();
        found.extend(self.without_engine(nodes.as_deref()));
        found.push(self.leftovers().await);
        found.extend(handle.warnings.iter().map(|text| Finding::warning(Check::Settings, text)));
        found.extend(judge::heartbeats(&handle.facts));
        found.extend(self.claims());
        if !handle.is_model() {
            found.push(match handle.cluster.heartbeat_ages().await {
                Ok(ages) => judge::clocks(&ages),
                Err(error) => {
                    Finding::warning(Check::Clocks, format!("cannot be compared: {error}"))
                }
            });
        }
        found.extend(nodes.as_deref().and_then(judge::quorum));
        if let Some(parsed) = self.parsed {
            found.extend(programs(&parsed.experiment).await);
            found.extend(match &nodes {
                Some(nodes) => self.objects_and_targets(parsed, nodes, enters).await,
                None => {
                    let text = "not checked: the nodes cannot be listed";
                    vec![Finding::note(Check::Targets, text)]
                }
            });
        }
        found.push(self.disk());
        PreflightResult { findings: found, missing: rights.missing }
    }

    /// What is lost where a cluster that kind made is used through its API alone, because nobody can
    /// tell whether it is this machine's. `nodes`: as far as they can be listed.
    fn without_engine(&self, nodes: Option<&[Node]>) -> Option<Finding> {
        let Nodes::Api(ApiNodes { no_engine: Some(why), .. }) = &self.handle.nodes else {
            return None;
        };
        let is_kinds = |node: &Node| {
            node.provider_id.as_deref().is_some_and(|id| id.starts_with(KIND_PROVIDER))
        };
        if nodes.is_some_and(|nodes| !nodes.iter().any(is_kinds)) {
            return None;
        }
        let text = format!(
            "the container engine cannot be used, so the cluster is used through its API alone: {}",
            why.line()
        );
        Some(Finding::warning(Check::Engine, text).hint(
            "if it is a kind cluster of this machine, start the engine: without it nodeStop, \
             nodeKill and nodePause are refused, nodes are entered through helper pods, and faults \
             need --allow-context",
        ))
    }

    /// What the experiment names, and whom it would hit.
    async fn objects_and_targets(
        &self,
        parsed: &Parsed,
        nodes: &[Node],
        enters: Option<&Abort>,
    ) -> Vec<Finding> {
        let objects = async {
            let parsed = session::resolved(self.handle, parsed).await?;
            session::fits(self.handle, &parsed).await?;
            session::look_up(self.handle, &parsed, nodes).await?;
            Ok(parsed)
        };
        let resolved: Result<Parsed, RunError> = objects.await;
        let (parsed, mut found) = match &resolved {
            Ok(parsed) => {
                (parsed, vec![Finding::ok(Check::Objects, "all referenced objects exist")])
            }
            Err(error) => (parsed, vec![of_error(Check::Objects, error)]),
        };
        let experiment = &parsed.experiment;
        let seen = known::now(self.handle, experiment, nodes).await;
        let unknown = seen.as_ref().err().map(|error| of_error(Check::Targets, error));
        let known = seen.unwrap_or_default();
        let names = nodes.iter().map(|node| node.name.as_str());
        found.extend(excluded(known.occupancy.losses(&experiment.blast_radius, names)));
        let margin = Default::default();
        let all = nodes;
        let (nodes, seed, undo_timer_margin) = (plan::Nodes::Running(all), None, margin);
        let plan = plan::plan(Request { experiment, nodes, known, seed, undo_timer_margin });
        if experiment.works_in_nodes() {
            let binary = self.handle.nodes.binary();
            found.extend(
                binary.map(|it| of_platforms(it, &plan, experiment, all)).into_iter().flatten(),
            );
            let entered = plan.entered(experiment, all);
            found.extend(match (enters.filter(|_| !entered.is_empty()), &self.handle.nodes) {
                (Some(abort), _) => self.enter(experiment, &entered, abort).await,
                (None, Nodes::Api(api)) => self.helpers(api, experiment, &entered).await,
                (None, _) => Vec::new(),
            });
        }
        if unknown.is_some() {
            found.extend(unknown);
            return found;
        }
        if plan.refused.is_empty() {
            let candidates =
                plan.steps.iter().flat_map(|step| step.candidates.iter().map(|node| &node.name));
            let mut candidates: Vec<&String> = candidates.collect();
            candidates.sort();
            candidates.dedup();
            let text = match candidates.is_empty() {
                true => "no node is targeted".to_owned(),
                false => format!("one of {}", few(candidates)),
            };
            found.push(Finding::ok(Check::Targets, text));
        }
        found.extend(plan.refused.into_iter().map(|refused| {
            Finding::error(Check::Targets, refused.why.message).maybe_hint(refused.why.hint)
        }));
        found
    }
}

/// The nodes that no fault may hit, for what would be lost with them.
fn excluded(losses: BTreeMap<String, Refusal>) -> Vec<Finding> {
    let note = |text, hint| Finding::note(Check::BlastRadius, text).maybe_hint(hint);
    let (count, names) = (losses.len(), few(losses.keys()));
    let mut each = losses.into_iter();
    match each.next() {
        Some((node, why)) if count > MOST_EXCLUDED => {
            let text = format!("{count} nodes cannot be targets ({names}); {node} {}", why.message);
            vec![note(text, why.hint)]
        }
        first => first
            .into_iter()
            .chain(each)
            .map(|(node, why)| note(format!("{node} {}", why.message), why.hint))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_nodes_that_are_excluded_one_finding_says_it() {
        let losses = |count: usize| {
            let message = "is excluded: the only ready replica of Deployment shop/db would be lost";
            let why = Refusal { message: message.into(), hint: None };
            (0..count).map(|n| (format!("w{n:03}"), why.clone())).collect()
        };
        assert_eq!(excluded(losses(8)).len(), 8);
        let [found] = &excluded(losses(900))[..] else { panic!("one") };
        assert_eq!(
            found.message,
            "900 nodes cannot be targets (w000, w001, w002 and 897 more); w000 is excluded: the only \
             ready replica of Deployment shop/db would be lost"
        );
        assert!(excluded(losses(0)).is_empty());
    }
}

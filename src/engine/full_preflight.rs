//! All that a preflight looks at before anybody asks for a run: more than a run does itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::check_binary;
use crate::cluster::{HelperPod, PodHost};
use crate::engine::environment::handle::{ApiNodes, Nodes};
use crate::engine::error::RunError;
use crate::engine::plan::known;
use crate::engine::preflight::{Preflight, PreflightResult, of_error};
use crate::engine::session;
use crate::experiment::{Experiment, Parsed, full_image};
use crate::helper;
use crate::plan::{self, Node, Refusal, Request};
use crate::preflight::{Check, Finding, judge};
use crate::timeline::few;

/// Of more nodes that are excluded one finding says it.
const MOST_EXCLUDED: usize = 8;

impl Preflight<'_> {
    pub(crate) async fn all(self) -> PreflightResult {
        let Self { handle, .. } = self;
        let server = format!("the API server answers: {}", handle.cluster.server());
        let mut found = vec![Finding::ok(Check::Cluster, server)];
        found.push(judge::version(&handle.facts.kubernetes));
        let nodes = match handle.nodes().await {
            Ok(nodes) => nodes,
            Err(error) => {
                found.push(of_error(Check::Nodes, &error));
                return PreflightResult { findings: found, missing: Vec::new() };
            }
        };
        found.push(judge::nodes(&nodes));
        let rights = self.rights().await;
        found.extend(rights.findings);
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
        found.extend(judge::quorum(&nodes));
        if let Some(parsed) = self.parsed {
            found.extend(self.objects_and_targets(parsed, &nodes).await);
        }
        found.push(self.disk());
        PreflightResult { findings: found, missing: rights.missing }
    }

    /// What the experiment names, and whom it would hit.
    async fn objects_and_targets(&self, parsed: &Parsed, nodes: &[Node]) -> Vec<Finding> {
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
        let known = match known::now(self.handle, experiment, nodes).await {
            Ok(known) => known,
            Err(error) => {
                found.push(of_error(Check::Targets, &error));
                return found;
            }
        };
        let names = nodes.iter().map(|node| node.name.as_str());
        found.extend(excluded(known.occupancy.losses(&experiment.blast_radius, names)));
        let margin = Default::default();
        let all = nodes;
        let (nodes, seed, undo_timer_margin) = (plan::Nodes::Running(all), None, margin);
        let plan = plan::plan(Request { experiment, nodes, known, seed, undo_timer_margin });
        if let Nodes::Api(api) = &self.handle.nodes
            && experiment.works_in_nodes()
        {
            let entered = plan.entered(experiment, all);
            found.extend(self.helpers(api, experiment, &entered).await);
            found.extend(cannot_run(&api.binary, plan.hosts.iter().map(|host| host.node)));
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
    /// Whether helper pods would be admitted, and run.
    async fn helpers(
        &self,
        api: &ApiNodes,
        experiment: &Experiment,
        entered: &[&Node],
    ) -> Vec<Finding> {
        let (cluster, image) = (&self.handle.cluster, api.image(experiment));
        let names: Vec<&str> = entered.iter().map(|node| node.name.as_str()).collect();
        let mut found = match cluster.hosts(&names).await {
            Ok(hosts) => on_hosts(entered, &hosts, image),
            Err(error) => vec![Finding::warning(Check::Helpers, format!("not checked: {error}"))],
        };
        let Some(node) = entered.first() else { return found };
        let (namespace, run, node) = ("default", "preflight", node.name.as_str());
        let lasts = Duration::from_secs(60);
        let helper = HelperPod { namespace, run, node, image, lasts };
        match cluster.refusal_of_helper(&helper).await {
            Ok(None) => {}
            Ok(Some(why)) => found.push(
                Finding::error(
                    Check::Helpers,
                    format!("the cluster refuses a privileged pod: {why}"),
                )
                .hint(helper::WITHOUT_PODS),
            ),
            Err(error) => {
                found.push(Finding::warning(Check::Helpers, format!("not checked: {error}")));
            }
        }
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

/// The nodes that this program cannot probe from. Faults do not need it in their nodes.
fn cannot_run<'n>(binary: &[u8], hosts: impl IntoIterator<Item = &'n Node>) -> Vec<Finding> {
    let hosts: BTreeMap<&str, &Node> =
        hosts.into_iter().map(|node| (node.name.as_str(), node)).collect();
    let refused = hosts.into_iter().filter_map(|(name, node)| {
        let why = check_binary(binary, node.processor()).err()?;
        let text = format!("this program cannot run on node {name}: {why}");
        let hint = "give a Linux build for it with --agent-binary";
        Some(Finding::error(Check::Helpers, text).hint(hint))
    });
    refused.collect()
}

/// What helper pods would meet on the nodes that a run enters.
fn on_hosts(entered: &[&Node], hosts: &[PodHost], image: &str) -> Vec<Finding> {
    let full = full_image(image);
    let (mut missing, mut findings) = (Vec::new(), Vec::new());
    for PodHost { name, images, pressure } in hosts {
        if let Some(pressure) = pressure {
            let text = format!("node {name} has {pressure}: its kubelet admits no new pods");
            findings.push(
                Finding::error(Check::Helpers, text)
                    .hint(format!("`kubectl describe node {name}` shows what is short")),
            );
        }
        if !images.contains(&full) {
            missing.push(name);
        }
    }
    findings.push(match (missing.is_empty(), entered.is_empty()) {
        (_, true) => Finding::note(
            Check::Helpers,
            "not checked: their nodes are known only when the run has selected its pods",
        ),
        (true, _) => Finding::ok(Check::Helpers, format!("every node has the image {image}")),
        (false, _) => Finding::note(
            Check::Helpers,
            format!("image {image} is not present on {}: the kubelet will pull it", few(missing)),
        )
        .hint("if a node cannot pull it, pass --helper-image with an image that it has"),
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::NodeRole;

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

    #[test]
    fn the_program_must_run_where_probes_do() {
        let node = Node {
            name: "w1".into(),
            role: NodeRole::Worker,
            labels: Default::default(),
            ready: true,
            address: None,
            provider_id: None,
            api_only: true,
            protected: false,
        };
        let found = cannot_run(b"#!", [&node, &node]);
        assert_eq!(found.len(), 1, "once, however many probes it hosts");
        assert!(found[0].message.starts_with("this program cannot run on node w1: "));
        assert_eq!(cannot_run(b"#!", []).len(), 0, "a fault does not need it");
    }
}

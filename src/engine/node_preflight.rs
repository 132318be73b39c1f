//! What a preflight says of the nodes that a run enters: whether this program can run there, and
//! whether helper pods can.

use std::time::Duration;

use crate::agent::check_binary;
use crate::cluster::{HelperPod, PodHost};
use crate::engine::environment::handle::ApiNodes;
use crate::engine::error::RunError;
use crate::engine::preflight::{Preflight, of_error};
use crate::experiment::{Experiment, full_image};
use crate::helper;
use crate::plan::{self, Known, Node, Plan, Request};
use crate::preflight::{Check, Finding, Level};
use crate::timeline::{NodeRole, few};

/// Why this program cannot run on a node; `None`: it can.
pub(crate) fn cannot_run(binary: &[u8], node: &Node) -> Option<RunError> {
    let refused = |why: &str| {
        RunError::refused(format!("this program cannot run on node {}: {why}", node.name))
    };
    if let Some(system) = node.foreign_system() {
        let hint = "probe from a Linux node, or from this machine with `from: host`";
        return Some(refused(&format!("it runs {system}, not Linux")).hint(hint));
    }
    let why = check_binary(binary, &node.platform.processor).err()?;
    Some(refused(&why).hint("pass a Linux build for it with --agent-binary FILE"))
}

/// The nodes on which this program cannot run and would have to. Faults do not need it there.
pub(super) fn of_platforms(
    binary: &[u8],
    plan: &Plan<'_>,
    experiment: &Experiment,
    nodes: &[Node],
) -> Vec<Finding> {
    let is_host = |node: &Node| plan.hosts.iter().any(|host| host.node.name == node.name);
    let found = plan.entered(experiment, nodes).into_iter().filter_map(|node| {
        let error = cannot_run(binary, node)?;
        let finding = of_error(Check::Helpers, &error);
        match (is_host(node), node.role == NodeRole::ControlPlane) {
            (true, _) => Some(finding),
            (false, true) => Some(Finding {
                level: Level::Warning,
                message: format!("{}: it is not observed from inside", finding.message),
                ..finding
            }),
            (false, false) => None,
        }
    });
    found.collect()
}

impl Preflight<'_> {
    /// The same, before anything else is known of the cluster.
    pub(super) async fn platforms(&self) -> Vec<Finding> {
        let (Some(parsed), Some(binary)) = (self.parsed, self.handle.nodes.binary()) else {
            return Vec::new();
        };
        let experiment = &parsed.experiment;
        if !experiment.works_in_nodes() {
            return Vec::new();
        }
        // Whoever may not list them is told by the check of the rights.
        let Ok(nodes) = self.handle.nodes().await else { return Vec::new() };
        let plan = plan::plan(Request {
            experiment,
            nodes: plan::Nodes::Running(&nodes),
            known: Known::default(),
            seed: None,
            undo_timer_margin: Duration::ZERO,
        });
        of_platforms(binary, &plan, experiment, &nodes)
    }

    /// Whether helper pods would be admitted, and run.
    pub(super) async fn helpers(
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

/// What helper pods would meet on the nodes that a run enters.
fn on_hosts(entered: &[&Node], hosts: &[PodHost], image: &str) -> Vec<Finding> {
    let full = full_image(image);
    let (mut missing, mut unknown, mut findings) = (Vec::new(), Vec::new(), Vec::new());
    for host in hosts {
        let name = &host.name;
        if let Some(pressure) = &host.pressure {
            let text = format!("node {name} has {pressure}: its kubelet admits no new pods");
            findings.push(
                Finding::error(Check::Helpers, text)
                    .hint(format!("`kubectl describe node {name}` shows what is short")),
            );
        }
        match host.has(&full) {
            Some(true) => {}
            Some(false) => missing.push(name),
            None => unknown.push(name),
        }
    }
    if entered.is_empty() {
        let text = "not checked: their nodes are known only when the run has selected its pods";
        findings.push(Finding::note(Check::Helpers, text));
    } else if missing.is_empty() && unknown.is_empty() {
        findings.push(Finding::ok(Check::Helpers, format!("every node has the image {image}")));
    }
    let hint = "`kubectl outage preflight --enter-nodes` tries it; if a node cannot pull it, pass \
                --helper-image with an image that it has";
    if !missing.is_empty() {
        let text =
            format!("image {image} is not present on {}: the kubelet will pull it", few(missing));
        findings.push(Finding::note(Check::Helpers, text).hint(hint));
    }
    if !unknown.is_empty() {
        let text = format!(
            "whether image {image} is present is unknown on {}: a kubelet lists only some of its \
             images",
            few(unknown)
        );
        findings.push(Finding::note(Check::Helpers, text).hint(hint));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{self, Fault, From, NodeSelector, Step};
    use crate::plan::Platform;

    fn node(name: &str, role: NodeRole, system: &str, processor: &str) -> Node {
        let platform = Platform { system: system.into(), processor: processor.into() };
        Node { platform, ..Node::ready(name, role) }
    }

    /// The head of a Linux program for amd64.
    fn amd64() -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(18, 0);
        head.extend([62, 0]);
        head
    }

    #[test]
    fn a_node_of_another_platform_is_refused_with_what_would_help() {
        let refused = |system, processor| {
            cannot_run(&amd64(), &node("w", NodeRole::Worker, system, processor))
                .map(|error| (error.line(), error.hint.unwrap()))
        };
        assert_eq!(refused("linux", "amd64"), None);
        assert_eq!(refused("", ""), None, "nobody knows");
        let (why, hint) = refused("linux", "arm64").unwrap();
        let wanted = "this program cannot run on node w: the node's architecture is arm64, the program is for amd64";
        assert_eq!(why, wanted);
        assert!(hint.contains("--agent-binary"), "{hint}");
        let (why, hint) = refused("windows", "amd64").unwrap();
        assert!(why.ends_with("it runs windows, not Linux") && hint.contains("from: host"));
    }

    #[test]
    fn probes_need_the_program_and_faults_do_not() {
        let nodes = [
            node("cp", NodeRole::ControlPlane, "linux", "arm64"),
            node("w", NodeRole::Worker, "linux", "arm64"),
        ];
        let target = NodeSelector { name: Some("w".into()), ..NodeSelector::default() };
        let (fault, hold) = (Fault::KubeletStop { target }, Duration::from_secs(9));
        let step = Step::Fault { name: None, fault, hold, meanwhile: Vec::new() };
        let found = |from: From| {
            let base = experiment::parse(experiment::load("worker-stop-fast").unwrap()).unwrap();
            let mut experiment = Experiment { method: vec![step.clone()], ..base.experiment };
            experiment.probes.iter_mut().for_each(|probe| probe.from = from.clone());
            let plan = plan::plan(Request {
                experiment: &experiment,
                nodes: plan::Nodes::Running(&nodes),
                known: Known::default(),
                seed: None,
                undo_timer_margin: Duration::ZERO,
            });
            let found = of_platforms(&amd64(), &plan, &experiment, &nodes);
            found.into_iter().map(|it| (it.level, it.message)).collect::<Vec<_>>()
        };
        let observed = found(From::Host);
        assert!(
            matches!(&observed[..], [(Level::Warning, text)] if text.contains("node cp: ")
                && text.ends_with("it is not observed from inside")),
            "{observed:?}"
        );
        let selector = NodeSelector { role: Some(NodeRole::ControlPlane), ..Default::default() };
        let probed = found(From::Node(selector));
        assert!(
            matches!(&probed[..], [(Level::Error, _)]),
            "once, however many probes: {probed:?}"
        );
    }

    #[test]
    fn what_a_kubelet_does_not_list_is_unknown() {
        let nodes = ["a", "b", "c"].map(|name| node(name, NodeRole::Worker, "linux", "amd64"));
        let images = vec!["docker.io/library/busybox:1.37".to_owned()];
        let host = |name: &str, images: &[String], has_more| PodHost {
            name: name.into(),
            images: images.to_vec(),
            has_more,
            pressure: None,
        };
        let of = |hosts: &[PodHost]| -> Vec<String> {
            let entered: Vec<&Node> = nodes.iter().take(hosts.len()).collect();
            let found = on_hosts(&entered, hosts, "busybox:1.37");
            found.into_iter().map(|it| it.message).collect()
        };
        assert_eq!(of(&[host("a", &images, true)]), ["every node has the image busybox:1.37"]);
        let some = of(&[host("a", &images, true), host("b", &[], false), host("c", &[], true)]);
        assert!(some[0].starts_with("image busybox:1.37 is not present on b: "), "{some:?}");
        assert!(some[1].contains("is unknown on c: ") && some.len() == 2, "{some:?}");
    }
}

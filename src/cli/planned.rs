//! The cluster that an experiment's kind config asks for, before it is there: what predictions start from.

use std::path::Path;

use super::failure::Failure;
use super::{exit, load};
use crate::cluster::KindConfig;
use crate::engine::environment::provision;
use crate::engine::error::RunError;
use crate::engine::plan::target::{self, Endpoints, Known, Node};
use crate::engine::plan::{self, Refusal};
use crate::engine::run::at_risk;
use crate::experiment::{Cluster, Diagnostic, Experiment, Fault, From, NodeSelector, Parsed};
use crate::model::Topology;
use crate::prediction::{Ground, workload};
use crate::timeline::NodeRole;

/// A cluster that could be made.
pub(super) struct Planned {
    /// Its nodes and settings, with the experiment's workload on it.
    pub ground: Ground,
    /// What it is, for people.
    pub name: String,
}

/// The cluster of `config`, else of the experiment's own kind config; `None` where there is neither. Errors when the config can't be used.
pub(super) fn planned(
    parsed: &Parsed,
    config: Option<&Path>,
    kubernetes: &str,
) -> Result<Option<Planned>, Failure> {
    let (path, text, tuning) = match (config, &parsed.kind_config, &parsed.experiment.cluster) {
        (Some(path), ..) => (path.display().to_string(), load::kind_config(path)?, None),
        (None, Some(file), Cluster::Kind { tuning, .. }) => {
            (file.path.clone(), file.text.clone(), *tuning)
        }
        _ => return Ok(None),
    };
    let unusable = |error| Failure { code: exit::USAGE, ..Failure::from(error) };
    let config = provision::asked(&path, &text, tuning).map_err(unusable)?;
    let name = &config.name;
    let nodes = kubernetes_nodes(&config);
    let count = nodes.len();
    let ground = with_workload(Ground::new(nodes, config.expected(kubernetes), kubernetes), parsed);
    let name = format!(
        "kind cluster {name} as {path} asks for it (Kubernetes {kubernetes}, {count} nodes)"
    );
    Ok(Some(Planned { ground, name }))
}

/// The same with the version of today, where it can be had: for hints, which must not fail.
pub(super) fn today(parsed: &Parsed) -> Option<Ground> {
    planned(parsed, None, load::TODAY).ok().flatten().map(|planned| planned.ground)
}

/// A ground with the experiment's workload on it.
pub(super) fn with_workload(ground: Ground, parsed: &Parsed) -> Ground {
    ground.with_workload(workload::behind_services(
        parsed.workload.iter().map(|file| file.text.as_str()),
    ))
}

/// What a run in the cluster of the experiment's own kind config would refuse, at its places. Where there is no such config, or nodes are
/// chosen by labels, which only the cluster knows: what the file alone tells.
pub(super) fn refused(parsed: &Parsed) -> Vec<Diagnostic> {
    let (Some(file), Cluster::Kind { tuning, .. }) =
        (&parsed.kind_config, &parsed.experiment.cluster)
    else {
        return parsed.without_nodes();
    };
    let config = match provision::asked(&file.path, &file.text, *tuning) {
        Ok(config) => config,
        // A mistake in the config has been told at its place.
        Err(_) if parsed.warnings.has_errors() => return parsed.without_nodes(),
        Err(error) => {
            let config = refusal(parsed, "spec.cluster.kind.config", error);
            return parsed.without_nodes().into_iter().chain([config]).collect();
        }
    };
    if selectors(&parsed.experiment).any(|selector| !selector.labels.is_empty()) {
        return parsed.without_nodes();
    }
    in_nodes(parsed, &nodes(&config))
}

/// Whom a method hits, and where its pods go.
fn selectors(experiment: &Experiment) -> impl Iterator<Item = &NodeSelector> {
    experiment.steps().into_iter().filter_map(|step| match step.fault()?.0 {
        Fault::DeploymentPlace { on, .. } => Some(on.as_ref()),
        fault => fault.target(),
    })
}

/// What Kubernetes knows as nodes in the cluster of a kind config: how kind names them, and their roles.
fn kubernetes_nodes(config: &KindConfig) -> Vec<(String, NodeRole)> {
    let nodes = Topology::kind(
        &config.name,
        config.count(NodeRole::ControlPlane),
        config.count(NodeRole::Worker),
    )
    .nodes;
    nodes.into_iter().map(|node| (node.name, node.role)).collect()
}

/// The same, all well, and the load balancer that kind makes before several control planes.
fn nodes(config: &KindConfig) -> Vec<Node> {
    let node =
        |(name, role)| Node { name, role, labels: Default::default(), ready: true, address: None };
    let balancer = format!("{}-external-load-balancer", config.name);
    let balancer = (config.count(NodeRole::ControlPlane) > 1)
        .then_some((balancer, NodeRole::ExternalLoadBalancer));
    kubernetes_nodes(config).into_iter().chain(balancer).map(node).collect()
}

/// Whether a fault and a probe name one node: the file alone tells of that.
fn both_named(experiment: &Experiment, from: &NodeSelector) -> bool {
    let mut taken =
        experiment.steps().into_iter().filter_map(|step| step.fault()?.0.taken_by_name());
    taken.any(|name| from.name.as_deref() == Some(name))
}

fn in_nodes(parsed: &Parsed, nodes: &[Node]) -> Vec<Diagnostic> {
    let experiment = &parsed.experiment;
    let at_risk = at_risk(experiment, nodes);
    let at_risk: Vec<&str> = at_risk.iter().map(String::as_str).collect();
    let (mut hosts, mut told) = (Vec::new(), Vec::new());
    for (number, probe) in experiment.probes.iter().enumerate() {
        let From::Node(from) = &probe.from else { continue };
        match target::probe_host(nodes, from, &Endpoints::new(), &at_risk) {
            _ if !from.labels.is_empty() || both_named(experiment, from) => {}
            Ok(host) => hosts.push(host.name.clone()),
            Err(error) => {
                told.push(refusal(parsed, &format!("spec.probes[{number}].from.node"), error))
            }
        }
    }
    let place = |Refusal { step, .. }: &Refusal| match step.fault() {
        Some((fault @ Fault::DeploymentPlace { .. }, _)) => {
            format!("{}.fault.{}.on", step.place, fault.kind())
        }
        Some((fault, _)) => format!("{}.fault.{}.target", step.place, fault.kind()),
        None => step.place.clone(),
    };
    // Which step shares its nodes with this one is told at its place, if none does.
    let steps = experiment.steps();
    let shares = |refused: &Refusal| {
        let of = refused.step.fault().and_then(|(fault, _)| fault.target()?.of.as_deref());
        of.is_none()
            || steps.iter().any(|outer| refused.step.is_during(outer) && outer.name() == of)
    };
    // A node that hosts a probe may be one too many as well.
    for known in [Known::default(), Known { hosts, ..Known::default() }] {
        let refused = plan::refusals(experiment, nodes, &known);
        let refused = refused
            .into_iter()
            .filter(shares)
            .map(|refused| refusal(parsed, &place(&refused), refused.error));
        let news: Vec<Diagnostic> = refused.filter(|refused| !told.contains(refused)).collect();
        told.extend(news);
    }
    told
}

fn refusal(parsed: &Parsed, place: &str, error: RunError) -> Diagnostic {
    parsed.error(place, error.line()).hint_if(error.hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Source, parse_all_with};

    const GOOD: &str = include_str!("../experiment/testdata/good.yaml");
    const WEB: &str = include_str!("../experiment/testdata/web.yaml");
    const TARGET: &str = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";

    /// All problems of `GOOD` with another fault, limits and probe host, on so many nodes.
    fn told(fault: &str, radius: &str, from: &str, (planes, workers): (usize, usize)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let nodes = [vec!["{role: control-plane}"; planes], vec!["{role: worker}"; workers]]
            .concat()
            .join(", ");
        let config = format!(
            "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes: [{nodes}]\n"
        );
        std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
        std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
        let method = format!("  blastRadius: {{{radius}}}\n  method:\n");
        let experiment = GOOD.replace(TARGET, fault).replace("  method:\n", &method);
        let experiment =
            experiment.replace("from: {node: {role: control-plane}}", &format!("from: {from}"));
        match parse_all_with(Source::from_text("x.yaml", experiment, folder.path()), &refused) {
            Ok(all) => all[0].warnings.to_string(),
            Err(problems) => problems.to_string(),
        }
    }

    const PLANE: &str = "{node: {role: control-plane}}";
    const WORKER: &str = "{node: {role: worker}}";

    #[test]
    fn what_the_nodes_suffice_for_is_not_refused() {
        assert_eq!(told(TARGET, "", PLANE, (1, 2)), "");
        assert_eq!(told(TARGET, "", WORKER, (1, 2)), "", "another worker may host the probe");
        assert_eq!(
            told("nodeStop: {target: {labels: {disk: ssd}}}", "", PLANE, (1, 1)),
            "",
            "only the cluster knows labels"
        );
    }

    #[test]
    fn the_only_control_plane_is_lost_by_permission_only() {
        let kill =
            |radius| told("nodeKill: {target: {role: control-plane}}", radius, WORKER, (1, 2));
        let quorum = "x.yaml:21:26: error: etcd would lose its quorum: 1 of 1 members would be down, 1 is needed (if that is the experiment, say `blastRadius: {quorumLoss: true}`)";
        assert_eq!(kill("maxControlPlanes: 1"), quorum);
        let both = kill("");
        assert!(
            both.contains("at most 0 may be; etcd would lose its quorum"),
            "both at once: {both}"
        );
        assert!(
            both.ends_with("say `blastRadius: {maxControlPlanes: 1, quorumLoss: true}`)"),
            "one hint: {both}"
        );
        assert_eq!(both.lines().count(), 1, "{both}");
        assert_eq!(kill("maxControlPlanes: 1, quorumLoss: true"), "");
        let etcd = told(
            "componentStop: {component: etcd, target: {role: control-plane}}",
            "maxControlPlanes: 1",
            WORKER,
            (1, 2),
        );
        assert!(etcd.contains("etcd would lose its quorum"), "{etcd}");
        let scheduler = "componentStop: {component: kube-scheduler, target: {role: control-plane}}";
        assert_eq!(told(scheduler, "maxControlPlanes: 1", WORKER, (1, 2)), "");
    }

    #[test]
    fn a_majority_is_lost_by_permission_only() {
        let kill = |count: &str, radius: &str| {
            let fault = format!("nodeKill: {{target: {{role: control-plane{count}}}}}");
            told(&fault, &format!("maxControlPlanes: 3{radius}"), WORKER, (3, 2))
        };
        assert_eq!(kill("", ""), "");
        assert!(kill(", count: 2", "").contains("2 of 3 members would be down, 2 are needed"));
        assert!(kill(", count: all", "").contains("3 of 3 members would be down"));
        assert_eq!(kill(", count: 2", ", quorumLoss: true"), "");
        let followers = "componentStop: {component: kube-scheduler, target: {followers: kube-scheduler, count: all}}";
        assert_eq!(told(followers, "maxControlPlanes: 2", WORKER, (3, 2)), "");
        let nobody = told(followers, "maxControlPlanes: 2", WORKER, (1, 2));
        assert!(
            nobody.contains(
                "error: no node matches all of role control-plane, a follower of kube-scheduler"
            ),
            "{nobody}"
        );
        let leader_too = told(
            &followers.replace("count: all", "count: 3"),
            "maxControlPlanes: 3",
            WORKER,
            (3, 2),
        );
        assert!(
            leader_too.contains("error: 3 nodes are to be harmed, and 2 match"),
            "{leader_too}"
        );
    }

    #[test]
    fn the_nodes_that_are_harmed_are_there() {
        let many =
            told("nodeKill: {target: {role: worker, count: 3}}", "maxWorkers: 3", PLANE, (1, 2));
        let wanted =
            "error: 3 nodes are to be harmed, and 2 match role worker: test-worker, test-worker2";
        assert!(many.contains(wanted), "{many}");
        let named = told("nodeDrain: {target: {name: test-worker9}}", "", PLANE, (1, 2));
        assert!(
            named.contains("no node matches name test-worker9 (the cluster's nodes are"),
            "{named}"
        );
        assert!(told(TARGET, "", PLANE, (1, 0)).contains("no node matches role worker"));
        let balancer = "nodeKill: {target: {role: external-load-balancer}}";
        assert!(
            told(balancer, "loadBalancer: true", PLANE, (1, 1))
                .contains("no node matches role external-load-balancer")
        );
        assert!(!told(balancer, "loadBalancer: true", PLANE, (2, 1)).contains("error"));
        let moved =
            told("deploymentPlace: {name: web, on: {role: worker, count: 3}}", "", PLANE, (1, 2));
        assert!(
            moved.contains(
                "x.yaml:21:40: error: 3 nodes are to take the pods, and 2 match role worker"
            ),
            "{moved}"
        );
    }

    #[test]
    fn the_only_node_is_not_harmed_and_asked_from() {
        let told = |from| told(TARGET, "", from, (1, 1));
        assert!(told(WORKER).contains(
            "x.yaml:21:26: error: every node that the target allows hosts a probe: test-worker"
        ));
        let plane = super::tests::told(
            "nodeKill: {target: {role: control-plane}}",
            "maxControlPlanes: 1",
            PLANE,
            (1, 1),
        );
        assert!(
            plane.contains("hosts a probe: test-control-plane")
                && plane.contains("lose its quorum"),
            "{plane}"
        );
        let absent = told("{node: {name: test-worker7}}");
        assert!(
            absent.contains("x.yaml:12:18: error: no node matches name test-worker7"),
            "{absent}"
        );
    }

    #[test]
    fn another_mistake_hides_nothing_and_none_is_told_twice() {
        let nested = "nodeKill: {target: {role: worker}}\n    for: 15s\n    meanwhile:\n    - fault: {nodeStop: {target: {role: worker, mostEndpointsOf: wbe}}}\n      for: 3s\n  - fault:\n      nodePause: {target: {role: worker}}";
        let nested = told(nested, "", PLANE, (1, 3));
        assert!(
            nested.contains("2 workers would be harmed at once")
                && nested.contains("Service `wbe`"),
            "{nested}"
        );
        let loss = told("etcdDataLoss: {target: {role: control-plane}}", "", WORKER, (1, 2));
        let wanted = "say `blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}`)";
        assert!(loss.ends_with(wanted) && loss.matches("blastRadius").count() == 1, "{loss}");
        let shared = told("nodeKill: {target: {of: nobody}}", "", PLANE, (1, 2));
        assert!(
            shared.contains(
                "during a step `nobody` (put it into the `meanwhile` of a step of that name)"
            ),
            "{shared}"
        );
        assert_eq!(shared.lines().count(), 1, "{shared}");
        let named = told(
            "nodeKill: {target: {name: test-worker}}",
            "",
            "{node: {name: test-worker}}",
            (1, 2),
        );
        assert!(
            named.contains("from which the probe `web` asks") && named.lines().count() == 1,
            "{named}"
        );
        let unread =
            told("nodeKill: {target: {role: control-plane}}\n    oops: 1", "", WORKER, (1, 2));
        assert!(
            unread.contains("oops") && unread.contains("1 control-plane node would be harmed"),
            "{unread}"
        );
    }

    #[test]
    fn all_steps_that_are_refused_are_told() {
        let two = "nodeKill: {target: {role: worker, count: 3}}\n    for: 15s\n  - fault:\n      nodeDrain: {target: {name: nobody}}";
        assert_eq!(told(two, "maxWorkers: 3", PLANE, (1, 2)).lines().count(), 2);
    }
}

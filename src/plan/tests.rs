//! Whole plans.

use super::target::tests::{cluster, role};
use super::*;
use crate::experiment;
use crate::experiment::{BlastRadius, Count, NodeSelector, Step};
use crate::timeline::{Component, Endpoint, NodeRole};

fn fault(fault: Fault, meanwhile: Vec<Step>) -> Step {
    Step::Fault { name: None, fault, hold: std::time::Duration::from_secs(9), meanwhile }
}

/// One that is right.
pub(super) fn experiment() -> Experiment {
    experiment::parse(experiment::load("worker-stop-fast").unwrap()).unwrap().experiment
}

fn kill(target: NodeSelector) -> Fault {
    Fault::NodeKill { target }
}

fn stop(component: Component, count: Count) -> Fault {
    Fault::ComponentStop {
        component,
        target: NodeSelector { count, ..role(NodeRole::ControlPlane) },
    }
}

/// The targets of each fault, or why not.
fn planned(
    planes: usize,
    workers: usize,
    limits: BlastRadius,
    method: Vec<Step>,
) -> Result<Vec<Vec<String>>, String> {
    let experiment =
        Experiment { method, blast_radius: limits, probes: Vec::new(), ..experiment() };
    let nodes = cluster(planes, workers);
    let planned = plan(Request {
        experiment: &experiment,
        nodes: Nodes::Running(&nodes),
        known: Known::default(),
        seed: Some(Random::new(1)),
        undo_timer_margin: Duration::ZERO,
    })
    .accepted()
    .map_err(|refusal| refusal.message)?;
    Ok(planned.iter().map(|p| p.targets.iter().map(|node| node.name.clone()).collect()).collect())
}

#[test]
fn simultaneous_faults_count_together() {
    let worker = || kill(role(NodeRole::Worker));
    let nested = || vec![fault(worker(), vec![fault(worker(), Vec::new())])];
    let refused = planned(1, 3, BlastRadius::default(), nested()).unwrap_err();
    assert_eq!(refused, "2 workers would be affected at the same time, but the limit is 1");
    let two = BlastRadius { max_workers: 2, ..BlastRadius::default() };
    let targets = planned(1, 2, two.clone(), nested()).unwrap();
    assert_ne!(targets[0], targets[1], "never the same node twice");
    let refused = planned(1, 1, two, nested()).unwrap_err();
    assert_eq!(refused, "every node that matches the target is under another fault: w1");
    let in_turn = vec![fault(worker(), Vec::new()), fault(worker(), Vec::new())];
    assert!(planned(1, 1, BlastRadius::default(), in_turn).is_ok());
}

#[test]
fn parts_of_one_control_plane_may_be_hit_at_the_same_time() {
    let limits =
        || BlastRadius { max_control_planes: 1, quorum_loss: true, ..BlastRadius::default() };
    let both = |inner: Fault| {
        vec![fault(stop(Component::Scheduler, Count::All), vec![fault(inner, Vec::new())])]
    };
    assert!(planned(1, 2, limits(), both(stop(Component::ControllerManager, Count::All))).is_ok());
    assert!(planned(1, 2, limits(), both(stop(Component::Scheduler, Count::All))).is_err());
    assert!(planned(1, 2, limits(), both(kill(role(NodeRole::ControlPlane)))).is_err());
}

#[test]
fn a_drained_node_may_be_hit_and_no_other_one_twice() {
    let named = |name: &str, outer: Fault, inner: Fault| {
        let (name, hold) = (Some(name.to_owned()), std::time::Duration::from_secs(9));
        vec![Step::Fault { name, fault: outer, hold, meanwhile: vec![fault(inner, Vec::new())] }]
    };
    let drain = || Fault::NodeDrain { target: role(NodeRole::Worker), options: Default::default() };
    let of = |step: &str| NodeSelector { of: Some(step.into()), ..role(NodeRole::Worker) };
    for _ in 0..4 {
        let targets =
            planned(1, 3, BlastRadius::default(), named("drained", drain(), kill(of("drained"))))
                .unwrap();
        assert_eq!(targets[0], targets[1]);
    }
    let refused =
        planned(1, 3, BlastRadius::default(), named("other", drain(), kill(of("drained"))))
            .unwrap_err();
    assert!(refused.starts_with("no node matches role worker, hit by drained"), "{refused}");
    let limits = BlastRadius { max_workers: 2, ..BlastRadius::default() };
    let refused =
        planned(1, 3, limits, named("down", kill(role(NodeRole::Worker)), kill(of("down"))))
            .unwrap_err();
    assert!(refused.contains("is under another fault"), "{refused}");
}

#[test]
fn the_quorum_is_counted_over_all_that_last() {
    let limits = BlastRadius { max_control_planes: 3, ..BlastRadius::default() };
    let two = || stop(Component::Etcd, Count::Exactly(2));
    let refused = planned(3, 1, limits.clone(), vec![fault(two(), Vec::new())]).unwrap_err();
    assert!(refused.contains("2 of 3 members would be down"), "{refused}");
    let one = || stop(Component::Etcd, Count::Exactly(1));
    assert!(
        planned(3, 1, limits.clone(), vec![fault(one(), vec![fault(one(), Vec::new())])]).is_err()
    );
    let scheduler = stop(Component::Scheduler, Count::All);
    assert!(planned(3, 1, limits, vec![fault(one(), vec![fault(scheduler, Vec::new())])]).is_ok());
}

/// What is refused of an experiment after `from` became `to` in it, by whoever knows no nodes: one
/// a line.
fn changed(from: &str, to: &str) -> String {
    refused_of(&GOOD.replace(from, to))
}

fn refused_of(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), WEB).unwrap();
    std::fs::write(folder.path().join("kind.yaml"), KIND).unwrap();
    let reading = experiment::read(experiment::Source::from_text("x.yaml", text, folder.path()));
    let parsed = &reading.experiments[0];
    let plan = plan(Request {
        experiment: &parsed.experiment,
        nodes: Nodes::Unknown,
        known: Known::default(),
        seed: None,
        undo_timer_margin: Duration::ZERO,
    });
    let line = |one: Refused| {
        let problem = parsed.error(&one.place, one.why.message).hint_if(one.why.hint);
        problem.to_string().replace("x.yaml:", "")
    };
    plan.refused.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

const GOOD: &str = include_str!("../experiment/testdata/good.yaml");
const WEB: &str = include_str!("../experiment/testdata/web.yaml");
const KIND: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\n";
const NONE: &str = "1 control-plane node would be affected at the same time, but the limit is 0 (to allow it, set `blastRadius: {maxControlPlanes: 1}`)";

#[test]
fn the_blast_radius_holds() {
    let diagnostics = changed("role: worker, most", "role: control-plane, most");
    assert_eq!(diagnostics.lines().next().unwrap(), format!("20:26: error: {NONE}"));
    let diagnostics = changed("  method:\n", "  blastRadius: {maxWorkers: 0}\n  method:\n");
    assert!(diagnostics.contains("1 worker would be affected"), "{diagnostics}");
    let balancer = changed("role: worker, most", "role: external-load-balancer, most");
    assert!(balancer.contains("`blastRadius: {loadBalancer: true}`"), "{balancer}");
}

#[test]
fn a_fault_on_a_component_counts_its_control_plane() {
    let of_part = |target: &str| {
        changed(
            "nodeStop: {target: {role: worker, ",
            &format!("componentStop: {{component: etcd, target: {{{target}"),
        )
    };
    assert!(of_part("role: control-plane, ").contains(NONE));
    assert!(of_part("").contains(NONE), "without a role, too");
}

#[test]
fn what_is_lost_is_reported_once() {
    let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
    let loss = changed(fault, "etcdDataLoss: {target: {role: control-plane}}");
    assert!(
        loss.contains("`blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}`"),
        "{loss}"
    );
    assert_eq!(loss.matches("blastRadius").count(), 1, "{loss}");
}

const STEP: &str =
    "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";

#[test]
fn whoever_hits_a_steps_nodes_hits_what_that_step_may() {
    let planes = "  - name: away\n    fault: {nodeDrain: {target: {role: control-plane}}}\n    for: 15s\n    meanwhile:\n    - {fault: {nodeReboot: {target: {of: away}}}, for: 15s}\n";
    let diagnostics = changed(STEP, planes);
    assert_eq!(
        diagnostics
            .matches(
                "error: 1 control-plane node would be affected at the same time, but the limit is 0"
            )
            .count(),
        2,
        "{diagnostics}"
    );
}

fn on(node: &str) -> Endpoint {
    Endpoint { address: String::new(), pod: None, node: Some(node.into()), ready: true }
}

#[test]
fn the_nodes_with_the_most_endpoints_are_the_likeliest_to_be_hit() {
    let experiment = experiment();
    let nodes = cluster(1, 3);
    let endpoints = Endpoints::from([("web".to_owned(), vec![on("w1"), on("w1"), on("w3")])]);
    assert_eq!(at_risk(&experiment, &nodes, &endpoints), ["w1", "w3", "w2"]);
    assert_eq!(at_risk(&experiment, &nodes, &Endpoints::new()), ["w3", "w2", "w1"]);
}

#[test]
fn without_a_control_plane_a_probe_runs_where_the_fault_is_not_needed() {
    let mut experiment = experiment();
    experiment.probes.iter_mut().for_each(|probe| probe.from = From::Node(NodeSelector::default()));
    let host = |planes: usize| {
        let nodes = cluster(planes, 2);
        let known = Known {
            endpoints: [("web".to_owned(), vec![on("w1"), on("w1")])].into(),
            ..Known::default()
        };
        let planned = plan(Request {
            experiment: &experiment,
            nodes: Nodes::Running(&nodes),
            known,
            seed: Some(Random::new(1)),
            undo_timer_margin: Duration::ZERO,
        });
        assert_eq!(planned.refused, []);
        assert_eq!(planned.steps[0].targets[0].name, "w1");
        planned.hosts[0].node.name.clone()
    };
    assert_eq!([host(0), host(1)].map(|name| name.starts_with('w')), [true, false]);
}

#[test]
fn a_node_of_another_system_is_not_among_those_that_a_fault_inside_may_hit() {
    let mut nodes = cluster(1, 3);
    nodes[1].platform.system = "windows".into();
    let may_hit = |fault_on: Fault| {
        let method = vec![fault(fault_on, Vec::new())];
        let experiment = Experiment { method, probes: Vec::new(), ..experiment() };
        let planned = plan(Request {
            experiment: &experiment,
            nodes: Nodes::Running(&nodes),
            known: Known::default(),
            seed: None,
            undo_timer_margin: Duration::ZERO,
        });
        let candidates = planned.steps[0].candidates.iter();
        candidates.map(|node| node.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(may_hit(Fault::KubeletStop { target: role(NodeRole::Worker) }), ["w2", "w3"]);
    let drain = Fault::NodeDrain { target: role(NodeRole::Worker), options: Default::default() };
    assert_eq!(may_hit(drain), ["w1", "w2", "w3"], "a drain needs the API only");
}

#[test]
fn a_node_without_a_label_that_a_command_needs_is_not_hit() {
    let argv = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let check = || experiment::Check { argv: argv(&["state", "{node}"]), prints: None };
    let commands = experiment::Commands {
        effect: crate::timeline::CommandEffect::NodeDown,
        inject: argv(&["stop", "{node}"]),
        confirm: check(),
        undo: argv(&["start", "{node}", "--zone={label:zone}"]),
        confirm_undone: check(),
        timeout: Duration::from_secs(60),
    };
    let target = role(NodeRole::Worker);
    let command = Fault::Command { target, commands: Box::new(commands) };
    let method = vec![fault(command, Vec::new())];
    let experiment = Experiment { method, probes: Vec::new(), ..experiment() };
    let planned = |nodes: &[Node]| {
        let planned = plan(Request {
            experiment: &experiment,
            nodes: Nodes::Running(nodes),
            known: Known::default(),
            seed: None,
            undo_timer_margin: Duration::ZERO,
        });
        let candidates = planned.steps.iter().flat_map(|step| &step.candidates);
        let names = candidates.map(|node| node.name.clone()).collect::<Vec<_>>();
        (names, planned.refused.into_iter().map(|it| it.why.message).collect::<Vec<_>>())
    };
    let mut nodes = cluster(1, 2);
    assert_eq!(planned(&nodes).0, ["w1", "w2"], "nothing is known yet of a node to be created");
    nodes.iter_mut().for_each(|node| node.address = Some("10.0.0.1".into()));
    let none =
        "every node that matches the target has no label zone, which `{label:zone}` needs: w1, w2";
    assert_eq!(planned(&nodes), (vec![], vec![none.to_owned()]));
    nodes[2].labels.insert("zone".into(), "a".into());
    assert_eq!(planned(&nodes), (vec!["w2".to_owned()], vec![]));
}

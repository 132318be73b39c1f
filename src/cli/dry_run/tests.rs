//! Plans as data.

use super::*;
use crate::cli::load::{Setting, checked};
use crate::experiment;

fn plan_of(name: &str, trials: u32) -> Document {
    plan_as(&["run", name], trials)
}

fn plan_as(typed: &[&str], trials: u32) -> Document {
    let name = typed[1];
    let parsed = checked(experiment::load(name).unwrap(), Setting::OWN).unwrap().swap_remove(0);
    let target = absent(&parsed, "some-cluster", None).map_err(|failure| failure.text()).unwrap();
    let args = crate::cli::args::tests::run(typed);
    let times = Times { repeat: args.repeat, retries: args.retries };
    let plan = planned(&parsed, target, args.execution.undo_timer_margin, times, trials);
    futures_util::FutureExt::now_or_never(plan)
        .expect("nothing is asked")
        .map_err(|failure| failure.text())
        .unwrap()
}

#[test]
fn a_plan_is_data_and_the_same_as_text() {
    let plan = plan_of("worker-stop-fast", TRIALS);
    insta::assert_snapshot!(json::pretty(&vec![&plan]));
    insta::assert_snapshot!(plan.text(80));
}

#[test]
fn the_longest_that_it_takes_includes_all_retries() {
    let once = plan_of("worker-stop-fast", 10);
    let plan = plan_as(&["run", "worker-stop-fast", "--repeat", "3", "--retries", "2"], 10);
    assert_eq!(plan.at_least_seconds.as_nanos(), once.at_least_seconds.as_nanos() * 3);
    assert_eq!(plan.at_most_seconds.as_nanos(), once.at_most_seconds.as_nanos() * 9);
    let text = plan.text(80);
    assert!(text.contains(" (3 runs, each with up to 2 retries)"), "{text}");
}

#[test]
fn every_built_in_experiment_has_a_plan_that_says_how_each_fault_is_undone() {
    for name in experiment::built_in_names() {
        let plan = plan_of(name, 10);
        assert!(!plan.steps.is_empty(), "{name}");
        for step in &plan.steps {
            assert!(!step.undo.is_empty(), "{name}");
            if let Some(timer) = &step.undo_timer {
                assert!(timer.seconds_after_confirmation > step.hold_seconds, "{name}");
                assert!(timer.seconds_after_request > timer.seconds_after_confirmation, "{name}");
            }
        }
        assert!(plan.at_most_seconds > plan.at_least_seconds, "{name}");
    }
}

#[test]
fn the_load_on_each_node_is_said() {
    let probe = |on_each, method: Option<&'static str>| {
        let target = "shop/web".to_owned();
        let side_effects = method.map(|method| document::SideEffects { method, target });
        let from = Some("this machine".into());
        document::Probe {
            name: "web".into(),
            per_second: 20.0,
            on_each,
            canary: None,
            side_effects,
            from,
        }
    };
    let on = |nodes| Some(document::OnEach { nodes });
    assert_eq!(probe(None, None).text(), "web: 20 attempts a second from this machine");
    assert_eq!(
        probe(on(Some(3)), Some("POST")).text(),
        "web: sends 20 POST requests a second on each of 3 nodes to shop/web from this machine"
    );
    let unknown = "web: 20 attempts a second on each node from this machine";
    assert_eq!(probe(on(None), None).text(), unknown);
}

#[test]
fn a_probe_of_each_node_counts_the_nodes_that_it_asks() {
    use crate::experiment::{ApiServer, ApiVerb, PortOn, Target, Via};
    let node = |role| Node::ready("n", role);
    let nodes = [
        node(NodeRole::ControlPlane),
        node(NodeRole::Worker),
        node(NodeRole::Worker),
        node(NodeRole::ExternalLoadBalancer),
    ];
    let count = |ask: &Ask| on_each(ask, Some(&nodes)).map(|each| each.nodes);
    let port = |on| {
        let (service, via) = ("shop/web".into(), Via::NodePort);
        Ask::Tcp { target: Target::Published { service, port: None, via, on } }
    };
    let api = |server| Ask::Api { verb: ApiVerb::Read, server };
    assert_eq!(count(&port(PortOn::Each)), Some(Some(3)));
    assert_eq!(count(&port(PortOn::Spared)), None);
    assert_eq!(count(&api(ApiServer::Each)), Some(Some(1)));
    assert_eq!(count(&api(ApiServer::Balancer)), None);
}

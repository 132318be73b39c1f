//! What every fault of the list must have.

use std::path::Path;
use std::time::Duration;

use super::samples::{component_faults, fault, in_experiments, object_faults, plan_of};
use super::*;
use crate::docker::fake::{FakeContainer, FakeEngine};
use crate::embedded::Action;
use crate::experiment::NodeSelector;

/// Kinds without an example experiment, and why.
const WITHOUT_EXPERIMENT: &[(FaultKind, &str)] = &[];

#[test]
fn every_fault_has_an_experiment_or_a_reason() {
    for kind in FaultKind::ALL {
        let reason = WITHOUT_EXPERIMENT.iter().find(|(without, _)| *without == kind);
        assert_ne!(in_experiments(kind).is_some(), reason.is_some(), "{kind}: {reason:?}");
    }
}

/// Its name, the words of its undo, and the way back by hand.
#[test]
fn every_fault_says_how_it_is_undone() {
    for kind in FaultKind::ALL {
        let (described, by_hand) = match plan_of(&fault(kind)) {
            Ok(undo) => {
                assert_eq!(undo.fault.kind(), kind);
                (undo.describe(), Some(undo.by_hand()))
            }
            Err(_) => {
                let fault = object_faults().into_iter().find(|fault| fault.kind() == kind);
                let undo = ObjectUndo::new("r", 0, fault.unwrap_or_else(|| panic!("{kind}")));
                (undo.describe(), undo.by_hand("kubectl"))
            }
        };
        assert!(!described.is_empty(), "{kind}");
        assert!(by_hand.is_some() || !kind.traits().lasts(), "{kind} is undone by nobody's hand");
    }
}

#[test]
fn every_fault_is_in_the_documentation() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let text = std::fs::read_to_string(&docs).unwrap();
    for kind in FaultKind::ALL {
        let row = text.lines().any(|line| line.starts_with(&format!("| `{kind}` |")));
        assert!(row, "docs/faults.md has no row of {kind}");
    }
}

#[test]
fn every_fault_is_predicted_or_has_a_reason() {
    let node = ModelNode { id: NodeId(0), name: "w" };
    for kind in FaultKind::ALL {
        let fault = fault(kind);
        let action = Action::of_fault(fault.facts(), node.id);
        let entry = serde_json::to_value(&fault).unwrap();
        assert!(entry.get(kind.name()).is_some(), "the schema of experiments has {entry}");
        // What ends the heartbeats is predicted, and what is predicted an embedded cluster does.
        match action {
            Ok(action) => {
                let modelled = modelled(&fault, node).unwrap_or_else(|| panic!("{kind}"));
                assert_eq!(
                    (modelled.inject, Some(modelled.undo)),
                    (action, action.undo()),
                    "{kind}"
                );
            }
            Err(reason) => {
                assert!(!reason.is_empty() && kind.traits().last_heartbeat.is_none(), "{kind}");
            }
        }
    }
}

#[test]
fn a_fault_on_a_part_names_it() {
    for fault in component_faults(Component::Scheduler) {
        let undo = plan_of(&fault).unwrap();
        assert_eq!(undo.fault.component(), Some(Component::Scheduler));
        assert!(undo.describe().contains("kube-scheduler"), "{}", undo.describe());
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused_by_its_name() {
    let text = serde_json::to_string(&plan_of(&fault(FaultKind::NodeKill)).unwrap()).unwrap();
    let newer = text.replace("outage.undo/v1", "outage.undo/v9");
    let error = serde_json::from_str::<Undo>(&newer).unwrap_err().to_string();
    assert!(error.contains("outage.undo/v9"), "{error}");
}

#[test]
fn people_read_what_will_be_done() {
    let texts = |fault: &Fault| {
        let undo = plan_of(fault).unwrap();
        (undo.describe(), undo.by_hand())
    };
    let (kill, pause) = (texts(&fault(FaultKind::NodeKill)), texts(&fault(FaultKind::NodePause)));
    assert_eq!(kill.0, "start container c-worker (docker start)");
    assert_eq!(kill.1, "docker start c-worker");
    assert_eq!(pause.0, "unpause container c-worker (docker unpause)");
    assert_eq!(pause.1, "docker unpause c-worker");
    let cut = texts(&fault(FaultKind::NodeDisconnect));
    assert_eq!(cut.0, "remove the packet filter outage-r-0 from container c-worker");
    assert_eq!(cut.1, "docker exec c-worker systemctl start outage-r-0.service");
    let stop = texts(&component_faults(Component::Etcd)[0]);
    assert_eq!(stop.0, "put the manifest of etcd back in container c-worker");
    assert_eq!(
        stop.1,
        "docker exec c-worker mv /etc/kubernetes/outage-r-0/etcd.yaml /etc/kubernetes/manifests/"
    );
}

#[test]
fn a_fault_that_waits_is_given_its_time() {
    let target = NodeSelector::default;
    let stop = Fault::NodeStop { target: target(), grace: Duration::from_secs(10) };
    let kill = Fault::NodeKill { target: target() };
    let grace = injection_timeout(&stop) - injection_timeout(&kill);
    assert_eq!(grace, Duration::from_secs(10));
    let [part, ..] = component_faults(Component::Etcd);
    assert!(injection_timeout(&part) >= component::END + COMMAND * 2);
    assert!(undo_timeout(&part) >= component::START);
    let loss = injection_timeout(&Fault::EtcdDataLoss { target: target() });
    assert!(loss >= Duration::from_secs(60 + 220 + 120), "{loss:?}");
}

/// What somebody else has done is found before anything is changed: an undo would undo that.
#[tokio::test]
async fn a_node_that_somebody_has_hit_is_refused_untouched() {
    let hits: [fn(&mut FakeContainer); 2] =
        [|node| node.paused = true, |node| node.running = false];
    // Its programs know nothing of containers.
    let kinds = FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::Command);
    for undo in kinds.filter_map(|kind| plan_of(&fault(kind)).ok()) {
        let (kind, engine, mut said) = (undo.fault.kind(), FakeEngine::start(), Vec::new());
        let docker = engine.connect().await;
        for hit in hits {
            engine.worker(hit);
            let before = check(&undo, &docker).await.unwrap_err();
            assert!(before.is_refusal(), "{kind}: {before}");
            let error = inject(&undo, &docker, &mut |phase, _| said.push(phase)).await.unwrap_err();
            assert!(error.is_refusal() && said.is_empty(), "{kind}: {error} {said:?}");
        }
    }
    let kinds = [FaultKind::KubeletStop, FaultKind::KubeletPause, FaultKind::KubeletThrottle];
    for kind in kinds {
        let (engine, undo) = (FakeEngine::start(), plan_of(&fault(kind)).unwrap());
        engine.with(|state| {
            state.script = Box::new(|_, argv| match argv.join(" ").as_str() {
                "systemctl is-active kubelet" => (3, "inactive".into()),
                _ => (1, "is not asked for".into()),
            });
        });
        let docker = engine.connect().await;
        for error in [
            check(&undo, &docker).await.unwrap_err(),
            inject(&undo, &docker, &mut |_, _| {}).await.unwrap_err(),
        ] {
            assert!(error.is_refusal(), "{kind}: {error}");
        }
    }
}

#[test]
fn an_etcd_of_several_members_loses_no_data() {
    let (fault, node) = (fault(FaultKind::EtcdDataLoss), samples::target());
    let member = NodeTarget { role: crate::timeline::NodeRole::ControlPlane, ..node.clone() };
    let cluster = [member.clone(), member];
    let (target, undo_after) = (&node, UndoAfter::both(Duration::ZERO));
    let facts = NodeFacts::default();
    let plan = Plan {
        fault: &fault,
        target,
        facts,
        cluster: &cluster,
        pod: None,
        run: "r",
        step: 0,
        undo_after,
    };
    let refused = super::plan(&plan).unwrap_err();
    assert!(refused.to_string().starts_with("etcd has several members here"), "{refused}");
    assert!(refused.hint().unwrap().contains("count: 2"));
}

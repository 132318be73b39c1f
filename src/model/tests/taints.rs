//! Taints that somebody sets.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::timeline::TaintEffect;

const NODE: usize = 1;

fn taint(cluster: &mut Cluster, at: f64, key: &str, effect: TaintEffect) -> Action {
    let taint = crate::timeline::Taint { key: key.into(), value: "v".into(), effect };
    let taint = cluster.model.taint_id(&taint);
    let action = Action::Taint { node: NodeId(NODE), taint, present: true };
    cluster.at(at, action);
    action
}

fn pinned() -> PodSpec {
    PodSpec { pinned: Some(NodeId(NODE)), ..PodSpec::default() }
}

#[test]
fn no_execute_evicts_who_does_not_tolerate_it_and_keeps_others_away_until_it_is_gone() {
    let mut cluster = Cluster::tuned(1, 2, 3);
    let toleration = json!({"key": "gpu", "value": "v", "tolerationSeconds": 5});
    let other = json!({"key": "gpu", "value": "w", "operator": "Equal"});
    let all = json!({"operator": "Exists", "effect": "NoExecute"});
    let pods = [json!([]), json!([other]), json!([toleration]), json!([all])].map(|tolerations| {
        let tolerations = Arc::from(tolerations.as_array().unwrap().clone());
        cluster.pod(1.0, PodSpec { tolerations, ..pinned() })
    });
    cluster.until(10.0);
    let tainting = taint(&mut cluster, 10.0, "gpu", TaintEffect::NoExecute);
    cluster.until(12.0);
    let is_gone = |cluster: &Cluster, pod: PodId| cluster.model.pod(pod).phase == Phase::Gone;
    assert_eq!(pods.map(|pod| is_gone(&cluster, pod)), [true, true, false, false]);
    let new = cluster.owner(12.0, PodSpec::default(), 4);
    cluster.until(17.0);
    assert_eq!(pods.map(|pod| is_gone(&cluster, pod)), [true, true, true, false]);
    let on = |cluster: &Cluster| -> Vec<usize> {
        let own = cluster.model.pods().map(|pod| cluster.model.pod(pod));
        own.filter(|pod| pod.owner == Some(new)).map(|pod| pod.node.unwrap().0).collect()
    };
    assert_eq!(on(&cluster), [2, 2, 2, 2]);
    cluster.at(20.0, tainting.undo().unwrap()).at(20.0, Action::Scale { owner: new, replicas: 5 });
    cluster.until(25.0);
    assert_eq!(on(&cluster), [2, 2, 2, 2, NODE]);
}

#[test]
fn no_schedule_evicts_nobody_and_prefer_keeps_nobody_away() {
    for (effect, nodes) in [(TaintEffect::NoSchedule, 1), (TaintEffect::PreferNoSchedule, 2)] {
        let mut cluster = Cluster::tuned(1, 2, 3);
        let there = cluster.pod(1.0, pinned());
        cluster.until(5.0);
        taint(&mut cluster, 5.0, "full", effect);
        cluster.owner(6.0, PodSpec::default(), 4);
        cluster.until(300.0);
        assert!(cluster.model.pod(there).ready, "{effect:?}");
        let all = cluster.model.pods().filter(|pod| *pod != there);
        let on: std::collections::BTreeSet<_> =
            all.map(|pod| cluster.model.pod(pod).node.unwrap().0).collect();
        assert_eq!(on.len(), nodes, "{effect:?}");
    }
}

/// A StatefulSet's pod on a dead node is not replaced before the garbage collector has removed it.
#[test]
fn pods_of_a_node_that_is_out_of_service_are_removed_without_its_kubelet() {
    for seed in 0..20 {
        let mut cluster = Cluster::tuned(1, 2, seed);
        let owner = cluster.model.create_owner(
            seconds(1.0),
            Controller::StatefulSet,
            PodSpec::default(),
            2,
            &mut |_, _| {},
        );
        cluster.until(10.0).at(10.0, Action::Kill { node: NodeId(NODE) }).until(30.0);
        let live = |cluster: &Cluster| {
            let pods = cluster.model.pods().map(|pod| cluster.model.pod(pod));
            pods.filter(|pod| pod.owner == Some(owner) && pod.phase != Phase::Gone)
                .map(|pod| (pod.ordinal, pod.node.map(|node| node.0), pod.terminating))
                .collect::<Vec<_>>()
        };
        let before = live(&cluster);
        let lost = before.iter().find(|(_, node, _)| *node == Some(NODE)).unwrap().0;
        taint(&mut cluster, 30.0, "node.kubernetes.io/out-of-service", TaintEffect::NoExecute);
        cluster.until(30.1);
        assert!(live(&cluster).contains(&(lost, Some(NODE), true)), "{:?}", live(&cluster));
        cluster.until(52.0);
        let mut after = live(&cluster);
        after.sort();
        assert_eq!(after, [(0, Some(2), false), (1, Some(2), false)]);
    }
}

//! The controllers, one by one.

use super::*;

/// A kubelet that reports trouble gives False, at its own next post; a silent one gives Unknown.
#[test]
fn trouble_is_false_and_silence_is_unknown() {
    let mut cluster = Cluster::tuned(1, 2, 1);
    let mut expect = |action, ready, reason, within: std::ops::Range<f64>| {
        let at = cluster.model.now().as_secs_f64() + 20.0;
        cluster.until(at).at(at, action).until(at + 8.0);
        let waited = cluster.became(at, 1, ready).unwrap() - at;
        assert!(within.contains(&waited), "{waited}");
        assert_eq!(cluster.model.node(NodeId(1)).reason, reason);
    };
    expect(Action::Ail { node: NodeId(1) }, Ready::False, "KubeletNotReady", 0.0..1.04);
    expect(Action::Heal { node: NodeId(1) }, Ready::True, "KubeletReady", 0.0..1.04);
    expect(Action::StopKubelet { node: NodeId(1) }, Ready::Unknown, "NodeStatusUnknown", 2.9..6.5);
}

/// The taint follows the condition, and is swapped immediately when the condition changes sides.
#[test]
fn taints_follow_the_condition() {
    let mut cluster = Cluster::tuned(1, 2, 2);
    cluster.at(20.0, Action::Ail { node: NodeId(1) }).until(23.0);
    let state = cluster.model.node(NodeId(1));
    assert!(
        state.has(Taint::NotReadyNoSchedule)
            && state.has(Taint::NotReadyNoExecute)
            && !state.has(Taint::UnreachableNoExecute)
    );
    cluster.at(23.0, pause(1)).until(32.0);
    let state = cluster.model.node(NodeId(1));
    assert!(state.has(Taint::UnreachableNoSchedule) && state.has(Taint::UnreachableNoExecute));
    assert!(!state.has(Taint::NotReadyNoSchedule) && !state.has(Taint::NotReadyNoExecute));
    cluster
        .at(32.0, Action::Unpause { node: NodeId(1) })
        .at(32.0, Action::Heal { node: NodeId(1) })
        .until(40.0);
    assert!(Taint::ALL.iter().all(|taint| !cluster.model.node(NodeId(1)).has(*taint)));
}

/// After a status change the kubelet waits, once, up to half a report period longer or shorter.
#[test]
fn a_changed_status_shifts_the_next_report_once() {
    let gaps: Vec<f64> = (0..200)
        .flat_map(|seed| {
            let mut cluster = Cluster::tuned(1, 1, seed);
            cluster.at(10.0, Action::Ail { node: NodeId(1) }).until(20.0);
            let status = |c: &Change| {
                matches!(c, Change::Beat { node: NodeId(1), heartbeat: Heartbeat::Status })
            };
            let beats = cluster.when(10.0, status);
            beats.windows(2).map(|pair| pair[1] - pair[0]).take(5).collect::<Vec<_>>()
        })
        .collect();
    let long = gaps.iter().filter(|gap| **gap > 1.05).count();
    assert!(gaps.iter().all(|gap| (1.0..=2.081).contains(gap)));
    assert!((40..160).contains(&long), "{long} of 200 changes");
}

/// NotReady, then the pod is not ready, then its endpoint: it stays in the slice; kube-proxies
/// follow.
#[test]
fn an_endpoint_leaves_with_not_ready_and_stays_in_its_slice() {
    let mut cluster = Cluster::tuned(1, 2, 3);
    cluster.owner(1.0, PodSpec::default(), 2);
    cluster.until(20.0);
    assert!(cluster.model.pods().all(|pod| cluster.model.pod(pod).endpoint == Some(true)));
    assert!(cluster.model.routes(NodeId(0), PodId(0)));
    let node = cluster.model.pod(PodId(0)).node.unwrap();
    cluster.at(20.0, pause(node.0)).until(30.0);
    assert_eq!(cluster.model.pod(PodId(0)).backend, Backend::Hangs);
    let unknown = cluster.became(20.0, node.0, Ready::Unknown).unwrap();
    let unready =
        cluster.first(20.0, |c| *c == Change::PodReady { pod: PodId(0), ready: false }).unwrap();
    let endpoint = cluster
        .first(20.0, |c| *c == Change::Endpoint { pod: PodId(0), ready: Some(false) })
        .unwrap();
    let proxy = cluster.first(20.0, |c| *c == Change::ProxySynced { node: NodeId(0) }).unwrap();
    assert!(unknown < unready && unready < endpoint && endpoint < proxy && proxy < unknown + 0.3);
    assert!(
        !cluster.model.routes(NodeId(0), PodId(0)) && cluster.model.routes(NodeId(0), PodId(1))
    );
    // The frozen node's own kube-proxy knows nothing of it.
    assert!(cluster.model.routes(node, PodId(0)));
}

/// Two changes within a second: the second one is in force a second after the first.
#[test]
fn a_proxy_syncs_once_a_second_at_most() {
    let mut cluster = Cluster::tuned(1, 2, 4);
    let owner = cluster.owner(1.0, PodSpec::default(), 2);
    cluster
        .until(20.0)
        .at(20.0, Action::Scale { owner, replicas: 1 })
        .at(20.4, Action::Scale { owner, replicas: 3 })
        .until(30.0);
    let syncs = cluster.when(20.0, |c| *c == Change::ProxySynced { node: NodeId(0) });
    assert!(syncs.len() >= 2 && syncs.windows(2).all(|pair| pair[1] - pair[0] >= 1.0), "{syncs:?}");
}

/// After a thaw the node is ready in about a second; its pod only with the kubelet's next
/// comparison, within ten.
#[test]
fn a_thawed_pod_waits_for_the_kubelets_comparison() {
    let mut waits = Vec::new();
    for seed in 0..100 {
        let mut cluster = Cluster::tuned(1, 1, seed);
        let pod = cluster.pod(1.0, PodSpec::default());
        cluster.at(20.0, pause(1)).at(35.0, Action::Unpause { node: NodeId(1) }).until(50.0);
        let ready = cluster.became(35.0, 1, Ready::True).unwrap();
        assert!((0.7..1.3).contains(&(ready - 35.0)));
        waits.push(
            cluster.first(35.0, |c| *c == Change::PodReady { pod, ready: true }).unwrap() - ready,
        );
    }
    assert!(waits.iter().all(|wait| (0.0..10.0).contains(wait)));
    assert!(waits.iter().any(|wait| *wait < 2.0) && waits.iter().any(|wait| *wait > 8.0));
}

/// An orderly stop: refused for a moment, then silence; after the start: ready again.
#[test]
fn a_stopped_nodes_pods_refuse_and_then_hang() {
    let mut cluster = Cluster::tuned(1, 1, 5);
    let pod = cluster.pod(1.0, PodSpec::default());
    cluster.until(20.0).at(20.0, stop(1)).until(35.0);
    let backend = |backend| move |c: &Change| *c == Change::Backend { pod: PodId(0), backend };
    let refuses = cluster.first(20.0, backend(Backend::Refuses)).unwrap();
    let hangs = cluster.first(20.0, backend(Backend::Hangs)).unwrap();
    assert!((20.05..=20.6).contains(&refuses) && (0.06..=0.3).contains(&(hangs - refuses)));
    assert_eq!(cluster.model.node(NodeId(1)).power, Power::Off);
    cluster.at(35.0, Action::Start { node: NodeId(1) }).until(45.0);
    assert_eq!(cluster.model.pod(pod).backend, Backend::Answers);
    assert_eq!(cluster.model.pod(pod).endpoint, Some(true));
    assert_eq!(cluster.model.node(NodeId(1)).ready, Ready::True);
}

/// Pods of a ReplicaSet are replaced when the toleration of 300 s is over; a bare pod is not.
#[test]
fn tolerations_run_out_after_300_seconds() {
    let mut cluster = Cluster::tuned(1, 2, 6);
    cluster.owner(1.0, PodSpec::default(), 2);
    let bare = cluster.pod(1.0, PodSpec { pinned: Some(NodeId(1)), ..PodSpec::default() });
    let stays = cluster.pod(
        1.0,
        PodSpec {
            pinned: Some(NodeId(1)),
            tolerates_unreachable: Tolerates::Forever,
            ..PodSpec::default()
        },
    );
    cluster.until(20.0).at(20.0, pause(1)).until(400.0);
    let tainted = cluster.tainted(20.0, Taint::UnreachableNoExecute)[0];
    let evicted = cluster
        .when(20.0, |c| matches!(c, Change::PodTerminating { cause: Deletion::Eviction, .. }));
    assert_eq!(evicted.len(), 2);
    assert!(
        evicted.iter().all(|at| (300.0..300.05).contains(&(at - tainted))),
        "{tainted} {evicted:?}"
    );
    let replacement = cluster.changes.iter().find_map(|(at, c)| match c {
        Change::PodCreated { pod, owner: Some(_) } if *at > 20.0 => Some(*pod),
        _ => None,
    });
    let state = cluster.model.pod(replacement.unwrap());
    assert_eq!((state.node, state.ready, state.endpoint), (Some(NodeId(2)), true, Some(true)));
    // Its kubelet is silent: the evicted pod stays, Terminating.
    assert!(cluster.model.pod(bare).terminating && cluster.model.pod(bare).phase == Phase::Running);
    assert!(!cluster.model.pod(stays).terminating);
}

/// A new leader takes NoExecute taints away, sets them again, and counts every toleration from
/// zero.
#[test]
fn a_new_leader_counts_tolerations_from_zero() {
    let mut cluster = Cluster::tuned(1, 2, 7);
    cluster.owner(1.0, PodSpec::default(), 2);
    cluster.until(20.0).at(20.0, pause(1)).until(200.0);
    cluster
        .at(
            200.0,
            Action::KillComponent { node: NodeId(0), component: Component::ControllerManager },
        )
        .until(600.0);
    let tainted = cluster.tainted(200.0, Taint::UnreachableNoExecute);
    let evicted = cluster
        .first(20.0, |c| matches!(c, Change::PodTerminating { cause: Deletion::Eviction, .. }))
        .unwrap();
    assert_eq!(tainted.len(), 1);
    assert!(
        tainted[0] > 215.0 && (300.0..300.05).contains(&(evicted - tainted[0])),
        "{tainted:?} {evicted}"
    );
}

/// A node that comes back in time takes the eviction back.
#[test]
fn a_return_within_the_toleration_evicts_nobody() {
    let mut cluster = Cluster::tuned(1, 2, 7);
    cluster.owner(1.0, PodSpec::default(), 2);
    cluster
        .until(20.0)
        .at(20.0, pause(1))
        .at(200.0, Action::Unpause { node: NodeId(1) })
        .until(600.0);
    assert!(cluster.when(20.0, |c| matches!(c, Change::PodTerminating { .. })).is_empty());
}

fn zoned(zones: &[&str], seed: u64) -> Cluster {
    let mut topology = Topology::kind("k", 1, zones.len() - 1);
    topology.nodes.iter_mut().zip(zones).for_each(|(node, zone)| {
        node.labels.insert("topology.kubernetes.io/zone".into(), (*zone).to_owned());
    });
    Cluster::of(&tuned(), &topology, seed)
}

/// One node of a zone after the other, ten seconds apart.
#[test]
fn evictions_come_one_node_in_ten_seconds() {
    let mut cluster = zoned(&["a"; 9], 8);
    cluster.until(20.0).at(20.0, pause(1)).at(20.0, pause(2)).at(20.0, pause(3)).until(60.0);
    let tainted = cluster.tainted(20.0, Taint::UnreachableNoExecute);
    assert_eq!(tainted.len(), 3);
    assert!(
        tainted.windows(2).all(|pair| (10.0..10.11).contains(&(pair[1] - pair[0]))),
        "{tainted:?}"
    );
}

/// More than two nodes and at least 55 % of a zone of up to 50: nothing is evicted.
#[test]
fn an_unhealthy_zone_is_not_evicted() {
    let mut cluster = zoned(&["b", "a", "a", "a", "a", "a"], 9);
    cluster.until(20.0).at(20.0, pause(1)).at(20.0, pause(2)).at(20.0, pause(3)).until(20.0);
    cluster.until(120.0);
    // The first to be found may be tainted before the others are found.
    assert!(cluster.tainted(20.0, Taint::UnreachableNoExecute).len() <= 1, "3 of 5 are 60%");
    let mut cluster = zoned(&["b", "a", "a", "a", "a", "a", "a"], 9);
    cluster.until(20.0).at(20.0, pause(1)).at(20.0, pause(2)).at(20.0, pause(3)).until(120.0);
    assert_eq!(cluster.tainted(20.0, Taint::UnreachableNoExecute).len(), 3, "3 of 6 are 50%");
}

/// A zone that is dead is evicted at the normal rate, as long as another lives.
#[test]
fn a_dead_zone_beside_a_living_one_is_evicted() {
    let mut cluster = zoned(&["b", "a", "a"], 10);
    cluster.until(20.0).at(20.0, pause(1)).at(20.0, pause(2)).until(60.0);
    assert_eq!(cluster.tainted(20.0, Taint::UnreachableNoExecute).len(), 2);
}

/// With every node dead it is the controller that is cut off: NoExecute taints are taken away, and
/// none comes.
#[test]
fn with_all_zones_dead_nothing_is_tainted() {
    let mut cluster = zoned(&["a", "a", "a"], 11);
    let kubelet = |node| Action::StopKubelet { node: NodeId(node) };
    cluster.until(20.0).at(20.0, kubelet(1)).until(40.0);
    assert!(cluster.model.node(NodeId(1)).has(Taint::UnreachableNoExecute));
    cluster.at(40.0, kubelet(0)).at(40.0, kubelet(2)).until(60.0);
    assert!((0..3).all(|node| cluster.model.node(NodeId(node)).ready == Ready::Unknown));
    assert!((0..3).all(|node| !cluster.model.node(NodeId(node)).has(Taint::UnreachableNoExecute)));
    cluster.until(500.0);
    assert!(cluster.tainted(60.0, Taint::UnreachableNoExecute).is_empty());
}

/// Required anti-affinity leaves a pod pending until there is a node for it.
#[test]
fn anti_affinity_waits_for_a_node() {
    let mut cluster = Cluster::tuned(1, 2, 12);
    cluster.owner(1.0, PodSpec { spread: Spread::Require, ..PodSpec::default() }, 3);
    cluster.until(20.0);
    let nodes: Vec<_> = cluster.model.pods().map(|pod| cluster.model.pod(pod).node).collect();
    assert_eq!(nodes, [Some(NodeId(1)), Some(NodeId(2)), None]);
}

/// A node takes 110 pods; the rest wait until one of them goes.
#[test]
fn a_full_node_takes_no_more() {
    let mut cluster = Cluster::tuned(1, 2, 5);
    let owner = cluster.owner(10.0, PodSpec::default(), 250);
    cluster.until(20.0);
    let bound = |cluster: &Cluster, node| {
        let there = |pod: &PodId| {
            cluster.model.pod(*pod).node == Some(NodeId(node))
                && cluster.model.pod(*pod).phase != Phase::Gone
        };
        cluster.model.pods().filter(there).count()
    };
    assert_eq!((bound(&cluster, 1), bound(&cluster, 2)), (110, 110));
    let pending = |cluster: &Cluster| {
        cluster.model.pods().filter(|pod| cluster.model.pod(*pod).node.is_none()).count()
    };
    assert_eq!(pending(&cluster), 30);
    let pod =
        cluster.model.pods().find(|pod| cluster.model.pod(*pod).node == Some(NodeId(1))).unwrap();
    cluster.at(20.0, Action::DeletePod { pod, force: false }).until(30.0);
    assert_eq!(
        (bound(&cluster, 1), pending(&cluster)),
        (110, 30),
        "one of those that waited, and another for it"
    );
    cluster.at(30.0, Action::Scale { owner, replicas: 0 }).until(60.0);
    assert_eq!((bound(&cluster, 1), bound(&cluster, 2)), (0, 0));
}

/// A ReplicaSet's controller makes 500 at a time, so that no step is without bound.
#[test]
fn many_replicas_come_in_bursts() {
    let mut cluster = Cluster::tuned(1, 1, 6);
    let owner = cluster.owner(10.0, PodSpec::default(), 1_200);
    cluster.until(20.0);
    let burst = |changes: &[(f64, Change)], which: fn(&Change) -> bool| {
        let mut counts: Vec<(f64, usize)> = Vec::new();
        for (at, _) in changes.iter().filter(|(_, change)| which(change)) {
            match counts.last_mut().filter(|(last, _)| last == at) {
                Some((_, count)) => *count += 1,
                None => counts.push((*at, 1)),
            }
        }
        counts.into_iter().map(|(_, count)| count).collect::<Vec<_>>()
    };
    assert_eq!(
        burst(&cluster.changes, |change| matches!(change, Change::PodCreated { .. })),
        [500, 500, 200]
    );
    cluster.at(20.0, Action::Scale { owner, replicas: 0 }).until(30.0);
    let ends = burst(&cluster.changes, |change| matches!(change, Change::PodTerminating { .. }));
    assert!(
        ends.iter().all(|count| *count <= 500) && ends.iter().sum::<usize>() == 1_200,
        "{ends:?}"
    );
}

//! What stops when parts of the control plane do.

use super::*;

fn component(node: usize, component: Component, down: bool) -> Action {
    let node = NodeId(node);
    if down {
        Action::StopComponent { node, component }
    } else {
        Action::StartComponent { node, component }
    }
}

/// With a three-member etcd one may be lost, not two.
#[test]
fn etcd_needs_a_quorum() {
    let mut cluster = Cluster::tuned(3, 1, 1);
    cluster.until(10.0).at(10.0, pause(0)).until(20.0);
    assert!(cluster.model.api_serves() && !cluster.model.serves(NodeId(0), Component::ApiServer));
    cluster.at(20.0, pause(1)).until(25.0);
    assert!(!cluster.model.api_serves());
    cluster.at(25.0, Action::Unpause { node: NodeId(1) }).until(35.0);
    assert!(cluster.model.api_serves());
}

/// Where etcd's leader was, writes stop until another is elected.
#[test]
fn etcd_elects_within_two_seconds() {
    for seed in 0..20 {
        let mut cluster = Cluster::tuned(3, 0, seed);
        cluster.until(10.0).at(10.0, component(0, Component::Etcd, true)).until(20.0);
        let lost = cluster
            .first(10.0, |c| matches!(c, Change::Serves { node, component: Component::ApiServer, serves: false } if node.0 == 1));
        let back = cluster
            .first(10.0, |c| matches!(c, Change::Serves { node, component: Component::ApiServer, serves: true } if node.0 == 1));
        assert_eq!(lost.is_some(), back.is_some());
        if let Some(back) = back {
            assert!((11.0..=12.0).contains(&back), "{back}");
        }
    }
}

/// An API server away for longer than the leader's deadline: the controller manager gives up, a new
/// one starts every grace period from zero, and the heartbeats are back by then: no node is found
/// dead.
#[test]
fn after_a_long_absence_of_the_api_no_node_is_found_dead() {
    for seed in 0..30 {
        let mut cluster = Cluster::tuned(1, 2, seed);
        cluster.until(20.0).at(20.0, component(0, Component::ApiServer, true));
        cluster.at(60.0, component(0, Component::ApiServer, false)).until(120.0);
        let beat = |c: &Change| {
            matches!(c, Change::Beat { .. } | Change::LeaseRenewed { .. } | Change::Endpoint { .. })
        };
        assert!(
            cluster.when(20.001, beat).iter().all(|at| *at > 60.0),
            "nothing is written while it is away"
        );
        assert_eq!(
            cluster.first(20.0, |c| matches!(c, Change::NodeReady { .. })),
            None,
            "seed {seed}"
        );
        assert_eq!(cluster.model.leader(Component::ControllerManager), Some(NodeId(0)));
        assert!(cluster.model.serves(NodeId(0), Component::ControllerManager));
    }
}

/// Away for longer than the grace period but not than the leader's deadline, the controller's
/// stamps are old when it can write again: nodes that it looks at before their heartbeat comes are
/// found dead, though they live. They come back with it.
#[test]
fn after_a_short_absence_of_the_api_living_nodes_may_be_found_dead() {
    let mut found = 0;
    for seed in 0..100 {
        let mut cluster = Cluster::tuned(1, 2, seed);
        cluster
            .until(20.0)
            .at(20.0, Action::PauseComponent { node: NodeId(0), component: Component::ApiServer });
        cluster
            .at(26.5, Action::UnpauseComponent { node: NodeId(0), component: Component::ApiServer })
            .until(60.0);
        found += usize::from(cluster.became(20.0, 1, Ready::Unknown).is_some());
        assert_eq!(cluster.model.node(NodeId(1)).ready, Ready::True);
    }
    assert!((10..100).contains(&found), "{found}");
}

/// A node that dies while the control plane is away is not noticed until it is back and has counted
/// anew.
#[test]
fn a_death_while_the_control_plane_is_away_is_noticed_afterwards() {
    let mut cluster = Cluster::tuned(1, 2, 2);
    cluster.until(20.0).at(20.0, component(0, Component::ApiServer, true)).at(30.0, pause(1));
    cluster.at(90.0, component(0, Component::ApiServer, false)).until(200.0);
    let unknown = cluster.became(20.0, 1, Ready::Unknown).unwrap();
    let leads = cluster
        .first(90.0, |c| {
            matches!(c, Change::Leader { component: Component::ControllerManager, .. })
        })
        .unwrap();
    assert!(unknown > leads + 4.0 && unknown < leads + 6.2, "{leads} {unknown}");
    assert!(leads > 91.0);
}

/// A killed controller manager waits for the lease that it held itself, and starts every grace
/// period from zero.
#[test]
fn a_restarted_controller_manager_counts_from_zero() {
    for seed in 0..20 {
        let mut cluster = Cluster::tuned(1, 2, seed);
        cluster.until(20.0).at(20.0, pause(1));
        cluster
            .at(
                22.0,
                Action::KillComponent { node: NodeId(0), component: Component::ControllerManager },
            )
            .until(80.0);
        let leads = cluster
            .first(22.0, |c| {
                matches!(c, Change::Leader { component: Component::ControllerManager, .. })
            })
            .unwrap();
        let unknown = cluster.became(20.0, 1, Ready::Unknown).unwrap();
        assert!((37.0..50.0).contains(&leads), "{leads}");
        assert!((4.0..6.1).contains(&(unknown - leads)), "{leads} {unknown}");
    }
}

/// Three control planes: the leader is frozen, another takes over when the lease is over; the
/// thawed one gives up.
#[test]
fn a_frozen_leader_is_replaced() {
    for seed in 0..20 {
        let mut cluster = Cluster::tuned(3, 1, seed);
        cluster.until(20.0);
        let old = cluster.model.leader(Component::ControllerManager).unwrap();
        cluster.at(20.0, pause(old.0)).until(45.0);
        let new = cluster.model.leader(Component::ControllerManager).unwrap();
        let taken = cluster
            .first(20.0, |c| {
                matches!(c, Change::Leader { component: Component::ControllerManager, .. })
            })
            .unwrap();
        assert!(new != old && (33.0..41.5).contains(&taken), "{taken}");
        assert!(
            cluster.became(20.0, old.0, Ready::Unknown).unwrap() > taken + 4.0,
            "counted anew by the new leader"
        );
        cluster.at(45.0, Action::Unpause { node: old }).until(80.0);
        assert_eq!(cluster.model.leader(Component::ControllerManager), Some(new));
        assert!(
            cluster.model.serves(new, Component::ControllerManager)
                && !cluster.model.serves(old, Component::ControllerManager)
        );
    }
}

/// A scheduler that ends in order gives its lease back, so another leads within its retry period; a
/// controller manager does not.
#[test]
fn only_a_scheduler_gives_its_lease_back() {
    let mut cluster = Cluster::tuned(3, 0, 3);
    cluster.until(20.0);
    let leader = cluster.model.leader(Component::Scheduler).unwrap();
    cluster.at(20.0, component(leader.0, Component::Scheduler, true)).until(60.0);
    let taken = cluster
        .first(20.1, |c| {
            matches!(c, Change::Leader { component: Component::Scheduler, holder: Some(_) })
        })
        .unwrap();
    assert!(taken < 24.5, "{taken}");
    let leader = cluster.model.leader(Component::ControllerManager).unwrap();
    cluster.at(60.0, component(leader.0, Component::ControllerManager, true)).until(100.0);
    let taken = cluster
        .first(60.1, |c| {
            matches!(c, Change::Leader { component: Component::ControllerManager, .. })
        })
        .unwrap();
    assert!((73.0..81.0).contains(&taken), "{taken}");
}

/// Without a scheduler pods stay Pending, without a controller manager there are none; both catch
/// up.
#[test]
fn what_waits_for_scheduler_and_controller_manager() {
    let mut cluster = Cluster::tuned(1, 2, 4);
    cluster.until(20.0).at(20.0, component(0, Component::Scheduler, true));
    let owner = cluster.owner(21.0, PodSpec::default(), 1);
    cluster.until(40.0);
    let first = cluster.model.pod(PodId(0));
    assert_eq!((first.owner, first.node, first.phase), (Some(owner), None, Phase::Pending));
    cluster.at(40.0, component(0, Component::Scheduler, false)).until(70.0);
    assert_eq!(cluster.model.pod(PodId(0)).phase, Phase::Running);
    cluster
        .at(70.0, component(0, Component::ControllerManager, true))
        .at(71.0, Action::Scale { owner, replicas: 2 })
        .until(90.0);
    assert_eq!(cluster.model.pods().count(), 1);
    cluster.at(90.0, component(0, Component::ControllerManager, false)).until(130.0);
    assert_eq!(cluster.model.pod(PodId(1)).endpoint, Some(true));
}

/// The only control plane off: pods go on answering and proxies go on with what they know.
#[test]
fn without_a_control_plane_services_go_on() {
    let mut cluster = Cluster::tuned(1, 2, 5);
    cluster.owner(1.0, PodSpec::default(), 2);
    cluster.until(20.0).at(20.0, Action::Kill { node: NodeId(0) }).until(60.0);
    assert!(!cluster.model.api_serves());
    assert!(cluster.model.pods().all(|pod| cluster.model.pod(pod).backend == Backend::Answers
        && cluster.model.routes(NodeId(1), pod)));
    cluster.at(60.0, Action::Start { node: NodeId(0) }).until(150.0);
    assert!(cluster.model.api_serves());
    assert!((0..3).all(|node| cluster.model.node(NodeId(node)).ready == Ready::True));
    assert!(cluster.model.pods().all(|pod| cluster.model.pod(pod).endpoint == Some(true)));
}

/// A node that reboots meanwhile does not get its pods back until the API is.
#[test]
fn a_rebooted_node_waits_for_the_api() {
    let mut cluster = Cluster::tuned(1, 1, 6);
    let pod = cluster.pod(1.0, PodSpec::default());
    cluster
        .until(20.0)
        .at(20.0, component(0, Component::ApiServer, true))
        .at(21.0, Action::Kill { node: NodeId(1) });
    cluster.at(30.0, Action::Start { node: NodeId(1) }).until(60.0);
    assert_ne!(cluster.model.pod(pod).backend, Backend::Answers);
    cluster.at(60.0, component(0, Component::ApiServer, false)).until(75.0);
    assert_eq!(cluster.model.pod(pod).backend, Backend::Answers);
}

/// The control plane's cable: its own controllers go on and find everybody else dead.
#[test]
fn a_cut_off_control_plane_finds_the_workers_dead() {
    let mut cluster = Cluster::tuned(1, 2, 7);
    cluster.until(20.0).at(20.0, Action::Disconnect { node: NodeId(0) }).until(40.0);
    assert!(
        cluster.became(20.0, 1, Ready::Unknown).is_some()
            && cluster.became(20.0, 2, Ready::Unknown).is_some()
    );
    assert_eq!(cluster.model.node(NodeId(0)).ready, Ready::True);
    cluster.at(40.0, Action::Reconnect { node: NodeId(0) }).until(60.0);
    assert!((0..3).all(|node| cluster.model.node(NodeId(node)).ready == Ready::True));
}

/// A controller manager that is frozen for longer than the grace period, but not than its deadline,
/// finds nobody dead on its thaw: the heartbeats went on, and its watches bring them.
#[test]
fn a_thawed_controller_manager_finds_nobody_dead() {
    for seed in 0..50 {
        let mut cluster = Cluster::tuned(1, 2, seed);
        let node = NodeId(0);
        cluster
            .until(20.0)
            .at(20.0, Action::PauseComponent { node, component: Component::ControllerManager });
        cluster
            .at(27.0, Action::UnpauseComponent { node, component: Component::ControllerManager })
            .until(60.0);
        assert_eq!(
            cluster.first(20.0, |c| matches!(c, Change::NodeReady { .. })),
            None,
            "seed {seed}"
        );
        assert!(cluster.model.serves(node, Component::ControllerManager));
    }
}

/// A watch of an API server that is frozen for less than 45 s goes on with it; one that was broken
/// is tried again with growing waits.
#[test]
fn watches_of_a_frozen_api_server_go_on_when_it_does() {
    let follows = |away: Action, back: Action, seed| {
        let mut cluster = Cluster::tuned(1, 2, seed);
        cluster.owner(0.5, PodSpec::default(), 2);
        cluster.until(20.0).at(20.0, away).at(25.0, Action::Kill { node: NodeId(2) });
        cluster.at(60.0, back).until(150.0);
        let left = cluster
            .first(60.0, |c| matches!(c, Change::Endpoint { ready, .. } if *ready != Some(true)));
        let synced =
            cluster.first(left.unwrap(), |c| matches!(c, Change::ProxySynced { node: NodeId(1) }));
        synced.unwrap() - left.unwrap()
    };
    let frozen = |seed| follows(pause(0), Action::Unpause { node: NodeId(0) }, seed);
    let held = |down| component(0, Component::ApiServer, down);
    let stopped = |seed| follows(held(true), held(false), seed);
    assert!(
        (0..20).all(|seed| frozen(seed) < 1.2),
        "{:?}",
        (0..20).map(frozen).fold(0.0, f64::max)
    );
    assert!((0..20).any(|seed| stopped(seed) > 5.0));
}

/// A node that only the API servers cannot see is lost, and its pods answer.
#[test]
fn a_node_that_is_cut_off_from_the_api_servers_keeps_its_pods() {
    let mut cluster = Cluster::tuned(1, 2, 4);
    cluster.owner(0.5, PodSpec::default(), 2);
    cluster.until(20.0).at(20.0, Action::CutFromApi { node: NodeId(1) }).until(35.0);
    let lost = cluster.became(20.0, 1, Ready::Unknown).unwrap();
    assert!((22.9..26.5).contains(&lost), "{lost}");
    let pods = cluster.model.pods();
    assert!(pods.into_iter().all(|pod| cluster.model.pod(pod).backend == Backend::Answers));
    assert!(cluster.first(lost, |c| matches!(c, Change::Endpoint { .. })).is_some());
    cluster.at(35.0, Action::Reconnect { node: NodeId(1) }).until(60.0);
    assert!(cluster.became(35.0, 1, Ready::True).is_some());
    assert_eq!(cluster.became(20.0, 2, Ready::Unknown), None);
}

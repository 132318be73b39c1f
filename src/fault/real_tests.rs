//! The faults against a real kind cluster: `OUTAGE_TEST_CLUSTER=<kind cluster> cargo test --lib
//! real_tests -- --ignored --nocapture --test-threads=1`. They use the cluster's first worker, and
//! print how long each step took.

#![allow(clippy::disallowed_methods)] // the names of the cluster and the image to test with

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, timeout};

use super::samples::fault;
use super::{FaultError, NodeTarget, Undo, inject, planned, undo};
use crate::docker::{Docker, Endpoint, EngineEnv};
use crate::node::{NodeAccess, NodeFile};
use crate::timeline::{Event, FaultKind, FaultPhase, NodeRole};

/// Those that one worker is enough for.
const EVERY: [FaultKind; 5] = [
    FaultKind::NodeStop,
    FaultKind::NodeKill,
    FaultKind::NodePause,
    FaultKind::NodeDisconnect,
    FaultKind::KubeletStop,
];
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    docker: Docker,
    target: NodeTarget,
}

impl World {
    async fn new() -> Self {
        let cluster = std::env::var("OUTAGE_TEST_CLUSTER").expect("names a kind cluster");
        let endpoint =
            Endpoint::resolve(std::env::var("DOCKER_HOST").ok().as_deref(), &EngineEnv::default())
                .unwrap();
        let docker = Docker::connect(&endpoint).await.unwrap();
        println!("{} at {}", docker.describe(), endpoint.address);
        let nodes = docker.kind_nodes(&cluster).await.unwrap();
        let worker = nodes.iter().find(|node| node.role == NodeRole::Worker).expect("has a worker");
        Self { docker, target: NodeTarget::new(&worker.name, worker) }
    }

    fn plan(&self, kind: FaultKind, step: u32, undo_after: Duration) -> Undo {
        planned(&fault(kind), &self.target, "test", step, undo_after)
    }

    async fn inject(&self, plan: &Undo) -> Result<(), FaultError> {
        let began = Instant::now();
        inject(plan, &self.docker, &mut |phase, seen| tell(began, plan, phase, &seen)).await
    }

    async fn undo(&self, plan: &Undo) -> Result<(), FaultError> {
        let began = Instant::now();
        undo(plan, &self.docker, &mut |phase, seen| tell(began, plan, phase, &seen)).await
    }

    async fn sh(&self, script: &str) -> String {
        self.docker
            .exec(&self.target.container_id, &["sh", "-c", script], None)
            .await
            .unwrap()
            .text()
    }

    async fn rules(&self) -> String {
        self.sh("iptables -w 5 -t mangle -S | grep -c outage-test; ip6tables -w 5 -t mangle -S | grep -c outage-test").await
    }

    async fn is_well(&self) -> bool {
        let state = self.docker.inspect(&self.target.container_id).await.unwrap();
        state.running && !state.paused && self.rules().await == "0\n0" && {
            let end = Instant::now() + Duration::from_secs(20);
            while self.sh("systemctl is-active kubelet").await != "active" && Instant::now() < end {
                sleep(Duration::from_millis(100)).await;
            }
            self.sh(
                "systemctl is-active kubelet; systemctl list-units --all --no-legend 'outage-*'",
            )
            .await
                == "active"
        }
    }
}

fn tell(began: Instant, plan: &Undo, phase: FaultPhase, seen: &str) {
    println!("{:>15} {:>8.3}s {phase:?}: {seen}", plan.fault.kind(), began.elapsed().as_secs_f64());
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn each_fault_is_done_confirmed_and_undone_twice() {
    let world = World::new().await;
    for kind in EVERY {
        let plan = world.plan(kind, 0, HOUR);
        world.inject(&plan).await.unwrap();
        world.undo(&plan).await.unwrap();
        world.undo(&plan).await.unwrap();
        assert!(world.is_well().await, "{kind}");
    }
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn a_fault_that_was_cut_is_undone_for_good() {
    let world = World::new().await;
    for kind in EVERY {
        for cut_ms in [0, 20, 100, 200, 300, 1000, 4000] {
            let plan = world.plan(kind, 0, HOUR);
            println!("-- {kind} cut after {cut_ms} ms");
            let _ = timeout(Duration::from_millis(cut_ms), world.inject(&plan)).await;
            world.undo(&plan).await.unwrap();
            let started =
                world.docker.inspect(&world.target.container_id).await.unwrap().started_at;
            // A stop that was still on its way would be over by then.
            sleep(Duration::from_secs(if kind == FaultKind::NodeStop { 12 } else { 2 })).await;
            assert!(world.is_well().await, "{kind} {cut_ms}");
            assert_eq!(
                world.docker.inspect(&world.target.container_id).await.unwrap().started_at,
                started,
                "died again"
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn the_watchdog_timer_undoes_what_nothing_else_undoes() {
    let world = World::new().await;
    for kind in [FaultKind::NodeDisconnect, FaultKind::KubeletStop] {
        let plan = world.plan(kind, 0, Duration::from_secs(5));
        world.inject(&plan).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let injected = world.rules().await != "0\n0"
            || world.sh("systemctl is-active kubelet").await == "inactive";
        assert!(injected, "{kind} ended early");
        sleep(Duration::from_secs(5)).await;
        assert!(world.is_well().await, "{kind} was not healed");
        world.undo(&plan).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn two_cuts_on_one_node_are_undone_apart() {
    let world = World::new().await;
    let (first, second) = (
        world.plan(FaultKind::NodeDisconnect, 1, HOUR),
        world.plan(FaultKind::NodeDisconnect, 11, HOUR),
    );
    world.inject(&first).await.unwrap();
    world.inject(&second).await.unwrap();
    assert_eq!(world.rules().await, "4\n4");
    world.undo(&first).await.unwrap();
    assert_eq!(world.rules().await, "2\n2");
    assert_eq!(world.sh("iptables -w 5 -t mangle -S | grep -c outage-test-11").await, "2");
    world.sh("systemctl start outage-test-11.service").await; // as by_hand() says
    assert_eq!(world.rules().await, "0\n0");
    world.undo(&second).await.unwrap();
    assert!(world.is_well().await);
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn a_filter_that_fails_is_not_taken_for_gone() {
    let world = World::new().await;
    let cut = world.plan(FaultKind::NodeDisconnect, 0, Duration::from_secs(12));
    world.inject(&cut).await.unwrap();
    let before = world.rules().await;
    let fail =
        "p=$(readlink -f $(command -v iptables)); mount --bind /bin/false $p; sleep 20; umount $p";
    let failing =
        world.docker.exec_stream(&world.target.container_id, &["sh", "-c", fail]).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    println!("{}", world.undo(&cut).await.unwrap_err());
    assert_ne!(
        world.sh("systemctl is-active outage-test-0.timer outage-test-0.service").await,
        "inactive\ninactive"
    );
    // By then the timer has tried in vain, too, and tries again.
    sleep(Duration::from_secs(25)).await;
    drop(failing);
    assert_eq!((world.rules().await.as_str(), before.starts_with('2')), ("0\n0", true));
    world.undo(&cut).await.unwrap();
    assert_eq!(world.sh("ls /run | grep outage-").await, "");
    assert!(world.is_well().await);
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn a_frozen_node_cannot_be_undone_inside_and_a_lost_one_is_gone() {
    let mut world = World::new().await;
    let (freeze, cut) =
        (world.plan(FaultKind::NodePause, 0, HOUR), world.plan(FaultKind::NodeDisconnect, 1, HOUR));
    world.inject(&cut).await.unwrap();
    world.inject(&freeze).await.unwrap();
    assert!(matches!(world.undo(&cut).await, Err(FaultError::Frozen { .. })));
    world.undo(&freeze).await.unwrap();
    world.undo(&cut).await.unwrap();
    assert!(world.is_well().await);
    world.target.container_id = "0123456789abcdef".into();
    for kind in EVERY {
        assert!(world.undo(&world.plan(kind, 0, HOUR)).await.unwrap_err().is_gone());
    }
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn a_node_that_restarted_has_nothing_left_of_a_cut() {
    let world = World::new().await;
    let cut = world.plan(FaultKind::NodeDisconnect, 0, HOUR);
    world.inject(&cut).await.unwrap();
    world.docker.kill(&world.target.container_id).await.unwrap();
    world.undo(&cut).await.unwrap();
    world.undo(&world.plan(FaultKind::NodeKill, 0, HOUR)).await.unwrap();
    assert!(world.is_well().await);
}

#[tokio::test]
#[ignore = "needs Docker with a kind cluster, OUTAGE_TEST_CLUSTER"]
async fn the_adapter_does_what_it_says() {
    let world = World::new().await;
    let (docker, id) = (&world.docker, world.target.container_id.as_str());
    println!("clock {:?}", docker.clock().await.unwrap());
    assert!(docker.kind_clusters().await.unwrap().contains(&world.target.cluster));

    let words = docker.last_log_lines(id, 3).await.unwrap();
    println!("{words:?}");
    assert!(words.len() == 3 && words.iter().all(|line| !line.contains('\x1b')));

    let file: Vec<u8> = (0..12_000_000u32).map(|i| (i % 251) as u8).collect();
    let began = Instant::now();
    let handle = world.target.handle();
    let path = "/usr/local/bin/outage-upload-test";
    docker
        .upload(&handle, NodeFile { path, mode: 0o755, bytes: file.as_slice().into() })
        .await
        .unwrap();
    println!("12 MB uploaded in {:?}", began.elapsed());
    assert_eq!(
        world.sh("stat -c '%s %a' /usr/local/bin/outage-upload-test; rm /usr/local/bin/outage-upload-test").await,
        "12000000 755"
    );
    let echoed = docker.exec(id, &["cat"], Some(&file)).await.unwrap();
    assert!(echoed.stdout == file && echoed.code == 0);
    let failed = docker.exec(id, &["sh", "-c", "echo oh >&2; exit 3"], None).await.unwrap();
    assert_eq!((failed.code, failed.error_text().as_str()), (3, "oh"));

    let mut stream = docker.open(&handle, &["cat"]).await.unwrap();
    stream.input.write_all(b"one").await.unwrap();
    stream.input.flush().await.unwrap();
    assert_eq!(stream.output.next().await.unwrap().unwrap(), b"one".to_vec());
    let script = "cat >/dev/null; echo ended >/run/outage-upload-test";
    let left = docker.exec_stream(id, &["sh", "-c", script]).await.unwrap();
    drop((stream, left));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(
        world.sh("cat /run/outage-upload-test; rm /run/outage-upload-test").await,
        "ended",
        "it sees the end of its input"
    );

    let mut events = docker.events(&world.target.cluster);
    assert!(matches!(events.next().await.unwrap().event, Event::WatchStarted { .. }));
    docker.pause(id).await.unwrap();
    docker.unpause(id).await.unwrap();
    for wanted in ["pause", "unpause"] {
        let record = timeout(Duration::from_secs(5), events.next()).await.unwrap().unwrap();
        println!("{record:?}");
        assert!(
            matches!(&record.event, Event::Docker { action, engine_time: Some(_), .. } if action == wanted)
        );
    }
}

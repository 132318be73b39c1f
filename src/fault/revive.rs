//! The undo of a stopped, killed or paused node: it runs, it stays up, systemd answers in it, and a control plane's address is the old one.
//!
//! Beware the race: `start` while a `stop` is in flight says "runs already", and the node dies afterwards. So a node that is found
//! running is watched for a while, and one that is going down is helped to go down first.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::record::Harm;
use super::scene::Scene;
use crate::docker::{ContainerState, DockerError};
use crate::timeline::NodeRole;

const LOOK: Duration = Duration::from_millis(100);
/// How long a node that was found running is watched: a stop or a pause may be on its way to the engine.
const WATCH_FOUND: Duration = Duration::from_millis(1000);
/// How long one that we started or thawed is watched: what was on its way has arrived by then, so it need only be seen to stay.
const WATCH_SWITCHED: Duration = Duration::from_millis(200);
/// How long a node that is shutting down may go on before it is killed (CI gives 7 s for the whole of an undo).
const SHUTDOWN: Duration = Duration::from_millis(500);
/// The same for one in which nothing answers: the end of a shutdown, or the beginning of a boot.
const SILENCE: Duration = Duration::from_millis(3000);
/// How long systemd may take to answer: a node that is frozen meanwhile never does.
const ANSWER: Duration = Duration::from_secs(3);
/// The bound on the whole.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// What a node was seen to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Up,
    ShuttingDown,
    Silent,
    /// Nothing came back in time: a loaded machine, or a freeze. Proves nothing.
    Slow,
    Paused,
    Down,
}

pub(super) async fn revive(scene: &Scene<'_, '_>) -> Result<String, FaultError> {
    let end = Instant::now() + PATIENCE;
    let (frozen_by_us, stopped_by_us) = (
        matches!(scene.undo.harm, Harm::NodePause),
        matches!(scene.undo.harm, Harm::NodeStop { .. }),
    );
    let mut done = "container was running";
    let (mut started, mut watch) = (false, WATCH_FOUND);
    loop {
        let seen = watched(scene, watch).await?;
        match seen {
            Seen::Up => break,
            Seen::Paused if !frozen_by_us => return Err(scene.frozen()),
            Seen::Paused => {
                settle(scene, scene.docker.unpause(scene.container()).await)?;
                (done, watch) = ("container thawed", WATCH_SWITCHED);
            }
            // Only a stop of ours is helped on: nobody else's node is killed.
            Seen::ShuttingDown if stopped_by_us && !started => bring_down(scene, SHUTDOWN).await?,
            Seen::Silent if stopped_by_us && !started => bring_down(scene, SILENCE).await?,
            Seen::ShuttingDown | Seen::Silent | Seen::Slow => sleep(LOOK).await,
            Seen::Down => {
                settle(scene, scene.docker.start(scene.container()).await)?;
                (done, started, watch) = ("container started", true, WATCH_SWITCHED);
            }
        }
        if Instant::now() > end {
            return Err(FaultError::NotUndone {
                node: scene.node(),
                seen: text(scene, seen).await,
                after: PATIENCE,
            });
        }
    }
    Ok(match moved(scene).await? {
        Some(moved) => format!("{done}; {moved}"),
        None => done.into(),
    })
}

async fn text(scene: &Scene<'_, '_>, seen: Seen) -> String {
    match seen {
        Seen::Up => "its container is up".into(),
        Seen::ShuttingDown => "its container is still shutting down".into(),
        Seen::Silent | Seen::Slow => "its systemd does not answer".into(),
        Seen::Paused => "its container is still paused".into(),
        Seen::Down => {
            let words = scene.docker.last_words(scene.container(), 3).await.unwrap_or_default();
            format!(
                "its container ends after each start, with the last words: {};",
                words.join(" / ")
            )
        }
    }
}

/// Watches a node for `time`, and says at once when it is not up, or no longer.
async fn watched(scene: &Scene<'_, '_>, time: Duration) -> Result<Seen, FaultError> {
    let began = Instant::now();
    loop {
        let seen = look(scene).await?;
        if seen != Seen::Up || began.elapsed() >= time {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}

pub(super) async fn look(scene: &Scene<'_, '_>) -> Result<Seen, FaultError> {
    let state = scene.state().await?;
    match state {
        ContainerState { running: false, .. } => Ok(Seen::Down),
        ContainerState { paused: true, .. } => Ok(Seen::Paused),
        // kind's load balancer has no systemd.
        _ if scene.undo.target.role == NodeRole::ExternalLoadBalancer => Ok(Seen::Up),
        _ => ask_systemd(scene).await,
    }
}

async fn ask_systemd(scene: &Scene<'_, '_>) -> Result<Seen, FaultError> {
    match scene.run_within(ANSWER, &["systemctl", "is-system-running"]).await {
        Ok(output) => Ok(match output.text().as_str() {
            "stopping" => Seen::ShuttingDown,
            "initializing" | "starting" | "running" | "degraded" | "maintenance" => Seen::Up,
            _ => Seen::Silent,
        }),
        Err(FaultError::Frozen { .. }) => Ok(Seen::Paused),
        // It ended or froze between the two questions; the next look tells.
        Err(FaultError::Docker(DockerError::NotRunning { .. } | DockerError::Refused { .. })) => {
            Ok(Seen::Silent)
        }
        Err(FaultError::Docker(DockerError::Timeout { .. })) => Ok(Seen::Slow),
        Err(other) => Err(other),
    }
}

/// Waits for a node that is going down, and kills it when that takes too long. Returns early when it is no longer going down.
async fn bring_down(scene: &Scene<'_, '_>, patience: Duration) -> Result<(), FaultError> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if !matches!(look(scene).await?, Seen::ShuttingDown | Seen::Silent) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    settle(scene, scene.docker.kill(scene.container()).await)
}

/// Whether a switch took is seen by the next look: a refusal may only mean that it was so already.
fn settle(scene: &Scene<'_, '_>, result: Result<(), DockerError>) -> Result<(), FaultError> {
    match result {
        Err(DockerError::NotRunning { .. } | DockerError::Paused { .. }) => Ok(()),
        Err(DockerError::Refused { message, .. }) if message.contains("not paused") => Ok(()),
        other => other.map_err(|error| scene.error(error)),
    }
}

/// The engine may have given a stopped node's address to another container. A worker registers its new one; the control plane is known by
/// its address (certificates, etcd's peers), and one that has moved is broken.
async fn moved(scene: &Scene<'_, '_>) -> Result<Option<String>, FaultError> {
    let now = scene.state().await?.addresses;
    for (network, before) in &scene.undo.target.addresses {
        let after: Vec<IpAddr> = now.get(network).cloned().unwrap_or_default();
        if !before.iter().all(|address| after.contains(address)) {
            let (node, before) = (scene.node(), before.clone());
            return match scene.undo.target.role {
                NodeRole::Worker => {
                    Ok(Some("the engine gave it another address, its old one is taken".into()))
                }
                _ => Err(FaultError::AddressChanged { node, before, after }),
            };
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::record::tests::{every_fault, target};
    use crate::fault::{Undo, inject, plan, undo};
    use crate::timeline::FaultPhase;

    fn plans() -> [Undo; 3] {
        let [stop, kill, pause, ..] = every_fault();
        [stop, kill, pause].map(|fault| plan(&fault, &target(), "r", 0, Duration::from_secs(60)))
    }

    async fn heard(
        engine: &FakeEngine,
        undo_it: bool,
        plan: &Undo,
    ) -> (Result<(), FaultError>, Vec<FaultPhase>) {
        let docker = engine.connect().await;
        let mut phases = Vec::new();
        let mut progress = |phase, _| phases.push(phase);
        let result = if undo_it {
            undo(plan, &docker, &mut progress).await
        } else {
            inject(plan, &docker, &mut progress).await
        };
        (result, phases)
    }

    fn up(engine: &FakeEngine) -> bool {
        engine.worker(|c| c.running && !c.paused && !c.stopping)
    }

    #[tokio::test]
    async fn each_is_done_confirmed_and_undone_twice() {
        for plan in plans() {
            let engine = FakeEngine::start();
            let (result, mut phases) = heard(&engine, false, &plan).await;
            result.unwrap();
            phases.sort_by_key(|p| *p as u8);
            assert_eq!(
                phases,
                [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]
            );
            assert!(!up(&engine));
            for _ in 0..2 {
                let (result, phases) = heard(&engine, true, &plan).await;
                result.unwrap();
                assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::Undone]);
                assert!(up(&engine), "{plan:?}");
            }
        }
    }

    /// The engine drops the injection at a moment of its choice, and undoes at once.
    async fn cut_after(plan: Undo, cut_ms: u64) {
        let engine = FakeEngine::start();
        engine.with(|state| {
            (state.stop_takes, state.stop_lag) =
                (Duration::from_secs(4), Duration::from_millis(150))
        });
        let docker = engine.connect().await;
        let mut quiet = |_, _| {};
        let _ =
            tokio::time::timeout(Duration::from_millis(cut_ms), inject(&plan, &docker, &mut quiet))
                .await;
        let began = Instant::now();
        heard(&engine, true, &plan).await.0.unwrap();
        assert!(began.elapsed() < Duration::from_secs(4), "{cut_ms} {:?}", began.elapsed());
        assert!(up(&engine));
        sleep(Duration::from_millis(200)).await;
        assert!(up(&engine), "{plan:?} cut after {cut_ms} ms came true after its undo");
    }

    #[tokio::test]
    async fn an_injection_that_was_cut_is_undone_for_good() {
        let cases = plans().into_iter().flat_map(|plan| {
            [0, 1, 5, 60, 300].map(|cut_ms| Box::pin(cut_after(plan.clone(), cut_ms)))
        });
        futures_util::future::join_all(cases).await;
    }

    #[tokio::test]
    async fn a_container_that_is_gone_is_told_so() {
        let engine = FakeEngine::start();
        engine.with(|state| state.containers.remove("c-worker"));
        for plan in plans() {
            let (result, phases) = heard(&engine, true, &plan).await;
            assert!(result.unwrap_err().is_gone());
            assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::NotUndone]);
        }
    }

    #[tokio::test]
    async fn a_worker_may_move_a_control_plane_may_not() {
        let engine = FakeEngine::start();
        let [_, mut kill, _] = plans();
        heard(&engine, false, &kill).await.0.unwrap();
        engine.worker(|c| c.ip = "172.18.0.9");
        heard(&engine, true, &kill).await.0.unwrap();
        kill.target.role = NodeRole::ControlPlane;
        let error = heard(&engine, true, &kill).await.0.unwrap_err();
        assert_eq!(
            error.to_string(),
            "give node c-worker its address back: it was 172.18.0.3, fc00::3 and is 172.18.0.9, fc00::9"
        );
    }

    #[tokio::test]
    async fn somebody_elses_pause_is_left_alone() {
        let engine = FakeEngine::start();
        engine.worker(|c| c.paused = true);
        let [stop, ..] = plans();
        let error = heard(&engine, false, &stop).await.0.unwrap_err();
        assert_eq!(error.to_string(), "harm node c-worker: its container is paused already");
        let error = heard(&engine, true, &stop).await.0.unwrap_err();
        assert_eq!(error.hint().unwrap(), "`docker unpause c-worker`, then try again");
        assert!(engine.worker(|c| c.paused));
    }

    #[tokio::test]
    async fn an_engine_that_comes_back_is_waited_for() {
        let mut engine = FakeEngine::start();
        let [_, kill, _] = plans();
        heard(&engine, false, &kill).await.0.unwrap();
        let docker = engine.connect().await;
        engine.down();
        let mut quiet = |_, _| {};
        let (result, ()) = tokio::join!(undo(&kill, &docker, &mut quiet), async {
            sleep(Duration::from_millis(700)).await;
            engine.up();
        });
        result.unwrap();
        assert!(up(&engine));
    }

    #[tokio::test]
    async fn a_refused_call_is_an_error_and_confirms_nothing() {
        let engine = FakeEngine::start();
        engine.with(|state| state.refuse = Some(("/kill".into(), 500, "cgroup is busy".into())));
        let [_, kill, _] = plans();
        let (result, phases) = heard(&engine, false, &kill).await;
        assert_eq!(result.unwrap_err().to_string(), "kill container id-c-worker: cgroup is busy");
        assert_eq!(phases, [FaultPhase::Requested]);
    }
}

//! The undo of a stopped, killed or paused node: it runs, it stays up, systemd answers in it, and a
//! control plane's address is the old one.
//!
//! Beware the race: `start` while a `stop` is in flight says "runs already", and the node dies
//! afterwards. So a node that is found running is watched for a while, and one that is going down
//! is helped to go down first.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::FaultContext;
use super::error::{FaultError, list};
use super::node_fault::Undone;
use super::works::machine_words;
use crate::docker::{ContainerState, DockerError};
use crate::node::AccessErrorKind;
use crate::timeline::NodeRole;

const LOOK: Duration = Duration::from_millis(100);
/// How long a node that was found running is watched: a stop or a pause may be on its way to the
/// engine.
const WATCH_FOUND: Duration = Duration::from_millis(1000);
/// How long one that we started or unpaused is watched: what was on its way has arrived by then, so
/// it need only be seen to stay.
const WATCH_SWITCHED: Duration = Duration::from_millis(200);
/// How long a node that is shutting down may go on before it is killed (CI gives 7 s for the whole
/// of an undo).
const SHUTDOWN: Duration = Duration::from_millis(500);
/// The same for one in which nothing answers: the end of a shutdown, or the beginning of a boot.
const SILENCE: Duration = Duration::from_millis(3000);
/// How long systemd may take to answer: a node that is frozen meanwhile never does.
const ANSWER: Duration = Duration::from_secs(3);
/// The bound on the whole.
pub(super) const TIMEOUT: Duration = Duration::from_secs(120);
/// The same of a machine that is no container: firmware takes its time.
pub(super) const BOOT_TIMEOUT: Duration = Duration::from_secs(600);

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

/// What took the node down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Stop,
    Kill,
    Pause,
}

/// What every fault says in the same way that a node's power switch undoes: by a start, or an
/// unpause.
macro_rules! undone_by {
    ($switch:literal, $cause:expr) => {
        const UNDO_TIMEOUT: Duration = power_on::TIMEOUT;

        async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
            power_on::undo(context, $cause).await
        }

        fn describe(&self, machine: super::record::Machine<'_>) -> String {
            format!(concat!($switch, " {} (docker ", $switch, ")"), machine)
        }

        fn by_hand(&self, machine: super::record::Machine<'_>) -> String {
            format!(concat!("docker ", $switch, " {}"), machine.name)
        }
    };
}
pub(super) use undone_by;

pub(super) async fn undo(
    context: &FaultContext<'_, '_>,
    cause: Cause,
) -> Result<Undone, FaultError> {
    let limit = if context.docker.is_some() { TIMEOUT } else { BOOT_TIMEOUT };
    let end = Instant::now() + limit;
    let mut done = if context.docker.is_some() { "container was running" } else { "the node runs" };
    let (mut started, mut watch) = (false, WATCH_FOUND);
    loop {
        let seen = watched(context, watch).await?;
        match seen {
            Seen::Up => break,
            Seen::Paused if cause != Cause::Pause => return Err(context.frozen()),
            Seen::Paused => {
                settle(context, context.switch()?.unpause(context.container()).await)?;
                (done, watch) = ("container unpaused", WATCH_SWITCHED);
            }
            // Only a stop of ours is helped on: nobody else's node is killed.
            Seen::ShuttingDown if cause == Cause::Stop && !started => {
                bring_down(context, SHUTDOWN).await?
            }
            Seen::Silent if cause == Cause::Stop && !started => {
                bring_down(context, SILENCE).await?
            }
            Seen::ShuttingDown | Seen::Silent | Seen::Slow => sleep(LOOK).await,
            Seen::Down => {
                settle(context, context.switch()?.start(context.container()).await)?;
                (done, started, watch) = ("container started", true, WATCH_SWITCHED);
            }
        }
        if Instant::now() > end {
            let log = machine_words(context).await;
            return Err(context.not_undone(text(seen), limit).quoting(log));
        }
    }
    Ok(match moved(context).await? {
        Some(moved) => format!("{done}; {moved}").into(),
        None => done.into(),
    })
}

fn text(seen: Seen) -> &'static str {
    match seen {
        Seen::Up => "its container is up",
        Seen::ShuttingDown => "it is still shutting down",
        Seen::Silent | Seen::Slow => "its systemd does not answer",
        Seen::Paused => "its container is still paused",
        Seen::Down => "its container exits after each start",
    }
}

/// Watches a node for `time`, and says immediately when it is not up, or no longer.
async fn watched(context: &FaultContext<'_, '_>, time: Duration) -> Result<Seen, FaultError> {
    let began = Instant::now();
    loop {
        let seen = look(context).await?;
        if seen != Seen::Up || began.elapsed() >= time {
            return Ok(seen);
        }
        sleep(LOOK).await;
    }
}

pub(super) async fn look(context: &FaultContext<'_, '_>) -> Result<Seen, FaultError> {
    if context.docker.is_none() {
        return ask_systemd(context).await;
    }
    match context.machine().await? {
        ContainerState { running: false, .. } => Ok(Seen::Down),
        ContainerState { paused: true, .. } => Ok(Seen::Paused),
        // kind's load balancer has no systemd.
        _ if context.target.role == NodeRole::ExternalLoadBalancer => Ok(Seen::Up),
        _ => ask_systemd(context).await,
    }
}

async fn ask_systemd(context: &FaultContext<'_, '_>) -> Result<Seen, FaultError> {
    match context.run_within(ANSWER, &["systemctl", "is-system-running"]).await {
        Ok(output) => Ok(match output.text().as_str() {
            "stopping" => Seen::ShuttingDown,
            "initializing" | "starting" | "running" | "degraded" | "maintenance" => Seen::Up,
            _ => Seen::Silent,
        }),
        Err(FaultError::Frozen { .. }) => Ok(Seen::Paused),
        // A helper pod that is gone: another will be started.
        Err(FaultError::Gone { .. }) if context.docker.is_none() => Ok(Seen::Silent),
        // It ended or froze between the two questions; the next look tells.
        Err(FaultError::Access(error)) => match error.kind {
            AccessErrorKind::Down | AccessErrorKind::Refused => Ok(Seen::Silent),
            AccessErrorKind::Timeout => Ok(Seen::Slow),
            // The way in leads through its kubelet.
            AccessErrorKind::Away if context.docker.is_none() => Ok(Seen::Silent),
            _ => Err(FaultError::Access(error)),
        },
        Err(other) => Err(other),
    }
}

/// Waits for a node that is going down, and kills it when that takes too long. Returns early when
/// it is no longer going down.
async fn bring_down(context: &FaultContext<'_, '_>, patience: Duration) -> Result<(), FaultError> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if !matches!(look(context).await?, Seen::ShuttingDown | Seen::Silent) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    settle(context, context.switch()?.kill(context.container()).await)
}

/// Whether a switch took is seen by the next look: a refusal may only mean that it was so already.
fn settle(
    context: &FaultContext<'_, '_>,
    result: Result<(), DockerError>,
) -> Result<(), FaultError> {
    match result {
        Err(
            DockerError::NotRunning { .. }
            | DockerError::Paused { .. }
            | DockerError::NotPaused { .. },
        ) => Ok(()),
        other => context.switched(other),
    }
}

/// The engine may have given a stopped node's address to another container. A worker registers its
/// new one; the control plane is known by its address (certificates, etcd's peers), and one that
/// has moved is broken.
async fn moved(context: &FaultContext<'_, '_>) -> Result<Option<String>, FaultError> {
    if context.docker.is_none() {
        return Ok(None);
    }
    let now = context.machine().await?.addresses;
    for (network, before) in &context.target.addresses {
        let after: Vec<IpAddr> = now.get(network).cloned().unwrap_or_default();
        if !before.iter().all(|address| after.contains(address)) {
            let (node, before) = (context.node(), before.clone());
            return match context.target.role {
                NodeRole::Worker => Ok(Some(format!(
                    "the engine gave it another address: it was {} and is {}",
                    list(&before),
                    list(&after)
                ))),
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
    use crate::fault::samples;
    use crate::fault::{Undo, inject, undo};
    use crate::timeline::FaultKind;
    use crate::timeline::FaultPhase;

    fn plans() -> [Undo; 3] {
        let kinds = [FaultKind::NodeStop, FaultKind::NodeKill, FaultKind::NodePause];
        kinds.map(|kind| samples::plan_of(&samples::fault(kind)).unwrap())
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
                assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::Reverted]);
                assert!(up(&engine), "{plan:?}");
            }
        }
    }

    /// The engine drops the injection at a moment of its choice, and undoes immediately.
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
    async fn a_container_that_is_gone_is_reported() {
        let engine = FakeEngine::start();
        engine.with(|state| state.containers.remove("c-worker"));
        for plan in plans() {
            let (result, phases) = heard(&engine, true, &plan).await;
            assert!(result.unwrap_err().is_gone());
            assert_eq!(phases, [FaultPhase::UndoRequested, FaultPhase::NotUndone]);
        }
    }

    /// As an engine that is just starting, or says what its client does not understand.
    #[tokio::test]
    async fn an_undo_goes_on_whatever_the_engine_answers() {
        for call in ["json", "start"] {
            let engine = FakeEngine::start();
            let [_, kill, _] = plans();
            heard(&engine, false, &kill).await.0.unwrap();
            engine.with(|state| state.refuse = Some((call.into(), 500, "not now".into())));
            heard(&engine, true, &kill).await.0.unwrap();
            assert!(up(&engine), "{call}");
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
            "restore the address of node c-worker: it was 172.18.0.3, fc00::3 and is 172.18.0.9, fc00::9"
        );
    }

    #[tokio::test]
    async fn a_foreign_pause_is_left_alone() {
        let engine = FakeEngine::start();
        engine.worker(|c| c.paused = true);
        let [stop, ..] = plans();
        let error = heard(&engine, false, &stop).await.0.unwrap_err();
        assert_eq!(error.to_string(), "inject the fault on node c-worker: it is already paused");
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

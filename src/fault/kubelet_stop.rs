//! Only the kubelet stops: its node becomes NotReady while its pods go on answering.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

const LOOK: Duration = Duration::from_millis(100);
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The script does not wait for systemd, so that it never holds the lock for long.
const STOP: &str = "systemctl stop --no-block kubelet";
const START: &str = "systemctl start --no-block kubelet || exit 1";

pub(super) async fn inject(
    scene: &mut Scene<'_, '_>,
    mark: &str,
    dead_man: Duration,
) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    let state = kubelet(scene).await?;
    if state != "active" {
        return Err(scene.not_fit(format!("its kubelet is {state} already")));
    }
    arm(scene, mark, dead_man, &[], &healing(mark, START)).await?;
    scene.say(FaultPhase::Requested, "systemctl stop kubelet");
    harm(scene, mark, "stop the kubelet", STOP).await?;
    scene.say(FaultPhase::Returned, "systemd has the job");
    let end = Instant::now() + PATIENCE;
    loop {
        let state = kubelet(scene).await?;
        if state == "inactive" || state == "failed" {
            scene.say(FaultPhase::Confirmed, format!("the kubelet is {state}"));
            return Ok(());
        }
        if Instant::now() > end {
            return Err(FaultError::NotConfirmed {
                node: scene.node(),
                seen: format!("the kubelet is {state}"),
                after: PATIENCE,
            });
        }
        sleep(LOOK).await;
    }
}

/// `active`, `inactive`, `activating`, `deactivating`, `failed`.
async fn kubelet(scene: &Scene<'_, '_>) -> Result<String, FaultError> {
    let output = scene.run(&["systemctl", "is-active", "kubelet"]).await?;
    Ok(output.text())
}

pub(super) async fn undo(scene: &Scene<'_, '_>, mark: &str) -> Result<String, FaultError> {
    if heal(scene, "start the kubelet", &healing(mark, START)).await?.is_none() {
        return Ok("the node does not run: its kubelet starts with it".into());
    }
    let end = Instant::now() + PATIENCE;
    loop {
        // Two looks: a kubelet that crashes at its start is active for a moment.
        let state = kubelet(scene).await?;
        sleep(LOOK).await;
        if state == "active" && kubelet(scene).await? == "active" {
            return Ok("the kubelet is active".into());
        }
        if Instant::now() > end {
            return Err(FaultError::NotUndone {
                node: scene.node(),
                seen: format!("its kubelet is {state}"),
                after: PATIENCE,
            });
        }
    }
}

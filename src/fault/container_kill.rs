//! The processes of a pod's containers are killed inside its node; the kubelet starts the containers again by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::counted;
use super::error::FaultError;
use super::inside::{arm, harm, heal, healing};
use super::scene::Scene;
use crate::timeline::FaultPhase;

const LOOK: Duration = Duration::from_millis(50);
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A function of the shell that tells the processes of these containers, by their control groups. A container that is started again has
/// another id: what is found is never its successor.
fn finding(containers: &[String]) -> String {
    format!(
        "found() {{ for at in /proc/[0-9]*; do grep -qE '{ids}' $at/cgroup 2>/dev/null && echo ${{at#/proc/}}; done; }}",
        ids = containers.join("|")
    )
}

/// One that has ended by itself meanwhile is no failure: whether they are gone is looked at afterwards.
fn killing(containers: &[String]) -> String {
    format!(
        "{finding}\n\
         met=$(found); [ -n \"$met\" ] || {{ echo 'no process of the container is there'; exit 1; }}\n\
         for one in $met; do kill -KILL $one 2>/dev/null; done; :",
        finding = finding(containers)
    )
}

/// Nothing is to be healed: the switch is the ticket only, so that no late script kills after the undo.
fn nothing(mark: &str) -> String {
    healing(mark, ":")
}

pub(super) async fn inject(
    scene: &mut Scene<'_, '_>,
    containers: &[String],
    mark: &str,
    dead_man: Duration,
) -> Result<(), FaultError> {
    scene.must_be_up().await?;
    arm(scene, mark, dead_man, &["grep"], &nothing(mark)).await?;
    scene.say(
        FaultPhase::Requested,
        format!("kill -KILL in {} on {}", counted(containers.len(), "container"), scene.node()),
    );
    harm(scene, mark, "kill the container's process", &killing(containers)).await?;
    scene.say(FaultPhase::Returned, "the signal is sent");
    let script = format!("{}\nfound; echo end", finding(containers));
    let end = Instant::now() + PATIENCE;
    while scene.run(&["sh", "-c", &script]).await?.text() != "end" {
        if Instant::now() > end {
            let seen = "a process of the container is there".into();
            return Err(FaultError::NotConfirmed { node: scene.node(), seen, after: PATIENCE });
        }
        sleep(LOOK).await;
    }
    scene.say(FaultPhase::Confirmed, format!("its processes on {} are gone", scene.node()));
    Ok(())
}

pub(super) async fn undo(scene: &Scene<'_, '_>, mark: &str) -> Result<String, FaultError> {
    heal(scene, "take the ticket away", &nothing(mark)).await?;
    Ok("nothing is to be taken back: the kubelet starts the container again".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_own_processes_are_found() {
        let (mine, other) = ("a".repeat(64), "b".repeat(64));
        let script = finding(&[mine.clone(), other.clone()]);
        assert!(script.contains(&format!("grep -qE '{mine}|{other}' $at/cgroup")), "{script}");
        // No process here is in such a group.
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("{script}\nfound; echo end")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "end\n");
    }
}

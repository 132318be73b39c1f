//! What the faults on a part of the control plane share: its static pod's process, found in /proc inside the node (a node need not have
//! crictl, and the API may be what is down).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::error::FaultError;
use super::scene::Scene;
use crate::timeline::Component;

const LOOK: Duration = Duration::from_millis(100);
/// A static pod is given 30 s to end (its terminationGracePeriodSeconds), then it is killed.
const END: Duration = Duration::from_secs(45);
/// The kubelet waits up to 5 min before it starts again what ended again and again.
const START: Duration = Duration::from_secs(330);
/// The kernel keeps so much of a program's name.
const COMM: usize = 15;

/// A part of the control plane, under one fault.
#[derive(Clone, Copy)]
pub(super) struct Part<'m> {
    pub component: Component,
    pub mark: &'m str,
}

/// A process of the part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    /// Its number and its start: no other has both.
    id: String,
    /// Whether it is stopped by a signal.
    frozen: bool,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The processes that the harm has met.
    met: Vec<String>,
    now: Vec<Process>,
}

impl Seen {
    /// No process is there.
    pub fn gone(&self) -> bool {
        self.now.is_empty()
    }

    /// None of the processes that the harm has met is there.
    pub fn replaced(&self) -> bool {
        !self.now.iter().any(|process| self.met.contains(&process.id))
    }

    /// Every process is stopped by a signal, and there is one.
    pub fn frozen(&self) -> bool {
        !self.now.is_empty() && self.now.iter().all(|process| process.frozen)
    }

    /// A process is there, and none is stopped by a signal.
    pub fn runs(&self) -> bool {
        !self.now.is_empty() && !self.now.iter().any(|process| process.frozen)
    }

    fn read(text: &str) -> Self {
        let mut seen = Self { met: Vec::new(), now: Vec::new() };
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["met", pid, start, _] => seen.met.push(format!("{pid} {start}")),
                ["now", pid, start, state] => seen.now.push(Process { id: format!("{pid} {start}"), frozen: state == "T" }),
                _ => {}
            }
        }
        seen
    }
}

impl<'m> Part<'m> {
    pub fn of(component: Component, mark: &'m str) -> Self {
        Self { component, mark }
    }

    pub fn name(self) -> &'static str {
        self.component.name()
    }

    /// Where the processes that the harm has met are written down. Like them it goes with a restart: /run is memory.
    pub fn witness(self) -> String {
        format!("/run/{}.met", self.mark)
    }

    /// A function of the shell that tells number, start and state of the part's processes. Those of pods with a network of their own are
    /// somebody else's.
    pub fn finding(self) -> String {
        let name = self.name();
        format!(
            "found() {{\n\
             for at in /proc/[0-9]*; do\n\
             read -r comm 2>/dev/null <$at/comm && [ \"$comm\" = {comm} ] || continue\n\
             case $(readlink $at/exe) in */{name}) ;; *) continue;; esac\n\
             [ \"$(readlink $at/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] || continue\n\
             set -- $(cat $at/stat 2>/dev/null)\n\
             [ $# -gt 21 ] && echo $1 ${{22}} $3\n\
             done; }}",
            comm = &name[..name.len().min(COMM)],
        )
    }

    pub async fn look(self, scene: &Scene<'_, '_>) -> Result<Seen, FaultError> {
        let (finding, witness) = (self.finding(), self.witness());
        let script = format!("{finding}\nsed 's/^/met /' {witness} 2>/dev/null\nfound | sed 's/^/now /'\necho end");
        let output = scene.run(&["sh", "-c", &script]).await?;
        let text = output.text();
        if output.code != 0 || !text.ends_with("end") {
            return Err(FaultError::Inside { node: scene.node(), what: "look for a process", output: output.complaint() });
        }
        Ok(Seen::read(&text))
    }

    /// Harm is done to what is well only.
    pub async fn must_run(self, scene: &Scene<'_, '_>) -> Result<(), FaultError> {
        scene.must_be_up().await?;
        let seen = self.look(scene).await?;
        match () {
            () if seen.gone() => Err(scene.not_fit(format!("no {} runs there", self.name()))),
            () if !seen.runs() => Err(scene.not_fit(format!("its {} is frozen already", self.name()))),
            () => Ok(()),
        }
    }

    /// Waits until the fault's effect is seen.
    pub async fn until_harmed(self, scene: &Scene<'_, '_>, harmed: fn(&Seen) -> bool) -> Result<(), FaultError> {
        let end = Instant::now() + END;
        while !harmed(&self.look(scene).await?) {
            if Instant::now() > end {
                let seen = format!("its {} still runs", self.name());
                return Err(FaultError::NotConfirmed { node: scene.node(), seen, after: END });
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the part runs, and none of the processes that `leaves` it is there. Says so.
    pub async fn until_well(self, scene: &Scene<'_, '_>, leaves: fn(&Seen) -> bool) -> Result<String, FaultError> {
        let (began, mut before) = (Instant::now(), None);
        loop {
            // Two looks: what crashes at its start runs for a moment.
            let seen = self.look(scene).await?;
            // One that was told to end and has not when it must be dead was not told: its kubelet never saw what was done.
            let settled = leaves(&seen) || began.elapsed() > END;
            if seen.runs() && settled && before.as_ref() == Some(&seen) {
                scene.run(&["rm", "-f", &self.witness()]).await?;
                return Ok(format!("{} runs as process {}", self.name(), seen.now[0].id.split(' ').next().unwrap_or_default()));
            }
            if began.elapsed() > START {
                let seen = if seen.gone() { "no {} runs" } else { "its {} does not run steadily" }.replace("{}", self.name());
                return Err(FaultError::NotUndone { node: scene.node(), seen, after: START });
            }
            before = Some(seen);
            sleep(LOOK).await;
        }
    }
}

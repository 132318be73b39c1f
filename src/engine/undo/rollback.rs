//! Taking back what is owed: at the end of every run, however it ends.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::engine::recorder::Recorder;
use crate::engine::trouble::Trouble;
use crate::engine::undo::ledger::{Entry, FaultOwed, Ledger, Obligation};
use crate::engine::voice::Voice;
use crate::engine::world::World;
use crate::timeline::{Event, FaultPhase};

/// Something that could not be taken back. It stays in the ledger.
#[derive(Clone, Debug)]
pub struct NotUndone {
    /// What it is, and how it would be undone.
    pub what: String,
    /// The command by which a person can do it, where there is one.
    pub by_hand: Option<String>,
    /// Why not.
    pub why: Trouble,
}

impl NotUndone {
    pub(in crate::engine) fn new(entry: &Entry, why: Trouble) -> Self {
        Self { what: entry.obligation.describe(), by_hand: entry.obligation.by_hand(), why }
    }
}

/// Undoes a run's faults, the last one first.
pub async fn faults(
    run: &str,
    world: &impl World,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let owed = owed(run, ledger, |obligation| obligation.fault().is_some());
    if !owed.is_empty() {
        recorder.event(Event::Stage { name: Event::UNDO.into() });
    }
    all(owed, world, recorder, ledger).await
}

/// Takes back all else that a run owes, the last first.
pub async fn rest(
    run: &str,
    world: &impl World,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let owed = owed(run, ledger, |obligation| obligation.fault().is_none());
    all(owed, world, recorder, ledger).await
}

fn owed(run: &str, ledger: &Ledger, which: impl Fn(&Obligation) -> bool) -> Vec<Entry> {
    ledger
        .owed()
        .iter()
        .rev()
        .filter(|entry| entry.run == run && which(&entry.obligation))
        .cloned()
        .collect()
}

async fn all(
    owed: Vec<Entry>,
    world: &impl World,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let left = in_passes(owed, async |entry: &Entry| {
        take_back(&entry.obligation, &voice(&entry.obligation, recorder), world).await?;
        ledger.settle(entry.id)
    });
    left.await.into_iter().map(|(entry, why)| NotUndone::new(&entry, why)).collect()
}

/// Takes back one after the other, each whatever becomes of those before it, and then once more what failed, as long as a pass has taken
/// something back: one may have been in another's way (a drained node is uncordoned through an API that a later undo brings back). What is
/// left, with why.
pub async fn in_passes(
    mut owed: Vec<Entry>,
    mut take_back: impl AsyncFnMut(&Entry) -> Result<(), Trouble>,
) -> Vec<(Entry, Trouble)> {
    loop {
        let before = owed.len();
        let mut failed = Vec::new();
        for entry in owed {
            // A fault of our own in one undo must not keep the others from being done.
            let taken_back = AssertUnwindSafe(take_back(&entry)).catch_unwind().await;
            if let Err(why) =
                taken_back.unwrap_or_else(|panic| Err(Trouble::panicked(panic.as_ref())))
            {
                failed.push((entry, why));
            }
        }
        if failed.is_empty() || failed.len() == before {
            return failed;
        }
        owed = failed.into_iter().map(|(entry, _)| entry).collect();
    }
}

/// Who tells of an obligation's progress.
pub fn voice<'a>(obligation: &'a Obligation, recorder: &'a Recorder) -> Voice<'a> {
    match obligation.fault() {
        Some(FaultOwed { step, kind, component, node }) => {
            Voice { step, name: None, kind, component, target: node, recorder }
        }
        None => Voice { step: 0, name: None, kind: "", component: None, target: "", recorder },
    }
}

/// Takes one obligation back; only then may it be struck from the ledger.
pub async fn take_back(
    obligation: &Obligation,
    voice: &Voice<'_>,
    world: &impl World,
) -> Result<(), Trouble> {
    let is_fault = obligation.fault().is_some();
    let mut progress = |phase: FaultPhase, detail: String| match is_fault {
        true => voice.say(phase, detail),
        false => voice.recorder.event(Event::Note { warning: false, text: detail }),
    };
    match world.fulfil(obligation, &mut progress).await {
        Ok(()) => Ok(()),
        // A fault's undo has said so itself.
        Err(trouble) if is_fault => Err(trouble),
        Err(trouble) => {
            voice.recorder.event(Event::Note {
                warning: false,
                text: format!("not undone: {}: {}", obligation.describe(), trouble.line()),
            });
            Err(trouble)
        }
    }
}

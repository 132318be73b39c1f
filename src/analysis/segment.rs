//! The parts of a run that are judged apart, and the attempts in them.

use super::findings::{Period, Proof};
use crate::stats::Seconds;
use crate::timeline::Outcome;

/// Successes in a row after which a failure begins a new burst: as many as leave one gap in a
/// million to chance.
const APART: f64 = 1e-6;
/// And no fewer than this; so many where the share isn't known.
pub(super) const FEWEST_APART: u64 = 20;
/// Successes that are kept where the share of dead back ends isn't known.
pub(super) const UNKNOWN_DRAWS: u64 = 300;

/// A part of the run, and what is known of the back ends that were hit in it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub period: Period,
    pub from: Seconds,
    /// The share of attempts that go to back ends that were not hit: 0 where all were; where none
    /// was, that of all but one, since whatever fails is at least one. `None`: not known.
    pub miss: Option<f64>,
    /// How many back ends there are, where it isn't known which one fails; `None` where it is.
    pub any_of: Option<u32>,
    /// When the first endpoint that was hit was no longer sent to; `None` while all were.
    pub left: Option<Seconds>,
}

impl Segment {
    /// What bounds a window of this segment when nothing else does.
    pub(super) fn limit(&self) -> Proof {
        match self.period {
            Period::Settling | Period::Before => Proof::StartOfData,
            Period::Fault { .. } => Proof::FaultRequest,
            Period::AfterUndo { .. } => Proof::UndoRequest,
        }
    }

    /// Whether so many successes in a row tell two bursts apart.
    pub(super) fn apart(&self, successes: u64) -> bool {
        let by_chance = self.miss.map_or(0.0, |miss| miss.powf(successes as f64));
        successes >= FEWEST_APART && by_chance <= APART
    }
}

/// An attempt that says something, in seconds after +0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation {
    pub sent: Seconds,
    pub done: Seconds,
    pub outcome: Outcome,
    /// Whether its backend was chosen for it alone (on its own connection).
    pub draw: bool,
    /// Whether it shows that something answers (a kept TCP connection does not).
    pub proves: bool,
    /// The back end that answered, as it was given to
    /// [`Tracker::back_end`](super::tracker::Tracker::back_end).
    pub backend: Option<u32>,
}

/// A success, in seconds after +0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Success {
    pub sent: Seconds,
    pub done: Seconds,
}

//! The one clock of a run: the runner's monotonic clock, and its tie to wall time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant on the runner's `CLOCK_MONOTONIC`, in nanoseconds since boot.
///
/// All records of a run carry moments of this one clock: an agent on another machine converts its
/// own by the offset that was measured, before the record is written. Two moments of different runs
/// must not be compared.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Self(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// The signed distance from `earlier` to this moment, in seconds.
    pub fn seconds_since(self, earlier: Moment) -> f64 {
        (self.0 as i128 - earlier.0 as i128) as f64 / 1e9
    }

    /// The time since `earlier`, zero when `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment, later by `by` (saturating).
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_nanos() as u64))
    }

    /// This moment, earlier by `by` (saturating).
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_nanos() as u64))
    }
}

/// What ties monotonic moments to wall time: both clocks, read together when the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anchor {
    /// The monotonic clock, in nanoseconds.
    pub monotonic: Moment,
    /// The wall clock, UTC.
    pub wall: jiff::Timestamp,
    /// How far apart the two readings may be, in nanoseconds.
    pub uncertainty_ns: u64,
    /// The kernel's boot id: agents with the same id share this clock. Empty where the system has
    /// none.
    pub boot_id: String,
}

impl Anchor {
    /// Reads both clocks now.
    pub fn take() -> Self {
        let before = Moment::now();
        let wall = jiff::Timestamp::now();
        let after = Moment::now();
        Self {
            monotonic: Moment(before.0 + (after.0 - before.0) / 2),
            wall,
            uncertainty_ns: after.0 - before.0,
            boot_id: boot_id(),
        }
    }

    /// The wall time of a moment of this run. Steps of the wall clock during the run are
    /// deliberately not followed.
    pub fn wall_of(&self, moment: Moment) -> jiff::Timestamp {
        let offset = jiff::SignedDuration::from_nanos(moment.0 as i64 - self.monotonic.0 as i64);
        self.wall.checked_add(offset).unwrap_or(self.wall)
    }

    /// The moment of a wall time (an object's own stamp) on this run's clock; `None` before the
    /// machine's boot.
    pub fn moment_of(&self, wall: jiff::Timestamp) -> Option<Moment> {
        let offset = wall.duration_since(self.wall).as_nanos();
        u64::try_from(self.monotonic.0 as i128 + offset).ok().map(Moment)
    }
}

/// The kernel's boot id; empty where the system has none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// An edge that was not seen itself: it lies after `earliest` and no later than `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    /// The last moment at which it had not happened yet.
    pub earliest: Moment,
    /// The first moment at which it had happened.
    pub latest: Moment,
}

impl Bracket {
    /// An edge between two moments, in whichever order they come.
    pub fn new(a: Moment, b: Moment) -> Self {
        Self { earliest: a.min(b), latest: a.max(b) }
    }

    /// An edge that is known exactly.
    pub fn exact(at: Moment) -> Self {
        Self { earliest: at, latest: at }
    }

    pub fn width(&self) -> Duration {
        self.latest.since(self.earliest)
    }

    /// Whether the bracket holds `moment`, ends included.
    pub fn holds(&self, moment: Moment) -> bool {
        self.earliest <= moment && moment <= self.latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_and_moment_are_inverse() {
        let anchor = Anchor::take();
        let later = anchor.monotonic.plus(Duration::from_millis(1500));
        assert_eq!(anchor.moment_of(anchor.wall_of(later)), Some(later));
    }

    #[test]
    fn differences_are_signed() {
        assert_eq!(Moment(1_000_000_000).seconds_since(Moment(3_000_000_000)), -2.0);
        assert_eq!(Moment(1).since(Moment(3)), Duration::ZERO);
    }
}

//! A run's +0, and the way from moments to seconds after it.

use super::findings::{Origin, OriginKind, When};
use crate::stats::Seconds;
use crate::timeline::{Bracket, Event, FaultPhase, Moment, Timeline};

#[derive(Clone, Copy, Debug)]
pub struct Zero(Moment);

impl Zero {
    /// The first fault's request; of a run without one, its start.
    pub fn of(timeline: &Timeline) -> (Self, Origin) {
        let requested = timeline.records.iter().find(|record| is_request(&record.event));
        let (what, at) = match requested {
            Some(record) => (OriginKind::FaultRequested, record.at),
            None => (OriginKind::RunStarted, timeline.header.anchor.monotonic),
        };
        (
            Self(at),
            Origin {
                what,
                wall: timeline.header.anchor.wall_of(at).to_string(),
                monotonic_ns: at.0,
            },
        )
    }

    /// A moment, in seconds after +0.
    pub fn at(self, moment: Moment) -> Seconds {
        let nanos = i128::from(moment.0) - i128::from(self.0.0);
        Seconds::from_nanos(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// A bracket, in seconds after +0.
    pub fn when(self, bracket: Bracket) -> When {
        When { earliest: self.at(bracket.earliest), latest: self.at(bracket.latest) }
    }
}

fn is_request(event: &Event) -> bool {
    matches!(event, Event::Fault { phase: FaultPhase::Requested, .. })
}

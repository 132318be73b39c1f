//! The engine's present moment: the monotonic clock as the runtime sees it, so that a test's paused
//! clock is followed.

use std::sync::LazyLock;
use std::time::Instant;

use crate::timeline::{Event, Moment, Record};

/// Both clocks, read together once: what is added to it is exact.
static ANCHOR: LazyLock<(Instant, Moment)> = LazyLock::new(|| (Instant::now(), Moment::now()));

/// The present moment. Outside of tests this is [`Moment::now`].
pub(crate) fn now() -> Moment {
    let (instant, moment) = *ANCHOR;
    let seen = tokio::time::Instant::now().into_std();
    moment
        .plus(seen.saturating_duration_since(instant))
        .minus(instant.saturating_duration_since(seen))
}

/// A record of something that happens now.
pub(crate) fn record(event: Event) -> Record {
    Record::at(now(), event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_followed() {
        let before = now();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let hour = now().seconds_since(before);
        assert!((3599.9..3601.0).contains(&hour), "{hour}");
    }
}

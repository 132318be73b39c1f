//! A probe's attempts over time, counted at a few resolutions: however many there are, a picture of
//! them has a bounded size.

use crate::analysis::order::InOrder;
use crate::analysis::{When, Zero};
use crate::report::view::View;
use crate::stats::Seconds;
use crate::timeline::{Outcome, ProbeFile};

/// Buckets of the coarsest level.
const FEWEST_BUCKETS: i64 = 600;
/// What a level has at most, in a picture of a few probes.
pub(in crate::report) const FINEST: usize = 19_200;
/// A level has this many times the buckets of the one above it.
const FINER: i64 = 8;

#[derive(Debug)]
pub(in crate::report) struct Strip {
    /// The coarsest first.
    pub levels: Vec<Level>,
    /// Error windows: from the earliest moment at which errors may have begun to the latest at which
    /// they may have ended.
    pub windows: Vec<WindowMark>,
    pub canary: bool,
}

/// Where errors began and ended, each as far as is known.
#[derive(Debug)]
pub(in crate::report) struct WindowMark {
    pub start: When,
    pub end: When,
    pub text: String,
}

/// Attempts in buckets of one length.
#[derive(Debug)]
pub(in crate::report) struct Level {
    pub start: Seconds,
    pub step: Seconds,
    pub buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Bucket {
    /// Attempts that say something.
    pub judged: u32,
    pub failed: [u32; Family::ALL.len()],
    /// The median and the slowest of those that were answered, in microseconds.
    pub p50_us: u32,
    pub max_us: u32,
}

/// Failures that look alike to a client; each has a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Family {
    Timeout,
    Refused,
    Reset,
    Status,
    Dns,
    Other,
}

impl Family {
    pub(in crate::report) const ALL: [Family; 6] = [
        Family::Timeout,
        Family::Refused,
        Family::Reset,
        Family::Status,
        Family::Dns,
        Family::Other,
    ];

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Timeout(_) => Family::Timeout,
            Outcome::Refused => Family::Refused,
            Outcome::Reset(_) => Family::Reset,
            Outcome::Status(_) => Family::Status,
            Outcome::Dns => Family::Dns,
            _ => Family::Other,
        }
    }

    pub(in crate::report) fn word(self, canary: bool) -> &'static str {
        match self {
            Family::Timeout if canary => "not done in time",
            Family::Timeout => "timeout",
            Family::Refused => "refused",
            Family::Reset => "reset",
            Family::Status => "bad status",
            Family::Dns => "name not found",
            Family::Other => "other failure",
        }
    }
}

impl Strip {
    /// The finest level with no more than one bucket for a pixel, as in the page's script.
    pub(in crate::report) fn level(&self, shown: Seconds, width: f64) -> Option<&Level> {
        let fits = |level: &&Level| shown.as_f64() / level.step.as_f64() <= width;
        self.levels.iter().rev().find(fits).or(self.levels.first())
    }

    /// How many failed, by family; the whole run.
    pub(in crate::report) fn failed(&self, family: Family) -> u64 {
        let buckets = self.levels.first().map_or(&[][..], |level| &level.buckets);
        buckets.iter().map(|bucket| u64::from(bucket.failed[family as usize])).sum()
    }
}

/// From the coarsest to the finest; the last has a bucket for each attempt, if that is few enough.
pub(in crate::report) fn levels(
    file: &ProbeFile,
    view: &View<'_>,
    most_buckets: usize,
) -> Vec<Level> {
    let (span, zero) = (&file.span, Zero::of(view.timeline).0);
    let interval = (span.interval_ns as i64).max(1_000_000);
    let from = zero.at(span.start);
    let to = file.last().map_or(from, |last| zero.at(last));
    let whole = (to - from).or_zero().as_nanos().saturating_add(1);
    let mut builders: Vec<LevelBuilder> = Vec::new();
    let mut wanted = FEWEST_BUCKETS;
    loop {
        let step = (whole / wanted / interval + 1) * interval;
        if builders.last().is_none_or(|last| last.step > step) {
            // A slot that no prober reached in this time is one of a damaged file.
            let most = (whole / step) as usize + 1;
            builders.push(LevelBuilder { start: from, step, most, ..LevelBuilder::default() });
        }
        if step == interval || wanted >= most_buckets as i64 {
            break;
        }
        wanted = (wanted * FINER).min(most_buckets as i64);
    }
    for attempt in InOrder::new(span, file.attempts()) {
        let at = (zero.at(span.sent(&attempt)) - from).or_zero().as_nanos();
        for builder in &mut builders {
            builder.take(at, attempt.outcome, attempt.duration_us());
        }
    }
    builders.into_iter().map(LevelBuilder::finish).collect()
}

#[derive(Default)]
struct LevelBuilder {
    start: Seconds,
    step: i64,
    most: usize,
    buckets: Vec<Bucket>,
    took: Vec<u32>,
}

impl LevelBuilder {
    /// Attempts come by the time of sending, or nearly so.
    fn take(&mut self, at: i64, outcome: Outcome, took_us: u64) {
        let index = ((at / self.step) as usize).min(self.most);
        if index >= self.buckets.len() {
            self.close();
            self.buckets.resize_with(index + 1, Bucket::default);
        }
        let bucket = self.buckets.last_mut().expect("it was just made");
        if outcome.is_ok() {
            bucket.judged += 1;
            self.took.push(u32::try_from(took_us).unwrap_or(u32::MAX));
        } else if outcome.is_failure() {
            bucket.judged += 1;
            bucket.failed[Family::of(outcome) as usize] += 1;
        }
    }

    fn close(&mut self) {
        let (Some(bucket), false) = (self.buckets.last_mut(), self.took.is_empty()) else { return };
        bucket.max_us = self.took.iter().copied().max().unwrap_or(0);
        let middle = (self.took.len() - 1) / 2;
        bucket.p50_us = *self.took.select_nth_unstable(middle).1;
        self.took.clear();
    }

    fn finish(mut self) -> Level {
        self.close();
        Level { start: self.start, step: Seconds::from_nanos(self.step), buckets: self.buckets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, attempt, file, s, span};
    use crate::prediction::{ClusterModel, Predictions};
    use crate::timeline::Phase;
    use crate::verdict::judge;

    /// An attempt every 10 ms from -5 s on; those of a quarter of a second time out.
    fn levels_of(attempts: u64, most_buckets: usize) -> Vec<Level> {
        let all = (0..attempts).map(|slot| match slot {
            500..525 => attempt(slot, Outcome::Timeout(Phase::Connect), 200_000),
            _ => attempt(slot, Outcome::Ok, 1000 + slot % 10 * 100),
        });
        let file = file(&span("web", 10, 200), &[], all.collect());
        let run = Run::new().endpoints(2, 1).kill(6000).probe(file).ended(60_000).build();
        let (found, none) = (analyse(&run), Predictions::new(None, ClusterModel::default(), 0, 0));
        let verdict = judge(&found, &[], &none);
        let view = View::new(&run, &found, &verdict, &none);
        levels(&run.probes[0], &view, most_buckets)
    }

    #[test]
    fn every_level_counts_every_attempt() {
        let levels = levels_of(40_000, 19_200);
        assert_eq!(levels.len(), 3);
        for level in &levels {
            let judged: u32 = level.buckets.iter().map(|bucket| bucket.judged).sum();
            let failed: u32 =
                level.buckets.iter().map(|b| b.failed[Family::Timeout as usize]).sum();
            assert_eq!((judged, failed), (40_000, 25));
            assert_eq!(level.start, s(-5.0));
        }
        let coarse = &levels[0].buckets[0];
        assert_eq!((coarse.p50_us, coarse.max_us), (1400, 1900));
    }

    #[test]
    fn a_picture_has_no_more_than_a_bucket_for_a_pixel() {
        let strip = Strip { levels: levels_of(40_000, FINEST), windows: Vec::new(), canary: false };
        let step = |shown: f64| strip.level(s(shown), 800.0).unwrap().step;
        assert_eq!([step(400.0), step(8.0)], [strip.levels[0].step, strip.levels[2].step]);
        assert_eq!(step(4000.0), strip.levels[0].step, "the coarsest where none fits");
    }

    #[test]
    fn the_finest_level_has_no_more_than_one_attempt_or_its_share() {
        let of = |attempts, most| levels_of(attempts, most).last().unwrap().buckets.len();
        assert_eq!(of(3000, 19_200), 3000);
        assert!(of(100_000, 19_200) <= 19_201, "{}", of(100_000, 19_200));
        assert!(of(100_000, 0) <= 601 && levels_of(100_000, 0).len() == 1);
    }
}

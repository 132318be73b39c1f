//! What a tuning risks: that a healthy node is taken for a dead one, because its heartbeats got
//! lost for a while.
//!
//! The same facts as in `detection.rs`. A heartbeat comes every h; the controller stamps it at its
//! next pass, up to one period p later, and finds the node dead n = ceil(grace / p) passes after
//! the stamp if no other heartbeat has come by then. Where the status is the heartbeat,
//! `tryUpdateNodeHealth` stamps once more, one pass later, when it had known the lease before:
//! every other time when there is a heartbeat in each pass.
//!
//! So after m - 1 lost heartbeats (a gap of m h) the node is found dead if `m h > n p + u + e`,
//! with u between 0 and p and e either 0 or p. The phase of the glitch decides how many it takes.
//!
//! A glitch is the time in which heartbeats are lost: those that are due in it, and no others. A
//! cut cable silences a node for longer than it lasts, because TCP's waits grow (recorded: 3.6 s
//! more after 15 s; the machines of this module have it). Left out, because they save a node now
//! and then: that a kubelet tries a failed post again, and the other heartbeat (a lease among tuned
//! statuses, a status among leases).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::detection::{
    Beat, Heartbeat, JITTER, Unpredictable, heartbeat, lease_interval, share_after_status,
};
use crate::stats::Seconds;
use crate::timeline::Tuning;

/// The kubelet waits between 1 and 1.04 times its setting: on average this (measured median 1.02 s
/// for 1 s).
const MEAN_JITTER: f64 = 1.02;
/// No kubelet beats faster, whatever was asked of it.
const SHORTEST: f64 = 0.001;
const DAY: f64 = 86_400.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GlitchRisk {
    /// For how long all heartbeats that are due are lost.
    pub glitch: Seconds,
    /// The probability that a healthy node becomes NotReady.
    pub probability: f64,
}

/// How heartbeats and passes meet, for one tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Risk {
    /// The mean interval of heartbeats.
    pub(super) beat: f64,
    pub(super) period: f64,
    /// n p: the time from a stamp to the pass that finds the node dead.
    pub(super) patience: f64,
    /// Which share of heartbeats is stamped a second time, one pass later.
    twice: Twice,
    /// The share of failures just before which the other heartbeat was seen, so that one that is
    /// never stamped twice was.
    pub(super) late: f64,
}

/// Which heartbeats are stamped twice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Twice {
    /// None: the lease is the heartbeat.
    Never,
    /// Every other: each pass sees a new status.
    EveryOther,
    /// Those at an odd place of a run of passes with heartbeats; the place follows from the phase,
    /// and moves by this much a heartbeat.
    ByPhase(f64),
}

impl Risk {
    /// For a tuning; what is not set is Kubernetes' default. Errors: the period or the heartbeat's
    /// interval is zero.
    pub(crate) fn of(tuning: &Tuning, kubernetes: &str) -> Result<Self, Unpredictable> {
        if tuning.is_partly_unknown() {
            return Err(Unpredictable::Unread);
        }
        let tuning = tuning.completed(kubernetes);
        let seconds = |setting: Option<Duration>| setting.unwrap_or_default().as_secs_f64();
        let (period, grace) =
            (seconds(tuning.node_monitor_period), seconds(tuning.node_monitor_grace_period));
        let Beat { kind, interval } = heartbeat(&tuning);
        if period == 0.0 || interval.is_zero() {
            return Err(Unpredictable::NoPeriod);
        }
        let beat = interval.as_secs_f64().max(SHORTEST) * MEAN_JITTER;
        let twice = match kind {
            Heartbeat::Lease => Twice::Never,
            // As often as the lease, which then is known again soon: the cautious reading.
            Heartbeat::Status if interval >= lease_interval(&tuning) => Twice::Never,
            // Runs of a hundred heartbeats and more: what the jitter leaves of the phase in them is
            // a coin's throw.
            Heartbeat::Status if beat <= period * 1.01 => Twice::EveryOther,
            Heartbeat::Status => Twice::ByPhase((beat - period).min(period)),
        };
        let late = match twice {
            Twice::Never => share_after_status(&tuning),
            Twice::EveryOther | Twice::ByPhase(_) => 0.0,
        };
        Ok(Self { beat, period, patience: (grace / period).ceil() * period, twice, late })
    }

    /// The probability that a glitch of this length, at a random phase, makes a healthy node
    /// NotReady. A node that is taken for dead in good health (the grace period is shorter than the
    /// heartbeat's interval) has it for a glitch of nothing, too.
    pub(crate) fn glitch(&self, length: Duration) -> GlitchRisk {
        let whole = (length.as_secs_f64() / self.beat).floor();
        let rest = length.as_secs_f64() / self.beat - whole;
        // Either `whole` heartbeats are lost, or one more.
        let found = |lost: f64| self.found_dead((lost + 1.0) * self.beat);
        let probability = (1.0 - rest) * found(whole) + rest * found(whole + 1.0);
        GlitchRisk { glitch: length.into(), probability: probability.clamp(0.0, 1.0) }
    }

    /// The probability that, on one day, any of `nodes` healthy nodes becomes NotReady, when each
    /// heartbeat is lost with probability `loss`, each for itself.
    pub(crate) fn day(&self, loss: f64, nodes: u32) -> f64 {
        let loss = loss.clamp(0.0, 1.0);
        let in_gap = self.in_gap(loss);
        1.0 - ((-in_gap.min(1.0)).ln_1p() * gaps(DAY / self.beat, loss) * f64::from(nodes)).exp()
    }

    /// How often, in a month of 30 days, one of `nodes` healthy nodes becomes NotReady, under the
    /// same losses.
    pub(crate) fn month(&self, loss: f64, nodes: u32) -> f64 {
        let loss = loss.clamp(0.0, 1.0);
        self.in_gap(loss).min(1.0) * gaps(30.0 * DAY / self.beat, loss) * f64::from(nodes)
    }

    /// The probability that any of `nodes` healthy nodes becomes NotReady after a restart of the
    /// controller manager, under the same losses: its first pass stamps every node, whatever was
    /// heard before, and the node is dead if none of its heartbeats comes within n passes.
    pub(crate) fn restart(&self, loss: f64, nodes: u32) -> f64 {
        let (due, loss) = (self.patience / self.beat, loss.clamp(0.0, 1.0));
        let (whole, more) = (due.floor(), due.fract());
        let silent = (1.0 - more) * loss.powf(whole) + more * loss.powf(whole + 1.0);
        1.0 - ((-silent).ln_1p() * f64::from(nodes)).exp()
    }

    /// The longest glitch that never makes a healthy node NotReady, in seconds, whatever the jitter.
    /// One that takes k heartbeats leaves a gap of k + 1 intervals, at most as long as itself and
    /// two of them, and it takes no more than k while it is no longer than k intervals.
    pub(crate) fn rides_out(&self) -> f64 {
        let shortest = self.beat / MEAN_JITTER;
        let longest = shortest * JITTER;
        let taken = ((self.patience / longest).floor() - 1.0).max(0.0);
        f64::max(taken * shortest, self.patience - 2.0 * longest)
    }

    /// The probability that, in the gap that begins after a heartbeat that came, the node is found
    /// dead: the chances of m - 1 losses, times what one more adds.
    fn in_gap(&self, loss: f64) -> f64 {
        let shortest = (self.patience / self.beat) as u32;
        let (mut in_gap, mut before, mut chance) = (0.0, 0.0, loss.powf(f64::from(shortest)));
        for lost in shortest..=self.longest_gap() {
            let found = self.found_dead(f64::from(lost + 1) * self.beat);
            in_gap += chance * (found - before);
            (before, chance) = (found, chance * loss);
        }
        in_gap
    }

    /// So many heartbeats certainly span what the controller waits at the most.
    fn longest_gap(&self) -> u32 {
        ((self.patience + 2.0 * self.period) / self.beat).ceil() as u32 + 1
    }

    /// The probability that a node is found dead in a gap of this length between two heartbeats.
    pub(super) fn found_dead(&self, gap: f64) -> f64 {
        let over = (gap - self.patience) / self.period;
        let once = over.clamp(0.0, 1.0);
        let again = (over - 1.0).clamp(0.0, 1.0);
        match self.twice {
            Twice::Never => once,
            Twice::EveryOther => (once + again) / 2.0,
            Twice::ByPhase(step) => self.by_phase(step, once, again),
        }
    }

    /// A heartbeat waits u for its pass. The first of a run waits longest, each further one a step
    /// less; the odd ones are stamped again.
    fn by_phase(&self, step: f64, once: f64, again: f64) -> f64 {
        let step = step / self.period;
        let (mut found, mut upper, mut odd) = (0.0, 1.0, true);
        while upper > 0.0 {
            let lower = f64::max(upper - step, 0.0);
            let below = if odd { again } else { once };
            found += (below.min(upper) - lower).max(0.0);
            (upper, odd) = (lower, !odd);
        }
        found
    }
}

/// How many gaps begin in so many heartbeats.
fn gaps(heartbeats: f64, loss: f64) -> f64 {
    1.0 + (heartbeats - 1.0).max(0.0) * (1.0 - loss)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tuned(update: f64, period: f64, grace: f64) -> Tuning {
        let set = |seconds: f64| Some(Duration::from_secs_f64(seconds));
        Tuning {
            node_status_update_frequency: set(update),
            node_monitor_period: set(period),
            node_monitor_grace_period: set(grace),
            ..Tuning::default()
        }
    }

    fn article() -> Tuning {
        tuned(1.0, 1.0, 4.0)
    }

    fn at(risk: &Risk, seconds: f64) -> f64 {
        risk.glitch(Duration::from_secs_f64(seconds)).probability
    }

    /// A generator of numbers in [0, 1): enough for a simulation, and the same on every machine.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// One glitch, played: a kubelet with its jitter, a controller that stamps and forgets as
    /// `tryUpdateNodeHealth` does. Knows nothing of the closed form.
    fn node_is_taken_for_dead(
        beat: f64,
        status: bool,
        period: f64,
        grace: f64,
        glitch: f64,
        dice: &mut Dice,
    ) -> bool {
        let from = 60.0 * beat + dice.roll() * beat * period;
        let mut next_beat = dice.roll() * beat;
        let mut arrived = 0u64;
        let (mut seen, mut lease_known, mut stamp) = (0u64, true, 0.0);
        // A renewal of the lease now and then turns the alternation over; here once, with the
        // chance of a coin.
        let mut turn = (dice.roll() < 0.5).then_some(20.0 * beat);
        let mut pass = dice.roll() * period;
        while pass < from + glitch + grace + 4.0 * (beat + period) {
            while next_beat <= pass {
                let lost = next_beat >= from && next_beat < from + glitch;
                arrived += u64::from(!lost);
                next_beat += beat * (1.0 + 0.04 * dice.roll());
            }
            let fresh = arrived != seen;
            seen = arrived;
            if !status {
                stamp = if fresh { pass } else { stamp };
            } else {
                // A changed status builds the record anew, without the lease; a record without one
                // takes it for a renewal.
                let forgotten = !lease_known;
                stamp = if fresh || forgotten { pass } else { stamp };
                lease_known = forgotten || !fresh;
                if turn.is_some_and(|at| pass > at) {
                    (turn, lease_known) = (None, !lease_known);
                }
            }
            if pass - stamp > grace {
                return true;
            }
            // The loop sleeps after its pass: measured 1.0007 to 1.0011 of the period.
            pass += period * 1.0009;
        }
        false
    }

    fn played(beat: f64, status: bool, period: f64, grace: f64, glitch: f64) -> f64 {
        const TRIALS: u32 = 6_000;
        let mut dice = Dice(20_261_122);
        let dead = (0..TRIALS)
            .filter(|_| node_is_taken_for_dead(beat, status, period, grace, glitch, &mut dice))
            .count();
        dead as f64 / f64::from(TRIALS)
    }

    /// The mean interval stands for the jitter, and a pass for 1.0009 of one: that is good to some
    /// hundredths.
    #[test]
    fn a_simulation_that_knows_nothing_of_the_formula_agrees() {
        for (beat, period, grace) in
            [(1.0, 1.0, 4.0), (2.0, 1.0, 8.0), (1.5, 1.0, 6.0), (1.0, 2.0, 10.0), (1.7, 1.0, 5.0)]
        {
            let risk = Risk::of(&tuned(beat, period, grace), "v1.34.4").unwrap();
            for step in 0..24 {
                let glitch = f64::from(step) * grace / 12.0;
                let (closed, played) =
                    (at(&risk, glitch), played(beat, true, period, grace, glitch));
                assert!(
                    (closed - played).abs() < 0.04,
                    "{beat} {period} {grace}: a glitch of {glitch}: {closed} against {played}"
                );
            }
        }
    }

    #[test]
    fn the_simulation_agrees_where_the_lease_is_the_heartbeat() {
        let risk = Risk::of(&Tuning::default(), "v1.34.4").unwrap();
        for glitch in [20.0, 38.0, 42.0, 45.0, 48.0, 52.0, 56.0, 70.0] {
            let (closed, played) = (at(&risk, glitch), played(10.0, false, 5.0, 50.0, glitch));
            assert!(
                (closed - played).abs() < 0.04,
                "a glitch of {glitch}: {closed} against {played}"
            );
        }
    }

    fn dead_in_machines(tuning: &Tuning, glitch: f64, seed: u64) -> bool {
        use crate::model::{Action, Change, Model, NodeId, Settings, Topology};
        let (from, node) =
            (Duration::from_secs(100) + Duration::from_millis(seed * 37 % 10_000), NodeId(1));
        let mut model =
            Model::new(Settings::of(tuning, "v1.34.4").unwrap(), &Topology::kind("k", 1, 1), seed);
        let mut dead = false;
        let mut look = |_: Duration, change: Change| {
            dead |= matches!(change, Change::NodeReady { node: n, ready: crate::timeline::Ready::Unknown, .. } if n == node);
        };
        model.advance(from, &mut look);
        model.act(from, Action::Disconnect { node }, &mut look);
        let end = from + Duration::from_secs_f64(glitch);
        model.advance(end, &mut look);
        model.act(end, Action::Reconnect { node }, &mut look);
        model.advance(end + Duration::from_secs(70), &mut look);
        dead
    }

    /// The machines cut a cable. That silences a node at least for as long, and at most (TCP's
    /// waits double) for twice as long.
    #[test]
    fn a_cut_cable_is_no_safer_than_the_glitch() {
        const TRIALS: u64 = 400;
        for (tuning, glitches) in
            [(article(), [1.0, 3.5, 4.5]), (Tuning::default(), [19.0, 42.0, 46.0])]
        {
            let risk = Risk::of(&tuning, "v1.34.4").unwrap();
            for glitch in glitches {
                let dead = (0..TRIALS)
                    .filter(|seed| dead_in_machines(&tuning, glitch, *seed))
                    .count() as f64
                    / TRIALS as f64;
                let (least, most) = (at(&risk, glitch), at(&risk, 2.0 * glitch));
                assert!(
                    (least - 0.08..=most + 0.08).contains(&dead),
                    "{glitch}: {least} {dead} {most}"
                );
            }
        }
    }

    /// The detection interval is [n p - h, n p + 2 p]; the next heartbeat comes up to h after the
    /// glitch.
    #[test]
    fn short_glitches_are_safe_and_long_ones_are_not() {
        let risk = Risk::of(&article(), "v1.34.4").unwrap();
        assert_eq!((at(&risk, 0.5), at(&risk, 1.9)), (0.0, 0.0));
        assert!(
            at(&risk, 3.0) < 0.1 && at(&risk, 4.0) > 0.2,
            "{} {}",
            at(&risk, 3.0),
            at(&risk, 4.0)
        );
        assert_eq!((at(&risk, 6.1), at(&risk, 60.0)), (1.0, 1.0));
        let defaults = Risk::of(&Tuning::default(), "v1.34.4").unwrap();
        assert_eq!(
            (at(&defaults, 10.0), at(&defaults, 29.0), at(&defaults, 56.0)),
            (0.0, 0.0, 1.0)
        );
    }

    #[test]
    fn a_day_without_losses_is_safe_and_one_with_nothing_else_is_not() {
        let risk = Risk::of(&article(), "v1.34.4").unwrap();
        assert_eq!((risk.day(0.0, 5000), risk.day(1.0, 1), risk.day(0.5, 0)), (0.0, 1.0, 0.0));
        assert!(
            risk.day(0.01, 1) < 0.01 && risk.day(0.01, 1000) > risk.day(0.01, 1),
            "{}",
            risk.day(0.01, 1)
        );
        let defaults = Risk::of(&Tuning::default(), "v1.34.4").unwrap();
        assert!(defaults.day(0.01, 1000) < risk.day(0.01, 1000));
    }

    /// A healthy node whose grace period is shorter than its heartbeats' interval is taken for dead
    /// without any glitch.
    #[test]
    fn a_grace_period_below_the_heartbeat_needs_no_glitch() {
        let flag =
            Tuning { node_status_report_frequency: Some(Duration::from_secs(300)), ..article() };
        let risk = Risk::of(&flag, "v1.34.4").unwrap();
        assert_eq!((at(&risk, 0.0), risk.day(0.0, 1)), (1.0, 1.0));
    }

    /// Settings next to each other, and settings that nobody has, are answered immediately.
    #[test]
    fn odd_settings_have_an_answer() {
        let nanosecond = 1e-9;
        for (beat, period, grace) in [
            (1.7, 1.734, 5.0),
            (1.7, 1.733_999_999, 5.0),
            (nanosecond, 5.0, 86_400.0),
            (1.0, nanosecond, 4.0),
        ] {
            let risk = Risk::of(&tuned(beat, period, grace), "v1.34.4").unwrap();
            assert_eq!(
                (at(&risk, 0.1), at(&risk, 90_000.0)),
                (0.0, 1.0),
                "{beat} {period} {grace}"
            );
            assert!(
                (0.0..=1.0).contains(&risk.day(1.0, 5000)) && risk.day(0.0, 5000) == 0.0,
                "{beat} {period} {grace}"
            );
        }
    }

    #[test]
    fn no_period_is_an_error() {
        assert_eq!(Risk::of(&tuned(1.0, 0.0, 4.0), "v1.34.4"), Err(Unpredictable::NoPeriod));
        assert_eq!(Risk::of(&tuned(0.0, 1.0, 4.0), "v1.34.4"), Err(Unpredictable::NoPeriod));
    }

    proptest! {
        #[test]
        fn a_longer_glitch_is_no_safer(
            beat in 0.2f64..12.0, period in 0.2f64..10.0, grace in 1.0f64..60.0, glitch in 0.0f64..90.0, more in 0.0f64..30.0,
        ) {
            let risk = Risk::of(&tuned(beat, period, grace), "v1.34.4").unwrap();
            prop_assert!(at(&risk, glitch + more) >= at(&risk, glitch) - 1e-9);
        }

        #[test]
        fn more_losses_and_more_nodes_are_no_safer(
            beat in 0.5f64..12.0, period in 0.5f64..10.0, grace in 1.0f64..60.0, loss in 0.0f64..0.98, more in 0.0f64..0.02,
            nodes in 1u32..5000,
        ) {
            let risk = Risk::of(&tuned(beat, period, grace), "v1.34.4").unwrap();
            let day = risk.day(loss, nodes);
            prop_assert!((0.0..=1.0).contains(&day));
            prop_assert!(risk.day(loss + more, nodes) >= day - 1e-9 && risk.day(loss, nodes + 1) >= day - 1e-12);
        }

        /// Whatever the kubelet waits from one heartbeat to the next.
        #[test]
        fn a_glitch_that_is_ridden_out_leaves_no_gap_that_is_too_long(
            beat in 0.5f64..12.0, period in 0.5f64..10.0, grace in 1.0f64..60.0,
            waits in proptest::collection::vec(1.0f64..JITTER, 200),
        ) {
            let risk = Risk::of(&tuned(beat, period, grace), "v1.34.4").unwrap();
            let waits: Vec<f64> = waits.iter().map(|wait| wait * risk.beat / MEAN_JITTER).collect();
            let length = risk.rides_out() - 1e-9;
            for first in 1..waits.len() {
                let (mut lost, mut after) = (0.0, first);
                while after < waits.len() - 1 && lost + waits[after] <= length {
                    lost += waits[after];
                    after += 1;
                }
                let gap = waits[first - 1] + lost + waits[after];
                prop_assert!(length <= 0.0 || gap <= risk.patience + 1e-6, "{gap} {risk:?}");
            }
        }

        /// Nothing below n p - 2 h (the last heartbeat before and the first after each lie up to
        /// one interval off), all beyond the upper end of the detection interval.
        #[test]
        fn the_limits_are_those_of_detection(beat in 0.2f64..5.0, period in 0.2f64..5.0, grace in 10.0f64..60.0) {
            let tuning = tuned(beat, period, grace);
            let risk = Risk::of(&tuning, "v1.34.4").unwrap();
            let passes = (grace / period).ceil() * period;
            prop_assert_eq!(at(&risk, (passes - 2.0 * MEAN_JITTER * beat).max(0.0)), 0.0);
            let latest = super::super::predict(&tuning, "v1.34.4", super::super::KubeletEnd::AtOnce).unwrap().detection.most.as_f64();
            prop_assert!((at(&risk, latest) - 1.0).abs() < 1e-9);
        }
    }
}

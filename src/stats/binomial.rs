//! What a run of draws proves about a share.

use super::interval::{Interval, where_falls, where_rises};

/// The level at which this program excludes a chance: 5 %, for each edge on its own.
pub const LEVEL: f64 = 0.05;

/// One-sided 5 % quantile of the normal distribution.
const Z: f64 = 1.644_853_6;

/// How many independent draws must all miss, before it is excluded (at [`LEVEL`]) that a share of
/// `1 - miss` could have been hit: the least k with `miss^k <= LEVEL`. 1 where every draw hits;
/// `None` where none does, so that no number of draws proves anything.
pub fn draws_to_exclude(miss: f64) -> Option<u64> {
    if !(0.0..1.0).contains(&miss) {
        return None;
    }
    if miss <= LEVEL {
        return Some(1);
    }
    Some((LEVEL.ln() / miss.ln()).ceil() as u64)
}

/// The lower bound (one-sided, at [`LEVEL`]) of a share of which `hits` of `total` draws were seen;
/// 0 without a draw.
///
/// Where every draw hit: Clopper and Pearson's exact bound, `LEVEL^(1/n)`. Else Wilson's score
/// bound (1927).
pub fn share_at_least(hits: u64, total: u64) -> f64 {
    let n = total as f64;
    match (hits, total) {
        (0, _) | (_, 0) => 0.0,
        _ if hits >= total => LEVEL.powf(1.0 / n),
        _ => {
            let share = hits as f64 / n;
            let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
            ((share + Z * Z / (2.0 * n) - spread) / (1.0 + Z * Z / n)).max(0.0)
        }
    }
}

/// The interval, at 95 %, of a share of which `hits` of `total` draws were seen: Clopper and
/// Pearson's exact one (1934), whose bounds are the shares with which as many hits or more, or as
/// many or fewer, have a chance of 2.5 %. `None` without a draw.
pub fn interval_of_share(hits: u64, total: u64) -> Option<Interval> {
    if total == 0 || hits > total {
        return None;
    }
    let misses = total - hits;
    // As many hits or more are as many misses or fewer of the opposite share.
    let low = match hits {
        0 => 0.0,
        _ => where_rises(0.0, hits as f64 / total as f64, |share| {
            at_most(misses, total, 1.0 - share)
        }),
    };
    let high = match misses {
        0 => 1.0,
        _ => where_falls(hits as f64 / total as f64, 1.0, |share| at_most(hits, total, share)),
    };
    Some(Interval { low, high })
}

/// The chance of so many hits or fewer in `total` draws; for a share of at least `hits / total`, where
/// the terms get smaller from `hits` down.
fn at_most(hits: u64, total: u64, share: f64) -> f64 {
    let ln_choose: f64 =
        (1..=hits).map(|k| ((total - hits + k) as f64).ln() - (k as f64).ln()).sum();
    let misses = (total - hits) as f64;
    let mut term = (ln_choose + hits as f64 * share.ln() + misses * (1.0 - share).ln()).exp();
    let (mut sum, mut k) = (term, hits);
    while k > 0 && term > sum * f64::EPSILON {
        term *= k as f64 * (1.0 - share) / ((total - k + 1) as f64 * share);
        sum += term;
        k -= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn draws_follow_the_share() {
        assert_eq!(draws_to_exclude(0.0), Some(1));
        assert_eq!(draws_to_exclude(0.5), Some(5));
        assert_eq!(draws_to_exclude(0.9), Some(29));
        assert_eq!(draws_to_exclude(1.0), None);
        assert_eq!(draws_to_exclude(f64::NAN), None);
    }

    #[test]
    fn fewer_draws_would_not_do() {
        for miss in [0.1, 0.25, 0.5, 2.0 / 3.0, 0.75, 0.9, 0.99] {
            let k = draws_to_exclude(miss).unwrap() as i32;
            assert!(miss.powi(k) <= LEVEL && miss.powi(k - 1) > LEVEL, "{miss}: {k}");
        }
    }

    #[test]
    fn bounds_of_a_share() {
        assert_eq!(share_at_least(0, 10), 0.0);
        assert_eq!(share_at_least(0, 0), 0.0);
        assert!((share_at_least(24, 24) - 0.8826).abs() < 1e-3);
        assert!((share_at_least(50, 100) - 0.4190).abs() < 1e-3);
    }

    /// Published: Clopper and Pearson at 95 %.
    #[test]
    fn intervals_of_a_share() {
        let rounded = |hits, total| {
            let Interval { low, high } = interval_of_share(hits, total).unwrap();
            ((low * 1e4).round() / 1e4, (high * 1e4).round() / 1e4)
        };
        assert_eq!(rounded(0, 10), (0.0, 0.3085));
        assert_eq!(rounded(10, 10), (0.6915, 1.0));
        assert_eq!(rounded(5, 10), (0.1871, 0.8129));
        assert_eq!(rounded(1, 100), (0.0003, 0.0545));
        assert_eq!(interval_of_share(0, 0), None);
    }

    /// The chance of each number of hits, by playing draw after draw.
    fn played(total: usize, share: f64) -> Vec<f64> {
        let mut chances = vec![1.0];
        for _ in 0..total {
            let mut next = vec![0.0; chances.len() + 1];
            for (hits, chance) in chances.iter().enumerate() {
                next[hits] += chance * (1.0 - share);
                next[hits + 1] += chance * share;
            }
            chances = next;
        }
        chances
    }

    proptest! {
        #[test]
        fn each_bound_of_a_share_has_a_chance_of_a_fortieth(total in 1usize..80, part in 0.0f64..=1.0) {
            let hits = (part * total as f64).round() as usize;
            let Interval { low, high } = interval_of_share(hits as u64, total as u64).unwrap();
            let or_more: f64 = played(total, low)[hits..].iter().sum();
            let or_fewer: f64 = played(total, high)[..=hits].iter().sum();
            prop_assert!(hits == 0 && low == 0.0 || (or_more - 0.025).abs() < 1e-6, "{or_more}");
            prop_assert!(hits == total && high == 1.0 || (or_fewer - 0.025).abs() < 1e-6, "{or_fewer}");
        }
    }
}

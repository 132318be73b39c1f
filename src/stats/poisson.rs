//! How often something happens, by counting it.

use super::interval::{Interval, where_falls, where_rises};

/// The interval, at 95 %, of the expected number of which `count` were seen: Garwood's exact one
/// (1936), whose bounds are the expectations with which as many or more, or as many or fewer, have a
/// chance of 2.5 %. Of what comes more evenly than by chance, as heartbeats do, it is too wide, never
/// too narrow.
pub fn interval_of_count(count: u64) -> Interval {
    let seen = count as f64;
    // Wider than any interval: 7 standard deviations, and enough for none.
    let beyond = seen + 7.0 * seen.sqrt() + 7.0;
    let ln_factorial: f64 = (1..=count).map(|k| (k as f64).ln()).sum();
    let of_count = |expected: f64| (seen * expected.ln() - expected - ln_factorial).exp();
    let low = match count {
        0 => 0.0,
        _ => where_rises(0.0, seen, |expected| or_more(count, expected, of_count(expected))),
    };
    let high = where_falls(seen, beyond, |expected| or_fewer(count, expected, of_count(expected)));
    Interval { low, high }
}

/// For an expectation of at most `count`, where the terms get smaller from `count` up.
fn or_more(count: u64, expected: f64, mut term: f64) -> f64 {
    let (mut sum, mut k) = (term, count);
    while term > sum * f64::EPSILON {
        k += 1;
        term *= expected / k as f64;
        sum += term;
    }
    sum
}

/// For an expectation of at least `count`, where the terms get smaller from `count` down.
fn or_fewer(count: u64, expected: f64, mut term: f64) -> f64 {
    let (mut sum, mut k) = (term, count);
    while k > 0 && term > sum * f64::EPSILON {
        term *= k as f64 / expected;
        sum += term;
        k -= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Published: Garwood's table at 95 %.
    #[test]
    fn intervals_of_a_count() {
        let rounded = |count| {
            let Interval { low, high } = interval_of_count(count);
            ((low * 1e3).round() / 1e3, (high * 1e3).round() / 1e3)
        };
        assert_eq!(rounded(0), (0.0, 3.689));
        assert_eq!(rounded(1), (0.025, 5.572));
        assert_eq!(rounded(10), (4.795, 18.39));
        let large = interval_of_count(1_000_000);
        assert!((large.low - 998_041.0).abs() < 2.0 && (large.high - 1_001_962.0).abs() < 2.0);
    }

    /// The chance of so many or fewer, from none upwards.
    fn naive(count: u64, expected: f64) -> f64 {
        let mut term = (-expected).exp();
        let mut sum = term;
        for k in 1..=count {
            term *= expected / k as f64;
            sum += term;
        }
        sum
    }

    proptest! {
        #[test]
        fn each_bound_of_a_count_has_a_chance_of_a_fortieth(count in 1u64..300) {
            let Interval { low, high } = interval_of_count(count);
            prop_assert!((1.0 - naive(count - 1, low) - 0.025).abs() < 1e-6);
            prop_assert!((naive(count, high) - 0.025).abs() < 1e-6);
        }
    }
}

//! Whether a sample is of a distribution, or two samples of one: Kolmogorov (1933) and Smirnov (1939).

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Up to this many values the one-sample distribution is exact.
const EXACT: usize = 100;
/// Up to this many pairs of values the two-sample distribution is exact.
const EXACT_PAIRS: usize = 10_000;

/// The result of a Kolmogorov-Smirnov test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two cumulative distributions, two-sided, from 0 to 1.
    pub distance: f64,
    /// How often samples of one distribution are at least so far apart.
    pub p: f64,
    /// How `p` was computed.
    pub method: KsMethod,
}

/// How a p-value was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KsMethod {
    /// The distribution for this number of values: Marsaglia, Tsang and Wang (2003) of one sample, Hodges' count of paths (1957) of
    /// two.
    Exact,
    /// The limit for many values, with Stephens' correction (1970).
    Asymptotic,
}

/// A cumulative distribution at one value. Both are the same where no chance lies on the value itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The share of values less than it.
    pub below: f64,
    /// The share of values not greater than it.
    pub up_to: f64,
}

/// Whether `values` are of the distribution that `share` describes. Where that is one of trials it is taken as exact: it should have
/// many more of them than there are values (100 times as many), else [`two_samples`] is the test. Where chance lies on single values,
/// `p` is too large, never too small (Noether, 1963). `None` for no values.
pub fn one_sample(values: &[f64], share: impl Fn(f64) -> Share) -> Option<KolmogorovSmirnov> {
    let n = values.len();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let distance = |(i, value): (usize, &f64)| {
        let share = share(*value);
        ((i + 1) as f64 / n as f64 - share.up_to).max(share.below - i as f64 / n as f64)
    };
    let distance = sorted.iter().enumerate().map(distance).max_by(f64::total_cmp)?;
    let (p, method) = if n <= EXACT {
        (1.0 - chance_within(n, distance), KsMethod::Exact)
    } else {
        (asymptotic(distance, n as f64), KsMethod::Asymptotic)
    };
    Some(KolmogorovSmirnov { distance, p: p.clamp(0.0, 1.0), method })
}

/// Whether both are of one distribution. Equal values are allowed: `p` is that of the ranks as they are (Schröer and Trenkler, 1995).
/// `None` where a sample has no values.
pub fn two_samples(one: &[f64], other: &[f64]) -> Option<KolmogorovSmirnov> {
    let (m, n) = (one.len(), other.len());
    let mut pooled: Vec<f64> = one.iter().chain(other).copied().collect();
    pooled.sort_by(f64::total_cmp);
    // How many values of both lie up to a place where the next one is greater.
    let ends: Vec<usize> = (1..=m + n).filter(|at| pooled.get(*at) != pooled.get(at - 1)).collect();
    let up_to = |values: &[f64], most: f64| values.iter().filter(|value| **value <= most).count();
    let gap =
        |end: &usize| (up_to(one, pooled[end - 1]) * n).abs_diff(up_to(other, pooled[end - 1]) * m);
    let gap = ends.iter().map(gap).max().filter(|_| m > 0 && n > 0)?;
    let pairs = (m * n) as f64;
    let (p, method) = if m * n <= EXACT_PAIRS {
        (1.0 - paths_within(m, n, gap, &ends), KsMethod::Exact)
    } else {
        (asymptotic(gap as f64 / pairs, pairs / (m + n) as f64), KsMethod::Asymptotic)
    };
    Some(KolmogorovSmirnov { distance: gap as f64 / pairs, p: p.clamp(0.0, 1.0), method })
}

/// The chance that `n` values of a continuous distribution are nowhere so far from it: the middle element of the n-th power of a
/// matrix, times n!/n^n (Durbin, 1973, in the form of Marsaglia, Tsang and Wang).
fn chance_within(n: usize, distance: f64) -> f64 {
    let steps = n as f64 * distance;
    // From here on the chance to be farther is below 1e-15.
    if distance >= 1.0 || steps * distance > 18.0 {
        return 1.0;
    }
    let k = steps.floor() as usize + 1;
    let (size, h) = (2 * k - 1, k as f64 - steps);
    let factorial = |i: usize| (1..=i).map(|i| i as f64).product::<f64>();
    let element = |row: usize, column: usize| {
        if row + 1 < column {
            return 0.0;
        }
        let mut value = 1.0;
        if column == 0 {
            value -= h.powi(row as i32 + 1);
        }
        if row == size - 1 {
            value -= h.powi((size - column) as i32);
        }
        if column == 0 && row == size - 1 {
            value += (2.0 * h - 1.0).max(0.0).powi(size as i32);
        }
        value / factorial(row + 1 - column)
    };
    let matrix: Vec<f64> = (0..size * size).map(|at| element(at / size, at % size)).collect();
    // One row is enough: the middle one, multiplied n times, each time with one factor of n!/n^n.
    let mut row = vec![0.0; size];
    row[k - 1] = 1.0;
    for i in 1..=n {
        let next = |column: usize| {
            let sum: f64 = row.iter().enumerate().map(|(r, x)| x * matrix[r * size + column]).sum();
            sum * i as f64 / n as f64
        };
        row = (0..size).map(next).collect();
    }
    row[k - 1]
}

/// The chance that two samples of one distribution stay closer than `gap` (of `m * n`) wherever the pooled values are cut: the share
/// of the paths from (0, 0) to (m, n).
fn paths_within(m: usize, n: usize, gap: usize, ends: &[usize]) -> f64 {
    let mut cut = vec![false; m + n + 1];
    ends.iter().for_each(|end| cut[*end] = true);
    // The chance of each point, of all paths that go through it at random and were never outside.
    let mut row = vec![0.0; n + 1];
    for i in 0..=m {
        for j in 0..=n {
            let outside = cut[i + j] && (i * n).abs_diff(j * m) >= gap;
            let before = (i + j) as f64;
            let along_i = if i > 0 { row[j] * i as f64 / before } else { 0.0 };
            let along_j = if j > 0 { row[j - 1] * j as f64 / before } else { 0.0 };
            row[j] = match (i, j) {
                _ if outside => 0.0,
                (0, 0) => 1.0,
                _ => along_i + along_j,
            };
        }
    }
    row[n]
}

/// The chance to be at least so far apart, in the limit of many values (Kolmogorov's series), with Stephens' correction.
fn asymptotic(distance: f64, n: f64) -> f64 {
    let x = distance * (n.sqrt() + 0.12 + 0.11 / n.sqrt());
    if x < 0.2 {
        return 1.0;
    }
    let term =
        |k: i32| if k % 2 == 1 { 2.0 } else { -2.0 } * (-2.0 * f64::from(k * k) * x * x).exp();
    (1..=100).map(term).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Random;

    fn uniform(value: f64) -> Share {
        Share { below: value, up_to: value }
    }

    /// Values published by Marsaglia, Tsang and Wang, and the 5 % points of Miller's table (1956).
    #[test]
    fn as_published() {
        assert!(
            (chance_within(10, 0.274) - 0.628_479_6).abs() < 1e-6,
            "{}",
            chance_within(10, 0.274)
        );
        for (n, distance) in [(5, 0.56328), (10, 0.40925), (20, 0.29408), (50, 0.18845)] {
            let p = 1.0 - chance_within(n, distance);
            assert!((p - 0.05).abs() < 2e-4, "{n}: {p}");
        }
    }

    #[test]
    fn what_lies_on_one_value_is_no_distance() {
        let coin = |value: f64| match value {
            v if v < 1.0 => Share { below: 0.0, up_to: 0.5 },
            _ => Share { below: 0.5, up_to: 1.0 },
        };
        let found = one_sample(&[0.0, 1.0, 0.0, 1.0], coin).unwrap();
        assert_eq!((found.distance, found.p), (0.0, 1.0));
        assert_eq!(one_sample(&[], uniform), None);
        assert_eq!(two_samples(&[1.0], &[]), None);
        assert_eq!(two_samples(&[1.0, 1.0], &[1.0]).unwrap().p, 1.0);
    }

    #[test]
    fn the_approximation_goes_on_where_the_exact_ends() {
        for distance in [0.08, 0.12, 0.16] {
            let exact = 1.0 - chance_within(100, distance);
            assert!((asymptotic(distance, 100.0) - exact).abs() < 0.015, "{distance}: {exact}");
        }
        let all: Vec<usize> = (1..=200).collect();
        let exact = 1.0 - paths_within(100, 100, 1900, &all);
        assert!((asymptotic(0.19, 50.0) - exact).abs() < 0.02, "{exact}");
    }

    #[test]
    fn one_distribution_is_rejected_as_often_as_asked_for() {
        let mut random = Random::new(11);
        let mut sample = |n: usize| (0..n).map(|_| random.share()).collect::<Vec<f64>>();
        let rejected = |p: f64| p <= 0.05;
        let one =
            (0..1000).filter(|_| rejected(one_sample(&sample(20), uniform).unwrap().p)).count();
        assert!((30..=70).contains(&one), "{one}");
        let two = (0..1000)
            .filter(|_| rejected(two_samples(&sample(20), &sample(15)).unwrap().p))
            .count();
        assert!((20..=70).contains(&two), "{two}");
    }

    /// The distance, and its chance among all ways to deal the pooled values to the two sides.
    fn by_dealing(one: &[f64], other: &[f64]) -> (f64, f64) {
        let share = |values: &[f64], most: f64| {
            values.iter().filter(|value| **value <= most).count() as f64 / values.len() as f64
        };
        let pooled: Vec<f64> = one.iter().chain(other).copied().collect();
        let distance = |one: &[f64], other: &[f64]| {
            let gaps = pooled.iter().map(|at| (share(one, *at) - share(other, *at)).abs());
            gaps.fold(0.0, f64::max)
        };
        let seen = distance(one, other);
        let deals: Vec<f64> = (0..1_u32 << pooled.len())
            .filter(|set| set.count_ones() as usize == one.len())
            .map(|set| {
                let of = |bit: u32| -> Vec<f64> {
                    let dealt = pooled.iter().enumerate().filter(|(i, _)| set >> i & 1 == bit);
                    dealt.map(|(_, value)| *value).collect()
                };
                distance(&of(1), &of(0))
            })
            .collect();
        let far = deals.iter().filter(|distance| **distance >= seen - 1e-12).count();
        (seen, far as f64 / deals.len() as f64)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Of a few whole numbers: many are equal.
        #[test]
        fn two_samples_are_as_dealt(
            one in prop::collection::vec(0_u8..12, 1..7),
            other in prop::collection::vec(0_u8..12, 1..7),
        ) {
            let floats = |values: Vec<u8>| values.into_iter().map(f64::from).collect::<Vec<_>>();
            let (one, other) = (floats(one), floats(other));
            let found = two_samples(&one, &other).unwrap();
            let (distance, p) = by_dealing(&one, &other);
            prop_assert!((found.distance - distance).abs() < 1e-12 && (found.p - p).abs() < 1e-12);
        }

        /// The chance by drawing samples, and the distance by looking everywhere.
        #[test]
        fn one_sample_is_as_drawn(values in prop::collection::vec(0.0..1.0, 1..12)) {
            let found = one_sample(&values, uniform).unwrap();
            let n = values.len();
            let everywhere = |values: &[f64]| {
                let at = |x: f64| values.iter().filter(|value| **value <= x).count() as f64 / n as f64;
                let near = values.iter().flat_map(|value| [*value, value - 1e-12]);
                near.map(|x| (at(x) - x).abs()).fold(0.0, f64::max)
            };
            prop_assert!((found.distance - everywhere(&values)).abs() < 1e-9);
            let mut random = Random::new(7);
            let far = (0..2000).filter(|_| {
                let drawn: Vec<f64> = (0..n).map(|_| random.share()).collect();
                one_sample(&drawn, uniform).unwrap().distance >= found.distance
            });
            let p = far.count() as f64 / 2000.0;
            prop_assert!((found.p - p).abs() < 0.05, "{} {p}", found.p);
        }
    }
}

//! By how much one sample is shifted against another, whatever both are distributed like.

use super::binomial::LEVEL;
use super::interval::Interval;
use super::quantile::quantile;

/// Up to this many pairs of runs the distribution of U is counted out; beyond, it is the normal one.
const EXACT_PAIRS: usize = 2500;

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_964;

/// By how much the values of one side are above those of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shift {
    pub estimate: f64,
    /// `None`: of so few runs no interval reaches 95 %.
    pub interval: Option<Interval>,
}

/// The shift from `from` to `to`: Hodges and Lehmann's estimate (1963), the median of all differences between a value of one side
/// and a value of the other. Its interval is distribution-free: from the c-th least difference to the c-th greatest, where c is the
/// rank that Mann and Whitney's U (1947) exceeds in 97.5 of 100 samples (Moses, 1965; Hollander and Wolfe, 1999). U's
/// distribution is exact up to 2500 pairs, else normal. Equal values make the interval wider than it need be, never
/// narrower. `None` where a side has no value.
pub fn shift(from: &[f64], to: &[f64]) -> Option<Shift> {
    let mut differences: Vec<f64> =
        to.iter().flat_map(|to| from.iter().map(move |from| to - from)).collect();
    differences.sort_by(f64::total_cmp);
    let estimate = quantile(&differences, 0.5)?;
    let rank = rank_of_bound(from.len(), to.len());
    let interval = rank.checked_sub(1).map(|below| Interval {
        low: differences[below],
        high: differences[differences.len() - 1 - below],
    });
    Some(Shift { estimate, interval })
}

/// The fewest runs that have an interval against so many (39 against one); `None` against none.
pub fn runs_needed_against(others: usize) -> Option<usize> {
    (others > 0).then(|| (1..=39).find(|n| rank_of_bound(*n, others) > 0)).flatten()
}

/// The place of the lower bound among the sorted differences, from 1: the greatest c with `P(U < c) <= 2.5 %`; 0 where there is
/// none.
fn rank_of_bound(m: usize, n: usize) -> usize {
    if m * n > EXACT_PAIRS {
        let (m, n) = (m as f64, n as f64);
        let rank = m * n / 2.0 - Z * (m * n * (m + n + 1.0) / 12.0).sqrt();
        return rank.floor().max(0.0) as usize;
    }
    let mut below = 0.0;
    let mut fits = |chance: &f64| {
        below += chance;
        // 1 run against 39 is exactly at the level.
        below <= LEVEL / 2.0 + 1e-12
    };
    chances_of_u(m, n).iter().take_while(|chance| fits(chance)).count()
}

/// The chance of each value of U, from 0 to `m * n`, where both sides are of one distribution without equal values: Mann and
/// Whitney's recursion over the side of which the greatest value is.
fn chances_of_u(m: usize, n: usize) -> Vec<f64> {
    // The row of i values on one side: its chances for every number of values on the other.
    let mut row: Vec<Vec<f64>> = vec![vec![1.0]; n + 1];
    for i in 1..=m {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for j in 1..=n {
            let (with_i, with_j) = (i as f64 / (i + j) as f64, j as f64 / (i + j) as f64);
            let chance = |u: usize| {
                let from_i = u.checked_sub(j).and_then(|u| row[j].get(u)).unwrap_or(&0.0);
                with_i * from_i + with_j * next[j - 1].get(u).unwrap_or(&0.0)
            };
            let chances = (0..=i * j).map(chance).collect();
            next.push(chances);
        }
        row = next;
    }
    row.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Random;

    /// Hollander and Wolfe's example 4.1 (1999), tritiated water through chorioamnion: R 4's `wilcox.test(.., conf.int = TRUE)` has
    /// the estimate -0.305 for it, and the interval from -0.76 to 0.15.
    #[test]
    fn as_r_has_it() {
        let at_term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        let found = shift(&at_term, &early).unwrap();
        let interval = found.interval.unwrap();
        assert!((found.estimate + 0.305).abs() < 1e-9, "{found:?}");
        assert!((interval.low + 0.76).abs() < 1e-9 && (interval.high - 0.15).abs() < 1e-9);
    }

    #[test]
    fn few_runs_have_no_interval() {
        let has = |m: usize, n: usize| rank_of_bound(m, n) > 0;
        assert!(has(4, 4) && has(3, 5) && has(2, 8) && has(1, 39));
        assert!(!has(3, 4) && !has(2, 7) && !has(1, 38));
        assert_eq!([8, 10, 39, 60].map(runs_needed_against), [2, 2, 1, 1].map(Some));
        assert_eq!([0, 1].map(runs_needed_against), [None, Some(39)]);
        assert_eq!(shift(&[], &[1.0]), None);
        assert_eq!(shift(&[1.0], &[3.0]), Some(Shift { estimate: 2.0, interval: None }));
    }

    #[test]
    fn the_normal_approximation_goes_on_where_counting_ends() {
        let normal = |n: f64| n * n / 2.0 - Z * (n * n * (2.0 * n + 1.0) / 12.0).sqrt();
        assert!((rank_of_bound(50, 50) as f64 - normal(50.0)).abs() < 2.0);
        assert!(rank_of_bound(51, 50) > rank_of_bound(50, 50));
    }

    /// How often the interval contains the true shift, of 1000 pairs of samples of 6 and 9.
    #[test]
    fn it_contains_the_truth_as_often_as_it_says() {
        let mut random = Random::new(5);
        let mut sample =
            |n: usize, by: f64| -> Vec<f64> { (0..n).map(|_| by - random.share().ln()).collect() };
        let hits = (0..1000)
            .filter(|_| {
                let (from, to) = (sample(6, 0.0), sample(9, 2.0));
                shift(&from, &to).unwrap().interval.unwrap().contains(2.0)
            })
            .count();
        assert!((945..=985).contains(&hits), "{hits}");
    }

    /// The chances of U, by every way to choose which of the sorted values are of the first side.
    fn chances_by_counting(m: usize, n: usize) -> Vec<f64> {
        let mut counts = vec![0.0; m * n + 1];
        for set in (0..1_u32 << (m + n)).filter(|set| set.count_ones() as usize == m) {
            let pairs = (0..m + n).filter(|i| set >> i & 1 == 1);
            let u: u32 = pairs.map(|i| i as u32 - (set & ((1 << i) - 1)).count_ones()).sum();
            counts[u as usize] += 1.0;
        }
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / all).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn u_is_counted_right(m in 1_usize..7, n in 1_usize..7) {
            let naive = chances_by_counting(m, n);
            let chances = chances_of_u(m, n);
            prop_assert_eq!(naive.len(), chances.len());
            for (naive, chance) in naive.iter().zip(chances) {
                prop_assert!((naive - chance).abs() < 1e-12);
            }
        }

        /// The interval is every shift that the U test does not reject: the test done again for each.
        #[test]
        fn the_interval_is_what_the_test_does_not_reject(
            from in prop::collection::vec(0.0..10.0, 4..7),
            to in prop::collection::vec(0.0..10.0, 4..7),
            by in -10.0..10.0,
        ) {
            let chances = chances_by_counting(from.len(), to.len());
            let above = from.iter().flat_map(|a: &f64| to.iter().map(move |b: &f64| *b - *a));
            let u = above.filter(|difference| *difference > by).count();
            let at_most: f64 = chances[..=u].iter().sum();
            let at_least: f64 = chances[u..].iter().sum();
            let rejected = at_most.min(at_least) <= LEVEL / 2.0 + 1e-12;
            let interval = shift(&from, &to).unwrap().interval.unwrap();
            prop_assert_eq!(!rejected, interval.contains(by), "{:?} {}", interval, by);
        }

        #[test]
        fn the_other_way_round_is_the_negative(
            from in prop::collection::vec(0.0..10.0, 1..9),
            to in prop::collection::vec(0.0..10.0, 1..9),
        ) {
            let (there, back) = (shift(&from, &to).unwrap(), shift(&to, &from).unwrap());
            prop_assert!((there.estimate + back.estimate).abs() < 1e-9);
            if let (Some(there), Some(back)) = (there.interval, back.interval) {
                prop_assert!((there.low + back.high).abs() < 1e-9);
            }
        }
    }
}

//! The experiments of a suite, split among several machines that do not know of each other.

use std::time::Duration;

/// An experiment that is to be in one of the shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'a> {
    /// Unlike any other.
    pub name: &'a str,
    /// The cluster that it runs on; `None`: one that is there already.
    pub cluster: Option<usize>,
    /// How long its runs take.
    pub lasts: Duration,
}

/// The shard of each experiment, from 0: the same for the same experiments in any order.
///
/// Those of one cluster stand side by side, and the row is cut into pieces, so that a cluster is made
/// in two shards only where that makes the longest piece shorter. Of all ways to cut, this is the one
/// whose longest piece is shortest; of those, one with pieces of similar length.
pub(crate) fn split(all: &[Share], shards: usize, to_make_a_cluster: Duration) -> Vec<usize> {
    let first_name = |share: &Share| match share.cluster {
        None => None,
        of => all.iter().filter(|other| other.cluster == of).map(|other| other.name).min(),
    };
    let mut row: Vec<usize> = (0..all.len()).collect();
    row.sort_by_key(|at| (first_name(&all[*at]), all[*at].name));
    let mut of = vec![0; all.len()];
    let mut last = row.len();
    // The others have nothing.
    let shards = shards.min(all.len());
    let cuts = cuts(&row.iter().map(|at| all[*at]).collect::<Vec<_>>(), shards, to_make_a_cluster);
    for (shard, first) in cuts.into_iter().enumerate().rev() {
        row[first..last].iter().for_each(|at| of[*at] = shard);
        last = first;
    }
    of
}

/// How good a way to cut is: the longest piece, and the sum of all squared, in seconds.
type Length = (f64, f64);

/// Where each piece begins.
fn cuts(row: &[Share], shards: usize, to_make_a_cluster: Duration) -> Vec<usize> {
    // For each number of pieces, the best way to cut the first experiments into them: its length, and
    // where its last piece begins.
    let mut best: Vec<Vec<(Length, usize)>> =
        vec![(0..=row.len()).map(|end| (piece(&row[..end], to_make_a_cluster), 0)).collect()];
    for pieces in 1..shards {
        let before = &best[pieces - 1];
        let ending = |end: usize| {
            let ways = (0..=end).rev().map(|first| {
                let (longest, squares) = before[first].0;
                let (length, square) = piece(&row[first..end], to_make_a_cluster);
                ((longest.max(length), squares + square), first)
            });
            ways.min_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)))
        };
        best.push((0..=row.len()).filter_map(ending).collect());
    }
    let mut end = row.len();
    let mut cuts: Vec<usize> = best
        .iter()
        .rev()
        .map(|ways| {
            end = ways[end].1;
            end
        })
        .collect();
    cuts.reverse();
    cuts
}

/// The length of one piece, and its square.
fn piece(shares: &[Share], to_make_a_cluster: Duration) -> Length {
    let is_new =
        |at: &usize| at.checked_sub(1).is_none_or(|one| shares[one].cluster != shares[*at].cluster);
    let clusters = (0..shares.len()).filter(|at| shares[*at].cluster.is_some()).filter(is_new);
    let runs: Duration = shares.iter().map(|share| share.lasts).sum();
    let length = (runs + to_make_a_cluster * clusters.count() as u32).as_secs_f64();
    (length, length * length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Duration = Duration::from_secs(40);

    fn share(name: &'static str, cluster: usize, seconds: u64) -> Share<'static> {
        Share { name, cluster: Some(cluster), lasts: Duration::from_secs(seconds) }
    }

    /// The names in each shard.
    fn shards<'a>(all: &[Share<'a>], shards: usize) -> Vec<Vec<&'a str>> {
        let of = split(all, shards, CLUSTER);
        let names = |shard| {
            let here = all.iter().zip(&of).filter(|(_, of)| **of == shard);
            let mut names: Vec<&str> = here.map(|(share, _)| share.name).collect();
            names.sort_unstable();
            names
        };
        (0..shards).map(names).collect()
    }

    #[test]
    fn the_order_in_which_files_are_found_changes_nothing() {
        let all = [share("b", 0, 30), share("d", 1, 90), share("a", 0, 20), share("c", 2, 70)];
        // Another machine may also number the clusters otherwise.
        let other = [share("c", 0, 70), share("a", 1, 20), share("d", 2, 90), share("b", 1, 30)];
        for number in 1..=6 {
            assert_eq!(shards(&all, number), shards(&other, number), "{number} shards");
        }
    }

    #[test]
    fn every_experiment_is_in_one_shard_and_none_is_empty_that_need_not_be() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let all: Vec<Share> = (0..).zip(names).map(|(at, name)| share(name, at / 3, 30)).collect();
        for number in 1..=10 {
            let found = shards(&all, number);
            let mut found_names = found.concat();
            found_names.sort_unstable();
            assert_eq!(found_names, names);
            let empty = found.iter().filter(|shard| shard.is_empty()).count();
            assert_eq!(empty, number.saturating_sub(all.len()), "{number}: {found:?}");
        }
        assert_eq!(shards(&[], 2), [[""; 0]; 2]);
    }

    #[test]
    fn experiments_of_one_cluster_stay_together_where_that_balances() {
        let apart = [share("a", 0, 60), share("b", 1, 60), share("c", 0, 60), share("d", 1, 60)];
        assert_eq!(shards(&apart, 2), [["a", "c"], ["b", "d"]]);
        // Here one machine would have nearly all.
        let long = [share("a", 0, 600), share("b", 1, 10), share("c", 0, 600)];
        assert_eq!(shards(&long, 2), [vec!["a"], vec!["b", "c"]]);
    }

    #[test]
    fn the_longest_shard_is_as_short_as_it_can_be() {
        let all = [share("a", 0, 100), share("b", 0, 50), share("c", 0, 50), share("d", 0, 100)];
        assert_eq!(shards(&all, 2), [["a", "b"], ["c", "d"]]);
        let with_one_long = [share("a", 0, 20), share("b", 0, 200), share("c", 0, 20)];
        assert_eq!(shards(&with_one_long, 3), [["a"], ["b"], ["c"]]);
        // A cluster that is there already costs nothing.
        let there = |name, seconds| Share { cluster: None, ..share(name, 0, seconds) };
        let all = [there("a", 10), there("b", 10), there("c", 10), there("d", 30)];
        assert_eq!(shards(&all, 2), [vec!["a", "b", "c"], vec!["d"]]);
    }
}

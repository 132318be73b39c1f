//! The order of several runs.
//!
//! Those of a suite, and of `--repeat`, are made in the order of what a cluster has to recover from,
//! and otherwise as they are asked for. A study compares its cells: drift (a machine that gets warm, a neighbour's load) should hit all of them
//! alike, so their order is random. But a cluster is not changed in no time, so it is random in
//! blocks: in each round every cluster is visited once, and on each visit every cell of it gets its
//! share of the repetitions. The order of the clusters in a round, and of the runs in a visit, are
//! drawn from the study's seed: a randomized block design (Fisher, 1926), split by cluster.

use crate::stats::Random;

/// A run that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    /// The cell, from 0.
    pub cell: usize,
    /// From 1.
    pub repetition: u32,
}

/// What a cluster has to recover from after a run, the cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Recovery {
    /// Its workers and its objects.
    Workers,
    /// A part of the control plane that has to start again. The controller manager and the scheduler
    /// wait for their old leases, clients of the API for their next attempt to watch it, and a
    /// kubelet waits longer each time before it starts a container again that has ended.
    ControlPlane,
    /// The same, and all objects come back from another state.
    EtcdData,
}

/// All runs of a cell, then those of the next. The cells of one cluster follow the first of them:
/// those first after which it recovers soon, so that few runs come after a slow recovery; those of
/// equal recovery as they are asked for.
pub(crate) fn in_turn(clusters: &[usize], recoveries: &[Recovery], repeat: u32) -> Vec<Slot> {
    let runs = |cell| (1..=repeat).map(move |repetition| Slot { cell, repetition });
    let mut all: Vec<Slot> = (0..clusters.len()).flat_map(runs).collect();
    all.sort_by_key(|slot| (clusters[slot.cell], recoveries[slot.cell]));
    all
}

/// The seed of a run that is made again: what the first choice has met, another may not.
pub(crate) fn seed_of_retry(seed: u64, retries: u32) -> u64 {
    Random::new(seed.wrapping_add(u64::from(retries) << 32)).draw() >> 32
}

/// What a random order is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// The settings of each cell: what has to be changed between two runs that differ in it.
    pub clusters: &'a [usize],
    /// The kind cluster that runs with each of those settings. One whose settings are changed in place
    /// is left once a round.
    pub hosts: &'a [usize],
    /// How often each cell is run.
    pub repeat: u32,
    /// At most as many as repetitions.
    pub rounds: u32,
    pub seed: u64,
}

impl Plan<'_> {
    /// All runs in their order: the same for the same seed.
    pub(crate) fn order(self) -> Vec<Slot> {
        let mut chance = Random::new(self.seed);
        let mut all = Vec::new();
        let share = |round: u32| {
            (u64::from(round) * u64::from(self.repeat) / u64::from(self.rounds)) as u32
        };
        for round in 0..self.rounds {
            for cluster in self.visits(&mut chance) {
                let cells = (0..self.clusters.len()).filter(|cell| self.clusters[*cell] == cluster);
                let slots = cells.flat_map(|cell| {
                    (share(round)..share(round + 1))
                        .map(move |before| Slot { cell, repetition: before + 1 })
                });
                let mut slots: Vec<Slot> = slots.collect();
                shuffle(&mut slots, &mut chance);
                all.extend(slots);
            }
        }
        all
    }

    fn visits(&self, chance: &mut Random) -> Vec<usize> {
        let mut clusters = self.clusters.to_vec();
        clusters.sort_unstable();
        clusters.dedup();
        shuffle(&mut clusters, chance);
        let order = clusters.clone();
        let host_of = |cluster: &usize| self.hosts[*cluster];
        clusters.sort_by_key(|one| order.iter().position(|it| host_of(it) == host_of(one)));
        clusters
    }

    /// The seed of a run, and with it its phase. An attempt that takes the place of one that was
    /// interrupted has another.
    pub(crate) fn run_seed(self, slot: Slot, attempt: u32) -> u64 {
        let place =
            (slot.cell as u64) << 40 | u64::from(slot.repetition) << 16 | u64::from(attempt);
        Random::new(self.seed ^ Random::new(place).draw()).draw() >> 32
    }
}

/// Fisher-Yates.
fn shuffle<T>(items: &mut [T], chance: &mut Random) {
    for last in (1..items.len()).rev() {
        items.swap(last, chance.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(repeat: u32, rounds: u32, seed: u64) -> Plan<'static> {
        Plan { clusters: &[0, 0, 1, 1, 2], hosts: &[0, 1, 2], repeat, rounds, seed }
    }

    #[test]
    fn every_run_is_there_once_whatever_the_rounds() {
        for rounds in 1..=7 {
            let mut all = plan(7, rounds, 3).order();
            all.sort_unstable();
            let wanted: Vec<Slot> = (0..5)
                .flat_map(|cell| (1..=7).map(move |repetition| Slot { cell, repetition }))
                .collect();
            assert_eq!(all, wanted, "{rounds} rounds");
        }
    }

    #[test]
    fn those_of_one_cluster_follow_each_other() {
        let slot = |cell, repetition| Slot { cell, repetition };
        let all = [slot(0, 1), slot(0, 2), slot(2, 1), slot(2, 2), slot(1, 1), slot(1, 2)];
        assert_eq!(in_turn(&[0, 1, 0], &[Recovery::Workers; 3], 2), all);
    }

    #[test]
    fn slow_recoveries_come_last_on_their_cluster() {
        use Recovery::{ControlPlane, EtcdData, Workers};
        let recoveries = [EtcdData, ControlPlane, Workers, ControlPlane, Workers];
        let cells = |clusters: &[usize]| {
            let order = in_turn(clusters, &recoveries, 1);
            order.into_iter().map(|slot| slot.cell).collect::<Vec<_>>()
        };
        assert_eq!(cells(&[0; 5]), [2, 4, 1, 3, 0]);
        assert_eq!(cells(&[0, 1, 0, 1, 1]), [2, 0, 4, 1, 3]);
    }

    #[test]
    fn the_order_is_that_of_the_seed() {
        assert_eq!(plan(10, 10, 1).order(), plan(10, 10, 1).order());
        assert_ne!(plan(10, 10, 1).order(), plan(10, 10, 2).order());
        let seed = |cell, repetition, attempt| {
            plan(10, 10, 1).run_seed(Slot { cell, repetition }, attempt)
        };
        let seeds = [seed(0, 1, 0), seed(0, 1, 1), seed(0, 2, 0), seed(1, 1, 0)];
        assert!(seeds.iter().all(|one| seeds.iter().filter(|other| one == *other).count() == 1));
    }

    #[test]
    fn a_cluster_is_visited_once_a_round() {
        for rounds in [1, 2, 5] {
            let plan = plan(10, rounds, 4);
            let clusters: Vec<usize> =
                plan.order().iter().map(|slot| plan.clusters[slot.cell]).collect();
            let per_round = clusters.len() / rounds as usize;
            for round in clusters.chunks(per_round) {
                let mut visits = round.to_vec();
                visits.dedup();
                assert_eq!(visits.len(), 3, "{round:?}");
            }
        }
    }

    #[test]
    fn a_cluster_whose_settings_change_is_left_once_a_round() {
        let plan =
            Plan { clusters: &[0, 1, 2], hosts: &[0, 1, 0], repeat: 20, rounds: 20, seed: 4 };
        for round in plan.order().chunks(3) {
            let mut hosts: Vec<usize> = round.iter().map(|slot| plan.hosts[slot.cell]).collect();
            hosts.dedup();
            assert_eq!(hosts.len(), 2, "{round:?}");
        }
    }

    /// Each cell is as often early as late in its visits.
    #[test]
    fn the_order_within_a_visit_is_random() {
        let first = (0..400)
            .filter(|seed| {
                let plan =
                    Plan { clusters: &[0, 0], hosts: &[0], repeat: 1, rounds: 1, seed: *seed };
                plan.order()[0].cell == 0
            })
            .count();
        assert!((150..=250).contains(&first), "{first}");
    }
}

//! `--shard`: one machine's part of the experiments. It depends on the experiments and `--repeat`
//! alone, so that each machine splits them in the same way.

use std::time::Duration;

use super::env::Env;
use super::output::complain_lines;
use crate::experiment::Parsed;
use crate::plan::RunLength;
use crate::report::hang;
use crate::series::shard::{Share, split};
use crate::stats::Seconds;
use crate::timeline::{Shard, counted};

/// How long it takes to create and delete a cluster of three nodes (docs/studies.md).
pub(super) const CLUSTER: Duration = Duration::from_secs(43);

/// The experiments of this shard, in their order; all where there is none. Says which ones they are.
pub(super) fn members(
    all: Vec<Parsed>,
    shard: Option<Shard>,
    repeat: u32,
    env: &Env,
) -> Vec<Parsed> {
    let Some(shard) = shard else { return all };
    let shares = shares(&all, repeat, true);
    let of = split(&shares, shard.of as usize, CLUSTER);
    let (total, mine) = (all.len(), shard.number as usize - 1);
    let is_mine = |at: &usize| of[*at] == mine;
    let here: Vec<Share> = (0..total).filter(is_mine).map(|at| shares[at]).collect();
    complain_lines(&hang("", &summary(shard, total, &here), env.stderr.width));
    all.into_iter().zip(of).filter(|(_, of)| *of == mine).map(|(parsed, _)| parsed).collect()
}

/// The experiments as they are split. `creates`: whether clusters are created for their kind configs.
pub(super) fn shares(all: &[Parsed], repeat: u32, creates: bool) -> Vec<Share<'_>> {
    let configs: Vec<_> = all.iter().map(|parsed| parsed.kind_config.as_ref()).collect();
    let cluster = |config| configs.iter().position(|one| *one == Some(config));
    all.iter()
        .zip(&configs)
        .map(|(parsed, config)| Share {
            name: &parsed.experiment.name,
            cluster: config.filter(|_| creates).and_then(cluster),
            lasts: RunLength::of(&parsed.experiment).at_least * repeat,
        })
        .collect()
}

/// `at least 1m10s: a, b`
pub(super) fn lasts_and_names<'a>(shares: impl Iterator<Item = &'a Share<'a>> + Clone) -> String {
    let lasts: Duration = shares.clone().map(|share| share.lasts).sum();
    let lasts = Seconds::from(lasts).rounded().to_minutes();
    let names = shares.map(|share| share.name).collect::<Vec<_>>().join(", ");
    format!("at least {lasts}: {names}")
}

/// `shard 2/3: 2 of 5 experiments, on 1 kind config, at least 1m10s: a, b`
fn summary(shard: Shard, total: usize, here: &[Share]) -> String {
    let total = counted(total, "experiment");
    if here.is_empty() {
        return format!("shard {shard} is empty ({total} in all): nothing to run");
    }
    let mut clusters: Vec<_> = here.iter().filter_map(|share| share.cluster).collect();
    clusters.sort_unstable();
    clusters.dedup();
    let clusters = match clusters.len() {
        0 => String::new(),
        some => format!(", on {}", counted(some, "kind config")),
    };
    let list = lasts_and_names(here.iter());
    format!("shard {shard}: {} of {total}{clusters}, {list}", here.len())
}

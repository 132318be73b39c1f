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
const CLUSTER: Duration = Duration::from_secs(43);

/// The experiments of this shard, in their order; all where there is none. Says which ones they are.
pub(super) fn members(
    all: Vec<Parsed>,
    shard: Option<Shard>,
    repeat: u32,
    env: &Env,
) -> Vec<Parsed> {
    let Some(shard) = shard else { return all };
    let configs: Vec<_> = all.iter().map(|parsed| parsed.kind_config.as_ref()).collect();
    let shares: Vec<Share> = all
        .iter()
        .zip(&configs)
        .map(|(parsed, config)| Share {
            name: &parsed.experiment.name,
            cluster: config.and_then(|_| configs.iter().position(|one| one == config)),
            lasts: RunLength::of(&parsed.experiment).at_least * repeat,
        })
        .collect();
    let of = split(&shares, shard.of as usize, CLUSTER);
    let (total, mine) = (all.len(), shard.number as usize - 1);
    let is_mine = |at: &usize| of[*at] == mine;
    let here: Vec<Share> = (0..total).filter(is_mine).map(|at| shares[at]).collect();
    complain_lines(&hang("", &summary(shard, total, &here), env.stderr.width));
    all.into_iter().zip(of).filter(|(_, of)| *of == mine).map(|(parsed, _)| parsed).collect()
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
    let lasts: Duration = here.iter().map(|share| share.lasts).sum();
    let lasts = Seconds::from(lasts).rounded().to_minutes();
    let names = here.iter().map(|share| share.name).collect::<Vec<_>>().join(", ");
    format!("shard {shard}: {} of {total}{clusters}, at least {lasts}: {names}", here.len())
}

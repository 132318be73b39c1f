//! `--parallel N`: the experiments of a suite in queues that are carried out at the same time, each on
//! clusters of its own. Where several queues need the cluster of one kind config, all but one have an
//! equal cluster with another name.

use std::thread::available_parallelism;

use super::args::Run;
use super::env::Env;
use super::failure::Failure;
use super::load;
use super::output::complain_lines;
use super::shard::{CLUSTER, lasts_and_names, shares};
use crate::experiment::Parsed;
use crate::kind_config::KindConfig;
use crate::report::hang;
use crate::series::shard::split;
use crate::timeline::{Shard, counted};
use crate::yaml::Diagnostics;

/// The memory of a kind cluster of three nodes, in KiB: 0.7 GiB were measured when it was idle.
const MEMORY: u64 = 1 << 20;

/// The experiments of each queue, by their places. Those that run on a cluster with another name get
/// its kind config. Refused where two would use one cluster at the same time.
pub(super) fn queues(
    args: &Run,
    all: &mut [Parsed],
    env: &Env,
) -> Result<Vec<Vec<usize>>, Failure> {
    let is_embedded = args.execution.is_embedded();
    let mut most = args.parallel as usize;
    if most > 1 {
        refuse(args, all)?;
    }
    if most > 1 && !is_embedded {
        let (clusters, why) = most_clusters();
        if clusters < most {
            let note = format!("--parallel {most} is reduced to {clusters}: {why}");
            complain_lines(&hang("note: ", &note, env.stderr.width));
            most = clusters;
        }
    }
    let queues = split_in(most, all, args.repeat, is_embedded)
        .map_err(|problems| load::unusable(&problems, env))?;
    if queues.len() > 1 {
        let shares = shares(all, args.repeat, false);
        for (number, queue) in (1..).zip(&queues) {
            let id = Shard { number, of: queues.len() as u32 };
            let on = match is_embedded {
                true => String::new(),
                false => format!(", on {}", clusters(all, queue).join(", ")),
            };
            let count = counted(queue.len(), "experiment");
            let list = lasts_and_names(queue.iter().map(|at| &shares[*at]));
            let line = format!("queue {id}: {count}{on}, {list}");
            complain_lines(&hang("", &line, env.stderr.width));
        }
    }
    Ok(queues)
}

/// At most so many queues of similar length.
fn split_in(
    most: usize,
    all: &mut [Parsed],
    repeat: u32,
    is_embedded: bool,
) -> Result<Vec<Vec<usize>>, Diagnostics> {
    if most == 1 {
        return Ok(vec![(0..all.len()).collect()]);
    }
    let mut of = split(&shares(all, repeat, !is_embedded), most, CLUSTER);
    let own_name: Vec<bool> = all.iter().map(|one| !is_embedded && needs_own_name(one)).collect();
    keep_together(all, &own_name, &mut of);
    let queues = (0..most).map(|queue| (0..all.len()).filter(|at| of[*at] == queue).collect());
    let queues: Vec<Vec<usize>> = queues.filter(|queue: &Vec<_>| !queue.is_empty()).collect();
    if !is_embedded {
        rename(all, &own_name, &queues)?;
    }
    Ok(queues)
}

fn refuse(args: &Run, all: &[Parsed]) -> Result<(), Failure> {
    if args.watch {
        return Err(Failure::usage("--watch draws one run, and --parallel runs several")
            .hint("remove one of them; without --watch, each line names its experiment"));
    }
    let is_there =
        |parsed: &&Parsed| args.execution.access.context.is_some() || parsed.kind_config.is_none();
    match all.iter().find(is_there).filter(|_| !args.execution.is_embedded()) {
        None => Ok(()),
        Some(parsed) => Err(Failure::usage(format!(
            "--parallel needs a cluster for each run, but {} uses an existing one: two faults in it \
             would disturb each other",
            parsed.experiment.name
        ))
        .hint(
            "remove --parallel, or run experiments with a kind config without --context; \
             `--cluster embedded` needs no cluster",
        )),
    }
}

/// How many kind clusters this machine can run at the same time, and why not more.
fn most_clusters() -> (usize, String) {
    let cores = available_parallelism().map_or(1, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let in_memory = memory.map_or(usize::MAX, |free| (free / MEMORY).max(1) as usize);
    let why = match in_memory < cores {
        true => "less memory is available than 1 GiB for each cluster".to_owned(),
        false => format!("this machine has {}, one for each cluster", counted(cores, "core")),
    };
    (cores.min(in_memory), why)
}

/// The available memory in KiB, in Linux's words.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Puts the experiments of a kind config into one queue that can only run on the cluster of its own
/// name.
fn keep_together(all: &[Parsed], own_name: &[bool], of: &mut [usize]) {
    for at in (0..all.len()).filter(|at| own_name[*at]) {
        let is_like = |one: &usize| own_name[*one] && all[*one].kind_config == all[at].kind_config;
        let first = (0..=at).find(is_like).expect("it is like itself");
        of[at] = of[first];
    }
}

/// Whether an experiment can't run on an equal cluster with another name: it names a node, or two such
/// clusters would need the same port of this machine.
fn needs_own_name(parsed: &Parsed) -> bool {
    let Some(config) = &parsed.kind_config else { return true };
    let experiment = serde_json::to_string(&parsed.experiment).expect("is plain data");
    let objects = parsed.workload.objects().iter().map(|object| object.json().to_string());
    let texts: Vec<String> = objects.chain([experiment]).collect();
    let names = |name: &str| texts.iter().any(|text| text.contains(name));
    config.has_fixed_ports() || config.nodes.iter().any(|node| names(&node.name))
}

/// Gives all queues but one another cluster name for each kind config that several use.
fn rename(all: &mut [Parsed], own_name: &[bool], queues: &[Vec<usize>]) -> Result<(), Diagnostics> {
    let mut configs: Vec<KindConfig> = Vec::new();
    for config in all.iter().filter_map(|parsed| parsed.kind_config.as_ref()) {
        if !configs.contains(config) {
            configs.push(config.clone());
        }
    }
    let mut taken: Vec<String> = configs.iter().map(|config| config.name.clone()).collect();
    for config in &configs {
        let has_it = |at: &usize| all[*at].kind_config.as_ref() == Some(config);
        let keeps_name = |queue: &&Vec<usize>| queue.iter().any(|at| has_it(at) && own_name[*at]);
        let mut users: Vec<&Vec<usize>> =
            queues.iter().filter(|queue| queue.iter().any(has_it)).collect();
        users.sort_by_key(|queue| !keeps_name(queue));
        let others: Vec<Vec<usize>> = users
            .into_iter()
            .skip(1)
            .map(|queue| queue.iter().copied().filter(has_it).collect())
            .collect();
        for queue in others {
            let mut names = (2..).map(|number| format!("{}-{number}", config.name));
            let name = names.find(|name| !taken.contains(name)).expect("there is always another");
            let renamed = config.renamed(&name)?;
            queue.into_iter().for_each(|at| all[at].kind_config = Some(renamed.clone()));
            taken.push(name);
        }
    }
    Ok(())
}

/// The clusters of a queue, each once.
fn clusters<'a>(all: &'a [Parsed], queue: &[usize]) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        queue.iter().filter_map(|at| Some(all[*at].kind_config.as_ref()?.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::tests::run;
    use crate::cli::load::{Setting, checked};
    use crate::experiment;

    fn loaded(names: &[&str]) -> Vec<Parsed> {
        let all = names.iter().flat_map(|name| experiment::load_all(name).unwrap());
        all.flat_map(|source| checked(source, Setting::OWN).unwrap()).collect()
    }

    /// The experiments of each queue and the clusters that they run on.
    fn split(all: &mut [Parsed], most: usize) -> Vec<(Vec<usize>, Vec<&str>)> {
        let queues = split_in(most, all, 10, false).unwrap();
        queues.into_iter().map(|queue| (queue.clone(), clusters(all, &queue))).collect()
    }

    const OF_ONE_CONFIG: [&str; 3] = ["node-pause", "kubelet-stop", "node-kill"];

    #[test]
    fn a_queue_has_clusters_that_no_other_has() {
        let mut all = loaded(&OF_ONE_CONFIG);
        assert_eq!(split(&mut all, 1), [(vec![0, 1, 2], vec!["fast-detection"])]);
        let names: Vec<_> = split(&mut all, 5).into_iter().map(|(_, clusters)| clusters).collect();
        assert_eq!(names, [["fast-detection"], ["fast-detection-2"], ["fast-detection-3"]]);
        let nodes = |parsed: &Parsed| parsed.kind_config.as_ref().unwrap().nodes[1].name.clone();
        let mut nodes: Vec<_> = all.iter().map(nodes).collect();
        nodes.sort();
        assert_eq!(nodes, ["-2-", "-3-", "-"].map(|more| format!("fast-detection{more}worker")));
    }

    #[test]
    fn experiments_that_name_a_node_of_a_cluster_share_that_cluster() {
        let mut all = loaded(&OF_ONE_CONFIG);
        for at in [1, 2] {
            all[at].experiment.question = Some("Is fast-detection-worker Ready?".into());
        }
        let mut queues = split(&mut all, 3);
        queues.sort();
        assert_eq!(
            queues,
            [(vec![0], vec!["fast-detection-2"]), (vec![1, 2], vec!["fast-detection"])]
        );
    }

    #[test]
    fn an_existing_cluster_is_not_for_several_runs_at_the_same_time() {
        let all = loaded(&OF_ONE_CONFIG);
        let refused = |typed: &[&str]| {
            let typed = [&["run", "node-pause", "--parallel", "2"], typed].concat();
            refuse(&run(&typed), &all).map_err(|failure| failure.text())
        };
        assert_eq!(refused(&[]), Ok(()));
        assert_eq!(refused(&["--cluster", "embedded"]), Ok(()));
        let text = refused(&["--context", "prod"]).unwrap_err();
        assert!(text.contains("node-pause uses an existing one"), "{text}");
        assert!(refused(&["--watch"]).unwrap_err().contains("--watch draws one run"));
    }

    #[test]
    fn memory_is_read_in_linuxs_words() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   23592960 kB\n"), Some(23592960));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
    }
}

//! Judgements of what a cluster is, before an experiment runs in it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use super::{Check, Finding};
use crate::experiment::Experiment;
use crate::model::traps_of_tuning;
use crate::plan::Node;
use crate::timeline::{ClusterFacts, NodeRole, Tuning, counted, few, minor_version};

/// The versions that this program supports. Not all were run: `cluster/testdata/README.md`.
const SUPPORTED: std::ops::RangeInclusive<u32> = 31..=36;

/// The oldest and the newest of them: `1.31` and `1.36`.
pub(crate) fn supported() -> [String; 2] {
    [SUPPORTED.start(), SUPPORTED.end()].map(|minor| format!("1.{minor}"))
}
/// Of an attempt in the timeline's folder, with room for the events.
const BYTES_OF_ATTEMPT: f64 = 32.0;
/// What a run writes besides its attempts.
const BYTES_OF_RUN: f64 = 16.0 * MEBIBYTE;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(crate) fn version(kubernetes: &str) -> Finding {
    let (oldest, newest) = (SUPPORTED.start(), SUPPORTED.end());
    let than = |word: &str, supported: &u32| {
        Finding::warning(
            Check::Version,
            format!("Kubernetes {kubernetes} is {word} than the supported versions (1.{oldest} to 1.{newest})"),
        )
        .hint(format!("results may be wrong where 1.{supported} behaves differently"))
    };
    match minor_version(kubernetes) {
        None => Finding::warning(
            Check::Version,
            format!("cannot parse the API server's version {kubernetes:?}"),
        ),
        Some(minor) if minor < *oldest => than("older", oldest),
        Some(minor) if minor > *newest => than("newer", newest),
        Some(_) => Finding::ok(Check::Version, format!("Kubernetes {kubernetes}")),
    }
}

/// Nodes that are not Ready.
pub(crate) fn nodes(nodes: &[Node]) -> Finding {
    let unready: Vec<&str> =
        nodes.iter().filter(|node| !node.ready).map(|node| node.name.as_str()).collect();
    if unready.is_empty() {
        return Finding::ok(Check::Nodes, format!("{} Ready", counted(nodes.len(), "node")));
    }
    let text = format!("{} not Ready: {}", counted(unready.len(), "node"), few(&unready));
    Finding::warning(Check::Nodes, text)
        .hint(format!("`kubectl describe node {}` shows why", unready[0]))
}

/// How many members etcd can lose, by the control-plane nodes: as kubeadm and kind have it.
pub(crate) fn quorum(nodes: &[Node]) -> Option<Finding> {
    let members: Vec<&Node> =
        nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).collect();
    let (count, ready) = (members.len(), members.iter().filter(|node| node.ready).count());
    let spare = ready.checked_sub(count / 2 + 1);
    let planes = counted(count, "control-plane node");
    Some(match (count, spare) {
        (0, _) => return None,
        (1, Some(_)) => Finding::ok(Check::Quorum, "one control-plane node: no redundancy"),
        (_, None) => Finding::error(
            Check::Quorum,
            format!("only {ready} of {planes} are Ready: etcd has no quorum"),
        )
        .hint("`kubectl get nodes -l node-role.kubernetes.io/control-plane` shows which are not Ready"),
        (_, Some(0)) => Finding::warning(
            Check::Quorum,
            format!("{ready} of {planes} are Ready: etcd cannot lose another member"),
        ),
        (_, Some(spare)) => {
            Finding::ok(Check::Quorum, format!("etcd can lose {spare} of {planes}"))
        }
    })
}

/// What of the settings makes healthy nodes NotReady, or detection late.
pub(crate) fn heartbeats(facts: &ClusterFacts) -> Vec<Finding> {
    let servers =
        facts.nodes.iter().filter(|node| node.role == NodeRole::ControlPlane).count() as u32;
    let traps = traps_of_tuning(&facts.tuning, &facts.kubernetes, servers);
    let found: Vec<Finding> = traps
        .into_iter()
        .map(|trap| {
            let text = format!("{}: {} [{}]", trap.text, trap.why, trap.name);
            let finding = match trap.certain {
                true => Finding::warning(Check::Heartbeats, text),
                false => Finding::note(Check::Heartbeats, text),
            };
            finding.hint(trap.hint)
        })
        .collect();
    if facts.tuning.is_partly_unknown() {
        let text = "not checked: the grace period is unknown";
        return vec![Finding::note(Check::Heartbeats, text)];
    }
    match found.is_empty() {
        true => vec![Finding::ok(Check::Heartbeats, "shorter than the grace period")],
        false => found,
    }
}

/// A heartbeat that is younger than this by its node's clock was sent by a clock that is ahead.
const AHEAD: SignedDuration = SignedDuration::from_millis(-500);
/// The age of a heartbeat from which its node is late, or its clock behind: the lease's duration.
const LATE: SignedDuration = SignedDuration::from_secs(40);

/// What heartbeats say of the clocks of their nodes.
pub(crate) fn clocks(ages: &BTreeMap<String, SignedDuration>) -> Finding {
    const EXACT: &str = "`timedatectl` on the node shows whether its clock is synchronized; \
         `kubectl describe leases -n kube-node-lease` shows each Renew Time";
    let wrong = ages.iter().filter_map(|(node, age)| {
        let off = format!("{:.1}s", age.abs().as_secs_f64());
        match age {
            _ if *age < AHEAD => Some(format!("the clock of {node} is at least {off} ahead")),
            _ if *age > LATE => {
                Some(format!("{node} sent no heartbeat for {off} (or its clock is behind)"))
            }
            _ => None,
        }
    });
    let wrong: Vec<String> = wrong.collect();
    if !wrong.is_empty() {
        return Finding::warning(Check::Clocks, few(wrong)).hint(EXACT);
    }
    let oldest = ages.values().max().map_or(0.0, SignedDuration::as_secs_f64);
    Finding::ok(Check::Clocks, format!("none is ahead; the oldest heartbeat is {oldest:.1}s old"))
}

/// Whether the cluster has the settings that an experiment's claims are about.
pub(crate) fn claims(claimed: &Tuning, facts: &ClusterFacts) -> Option<Finding> {
    let other = facts.other_settings(claimed)?;
    let text = format!("the experiment's claims do not apply here, and stay open: {other}");
    Some(Finding::warning(Check::Settings, text).hint(
        "claims are decided on the kind cluster that the experiment names: run it without --context",
    ))
}

/// Room for a run in its folder. `free` and `longest`: bytes, and the longest duration of the run.
pub(crate) fn disk(experiment: Option<&Experiment>, longest: Duration, free: u64) -> Finding {
    let per_second: f64 = experiment.iter().flat_map(|it| &it.probes).map(|probe| probe.rate).sum();
    let needed = BYTES_OF_RUN + per_second * BYTES_OF_ATTEMPT * longest.as_secs_f64();
    let (free, needed) = (free as f64 / MEBIBYTE, needed / MEBIBYTE);
    let text = format!("{free:.0} MiB free for runs, {needed:.0} MiB needed at most");
    match free < needed {
        true => Finding::error(Check::Disk, text)
            .hint("free some space, or choose another directory with --runs-dir"),
        false => Finding::ok(Check::Disk, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::Level;
    use crate::timeline::ClusterKind;

    #[test]
    fn heartbeats_show_clocks_that_are_ahead_or_late() {
        let found = |ages: &[(&str, i64)]| {
            let age =
                |(node, ms): &(&str, i64)| (node.to_string(), SignedDuration::from_millis(*ms));
            clocks(&ages.iter().map(age).collect())
        };
        let fine = found(&[("a", 9_800), ("b", -100)]);
        assert_eq!(fine.message, "none is ahead; the oldest heartbeat is 9.8s old");
        let wrong = found(&[("a", 90_000), ("b", -3_000)]);
        assert_eq!(wrong.level, Level::Warning);
        assert_eq!(
            wrong.message,
            "a sent no heartbeat for 90.0s (or its clock is behind), the clock of b is at least 3.0s ahead"
        );
    }

    #[test]
    fn claims_about_other_settings_are_warned_of() {
        let facts = |tuning| ClusterFacts {
            kind: ClusterKind::Context,
            name: "prod".into(),
            kubernetes: "v1.34.4".into(),
            engine: None,
            nodes: Vec::new(),
            tuning,
            tolerations: Default::default(),
            context: None,
        };
        let defaults = Tuning::defaults("v1.34.4");
        let fast =
            Tuning { node_monitor_grace_period: Some(Duration::from_secs(4)), ..Tuning::default() };
        let found = claims(&fast, &facts(defaults)).unwrap();
        assert!(
            found.message.ends_with("this cluster's node-monitor-grace-period is 50s, not 4s"),
            "{found:?}"
        );
        assert_eq!(claims(&Tuning::default(), &facts(defaults)), None, "both are the defaults");
        let own = Tuning { node_monitor_grace_period: fast.node_monitor_grace_period, ..defaults };
        assert_eq!(claims(&fast, &facts(own)), None);
    }
}

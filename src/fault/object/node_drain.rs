//! A node is cordoned and its pods are evicted, as `kubectl drain` does it; then it is uncordoned.
//! Pods are not brought back: they are where Kubernetes has put them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::node::{NodeChange, Words};
use super::{AWAY, LOOK, ObjectContext, ObjectFault, write};
use crate::cluster::{Cluster, ClusterError, Evicted, Eviction, MarkedNode, Obstacles, PodOnNode};
use crate::experiment::{DrainOptions, Fault};
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, counted, few, format_duration};

/// A node is cordoned, and pods on it are evicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeDrain {
    pub node: String,
    /// The namespaces whose pods are evicted.
    pub namespaces: Vec<String>,
    #[serde(default)]
    pub options: DrainOptions,
}

/// The pods that would not be evicted now, by the reason: one PodDisruptionBudget may keep many.
#[derive(Default)]
struct Kept(Vec<(String, Vec<String>)>);

impl Kept {
    fn add(&mut self, why: String, pod: String) {
        match self.0.iter_mut().find(|(known, _)| *known == why) {
            Some((_, pods)) => pods.push(pod),
            None => self.0.push((why, vec![pod])),
        }
    }

    fn lines(&self, timeout: Duration) -> impl Iterator<Item = String> {
        let timeout = format_duration(timeout);
        self.0.iter().map(move |(why, pods)| {
            let pods = few(pods);
            format!(
                "{why}, so {pods} would not be evicted now; a run retries for {timeout} (`timeout`)"
            )
        })
    }
}

impl ObjectFault for NodeDrain {
    const UNDO_TIMEOUT: Duration = AWAY;
    const RUNS_EMBEDDED: bool = true;

    fn injection_timeout(fault: &Fault) -> Duration {
        options(fault).timeout
    }

    fn plan_on_node(fault: &Fault, node: &str, namespaces: &[String]) -> Option<Self> {
        let options = options(fault);
        Some(Self { node: node.to_owned(), namespaces: namespaces.to_vec(), options })
    }

    async fn outlook(&self, cluster: &Cluster) -> Result<Vec<String>, FaultError> {
        self.fit(cluster).await?;
        // The run's own namespace does not exist yet.
        if self.namespaces.is_empty() {
            return Ok(Vec::new());
        }
        let (pods, of) = (self.pods(cluster).await?, self.namespaces.join(", "));
        let (count, names) = (counted(pods.len(), "pod"), listed(&pods));
        let mut lines = vec![match pods.is_empty() {
            true => format!("no pods to evict on {} now (namespaces: {of})", self.node),
            false => {
                format!("would evict {count} on {} now (namespaces: {of}): {names}", self.node)
            }
        }];
        let mut kept = Kept::default();
        for pod in &pods {
            if let Evicted::NotNow(refusal) = cluster.evict(pod, self.eviction(true)).await? {
                kept.add(cluster.explain(&refusal).await, pod.to_string());
            }
        }
        lines.extend(kept.lines(self.options.timeout));
        Ok(lines)
    }

    fn target(&self) -> &str {
        &self.node
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let (seen, pods) = (self.fit(context.cluster).await?, self.pods(context.cluster).await?);
        let (pods, of) = (counted(pods.len(), "pod"), self.namespaces.join(", "));
        context.report(FaultPhase::Requested, format!("cordon it and evict {pods} in {of}"));
        let cordon =
            async |seen: &MarkedNode| self.change(context.cluster, seen, Some(context.mark)).await;
        write(seen, async || self.fit(context.cluster).await, cordon).await?;
        context.report(FaultPhase::Returned, "the node is cordoned");
        let evicted = self.evict(context).await?;
        context.report(FaultPhase::Confirmed, evicted);
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        self.change_back(context).await
    }

    fn describe(&self) -> String {
        format!("uncordon node {}", self.node)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        Some(format!("{kubectl} uncordon {}", self.node))
    }
}

impl NodeChange for NodeDrain {
    const WORDS: Words = Words {
        verb: "drain",
        already: "it is already cordoned",
        other_run: "has cordoned",
        unmarked: "it was not cordoned, or is already uncordoned",
        undone: "the node is uncordoned",
    };

    fn node(&self) -> &str {
        &self.node
    }

    fn is_changed(&self, seen: &MarkedNode) -> bool {
        seen.cordoned
    }

    async fn change(
        &self,
        cluster: &Cluster,
        seen: &MarkedNode,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        cluster.cordon(&self.node, seen, mark).await
    }
}

impl NodeDrain {
    /// Asks every pod to leave until none is left that stays. Says what became of them.
    async fn evict(&self, context: &mut ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let (begun, timeout) = (Instant::now(), self.options.timeout);
        let (mut left, mut refused) = (BTreeSet::new(), BTreeMap::new());
        let mut waited_for = BTreeSet::new();
        loop {
            let staying = self.pods(context.cluster).await?;
            refused.retain(|uid, _| staying.iter().any(|pod| pod.uid == *uid));
            for pod in &staying {
                match context.cluster.evict(pod, self.eviction(false)).await? {
                    Evicted::Leaves => {
                        refused.remove(&pod.uid);
                        left.insert(pod.uid.clone());
                    }
                    Evicted::NotNow(refusal) => {
                        // The same budget refuses each of its pods, with other numbers.
                        if waited_for.insert(refusal.to_string()) {
                            let why = context.cluster.explain(&refusal).await;
                            let until = timeout.saturating_sub(begun.elapsed());
                            context.report(FaultPhase::Waits, self.waiting(pod, &why, until));
                        }
                        refused.insert(pod.uid.clone(), refusal);
                    }
                }
            }
            if staying.is_empty() {
                let gone = format!("gone or terminating: {}", counted(left.len(), "pod"));
                return Ok(match waited_for.is_empty() {
                    true => gone,
                    false => {
                        let length = format_duration(whole(begun.elapsed()));
                        format!("{gone}; waited {length} for {}", few(waited_for))
                    }
                });
            }
            if begun.elapsed() > timeout {
                let mut why = BTreeMap::new();
                for refusal in refused.values() {
                    if !why.contains_key(refusal) {
                        why.insert(refusal, context.cluster.explain(refusal).await);
                    }
                }
                let names: Vec<String> = staying
                    .iter()
                    .map(|pod| match refused.get(&pod.uid) {
                        Some(refusal) => format!("{pod} ({})", why[refusal]),
                        None => pod.to_string(),
                    })
                    .collect();
                let (names, timeout) = (few(names), format_duration(timeout));
                return Err(self.unfit(format!("not evicted within {timeout}: {names}")));
            }
            sleep(LOOK).await;
        }
    }

    fn waiting(&self, pod: &PodOnNode, why: &str, until: Duration) -> String {
        let (left, timeout) =
            (format_duration(whole(until)), format_duration(self.options.timeout));
        format!(
            "{why}, so {pod} is not evicted; retrying for another {left} (`timeout` is {timeout})"
        )
    }

    fn eviction(&self, dry_run: bool) -> Eviction {
        Eviction { grace_period: self.options.grace_period, dry_run }
    }

    /// The pods that are to be evicted. Errors where one is there that the options do not allow to
    /// be.
    async fn pods(&self, cluster: &Cluster) -> Result<Vec<PodOnNode>, FaultError> {
        let mut all = Vec::new();
        for namespace in &self.namespaces {
            all.extend(cluster.pods_on(&self.node, Some(namespace)).await?);
        }
        for pod in &all {
            if let Some(why) = refusal(pod.obstacles, &self.options) {
                return Err(self.unfit(format!("pod {pod} {why}")));
            }
        }
        all.retain(|pod| !pod.obstacles.is_daemon);
        Ok(all)
    }
}

/// Why the options do not allow a pod to be evicted.
fn refusal(of: Obstacles, options: &DrainOptions) -> Option<&'static str> {
    if of.is_daemon && !options.ignore_daemon_sets {
        Some("belongs to a DaemonSet (`ignoreDaemonSets` is false)")
    } else if of.is_unmanaged && !options.force {
        Some("has no controller to recreate it (`force` is false)")
    } else if of.has_empty_dir && !options.delete_empty_dir_data {
        Some("has an emptyDir volume (`deleteEmptyDirData` is false)")
    } else {
        None
    }
}

fn listed(pods: &[PodOnNode]) -> String {
    let name = |pod: &PodOnNode| match pod.obstacles.is_unmanaged {
        true => format!("{pod} (no controller recreates it)"),
        false => pod.to_string(),
    };
    few(pods.iter().map(name))
}

/// In whole seconds.
fn whole(length: Duration) -> Duration {
    Duration::from_secs(length.as_secs())
}

fn options(fault: &Fault) -> DrainOptions {
    match fault {
        Fault::NodeDrain { options, .. } => (**options).clone(),
        _ => DrainOptions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_are_kept_for_one_reason_share_a_line() {
        let mut kept = Kept::default();
        for (why, pod) in [("A", "p1"), ("B", "p2"), ("A", "p3")] {
            kept.add(why.into(), pod.into());
        }
        let rest = "would not be evicted now; a run retries for 2m (`timeout`)";
        let lines: Vec<String> = kept.lines(Duration::from_secs(120)).collect();
        assert_eq!(lines, [format!("A, so p1, p3 {rest}"), format!("B, so p2 {rest}")]);
    }

    #[test]
    fn an_option_that_forbids_a_pod_counts_whatever_else_the_pod_is() {
        let bare = Obstacles { is_unmanaged: true, has_empty_dir: true, is_daemon: false };
        let all = DrainOptions::default();
        let keeps_data = DrainOptions { delete_empty_dir_data: false, ..all.clone() };
        let keeps_bare = DrainOptions { force: false, ..all.clone() };
        let why = |options: &DrainOptions| refusal(bare, options).unwrap_or_default();
        assert_eq!(why(&all), "");
        assert!(why(&keeps_data).contains("`deleteEmptyDirData` is false"));
        assert!(why(&keeps_bare).contains("`force` is false"));
        let daemon = Obstacles { is_daemon: true, ..Obstacles::default() };
        assert_eq!(refusal(daemon, &keeps_data), None);
    }
}

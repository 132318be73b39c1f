//! What runs on the nodes besides an experiment's own pods, as far as a fault must not take it.

use std::collections::BTreeMap;

use super::refusal::Refusal;
use crate::experiment::{BlastRadius, Excess};
use crate::timeline::counted;

/// Pods of which not too many may be lost at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodGroup {
    /// `Deployment shop/db`, `PodDisruptionBudget shop/checkout`.
    pub name: String,
    pub limit: LossLimit,
    /// How many of its pods are ready, by node.
    pub ready: BTreeMap<String, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LossLimit {
    /// Of a Deployment or a StatefulSet: one must stay.
    AllButOne,
    /// Of a disruption budget: so many now.
    Budget(u32),
}

/// What nodes run that must not be lost. Empty: nothing limits faults, as in clusters that this
/// program made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occupancy(pub Vec<PodGroup>);

impl Occupancy {
    /// What would be lost with all of these nodes, and may not.
    pub(crate) fn excess(&self, limits: &BlastRadius, nodes: &[&str]) -> Vec<Excess> {
        let groups = self.0.iter().filter_map(|group| group.excess(limits, nodes));
        groups.collect()
    }

    /// Why each of these nodes must not be lost, where it must not.
    pub(crate) fn losses<'n>(
        &self,
        limits: &BlastRadius,
        nodes: impl IntoIterator<Item = &'n str>,
    ) -> BTreeMap<String, Refusal> {
        let loss = |node: &'n str| {
            let (message, hint) = Excess::join(&self.excess(limits, &[node]))?;
            let refusal = Refusal::new(format!("is excluded: {message}")).hint(hint);
            Some((node.to_owned(), refusal))
        };
        nodes.into_iter().filter_map(loss).collect()
    }
}

impl PodGroup {
    fn excess(&self, limits: &BlastRadius, nodes: &[&str]) -> Option<Excess> {
        let lost: u32 = nodes.iter().filter_map(|node| self.ready.get(*node)).sum();
        if lost == 0 {
            return None;
        }
        let name = &self.name;
        let (message, field) = match self.limit {
            LossLimit::AllButOne => {
                let all: u32 = self.ready.values().sum();
                if limits.last_replica || lost < all {
                    return None;
                }
                let replicas = match all {
                    1 => "the only ready replica".to_owned(),
                    all => format!("all {all} ready replicas"),
                };
                (format!("{replicas} of {name} would be lost"), Excess::LAST_REPLICA)
            }
            LossLimit::Budget(allowed) => {
                if limits.exceed_disruption_budgets || lost <= allowed {
                    return None;
                }
                let (allowed, pods) = (counted(allowed, "disruption"), counted(lost, "pod"));
                let text = format!("{name} allows {allowed} now, but {pods} would be lost");
                (text, "exceedDisruptionBudgets: true")
            }
        };
        Some(Excess { message, field: field.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, limit: LossLimit, ready: &[(&str, u32)]) -> PodGroup {
        let ready = ready.iter().map(|(node, count)| (node.to_string(), *count)).collect();
        PodGroup { name: name.into(), limit, ready }
    }

    #[test]
    fn the_last_replicas_are_kept() {
        let occupancy = Occupancy(vec![
            group("Deployment shop/db", LossLimit::AllButOne, &[("w1", 1)]),
            group("Deployment shop/web", LossLimit::AllButOne, &[("w1", 1), ("w2", 1)]),
        ]);
        let limits = BlastRadius::default();
        let excess = |nodes: &[&str]| Excess::join(&occupancy.excess(&limits, nodes));
        let (message, hint) = excess(&["w1"]).unwrap();
        assert_eq!(message, "the only ready replica of Deployment shop/db would be lost");
        assert_eq!(
            hint,
            "to allow it, set `blastRadius: {lastReplica: true}`, or pass --allow-last-replica"
        );
        assert_eq!(excess(&["w2"]), None);
        let both = excess(&["w1", "w2"]).unwrap().0;
        assert!(both.contains("all 2 ready replicas of Deployment shop/web"), "{both}");
        let limits = BlastRadius { last_replica: true, ..limits };
        assert_eq!(occupancy.excess(&limits, &["w1", "w2"]), []);
    }

    #[test]
    fn no_more_pods_are_lost_than_budgets_bear() {
        let budget = |allowed| {
            let limit = LossLimit::Budget(allowed);
            Occupancy(vec![group("PodDisruptionBudget shop/web", limit, &[("w1", 1), ("w2", 2)])])
        };
        let limits = BlastRadius::default();
        let excess = budget(1).excess(&limits, &["w2"]);
        assert_eq!(
            excess[0].message,
            "PodDisruptionBudget shop/web allows 1 disruption now, but 2 pods would be lost"
        );
        assert_eq!(excess[0].field, "exceedDisruptionBudgets: true");
        assert_eq!(budget(1).excess(&limits, &["w1"]), []);
        assert_eq!(budget(0).excess(&limits, &["w3"]), []);
    }
}

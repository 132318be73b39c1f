//! How much may be affected at the same time, and what is more than that.

use serde::{Deserialize, Serialize};

use super::{Count, Fault};
use crate::timeline::{NodeRole, counted};

/// How much may be affected at the same time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// Workers that may be down at the same time. Default: 1.
    pub max_workers: u32,
    /// Control-plane nodes that may be down, lack a part, or be drained at the same time. Default: 0. More than etcd's quorum allows also needs `quorum_loss`.
    pub max_control_planes: u32,
    /// Whether etcd may lose its quorum. Default: no.
    pub quorum_loss: bool,
    /// Whether the load balancer before the API servers may be lost. Default: no.
    #[serde(default)]
    pub load_balancer: bool,
    /// Whether the cluster's data may be away for a while. Default: no.
    #[serde(default)]
    pub data_loss: bool,
    /// Namespaces besides the run's whose objects may be affected. Default: none.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Whether the last ready replica of a Deployment or StatefulSet outside the experiment may be
    /// lost. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_replica: bool,
    /// Whether a fault on a node may take more pods than disruption budgets allow. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exceed_disruption_budgets: bool,
}

impl Default for BlastRadius {
    fn default() -> Self {
        Self {
            max_workers: 1,
            max_control_planes: 0,
            quorum_loss: false,
            load_balancer: false,
            data_loss: false,
            namespaces: Vec::new(),
            last_replica: false,
            exceed_disruption_budgets: false,
        }
    }
}

impl BlastRadius {
    /// Whether faults on nodes may take whatever pods are there.
    pub fn allows_any_loss(&self) -> bool {
        self.last_replica && self.exceed_disruption_budgets
    }
}

/// What would be affected at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    pub workers: u32,
    /// Control-plane nodes.
    pub control_planes: u32,
    /// Whether the load balancer before the API servers would be.
    pub load_balancer: bool,
    /// Members that etcd would lose.
    pub members_lost: u32,
    pub members: u32,
    /// Whether the cluster's data would be away.
    pub data_lost: bool,
}

impl Affected {
    /// What one fault affects, as far as the file alone says: of `all` nodes it knows one. `None`: no
    /// node.
    pub fn by_one(fault: &Fault) -> Option<Self> {
        let target = fault.target()?;
        let count = match target.count {
            Count::Exactly(count) => count,
            Count::All => 1,
        };
        let counted = |role| {
            if target.role == Some(role) && fault.counts_on(Some(role)) { count } else { 0 }
        };
        let data_lost = matches!(fault, Fault::EtcdDataLoss { .. });
        Some(Self {
            workers: counted(NodeRole::Worker),
            control_planes: counted(NodeRole::ControlPlane),
            load_balancer: counted(NodeRole::ExternalLoadBalancer) > 0,
            // Data is lost where there is one member only: others would give it back.
            members_lost: data_lost.into(),
            members: data_lost.into(),
            data_lost,
        })
    }
}

/// Something that would be affected and may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// What: a lowercase fragment.
    pub message: String,
    /// What would allow it: `maxWorkers: 2`.
    pub field: String,
}

impl BlastRadius {
    /// The namespaces besides the run's whose objects may be affected, where `application` is the
    /// experiment's own. A namespace of Kubernetes itself must be listed, so that naming it as the
    /// application's is not enough to hit the control plane.
    pub fn allowed<'a>(&'a self, application: Option<&'a str>) -> Vec<&'a str> {
        let own = application.filter(|own| !is_of_kubernetes(own));
        let listed = self.namespaces.iter().map(String::as_str);
        own.into_iter().chain(listed.filter(|other| own != Some(other))).collect()
    }

    /// All that is more than may be affected.
    pub fn excess(&self, affected: &Affected) -> Vec<Excess> {
        let found = [
            at_most("worker", affected.workers, self.max_workers, "maxWorkers"),
            at_most(
                "control-plane node",
                affected.control_planes,
                self.max_control_planes,
                "maxControlPlanes",
            ),
            (affected.load_balancer && !self.load_balancer).then(|| Excess {
                message: "the load balancer in front of the API servers would be lost".into(),
                field: "loadBalancer: true".into(),
            }),
            self.quorum(affected.members_lost, affected.members),
            (affected.data_lost && !self.data_loss).then(|| Excess {
                message: "the cluster's data would be unavailable for a while".into(),
                field: "dataLoss: true".into(),
            }),
        ];
        found.into_iter().flatten().collect()
    }

    /// Whether etcd loses its quorum, and may not.
    pub fn quorum(&self, lost: u32, members: u32) -> Option<Excess> {
        let needed = members / 2 + 1;
        if lost == 0 || members - lost.min(members) >= needed || self.quorum_loss {
            return None;
        }
        let is = if needed == 1 { "is" } else { "are" };
        let message = format!(
            "etcd would lose its quorum: {lost} of {members} members would be down, {needed} {is} needed"
        );
        Some(Excess { message, field: "quorumLoss: true".into() })
    }
}

/// `kube-system`, `kube-public`, `kube-node-lease`: the prefix is Kubernetes' own.
fn is_of_kubernetes(namespace: &str) -> bool {
    namespace.starts_with("kube-")
}

impl Excess {
    /// What allows the loss of a last replica.
    pub const LAST_REPLICA: &str = "lastReplica: true";

    /// All in one sentence, and what would allow them; `None`: there is none.
    pub fn join(all: &[Excess]) -> Option<(String, String)> {
        let mut fields: Vec<&str> = Vec::new();
        for one in all {
            if !fields.contains(&one.field.as_str()) {
                fields.push(&one.field);
            }
        }
        let flag = match fields.contains(&Self::LAST_REPLICA) {
            true => ", or pass --allow-last-replica",
            false => "",
        };
        let hint = format!("to allow it, set `blastRadius: {{{}}}`{flag}", fields.join(", "));
        let messages: Vec<&str> = all.iter().map(|one| one.message.as_str()).collect();
        (!all.is_empty()).then(|| (messages.join("; "), hint))
    }
}

fn at_most(what: &str, count: u32, limit: u32, field: &str) -> Option<Excess> {
    (count > limit).then(|| Excess {
        message: format!(
            "{} would be affected at the same time, but the limit is {limit}",
            counted(count, what)
        ),
        field: format!("{field}: {count}"),
    })
}

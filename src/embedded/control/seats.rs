//! Who is who: the model counts, the API names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::embedded::network::PodServer;
use crate::model::{NodeId, OwnerId, PodId};

/// A namespace and a name.
pub(super) type Key = (String, String);

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct NodeSeat {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// How many pods it has had.
    pub pods: usize,
}

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct PodSeat {
    /// Its namespace and name.
    pub key: Key,
    /// Its address and its sockets; `None`: it was never started.
    pub server: Option<(IpAddr, PodServer)>,
    /// How its containers are.
    pub containers: Containers,
}

/// A pod's containers, as far as its object has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containers {
    /// Those that its object names.
    Known,
    /// They ended with their node.
    Ended,
    /// Others run in their place, which its object does not name yet.
    Restarted,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    /// By [`NodeId`].
    pub nodes: Vec<NodeSeat>,
    pods: BTreeMap<PodId, PodSeat>,
    owners: BTreeMap<OwnerId, Key>,
}

impl Seats {
    /// Those of a cluster without pods.
    pub(crate) fn of(nodes: Vec<NodeSeat>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// A node's seat.
    pub(crate) fn node(&self, node: NodeId) -> &NodeSeat {
        &self.nodes[node.0]
    }

    /// A pod's seat; `None` where its object is gone.
    pub(crate) fn pod(&self, pod: PodId) -> Option<&PodSeat> {
        self.pods.get(&pod)
    }

    /// The same, to be changed.
    pub(crate) fn pod_mut(&mut self, pod: PodId) -> Option<&mut PodSeat> {
        self.pods.get_mut(&pod)
    }

    /// A pod has a name now.
    pub(crate) fn seat_pod(&mut self, pod: PodId, key: Key) {
        self.pods.insert(pod, PodSeat { key, server: None, containers: Containers::Known });
    }

    /// A pod is gone, and its sockets with it.
    pub(crate) fn leave(&mut self, pod: PodId) -> Option<PodSeat> {
        self.pods.remove(&pod)
    }

    /// The pod of this name.
    pub(crate) fn find_pod(&self, key: &Key) -> Option<PodId> {
        self.pods.iter().find(|(_, seat)| seat.key == *key).map(|(pod, _)| *pod)
    }

    /// All pods.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (PodId, &PodSeat)> {
        self.pods.iter().map(|(pod, seat)| (*pod, seat))
    }

    /// A ReplicaSet has a number now.
    pub(crate) fn seat_owner(&mut self, owner: OwnerId, key: Key) {
        self.owners.insert(owner, key);
    }

    /// A ReplicaSet's name.
    pub(crate) fn owner(&self, owner: OwnerId) -> Option<&Key> {
        self.owners.get(&owner)
    }

    /// The ReplicaSet of this name.
    pub(crate) fn find_owner(&self, key: &Key) -> Option<OwnerId> {
        self.owners.iter().find(|(_, have)| *have == key).map(|(owner, _)| *owner)
    }

    /// All ReplicaSets.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (OwnerId, &Key)> {
        self.owners.iter().map(|(owner, key)| (*owner, key))
    }

    /// A ReplicaSet is gone. Its pods keep their number.
    pub(crate) fn forget_owner(&mut self, owner: OwnerId) {
        self.owners.remove(&owner);
    }
}

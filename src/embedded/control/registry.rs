//! Who is who: the model counts, the API names.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::embedded::network::{Entry, PodServer};
use crate::embedded::store::Kind;
use crate::model::{NodeId, OwnerId, PodId};

pub(super) type Key = (String, String);

#[derive(Clone, Debug)]
pub(crate) struct NodeEntry {
    pub name: String,
    pub address: IpAddr,
    pub pods: usize,
    /// Its ports of Services.
    pub entry: Entry,
}

#[derive(Clone, Debug)]
pub(crate) struct PodEntry {
    pub key: Key,
    /// Its address and its sockets; `None`: it was never started.
    pub server: Option<(IpAddr, PodServer)>,
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

/// A ReplicaSet or a StatefulSet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    pub kind: &'static Kind,
    pub key: Key,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// By [`NodeId`].
    pub nodes: Vec<NodeEntry>,
    pods: BTreeMap<PodId, PodEntry>,
    owners: BTreeMap<OwnerId, Owner>,
}

impl Registry {
    /// Those of a cluster without pods.
    pub(crate) fn of(nodes: Vec<NodeEntry>) -> Self {
        Self { nodes, ..Self::default() }
    }

    pub(crate) fn node(&self, node: NodeId) -> &NodeEntry {
        &self.nodes[node.0]
    }

    /// A pod's entry; `None` where its object is gone.
    pub(crate) fn pod(&self, pod: PodId) -> Option<&PodEntry> {
        self.pods.get(&pod)
    }

    /// The same, to be changed.
    pub(crate) fn pod_mut(&mut self, pod: PodId) -> Option<&mut PodEntry> {
        self.pods.get_mut(&pod)
    }

    pub(crate) fn add_pod(&mut self, pod: PodId, key: Key) {
        self.pods.insert(pod, PodEntry { key, server: None, containers: Containers::Known });
    }

    pub(crate) fn remove_pod(&mut self, pod: PodId) -> Option<PodEntry> {
        self.pods.remove(&pod)
    }

    pub(crate) fn find_pod(&self, key: &Key) -> Option<PodId> {
        self.pods.iter().find(|(_, entry)| entry.key == *key).map(|(pod, _)| *pod)
    }

    pub(crate) fn pods(&self) -> impl Iterator<Item = (PodId, &PodEntry)> {
        self.pods.iter().map(|(pod, entry)| (*pod, entry))
    }

    /// A set has a number now.
    pub(crate) fn add_owner(&mut self, id: OwnerId, owner: Owner) {
        self.owners.insert(id, owner);
    }

    pub(crate) fn owner(&self, id: OwnerId) -> Option<&Owner> {
        self.owners.get(&id)
    }

    pub(crate) fn find_owner(&self, owner: &Owner) -> Option<OwnerId> {
        self.owners.iter().find(|(_, have)| *have == owner).map(|(id, _)| *id)
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = (OwnerId, &Owner)> {
        self.owners.iter().map(|(id, owner)| (*id, owner))
    }

    /// A set is gone. Its pods keep their number.
    pub(crate) fn remove_owner(&mut self, owner: OwnerId) {
        self.owners.remove(&owner);
    }
}

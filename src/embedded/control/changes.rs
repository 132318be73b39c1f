//! What the model changed becomes objects and sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::driver::Driver;
use super::registry::{Containers, Key, Owner};
use crate::embedded::network::PodServer;
use crate::embedded::objects::event::EventSpec;
use crate::embedded::objects::replica_set::letters;
use crate::embedded::objects::{lease, node, pod, stateful_set};
use crate::embedded::store::{Kind, Object, kinds, object};
use crate::model::{
    Backend, Change, Component, Deletion, Heartbeat, NodeId, OwnerId, PodId, Power,
};
use crate::timeline::Ready;
use crate::workload::container_ports;

impl Driver {
    pub(super) fn apply(&mut self, at: Duration, change: Change) {
        let wall = self.wall(at);
        match change {
            Change::NodeReady { node, ready, .. } => self.node_ready(node, ready, wall),
            Change::Beat { node, heartbeat } => self.beat(node, heartbeat, wall),
            Change::Taint { node: id, taint, present } => {
                self.change_node(id, |object| node::taint(object, taint, present, wall));
            }
            Change::PodCreated { pod, owner: Some(owner) } => self.pod_created(pod, owner, wall),
            // Whoever made a bare pod has its object already.
            Change::PodCreated { owner: None, .. } => {}
            Change::PodBound { pod, node } => self.pod_bound(pod, node, wall),
            Change::PodStarted { pod } => self.pod_started(pod, wall),
            Change::PodReady { pod, ready } => self.pod_ready(pod, ready, wall),
            Change::PodTerminating { pod, cause } => self.pod_terminating(pod, cause, wall),
            Change::PodGone { pod } => self.pod_gone(pod),
            Change::Leader { component, holder } => self.leader(component, holder, wall),
            Change::LeaseRenewed { component, .. } => {
                self.store.modify(&kinds::LEASES, "kube-system", component.name(), |object| {
                    lease::renew(object, wall)
                });
            }
            Change::Backend { pod, backend } => self.pod_behaves(pod, backend),
            Change::Power { node, power } => {
                match power {
                    Power::Off => self.containers_end(node),
                    Power::Booting => self.registry.node(node).entry.restart(),
                    Power::On | Power::Stopping => {}
                }
                self.machine_changed();
            }
            Change::Serves { .. } => self.machine_changed(),
            Change::Endpoint { .. } | Change::ProxySynced { .. } => self.dirty = true,
        }
    }

    fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Value)) -> Option<Object> {
        let name = self.registry.node(id).name.clone();
        self.store.modify(&kinds::NODES, "", &name, change)
    }

    fn change_pod(&mut self, id: PodId, change: impl FnOnce(&mut Value)) -> Option<Object> {
        self.dirty = true;
        let (namespace, name) = self.registry.pod(id)?.key.clone();
        self.store.modify(&kinds::PODS, &namespace, &name, change)
    }

    fn record(&mut self, about: Option<&Object>, event: EventSpec<'_>, at: jiff::Timestamp) {
        if let Some(about) = about {
            self.events.record(&self.store, about, event, at);
        }
    }

    fn node_ready(&mut self, id: NodeId, ready: Ready, at: jiff::Timestamp) {
        let object = self.change_node(id, |object| match ready {
            Ready::Unknown => node::lose(object, at),
            ready => node::report(object, ready, at),
        });
        let name = self.registry.node(id).name.clone();
        let (reason, by, host) = match ready {
            Ready::True => ("NodeReady", "kubelet", name.as_str()),
            Ready::False | Ready::Unknown => ("NodeNotReady", "node-controller", ""),
        };
        let message = format!("Node {name} status is now: {reason}");
        self.record(object.as_ref(), EventSpec::normal(reason, &message, by).on(host), at);
    }

    fn beat(&mut self, id: NodeId, heartbeat: Heartbeat, at: jiff::Timestamp) {
        match heartbeat {
            Heartbeat::Lease => {
                let name = self.registry.node(id).name.clone();
                self.store.modify(&kinds::LEASES, "kube-node-lease", &name, |object| {
                    lease::renew(object, at)
                });
            }
            Heartbeat::Status => {
                let ready = self.model.node(id).ready;
                self.change_node(id, |object| node::report(object, ready, at));
            }
        }
    }

    fn pod_created(&mut self, id: PodId, owner: OwnerId, at: jiff::Timestamp) {
        let Some(Owner { kind, key }) = self.registry.owner(owner).cloned() else { return };
        let Some(set) = self.store.get(kind, &key.0, &key.1) else { return };
        let tolerations = self.shared.tolerations;
        let (pod, by) = match *kind == kinds::STATEFUL_SETS {
            true => {
                let ordinal = self.model.pod(id).ordinal;
                (stateful_set::pod(&set, ordinal, tolerations), "statefulset-controller")
            }
            false => {
                let suffix = letters(self.random.draw(), 5);
                (pod::of_set(&set, &suffix, tolerations), "replicaset-controller")
            }
        };
        let object = self.store.put(&kinds::PODS, pod);
        self.registry.add_pod(id, key_of(&object));
        self.dirty = true;
        let message = format!("Created pod: {}", object::name(&object));
        self.record(Some(&set), EventSpec::normal("SuccessfulCreate", &message, by), at);
    }

    fn pod_bound(&mut self, id: PodId, node: NodeId, at: jiff::Timestamp) {
        let host = self.registry.node(node).name.clone();
        let object = self.change_pod(id, |object| pod::bind(object, &host, at));
        let Some(object) = object else { return };
        let message = format!(
            "Successfully assigned {}/{} to {host}",
            object::namespace(&object),
            object::name(&object)
        );
        self.record(
            Some(&object),
            EventSpec::normal("Scheduled", &message, "default-scheduler"),
            at,
        );
    }

    fn pod_started(&mut self, id: PodId, at: jiff::Timestamp) {
        let state = self.model.pod(id);
        let (Some(node), Some(entry)) = (state.node, self.registry.pod(id)) else { return };
        let key = entry.key.clone();
        let Some(before) = self.store.get(&kinds::PODS, &key.0, &key.1) else { return };
        let opened = entry.server.clone().or_else(|| self.open(id, node, &before));
        let Some((address, server)) = opened else {
            let event = EventSpec::warning(
                "FailedCreatePodSandBox",
                "no address is left for it on its node",
                "kubelet",
            );
            return self.record(Some(&before), event, at);
        };
        server.restart();
        server.behave(state.backend);
        let host = self.registry.node(node).clone();
        let object = self.change_pod(id, |object| pod::start(object, address, host.address, at));
        for container in before["spec"]["containers"].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default();
            for (reason, message) in [
                ("Created", format!("Created container: {name}")),
                ("Started", format!("Started container {name}")),
            ] {
                self.record(
                    object.as_ref(),
                    EventSpec::normal(reason, &message, "kubelet").on(&host.name),
                    at,
                );
            }
        }
    }

    /// Gives a pod its address and its sockets; `None`: no address is left.
    fn open(
        &mut self,
        id: PodId,
        node: NodeId,
        pod: &Value,
    ) -> Option<(std::net::IpAddr, PodServer)> {
        let taken = self
            .registry
            .pods()
            .filter_map(|(_, entry)| entry.server.as_ref().map(|(address, _)| *address))
            .collect();
        let address = self.block.next_pod(node.0, self.registry.nodes[node.0].pods, &taken)?;
        self.registry.nodes[node.0].pods += 1;
        let wanted = container_ports(pod);
        let ports: BTreeSet<u16> =
            wanted.iter().map(|port| self.shared.ports.reachable(*port, &wanted)).collect();
        let server = PodServer::new(object::name(pod), address, &Vec::from_iter(ports));
        if let Some(entry) = self.registry.pod_mut(id) {
            entry.server = Some((address, server.clone()));
        }
        Some((address, server))
    }

    fn pod_behaves(&mut self, id: PodId, backend: Backend) {
        let Some(entry) = self.registry.pod_mut(id) else { return };
        let Some((_, server)) = &entry.server else { return };
        if backend == Backend::Answers && entry.containers == Containers::Ended {
            entry.containers = Containers::Restarted;
            server.restart();
        }
        server.behave(backend);
    }

    fn containers_end(&mut self, node: NodeId) {
        let on_node: Vec<PodId> = self
            .registry
            .pods()
            .map(|(id, _)| id)
            .filter(|id| self.model.pod(*id).node == Some(node))
            .collect();
        for id in on_node {
            if let Some(entry) = self.registry.pod_mut(id).filter(|entry| entry.server.is_some()) {
                entry.containers = Containers::Ended;
            }
        }
    }

    /// The kubelet names the containers that it started after a boot.
    fn restarted(&mut self, id: PodId, at: jiff::Timestamp) {
        let node = self.model.pod(id).node.map(|node| self.registry.node(node).address);
        let Some(entry) =
            self.registry.pod_mut(id).filter(|entry| entry.containers == Containers::Restarted)
        else {
            return;
        };
        entry.containers = Containers::Known;
        if let (Some((address, _)), Some(host)) = (entry.server.clone(), node) {
            self.change_pod(id, |object| pod::start(object, address, host, at));
        }
    }

    fn pod_ready(&mut self, id: PodId, ready: bool, at: jiff::Timestamp) {
        if ready && self.has_no_address(id) {
            return;
        }
        if ready {
            self.restarted(id, at);
        }
        // A kubelet that lives reports its containers; for one that is silent the node lifecycle
        // controller speaks.
        let lost =
            self.model.pod(id).node.is_some_and(|node| self.model.node(node).ready != Ready::True);
        let object = self.change_pod(id, |object| {
            if lost && !ready { pod::lose(object, at) } else { pod::report(object, ready, at) }
        });
        if lost && !ready {
            self.record(
                object.as_ref(),
                EventSpec::warning("NodeNotReady", "Node is not ready", "node-controller"),
                at,
            );
        }
    }

    /// A pod that its node had no address for, which the model knows nothing of.
    fn has_no_address(&self, id: PodId) -> bool {
        self.registry.pod(id).is_some_and(|entry| entry.server.is_none())
    }

    fn pod_terminating(&mut self, id: PodId, cause: Deletion, at: jiff::Timestamp) {
        let object = self.change_pod(id, |object| {
            let grace = object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
            pod::end(object, grace, at);
        });
        let Some(object) = object.filter(|_| cause == Deletion::Eviction) else { return };
        let message = format!(
            "Marking for deletion Pod {}/{}",
            object::namespace(&object),
            object::name(&object)
        );
        self.record(
            Some(&object),
            EventSpec::normal("TaintManagerEviction", &message, "taint-eviction-controller"),
            at,
        );
    }

    fn pod_gone(&mut self, id: PodId) {
        self.dirty = true;
        if let Some(entry) = self.registry.remove_pod(id) {
            self.store.remove(&kinds::PODS, &entry.key.0, &entry.key.1);
        }
    }

    fn leader(&mut self, component: Component, holder: Option<NodeId>, at: jiff::Timestamp) {
        self.dirty = true;
        let identity =
            holder.map(|node| format!("{}_{}", self.registry.node(node).name, component.name()));
        let change = |object: &mut Value| lease::pass_on(object, identity.as_deref(), at);
        let object = self.store.modify(&kinds::LEASES, "kube-system", component.name(), change);
        if let Some(identity) = &identity {
            let message = format!("{identity} became leader");
            self.record(
                object.as_ref(),
                EventSpec::normal("LeaderElection", &message, component.name()),
                at,
            );
        }
    }

    /// Who answers as a kubelet, and how the API server fares.
    pub(super) fn machine_changed(&mut self) {
        self.dirty = true;
        let answers = |node: NodeId| {
            let state = self.model.node(node);
            state.kubelet && !state.frozen && state.connected
        };
        self.shared.kubelets(self.nodes().map(answers).collect());
        for node in self.nodes() {
            let state = self.model.node(node);
            let forwards = state.power.is_up() && !state.frozen && state.connected;
            self.registry.node(node).entry.forwards(forwards);
        }
        let availability = self.availability();
        if self.api.availability() != availability {
            self.api.set_availability(availability);
        }
    }
}

pub(super) fn key_of(object: &Value) -> Key {
    (object::namespace(object).to_owned(), object::name(object).to_owned())
}

pub(super) fn keyed(objects: Vec<Object>) -> impl Iterator<Item = (Key, Object)> {
    objects.into_iter().map(|object| (key_of(&object), object))
}

pub(super) fn exists(driver: &Driver, kind: &'static Kind, key: &Key) -> bool {
    driver.store.get(kind, &key.0, &key.1).is_some()
}

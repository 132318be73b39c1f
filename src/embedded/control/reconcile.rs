//! What follows from objects alone: ReplicaSets of Deployments, status, slices, what every
//! namespace has, the end of a namespace.
//!
//! Each part looks at all of its objects and writes what differs; the store ignores a write that
//! changes nothing.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::changes::{key_of, keyed};
use super::driver::Driver;
use super::registry::{Key, Owner, PodEntry};
use crate::embedded::network::{NoPod, PodServer, Routes, ServiceProxy};
use crate::embedded::objects::endpoints::{self, Member};
use crate::embedded::objects::replica_set::{self, Tally};
use crate::embedded::objects::{
    deployment, is_owned_by, is_ready, selects, service, stateful_set, system,
};
use crate::embedded::store::{Object, kinds, object};
use crate::model::NodeId;
use crate::workload::{container_ports, routing};

impl Driver {
    /// Brings everything up to what it follows from.
    pub(super) fn reconcile(&mut self) {
        while std::mem::take(&mut self.dirty) {
            // The controllers' part; while nobody leads or the API takes no writes, nothing of it
            // happens.
            if self.is_managed() && self.model.api_serves() {
                self.namespaces();
                self.deployments();
                self.sets();
                self.slices();
            }
            self.proxies();
        }
    }

    fn namespaces(&mut self) {
        for namespace in self.store.list(&kinds::NAMESPACES, None) {
            let name = object::name(&namespace);
            if object::is_deleted(&namespace) {
                self.end_namespace(name);
                continue;
            }
            for (kind, object) in [
                (&kinds::SERVICE_ACCOUNTS, system::service_account(name)),
                (&kinds::CONFIG_MAPS, system::root_certificates(name)),
            ] {
                if self.store.get(kind, name, object::name(&object)).is_none() {
                    self.store.put(kind, object);
                }
            }
        }
    }

    /// Takes everything out of a namespace; pods go when their kubelets say so, and the namespace
    /// after them.
    fn end_namespace(&mut self, name: &str) {
        for kind in kinds::ALL.into_iter().filter(|kind| kind.namespaced && **kind != kinds::PODS) {
            for object in self.store.list(kind, Some(name)) {
                self.store.remove(kind, name, object::name(&object));
            }
        }
        self.remove_sets();
        let pods = self.store.list(&kinds::PODS, Some(name));
        for pod in pods.iter().filter(|pod| !object::is_deleted(pod)) {
            self.end_pod(pod);
        }
        if self.store.list(&kinds::PODS, Some(name)).is_empty() {
            self.store.remove(&kinds::NAMESPACES, "", name);
        }
    }

    fn deployments(&mut self) {
        let sets = self.store.list(&kinds::REPLICA_SETS, None);
        for wanted in self.store.list(&kinds::DEPLOYMENTS, None) {
            self.deployment(&wanted, &sets);
        }
        // What belonged to a Deployment that is gone goes, too.
        let deployments = self.store.list(&kinds::DEPLOYMENTS, None);
        let orphan = |set: &&Object| {
            let owner = &set["metadata"]["ownerReferences"][0];
            owner["kind"] == "Deployment"
                && !deployments.iter().any(|deployment| is_owned_by(set, deployment))
        };
        for set in sets.iter().filter(orphan) {
            self.store.remove(&kinds::REPLICA_SETS, object::namespace(set), object::name(set));
        }
        self.remove_sets();
    }

    fn deployment(&mut self, wanted: &Object, sets: &[Object]) {
        let own: Vec<&Object> = sets.iter().filter(|set| is_owned_by(set, wanted)).collect();
        let current = replica_set::of_deployment(wanted, own.len() as u64 + 1);
        let name = object::name(&current);
        let at = self.wall(self.now());
        let updated = match own.iter().find(|set| object::name(set) == name) {
            Some(set) => self.scale(set, replica_set::replicas(wanted)),
            None => self.store.put(&kinds::REPLICA_SETS, current.clone()),
        };
        self.compare_set(replica_set_of(&updated), &updated);
        let new = self.tally(&updated);
        let mut all = new;
        for old in own.iter().filter(|set| object::name(set) != name) {
            // The old pods stay until the new ones are ready.
            if new.ready >= replica_set::replicas(wanted) {
                let scaled = self.scale(old, 0);
                self.compare_set(replica_set_of(&scaled), &scaled);
            }
            let tally = self.tally(old);
            all = Tally { replicas: all.replicas + tally.replicas, ready: all.ready + tally.ready };
        }
        self.store.modify(
            &kinds::DEPLOYMENTS,
            object::namespace(wanted),
            object::name(wanted),
            |object| {
                deployment::set_revision(object, &updated);
                deployment::set_status(object, new, all, at);
            },
        );
    }

    fn scale(&mut self, set: &Object, replicas: u64) -> Object {
        let change = |set: &mut Value| {
            drop(object::map_mut(set, "spec").insert("replicas".into(), replicas.into()))
        };
        let scaled = self.store.modify(
            &kinds::REPLICA_SETS,
            object::namespace(set),
            object::name(set),
            change,
        );
        scaled.unwrap_or_else(|| set.clone())
    }

    /// What a ReplicaSet's pods amount to; those that are ending don't count.
    fn tally(&self, set: &Value) -> Tally {
        let own = self.pods_of(set);
        let ready = own.iter().filter(|pod| is_ready(pod)).count();
        Tally { replicas: own.len() as u64, ready: ready as u64 }
    }

    /// A set's pods that are not ending.
    fn pods_of(&self, set: &Value) -> Vec<Object> {
        let mut pods = self.store.list(&kinds::PODS, Some(object::namespace(set)));
        pods.retain(|pod| is_owned_by(pod, set) && !object::is_deleted(pod));
        pods
    }

    fn sets(&mut self) {
        for (key, set) in keyed(self.store.list(&kinds::REPLICA_SETS, None)) {
            let status = replica_set::status(&set, self.tally(&set));
            self.store.update_status(&kinds::REPLICA_SETS, &key.0, &key.1, status);
        }
        for (key, set) in keyed(self.store.list(&kinds::STATEFUL_SETS, None)) {
            let status = stateful_set::status(&set, &self.pods_of(&set));
            self.store.update_status(&kinds::STATEFUL_SETS, &key.0, &key.1, status);
        }
    }

    fn slices(&mut self) {
        let services = self.store.list(&kinds::SERVICES, None);
        for service in services.iter().filter(|service| service["spec"]["selector"].is_object()) {
            let members = self.members(service);
            let reachable =
                |pod: &Value, port| self.shared.ports.reachable(port, &container_ports(pod));
            self.store.put(&kinds::ENDPOINT_SLICES, endpoints::slice(service, &members, reachable));
            self.store.put(&kinds::ENDPOINTS, endpoints::endpoints(service, &members, reachable));
        }
        let orphan = |slice: &&Object| {
            slice["metadata"]["ownerReferences"].is_array()
                && !services.iter().any(|service| is_owned_by(slice, service))
        };
        for slice in self.store.list(&kinds::ENDPOINT_SLICES, None).iter().filter(orphan) {
            self.store.remove(
                &kinds::ENDPOINT_SLICES,
                object::namespace(slice),
                object::name(slice),
            );
            let service = slice["metadata"]["labels"]["kubernetes.io/service-name"]
                .as_str()
                .unwrap_or_default();
            self.store.remove(&kinds::ENDPOINTS, object::namespace(slice), service);
        }
    }

    /// A Service's pods, as the model's slices have them.
    fn members(&self, service: &Value) -> Vec<Member> {
        let pods = self.registry.pods().filter(|(_, entry)| {
            entry.key.0 == object::namespace(service) && entry.server.is_some()
        });
        let member = |(id, key): (_, &Key)| {
            let ready = self.model.pod(id).endpoint?;
            let pod = self.store.get(&kinds::PODS, &key.0, &key.1)?;
            selects(&service["spec"]["selector"], &pod["metadata"]["labels"])
                .then_some(Member { pod, ready })
        };
        pods.map(|(id, entry)| (id, &entry.key)).filter_map(member).collect()
    }

    /// Opens, closes and routes the ports of Services.
    fn proxies(&mut self) {
        let services = self.store.list(&kinds::SERVICES, None);
        let mut wanted = Vec::new();
        for service in services.iter().filter(|it| it["spec"]["selector"].is_object()) {
            wanted.extend(addresses(service).map(|address| Port { service, address, node: None }));
            for port in service::node_ports(service) {
                wanted.extend(self.nodes().map(|node| {
                    let address = SocketAddr::new(self.registry.node(node).address, port);
                    Port { service, address, node: Some(node) }
                }));
            }
        }
        self.proxies.retain(|have, _| wanted.iter().any(|port| port.key() == *have));
        for port in wanted {
            let routes = match port.node {
                None => self.routes(port.service),
                Some(node) => self.routes_of_node_port(port.service, node),
            };
            let leads = |from| routes.get(&from).is_some_and(|pods: &Vec<_>| !pods.is_empty());
            // With externalTrafficPolicy Local, while only other nodes have pods.
            let node = port.node.map(|node| self.registry.node(node).address);
            let drops = node.is_some() && leads(node) && !leads(None);
            let no_pod = if drops { NoPod::Drops } else { NoPod::Refuses };
            let entry = port.node.map(|node| self.registry.node(node).entry.clone());
            let seed = self.random.draw();
            self.proxies
                .entry(port.key())
                .or_insert_with(|| ServiceProxy::new(port.address, seed, entry.unwrap_or_default()))
                .route(routes, routing(port.service), no_pod);
        }
    }

    /// Where each node's kube-proxy sends what asks for a Service. Who asks from no node is sent as
    /// from the first.
    fn routes(&self, service: &Value) -> Routes {
        let local = routing(service).is_local();
        let mut routes: Routes = self
            .nodes()
            .map(|node| (Some(self.registry.node(node).address), self.routed(service, node, local)))
            .collect();
        routes.insert(None, self.routed(service, NodeId(0), local));
        routes
    }

    /// Where a node sends what comes to its port of a Service. The policy is about what comes from
    /// elsewhere.
    fn routes_of_node_port(&self, service: &Value, node: NodeId) -> Routes {
        let local = service["spec"]["externalTrafficPolicy"] == "Local";
        let own = self.registry.node(node).address;
        let [all, from_elsewhere] = [false, local].map(|local| self.routed(service, node, local));
        Routes::from([(Some(own), all), (None, from_elsewhere)])
    }

    /// The pods of a Service that a node's kube-proxy knows to be ready.
    fn routed(&self, service: &Value, node: NodeId, local: bool) -> Vec<PodServer> {
        let chosen = |key: &Key| {
            let pod = self.store.get(&kinds::PODS, &key.0, &key.1);
            pod.is_some_and(|pod| selects(&service["spec"]["selector"], &pod["metadata"]["labels"]))
        };
        let routed = self.registry.pods().filter(|(pod, entry)| {
            entry.key.0 == object::namespace(service)
                && self.model.routes(node, *pod)
                && (!local || self.model.pod(*pod).node == Some(node))
                && chosen(&entry.key)
        });
        let server = |entry: &PodEntry| entry.server.as_ref().map(|(_, server)| server.clone());
        routed.filter_map(|(_, entry)| server(entry)).collect()
    }
}

/// A port at which a Service can be asked.
struct Port<'a> {
    service: &'a Object,
    address: SocketAddr,
    /// The node whose port it is; `None`: it is the ClusterIP's.
    node: Option<NodeId>,
}

impl Port<'_> {
    fn key(&self) -> (Key, SocketAddr) {
        (key_of(self.service), self.address)
    }
}

fn replica_set_of(set: &Value) -> Owner {
    Owner { kind: &kinds::REPLICA_SETS, key: key_of(set) }
}

fn addresses(service: &Value) -> impl Iterator<Item = SocketAddr> {
    let ip: Option<IpAddr> = service["spec"]["clusterIP"].as_str().and_then(|ip| ip.parse().ok());
    let ports = service::tcp_ports(service, "port");
    ip.into_iter().flat_map(move |ip| ports.clone().map(move |port| SocketAddr::new(ip, port)))
}

//! What clients write becomes the model's actions.

use serde_json::Value;

use super::changes::{exists, key_of, keyed};
use super::driver::Driver;
use super::registry::{Key, Owner};
use crate::embedded::objects::event::EventSpec;
use crate::embedded::objects::{node, pod, replica_set};
use crate::embedded::store::{Change, Object, Writer, kinds, object};
use crate::model::{Action, Controller, NodeId, NodeObject, PodId, PodSpec};

impl Driver {
    /// Takes in what was written. What this cluster's own controllers wrote they know already.
    pub(super) fn on_writes(&mut self, changes: &[Change]) {
        if changes.iter().any(|change| change.by == Writer::Client) {
            self.compare_all();
        }
    }

    /// Holds the objects against the model. There are few of them, and a look at all can't miss
    /// one.
    pub(super) fn compare_all(&mut self) {
        self.dirty = true;
        self.nodes().for_each(|node| self.compare_node(node));
        for kind in [&kinds::REPLICA_SETS, &kinds::STATEFUL_SETS] {
            for (key, set) in keyed(self.store.list(kind, None)) {
                self.compare_set(Owner { kind, key }, &set);
            }
        }
        self.remove_sets();
        for (key, pod) in keyed(self.store.list(&kinds::PODS, None)) {
            self.compare_pod(key, &pod);
        }
        self.remove_pods();
    }

    /// A node was cordoned or uncordoned, or has other taints.
    fn compare_node(&mut self, node: NodeId) {
        let object = self.store.get(&kinds::NODES, "", &self.registry.node(node).name);
        let Some(object) = object else { return };
        let cordoned = object["spec"]["unschedulable"] == true;
        self.act(Action::Cordon { node, cordoned });
        let taints = node::taints_of_others(&object);
        let taints: Vec<_> = taints.iter().map(|taint| self.model.taint_id(taint)).collect();
        self.model.taints_to(node, &taints).into_iter().for_each(|action| self.act(action));
    }

    /// A ReplicaSet or a StatefulSet is new, or wants another number of pods.
    pub(super) fn compare_set(&mut self, owner: Owner, set: &Value) {
        let replicas = replica_set::replicas(set) as usize;
        match self.registry.find_owner(&owner) {
            Some(owner) => self.act(Action::Scale { owner, replicas }),
            None => {
                // A template that fits nowhere makes no pods here; in Kubernetes they would be
                // Pending.
                let Some(spec) = self.pod_spec(&set["spec"]["template"]) else { return };
                // The number must have its name before its first pod comes.
                let now = self.now();
                let controller = match *owner.kind == kinds::STATEFUL_SETS {
                    true => Controller::StatefulSet,
                    false => Controller::ReplicaSet,
                };
                let id = self.with_model(|model, changed| {
                    model.create_owner(now, controller, spec, 0, changed)
                });
                self.registry.add_owner(id, owner);
                self.act(Action::Scale { owner: id, replicas });
            }
        }
    }

    /// A pod, or a template, on the nodes as the API has them now.
    fn pod_spec(&self, template: &Value) -> Option<PodSpec> {
        let object = |id: NodeId| {
            let object = self.store.get(&kinds::NODES, "", &self.registry.node(id).name)?;
            Some(NodeObject { id, object: Value::clone(&object) })
        };
        let nodes: Vec<NodeObject> = self.nodes().filter_map(object).collect();
        PodSpec::of_template(template, &nodes, self.shared.tolerations)
    }

    /// ReplicaSets and StatefulSets that are gone, and their pods.
    pub(super) fn remove_sets(&mut self) {
        let gone: Vec<_> = self
            .registry
            .owners()
            .filter(|(_, owner)| !exists(self, owner.kind, &owner.key))
            .map(|(id, _)| id)
            .collect();
        for owner in gone {
            self.act(Action::DeleteOwner { owner });
            self.registry.remove_owner(owner);
        }
    }

    /// A pod is new, or its deletion was asked for.
    fn compare_pod(&mut self, key: Key, object: &Object) {
        match self.registry.find_pod(&key) {
            Some(pod) if object::is_deleted(object) && !self.model.pod(pod).terminating => {
                self.act(Action::DeletePod { pod, force: false })
            }
            // Mirrors of static pods are the kubelets' own, and the pods of a set come from the
            // model.
            None if object["metadata"]["ownerReferences"].is_null()
                && object["metadata"]["annotations"]["kubernetes.io/config.source"].is_null() =>
            {
                self.bare_pod(key, object);
            }
            _ => {}
        }
    }

    fn bare_pod(&mut self, key: Key, object: &Object) {
        let now = self.now();
        let Some(spec) = self.pod_spec(object) else {
            let unscheduled = object["status"]["conditions"].is_null();
            if unscheduled {
                self.unschedulable(&key, object);
            }
            return;
        };
        let mut changes = Vec::new();
        let pod = self.model.create_pod(now, spec, &mut |at, change| changes.push((at, change)));
        self.registry.add_pod(pod, key);
        changes.into_iter().for_each(|(at, change)| self.apply(at, change));
    }

    fn unschedulable(&mut self, key: &Key, object: &Object) {
        let at = self.wall(self.now());
        let message = "0 nodes are available: none matches the Pod's node affinity/selector";
        let change = |pod: &mut Value| pod::cannot_schedule(pod, message, at);
        self.store.modify(&kinds::PODS, &key.0, &key.1, change);
        self.events.record(
            &self.store,
            object,
            EventSpec::warning("FailedScheduling", message, "default-scheduler"),
            at,
        );
    }

    /// Pods that were taken away by force.
    fn remove_pods(&mut self) {
        let gone: Vec<PodId> = self
            .registry
            .pods()
            .filter(|(_, entry)| !exists(self, &kinds::PODS, &entry.key))
            .map(|(id, _)| id)
            .collect();
        gone.into_iter().for_each(|pod| self.act(Action::DeletePod { pod, force: true }));
    }

    /// Deletes a pod as its kubelet's grace allows; one that is in the model goes when that says
    /// so.
    pub(super) fn end_pod(&mut self, object: &Value) {
        match self.registry.find_pod(&key_of(object)) {
            Some(pod) => self.act(Action::DeletePod { pod, force: false }),
            None => drop(self.store.remove(
                &kinds::PODS,
                object::namespace(object),
                object::name(object),
            )),
        }
    }
}

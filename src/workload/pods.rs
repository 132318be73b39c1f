//! Pods and what makes them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::Object;
use crate::model::Controller;
use crate::timeline::include_labels;

/// A pod, or a controller and the template of its pods.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods<'a> {
    /// The pod itself, or the template: both have the same shape.
    pub template: &'a Value,
    pub controller: Controller,
    /// How many are wanted. Of a DaemonSet it is one a node.
    pub replicas: usize,
}

impl<'a> Pods<'a> {
    pub(super) fn of(object: &'a Object) -> Option<Self> {
        let controller = match object.kind() {
            "Pod" => Controller::None,
            // A Job's pod is replaced as soon as it is being deleted, too.
            "Deployment" | "ReplicaSet" | "ReplicationController" | "Job" => Controller::ReplicaSet,
            "StatefulSet" => Controller::StatefulSet,
            "DaemonSet" => Controller::DaemonSet,
            "CronJob" => return None,
            _ => Controller::Other,
        };
        let template = match controller {
            Controller::None => object.json(),
            _ => Some(object.at("spec.template")).filter(|have| have["metadata"].is_object())?,
        };
        let replicas = match object.kind() {
            "Pod" => 1,
            "Job" => object.at("spec.parallelism").as_u64().unwrap_or(1) as usize,
            _ => object.at("spec.replicas").as_u64().unwrap_or(1) as usize,
        };
        Some(Self { template, controller, replicas })
    }

    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        texts(&self.template["metadata"]["labels"])
    }

    pub(crate) fn have(&self, labels: &BTreeMap<String, String>) -> bool {
        include_labels(&self.labels(), labels)
    }

    pub(crate) fn containers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        containers(self.template).filter_map(|container| container["name"].as_str())
    }
}

pub(super) fn texts(map: &Value) -> BTreeMap<String, String> {
    let pairs = map.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["spec"]["containers"].as_array().into_iter().flatten()
}

fn ports(pod: &Value) -> impl Iterator<Item = &Value> {
    containers(pod).flat_map(|container| container["ports"].as_array().into_iter().flatten())
}

/// The TCP ports on which a pod's containers listen.
pub(crate) fn container_ports(pod: &Value) -> Vec<u16> {
    let tcp = ports(pod).filter(|port| port["protocol"].as_str().is_none_or(|name| name == "TCP"));
    tcp.filter_map(|port| port["containerPort"].as_u64()?.try_into().ok()).collect()
}

/// The container port that a Service's `targetPort` means: a number itself, a name that of the port
/// with this name.
pub(crate) fn target_port(pod: &Value, target: &Value) -> Option<u16> {
    let number = match target.as_str() {
        Some(name) => ports(pod).find(|port| port["name"] == name)?["containerPort"].as_u64(),
        None => target.as_u64(),
    };
    number?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Manifest;
    use super::*;

    #[test]
    fn what_is_behind_a_service_is_found_by_its_labels() {
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}\n---\n\
            apiVersion: v1\nkind: Service\nmetadata: {name: all}\nspec: {}\n---\n\
            apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {a: x}}\n---\n\
            apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db}\nspec: {replicas: 3, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: db}]}}}\n";
        let manifest = Manifest::of_texts([("a.yaml", text)]);
        let behind = manifest.behind(&manifest.service("s").unwrap()).unwrap();
        assert_eq!((behind.controller, behind.replicas), (Controller::StatefulSet, 3));
        assert_eq!(behind.containers().collect::<Vec<_>>(), ["db"]);
        assert!(manifest.behind(&manifest.service("all").unwrap()).is_none());
    }

    #[test]
    fn the_example_has_two_pods() {
        let web = include_str!("../../experiments/workloads/web.yaml");
        let manifest = Manifest::of_texts([("web.yaml", web)]);
        let behind = manifest.behind(&manifest.service("web").unwrap()).unwrap();
        assert_eq!((behind.controller, behind.replicas), (Controller::ReplicaSet, 2));
    }

    #[test]
    fn a_port_is_found_by_number_and_by_name() {
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}]}});
        assert_eq!(container_ports(&pod), [80]);
        assert_eq!(target_port(&pod, &"http".into()), Some(80));
        assert_eq!(target_port(&pod, &8080.into()), Some(8080));
        assert_eq!(target_port(&pod, &"grpc".into()), None);
    }
}

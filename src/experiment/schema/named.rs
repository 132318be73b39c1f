//! The objects that an experiment names: each place where it can.

use std::collections::BTreeMap;

use super::{
    Ask, Condition, DnsName, Expectation, Experiment, Fault, From, NodeSelector, Pods, Probe, Step,
    Target,
};
use crate::timeline::ObjectRef;

/// A name in an experiment, with the kind of the object; or pods.
#[derive(Debug)]
pub enum Named<'a> {
    Object(&'static str, &'a mut ObjectRef),
    Pods(&'a mut Pods),
}

impl Named<'_> {
    pub fn namespace_mut(&mut self) -> &mut Option<String> {
        match self {
            Named::Object(_, object) => &mut object.namespace,
            Named::Pods(pods) => &mut pods.namespace,
        }
    }
}

impl Experiment {
    /// Visits all names.
    pub fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        self.probes.iter_mut().for_each(|probe| probe.each_named(visit));
        self.steady_state.iter_mut().for_each(|condition| condition.each_named(visit));
        self.method.iter_mut().for_each(|step| step.each_named(visit));
        self.expect.iter_mut().for_each(|expectation| expectation.each_named(visit));
    }

    /// What exists already and is named: the Services, by their namespaces. A namespace of which
    /// only pods are named has none.
    pub fn elsewhere(&self) -> BTreeMap<String, Vec<ObjectRef>> {
        let mut found: BTreeMap<String, Vec<ObjectRef>> = BTreeMap::new();
        self.clone().each_named(&mut |mut named| {
            let Some(namespace) = named.namespace_mut().clone() else { return };
            let services = found.entry(namespace).or_default();
            if let Named::Object(SERVICE, service) = named
                && !services.contains(service)
            {
                services.push(service.clone());
            }
        });
        found
    }
}

const SERVICE: &str = "Service";

impl Probe {
    pub(super) fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        match &mut self.from {
            From::Pod(pods) => visit(Named::Pods(pods)),
            From::Node(node) => node.each_named(visit),
            From::Host => {}
        }
        if let Ask::Dns { name: DnsName::Service(service), .. } = &mut self.ask {
            visit(Named::Object(SERVICE, service));
        }
        if let Some(settings) = self.ask.tls_settings_mut() {
            settings.secrets_mut().for_each(|secret| visit(Named::Object("Secret", secret)));
        }
        match self.ask.target_mut() {
            Some(Target::Service { service, .. } | Target::Published { service, .. }) => {
                visit(Named::Object(SERVICE, service));
            }
            Some(Target::Ingress { ingress, service, of_paths, .. }) => {
                visit(Named::Object("Ingress", ingress));
                service
                    .iter_mut()
                    .chain(of_paths)
                    .for_each(|service| visit(Named::Object(SERVICE, service)));
            }
            Some(Target::Pod { pods, .. }) => visit(Named::Pods(pods)),
            Some(Target::Address { service, .. }) => {
                service.iter_mut().for_each(|service| visit(Named::Object(SERVICE, service)));
            }
            None => {}
        }
    }
}

impl NodeSelector {
    fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        if let Some(service) = &mut self.most_endpoints_of {
            visit(Named::Object(SERVICE, service));
        }
    }
}

impl Condition {
    fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        if let Condition::EndpointsReady { service, .. } = self {
            visit(Named::Object(SERVICE, service));
        }
    }
}

impl Step {
    fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        let Step::Fault { fault, meanwhile, .. } = self else { return };
        fault.each_named(visit);
        meanwhile.iter_mut().for_each(|step| step.each_named(visit));
    }
}

impl Fault {
    pub(in crate::experiment) fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        if let Some(target) = self.target_mut() {
            target.each_named(visit);
        }
        self.objects_mut().into_iter().for_each(visit);
    }
}

impl Expectation {
    fn each_named(&mut self, visit: &mut dyn FnMut(Named)) {
        match self {
            Expectation::EndpointRemoval { service: Some(service), .. }
            | Expectation::Rescheduled { service, .. } => visit(Named::Object(SERVICE, service)),
            Expectation::NotRescheduled { pods } | Expectation::Restarted { pods, .. } => {
                visit(Named::Pods(pods));
            }
            _ => {}
        }
    }
}

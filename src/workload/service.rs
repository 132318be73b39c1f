//! What a Service's manifest says of where its connections go.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::Object;
use super::pods::texts;
use crate::model::Routing;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Service<'a> {
    object: &'a Object,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposure<'a> {
    /// By an address of its own (ClusterIP, NodePort and LoadBalancer have one).
    ClusterIp,
    /// By its name, which DNS answers with its pods' addresses.
    Headless,
    /// By its name, which DNS answers with this one.
    ExternalName(&'a str),
}

impl<'a> Service<'a> {
    pub(super) fn of(object: &'a Object) -> Option<Self> {
        (object.kind() == "Service" && object.group().is_empty()).then_some(Self { object })
    }

    pub(crate) fn name(&self) -> &'a str {
        self.object.name()
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        let ports = self.object.at("spec.ports").as_array().into_iter().flatten();
        ports.filter_map(|port| port["port"].as_u64()?.try_into().ok()).collect()
    }

    /// `ClusterIP` where it does not say.
    pub(crate) fn service_type(&self) -> &'a str {
        self.object.at("spec.type").as_str().unwrap_or("ClusterIP")
    }

    /// The labels of its pods; none: nothing is selected.
    pub(crate) fn selector(&self) -> BTreeMap<String, String> {
        texts(self.object.at("spec.selector"))
    }

    pub(crate) fn exposure(&self) -> Exposure<'a> {
        let text = |path| self.object.at(path).as_str().unwrap_or_default();
        match (text("spec.type"), text("spec.clusterIP")) {
            ("ExternalName", _) => Exposure::ExternalName(text("spec.externalName")),
            (_, "None") => Exposure::Headless,
            _ => Exposure::ClusterIp,
        }
    }

    pub(crate) fn routing(&self) -> Routing {
        routing(self.object.json())
    }
}

/// How a Service, as the API has it, chooses among its endpoints.
pub(crate) fn routing(service: &Value) -> Routing {
    let spec = &service["spec"];
    match (spec["internalTrafficPolicy"] == "Local", spec["sessionAffinity"] == "ClientIP") {
        (true, true) => Routing::StickyLocal,
        (true, false) => Routing::Local,
        (false, true) => Routing::Sticky,
        (false, false) => Routing::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;

    fn with(spec: &str, check: impl Fn(Service<'_>)) {
        let text =
            format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n");
        check(Manifest::of_texts([("a.yaml", text.as_str())]).service("web").unwrap());
    }

    #[test]
    fn a_service_is_asked_by_its_address_or_by_its_name() {
        with("{ports: [{port: 80}, {port: 0x1BB}], selector: {app: web}}", |service| {
            assert_eq!(
                (service.exposure(), service.routing()),
                (Exposure::ClusterIp, Routing::Any)
            );
            assert_eq!(service.ports(), [80, 443]);
            assert_eq!(service.selector()["app"], "web");
        });
        with("{clusterIP: None}", |service| assert_eq!(service.exposure(), Exposure::Headless));
        with("{type: ExternalName, externalName: api.example.test}", |service| {
            assert_eq!(service.exposure(), Exposure::ExternalName("api.example.test"));
        });
    }

    #[test]
    fn affinity_and_policy_choose_the_endpoint() {
        with("{sessionAffinity: ClientIP}", |service| {
            assert_eq!(service.routing(), Routing::Sticky)
        });
        with("{internalTrafficPolicy: Local}", |service| {
            assert_eq!(service.routing(), Routing::Local);
        });
        with("{internalTrafficPolicy: Local, sessionAffinity: ClientIP}", |service| {
            assert_eq!(service.routing(), Routing::StickyLocal);
        });
    }
}

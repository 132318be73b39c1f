//! The endpoints of Services, from EndpointSlices: which became ready or not, and which left.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use super::cache::{self, Watched};
use crate::cluster::slice_endpoints;
use crate::timeline::{Change, Endpoint, Event};

pub(super) struct Slices;

/// The label that names a slice's Service.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    service: String,
    endpoint: Endpoint,
}

impl Row {
    /// A row and its key: Service and pod, or address where there is no pod.
    pub(super) fn of(service: &str, endpoint: Endpoint) -> (String, Self) {
        let key = format!("{service}/{}", endpoint.pod.as_deref().unwrap_or(&endpoint.address));
        (key, Self { service: service.to_owned(), endpoint })
    }
}

impl cache::Row for Row {
    fn event(&self, change: Change) -> Option<Event> {
        Some(Event::Endpoint {
            service: self.service.clone(),
            change,
            endpoint: self.endpoint.clone(),
        })
    }

    fn elsewhere(self, namespace: &str) -> Self {
        Self { service: format!("{namespace}/{}", self.service), ..self }
    }

    /// One that is ready counts before one that is not.
    fn rank(&self) -> u8 {
        u8::from(self.endpoint.ready)
    }
}

impl Watched for Slices {
    type Object = EndpointSlice;
    type Row = Row;

    fn rows(object: &EndpointSlice) -> Vec<(String, Row)> {
        let Some(service) = object.labels().get(SERVICE) else { return Vec::new() };
        slice_endpoints(object).map(|endpoint| Row::of(service, endpoint)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::watch::cache::{Elsewhere, WatchCache};

    #[test]
    fn a_service_of_another_namespace_bears_its_name() {
        let slice = json!({"metadata": {"name": "kube-dns-x", "namespace": "kube-system", "labels": {SERVICE: "kube-dns"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "w"}]});
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let events = WatchCache::<Elsewhere<Slices>>::new().put(&slice, Change::Baseline);
        let [Event::Endpoint { service, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(service, "kube-system/kube-dns");
    }
}

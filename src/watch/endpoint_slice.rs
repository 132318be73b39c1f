//! The endpoints of Services, from EndpointSlices: which became ready or not, and which left.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::cluster::slice_endpoints;
use crate::timeline::{Change, Endpoint, Event};

pub(super) struct Slices;

/// The label that names a slice's Service.
pub(super) const SERVICE: &str = "kubernetes.io/service-name";

/// The row of Service and pod, or address where there is no pod. One that is ready counts before
/// one that is not.
pub(super) fn row(service: &str, endpoint: Endpoint) -> Row {
    let key = format!("{service}/{}", endpoint.pod.as_deref().unwrap_or(&endpoint.address));
    let (rank, service, change) = (endpoint.ready.into(), service.to_owned(), Change::Baseline);
    Row { rank, ..Row::new(key, Event::Endpoint { service, change, endpoint }) }
}

impl Watched for Slices {
    type Object = EndpointSlice;

    fn rows(object: &EndpointSlice) -> Vec<Row> {
        let Some(service) = object.labels().get(SERVICE) else { return Vec::new() };
        slice_endpoints(object).map(|endpoint| row(service, endpoint)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::watch::cache::{Elsewhere, WatchCache};

    #[test]
    fn a_service_of_another_namespace_is_named_with_it() {
        let slice = json!({"metadata": {"name": "kube-dns-x", "namespace": "kube-system", "labels": {SERVICE: "kube-dns"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "w"}]});
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let events = WatchCache::<Elsewhere<Slices>>::new().put(&slice, Change::Baseline);
        let [Event::Endpoint { service, .. }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(service, "kube-system/kube-dns");
    }
}

//! The endpoints of Services, from the old Endpoints objects: for servers that have no
//! EndpointSlices (before 1.21).

use k8s_openapi::api::core::v1::Endpoints;
use kube::ResourceExt;

use super::cache::{Row, Watched};
use super::endpoint_slice::row;
use crate::cluster::endpoints_endpoints;

pub(super) struct OldEndpoints;

impl Watched for OldEndpoints {
    type Object = Endpoints;

    fn rows(object: &Endpoints) -> Vec<Row> {
        endpoints_endpoints(object).map(|endpoint| row(&object.name_any(), endpoint)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::timeline::{Change, Event};
    use crate::watch::cache::WatchCache;

    #[test]
    fn an_address_that_moves_to_the_not_ready_ones_is_not_ready() {
        let address =
            json!([{"ip": "10.0.0.1", "nodeName": "n", "targetRef": {"kind": "Pod", "name": "a"}}]);
        let object = |field: &str| {
            serde_json::from_value(
                json!({"metadata": {"name": "web"}, "subsets": [{field: address}]}),
            )
            .unwrap()
        };
        let mut cache = WatchCache::<OldEndpoints>::new();
        cache.put(&object("addresses"), Change::Baseline);
        let events = cache.put(&object("notReadyAddresses"), Change::Changed);
        let [Event::Endpoint { service, change: Change::Changed, endpoint }] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (service.as_str(), endpoint.ready, endpoint.node.as_deref()),
            ("web", false, Some("n"))
        );
    }
}

//! Leases: a node's heartbeat, or who leads.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::timeline::{Change, Event};

pub(super) struct Leases;

/// Each API server renews one in kube-system, to say that it exists. It leads nothing.
const API_SERVER: &str = "apiserver-";

impl Watched for Leases {
    type Object = Lease;

    fn rows(object: &Lease) -> Vec<Row> {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        if name.starts_with(API_SERVER) {
            return Vec::new();
        }
        let spec = object.spec.clone().unwrap_or_default();
        let key = format!("{namespace}/{name}");
        let event = Event::Lease {
            namespace,
            name,
            change: Change::Baseline,
            // A leader that gives its lease back leaves an empty name.
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            renewed: spec.renew_time.map(|time| time.0),
            transitions: spec.lease_transitions,
            lasts_s: spec.lease_duration_seconds,
        };
        vec![Row::new(key, event)]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_renewal_keeps_its_microseconds() {
        let lease = |name: &str| {
            let meta = json!({"namespace": "kube-system", "name": name});
            let spec = json!({"holderIdentity": "a", "renewTime": "2026-11-22T06:23:41.123456Z", "leaseTransitions": 2, "leaseDurationSeconds": 15});
            serde_json::from_value::<Lease>(json!({"metadata": meta, "spec": spec})).unwrap()
        };
        let event = Leases::rows(&lease("kube-scheduler")).remove(0).event;
        let Event::Lease { holder, renewed, transitions, lasts_s, .. } = event else { panic!() };
        assert_eq!(renewed.unwrap().subsec_microsecond(), 123_456);
        assert_eq!((holder.as_deref(), transitions, lasts_s), (Some("a"), Some(2), Some(15)));
        assert!(Leases::rows(&lease("apiserver-abc")).is_empty());
    }
}

//! Leases: nodes' heartbeats and leaders' locks.

use serde_json::{Value, json};

use crate::embedded::store::object;

pub(crate) fn of_node(node: &str, seconds: u64, at: jiff::Timestamp) -> Value {
    json!({
        "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "leaseDurationSeconds": seconds, "renewTime": object::micro_timestamp(at)},
    })
}

/// A leader's lock that nobody holds yet.
pub(crate) fn of_leader(component: &str) -> Value {
    json!({
        "metadata": {"name": component, "namespace": "kube-system"},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 15, "leaseTransitions": 0},
    })
}

pub(crate) fn renew(lease: &mut Value, at: jiff::Timestamp) {
    object::map_mut(lease, "spec").insert("renewTime".into(), object::micro_timestamp(at).into());
}

/// It has another holder; none, when it was given back.
pub(crate) fn pass_on(lease: &mut Value, holder: Option<&str>, at: jiff::Timestamp) {
    let spec = object::map_mut(lease, "spec");
    if holder.is_some() {
        // What was never held is acquired without a transition.
        let transitions = spec.get("leaseTransitions").and_then(Value::as_u64).unwrap_or(0);
        let first = spec.get("acquireTime").is_none_or(Value::is_null);
        spec.insert(
            "leaseTransitions".into(),
            if first { transitions } else { transitions.saturating_add(1) }.into(),
        );
        spec.insert("acquireTime".into(), object::micro_timestamp(at).into());
    }
    spec.insert("holderIdentity".into(), holder.unwrap_or_default().into());
    renew(lease, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_follows_another_is_a_transition() {
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut lease = of_leader("kube-scheduler");
        pass_on(&mut lease, Some("a"), at);
        assert_eq!(lease["spec"]["leaseTransitions"], 0);
        pass_on(&mut lease, None, at);
        pass_on(&mut lease, Some("b"), at);
        assert_eq!(
            (&lease["spec"]["leaseTransitions"], &lease["spec"]["holderIdentity"]),
            (&1.into(), &"b".into())
        );
    }
}

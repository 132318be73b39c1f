//! Kubernetes' own events: those of nodes, and those of the run's namespace.

use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::cluster::CANARY_PREFIX;
use crate::timeline::{Change, Event};

pub(super) struct Events;

impl Watched for Events {
    type Object = core::Event;
    /// Kubernetes forgets events after an hour.
    const END_IS_NEWS: bool = false;

    fn rows(object: &core::Event) -> Vec<Row> {
        let about = &object.involved_object;
        let [kind, name] =
            [&about.kind, &about.name].map(|part| part.as_deref().unwrap_or_default());
        let regarding = format!("{kind}/{name}");
        // A canary's attempts tell what became of its pods.
        if regarding.contains(CANARY_PREFIX) {
            return Vec::new();
        }
        let series = object.series.as_ref();
        let last = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let event = Event::KubeEvent {
            kind: object.type_.clone().unwrap_or_default(),
            reason: object.reason.clone().unwrap_or_default(),
            regarding,
            message: object.message.clone().unwrap_or_default(),
            time: last
                .or(object.last_timestamp.as_ref().map(|time| time.0))
                .or(object.event_time.as_ref().map(|time| time.0))
                .or(object.first_timestamp.as_ref().map(|time| time.0)),
            change: Change::Baseline,
        };
        // One that happens again has a new count, and mostly a new time.
        let count = series.and_then(|series| series.count).or(object.count);
        vec![Row { count, ..Row::new(object.name_any(), event) }]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::watch::cache::WatchCache;

    #[test]
    fn an_event_that_happens_again_is_reported_again_and_its_end_is_not() {
        let event = |count: i32| {
            let about = json!({"kind": "Node", "name": "w"});
            serde_json::from_value::<core::Event>(
                json!({"metadata": {"name": "e"}, "involvedObject": about, "type": "Normal",
                "reason": "NodeNotReady", "count": count, "lastTimestamp": "2026-11-22T06:23:41Z"}),
            )
            .unwrap()
        };
        let mut cache = WatchCache::<Events>::new();
        assert_eq!(cache.put(&event(1), Change::Baseline).len(), 1);
        assert!(cache.put(&event(1), Change::Changed).is_empty());
        let again = cache.put(&event(2), Change::Changed);
        assert!(
            matches!(again.as_slice(), [Event::KubeEvent { regarding, .. }] if regarding == "Node/w"),
            "{again:?}"
        );
        assert!(cache.remove(&event(2)).is_empty());
    }
}

//! Kubernetes' own events: those of nodes, and those of the run's namespace.

use k8s_openapi::api::core::v1 as core;
use kube::ResourceExt;

use super::cache::{self, Watched};
use crate::cluster::CANARY_PREFIX;
use crate::timeline::{Change, Event};

pub(super) struct Events;

/// What is kept of an event. One that happens again has a new time (and count).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    kind: String,
    reason: String,
    regarding: String,
    message: String,
    time: Option<jiff::Timestamp>,
    count: Option<i32>,
}

impl Watched for Events {
    type Object = core::Event;
    type Row = Row;

    fn rows(object: &core::Event) -> Vec<(String, Row)> {
        let about = &object.involved_object;
        let series = object.series.as_ref();
        let last = series.and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
        let row = Row {
            kind: object.type_.clone().unwrap_or_default(),
            reason: object.reason.clone().unwrap_or_default(),
            regarding: format!(
                "{}/{}",
                about.kind.as_deref().unwrap_or_default(),
                about.name.as_deref().unwrap_or_default()
            ),
            message: object.message.clone().unwrap_or_default(),
            time: last
                .or(object.last_timestamp.as_ref().map(|time| time.0))
                .or(object.event_time.as_ref().map(|time| time.0))
                .or(object.first_timestamp.as_ref().map(|time| time.0)),
            count: series.and_then(|series| series.count).or(object.count),
        };
        vec![(object.name_any(), row)]
    }
}

impl cache::Row for Row {
    fn elsewhere(self, namespace: &str) -> Self {
        Self { regarding: self.regarding.replacen('/', &format!("/{namespace}/"), 1), ..self }
    }

    fn event(&self, change: Change) -> Option<Event> {
        // Kubernetes forgets events after an hour. That is not news.
        if change == Change::Deleted {
            return None;
        }
        // A canary's attempts tell what became of its pods.
        if self.regarding.contains(CANARY_PREFIX) {
            return None;
        }
        let Row { kind, reason, regarding, message, time, count: _ } = self.clone();
        Some(Event::KubeEvent { kind, reason, regarding, message, time, change })
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

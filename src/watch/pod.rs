//! The pods of the run's namespace.

use kube::ResourceExt;

use super::book::Watched;
use crate::cluster::{objects, pod_ready};
use crate::timeline::{Change, Event};

pub(super) struct Pods;

/// What is kept of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pod: String,
    node: Option<String>,
    phase: String,
    ready: bool,
}

impl Watched for Pods {
    type Object = objects::Pod;
    type Row = Row;

    fn rows(object: &objects::Pod) -> Vec<(String, Row)> {
        let row = Row {
            pod: object.name_any(),
            node: object.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            phase: object.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
            ready: pod_ready(object),
        };
        vec![(row.pod.clone(), row)]
    }

    fn event(row: &Row, change: Change) -> Option<Event> {
        let Row { pod, node, phase, ready } = row.clone();
        Some(Event::Pod { pod, change, node, phase, ready })
    }
}

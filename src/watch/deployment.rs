//! Deployments: what is asked of one, and how far its controller has come.

use kube::ResourceExt;

use super::cache::{self, Watched};
use crate::cluster::objects;
use crate::timeline::{Change, Event};

pub(super) struct Deployments;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    deployment: String,
    generation: i64,
    observed: i64,
    wanted: i32,
    replicas: i32,
}

impl Watched for Deployments {
    type Object = objects::Deployment;
    type Row = Row;

    fn rows(object: &objects::Deployment) -> Vec<(String, Row)> {
        let status = object.status.as_ref();
        let row = Row {
            deployment: object.name_any(),
            generation: object.metadata.generation.unwrap_or_default(),
            observed: status.and_then(|status| status.observed_generation).unwrap_or_default(),
            wanted: object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            replicas: status.and_then(|status| status.replicas).unwrap_or_default(),
        };
        vec![(row.deployment.clone(), row)]
    }
}

impl cache::Row for Row {
    fn event(&self, change: Change) -> Option<Event> {
        let Row { deployment, generation, observed, wanted, replicas } = self.clone();
        Some(Event::Deployment { deployment, change, generation, observed, wanted, replicas })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_tells_what_is_asked_and_what_is_done() {
        let object = |value| serde_json::from_value::<objects::Deployment>(value).unwrap();
        let new =
            object(json!({"metadata": {"name": "d", "generation": 1}, "spec": {"replicas": 2}}));
        let row = |object| Deployments::rows(object).remove(0).1;
        let Row { observed, wanted, replicas, .. } = row(&new);
        assert_eq!((observed, wanted, replicas), (0, 2, 0));
        let done = json!({"observedGeneration": 3, "replicas": 1});
        let seen = row(&object(
            json!({"metadata": {"name": "d", "generation": 3}, "spec": {"replicas": 1}, "status": done}),
        ));
        assert_eq!((seen.generation, seen.observed, seen.wanted, seen.replicas), (3, 3, 1, 1));
    }
}

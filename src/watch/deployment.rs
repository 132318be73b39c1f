//! Deployments: what is asked of one, and how far its controller has come.

use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::cluster::objects;
use crate::timeline::{Change, Event};

pub(super) struct Deployments;

impl Watched for Deployments {
    type Object = objects::Deployment;

    fn rows(object: &objects::Deployment) -> Vec<Row> {
        let status = object.status.as_ref();
        let event = Event::Deployment {
            deployment: object.name_any(),
            change: Change::Baseline,
            generation: object.metadata.generation.unwrap_or_default(),
            observed: status.and_then(|status| status.observed_generation).unwrap_or_default(),
            wanted: object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
            replicas: status.and_then(|status| status.replicas).unwrap_or_default(),
        };
        vec![Row::new(object.name_any(), event)]
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
        let seen = |object| match Deployments::rows(object).remove(0).event {
            Event::Deployment { generation, observed, wanted, replicas, .. } => {
                (generation, observed, wanted, replicas)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(seen(&new), (1, 0, 2, 0));
        let done = json!({"observedGeneration": 3, "replicas": 1});
        let done = object(
            json!({"metadata": {"name": "d", "generation": 3}, "spec": {"replicas": 1}, "status": done}),
        );
        assert_eq!(seen(&done), (3, 3, 1, 1));
    }
}

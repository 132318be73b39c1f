//! How many replicas a Deployment is to have, and has.

use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{mark_of, marked};
use super::objects::Deployment;

/// A Deployment's replicas, and which run has marked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Tells it from a later Deployment of the same name.
    pub uid: String,
    pub version: String,
    pub wanted: u32,
    /// It has so many that are not ending, as far as its controller has seen the newest spec;
    /// `None`: it has not.
    pub there: Option<u32>,
    pub ready: u32,
    pub mark: Option<String>,
}

impl Cluster {
    /// A Deployment's scale. Errors when there is none of that name.
    pub(crate) async fn scale_of(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Scale, ClusterError> {
        let found = self
            .call(
                format!("read the Deployment {namespace}/{name}"),
                self.deployments(namespace).get(name),
            )
            .await?;
        Ok(read(found))
    }

    /// Gives a Deployment another number of replicas and our mark, in one step, if it still is as
    /// it was read. Errors when somebody has changed it since.
    pub(crate) async fn scale(
        &self,
        namespace: &str,
        name: &str,
        seen: &Scale,
        to: u32,
        mark: Option<&str>,
    ) -> Result<Scale, ClusterError> {
        let body = patch(seen, to, mark);
        let what = format!("scale the Deployment {namespace}/{name} to {to}");
        let patched = self
            .call(
                what,
                self.deployments(namespace).patch(
                    name,
                    &PatchParams::default(),
                    &Patch::Merge(body),
                ),
            )
            .await?;
        Ok(read(patched))
    }

    fn deployments(&self, namespace: &str) -> Api<Deployment> {
        Api::namespaced(self.client(), namespace)
    }
}

/// A label that is null is taken away.
fn patch(seen: &Scale, to: u32, mark: Option<&str>) -> Value {
    json!({"metadata": marked(&seen.uid, &seen.version, mark), "spec": {"replicas": to}})
}

fn read(found: Deployment) -> Scale {
    let count =
        |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    let status = found.status.unwrap_or_default();
    let seen = status.observed_generation >= found.metadata.generation;
    let wanted = found.spec.and_then(|spec| spec.replicas);
    Scale {
        mark: mark_of(&found.metadata),
        uid: found.metadata.uid.unwrap_or_default(),
        version: found.metadata.resource_version.unwrap_or_default(),
        wanted: count(Some(wanted.unwrap_or(1))),
        there: seen.then(|| count(status.replicas)),
        ready: count(status.ready_replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Scale {
        read(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn what_its_controller_has_not_seen_is_not_there() {
        let deployment = |observed: i64| {
            json!({"metadata": {"name": "d", "uid": "u", "resourceVersion": "7", "generation": 3, "labels": {"outage.run": "r-0"}},
                "spec": {"replicas": 0}, "status": {"observedGeneration": observed, "replicas": 2, "readyReplicas": 2}})
        };
        assert_eq!(of(deployment(2)).there, None);
        let seen = of(deployment(3));
        assert_eq!(
            (seen.wanted, seen.there, seen.ready, seen.mark.as_deref()),
            (0, Some(2), 2, Some("r-0"))
        );
        assert_eq!(of(json!({"metadata": {"name": "d"}})).wanted, 1, "Kubernetes' default");
    }

    #[test]
    fn a_scale_holds_only_for_what_was_read() {
        let seen = of(json!({"metadata": {"uid": "u", "resourceVersion": "7"}}));
        let sent = patch(&seen, 0, Some("r-0"));
        assert_eq!(
            sent["metadata"],
            json!({"uid": "u", "resourceVersion": "7", "labels": {"outage.run": "r-0"}})
        );
        assert_eq!(patch(&seen, 2, None)["metadata"]["labels"], json!({"outage.run": null}));
    }
}

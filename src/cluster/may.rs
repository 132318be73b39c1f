//! What the user of this connection may do, as the API server says it.

use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};

use super::connect::Cluster;
use super::error::ClusterError;

/// Something that a user may be allowed to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessRequest<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    /// With its subresource: `pods/eviction`; or a path of the server: `/metrics`.
    pub resource: &'a str,
    /// `None`: in all namespaces.
    pub namespace: Option<&'a str>,
    /// `None`: with all objects.
    pub name: Option<&'a str>,
}

impl AccessRequest<'_> {
    fn attributes(&self) -> ResourceAttributes {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (self.resource, None),
        };
        ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.to_owned()),
            namespace: self.namespace.map(str::to_owned),
            name: self.name.map(str::to_owned),
            ..ResourceAttributes::default()
        }
    }
}

impl Cluster {
    /// Whether the user may do it (a SelfSubjectAccessReview, which every authenticated user may
    /// ask for).
    pub(crate) async fn may(&self, request: AccessRequest<'_>) -> Result<bool, ClusterError> {
        let spec = match request.resource.starts_with('/') {
            true => SelfSubjectAccessReviewSpec {
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(request.resource.to_owned()),
                    verb: Some(request.verb.to_owned()),
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            false => SelfSubjectAccessReviewSpec {
                resource_attributes: Some(request.attributes()),
                ..SelfSubjectAccessReviewSpec::default()
            },
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let params = PostParams::default();
        let answer = self.call("review the user's rights", api.create(&params, &review));
        Ok(answer.await?.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn the_server_is_asked_for_just_the_one_thing() {
        let cluster = Cluster::of_service(|request: http::Request<Body>| async move {
            let asked: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
            let of = &asked["spec"]["resourceAttributes"];
            let path = &asked["spec"]["nonResourceAttributes"];
            let allowed = of["resource"] == "pods" && of["subresource"] == "eviction"
                || of.is_null() && *path == json!({"path": "/metrics", "verb": "create"});
            let answer = json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}});
            Ok(Response::builder().body(Body::from(answer.to_string().into_bytes()))?)
        });
        let request = |resource| AccessRequest {
            verb: "create",
            group: "",
            resource,
            namespace: Some("shop"),
            name: None,
        };
        assert!(cluster.may(request("pods/eviction")).await.unwrap());
        assert!(!cluster.may(request("pods")).await.unwrap());
        assert!(cluster.may(request("/metrics")).await.unwrap());
    }
}

//! Every object that the cluster holds, by uid: what was there can be compared with what is.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, ObjectMeta, PartialObjectMeta};
use kube::discovery::{self, ApiGroup, verbs};
use tokio::time::{Instant, sleep};

use super::connect::Cluster;
use super::error::ClusterError;
use super::query::controller;
use super::retry::{RETRY, retry_until};
use crate::timeline::{ObjectName, UnreadKind};

/// Kinds whose objects come and go by themselves.
const FLEETING: [&str; 5] =
    ["Event", "Lease", "PodMetrics", "NodeMetrics", "CertificateSigningRequest"];
/// Kinds that controllers change as nodes and pods come and go.
const CHANGING: [&str; 2] = ["Endpoints", "EndpointSlice"];
/// Kinds without a generation that only change when their content does.
const PLAIN: [&str; 2] = ["ConfigMap", "Secret"];
const PAGE: u32 = 500;
const CORE: &str = ApiGroup::CORE_GROUP;
/// How long each API group that somebody else may serve is asked for.
const AGGREGATED: Duration = Duration::from_secs(5);
/// How long what may pass is asked for again, in all: an API server whose store has just come back
/// answers some kinds late.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What a cluster holds.
#[derive(Clone, Debug)]
pub(crate) struct Inventory {
    pub objects: Vec<ObjectName>,
    /// The kinds that could not be listed.
    pub unread: Vec<UnreadKind>,
}

impl Cluster {
    /// All objects of all kinds that can be listed, but for those that come and go by themselves,
    /// and the kinds that could not be listed, with the reason. Of each object only its metadata is
    /// asked for. What may be over in a moment is asked for again, for 60 s in all.
    pub(crate) async fn inventory(&self) -> Result<Inventory, ClusterError> {
        let until = Instant::now() + TIMEOUT;
        let (mut kinds, unread_groups) = self.kinds(until).await?;
        let mut objects = Vec::new();
        loop {
            let mut unread = Vec::new();
            for resource in kinds {
                match self.of_kind_until(until, &resource).await {
                    Ok(found) => objects.extend(found),
                    Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 405, .. }) => {}
                    Err(error) => unread.push((resource, error)),
                }
            }
            if Instant::now() + RETRY > until || !unread.iter().any(|(_, error)| error.may_pass()) {
                objects.sort_by(|a: &ObjectName, b| {
                    (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name))
                });
                let unread = unread.into_iter().map(given_up).chain(unread_groups).collect();
                return Ok(Inventory { objects, unread });
            }
            sleep(RETRY).await;
            kinds = unread.into_iter().map(|(resource, _)| resource).collect();
        }
    }

    /// The kinds whose objects can be listed and stay, and the API groups that do not answer: an
    /// aggregated one is served by somebody else.
    async fn kinds(
        &self,
        until: Instant,
    ) -> Result<(Vec<ApiResource>, Vec<UnreadKind>), ClusterError> {
        const WHAT: &str = "list the API resources";
        let client = &self.client();
        let list = || self.call(WHAT, client.list_api_groups());
        let groups = retry_until(until, ClusterError::may_pass, list).await?.groups;
        let (mut kinds, mut unread) = (Vec::new(), Vec::new());
        // Where the groups without a domain answer, the API server does; one with a domain may be
        // somebody else's.
        let mut names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        names.push(CORE);
        names.sort_by_key(|name| name.contains('.'));
        for name in names {
            let soon = Instant::now() + AGGREGATED;
            let until = if name.contains('.') { until.min(soon) } else { until };
            let ask = || self.call(WHAT, discovery::group(client, name));
            match retry_until(until, ClusterError::may_pass, ask).await {
                Ok(group) => kinds.extend(group.recommended_resources().into_iter().filter_map(
                    |(resource, capabilities)| {
                        let is_kept = capabilities.supports_operation(verbs::LIST)
                            && !FLEETING.contains(&resource.kind.as_str());
                        is_kept.then_some(resource)
                    },
                )),
                Err(error) if name == CORE => return Err(error),
                Err(error) => unread.push(UnreadKind::of_group(name, error.to_string())),
            }
        }
        Ok((kinds, unread))
    }

    /// Where each call is slow, those of all kinds would take many minutes.
    async fn of_kind_until(
        &self,
        until: Instant,
        resource: &ApiResource,
    ) -> Result<Vec<ObjectName>, ClusterError> {
        if Instant::now() <= until {
            return self.of_kind(resource).await;
        }
        let (what, why) = (
            format!("the {} were not listed", resource.plural),
            "earlier calls used up the time limit".to_owned(),
        );
        Err(ClusterError::TooSlow { what, within: TIMEOUT, why })
    }

    async fn of_kind(&self, resource: &ApiResource) -> Result<Vec<ObjectName>, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client(), resource);
        let (mut params, mut all) = (ListParams::default().limit(PAGE), Vec::new());
        loop {
            let page = self
                .call(format!("list the {}", resource.plural), api.list_metadata(&params))
                .await?;
            all.extend(page.items.into_iter().filter_map(|object| named(resource, object)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }
}

fn given_up((resource, error): (ApiResource, ClusterError)) -> UnreadKind {
    UnreadKind { kind: kind_of(&resource), why: error.to_string() }
}

fn kind_of(resource: &ApiResource) -> String {
    let group =
        if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
    format!("{}{group}", resource.kind)
}

/// What has no uid is not an object that is kept anywhere.
fn named(resource: &ApiResource, object: PartialObjectMeta<DynamicObject>) -> Option<ObjectName> {
    let owner = controller(&object).map(|owner| owner.uid.clone());
    Some(ObjectName {
        kind: kind_of(resource),
        namespace: object.namespace(),
        name: object.name_any(),
        uid: object.uid()?,
        controlled: owner.is_some(),
        owner,
        content: content(resource, &object.metadata),
    })
}

/// Without the status: what controllers write there does not count.
fn content(resource: &ApiResource, metadata: &ObjectMeta) -> Option<String> {
    let kind = resource.kind.as_str();
    let version = || metadata.resource_version.clone().filter(|_| PLAIN.contains(&kind));
    metadata
        .generation
        .map(|generation| generation.to_string())
        .or_else(version)
        .filter(|_| !CHANGING.contains(&kind))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::Pod;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// A server of two kinds, of which one is refused with `code` for so many times.
    fn cluster(code: u16, times: u32) -> Cluster {
        let left = Arc::new(Mutex::new(times));
        Cluster::of_service(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let refused = path == "/api/v1/secrets" && {
                let mut left = left.lock().unwrap();
                *left = left.saturating_sub(1);
                *left > 0
            };
            async move {
                let (code, body) =
                    if refused { (code, refusal(code)) } else { (200, answer(&path)) };
                Ok(http::Response::builder()
                    .status(code)
                    .body(Body::from(body.to_string().into_bytes()))?)
            }
        })
    }

    fn refusal(code: u16) -> Value {
        json!({"kind": "Status", "status": "Failure", "message": "not now", "reason": "", "code": code})
    }

    fn answer(path: &str) -> Value {
        let kind = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list", "get"]});
        match path {
            "/apis" => json!({"kind": "APIGroupList", "groups": []}),
            "/api" => {
                json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
            }
            "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1",
                "resources": [kind("secrets", "Secret"), kind("pods", "Pod"), kind("events", "Event")]}),
            kinds => {
                let (name, uid) = (kinds.rsplit('/').next().unwrap_or_default(), kinds);
                json!({"metadata": {}, "items": [{"metadata": {"name": name, "namespace": "n", "uid": uid}}]})
            }
        }
    }

    async fn taken(code: u16, times: u32) -> (BTreeMap<String, String>, Vec<UnreadKind>) {
        let Inventory { objects, unread } = cluster(code, times).inventory().await.unwrap();
        (objects.into_iter().map(|object| (object.kind, object.name)).collect(), unread)
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_refused_at_first_is_asked_for_again() {
        let (objects, unread) = taken(503, 20).await;
        assert_eq!(
            objects,
            [("Pod", "pods"), ("Secret", "secrets")]
                .map(|(kind, name)| (kind.into(), name.into()))
                .into()
        );
        assert_eq!(unread, []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_aggregated_api_that_is_down_is_named_and_the_rest_is_listed() {
        let version = json!({"groupVersion": "metrics.k8s.io/v1", "version": "v1"});
        let group = json!({"name": "metrics.k8s.io", "versions": [version]});
        let groups = json!({"kind": "APIGroupList", "groups": [group]});
        let cluster = Cluster::of_service(move |request: http::Request<Body>| {
            let (code, body) = match request.uri().path() {
                "/apis" => (200, groups.clone()),
                "/apis/metrics.k8s.io/v1" => (503, refusal(503)),
                path => (200, answer(path)),
            };
            let response = http::Response::builder().status(code);
            async move { Ok(response.body(Body::from(body.to_string().into_bytes()))?) }
        });
        let began = Instant::now();
        let Inventory { objects, unread } = cluster.inventory().await.unwrap();
        assert_eq!(objects.len(), 2, "{objects:?}");
        let unread: Vec<String> = unread.into_iter().map(|it| it.kind).collect();
        assert_eq!(unread, ["*.metrics.k8s.io"]);
        assert!(began.elapsed() < AGGREGATED * 2, "{:?}", began.elapsed());
    }

    #[test]
    fn what_is_noted_of_an_object_changes_with_its_content() {
        let noted = |kind: &str, metadata: Value| {
            let resource = ApiResource {
                kind: kind.into(),
                group: String::new(),
                ..ApiResource::erase::<Pod>(&())
            };
            let object = serde_json::from_value(
                json!({"apiVersion": "v1", "kind": kind, "metadata": metadata}),
            )
            .unwrap();
            let object = named(&resource, object).unwrap();
            (object.controlled, object.content)
        };
        let meta = |generation: Option<u32>| json!({"name": "a", "uid": "u", "generation": generation, "resourceVersion": "77"});
        assert_eq!(noted("Deployment", meta(Some(3))), (false, Some("3".into())));
        assert_eq!(noted("ConfigMap", meta(None)), (false, Some("77".into())));
        assert_eq!(noted("Node", meta(None)), (false, None), "its version changes with its status");
        assert_eq!(noted("EndpointSlice", meta(Some(3))), (false, None));
        let owned = |controller: bool| {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "o", "controller": controller});
            let resource = ApiResource::erase::<Pod>(&());
            let pod = json!({"metadata": {"name": "a", "uid": "u", "ownerReferences": [owner]}});
            let pod = named(&resource, serde_json::from_value(pod).unwrap()).unwrap();
            (pod.controlled, pod.owner)
        };
        assert_eq!([owned(true), owned(false)], [(true, Some("o".into())), (false, None)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_refused_for_good_or_for_too_long_is_named() {
        for (code, within) in [(503, 60..63), (400, 0..1)] {
            let began = Instant::now();
            let (objects, unread) = taken(code, u32::MAX).await;
            assert!(within.contains(&began.elapsed().as_secs()), "{code}: {:?}", began.elapsed());
            assert_eq!(objects.into_keys().collect::<Vec<_>>(), ["Pod"]);
            let why = format!("list the secrets: not now (status {code})");
            assert_eq!(unread, [UnreadKind { kind: "Secret".into(), why }]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_are_all_slow_end_in_time() {
        let slow = Cluster::of_service(|request: http::Request<Body>| async move {
            let path = request.uri().path().to_owned();
            if path.starts_with("/api/v1/") {
                sleep(Duration::from_secs(600)).await;
            }
            Ok(http::Response::builder()
                .status(200)
                .body(Body::from(answer(&path).to_string().into_bytes()))?)
        });
        let (began, until) = (Instant::now(), Instant::now());
        tokio::time::advance(RETRY).await;
        let resource = ApiResource::erase::<Pod>(&());
        let error = slow.of_kind_until(until, &resource).await.unwrap_err().to_string();
        assert!(error.starts_with("the pods were not listed within 1m"), "{error}");
        assert_eq!(began.elapsed(), RETRY, "it is not even asked");
        let Inventory { objects, unread } = slow.inventory().await.unwrap();
        assert!(objects.is_empty() && unread.len() == 2, "{unread:?}");
        assert!(began.elapsed() < TIMEOUT + Duration::from_secs(25), "{:?}", began.elapsed());
    }
}

//! Every object that the cluster holds, by uid: what was there can be compared with what is.

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::discovery::{Discovery, verbs};

use super::connect::Cluster;
use super::error::ClusterError;
use crate::timeline::ObjectName;

/// Kinds whose objects come and go by themselves.
const FLEETING: [&str; 4] = ["Event", "Lease", "PodMetrics", "NodeMetrics"];
const PAGE: u32 = 500;

impl Cluster {
    /// All objects of all kinds that can be listed, but for those that come and go by themselves, and the kinds that could not be listed,
    /// with the reason. Of each object only its metadata is asked for.
    pub async fn inventory(&self) -> Result<(Vec<ObjectName>, Vec<String>), ClusterError> {
        let discovery = self.call("ask for all kinds", Discovery::new(self.client()).run()).await?;
        let (mut objects, mut unread) = (Vec::new(), Vec::new());
        for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
            if !capabilities.supports_operation(verbs::LIST) || FLEETING.contains(&resource.kind.as_str()) {
                continue;
            }
            match self.of_kind(&resource).await {
                Ok(found) => objects.extend(found),
                Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 405, .. }) => {}
                Err(error) => unread.push(error.to_string()),
            }
        }
        objects.sort_by(|a: &ObjectName, b| (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name)));
        Ok((objects, unread))
    }

    async fn of_kind(&self, resource: &ApiResource) -> Result<Vec<ObjectName>, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client(), resource);
        let (mut params, mut all) = (ListParams::default().limit(PAGE), Vec::new());
        loop {
            let page = self.call(format!("list the {}", resource.plural), api.list_metadata(&params)).await?;
            all.extend(page.items.into_iter().filter_map(|object| named(resource, object)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(all),
            }
        }
    }
}

/// What has no uid is no object that is kept anywhere.
fn named(resource: &ApiResource, object: PartialObjectMeta<DynamicObject>) -> Option<ObjectName> {
    let group = if resource.group.is_empty() { String::new() } else { format!(".{}", resource.group) };
    let kind = format!("{}{group}", resource.kind);
    Some(ObjectName { kind, namespace: object.namespace(), name: object.name_any(), uid: object.uid()? })
}

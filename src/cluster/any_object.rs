//! Objects of any kind that the server has, made for a while and deleted again.

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use kube::core::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{Marked, RUN_LABEL, mark_of};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServedKind {
    pub api_version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct AnyObject {
    pub uid: String,
    pub mark: Option<String>,
    /// What its deletion waits for.
    pub finalizers: Vec<String>,
    pub json: Value,
}

impl Marked for AnyObject {
    fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }
}

impl ServedKind {
    fn resource(&self) -> ApiResource {
        let (group, version) = self.api_version.rsplit_once('/').unwrap_or(("", &self.api_version));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

impl Cluster {
    /// `None`: the server has no such kind.
    pub(crate) async fn served_kind(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Option<ServedKind>, ClusterError> {
        let all = self.kinds_of(api_version).await?;
        let found = all.into_iter().find(|one| one.resource.kind == kind);
        Ok(found.map(|found| ServedKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            plural: found.resource.plural,
            namespaced: found.namespaced,
        }))
    }

    fn any_objects(&self, kind: &ServedKind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, &kind.resource()),
            None => Api::all_with(self.client(), &kind.resource()),
        }
    }

    /// Errors when there is none of that name.
    pub(crate) async fn any_object(
        &self,
        kind: &ServedKind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<AnyObject, ClusterError> {
        let what = format!("read the {} {name}", kind.kind);
        let found = self.call(what, self.any_objects(kind, namespace).get(name)).await?;
        Ok(AnyObject {
            uid: found.metadata.uid.clone().unwrap_or_default(),
            mark: mark_of(&found.metadata),
            finalizers: found.metadata.finalizers.clone().unwrap_or_default(),
            json: serde_json::to_value(&found).unwrap_or_default(),
        })
    }

    /// Makes an object with our mark. Errors when there is one of that name.
    pub(crate) async fn create_marked(
        &self,
        kind: &ServedKind,
        namespace: Option<&str>,
        manifest: &Value,
        mark: &str,
    ) -> Result<(), ClusterError> {
        let what = format!("create the {}", kind.kind);
        let object = serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError);
        let object = object.map(|mut object: DynamicObject| {
            object.labels_mut().insert(RUN_LABEL.to_owned(), mark.to_owned());
            if let Some(namespace) = namespace {
                object.metadata.namespace = Some(namespace.to_owned());
            }
            object
        });
        let params = PostParams::default();
        let call = async { self.any_objects(kind, namespace).create(&params, &object?).await };
        self.call(what, call).await.map(drop)
    }

    /// Asks for the deletion of this very object; one that is gone is not an error.
    pub(crate) async fn delete_any(
        &self,
        kind: &ServedKind,
        namespace: Option<&str>,
        name: &str,
        uid: &str,
    ) -> Result<(), ClusterError> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params =
            DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        let what = format!("delete the {} {name}", kind.kind);
        match self.call(what, self.any_objects(kind, namespace).delete(name, &params)).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

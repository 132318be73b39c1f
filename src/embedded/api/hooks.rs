//! What the API server asks the rest of the cluster.

use std::pin::Pin;

use serde_json::Value;

use super::ApiError;
use crate::embedded::store::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    Now,
    /// It gets its `deletionTimestamp`, and whoever finishes the deletion (a kubelet, a controller)
    /// takes it out of the store. The seconds that it may take: of a pod's grace; 0 where there is
    /// none.
    Later(u32),
}

/// An answer that comes later: its content type and its text.
pub(crate) type Proxied =
    Pin<Box<dyn Future<Output = Result<(&'static str, String), ApiError>> + Send>>;

/// What the API server asks the rest of the cluster. Called outside of the store's lock.
pub(crate) trait Hooks: Send + Sync + 'static {
    /// Completes an object that a client makes or changes (a Service's ClusterIP, a pod's service
    /// account), or refuses it. Called after defaults were filled in and before the object is
    /// checked. Default: takes it as it is.
    fn admit(&self, _kind: &'static Kind, _object: &mut Value) -> Result<(), ApiError> {
        Ok(())
    }

    /// How an object is deleted. `grace` are the seconds that the client asks
    /// for; 0 is force. Default: immediately.
    fn deletion(&self, _kind: &'static Kind, _object: &Value, _grace: Option<u32>) -> Deletion {
        Deletion::Now
    }

    /// What a kubelet answers through the API server: `GET /api/v1/nodes/<node>/proxy/<path>`, the
    /// path without its first slash. A node that does not answer is a future that does not end.
    /// Default: there is no such path.
    fn node_proxy(&self, _node: &str, _path: &str) -> Proxied {
        Box::pin(std::future::ready(Err(ApiError::no_such_path())))
    }
}

/// A cluster of which nothing but the API server lives.
impl Hooks for () {}

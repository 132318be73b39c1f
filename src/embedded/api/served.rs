//! What answering a request needs.

use std::net::SocketAddr;
use std::time::Duration;

use super::access::Access;
use super::availability::Switch;
use super::hooks::Hooks;
use super::{ApiError, Availability};
use crate::embedded::store::Store;

/// How long the API server waits for an etcd that has no quorum (7 s: its own 5 s and two
/// elections).
const ETCD_TIMEOUT: Duration = Duration::from_secs(7);

pub(super) struct Served {
    pub(super) store: Store,
    pub(super) hooks: Box<dyn Hooks>,
    /// Such as `v1.34.0`.
    pub(super) version: String,
    pub(super) address: SocketAddr,
    pub(super) access: Access,
    pub(super) availability: Switch,
}

impl Served {
    pub(super) async fn etcd(&self) -> Result<(), ApiError> {
        let back = self.availability.until(|now| now != Availability::EtcdDown);
        let waited = tokio::time::timeout(ETCD_TIMEOUT, back).await;
        waited.map_err(|_| ApiError::new(500, "", "etcdserver: request timed out"))
    }
}

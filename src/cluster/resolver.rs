//! Resolves the names of API servers, for their connector.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::resolver::{NameService, resolve};

/// Resolves names by the system's hosts file and name servers. Addresses never come here.
#[derive(Clone)]
pub(super) struct Resolver {
    names: Arc<NameService>,
}

impl Resolver {
    pub(super) fn from_system() -> Self {
        Self { names: Arc::new(NameService::of_system()) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let names = self.clone();
        Box::pin(async move {
            let found = resolve(&names.names, name.as_str()).await?;
            // The connector puts the port in.
            let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(found.into_iter())
        })
    }
}

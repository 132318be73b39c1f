//! Resolves the names of API servers, for their connector.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
        Box::pin(async move { Ok(names.resolve(name.as_str()).await?.into_iter()) })
    }
}

impl Resolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<IpAddr> = if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            resolve(&self.names, name).await.map_err(|error| {
                io::Error::other(format!("the name {name} cannot be resolved: {error}"))
            })?
        };
        // The connector puts the port in.
        Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn localhost_needs_no_name_server() {
        let server = "127.0.0.1:9".parse().unwrap();
        let mut names = NameService::of_server(server);
        names.attempts = 1;
        let names = Resolver { names: Arc::new(names) };
        assert_eq!(
            names.resolve("LocalHost").await.unwrap()[0].ip(),
            IpAddr::from(Ipv4Addr::LOCALHOST)
        );
        let error = names.resolve("api.example").await.unwrap_err();
        assert!(error.to_string().contains("the name api.example cannot be resolved"), "{error}");
    }
}

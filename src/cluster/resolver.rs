//! Resolves the names of API servers without the C library: in a static binary its lookup fails
//! where the system's differs.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use hickory_resolver::TokioResolver;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// Resolves names by the system's hosts file and name servers. Addresses never come here.
#[derive(Clone)]
pub(super) struct Resolver {
    resolver: Result<TokioResolver, String>,
}

impl Resolver {
    /// Reads the system's configuration. A machine without one can still reach addresses and
    /// `localhost`.
    pub(super) fn from_system() -> Self {
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Self { resolver: built.map_err(|error| error.to_string()) }
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
            let resolver = self
                .resolver
                .as_ref()
                .map_err(|why| io::Error::other(format!("no name servers: {why}")))?;
            let answer = resolver.lookup_ip(name).await;
            answer
                .map_err(|error| {
                    io::Error::other(format!("the name {name} cannot be resolved: {error}"))
                })?
                .iter()
                .collect()
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
        let names = Resolver { resolver: Err("none".into()) };
        assert_eq!(
            names.resolve("LocalHost").await.unwrap()[0].ip(),
            IpAddr::from(Ipv4Addr::LOCALHOST)
        );
        let error = names.resolve("api.example").await.unwrap_err();
        assert!(error.to_string().contains("no name servers"), "{error}");
    }
}

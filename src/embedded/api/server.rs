//! The server: it listens, accepts and answers, or does what a sick one does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::access::Access;
use super::availability::Switch;
use super::hooks::Hooks;
use super::port::Port;
use super::served::Served;
use super::{Availability, route};
use crate::embedded::EmbeddedError;
use crate::embedded::store::Store;

/// Between two tries when the system has nothing left to listen or accept with.
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// A Kubernetes API server over a store, on plain HTTP. Ends when it is dropped.
pub(crate) struct ApiServer {
    served: Arc<Served>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("address", &self.served.address).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Serves the store at an address of loopback (port 0: the system chooses one), on the runtime
    /// in which this is called. `version` is what it says that it is, such as `v1.34.0`. Errors
    /// when the port is taken or can't be had.
    pub(crate) async fn start(
        store: Store,
        listen: SocketAddr,
        version: &str,
        hooks: impl Hooks,
    ) -> Result<Self, EmbeddedError> {
        let port = Port::take(listen)?;
        let address = port.address();
        let first = port
            .listen()
            .map_err(|error| EmbeddedError::Listen { address, why: error.to_string() })?;
        let access = Access::new(address).map_err(|why| EmbeddedError::Listen { address, why })?;
        let served = Arc::new(Served {
            store,
            hooks: Box::new(hooks),
            version: version.to_owned(),
            address,
            access,
            availability: Switch::default(),
        });
        let task = tokio::spawn(run(port, first, served.clone()));
        Ok(Self { served, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.served.address
    }

    /// The text of a kubeconfig whose one context, called `name`, is this server. It has the token
    /// without which nothing is answered.
    pub(crate) fn kubeconfig(&self, name: &str) -> String {
        self.served.access.kubeconfig(name)
    }

    pub(crate) fn set_availability(&self, availability: Availability) {
        self.served.availability.set(availability);
    }

    pub(crate) fn availability(&self) -> Availability {
        self.served.availability.now()
    }

    /// Cuts all connections and frees the port.
    #[cfg(test)]
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts while it is up, for ever.
async fn run(port: Port, first: TcpListener, served: Arc<Served>) {
    let mut listener = first;
    loop {
        accept(listener, &served).await;
        served.availability.until(|now| now != Availability::Down).await;
        listener = loop {
            match port.listen() {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            }
        };
    }
}

/// Accepts until it goes down, and cuts all connections then.
async fn accept(listener: TcpListener, served: &Arc<Served>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, served.clone()))),
                Err(_) => tokio::time::sleep(TRY_AGAIN).await,
            },
            _ = connections.join_next(), if !connections.is_empty() => {}
            () = served.availability.until(|now| now == Availability::Down) => return connections.shutdown().await,
        }
    }
}

/// One connection, to its end. That a client breaks off is its own affair.
async fn serve(stream: TcpStream, served: Arc<Served>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request| route::answer(served.clone(), request));
    // A frozen server does not close what is idle: no time limit.
    let _ = http1::Builder::new()
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

//! A Service's address: every new connection is handed to one of the pods that the asking node's
//! kube-proxy knows to be ready.
//!
//! As with kube-proxy's address translation, the client then speaks with the pod itself: there is
//! no second connection behind the first.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::listener::listen;
use super::pod::PodServer;
use crate::model::Routing;
use crate::stats::Random;

/// Where each node's kube-proxy sends what asks for a Service, by the node's address; `None` is who
/// asks from no node (a person with curl).
pub(crate) type Routes = BTreeMap<Option<IpAddr>, Vec<PodServer>>;

/// One port of a Service. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct ServiceProxy {
    table: Arc<Mutex<Table>>,
    open: watch::Sender<bool>,
    _listener: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Table {
    routes: Routes,
    routing: Routing,
    /// The pod that a sticky client was sent to, by the client's address.
    last: BTreeMap<IpAddr, PodServer>,
    random: Random,
}

impl ServiceProxy {
    /// Listens as soon as there is somewhere to send to. Needs a runtime.
    pub(crate) fn new(address: SocketAddr, seed: u64) -> Self {
        let table = Arc::new(Mutex::new(Table {
            routes: Routes::new(),
            routing: Routing::Any,
            last: BTreeMap::new(),
            random: Random::new(seed),
        }));
        let open = watch::Sender::new(false);
        let known = table.clone();
        let take = move |stream| known.lock().expect("no holder panics").hand_on(stream);
        let listener =
            AbortOnDropHandle::new(tokio::spawn(listen(address, open.subscribe(), take)));
        Self { table, open, _listener: listener }
    }

    /// What the kube-proxies know now. While none of them knows a ready pod, the port refuses.
    pub(crate) fn route(&self, routes: Routes, routing: Routing) {
        let open = routes.values().any(|pods| !pods.is_empty());
        let mut table = self.table.lock().expect("no holder panics");
        (table.routes, table.routing) = (routes, routing);
        drop(table);
        self.open.send_if_modified(|was| std::mem::replace(was, open) != open);
    }
}

impl Table {
    fn hand_on(&mut self, stream: TcpStream) {
        match self.choose(stream.peer_addr().ok().map(|peer| peer.ip())) {
            Some(pod) => pod.take(stream),
            // kube-proxy refuses; once a connection is accepted a reset is the nearest to that.
            None => drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        }
    }

    fn choose(&mut self, client: Option<IpAddr>) -> Option<PodServer> {
        let pods = self.routes.get(&client).or_else(|| self.routes.get(&None))?;
        let sticky = client.filter(|_| self.routing.is_sticky());
        let last = sticky.and_then(|client| self.last.get(&client));
        if let Some(known) = last.filter(|last| pods.iter().any(|pod| pod.is(last))) {
            return Some(known.clone());
        }
        let pod = self.random.choose(pods)?.clone();
        if let Some(client) = sticky {
            self.last.insert(client, pod.clone());
        }
        Some(pod)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::super::addresses::Block;
    use super::*;
    use crate::model::Backend;

    async fn ask(from: IpAddr, to: SocketAddr) -> std::io::Result<String> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let mut stream = socket.connect(to).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer.lines().last().unwrap_or_default().to_owned())
    }

    fn pod(block: &Block, number: usize) -> PodServer {
        let pod = PodServer::new(
            &format!("web-{number}"),
            block.next_pod(0, number, &Default::default()).unwrap(),
            &[],
        );
        pod.behave(Backend::Answers);
        pod
    }

    #[tokio::test]
    async fn connections_are_spread_over_what_the_asking_nodes_proxy_knows() {
        let block = Block::claim().unwrap();
        let address = SocketAddr::new(block.service(1), 18_081);
        let proxy = ServiceProxy::new(address, 7);
        let (here, there) = (block.node(0), block.node(1));
        let refused = ask(here, address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "nobody knows a pod");
        let (one, two) = (pod(&block, 1), pod(&block, 2));
        proxy.route(
            [
                (Some(here), vec![one.clone(), two.clone()]),
                (Some(there), vec![two.clone()]),
                (None, vec![one.clone()]),
            ]
            .into(),
            Routing::Any,
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..100 {
            *counts.entry(ask(here, address).await.unwrap()).or_default() += 1;
        }
        assert!(counts.len() == 2 && counts.values().all(|count| *count >= 25), "{counts:?}");
        assert_eq!(ask(there, address).await.unwrap(), "web-2");
        assert_eq!(ask("127.0.0.1".parse().unwrap(), address).await.unwrap(), "web-1");
        proxy.route([(Some(here), vec![one, two.clone()])].into(), Routing::Sticky);
        let first = ask(here, address).await.unwrap();
        for _ in 0..20 {
            assert_eq!(ask(here, address).await.unwrap(), first, "a client stays with its pod");
        }
        proxy.route([(Some(here), vec![two])].into(), Routing::Sticky);
        assert_eq!(ask(here, address).await.unwrap(), "web-2", "as long as the pod is known");
        proxy.route(Routes::new(), Routing::Any);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            ask(here, address).await.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }
}

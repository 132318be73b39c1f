//! A Service's address: every new connection is handed to one of the pods that the asking node's
//! kube-proxy knows to be ready.
//!
//! As with kube-proxy's address translation, the client then speaks with the pod itself: there is
//! no second connection behind the first. A NodePort is the same at each node's own address, as
//! long as that node is there to send anything on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Life;
use super::listener::listen;
use super::pod::PodServer;
use crate::model::{Backend, Routing};
use crate::stats::Random;

/// Where each node's kube-proxy sends what asks for a Service, by the node's address; `None` is who
/// asks from no node (a person with curl).
pub(crate) type Routes = BTreeMap<Option<IpAddr>, Vec<PodServer>>;

/// What becomes of a connection that there is no pod for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPod {
    Refuses,
    /// It gets no answer at all.
    Drops,
}

/// A node as what it sends on sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Entry(Arc<watch::Sender<Life>>);

impl Default for Entry {
    fn default() -> Self {
        Self(Arc::new(Life::new(Backend::Answers)))
    }
}

impl Entry {
    /// Whether it sends anything on; what it was asked in the meantime waits.
    pub(crate) fn forwards(&self, forwards: bool) {
        let behavior = if forwards { Backend::Answers } else { Backend::Hangs };
        self.0.send_if_modified(|life| std::mem::replace(&mut life.behavior, behavior) != behavior);
    }

    /// It has started again, and knows no connection any more.
    pub(crate) fn restart(&self) {
        self.0.send_modify(|life| life.number += 1);
    }

    fn is_away(&self) -> bool {
        self.0.borrow().behavior == Backend::Hangs
    }
}

/// One port of a Service. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct ServiceProxy {
    table: Arc<Mutex<Table>>,
    open: watch::Sender<bool>,
    entry: Entry,
    _listener: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Table {
    routes: Routes,
    routing: Routing,
    /// The pod that a sticky client was sent to, by the client's address.
    last: BTreeMap<IpAddr, PodServer>,
    random: Random,
    no_pod: NoPod,
}

impl ServiceProxy {
    /// Listens as soon as there is somewhere to send to. `entry`: the node whose port it is. Needs
    /// a runtime.
    pub(crate) fn new(address: SocketAddr, seed: u64, entry: Entry) -> Self {
        let table = Arc::new(Mutex::new(Table {
            routes: Routes::new(),
            routing: Routing::Any,
            last: BTreeMap::new(),
            random: Random::new(seed),
            no_pod: NoPod::Refuses,
        }));
        let open = watch::Sender::new(false);
        let (known, through) = (table.clone(), entry.clone());
        let take = move |stream| {
            let (known, mut through) = (known.clone(), through.0.subscribe());
            let hand_on = move |through| {
                known.lock().expect("no holder panics").hand_on(stream, through);
            };
            if through.borrow_and_update().behavior == Backend::Answers {
                return hand_on(through);
            }
            tokio::spawn(async move {
                let is_back = |life: &Life| life.behavior == Backend::Answers;
                let came_back = through.wait_for(is_back).await.is_ok();
                if came_back {
                    hand_on(through);
                }
            });
        };
        let listener =
            AbortOnDropHandle::new(tokio::spawn(listen(address, open.subscribe(), take)));
        Self { table, open, entry, _listener: listener }
    }

    /// What the kube-proxies know now. While none of them knows a ready pod, the port refuses or
    /// drops what comes.
    pub(crate) fn route(&self, routes: Routes, routing: Routing, no_pod: NoPod) {
        let open = no_pod == NoPod::Drops
            || self.entry.is_away()
            || routes.values().any(|pods| !pods.is_empty());
        let mut table = self.table.lock().expect("no holder panics");
        (table.routes, table.routing, table.no_pod) = (routes, routing, no_pod);
        drop(table);
        self.open.send_if_modified(|was| std::mem::replace(was, open) != open);
    }
}

impl Table {
    fn hand_on(&mut self, mut stream: TcpStream, entry: watch::Receiver<Life>) {
        match self.choose(stream.peer_addr().ok().map(|peer| peer.ip())) {
            Some(pod) => pod.take(stream, entry),
            // Until the client gives it up.
            None if self.no_pod == NoPod::Drops => drop(tokio::spawn(async move {
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            })),
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
        let proxy = ServiceProxy::new(address, 7, Entry::default());
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
            NoPod::Refuses,
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..100 {
            *counts.entry(ask(here, address).await.unwrap()).or_default() += 1;
        }
        assert!(counts.len() == 2 && counts.values().all(|count| *count >= 25), "{counts:?}");
        assert_eq!(ask(there, address).await.unwrap(), "web-2");
        assert_eq!(ask("127.0.0.1".parse().unwrap(), address).await.unwrap(), "web-1");
        proxy.route([(Some(here), vec![one, two.clone()])].into(), Routing::Sticky, NoPod::Refuses);
        let first = ask(here, address).await.unwrap();
        for _ in 0..20 {
            assert_eq!(ask(here, address).await.unwrap(), first, "a client stays with its pod");
        }
        proxy.route([(Some(here), vec![two])].into(), Routing::Sticky, NoPod::Refuses);
        assert_eq!(ask(here, address).await.unwrap(), "web-2", "as long as the pod is known");
        proxy.route(Routes::new(), Routing::Any, NoPod::Refuses);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(
            ask(here, address).await.unwrap_err().kind(),
            std::io::ErrorKind::ConnectionRefused
        );
    }

    #[tokio::test]
    async fn a_nodes_port_hangs_while_the_node_is_away_and_forgets_when_it_restarts() {
        let block = Block::claim().unwrap();
        let (address, entry) = (SocketAddr::new(block.node(0), 31_080), Entry::default());
        let proxy = ServiceProxy::new(address, 7, entry.clone());
        let web = pod(&block, 1);
        let routes = || Routes::from([(None, vec![web.clone()])]);
        proxy.route(routes(), Routing::Any, NoPod::Refuses);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ask(block.node(1), address).await.unwrap(), "web-1");
        let mut kept = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        entry.forwards(false);
        proxy.route(Routes::new(), Routing::Any, NoPod::Refuses);
        let soon = Duration::from_millis(200);
        assert!(tokio::time::timeout(soon, ask(block.node(1), address)).await.is_err());
        kept.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.unwrap();
        assert!(tokio::time::timeout(soon, kept.read_u8()).await.is_err());
        entry.restart();
        assert!(kept.read_u8().await.is_err(), "it is reset");
        entry.forwards(true);
        proxy.route(routes(), Routing::Any, NoPod::Refuses);
        assert_eq!(ask(block.node(1), address).await.unwrap(), "web-1");
        // externalTrafficPolicy: Local, and no pod on this node.
        proxy.route(Routes::new(), Routing::Any, NoPod::Drops);
        assert!(tokio::time::timeout(soon, ask(block.node(1), address)).await.is_err());
    }
}

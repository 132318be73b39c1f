//! A pod's server: its own port for each container port, and the state of the node and the
//! container that it is in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{self, Life};
use super::listener::listen;
use crate::model::Backend;

/// A pod's server. Cheap to clone; its ports close when the last clone is gone.
#[derive(Clone, Debug)]
pub(crate) struct PodServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    life: watch::Sender<Life>,
    open: watch::Sender<bool>,
    _listeners: Vec<AbortOnDropHandle<()>>,
}

impl PodServer {
    /// Makes the server of a pod that has not been started yet. Needs a runtime.
    pub(crate) fn new(name: &str, address: IpAddr, ports: &[u16]) -> Self {
        let name: Arc<str> = name.into();
        let life = Life::new(Backend::Refuses);
        let open = watch::Sender::new(false);
        // What comes to its own address comes through no node's port.
        let entry = Life::new(Backend::Answers);
        let listeners = ports.iter().map(|port| {
            let (name, life) = (name.clone(), life.clone());
            let entry = entry.clone();
            let take =
                move |stream| begin(stream, name.clone(), life.subscribe(), entry.subscribe());
            AbortOnDropHandle::new(tokio::spawn(listen(
                SocketAddr::new(address, *port),
                open.subscribe(),
                take,
            )))
        });
        let listeners = listeners.collect();
        Self { inner: Arc::new(Inner { name, life, open, _listeners: listeners }) }
    }

    /// Its container was started (again): what was connected to the one before is reset.
    pub(crate) fn restart(&self) {
        self.inner.life.send_modify(|life| life.number += 1);
    }

    pub(crate) fn behave(&self, behavior: Backend) {
        let changed = |life: &mut Life| std::mem::replace(&mut life.behavior, behavior) != behavior;
        self.inner.life.send_if_modified(changed);
        let open = behavior != Backend::Refuses;
        self.inner.open.send_if_modified(|was| std::mem::replace(was, open) != open);
    }

    /// Whether both are the server of one pod.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A connection that a Service's address has handed to this pod.
    pub(super) fn take(&self, stream: TcpStream, entry: watch::Receiver<Life>) {
        begin(stream, self.inner.name.clone(), self.inner.life.subscribe(), entry);
    }
}

fn begin(
    stream: TcpStream,
    pod: Arc<str>,
    life: watch::Receiver<Life>,
    entry: watch::Receiver<Life>,
) {
    tokio::spawn(async move { connection::serve(stream, &pod, life, entry).await });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::addresses::Block;
    use super::*;
    use crate::http2::frame::{self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS};
    use crate::http2::hpack;
    use crate::timeline::GRPC_HEALTH_PATH;

    const PORT: u16 = 18_080;
    const SOON: Duration = Duration::from_millis(200);

    struct Pod {
        server: PodServer,
        address: SocketAddr,
        _block: Block,
    }

    async fn running() -> Pod {
        let block = Block::claim().unwrap();
        let address = SocketAddr::new(block.next_pod(0, 0, &Default::default()).unwrap(), PORT);
        let server = PodServer::new("web-1", address.ip(), &[PORT]);
        server.restart();
        server.behave(Backend::Answers);
        tokio::time::sleep(SOON / 4).await;
        Pod { server, address, _block: block }
    }

    async fn ask(stream: &mut TcpStream) -> Option<String> {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n").await.ok()?;
        hear(stream).await
    }

    /// What comes soon; `None`: nothing. An end is an empty word.
    async fn hear(stream: &mut TcpStream) -> Option<String> {
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(SOON, stream.read(&mut buffer)).await.ok()?;
        Some(read.map_or("reset".to_owned(), |length| {
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        }))
    }

    #[tokio::test]
    async fn a_pod_says_its_name_on_one_connection_after_the_other() {
        let pod = running().await;
        let mut stream = TcpStream::connect(pod.address).await.unwrap();
        for _ in 0..3 {
            let answer = ask(&mut stream).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n")
                    && answer.contains("X-Backend: web-1\r\n"),
                "{answer}"
            );
            assert!(answer.ends_with("\r\n\r\nweb-1\n"), "{answer}");
        }
    }

    #[tokio::test]
    async fn http2_and_grpc_are_answered_too() {
        let pod = running().await;
        let fields = |path, kind| {
            let mut block = Vec::new();
            for (name, value) in [(":method", "POST"), (":path", path), ("content-type", kind)] {
                hpack::write(&mut block, name, value);
            }
            block
        };
        let health = fields(GRPC_HEALTH_PATH, "application/grpc");
        let other = fields("/shop.Cart/Get", "application/grpc");
        let mut bytes = frame::PREFACE.to_vec();
        frame::write(&mut bytes, HEADERS, END_HEADERS, 1, &health);
        frame::write(&mut bytes, DATA, END_STREAM, 1, &[0; 5]);
        frame::write(&mut bytes, HEADERS, END_STREAM, 3, &other[..20]);
        frame::write(&mut bytes, CONTINUATION, END_HEADERS, 3, &other[20..]);
        frame::write(&mut bytes, HEADERS, END_HEADERS | END_STREAM, 5, &fields("/", "text/plain"));
        let mut stream = TcpStream::connect(pod.address).await.unwrap();
        for bytes in bytes.chunks(11) {
            stream.write_all(bytes).await.unwrap();
        }
        let mut heard = Vec::new();
        while !heard.ends_with(b"web-1\n") {
            assert!(stream.read_buf(&mut heard).await.unwrap() > 0, "{heard:?}");
        }
        let (mut rest, mut fields_read, mut bodies) = (&heard[..], Vec::new(), Vec::new());
        while let Some(Frame { kind, stream, payload, .. }) = Frame::next(&mut rest).unwrap() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match kind {
                HEADERS => hpack::read(payload, |name, value| {
                    fields_read.push((stream, text(name), text(value)));
                })
                .unwrap(),
                DATA => bodies.push((stream, payload.to_vec())),
                _ => {}
            }
        }
        let is = |stream, name: &str, value: &str| {
            assert!(fields_read.contains(&(stream, name.into(), value.into())), "{fields_read:?}");
        };
        is(1, "grpc-status", "0");
        is(3, "grpc-status", "12");
        is(5, "x-backend", "web-1");
        assert!(bodies.contains(&(1, vec![0, 0, 0, 0, 2, 8, 1])), "{bodies:?}");
        assert!(bodies.contains(&(5, b"web-1\n".to_vec())), "{bodies:?}");
        stream.write_all(&[0xff; 9]).await.unwrap();
        assert_eq!(
            hear(&mut stream).await.unwrap(),
            "",
            "a frame that is too long ends the connection"
        );
    }

    #[tokio::test]
    async fn a_frozen_pod_is_silent_and_answers_late_once_unfrozen() {
        let pod = running().await;
        let mut old = TcpStream::connect(pod.address).await.unwrap();
        pod.server.behave(Backend::Hangs);
        let mut new = TcpStream::connect(pod.address).await.expect("what hangs does not refuse");
        assert_eq!(ask(&mut old).await, None);
        assert_eq!(ask(&mut new).await, None);
        pod.server.behave(Backend::Answers);
        assert!(hear(&mut old).await.unwrap().contains("200 OK"));
        assert!(hear(&mut new).await.unwrap().contains("200 OK"));
    }

    #[tokio::test]
    async fn a_pod_that_was_started_anew_knows_nothing_of_old_connections() {
        let pod = running().await;
        let mut stream = TcpStream::connect(pod.address).await.unwrap();
        assert!(ask(&mut stream).await.unwrap().contains("200 OK"));
        pod.server.behave(Backend::Hangs);
        assert_eq!(ask(&mut stream).await, None);
        pod.server.restart();
        pod.server.behave(Backend::Answers);
        assert_eq!(hear(&mut stream).await.unwrap(), "reset");
        let mut fresh = TcpStream::connect(pod.address).await.unwrap();
        assert!(ask(&mut fresh).await.unwrap().contains("200 OK"));
    }

    #[tokio::test]
    async fn a_stopped_pod_refuses_and_a_dropped_one_frees_its_port() {
        let pod = running().await;
        let mut stream = TcpStream::connect(pod.address).await.unwrap();
        assert!(ask(&mut stream).await.is_some());
        pod.server.behave(Backend::Refuses);
        assert_eq!(hear(&mut stream).await.unwrap(), "reset");
        tokio::time::sleep(SOON / 4).await;
        let refused = TcpStream::connect(pod.address).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        pod.server.behave(Backend::Hangs);
        tokio::time::sleep(SOON / 4).await;
        TcpStream::connect(pod.address).await.expect("hangs again, as a dead node's pods do");
        drop(pod.server);
        tokio::time::sleep(SOON / 4).await;
        tokio::net::TcpListener::bind(pod.address).await.expect("the port is free");
    }
}

//! The watches through a proxy that ends connections: idle ones, and all of them at a time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::testing::{node, served};
use crate::cluster::Cluster;
use crate::embedded::store::{Store, kinds};
use crate::timeline::{Change, Event, Record};

/// What load balancers allow is a minute or more; a stream of a watch takes two seconds.
const IDLE: Duration = Duration::from_secs(5);

/// Something between a client and a server that ends connections on which nothing was said for
/// [`IDLE`], and all of them when it is told to.
struct Proxy {
    address: SocketAddr,
    cuts: watch::Sender<()>,
}

impl Proxy {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, cut) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, [address, server], cut.clone()));
            }
        });
        Self { address, cuts }
    }
}

/// The server answers only who names it: its address takes the place of the proxy's.
async fn relay(
    mut client: TcpStream,
    [own, server]: [SocketAddr; 2],
    mut cut: watch::Receiver<()>,
) -> std::io::Result<()> {
    cut.mark_unchanged();
    let mut upstream = TcpStream::connect(server).await?;
    let (mut up, mut down) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                count => {
                    let text = String::from_utf8_lossy(&up[..count]);
                    let text = text.replace(&own.to_string(), &server.to_string());
                    upstream.write_all(text.as_bytes()).await?;
                }
            },
            read = upstream.read(&mut down) => match read? {
                0 => return Ok(()),
                count => client.write_all(&down[..count]).await?,
            },
            () = sleep(IDLE) => return Ok(()),
            _ = cut.changed() => return Ok(()),
        }
    }
}

/// The node's changes as they come. There must be no gap.
async fn changes(records: &mut UnboundedReceiver<Record>, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let all = async {
        while seen.len() < count {
            match records.recv().await.expect("the watches go on").event {
                Event::WatchGap { watch, reason, .. } => panic!("a gap of {watch}: {reason}"),
                Event::Node { reason, change: Change::Changed, .. } => seen.push(reason),
                _ => {}
            }
        }
    };
    timeout(Duration::from_secs(20), all).await.expect("all changes come");
    seen
}

/// Sets the node's reason to each of these in turn.
async fn change(store: &Store, reasons: &[String]) {
    for reason in reasons {
        let mut node = node("True");
        node["status"]["conditions"][0]["reason"] = reason.as_str().into();
        store.put(&kinds::NODES, node);
        sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn a_proxy_that_ends_connections_hides_nothing() {
    let (api, store, _) = served().await;
    let proxy = Proxy::start(api.address()).await;
    let kubeconfig = api.kubeconfig("embedded");
    let through = kubeconfig.replace(&api.address().to_string(), &proxy.address.to_string());
    let cluster = Cluster::from_kubeconfig(&through).await.unwrap();
    let (out, mut records) = unbounded_channel();
    let watches = crate::watch::start(std::slice::from_ref(&cluster), "default", out);
    watches.baseline(Duration::from_secs(10)).await.unwrap();
    // What the pool keeps is ended, and watches of quiet things go on.
    sleep(IDLE + Duration::from_secs(1)).await;
    cluster.ping().await.unwrap();
    let reasons: Vec<String> = (0..30).map(|index| format!("Reason{index}")).collect();
    change(&store, &reasons[..10]).await;
    proxy.cuts.send_replace(());
    change(&store, &reasons[10..]).await;
    assert_eq!(changes(&mut records, reasons.len()).await, reasons, "each, once, in their order");
    watches.stop().await;
    while let Some(record) = records.recv().await {
        assert!(!matches!(record.event, Event::WatchGap { .. }), "{record:?}");
    }
}

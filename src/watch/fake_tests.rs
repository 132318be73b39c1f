//! The watches against a small API server that can be frozen, cut and brought back.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::{Watches, start};
use crate::cluster::Cluster;
use crate::timeline::{Change, Event, Moment, ObjectRef, Ready, Record};

/// One node, whose condition is the server's whole state.
struct State {
    version: u32,
    ready: &'static str,
    frozen: bool,
    /// Counted up to end all connections.
    cuts: u32,
    old: bool,
    /// Whether a list of nodes has a second page, with another node.
    paged: bool,
    lists: u32,
}

#[derive(Clone)]
struct Server(Arc<Mutex<State>>);

impl Server {
    async fn start(old: bool) -> (Self, Cluster) {
        let server = Self(Arc::new(Mutex::new(State {
            version: 7,
            ready: "True",
            frozen: false,
            cuts: 0,
            old,
            paged: false,
            lists: 0,
        })));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(connection));
            }
        });
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: 'http://{address}'}}\nusers:\n- name: u\n  user: {{}}\n"
        );
        (server, Cluster::from_kubeconfig(&text).await.unwrap())
    }

    fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn node(&self, ready: &'static str) {
        self.set(|state| {
            state.ready = ready;
            state.version += 1;
        });
    }

    async fn serve(self, mut connection: TcpStream) {
        let cuts = self.set(|state| state.cuts);
        let (read, mut write) = connection.split();
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(request)) = lines.next_line().await {
            while lines
                .next_line()
                .await
                .is_ok_and(|line| line.is_some_and(|line| !line.is_empty()))
            {}
            while self.set(|state| state.frozen) {
                sleep(Duration::from_millis(5)).await;
            }
            let served = match request.contains("watch=true") {
                true => self.watch(&request, cuts, &mut write).await,
                false => self.answer(&request, &mut write).await,
            };
            if served.is_err() || self.set(|state| state.cuts) != cuts {
                return;
            }
        }
    }

    async fn answer(
        &self,
        request: &str,
        out: &mut (impl AsyncWriteExt + Unpin),
    ) -> std::io::Result<()> {
        let (version, node, old, paged) = self.set(|state| {
            state.lists += u32::from(request.contains("/nodes"));
            (state.version, node(state), state.old, state.paged && request.contains("/nodes"))
        });
        let is_last = request.contains("continue=next");
        let node = if is_last { node.replace("\"w\"", "\"x\"") } else { node };
        let next = if paged && !is_last { r#","continue":"next""# } else { "" };
        let list = |items: &str| {
            format!(r#"{{"metadata":{{"resourceVersion":"{version}"{next}}},"items":[{items}]}}"#)
        };
        let namespace = if request.contains("/namespaces/db/") { "db" } else { "run" };
        let endpoints = ["web", "other"].map(|name| {
            format!(
                r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}"}},"subsets":[{{"addresses":[{{"ip":"10.0.0.1"}}]}}]}}"#
            )
        });
        let (status, body) = if request.contains("/version") {
            ("200 OK", r#"{"major":"1","minor":"34","gitVersion":"v1.34.4","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#.to_owned())
        } else if request.contains("/endpointslices") && old {
            ("404 Not Found", r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404,"message":"no"}"#.to_owned())
        } else if request.contains("/endpoints?") {
            ("200 OK", list(&endpoints.join(",")))
        } else {
            ("200 OK", list(if request.contains("/nodes") { &node } else { "" }))
        };
        out.write_all(
            format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        )
        .await
    }

    async fn watch(
        &self,
        request: &str,
        cuts: u32,
        out: &mut (impl AsyncWriteExt + Unpin),
    ) -> std::io::Result<()> {
        out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        let mut seen: u32 = request
            .split("resourceVersion=")
            .nth(1)
            .unwrap()
            .split([' ', '&'])
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) || self.set(|state| state.frozen) {
            sleep(Duration::from_millis(2)).await;
            if self.set(|state| state.cuts) != cuts {
                return Err(std::io::ErrorKind::ConnectionReset.into());
            }
            let (version, node) =
                self.set(|state| (if state.frozen { 0 } else { state.version }, node(state)));
            if version > seen && request.contains("/nodes") {
                seen = version;
                let line = format!("{{\"type\":\"MODIFIED\",\"object\":{node}}}\n");
                out.write_all(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).await?;
            }
        }
        out.write_all(b"0\r\n\r\n").await
    }
}

fn node(state: &State) -> String {
    format!(
        r#"{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"w","resourceVersion":"{}"}},"status":{{"conditions":[{{"type":"Ready","status":"{}"}}]}}}}"#,
        state.version, state.ready
    )
}

struct SourceHealth(UnboundedReceiver<Record>);

impl SourceHealth {
    async fn next<T>(&mut self, want: impl Fn(&Record) -> Option<T>) -> T {
        let found = async {
            loop {
                let record = self.0.recv().await.expect("the watches go on");
                if let Some(found) = want(&record) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(10), found).await.expect("the record comes")
    }

    async fn node(&mut self) -> (Record, Ready, Change) {
        self.next(|record| match &record.event {
            Event::Node { ready, change, .. } => Some((record.clone(), *ready, *change)),
            _ => None,
        })
        .await
    }

    async fn gap(&mut self, ended: bool) -> Record {
        let is_it = |event: &Event| matches!(event, Event::WatchGap { watch, until, .. } if watch == "nodes" && until.is_some() == ended);
        self.next(|record| is_it(&record.event).then(|| record.clone())).await
    }
}

async fn watched(old: bool) -> (Server, SourceHealth, Watches) {
    let (server, cluster) = Server::start(old).await;
    let (out, records) = unbounded_channel();
    let watches = start(std::slice::from_ref(&cluster), "run", out);
    watches.baseline(Duration::from_secs(5)).await.unwrap();
    (server, SourceHealth(records), watches)
}

#[tokio::test]
async fn a_change_is_said_as_it_comes_and_streams_follow_one_another_without_a_gap() {
    let (server, mut seen, watches) = watched(false).await;
    let (record, ready, change) = seen.node().await;
    assert_eq!((record.since, ready, change), (None, Ready::True, Change::Baseline));
    sleep(Duration::from_millis(200)).await;
    let before = Moment::now();
    server.node("Unknown");
    let (record, ready, change) = seen.node().await;
    assert_eq!((record.since, ready, change), (None, Ready::Unknown, Change::Changed));
    assert!(record.at.since(before) < Duration::from_millis(100));
    // Long enough for two streams to end as they were asked to.
    sleep(Duration::from_millis(4500)).await;
    server.node("True");
    let next = seen
        .next(|record| {
            (is_gap(&record.event) || matches!(record.event, Event::Node { .. }))
                .then(|| record.clone())
        })
        .await;
    assert!(matches!(next.event, Event::Node { ready: Ready::True, .. }), "{next:?}");
    assert_eq!(server.set(|state| state.lists), 1);
    watches.stop().await;
    while let Some(record) = seen.0.recv().await {
        assert!(!is_gap(&record.event), "{record:?}");
    }
}

#[tokio::test]
async fn all_pages_of_a_list_are_taken() {
    let (server, cluster) = Server::start(false).await;
    server.set(|state| state.paged = true);
    let (out, records) = unbounded_channel();
    let _watches = start(std::slice::from_ref(&cluster), "run", out);
    let mut seen = SourceHealth(records);
    let name = |record: Record| match record.event {
        Event::Node { node, .. } => node,
        other => panic!("{other:?}"),
    };
    assert_eq!([name(seen.node().await.0), name(seen.node().await.0)], ["w", "x"]);
    assert_eq!(server.set(|state| state.lists), 2);
}

#[tokio::test]
async fn a_frozen_server_is_a_gap_within_seconds_and_what_happened_in_it_has_its_interval() {
    let (server, mut seen, _watches) = watched(false).await;
    seen.node().await;
    sleep(Duration::from_millis(300)).await;
    let frozen = Moment::now();
    server.set(|state| state.frozen = true);
    let gap = seen.gap(false).await;
    // Reported in time, and not from later than the freeze.
    assert!(gap.at.since(frozen) < Duration::from_secs(4), "{:?}", gap.at.since(frozen));
    assert!(gap.since.unwrap() <= frozen);
    server.node("Unknown");
    server.set(|state| state.frozen = false);
    let end = seen.gap(true).await;
    assert!(matches!(end.event, Event::WatchGap { until: Some(until), .. } if until == end.at));
    let (record, ready, change) = seen.node().await;
    assert_eq!((ready, change, record.since), (Ready::Unknown, Change::Changed, gap.since));
    // Afterwards it sees again, with nothing to excuse.
    sleep(Duration::from_millis(200)).await;
    server.node("True");
    assert_eq!(seen.node().await.0.since, None);
}

fn is_gap(event: &Event) -> bool {
    matches!(event, Event::WatchGap { .. })
}

#[tokio::test]
async fn a_cut_connection_goes_on_from_its_place() {
    let (server, mut seen, watches) = watched(false).await;
    seen.node().await;
    sleep(Duration::from_millis(300)).await;
    let cut = Moment::now();
    server.set(|state| {
        (state.version, state.ready) = (8, "False");
        state.cuts += 1;
    });
    let (record, ready, _) = seen.node().await;
    assert_eq!(ready, Ready::False);
    assert!(record.since.is_some_and(|since| since <= cut), "it may have happened meanwhile");
    sleep(Duration::from_secs(1)).await;
    server.node("True");
    assert_eq!(seen.node().await.1, Ready::True);
    watches.stop().await;
    while let Some(record) = seen.0.recv().await {
        assert!(!is_gap(&record.event), "{record:?}");
    }
}

/// A stream from a later version than the store's shows nothing.
#[tokio::test]
async fn a_store_that_went_back_while_the_connection_was_cut_is_a_gap() {
    let (server, mut seen, _watches) = watched(false).await;
    seen.node().await;
    sleep(Duration::from_millis(300)).await;
    server.set(|state| {
        (state.version, state.ready) = (3, "False");
        state.cuts += 1;
    });
    let gap = seen.gap(false).await;
    let end = seen.gap(true).await;
    assert!(end.at.since(gap.at) < Duration::from_secs(2), "{:?}", end.at.since(gap.at));
    let (record, ready, _) = seen.node().await;
    assert_eq!((ready, record.since), (Ready::False, gap.since));
}

#[tokio::test]
async fn a_server_without_slices_is_watched_by_its_endpoints() {
    let (server, cluster) = Server::start(true).await;
    let (out, records) = unbounded_channel();
    let _watches = start(std::slice::from_ref(&cluster), "run", out);
    let mut seen = SourceHealth(records);
    seen.next(|record| {
        matches!(&record.event, Event::Note { text, .. } if text.contains("EndpointSlices"))
            .then_some(())
    })
    .await;
    let service = |event: &Event| match event {
        Event::Endpoint { service, endpoint, .. } if endpoint.ready => Some(service.clone()),
        _ => None,
    };
    assert_eq!(seen.next(|record| service(&record.event)).await, "web");
    drop(server);
}

#[tokio::test]
async fn of_another_namespace_only_the_named_endpoints_are_recorded() {
    let (_server, cluster) = Server::start(true).await;
    let (out, records) = unbounded_channel();
    let mut watches = start(std::slice::from_ref(&cluster), "run", out.clone());
    let other = ObjectRef::new(Some("db"), "other");
    let elsewhere = [("db".to_owned(), vec![other])].into();
    watches.follow_elsewhere(std::slice::from_ref(&cluster), &elsewhere, &out);
    let mut seen = SourceHealth(records);
    let service = |record: &Record| match &record.event {
        Event::Endpoint { service, .. } if service.starts_with("db/") => Some(service.clone()),
        _ => None,
    };
    // The one that is not named is before it in the list.
    assert_eq!(seen.next(service).await, "db/other");
}

/// Two servers of one cluster: a change is reported once, by the first to show it, and there is a
/// gap only when both are frozen.
#[tokio::test]
async fn two_servers_are_one_sight() {
    let (first, cluster) = Server::start(false).await;
    let (second, other) = Server::start(false).await;
    let (out, records) = unbounded_channel();
    let watches = start(&[cluster, other], "run", out);
    watches.baseline(Duration::from_secs(5)).await.unwrap();
    let mut seen = SourceHealth(records);
    assert_eq!(seen.node().await.2, Change::Baseline);
    sleep(Duration::from_millis(300)).await;
    // The first server is frozen, and the second one tells: immediately, and without a gap.
    first.set(|state| state.frozen = true);
    second.node("Unknown");
    let (record, ready, change) = seen.node().await;
    assert_eq!((record.since, ready, change), (None, Ready::Unknown, Change::Changed));
    sleep(Duration::from_millis(4500)).await;
    // Unfrozen, it reports the same, which is not recorded again. Then it alone reports.
    first.node("Unknown");
    first.set(|state| state.frozen = false);
    sleep(Duration::from_millis(1500)).await;
    second.set(|state| state.frozen = true);
    first.node("True");
    let is_it = |event: &Event| matches!(event, Event::Node { .. } | Event::WatchGap { .. });
    let next = seen.next(|record| is_it(&record.event).then(|| record.clone())).await;
    assert!(matches!(next.event, Event::Node { ready: Ready::True, .. }), "{next:?}");
    // Both are frozen: a gap.
    first.set(|state| state.frozen = true);
    let gap = seen.gap(false).await;
    second.node("Unknown");
    second.node("True");
    second.node("False");
    second.set(|state| state.frozen = false);
    assert!(matches!(seen.gap(true).await.event, Event::WatchGap { until: Some(_), .. }));
    let (record, ready, _) = seen.node().await;
    assert_eq!((record.since, ready), (gap.since, Ready::False));
}

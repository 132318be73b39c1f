//! Lists once, then follows; notices when it has become blind, says so, and begins anew, for ever.
//!
//! A watch that is silent may be one of a quiet cluster or one of a server that froze. So each stream is asked for only a short
//! time, after which a living server ends it and the next goes on from the same place without losing anything; a stream that
//! neither speaks nor ends is blind since its last sign of life.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use kube::Resource;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::book::{Book, Watched};
use super::gap::Gap;
use crate::timeline::{Change, Event, Moment, Record};

/// How long the server is asked to keep a stream open (whole seconds).
const STREAM: Duration = Duration::from_secs(2);
/// How much later than that a living server may end it.
const SLACK: Duration = Duration::from_millis(1500);
/// The server answers a watch's request at once.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// One page of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
/// A stream that the server ends earlier than asked was cut.
const EARLY: Duration = Duration::from_millis(500);
/// What arrives so soon after a stream was opened may have happened between it and the one before.
const BACKLOG: Duration = Duration::from_millis(50);
/// A server that went silent is noticed after so long, at most: a stream's whole time, and the opening of the next.
pub const SILENCE: Duration = Duration::from_millis(5500);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a watch ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server has no such kind.
    NotServed,
    /// Nobody receives the records any more.
    Unheard,
}

/// One watch's ties to the rest.
#[derive(Debug)]
pub(super) struct Follow {
    name: &'static str,
    fields: Option<&'static str>,
    labels: Option<String>,
    out: UnboundedSender<Record>,
    started: watch::Sender<BTreeSet<&'static str>>,
}

/// Where a stream goes on, and since when it could have missed something.
struct Place {
    version: String,
    /// The last sign of life.
    alive: Moment,
}

/// The pauses between attempts, each longer than the one before.
struct Pauses(Duration);

impl Pauses {
    async fn pause(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// How one stream ended.
enum Stream {
    /// As asked.
    Done,
    /// It is not known what happened since the place's last sign of life.
    Broken(String),
    Unheard,
}

impl Follow {
    pub(super) fn new(name: &'static str, out: UnboundedSender<Record>, started: watch::Sender<BTreeSet<&'static str>>) -> Self {
        Self { name, fields: None, labels: None, out, started }
    }

    /// Follows only objects of which these fields are so.
    pub(super) fn fields(self, fields: &'static str) -> Self {
        Self { fields: Some(fields), ..self }
    }

    /// Follows only objects whose labels are so.
    pub(super) fn labels(self, labels: String) -> Self {
        Self { labels: Some(labels), ..self }
    }

    /// Whether somebody received it.
    pub(super) fn send(&self, record: Record) -> bool {
        self.out.send(record).is_ok()
    }

    /// Follows until nobody receives, or the server turns out not to have the kind (known at the first list only).
    pub(super) async fn run<W: Watched>(self, api: Api<W::Object>) -> (Ended, Self) {
        let (mut book, mut gap, mut pauses) = (Book::<W>::new(), Gap::new(self.name), Pauses(FIRST_PAUSE));
        let mut change = Change::Baseline;
        let mut alive = Moment::now();
        loop {
            let (objects, version) = match self.list(&api).await {
                Ok(listed) => listed,
                Err(kube::Error::Api(status)) if status.is_not_found() && change == Change::Baseline => {
                    return (Ended::NotServed, self);
                }
                Err(error) if self.blind(&mut gap, alive, say(&error)) => {
                    pauses.pause().await;
                    continue;
                }
                Err(_) => return (Ended::Unheard, self),
            };
            let listed = Instant::now();
            let mut place = Place { version, alive: Moment::now() };
            if !self.listed(&mut book, &mut gap, &objects, change) {
                return (Ended::Unheard, self);
            }
            change = Change::Changed;
            let Stream::Broken(reason) = self.stream_on::<W>(&api, &mut book, &mut place).await else {
                return (Ended::Unheard, self);
            };
            alive = place.alive;
            if !self.blind(&mut gap, alive, reason) {
                return (Ended::Unheard, self);
            }
            // What was cut is mostly there again at once; what is cut again and again is given time.
            match listed.elapsed() < STREAM {
                true => pauses.pause().await,
                false => pauses = Pauses(FIRST_PAUSE),
            }
        }
    }

    fn blind(&self, gap: &mut Gap, from: Moment, reason: String) -> bool {
        match gap.open(from, reason) {
            Some(record) => self.send(record),
            None => !self.out.is_closed(),
        }
    }

    /// A whole list, page by page, and the version at which it holds.
    async fn list<K>(&self, api: &Api<K>) -> kube::Result<(Vec<K>, String)>
    where
        K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let mut params = ListParams::default().limit(PAGE);
        params.field_selector = self.fields.map(str::to_owned);
        params.label_selector.clone_from(&self.labels);
        let mut all = Vec::new();
        loop {
            let page = timeout(LIST_TIMEOUT, api.list(&params)).await.map_err(|_| silent("list", LIST_TIMEOUT))??;
            all.extend(page.items);
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok((all, page.metadata.resource_version.unwrap_or_default()));
            }
        }
    }

    /// Says what a list shows: the baseline, or what happened in the gap. Whether somebody received it.
    fn listed<W: Watched>(&self, book: &mut Book<W>, gap: &mut Gap, objects: &[W::Object], change: Change) -> bool {
        let at = Moment::now();
        let closed = gap.close(at);
        let mut since = None;
        if let Some((from, record)) = closed {
            self.send(record);
            since = Some(from).filter(|_| change != Change::Baseline);
        }
        self.send_all(at, since, book.replace(objects, change));
        self.started.send_if_modified(|started| started.insert(self.name));
        self.send(Record { at, since: None, event: Event::WatchStarted { watch: self.name.to_owned() } })
    }

    /// Stream after stream, until one breaks.
    async fn stream_on<W: Watched>(&self, api: &Api<W::Object>, book: &mut Book<W>, place: &mut Place) -> Stream {
        let mut params = WatchParams::default().timeout(STREAM.as_secs() as u32);
        params.field_selector = self.fields.map(str::to_owned);
        params.label_selector.clone_from(&self.labels);
        loop {
            match self.stream(api, &params, book, place).await {
                Stream::Done => {}
                other => return other,
            }
        }
    }

    /// One stream, from the place to where it ends.
    async fn stream<W: Watched>(
        &self,
        api: &Api<W::Object>,
        params: &WatchParams,
        book: &mut Book<W>,
        place: &mut Place,
    ) -> Stream {
        let (began, before) = (Instant::now(), place.alive);
        let opened = timeout(OPEN_TIMEOUT, api.watch(params, &place.version)).await;
        let mut stream = match opened.unwrap_or_else(|_| Err(silent("watch", OPEN_TIMEOUT))) {
            Ok(stream) => std::pin::pin!(stream),
            Err(error) => return Stream::Broken(say(&error)),
        };
        // That it was opened is no sign of life yet: what happened since the last stream is not here before the first word.
        let backlog = Moment::now().plus(BACKLOG);
        loop {
            let said = match timeout_at(began + STREAM + SLACK, stream.next()).await {
                Ok(Some(Ok(said))) => said,
                Ok(Some(Err(error))) => return Stream::Broken(say(&error)),
                Ok(None) => return place.ended(began.elapsed()),
                Err(_) => return Stream::Broken("no sign of life from the API server".to_owned()),
            };
            let at = Moment::now();
            match take(said, book, place) {
                Ok(events) => {
                    place.alive = at;
                    if !self.send_all(at, Some(before).filter(|_| at <= backlog), events) {
                        return Stream::Unheard;
                    }
                }
                Err(reason) => {
                    place.alive = before;
                    return Stream::Broken(reason);
                }
            }
        }
    }

    fn send_all(&self, at: Moment, since: Option<Moment>, events: Vec<Event>) -> bool {
        events.into_iter().all(|event| self.send(Record { at, since, event }))
    }
}

impl Place {
    /// A stream that lived as long as it was asked to ended because the server, living, said so.
    fn ended(&mut self, lived: Duration) -> Stream {
        if lived + EARLY < STREAM {
            return Stream::Broken("the API server closed the watch".to_owned());
        }
        self.alive = Moment::now();
        Stream::Done
    }
}

/// Brings the book and the place up to what the server said.
fn take<W: Watched>(event: WatchEvent<W::Object>, book: &mut Book<W>, place: &mut Place) -> Result<Vec<Event>, String> {
    let mut at = |object: &W::Object| {
        if let Some(version) = &object.meta().resource_version {
            place.version.clone_from(version);
        }
    };
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            at(&object);
            Ok(book.put(&object, Change::Changed))
        }
        WatchEvent::Deleted(object) => {
            at(&object);
            Ok(book.remove(&object))
        }
        WatchEvent::Bookmark(bookmark) => {
            place.version = bookmark.metadata.resource_version;
            Ok(Vec::new())
        }
        WatchEvent::Error(status) if status.code == 410 => Err("the API server no longer knew the place".to_owned()),
        WatchEvent::Error(status) => Err(format!("the API server ended the watch: {}", status.message)),
    }
}

fn silent(what: &str, within: Duration) -> kube::Error {
    kube::Error::Service(format!("no answer to a {what} within {} s", within.as_secs()).into())
}

/// The words of an error that are worth keeping.
fn say(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} (status {})", status.message, status.code),
        other => crate::cluster::innermost(other),
    }
}

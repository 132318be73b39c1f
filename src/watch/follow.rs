//! Lists once, then follows; notices when it gets no more responses, reports a gap, and starts
//! again, for ever.
//!
//! A watch that is silent may be one of a quiet cluster or one of a server that froze. So each
//! stream is asked for only a short time, after which a living server ends it and the next goes on
//! from the same place without losing anything; a stream that neither sends nor ends is lost since
//! its last response.
//!
//! A stream that was cut by something else than its server (a proxy, a load balancer) goes on from
//! the same place, too, if the server answers immediately and its store has not gone back.
//!
//! With several API servers each watch looks through more than one of them. The first to report a
//! change counts, later reports of it are dropped, and there is a gap only while all of them are
//! lost.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use kube::Resource;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::cache::{Seen, WatchCache, Watched, version_of};
use super::health::WatchHealth;
use crate::timeline::{Change, Event, Moment, Record, format_seconds};

/// How long the server is asked to keep a stream open (whole seconds).
const STREAM: Duration = Duration::from_secs(2);
/// How much later than that a living server may end it.
const SLACK: Duration = Duration::from_millis(1500);
/// The server answers a watch's request immediately.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// A stream that was cut goes on only so soon after its last response: a quiet one lives for
/// [`STREAM`].
const CUT: Duration = Duration::from_millis(2500);
/// And only if the server says so soon which version it has.
const VERSION_TIMEOUT: Duration = Duration::from_millis(500);
/// One page of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE: u32 = 500;
/// A stream that the server ends earlier than asked was cut.
const EARLY: Duration = Duration::from_millis(500);
/// What arrives so soon after a stream was opened may have happened between it and the one before.
const BACKLOG: Duration = Duration::from_millis(50);
/// The same where the stream before was cut: connections are made anew.
const BACKLOG_OF_CUT: Duration = Duration::from_millis(500);
/// A server that went silent is noticed after so long, at most: a stream's whole time, and the
/// opening of the next.
pub(crate) const SILENCE: Duration = Duration::from_millis(5500);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why a watch ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    NotServed,
    /// Nobody receives the records any more.
    NoReceiver,
}

/// What one watch follows, and where its records go.
#[derive(Debug)]
pub(super) struct Follow {
    name: String,
    fields: Option<&'static str>,
    labels: Option<String>,
    /// The API can't select by several names: others are received and left out.
    names: Option<BTreeSet<String>>,
    out: UnboundedSender<Record>,
    started: watch::Sender<BTreeSet<String>>,
}

/// What the servers through which one watch looks have in common.
struct Shared<W: Watched> {
    cache: WatchCache<W>,
    health: WatchHealth,
    listed: bool,
}

impl<W: Watched> Shared<W> {
    fn new(name: &str, sources: usize) -> Self {
        Self { cache: WatchCache::new(), health: WatchHealth::new(name, sources), listed: false }
    }
}

/// One server through which a watch looks.
struct Source<'a, W: Watched> {
    follow: &'a Follow,
    number: usize,
    api: &'a Api<W::Object>,
    shared: &'a Mutex<Shared<W>>,
}

/// Where a stream goes on, and since when it could have missed something.
struct Place {
    version: String,
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

enum Stream {
    /// As asked.
    Done,
    /// Its connection ended too early: the server may have everything that came since.
    Cut(String),
    /// It is not known what happened since the place's last sign of life.
    Broken(String),
    NoReceiver,
}

impl Follow {
    pub(super) fn new(
        name: impl Into<String>,
        out: UnboundedSender<Record>,
        started: watch::Sender<BTreeSet<String>>,
    ) -> Self {
        Self { name: name.into(), fields: None, labels: None, names: None, out, started }
    }

    /// Follows only objects of which these fields are so.
    pub(super) fn fields(self, fields: &'static str) -> Self {
        Self { fields: Some(fields), ..self }
    }

    /// The same of objects with any labels, but only of those with these names; `None`: of all.
    pub(super) fn named(self, names: Option<BTreeSet<String>>) -> Self {
        Self { labels: None, names, ..self }
    }

    /// Follows only objects whose labels are so.
    pub(super) fn labels(self, labels: String) -> Self {
        Self { labels: Some(labels), ..self }
    }

    pub(super) fn send(&self, record: Record) -> bool {
        self.out.send(record).is_ok()
    }

    /// Follows through several servers at the same time, until nobody receives, or one turns out
    /// not to have the kind (known at the first list only).
    pub(super) async fn run<W: Watched>(self, apis: Vec<Api<W::Object>>) -> (Ended, Self) {
        let shared = Mutex::new(Shared::<W>::new(&self.name, apis.len()));
        let sources = apis
            .iter()
            .enumerate()
            .map(|(number, api)| Source { follow: &self, number, api, shared: &shared }.run());
        let mut sources: FuturesUnordered<_> = sources.collect();
        let ended = sources.next().await.unwrap_or(Ended::NoReceiver);
        drop(sources);
        (ended, self)
    }

    fn wants(&self, object: &impl Resource) -> bool {
        let name = object.meta().name.as_deref().unwrap_or_default();
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }

    fn send_all(&self, at: Moment, since: Option<Moment>, events: Vec<Event>) -> bool {
        events.into_iter().all(|event| self.send(Record { at, since, event }))
    }

    fn list_params(&self, limit: u32) -> ListParams {
        let mut params = ListParams::default().limit(limit);
        params.field_selector = self.fields.map(str::to_owned);
        params.label_selector.clone_from(&self.labels);
        params
    }

    /// A whole list, page by page, and the version at which it holds. No more than a page of whole
    /// objects is kept.
    async fn list<W: Watched>(&self, api: &Api<W::Object>) -> kube::Result<(Vec<Seen>, String)> {
        let mut params = self.list_params(PAGE);
        let mut all = Vec::new();
        loop {
            let page = timeout(LIST_TIMEOUT, api.list(&params))
                .await
                .map_err(|_| silent("list", LIST_TIMEOUT))??;
            let wanted = page.items.iter().filter(|object| self.wants(*object));
            all.extend(wanted.map(Seen::new::<W>));
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok((all, page.metadata.resource_version.unwrap_or_default()));
            }
        }
    }
}

impl<W: Watched> Source<'_, W> {
    async fn run(self) -> Ended {
        let mut pauses = Pauses(FIRST_PAUSE);
        let mut alive = Moment::now();
        loop {
            let (objects, version) = match self.follow.list::<W>(self.api).await {
                Ok(listed) => listed,
                Err(kube::Error::Api(status)) if status.is_not_found() && !self.shared().listed => {
                    return Ended::NotServed;
                }
                Err(error) if self.lost(alive, brief(&error)) => {
                    pauses.pause().await;
                    continue;
                }
                Err(_) => return Ended::NoReceiver,
            };
            let listed = Instant::now();
            let mut place = Place { version, alive: Moment::now() };
            if !self.listed(objects, &place) {
                return Ended::NoReceiver;
            }
            let Stream::Broken(reason) = self.stream_on(&mut place).await else {
                return Ended::NoReceiver;
            };
            alive = place.alive;
            if !self.lost(alive, reason) {
                return Ended::NoReceiver;
            }
            // What was cut is mostly there again immediately; what is cut again and again is given
            // time.
            match listed.elapsed() < STREAM {
                true => pauses.pause().await,
                false => pauses = Pauses(FIRST_PAUSE),
            }
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared<W>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, from: Moment, reason: String) -> bool {
        let lost = self.shared().health.lost(self.number, from, reason);
        match lost {
            Some(record) => self.follow.send(record),
            None => !self.follow.out.is_closed(),
        }
    }

    /// Reports what a list shows: the baseline, or what happened in the gap. Whether somebody received
    /// it.
    fn listed(&self, objects: Vec<Seen>, place: &Place) -> bool {
        let follow = self.follow;
        let at = Moment::now();
        let mut shared = self.shared();
        let change = if shared.listed { Change::Changed } else { Change::Baseline };
        let seen = shared.health.latest();
        let closed = shared.health.restored(self.number, at);
        let news = closed.is_some() || !shared.listed;
        let since = closed.as_ref().map_or(seen, |(from, _)| *from);
        let since = Some(since).filter(|_| change != Change::Baseline);
        if let Some((_, record)) = closed {
            shared.cache.forget_versions();
            follow.send(record);
        }
        shared.listed = true;
        let events = shared.cache.replace(objects, version_of(&place.version), change);
        drop(shared);
        follow.send_all(at, since, events);
        follow.started.send_if_modified(|started| started.insert(follow.name.clone()));
        let started =
            Record { at, since: None, event: Event::WatchStarted { watch: follow.name.clone() } };
        if news { follow.send(started) } else { !follow.out.is_closed() }
    }

    /// Stream after stream, until one breaks.
    async fn stream_on(&self, place: &mut Place) -> Stream {
        let mut params = WatchParams::default().timeout(STREAM.as_secs() as u32);
        params.field_selector = self.follow.fields.map(str::to_owned);
        params.label_selector.clone_from(&self.follow.labels);
        let mut backlog = BACKLOG;
        loop {
            let began = Instant::now();
            match self.stream(&params, place, backlog).await {
                Stream::Done => {
                    backlog = BACKLOG;
                    self.shared().health.alive(self.number, place.alive);
                }
                Stream::Cut(reason) => {
                    // What is cut again and again is given time.
                    if backlog > BACKLOG && began.elapsed() < EARLY {
                        sleep(FIRST_PAUSE).await;
                    }
                    backlog = BACKLOG_OF_CUT;
                    if !self.can_resume(place).await {
                        return Stream::Broken(reason);
                    }
                }
                other => return other,
            }
        }
    }

    /// Whether a stream that was cut can go on from its place, without a list. Of a store that has
    /// gone back (a backup was restored) a stream from a later version shows nothing.
    async fn can_resume(&self, place: &Place) -> bool {
        if Moment::now().since(place.alive) > CUT {
            return false;
        }
        let params = self.follow.list_params(1);
        let now = timeout(VERSION_TIMEOUT, self.api.list(&params)).await;
        let Ok(Ok(now)) = now else { return false };
        let now = now.metadata.resource_version.as_deref().and_then(version_of);
        now.zip(version_of(&place.version)).is_some_and(|(now, place)| now >= place)
    }

    async fn stream(&self, params: &WatchParams, place: &mut Place, backlog: Duration) -> Stream {
        let (began, before) = (Instant::now(), place.alive);
        let silent_for = Moment::now().since(before);
        let until = began + (STREAM + SLACK).min(SILENCE.saturating_sub(silent_for));
        let opened = timeout(OPEN_TIMEOUT, self.api.watch(params, &place.version)).await;
        let mut stream = match opened.unwrap_or_else(|_| Err(silent("watch", OPEN_TIMEOUT))) {
            Ok(stream) => std::pin::pin!(stream),
            Err(error @ kube::Error::Api(_)) => return Stream::Broken(brief(&error)),
            Err(error) => return Stream::Cut(brief(&error)),
        };
        // That it was opened is not a sign of life yet: what happened since the last stream is not
        // here before the first word.
        let backlog = Moment::now().plus(backlog);
        loop {
            let answer = match timeout_at(until, stream.next()).await {
                Ok(Some(Ok(answer))) => answer,
                Ok(Some(Err(error))) => return Stream::Cut(brief(&error)),
                Ok(None) => return place.ended(began.elapsed()),
                Err(_) => return Stream::Broken("no response from the API server".to_owned()),
            };
            let at = Moment::now();
            let taken = take(self.follow, answer, &mut self.shared().cache, place);
            match taken {
                Ok(events) => {
                    place.alive = at;
                    self.shared().health.alive(self.number, at);
                    if !self.follow.send_all(at, Some(before).filter(|_| at <= backlog), events) {
                        return Stream::NoReceiver;
                    }
                }
                Err(reason) => {
                    place.alive = before;
                    return Stream::Broken(reason);
                }
            }
        }
    }
}

impl Place {
    /// A stream that lasted as long as it was asked to was ended by a server that is alive.
    fn ended(&mut self, lived: Duration) -> Stream {
        if lived + EARLY < STREAM {
            return Stream::Cut("the API server closed the watch".to_owned());
        }
        self.alive = Moment::now();
        Stream::Done
    }
}

/// Brings the cache and the place up to what the server answered.
fn take<W: Watched>(
    follow: &Follow,
    event: WatchEvent<W::Object>,
    cache: &mut WatchCache<W>,
    place: &mut Place,
) -> Result<Vec<Event>, String> {
    let mut at = |object: &W::Object| {
        if let Some(version) = &object.meta().resource_version {
            place.version.clone_from(version);
        }
    };
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object)
            if !follow.wants(&object) =>
        {
            at(&object);
            Ok(Vec::new())
        }
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            at(&object);
            Ok(cache.put(&object, Change::Changed))
        }
        WatchEvent::Deleted(object) => {
            at(&object);
            Ok(cache.remove(&object))
        }
        WatchEvent::Bookmark(bookmark) => {
            place.version = bookmark.metadata.resource_version;
            Ok(Vec::new())
        }
        WatchEvent::Error(status) if status.code == 410 => {
            Err("the API server no longer had the resource version".to_owned())
        }
        WatchEvent::Error(status) => {
            Err(format!("the API server ended the watch: {}", status.message))
        }
    }
}

fn silent(what: &str, within: Duration) -> kube::Error {
    kube::Error::Service(format!("no answer to a {what} within {}", format_seconds(within)).into())
}

fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} (status {})", status.message, status.code),
        other => crate::cluster::innermost(other),
    }
}

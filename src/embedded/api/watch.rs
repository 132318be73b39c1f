//! Watching: what is, then what changes, as a stream of JSON lines.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::form::{Bookmark, Form};
use super::query::Query;
use super::read::Selection;
use super::respond::{Answer, answer};
use super::served::Served;
use super::target::Target;
use super::{ApiError, Availability};
use crate::embedded::store::{Change, Feed, Kind, Object, StoreError, object};

/// How long a stream lives when the client does not say (Kubernetes: 30 to 60 min).
const LONGEST: Duration = Duration::from_secs(1800);
/// Between two words that only say how far the stream is (Kubernetes: about a minute).
const BOOKMARKS: Duration = Duration::from_secs(60);

/// A stream of changes, to its end.
struct Watching {
    served: Arc<Served>,
    kind: &'static Kind,
    namespace: Option<String>,
    selection: Selection,
    form: Form,
    feed: Feed,
    first: Option<String>,
    until: Instant,
    bookmarks: Option<Instant>,
    ended: bool,
}

/// Follows the objects of a kind (or one of them).
pub(super) fn watch(
    served: &Arc<Served>,
    target: &Target,
    query: &Query,
    form: Form,
) -> Result<Answer, ApiError> {
    let watching = Watching::new(served, target, query, form)?;
    let frames = stream::unfold(watching, |mut watching| async {
        let text = watching.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(text))), watching))
    });
    Ok(answer(200, "application/json", StreamBody::new(frames).boxed_unsync()))
}

impl Watching {
    /// A stream that begins where the client says, or with what is now.
    fn new(
        served: &Arc<Served>,
        target: &Target,
        query: &Query,
        form: Form,
    ) -> Result<Self, ApiError> {
        let asked = revision_of(query)?.filter(|revision| *revision > 0);
        let initial = query.text("sendInitialEvents");
        let now = served.store.snapshot(target.kind, target.scope());
        let after = asked.filter(|_| initial != "true").unwrap_or(now.revision);
        let lives = query
            .number("timeoutSeconds")
            .filter(|seconds| *seconds > 0)
            .map_or(LONGEST, Duration::from_secs);
        let mut watching = Self {
            served: served.clone(),
            kind: target.kind,
            namespace: target.scope().map(str::to_owned),
            selection: Selection::of(target, query)?,
            form,
            feed: served.store.follow_kind(target.kind, after),
            first: None,
            until: Instant::now() + lives.min(LONGEST),
            bookmarks: query.flag("allowWatchBookmarks").then(|| Instant::now() + BOOKMARKS),
            ended: false,
        };
        if initial == "true" || (asked.is_none() && initial != "false") {
            watching.first = Some(watching.present(&now.objects));
        }
        if initial == "true" {
            let end =
                line("BOOKMARK", form.bookmark(target.kind, after, Bookmark::InitialEventsEnd));
            watching.first.get_or_insert_default().push_str(&end);
        }
        Ok(watching)
    }

    fn present(&self, objects: &[Object]) -> String {
        objects
            .iter()
            .filter(|object| self.selection.matches(object))
            .map(|object| self.line("ADDED", object))
            .collect()
    }

    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let mut text = self.first.take().unwrap_or_default();
        while text.is_empty() && !self.ended {
            text = self.wait().await;
        }
        self.served.availability.until(|now| now != Availability::Hanging).await;
        (!text.is_empty()).then_some(text)
    }

    /// What comes next: changes, a word that it lives, or the end.
    async fn wait(&mut self) -> String {
        let next = self.bookmarks.unwrap_or(self.until).min(self.until);
        match timeout_at(next, self.feed.next()).await {
            Ok(Ok(changes)) => changes.iter().map(|change| self.change(change)).collect(),
            Ok(Err(error)) => {
                self.ended = true;
                line("ERROR", gone(&error))
            }
            Err(_) => {
                self.ended = next == self.until;
                self.bookmark()
            }
        }
    }

    /// How far it is: what the next stream can go on from.
    fn bookmark(&mut self) -> String {
        let Some(due) = &mut self.bookmarks else { return String::new() };
        *due = Instant::now() + BOOKMARKS;
        line("BOOKMARK", self.form.bookmark(self.kind, self.feed.at(), Bookmark::Progress))
    }

    /// A change, as those see it who select: what comes to match is added, what no longer does is
    /// deleted.
    fn change(&self, change: &Change) -> String {
        let matching = |object: &&Object| {
            self.namespace.as_deref().is_none_or(|namespace| object::namespace(object) == namespace)
                && self.selection.matches(object)
        };
        match (change.before.as_ref().filter(matching), change.after.as_ref().filter(matching)) {
            (None, None) => String::new(),
            (None, Some(new)) => self.line("ADDED", new),
            (Some(_), Some(new)) => self.line("MODIFIED", new),
            (Some(gone), None) => {
                let mut gone = Value::clone(gone);
                object::meta_mut(&mut gone)
                    .insert("resourceVersion".to_owned(), change.revision.to_string().into());
                self.line("DELETED", &gone)
            }
        }
    }

    fn line(&self, what: &str, object: &Value) -> String {
        line(what, self.form.object(self.kind, object))
    }
}

/// The revision that a client names; `None` where it names none.
fn revision_of(query: &Query) -> Result<Option<u64>, ApiError> {
    let text = query.text("resourceVersion");
    let revision = Some(text).filter(|text| !text.is_empty()).map(str::parse).transpose();
    revision.map_err(|_| {
        ApiError::bad_request(format!("Invalid value: \"{text}\": resourceVersion is not a number"))
    })
}

fn line(what: &str, object: Value) -> String {
    format!("{}\n", json!({"type": what, "object": object}))
}

fn gone(error: &StoreError) -> Value {
    ApiError::expired(error.to_string()).status()
}

//! Docker's own word on a cluster's containers, as records: when one died, by the engine's clock.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error as Bollard;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt, stream};

use super::client::Docker;
use crate::timeline::{Event, Moment, Record};

/// What the watch is called in records.
const WATCH: &str = "docker";
/// The actions that say something about a node's power.
const ACTIONS: [&str; 10] =
    ["create", "start", "die", "stop", "kill", "pause", "unpause", "restart", "oom", "destroy"];
/// How often a silent stream is checked by a ping: a frozen engine says nothing, as a quiet one
/// does.
const PULSE: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_millis(250);
/// After a gap, events are asked for from a little before the last one: the engine may tell two in
/// the wrong order.
const OVERLAP_NS: i64 = 2_000_000_000;
/// How many events are remembered in order to tell none twice. Docker itself remembers 256.
const REMEMBERED: usize = 256;

impl Docker {
    /// Follows the power of a kind cluster's containers, from now on and without an end:
    /// `Event::Docker` records, stamped with their reception and carrying the engine's time;
    /// `WatchStarted` when it follows, and `WatchGap` when the engine went away. What happened in a
    /// gap is reported after it where the engine still knows, with the gap as its bracket.
    ///
    /// Each `next()` may be cancelled; nothing is lost by it.
    pub(crate) fn events(
        &self,
        cluster: &str,
    ) -> impl Stream<Item = Record> + Send + Unpin + 'static {
        let follower = Follower {
            docker: self.clone(),
            label: format!("io.x-k8s.kind.cluster={cluster}"),
            ready: VecDeque::new(),
            live: None,
            last_ns: None,
            heard: Moment::now(),
            blind_since: None,
            replay: None,
            delivered: VecDeque::new(),
        };
        Box::pin(stream::unfold(follower, |mut follower| async move {
            let record = follower.next().await;
            Some((record, follower))
        }))
    }
}

type Live = Pin<Box<dyn Stream<Item = Result<EventMessage, Bollard>> + Send>>;

struct Follower {
    docker: Docker,
    label: String,
    ready: VecDeque<Record>,
    live: Option<Live>,
    /// The engine's time of the last event, or of the start.
    last_ns: Option<i64>,
    /// When the engine was heard of last.
    heard: Moment,
    blind_since: Option<Moment>,
    /// Events up to this time of the engine happened while we were blind since that moment.
    replay: Option<(i64, Moment)>,
    delivered: VecDeque<(i64, String, String)>,
}

impl Follower {
    async fn next(&mut self) -> Record {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return record;
            }
            match &mut self.live {
                None => self.connect().await,
                Some(live) => match tokio::time::timeout(PULSE, live.next()).await {
                    Ok(Some(Ok(message))) => self.take(message),
                    Ok(Some(Err(error))) => self.lose(Moment::now(), error.to_string()),
                    Ok(None) => self.lose(Moment::now(), "the engine closed the stream".into()),
                    Err(_) => self.check().await,
                },
            }
        }
    }

    async fn check(&mut self) {
        match self.docker.ping(PING).await {
            Ok(()) => self.heard = Moment::now(),
            Err(error) => self.lose(self.heard, error.to_string()),
        }
    }

    /// The engine's time is asked for first: the stream is opened from then on, so that nothing
    /// falls between.
    async fn connect(&mut self) {
        let clock = match self.docker.clock().await {
            Ok(clock) => clock.unwrap_or_default(),
            Err(error) => {
                self.lose(Moment::now(), error.to_string());
                tokio::time::sleep(RETRY).await;
                return;
            }
        };
        let nanoseconds =
            |at: jiff::Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX);
        let engine = jiff::Timestamp::now() + clock.offset;
        let now_ns = nanoseconds(engine);
        // An estimate that is late would leave out what happens next.
        let earliest_ns = nanoseconds(engine - clock.uncertainty);
        let from_ns = self.last_ns.map_or(earliest_ns, |last| last - OVERLAP_NS);
        self.last_ns.get_or_insert(earliest_ns);
        let options = EventsOptions {
            since: Some(format!(
                "{}.{:09}",
                from_ns.div_euclid(1_000_000_000),
                from_ns.rem_euclid(1_000_000_000)
            )),
            until: None,
            filters: Some(HashMap::from([
                ("type".to_owned(), vec!["container".to_owned()]),
                ("label".to_owned(), vec![self.label.clone()]),
            ])),
        };
        self.heard = Moment::now();
        self.live = Some(Box::pin(self.docker.bollard.events(Some(options))));
        if let Some(since) = self.blind_since.take() {
            self.replay = Some((now_ns, since));
            self.gap(since, Some(Moment::now()), "the engine answers again".into());
        }
        self.ready.push_back(Record::now(Event::WatchStarted { watch: WATCH.into() }));
    }

    fn lose(&mut self, since: Moment, reason: String) {
        self.live = None;
        if self.blind_since.is_none() {
            self.blind_since = Some(since);
            self.gap(since, None, reason);
        }
    }

    fn gap(&mut self, since: Moment, until: Option<Moment>, reason: String) {
        let event = Event::WatchGap { watch: WATCH.into(), until, reason };
        self.ready.push_back(Record { since: Some(since), ..Record::now(event) });
    }

    fn take(&mut self, message: EventMessage) {
        self.heard = Moment::now();
        let Some(action) =
            message.action.as_deref().map(plain).filter(|a| ACTIONS.contains(a)).map(str::to_owned)
        else {
            return;
        };
        let actor = message.actor.unwrap_or_default();
        let mut attributes = actor.attributes.unwrap_or_default();
        // Podman has another name for it.
        let exit_code = ["exitCode", "containerExitCode"]
            .iter()
            .find_map(|name| attributes.remove(*name)?.parse().ok());
        let container = attributes.remove("name").or(actor.id).unwrap_or_default();
        let ns = message.time_nano.unwrap_or(0);
        let delivered = (ns, container.clone(), action.clone());
        if self.delivered.contains(&delivered) {
            return;
        }
        self.delivered.push_back(delivered);
        if self.delivered.len() > REMEMBERED {
            self.delivered.pop_front();
        }
        self.last_ns = self.last_ns.max(Some(ns));
        let since = self.replay.filter(|(until, _)| ns <= *until).map(|(_, since)| since);
        let engine_time = jiff::Timestamp::from_nanosecond(i128::from(ns)).ok().filter(|_| ns > 0);
        self.ready.push_back(Record {
            since,
            ..Record::now(Event::Docker { container, action, engine_time, exit_code })
        });
    }
}

/// Podman says `died` and `remove`.
fn plain(action: &str) -> &str {
    match action {
        "died" => "die",
        "remove" => "destroy",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    fn action(record: &Record) -> &str {
        match &record.event {
            Event::Docker { action, .. } => action,
            Event::WatchStarted { .. } => "started",
            Event::WatchGap { until: None, .. } => "blind",
            Event::WatchGap { .. } => "sees",
            other => panic!("{other:?}"),
        }
    }

    async fn until(stream: &mut (impl Stream<Item = Record> + Unpin), wanted: &str) -> Record {
        let look = async {
            loop {
                let record = stream.next().await.unwrap();
                if action(&record) == wanted {
                    return record;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look)
            .await
            .unwrap_or_else(|_| panic!("no {wanted}"))
    }

    #[tokio::test]
    async fn power_is_followed_through_a_gap() {
        let mut engine = FakeEngine::start();
        let docker = engine.connect().await;
        let mut events = docker.events("c");
        until(&mut events, "started").await;
        docker.kill("c-worker").await.unwrap();
        let died = until(&mut events, "die").await;
        assert!(
            died.since.is_none()
                && matches!(&died.event, Event::Docker { container, engine_time: Some(_), .. } if container == "c-worker")
        );
        engine.down();
        let blind = until(&mut events, "blind").await;
        assert!(blind.since > Some(died.at));
        engine.with(|state| state.happens("c-control-plane", "pause"));
        engine.up();
        let sees = until(&mut events, "sees").await;
        assert_eq!(sees.since, blind.since);
        let paused = until(&mut events, "pause").await;
        assert_eq!(paused.since, blind.since, "it happened somewhere in the gap");
        // Later than the bound of the engine's clock: what is nearer to the gap may have been in
        // it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        docker.start("c-worker").await.unwrap();
        let started = until(&mut events, "start").await;
        assert_eq!(started.since, None);
    }
}

//! Observes every control-plane node from within during a run. An observer dies with its node: it
//! is deployed again when the node is back, and what changed in between is reported as a change
//! during the gap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::{self, AgentHandle, AgentMessage};
use crate::engine::clock;
use crate::node::{NodeAccess, NodeHandle, NodeState};
use crate::timeline::{Component, Event, Moment, Record};

/// Observers may take so long to begin before the run goes on without them.
const BEGIN: Duration = Duration::from_secs(30);
/// Between two attempts to deploy an observer.
const PAUSE: Duration = Duration::from_millis(500);
/// An observer that is silent for so long has stopped: it sends a heartbeat twice a second.
const SILENCE: Duration = Duration::from_secs(3);

/// The observers of a run. Dropped, they end by themselves.
#[derive(Default)]
pub(crate) struct Observers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// One node, and what deploying to it takes.
#[derive(Clone)]
pub(crate) struct Post {
    pub access: Arc<dyn NodeAccess>,
    pub node: NodeHandle,
    /// Its processor; empty where it is not known.
    pub processor: String,
    pub run: String,
    /// This program for the node.
    pub binary: Arc<[u8]>,
    /// How long an observer goes on without its runner.
    pub grace: Duration,
}

impl Observers {
    /// Deploys an observer to each node, and returns when all have started, or could not.
    pub(crate) async fn start(posts: Vec<Post>, out: &UnboundedSender<Record>) -> Self {
        let mut observers = Self::default();
        let mut begun = Vec::new();
        for post in posts {
            let (begin, has_begun) = oneshot::channel();
            let known = NodeHistory::of(&post.node.name);
            let watch = Watch {
                post,
                out: out.clone(),
                stop: observers.stop.clone(),
                begun: Some(begin),
                known,
            };
            observers.tasks.spawn(watch.keep());
            begun.push(has_begun);
        }
        let _ = tokio::time::timeout(BEGIN, futures_util::future::join_all(begun)).await;
        observers
    }

    /// Ends them; when this returns, all that they saw was passed on.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

struct Watch {
    post: Post,
    out: UnboundedSender<Record>,
    stop: CancellationToken,
    begun: Option<oneshot::Sender<()>>,
    known: NodeHistory,
}

impl Watch {
    async fn keep(mut self) {
        let stop = self.stop.clone();
        loop {
            let begun = tokio::select! {
                () = stop.cancelled() => return,
                begun = self.post.begin() => begun,
            };
            let why = match begun {
                Ok((handle, inbox)) => match self.listen(handle, inbox).await {
                    Some(why) => why,
                    None => return,
                },
                Err(why) => why,
            };
            self.send(|known| known.lost(why));
            self.begun.take();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Passes on what an observer reports. Returns why it ended; `None`: it was asked to.
    async fn listen(
        &mut self,
        handle: AgentHandle,
        mut inbox: UnboundedReceiver<AgentMessage>,
    ) -> Option<String> {
        let stop = self.stop.clone();
        self.known.begins();
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => break,
                message = tokio::time::timeout(SILENCE, inbox.recv()) => message,
            };
            match message {
                Ok(Some(message)) => {
                    if let Some(why) = self.take(message) {
                        return Some(why);
                    }
                }
                Ok(None) => return Some("it exited without a message".into()),
                Err(_) => self.send(|known| known.lost("no message from the node".into())),
            }
        }
        let _ = handle.stop().await;
        while let Ok(message) = inbox.try_recv() {
            self.take(message);
        }
        None
    }

    /// Hands a message on; why the observer ended, when it is its last.
    fn take(&mut self, message: AgentMessage) -> Option<String> {
        match message {
            AgentMessage::Record(record) => self.send(|known| known.observed(record)),
            AgentMessage::ObservedUntil(at) => {
                self.send(|known| known.observed_until(at));
                self.begun.take();
            }
            AgentMessage::Ended { error, .. } => {
                return Some(error.unwrap_or_else(|| "it exited unexpectedly".into()));
            }
            // An observer asks nothing.
            AgentMessage::Started(_)
            | AgentMessage::Attempts { .. }
            | AgentMessage::Note { .. } => {}
        }
        None
    }

    fn send(&mut self, what: impl FnOnce(&mut NodeHistory) -> Option<Record>) {
        if let Some(record) = what(&mut self.known) {
            // The recorder outlives the observers.
            let _ = self.out.send(record);
        }
    }
}

impl Post {
    async fn begin(&self) -> Result<(AgentHandle, UnboundedReceiver<AgentMessage>), String> {
        // Into a container that is down a file could be put, but nothing could be run there.
        let state = self.access.state(&self.node).await.map_err(|error| error.to_string())?;
        if state != NodeState::Up {
            return Err("the node is down".into());
        }
        // Unbounded: an observer sends some 20 records a second at most, and they are taken as they
        // come.
        let (messages, inbox) = unbounded_channel();
        let placement = agent::Placement {
            node: self.node.clone(),
            processor: self.processor.clone(),
            run: self.run.clone(),
            pod_uid: None,
            probes: Vec::new(),
            control: None,
            observe: true,
            grace: self.grace,
        };
        let handle = agent::deploy(&self.access, placement, &self.binary, messages)
            .await
            .map_err(|error| error.to_string())?;
        Ok((handle, inbox))
    }
}

/// What is observed of a node: a part's process, or (`None`) its etcd member.
type Subject = Option<Component>;

/// What is known of a node across its observers.
struct NodeHistory {
    node: String,
    /// Until when all is known.
    until: Moment,
    /// While there is no observer.
    gap: Option<Gap>,
    /// The beginning of the last gap.
    blind_from: Moment,
    states: BTreeMap<Subject, Event>,
    reported: BTreeSet<Subject>,
}

/// A time without an observer.
struct Gap {
    from: Moment,
    /// When it was recorded.
    noticed: Moment,
    reason: String,
}

impl NodeHistory {
    fn of(node: &str) -> Self {
        let now = clock::now();
        Self {
            node: node.into(),
            until: now,
            gap: None,
            blind_from: now,
            states: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// A new observer starts.
    fn begins(&mut self) {
        self.reported.clear();
    }

    fn lost(&mut self, reason: String) -> Option<Record> {
        if self.gap.is_some() {
            return None;
        }
        self.blind_from = self.until;
        let gap = Gap { from: self.until, noticed: clock::now(), reason };
        let record = self.gap_record(&gap, None);
        self.gap = Some(gap);
        Some(record)
    }

    fn observed_until(&mut self, at: Moment) -> Option<Record> {
        self.until = self.until.max(at);
        let gap = self.gap.take()?;
        Some(self.gap_record(&gap, Some(at)))
    }

    /// Its end may have been seen before the gap was noticed, where messages came late: it is
    /// recorded after its beginning all the same.
    fn gap_record(&self, gap: &Gap, until: Option<Moment>) -> Record {
        let (node, reason) = (self.node.clone(), gap.reason.clone());
        Record {
            at: gap.noticed.max(until.unwrap_or(gap.noticed)),
            since: Some(gap.from),
            event: Event::ObserverGap { node, until, reason },
        }
    }

    /// A record of an observer: the first on a subject counts only where it differs from the last
    /// one of the observer before.
    fn observed(&mut self, record: Record) -> Option<Record> {
        let subject = match &record.event {
            Event::Process { component, .. } => Some(*component),
            Event::EtcdMember { .. } => None,
            // While nobody is known to look, its own gap is part of that one.
            _ => return self.gap.is_none().then_some(record),
        };
        let before = self.states.insert(subject, record.event.clone());
        if !self.reported.insert(subject) {
            return Some(record);
        }
        match before {
            None => Some(record),
            Some(before) if before == record.event => None,
            Some(_) => Some(Record { since: Some(self.blind_from), ..record }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::ProcessState;

    fn process(at: u64, pid: u32) -> Record {
        let (component, state) = (Component::Scheduler, ProcessState::Running);
        Record::at(
            Moment(at),
            Event::Process { node: "cp".into(), component, pid: Some(pid), state },
        )
    }

    fn known() -> NodeHistory {
        NodeHistory { until: Moment(0), ..NodeHistory::of("cp") }
    }

    #[test]
    fn what_a_first_observer_says_is_how_things_were() {
        let mut known = known();
        known.begins();
        assert_eq!(known.observed(process(5, 7)), Some(process(5, 7)));
        assert_eq!(known.observed_until(Moment(6)), None);
    }

    #[test]
    fn what_changed_while_nobody_looked_has_the_gap_for_a_bracket() {
        let mut known = known();
        known.begins();
        known.observed(process(5, 7));
        known.observed_until(Moment(6));
        let lost = known.lost("its output has ended".into()).unwrap();
        assert_eq!(
            (lost.since, matches!(lost.event, Event::ObserverGap { until: None, .. })),
            (Some(Moment(6)), true)
        );
        assert_eq!(known.lost("the node is down".into()), None);
        known.begins();
        assert_eq!(known.observed(process(90, 7)), None, "the same process is not news");
        let closed = known.observed_until(Moment(91)).unwrap();
        assert_eq!(closed.since, Some(Moment(6)));
        assert!(matches!(closed.event, Event::ObserverGap { until: Some(Moment(91)), .. }));
        assert!(closed.at >= lost.at, "messages that came late do not end a gap before it began");
        let later = clock::now().plus(Duration::from_secs(9));
        known.lost(String::new());
        assert_eq!(known.observed_until(later).unwrap().at, later);
        known.until = Moment(91);
        known.lost(String::new());
        known.begins();
        assert_eq!(known.observed(process(190, 8)).unwrap().since, Some(Moment(91)));
        let change = Record { since: Some(Moment(191)), ..process(192, 9) };
        assert_eq!(known.observed(change.clone()), Some(change), "and then it sees for itself");
    }

    #[test]
    fn a_node_that_stood_still_says_so_itself() {
        let gap = || {
            let event = Event::ObserverGap {
                node: "cp".into(),
                until: Some(Moment(9)),
                reason: "the node was frozen".into(),
            };
            Record { at: Moment(9), since: Some(Moment(2)), event }
        };
        let mut known = known();
        assert_eq!(known.observed(gap()), Some(gap()));
        known.lost(String::new());
        assert_eq!(known.observed(gap()), None);
    }
}

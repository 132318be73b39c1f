//! Looks at every control-plane node from within, for the run's time. An observer dies with its node: it is brought there again when the
//! node is back, and what changed in between happened in the time in which nobody looked.

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
/// Between two attempts to bring an observer to a node.
const PAUSE: Duration = Duration::from_millis(500);
/// One that says nothing for so long has stopped seeing: it gives a sign of life twice a second.
const SILENCE: Duration = Duration::from_secs(3);

/// The observers of a run. Dropped, they end by themselves.
#[derive(Default)]
pub(crate) struct Observers {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// One node, and what it takes to get there.
#[derive(Clone)]
pub(crate) struct Post {
    /// The way into it.
    pub access: Arc<dyn NodeAccess>,
    /// The node.
    pub node: NodeHandle,
    /// Its processor; empty where it is not known.
    pub processor: String,
    /// The run's id.
    pub run: String,
    /// This program for the node.
    pub binary: Arc<[u8]>,
}

impl Observers {
    /// Brings an observer to each node, and returns when all have begun, or could not.
    pub(crate) async fn start(posts: Vec<Post>, out: &UnboundedSender<Record>) -> Self {
        let mut observers = Self::default();
        let mut begun = Vec::new();
        for post in posts {
            let (tell, told) = oneshot::channel();
            let known = Known::of(&post.node.name);
            let watch = Watch {
                post,
                out: out.clone(),
                stop: observers.stop.clone(),
                begun: Some(tell),
                known,
            };
            observers.tasks.spawn(watch.keep());
            begun.push(told);
        }
        let _ = tokio::time::timeout(BEGIN, futures_util::future::join_all(begun)).await;
        observers
    }

    /// Ends them; when this returns, all that they saw was handed on.
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
    known: Known,
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
            self.say(|known| known.lost(why));
            self.begun.take();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Hands on what an observer says. Returns why it ended; `None`: it was told to.
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
                Err(_) => self.say(|known| known.lost("no message from the node".into())),
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
            AgentMessage::Record(record) => self.say(|known| known.said(record)),
            AgentMessage::ObservedUntil(at) => {
                self.say(|known| known.looked(at));
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

    fn say(&mut self, what: impl FnOnce(&mut Known) -> Option<Record>) {
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
        let (messages, inbox) = unbounded_channel();
        let placement = agent::Placement {
            node: self.node.clone(),
            processor: self.processor.clone(),
            run: self.run.clone(),
            pod_uid: None,
            probes: Vec::new(),
            control: None,
            observe: true,
        };
        let handle = agent::deploy(&*self.access, placement, &self.binary, messages)
            .await
            .map_err(|error| error.to_string())?;
        Ok((handle, inbox))
    }
}

/// What is told apart of a node: a part's process, or (`None`) its etcd member.
type Subject = Option<Component>;

/// What is known of a node over the lives of its observers.
struct Known {
    node: String,
    /// Until when all is known.
    until: Moment,
    /// Since when the observer that is there now has not been there to see, and why, while that lasts.
    gap: Option<(Moment, String)>,
    /// The beginning of the last gap.
    blind_from: Moment,
    states: BTreeMap<Subject, Event>,
    /// What the present observer has said.
    said: BTreeSet<Subject>,
}

impl Known {
    fn of(node: &str) -> Self {
        let now = clock::now();
        Self {
            node: node.into(),
            until: now,
            gap: None,
            blind_from: now,
            states: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// A new observer looks.
    fn begins(&mut self) {
        self.said.clear();
    }

    /// Nobody looks any more.
    fn lost(&mut self, reason: String) -> Option<Record> {
        if self.gap.is_some() {
            return None;
        }
        self.blind_from = self.until;
        self.gap = Some((self.until, reason));
        self.gap_until(clock::now(), None)
    }

    /// All is known up to this moment.
    fn looked(&mut self, at: Moment) -> Option<Record> {
        self.until = self.until.max(at);
        let record = self.gap_until(at, Some(at));
        self.gap = None;
        record
    }

    fn gap_until(&self, at: Moment, until: Option<Moment>) -> Option<Record> {
        let (from, reason) = self.gap.clone()?;
        Some(Record {
            at,
            since: Some(from),
            event: Event::ObserverGap { node: self.node.clone(), until, reason },
        })
    }

    /// What an observer says: its first word on something is news only where it differs from the last one of the observer before.
    fn said(&mut self, record: Record) -> Option<Record> {
        let subject = match &record.event {
            Event::Process { component, .. } => Some(*component),
            Event::EtcdMember { .. } => None,
            // While nobody is known to look, its own gap is part of that one.
            _ => return self.gap.is_none().then_some(record),
        };
        let before = self.states.insert(subject, record.event.clone());
        if !self.said.insert(subject) {
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

    fn known() -> Known {
        Known { until: Moment(0), ..Known::of("cp") }
    }

    #[test]
    fn what_a_first_observer_says_is_how_things_were() {
        let mut known = known();
        known.begins();
        assert_eq!(known.said(process(5, 7)), Some(process(5, 7)));
        assert_eq!(known.looked(Moment(6)), None);
    }

    #[test]
    fn what_changed_while_nobody_looked_has_the_gap_for_a_bracket() {
        let mut known = known();
        known.begins();
        known.said(process(5, 7));
        known.looked(Moment(6));
        let lost = known.lost("its output has ended".into()).unwrap();
        assert_eq!(
            (lost.since, matches!(lost.event, Event::ObserverGap { until: None, .. })),
            (Some(Moment(6)), true)
        );
        assert_eq!(known.lost("the node is down".into()), None);
        known.begins();
        assert_eq!(known.said(process(90, 7)), None, "the same process is no news");
        let closed = known.looked(Moment(91)).unwrap();
        assert_eq!((closed.since, closed.at), (Some(Moment(6)), Moment(91)));
        assert!(matches!(closed.event, Event::ObserverGap { until: Some(Moment(91)), .. }));
        known.lost(String::new());
        known.begins();
        assert_eq!(known.said(process(190, 8)).unwrap().since, Some(Moment(91)));
        let change = Record { since: Some(Moment(191)), ..process(192, 9) };
        assert_eq!(known.said(change.clone()), Some(change), "and then it sees for itself");
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
        assert_eq!(known.said(gap()), Some(gap()));
        known.lost(String::new());
        assert_eq!(known.said(gap()), None);
    }
}

//! The task that drives the model.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::actions::{Actions, Command};
use super::events::Events;
use super::processes::Processes;
use super::registry::{Key, Registry};
use crate::embedded::api::{ApiServer, Availability};
use crate::embedded::hooks::Shared;
use crate::embedded::network::{Block, ServiceProxy};
use crate::embedded::store::{Feed, Store};
use crate::model::{Action, Change, Component, Model, NodeId, NodeState, Process};
use crate::stats::Random;
use crate::timeline::Record;

/// A model in which nothing is ever due would be looked at so often.
const IDLE: Duration = Duration::from_secs(1);

/// What the cluster's owner wants of it.
#[derive(Debug)]
pub(crate) enum Request {
    Act(Command),
    /// The processes of the control plane from now on, as they are and each change; `None`: no
    /// longer.
    Observe(Option<mpsc::UnboundedSender<Record>>),
}

pub(crate) struct Parts {
    pub model: Model,
    pub store: Store,
    pub api: ApiServer,
    pub block: Block,
    /// What the API server's hooks see.
    pub shared: Arc<Shared>,
    /// Set when nobody wants it any more: then it does no further step.
    pub over: Arc<AtomicBool>,
    /// The seed of names and of the Services' choices.
    pub seed: u64,
}

pub(crate) struct Driver {
    pub(super) model: Model,
    pub(super) store: Store,
    pub(super) api: ApiServer,
    pub(super) block: Block,
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
    pub(super) registry: Registry,
    pub(super) events: Events,
    /// The ports of Services, by namespace, name, and address.
    pub(super) proxies: BTreeMap<(Key, SocketAddr), ServiceProxy>,
    /// Whether something changed that others follow from.
    pub(super) dirty: bool,
    /// Actions whose effect is still to come.
    pub(super) actions: Actions,
    pub(super) processes: Option<Processes>,
    over: Arc<AtomicBool>,
    began: Instant,
    began_at: jiff::Timestamp,
    feed: Feed,
}

impl Driver {
    pub(crate) fn new(parts: Parts, registry: Registry) -> Self {
        let feed = parts.store.follow(parts.store.revision());
        let mut driver = Self {
            model: parts.model,
            store: parts.store,
            api: parts.api,
            block: parts.block,
            shared: parts.shared,
            random: Random::new(parts.seed),
            registry,
            events: Events::default(),
            proxies: BTreeMap::new(),
            dirty: true,
            actions: Actions::default(),
            processes: None,
            over: parts.over,
            began: Instant::now(),
            began_at: jiff::Timestamp::now(),
            feed,
        };
        driver.lead();
        driver
    }

    /// Those who lead from the beginning hold their leases.
    fn lead(&mut self) {
        for component in [Component::Scheduler, Component::ControllerManager] {
            let holder = self.model.leader(component);
            self.apply(Duration::ZERO, Change::Leader { component, holder });
        }
    }

    pub(crate) fn kubeconfig(&self, context: &str) -> String {
        self.api.kubeconfig(context)
    }

    /// Drives until nobody can want anything any more.
    pub(crate) async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while !self.is_over() {
            self.settle();
            let due = self.due();
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request::Act(command)) => self.execute(command),
                    Some(Request::Observe(observer)) => {
                        self.processes = observer.map(Processes::new);
                    }
                    None => return,
                },
                written = self.feed.next() => match written {
                    Ok(changes) => self.on_writes(&changes),
                    // Too many writes between two looks: everything is looked at.
                    Err(_) => self.catch_up(),
                },
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// Brings the model up to the clock, and everything else up to the model.
    fn settle(&mut self) {
        let now = self.now();
        // One instant after the other: however much is due, the end of it all is seen in between.
        while let Some(due) = self.model.next().filter(|due| *due <= now && !self.is_over()) {
            self.with_model(|model, changed| model.advance(due, changed));
            self.report_processes();
        }
        self.reconcile();
        while self.answer_done() {}
        self.reconcile();
        self.report_processes();
    }

    fn report_processes(&mut self) {
        if let Some(processes) = &mut self.processes {
            processes.report(&self.model, &self.registry);
        }
    }

    /// Whether nobody wants it any more.
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// When something is due by itself.
    fn due(&self) -> tokio::time::Instant {
        let model = self.model.next().map(|due| self.began + due);
        model
            .into_iter()
            .chain(self.actions.due())
            .min()
            .unwrap_or_else(|| Instant::now() + IDLE)
            .into()
    }

    fn catch_up(&mut self) {
        self.feed = self.store.follow(self.store.revision());
        self.compare_all();
    }

    /// Has something done to the model, and brings what changed into the world.
    pub(super) fn with_model<T>(
        &mut self,
        action: impl FnOnce(&mut Model, &mut dyn FnMut(Duration, Change)) -> T,
    ) -> T {
        let mut changes = Vec::new();
        let done = action(&mut self.model, &mut |at, change| changes.push((at, change)));
        for (at, change) in changes {
            if self.is_over() {
                break;
            }
            self.apply(at, change);
        }
        done
    }

    /// Does one thing to the model now.
    pub(super) fn act(&mut self, action: Action) {
        let now = self.now();
        self.with_model(|model, changed| model.act(now, action, changed));
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The wall clock at an instant of the model.
    pub(super) fn wall(&self, at: Duration) -> jiff::Timestamp {
        self.began_at.checked_add(at).unwrap_or(self.began_at)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.registry.nodes.len()).map(NodeId)
    }

    /// Whether a controller manager leads and works.
    pub(super) fn is_managed(&self) -> bool {
        self.nodes().any(|node| self.model.serves(node, Component::ControllerManager))
    }

    /// How the one address fares behind which all API servers are.
    pub(super) fn availability(&self) -> Availability {
        let states: Vec<(NodeId, NodeState)> =
            self.nodes().map(|node| (node, self.model.node(node))).collect();
        let control_planes =
            || states.iter().filter(|(node, _)| self.shared.is_control_plane(*node));
        let on = |state: &NodeState| state.power.is_up();
        let process = |node: NodeId| self.model.process(node, Component::ApiServer);
        let runs = |node: NodeId| process(node) == Some(Process::Runs);
        let is_frozen = |node: NodeId| process(node) == Some(Process::Frozen);
        let silent = |state: &NodeState| state.frozen || !state.connected;
        if self.model.api_serves() {
            Availability::Serving
        } else if control_planes().any(|(node, state)| on(state) && !silent(state) && runs(*node)) {
            Availability::EtcdDown
        } else if control_planes()
            .any(|(node, state)| on(state) && (silent(state) || is_frozen(*node)))
        {
            Availability::Hanging
        } else {
            Availability::Down
        }
    }
}

//! A run as its cluster's API sees it: a namespace with a workload, watches, probes. The same in
//! every backend; only how a prober is started differs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, pending};
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use crate::agent::{AgentHandle, AgentMessage};
use crate::canary::{self, CanaryHandle};
use crate::cluster::{
    Cluster, ClusterError, Inventory, PodProblem, Readiness, Workload, WriteCounters,
};
use crate::engine::clock;
use crate::engine::environment::kept_workload;
use crate::engine::error::RunError;
use crate::engine::plan::canaries::canaries;
use crate::engine::plan::placement::{Place, Placement};
use crate::engine::plan::strangers::Strangers;
use crate::engine::undo::ledger::{Access, UndoEntry};
use crate::experiment::{Ask, Experiment};
use crate::plan::{self, Node, Occupancy, each};
use crate::probe::{ProbeSpec, control};
use crate::timeline::leader::SYSTEM_NAMESPACE;
use crate::timeline::{ClusterFacts, Event, Moment, ObjectRef, ProbeHeader, Record, WriteSource};
use crate::watch::{self, Watches};

/// API servers that are watched at the same time: with three, any two may be lost.
const MOST_SERVERS: usize = 3;
/// How long the watches may take to deliver their first lists.
const FIRST_LISTS: Duration = Duration::from_secs(30);

pub(crate) struct RunScope<'a> {
    pub experiment: &'a Experiment,
    /// The Services that exist already and that it names, by their namespaces.
    pub elsewhere: BTreeMap<String, Vec<ObjectRef>>,
    /// The run's id.
    pub run: &'a str,
    /// The run's namespace.
    pub namespace: String,
    /// The run whose namespace it was; `None`: it is made.
    pub taken_over: Option<String>,
    pub cluster: Cluster,
    pub facts: &'a ClusterFacts,
    /// The workload, checked.
    pub workload: Workload,
    /// How a later process reaches the cluster.
    pub access: Access,
    /// Whether its namespace has pods that lead into nodes.
    pub helpers: bool,
    /// The pods of its workload and their nodes, when it was first ready.
    pub pods: OnceLock<BTreeSet<String>>,
    pub running: Running,
}

/// What a run has started.
#[derive(Default)]
pub(crate) struct Running {
    watches: Option<Watches>,
    /// The API servers through which they look.
    servers: Vec<Cluster>,
    /// Where the watches' records go.
    records: Option<UnboundedSender<Record>>,
    agents: Vec<AgentHandle>,
    canaries: Vec<CanaryHandle>,
}

/// Probes that share a place, and so a prober.
pub(crate) struct ProberGroup {
    pub place: Place,
    /// The node that it is on, as it is now; `None` on the host.
    pub node: Option<Node>,
    pub probes: Vec<ProbeSpec>,
    /// Each place has a control probe.
    pub control: Option<ProbeHeader>,
}

impl RunScope<'_> {
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        let nodes = self.cluster.nodes().await.map_err(RunError::failed_by)?;
        Ok(nodes.into_iter().map(Node::from).collect())
    }

    /// Refused where what exists already and is named is not there.
    pub(crate) async fn look_up(&self, nodes: &[Node]) -> Result<(), RunError> {
        look_up(&self.cluster, self.experiment, nodes).await
    }

    /// What of other people must not be lost.
    pub(crate) async fn occupancy(&self) -> Result<Occupancy, RunError> {
        let strangers = Strangers { facts: self.facts, experiment: self.experiment };
        strangers.occupancy(&self.cluster, Some(&self.namespace)).await
    }

    /// Begins to follow the cluster.
    pub(crate) async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError> {
        self.running.records = Some(out.clone());
        let servers = self.servers().await;
        if servers.len() < each::api_servers(&self.facts.nodes).count().min(2) {
            let text = "the API servers cannot be reached at their own addresses from here: only \
                 what the load balancer shows is observed";
            let _ = out.send(Record::now(Event::Note { warning: false, text: text.to_owned() }));
        }
        let mut watches = watch::start(&servers, &self.namespace, out.clone());
        watches.follow_elsewhere(&servers, &self.elsewhere, &out);
        let listed = watches.baseline(FIRST_LISTS).await;
        (self.running.watches, self.running.servers) = (Some(watches), servers);
        listed.map_err(|missing| {
            RunError::failed(format!("the API server did not list {} in time", missing.join(", ")))
        })
    }

    /// The API servers through which the cluster is followed: with several, each at its own
    /// address, so that neither the loss of one nor that of the balancer before them blinds
    /// anybody; where they can't be reached from here, the balancer.
    async fn servers(&self) -> Vec<Cluster> {
        let servers: Vec<&str> =
            each::api_servers(&self.facts.nodes).map(|(_, address)| address).collect();
        let servers =
            servers.into_iter().take(MOST_SERVERS).map(|address| self.cluster.directly(address));
        match servers.len() {
            0 | 1 => vec![self.cluster.clone()],
            _ => match join_all(servers).await.into_iter().flatten().collect::<Vec<_>>() {
                servers if servers.len() > 1 => servers,
                _ => vec![self.cluster.clone()],
            },
        }
    }

    /// What removes the run's namespace again. `None`: it needs none, neither for a workload nor for
    /// what its probes ask about.
    pub(crate) fn workload_undo(&self) -> Option<UndoEntry> {
        self.needs_namespace().then(|| UndoEntry::Namespace {
            name: self.namespace.clone(),
            access: self.access.clone(),
        })
    }

    /// Ends when somebody deletes the run's namespace: there is nothing left to measure.
    pub(crate) fn namespace_lost(&self) -> BoxFuture<'static, RunError> {
        if !self.needs_namespace() {
            return pending().boxed();
        }
        let (cluster, name) = (self.cluster.clone(), self.namespace.clone());
        async move {
            cluster.until_deleted(&name).await;
            let text = format!("namespace {name} of this run was deleted, with all that was in it");
            RunError::failed(text).hint(
                "it was not deleted by this run: look for a person or a job that deletes \
                 namespaces; those of runs are labelled app.kubernetes.io/managed-by=outage",
            )
        }
        .boxed()
    }

    fn needs_namespace(&self) -> bool {
        let Self { experiment, workload, helpers, .. } = self;
        let keeps_canaries = experiment.probes.iter().any(|probe| probe.ask.canary().is_some());
        !workload.is_empty() || asks_api_servers(experiment) || keeps_canaries || *helpers
    }

    /// Makes the workload, and what probes of the API server read and write; or takes over that of the
    /// run before.
    pub(crate) async fn create_workload(&self) -> Result<(), RunError> {
        let (cluster, namespace) = (&self.cluster, &self.namespace);
        match &self.taken_over {
            Some(earlier) => cluster.hand_over_namespace(namespace, earlier, self.run).await,
            None => cluster.create_namespace(namespace, self.run).await,
        }
        .map_err(RunError::failed_by)?;
        if asks_api_servers(self.experiment) {
            match cluster.create_canary_object(namespace).await {
                // The run before has made it.
                Err(ClusterError::AlreadyExists { .. }) if self.taken_over.is_some() => {}
                created => created.map_err(RunError::failed_by)?,
            }
        }
        if self.taken_over.is_some() {
            return Ok(());
        }
        cluster.apply(&self.workload, namespace).await.map_err(RunError::failed_by)
    }

    /// Without a workload nothing is read, and no right to read is needed.
    pub(crate) async fn workload_readiness(&self) -> Result<Readiness, RunError> {
        if self.workload.is_empty() {
            return Ok(Readiness { ready: true, ..Readiness::default() });
        }
        let found = self.cluster.readiness(&self.namespace).await.map_err(RunError::failed_by)?;
        if found.ready
            && let Some(pods) = kept_workload::pods(&self.cluster, &self.namespace).await
        {
            let _ = self.pods.set(pods);
        }
        Ok(found)
    }

    pub(crate) async fn pod_problems(&self, since: Timestamp) -> Vec<PodProblem> {
        let mut problems = Vec::new();
        let namespaces: BTreeSet<&str> = [SYSTEM_NAMESPACE, self.namespace.as_str()]
            .into_iter()
            .chain(self.elsewhere.keys().map(String::as_str))
            .collect();
        for namespace in namespaces {
            problems.extend(self.cluster.pod_problems(namespace, since).await.unwrap_or_default());
        }
        problems
    }

    /// The writes that each API server has counted by now.
    pub(crate) async fn write_counters(&self) -> Vec<Record> {
        let read = |server: &Cluster| {
            let server = server.clone();
            async move {
                let asked = clock::now();
                let read = server.write_counters().await.map_err(|error| error.to_string());
                counted(WriteSource::ApiServer, server.server(), asked, read)
            }
        };
        join_all(self.running.servers.iter().map(read)).await
    }

    /// Every object that the cluster holds now.
    pub(crate) async fn inventory(&self) -> Result<Inventory, RunError> {
        let mut found = self.cluster.inventory().await.map_err(RunError::failed_by)?;
        // What our own probes and canaries write is theirs to change.
        let own = found
            .objects
            .iter_mut()
            .filter(|object| object.namespace.as_ref() == Some(&self.namespace));
        own.for_each(|object| object.content = None);
        Ok(found)
    }

    /// Starts all probes, a prober a place, and the canaries. Returns the nodes that host one.
    pub(crate) async fn start_probes(
        &mut self,
        at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
        start: impl AsyncFn(ProberGroup) -> Result<AgentHandle, RunError>,
    ) -> Result<Vec<String>, RunError> {
        let mut hosts = Vec::new();
        for group in self.groups(at_risk).await? {
            hosts.extend(group.place.node().map(str::to_owned));
            self.running.agents.push(start(group).await?);
        }
        self.start_canaries(out).await?;
        self.measure_delivery().await;
        Ok(hosts)
    }

    /// Measures how late the watches deliver, by a Lease of our own. A run without a namespace of its
    /// own has no place for one.
    async fn measure_delivery(&mut self) {
        if !self.needs_namespace() {
            return;
        }
        let Running { watches: Some(watches), records: Some(records), servers, .. } =
            &mut self.running
        else {
            return;
        };
        match self.cluster.create_delivery_lease(&self.namespace).await {
            Ok(()) => {
                watches.measure_delivery(servers, &self.cluster, &self.namespace, records.clone());
            }
            Err(error) => {
                let text = format!("how late watches deliver is not measured: {error}");
                let _ = records.send(Record::now(Event::Note { warning: false, text }));
            }
        }
    }

    async fn start_canaries(&mut self, out: UnboundedSender<AgentMessage>) -> Result<(), RunError> {
        for spec in canaries(self.experiment, &self.namespace) {
            let Some(records) = self.running.records.clone() else { continue };
            let canary =
                canary::start(&self.cluster, &self.running.servers, spec, records, out.clone())
                    .await
                    .map_err(RunError::failed_by)?;
            self.running.canaries.push(canary);
        }
        Ok(())
    }

    async fn groups(&self, at_risk: &[String]) -> Result<Vec<ProberGroup>, RunError> {
        let nodes = self.nodes().await?;
        let placement = Placement {
            cluster: &self.cluster,
            namespace: &self.namespace,
            nodes: &nodes,
            at_risk,
        };
        let mut placed: BTreeMap<Place, Vec<ProbeSpec>> = BTreeMap::new();
        for probe in self.experiment.probes.iter().filter(|probe| probe.ask.canary().is_none()) {
            let place = placement.place(probe).await?;
            let spec = placement.resolve(probe, &place).await?;
            placed.entry(place).or_default().push(spec);
        }
        let group = |(number, (place, probes)): (usize, (Place, Vec<ProbeSpec>))| {
            let name = ProbeHeader::control_name(number);
            let control = Some(control::header(&name, &place.describe(), place.node()));
            let node = nodes.iter().find(|node| place.node() == Some(&node.name)).cloned();
            ProberGroup { place, node, probes, control }
        };
        Ok(placed.into_iter().enumerate().map(group).collect())
    }
}

impl Running {
    /// Ends what `watch` began.
    pub(crate) async fn stop_watching(&mut self) {
        self.records = None;
        if let Some(watches) = self.watches.take() {
            watches.stop().await;
        }
    }

    /// Waits for the last outcomes of those attempts that take long.
    pub(crate) async fn finish_probes(&mut self) {
        join_all(self.canaries.iter_mut().map(CanaryHandle::finish)).await;
    }

    pub(crate) async fn stop_probes(&mut self) {
        for canary in std::mem::take(&mut self.canaries) {
            canary.stop().await;
        }
        for agent in std::mem::take(&mut self.agents) {
            // One that is gone already has reported it in its last message.
            let _ = agent.stop().await;
        }
    }
}

/// Counters, as a record of the time in which they were read.
pub(crate) fn counted(
    source: WriteSource,
    name: &str,
    asked: Moment,
    read: Result<WriteCounters, String>,
) -> Record {
    let unread = read.as_ref().err().cloned();
    let WriteCounters { started, counts } = read.unwrap_or_default();
    let event = Event::WriteCounters { source, name: name.to_owned(), started, counts, unread };
    Record { since: Some(asked), ..clock::record(event) }
}

fn asks_api_servers(experiment: &Experiment) -> bool {
    experiment.probes.iter().any(|probe| matches!(probe.ask, Ask::Api { .. }))
}

/// Looks for what exists already and is named, before there is a run.
pub(crate) async fn look_up(
    cluster: &Cluster,
    experiment: &Experiment,
    nodes: &[Node],
) -> Result<(), RunError> {
    let at_risk = &plan::at_risk(experiment, nodes, &plan::Endpoints::new());
    Placement { cluster, namespace: "", nodes, at_risk }.look_up(experiment).await
}

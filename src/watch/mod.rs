//! What Kubernetes reports, as records: nodes, leases, endpoint slices, pods, events, and the gaps.
//!
//! Each watch is its own task, which lists once and then follows. Everything is stamped when it
//! is received, with the object's own time beside it. A watch that can't follow reports it
//! immediately, and what it finds afterwards happened inside the gap.

mod cache;
mod canary;
mod delivery;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod follow;
mod health;
mod lease;
mod node;
mod pod;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{CANARY_LABEL, Cluster};
use crate::timeline::leader::{LEADER_LEASES, NODE_LEASES};
use crate::timeline::{Event, ObjectRef, Record, watch_of};
use cache::Elsewhere;
pub(crate) use canary::{CanaryObjects, watch_canary};
use endpoint_slice::Slices;
use endpoints::OldEndpoints;
pub(crate) use follow::SILENCE;
use follow::{Ended, Follow};

/// The watches of a run. Dropping them ends them all.
#[derive(Debug)]
pub(crate) struct Watches {
    tasks: JoinSet<()>,
    started: watch::Receiver<BTreeSet<String>>,
    report: watch::Sender<BTreeSet<String>>,
    names: BTreeSet<String>,
}

impl Watches {
    /// Follows these Services of other namespaces than the run's, and the pods and events of these
    /// namespaces; in the records all of them are called `NAMESPACE/NAME`.
    pub(crate) fn follow_elsewhere(
        &mut self,
        servers: &[Cluster],
        elsewhere: &BTreeMap<String, Vec<ObjectRef>>,
        out: &UnboundedSender<Record>,
    ) {
        let clients: Clients = servers.iter().map(Cluster::client).collect();
        for (namespace, services) in elsewhere {
            let mut follow = |what: &str| {
                let name = watch_of(what, Some(namespace));
                self.names.insert(name.clone());
                Follow::new(name, out.clone(), self.report.clone())
            };
            let (pods, events) = (follow("pods"), follow("events"));
            let endpoints = (!services.is_empty()).then(|| follow("endpoints"));
            self.tasks.spawn(run::<Elsewhere<pod::Pods>>(pods, within(&clients, namespace)));
            self.tasks.spawn(run::<Elsewhere<event::Events>>(events, within(&clients, namespace)));
            if let Some(follow) = endpoints {
                let names: BTreeSet<String> = services.iter().map(|it| it.name.clone()).collect();
                let listed = names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
                let labels = format!("{} in ({listed})", endpoint_slice::SERVICE);
                self.tasks.spawn(endpoints_of::<Elsewhere<Slices>, Elsewhere<OldEndpoints>>(
                    follow.labels(labels),
                    clients.clone(),
                    namespace.clone(),
                    Some(names),
                ));
            }
        }
    }

    /// Waits until every watch has delivered its first list. Errors with the names of those that
    /// have not within that time: they go on trying.
    pub(crate) async fn baseline(&self, within: Duration) -> Result<(), Vec<String>> {
        let mut started = self.started.clone();
        let all = started.wait_for(|started| started.is_superset(&self.names));
        match tokio::time::timeout(within, all).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.names.difference(&self.started.borrow()).cloned().collect()),
        }
    }

    /// Ends all watches; when this returns, no record is sent any more.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Starts all watches: nodes, node and leader leases, events of nodes, and the endpoints, pods and
/// events of the run's namespace (of canaries' pods they say nothing: those tell the canary's own
/// watch). They go on, whatever happens to the API server, until they are stopped or nobody
/// receives. `servers` are API servers of one cluster (at least one): what any of them shows is
/// seen.
pub(crate) fn start(servers: &[Cluster], namespace: &str, out: UnboundedSender<Record>) -> Watches {
    let clients: Clients = servers.iter().map(Cluster::client).collect();
    let (report, started) = watch::channel(BTreeSet::new());
    let follow = |name: &'static str| Follow::new(name, out.clone(), report.clone());
    let mut tasks = JoinSet::new();
    let nodes = clients.iter().cloned().map(Api::all).collect();
    tasks.spawn(run::<node::Nodes>(follow("nodes"), nodes));
    tasks.spawn(run::<lease::Leases>(follow("node leases"), within(&clients, NODE_LEASES)));
    tasks.spawn(run::<lease::Leases>(follow("leader leases"), within(&clients, LEADER_LEASES)));
    tasks.spawn(endpoints_of::<Slices, OldEndpoints>(
        follow("endpoints"),
        clients.clone(),
        namespace.to_owned(),
        None,
    ));
    let workload = follow("pods").labels(format!("!{CANARY_LABEL}"));
    tasks.spawn(run::<pod::Pods>(workload, within(&clients, namespace)));
    tasks.spawn(run::<event::Events>(follow("events"), within(&clients, namespace)));
    let of_nodes = follow("node events").fields("involvedObject.kind=Node");
    tasks.spawn(run::<event::Events>(of_nodes, within(&clients, "default")));
    let names =
        ["nodes", "node leases", "leader leases", "endpoints", "pods", "events", "node events"]
            .map(str::to_owned)
            .into();
    Watches { tasks, started, report, names }
}

type Clients = Vec<kube::Client>;

/// The objects of a namespace, through each API server.
fn within<K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>>(
    clients: &Clients,
    namespace: &str,
) -> Vec<Api<K>> {
    clients.iter().map(|client| Api::namespaced(client.clone(), namespace)).collect()
}

async fn run<W: cache::Watched>(follow: Follow, apis: Vec<Api<W::Object>>) {
    follow.run::<W>(apis).await;
}

/// EndpointSlices; where the server has none, the old Endpoints, and says so. An old one is called as
/// its Service: only those of these names are followed; `None`: all.
async fn endpoints_of<New, Old>(
    follow: Follow,
    clients: Clients,
    namespace: String,
    names: Option<BTreeSet<String>>,
) where
    New: cache::Watched<Object = EndpointSlice>,
    Old: cache::Watched<Object = Endpoints>,
{
    if let (Ended::NotServed, follow) = follow.run::<New>(within(&clients, &namespace)).await {
        let text =
            "the server has no discovery.k8s.io/v1 EndpointSlices; its Endpoints are watched"
                .to_owned();
        follow.send(Record::now(Event::Note { warning: false, text }));
        follow.named(names).run::<Old>(within(&clients, &namespace)).await;
    }
}

#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod versions_tests;

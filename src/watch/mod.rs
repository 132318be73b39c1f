//! What Kubernetes reports, as records: nodes, leases, endpoint slices, pods, events, and the gaps.
//!
//! Each watch is its own task, which lists once and then follows. Everything is stamped when it
//! is received, with the object's own time beside it. A watch that can't follow reports it
//! immediately, and what it finds afterwards happened inside the gap.

mod cache;
mod canary;
mod deployment;
mod endpoint_slice;
mod endpoints;
mod event;
mod follow;
mod health;
mod lease;
mod node;
mod pod;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::Api;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::{CANARY_LABEL, Cluster};
use crate::timeline::leader::{LEADER_LEASES, NODE_LEASES};
use crate::timeline::{Event, Record};
pub(crate) use canary::{CanaryObjects, watch_canary};
pub(crate) use follow::SILENCE;
use follow::{Ended, Follow};

/// The watch of endpoints that are not in the run's namespace.
const ELSEWHERE: &str = "endpoints elsewhere";

/// The watches of a run. Dropping them ends them all.
#[derive(Debug)]
pub(crate) struct Watches {
    tasks: JoinSet<()>,
    started: watch::Receiver<BTreeSet<&'static str>>,
    report: watch::Sender<BTreeSet<&'static str>>,
    names: BTreeSet<&'static str>,
}

impl Watches {
    /// Follows the endpoints of these Services of other namespaces, too, each given by namespace
    /// and name; in the records it is called `NAMESPACE/SERVICE`.
    pub(crate) fn follow_services(
        &mut self,
        servers: &[Cluster],
        services: &BTreeSet<(String, String)>,
        out: &UnboundedSender<Record>,
    ) {
        let clients: Clients = servers.iter().map(Cluster::client).collect();
        for (namespace, service) in services {
            let follow = Follow::new(ELSEWHERE, out.clone(), self.report.clone());
            let follow = follow.labels(format!("{}={service}", endpoint_slice::SERVICE));
            self.tasks.spawn(run::<endpoint_slice::Elsewhere>(follow, within(&clients, namespace)));
            self.names.insert(ELSEWHERE);
        }
    }

    /// Waits until every watch has delivered its first list. Errors with the names of those that
    /// have not within that time: they go on trying.
    pub(crate) async fn baseline(&self, within: Duration) -> Result<(), Vec<&'static str>> {
        let mut started = self.started.clone();
        let all = started.wait_for(|started| started.is_superset(&self.names));
        match tokio::time::timeout(within, all).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(self.names.difference(&self.started.borrow()).copied().collect()),
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
    tasks.spawn(endpoints_of(follow("endpoints"), clients.clone(), namespace.to_owned()));
    let workload = follow("pods").labels(format!("!{CANARY_LABEL}"));
    tasks.spawn(run::<pod::Pods>(workload, within(&clients, namespace)));
    tasks.spawn(run::<event::Events>(follow("events"), within(&clients, namespace)));
    let of_nodes = follow("node events").fields("involvedObject.kind=Node");
    tasks.spawn(run::<event::Events>(of_nodes, within(&clients, "default")));
    let names =
        ["nodes", "node leases", "leader leases", "endpoints", "pods", "events", "node events"]
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

/// EndpointSlices; where the server has none, the old Endpoints, and says so.
async fn endpoints_of(follow: Follow, clients: Clients, namespace: String) {
    if let (Ended::NotServed, follow) =
        follow.run::<endpoint_slice::Slices>(within(&clients, &namespace)).await
    {
        let text =
            "the server has no discovery.k8s.io/v1 EndpointSlices; its Endpoints are watched"
                .to_owned();
        follow.send(Record::now(Event::Note { warning: false, text }));
        follow.run::<endpoints::OldEndpoints>(within(&clients, &namespace)).await;
    }
}

#[cfg(test)]
mod fake_tests;
#[cfg(test)]
mod real_tests;

//! What becomes of a canary's objects.

use std::collections::BTreeSet;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::follow::Follow;
use super::{Clients, Watches, deployment, pod, run, within};
use crate::cluster::{CANARY_LABEL, Cluster};
use crate::timeline::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CanaryObjects {
    Pods,
    Deployment,
}

/// Starts a watch, called `name`, of the objects that one canary has made (see [`CANARY_LABEL`]).
/// `servers` are API servers of one cluster (at least one): what any of them shows is seen.
pub(crate) fn watch_canary(
    name: &'static str,
    servers: &[Cluster],
    namespace: &str,
    canary: &str,
    objects: CanaryObjects,
    out: UnboundedSender<Record>,
) -> Watches {
    let (report, started) = watch::channel(BTreeSet::new());
    let follow = Follow::new(name, out, report.clone()).labels(format!("{CANARY_LABEL}={canary}"));
    let (mut tasks, clients): (_, Clients) =
        (JoinSet::new(), servers.iter().map(Cluster::client).collect());
    match objects {
        CanaryObjects::Pods => tasks.spawn(run::<pod::Pods>(follow, within(&clients, namespace))),
        CanaryObjects::Deployment => {
            tasks.spawn(run::<deployment::Deployments>(follow, within(&clients, namespace)))
        }
    };
    Watches { tasks, started, report, names: [name.to_owned()].into() }
}

//! What becomes of a canary's objects.

use std::collections::BTreeSet;

use kube::api::Api;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::follow::Follow;
use super::{Watches, deployment, pod, run};
use crate::cluster::{CANARY_LABEL, Cluster};
use crate::timeline::Record;

/// Which objects a canary makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canaries {
    /// Pods of its own.
    Pods,
    /// A Deployment.
    Deployment,
}

/// Starts a watch, called `name`, of the objects that one canary has made (see [`CANARY_LABEL`]).
pub fn of_canary(
    name: &'static str,
    cluster: &Cluster,
    namespace: &str,
    canary: &str,
    objects: Canaries,
    out: UnboundedSender<Record>,
) -> Watches {
    let (report, started) = watch::channel(BTreeSet::new());
    let follow = Follow::new(name, out, report.clone()).labels(format!("{CANARY_LABEL}={canary}"));
    let (mut tasks, client) = (JoinSet::new(), cluster.client());
    match objects {
        Canaries::Pods => tasks.spawn(run::<pod::Pods>(follow, vec![Api::namespaced(client, namespace)])),
        Canaries::Deployment => tasks.spawn(run::<deployment::Deployments>(follow, vec![Api::namespaced(client, namespace)])),
    };
    Watches { tasks, started, report, names: [name].into() }
}

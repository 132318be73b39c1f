//! Finds the cluster to run in, or makes it when it is absent. All refusals that need no look at the
//! experiment's method are on this way. `kind.rs`, `context.rs` and `embedded.rs` are siblings: what a cluster's
//! nodes are made of.

use std::path::PathBuf;

use crate::engine::abort::Abort;
use crate::engine::environment::handle::{ClusterHandle, Environment, Found, Say};
use crate::engine::environment::{context, embedded, kind};
use crate::engine::error::RunError;
use crate::kind_config::KindConfig;
use crate::timeline::Tuning;

/// The cluster to run in. Equal ones are one cluster, except the embedded one: each run has its
/// own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClusterSpec {
    /// A kind cluster, made from this config where it does not exist.
    Kind { config: KindConfig },
    Context {
        /// The kubeconfig's files.
        kubeconfig: Vec<PathBuf>,
        /// `None`: the current one.
        context: Option<String>,
        /// Settings of failure detection, for where they cannot be read.
        given: Tuning,
    },
    /// The model inside this program, with the nodes and settings of a kind config.
    Embedded { config: KindConfig },
}

/// Finds the cluster, or makes it. Refuses what must be refused; nothing of the cluster is changed.
pub(crate) async fn prepare(
    wanted: &ClusterSpec,
    environment: &Environment<'_>,
    abort: &Abort,
    say: Say<'_>,
) -> Result<ClusterHandle, RunError> {
    match (find(wanted, environment, say).await?, wanted) {
        (Found::ClusterHandle(handle), _) => Ok(*handle),
        (Found::Absent(_), ClusterSpec::Kind { config }) => {
            kind::make(config, environment, abort, say).await
        }
        (Found::Absent(_), _) => unreachable!("only a kind cluster can be absent"),
    }
}

/// Finds the cluster and makes nothing (but the embedded one, which is nowhere else).
pub(crate) async fn find(
    wanted: &ClusterSpec,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<Found, RunError> {
    let there = |handle| Found::ClusterHandle(Box::new(handle));
    match wanted {
        ClusterSpec::Kind { config } => kind::find(config, environment, say).await,
        ClusterSpec::Context { kubeconfig, context: name, given } => {
            let found = context::find(kubeconfig, name.as_deref(), environment, say).await;
            let mut handle = found?;
            handle.facts.tuning.learn(*given);
            Ok(there(handle))
        }
        ClusterSpec::Embedded { config } => {
            embedded::start(config, environment, say).await.map(there)
        }
    }
}

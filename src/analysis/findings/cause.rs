//! What caused a window of errors of the control plane.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Between;
use crate::timeline::Component;

/// What was down while a control-plane probe saw errors. The deepest come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The node that was probed; all control-plane nodes where any would have done.
    Nodes,
    /// No etcd member led, or fewer than a quorum were running.
    Etcd,
    /// The etcd member of the probed API server was down, or knew of no leader.
    EtcdMember,
    /// It is shutting down and no longer answers.
    EtcdEnding,
    /// It had an empty store instead of its data.
    EtcdData,
    /// The API server that was probed; all of them where any would have done.
    ApiServers,
    /// It is shutting down: it takes no new connections, for as long as its grace period lasts.
    ApiServersEnding,
    /// Its process was running again but did not answer yet.
    ApiServersStarting,
    /// etcd was running again but API servers did not answer yet: they retry a lost one less and
    /// less often.
    EtcdReturned,
    /// The load balancer itself was down.
    Balancer,
    /// An API server answered directly, but not through the load balancer: its health check had
    /// not noticed yet.
    BalancerCheck,
    /// This component, which does what a canary asks for, had no leader.
    Leader(Component),
    /// Nothing: between two bursts of errors requests were answered.
    Answered,
    /// What was down was not observed.
    Unseen,
    /// No record explains it.
    Unexplained,
}

impl Cause {
    /// For people, after a length: `etcd without a leader or a quorum`.
    pub fn words(self) -> String {
        match self {
            Cause::Nodes => "control-plane node down".into(),
            Cause::Etcd => "etcd without a leader or a quorum".into(),
            Cause::EtcdMember => "its etcd member down".into(),
            Cause::EtcdEnding => "etcd shutting down".into(),
            Cause::EtcdData => "etcd without its data".into(),
            Cause::ApiServers => "API server down".into(),
            Cause::ApiServersEnding => "API server shutting down".into(),
            Cause::ApiServersStarting => "API server starting".into(),
            Cause::EtcdReturned => "etcd back, API server not yet".into(),
            Cause::Balancer => "load balancer down".into(),
            Cause::BalancerCheck => "load balancer health check".into(),
            Cause::Leader(component) => format!("{} without a leader", component.name()),
            Cause::Answered => "recovered in between".into(),
            Cause::Unseen => "not observed".into(),
            Cause::Unexplained => "unexplained".into(),
        }
    }
}

/// A part of an error window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CausePart {
    /// What caused it.
    pub cause: Cause,
    /// How much of the window it takes up, in total.
    pub length: Between,
}

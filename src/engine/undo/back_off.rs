//! The kubelets of a cluster that keep a part of its control plane waiting, once nobody measures
//! any more: each is started anew once, when that is of use (see [`fault::end_back_off`]).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::docker::{Container, Docker};
use crate::fault;
use crate::node::NodeHandle;
use crate::timeline::NodeRole;

/// What has not come back after so long waits for a part of the control plane; and between two
/// attempts.
const EVERY: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });

/// Ends the back-off of a cluster's kubelets. A help, no duty: what it can't do is waited for.
pub(in crate::engine) struct BackOff {
    next: Instant,
    /// The containers whose kubelets were restarted.
    ended: BTreeSet<String>,
}

impl BackOff {
    /// From now on: nothing is done at first.
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() + EVERY, ended: BTreeSet::new() }
    }

    /// Lets no part of a kind cluster's control plane wait for a kubelet that has seen it end too
    /// often, on those containers that our faults may have brought there. To be called again and
    /// again: mostly it does nothing. What was done, for people.
    pub(crate) async fn end(
        &mut self,
        docker: &Docker,
        cluster: &str,
        ours: impl Fn(&str) -> bool,
    ) -> Vec<String> {
        if Instant::now() < self.next {
            return Vec::new();
        }
        self.next = Instant::now() + EVERY;
        let mut done = Vec::new();
        for node in docker.kind_nodes(cluster).await.unwrap_or_default() {
            if node.role == NodeRole::ControlPlane
                && ours(&node.id)
                && !self.ended.contains(&node.id)
            {
                done.extend(self.end_on(docker, &node).await);
            }
        }
        done
    }

    async fn end_on(&mut self, docker: &Docker, node: &Container) -> Option<String> {
        let handle = NodeHandle { name: node.name.clone(), id: node.id.clone() };
        let waiting = fault::end_back_off(docker, &handle).await.unwrap_or_default();
        if waiting.is_empty() {
            return None;
        }
        self.ended.insert(node.id.clone());
        Some(format!(
            "restarted the kubelet of {}, which delayed the restart of {} (back-off)",
            node.name,
            waiting.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    const RESTARTED: &str = "restarted the kubelet of c-control-plane, which delayed the restart of kube-apiserver \
         (back-off)";

    /// A control plane whose first looks find nothing to be done: its etcd is still coming.
    fn engine(in_vain: u32) -> FakeEngine {
        let (engine, mut looks) = (FakeEngine::start(), 0);
        engine.with(|state| {
            state.script = Box::new(move |_, _| {
                looks += 1;
                (0, if looks > in_vain { "kube-apiserver".into() } else { String::new() })
            });
        });
        engine
    }

    #[tokio::test]
    async fn what_was_in_vain_is_tried_again_and_what_was_not_is_done() {
        let (engine, mut back_off, mut done) = (engine(2), BackOff::new(), Vec::new());
        let docker = engine.connect().await;
        assert!(
            back_off.end(&docker, "c", |_| true).await.is_empty(),
            "what has just begun is left to itself"
        );
        assert!(!engine.calls().iter().any(|call| call.contains("/exec")), "{:?}", engine.calls());
        for _ in 0..6 {
            tokio::time::sleep(EVERY).await;
            done.extend(back_off.end(&docker, "c", |_| true).await);
        }
        assert_eq!(done, [RESTARTED]);
    }

    #[tokio::test]
    async fn only_a_kubelet_of_a_control_plane_that_was_hit_is_restarted() {
        let (engine, mut back_off) = (engine(0), BackOff::new());
        let docker = engine.connect().await;
        for (hit, done) in [("id-c-worker", &[] as &[&str]), ("id-c-control-plane", &[RESTARTED])] {
            tokio::time::sleep(EVERY).await;
            assert_eq!(back_off.end(&docker, "c", |id| id == hit).await, done);
        }
    }
}

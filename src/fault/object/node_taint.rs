//! A node gets one more taint, as `kubectl taint` does it; then it is removed. Pods that had to
//! leave are not brought back: they are where Kubernetes has put them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::node::{NodeChange, Words};
use super::{AWAY, LOOK, ObjectContext, ObjectFault, write};
use crate::cluster::{Cluster, ClusterError, MarkedNode, PodOnNode};
use crate::experiment::Fault;
use crate::fault::FaultError;
use crate::timeline::{FaultPhase, Taint, format_duration};

/// How long a node that is to be out of service may take to be NotReady. Kubernetes' default grace
/// period is 40 s to 50 s.
const NOT_READY: Duration = Duration::from_secs(120);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeTaint {
    pub node: String,
    pub taint: Taint,
}

impl ObjectFault for NodeTaint {
    const UNDO_TIMEOUT: Duration = AWAY;
    const RUNS_EMBEDDED: bool = true;

    fn injection_timeout(fault: &Fault) -> Duration {
        match fault {
            Fault::NodeTaint { taint, .. } if taint.is_out_of_service() => NOT_READY,
            _ => Duration::ZERO,
        }
    }

    fn plan_on_node(fault: &Fault, node: &str, _: &[String]) -> Option<Self> {
        let Fault::NodeTaint { taint, .. } = fault else { return None };
        Some(Self { node: node.to_owned(), taint: (**taint).clone() })
    }

    async fn outlook(&self, cluster: &Cluster) -> Result<Vec<String>, FaultError> {
        self.fit(cluster).await?;
        let pods = match self.taint.evicts() {
            true => PodOnNode::by_namespace(&cluster.pods_on(&self.node, None).await?),
            false => None,
        };
        let evicts = |pods| {
            let node = &self.node;
            format!("would evict the pods on {node} that do not tolerate the taint, out of {pods}")
        };
        Ok(pods.map(evicts).into_iter().collect())
    }

    fn target(&self) -> &str {
        &self.node
    }

    async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
        let taint = &self.taint;
        let seen = self.unready(context).await?;
        context.report(FaultPhase::Requested, format!("add the taint {taint}"));
        let add =
            async |seen: &MarkedNode| self.change(context.cluster, seen, Some(context.mark)).await;
        // Whoever wrote to it in the meantime may have been its kubelet, back again.
        let look = async || match self.fit(context.cluster).await? {
            seen if seen.is_ready && taint.is_out_of_service() => {
                Err(self.unfit("Ready again: this taint is only for a node that is down"))
            }
            seen => Ok(seen),
        };
        write(seen, look, add).await?;
        context.report(FaultPhase::Returned, "accepted by the API server");
        context.report(FaultPhase::Confirmed, format!("it has the taint {taint}"));
        Ok(())
    }

    async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        self.change_back(context).await
    }

    fn describe(&self) -> String {
        format!("remove the taint {} from node {}", self.taint, self.node)
    }

    fn by_hand(&self, kubectl: &str) -> Option<String> {
        Some(format!("{kubectl} taint node {} {}-", self.node, self.taint))
    }
}

impl NodeChange for NodeTaint {
    const WORDS: Words = Words {
        verb: "taint",
        already: "it already has a taint with this key and effect",
        other_run: "uses",
        unmarked: "it was not tainted, or the taint is already removed",
        undone: "the taint is removed",
    };

    fn node(&self) -> &str {
        &self.node
    }

    fn is_changed(&self, seen: &MarkedNode) -> bool {
        seen.has(&self.taint)
    }

    async fn change(
        &self,
        cluster: &Cluster,
        seen: &MarkedNode,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        cluster.taint(&self.node, seen, &self.taint, mark).await
    }
}

impl NodeTaint {
    /// The pods of a node that is out of service are deleted while nobody stops them: it has to be
    /// down, and Kubernetes acts on the taint only when it knows that.
    async fn unready(&self, context: &mut ObjectContext<'_, '_>) -> Result<MarkedNode, FaultError> {
        let end = Instant::now() + NOT_READY;
        let mut waits = false;
        loop {
            let seen = self.fit(context.cluster).await?;
            if !seen.is_ready || !self.taint.is_out_of_service() {
                return Ok(seen);
            }
            if Instant::now() > end {
                let limit = format_duration(NOT_READY);
                let why = format!(
                    "still Ready after {limit}: this taint is only for a node that is down"
                );
                return Err(self.unfit(why));
            }
            if !waits {
                context.report(
                    FaultPhase::Waits,
                    "the node is still Ready; the taint is added once it is NotReady",
                );
                waits = true;
            }
            sleep(LOOK).await;
        }
    }
}

//! What the faults that change a node through the API share: only what nobody else has done to it is
//! done, and undone.

use super::{ObjectContext, Untouched, undo_marked};
use crate::cluster::{Cluster, ClusterError, Marked, MarkedNode};
use crate::fault::FaultError;

/// The words of such a fault.
pub(super) struct Words {
    /// What is done to the node: `drain`.
    pub verb: &'static str,
    /// Why it is not done where somebody has done it already.
    pub already: &'static str,
    /// What another run has done that has marked the node.
    pub other_run: &'static str,
    /// What an undo says of a node without a mark.
    pub unmarked: &'static str,
    pub undone: &'static str,
}

pub(super) trait NodeChange {
    const WORDS: Words;

    fn node(&self) -> &str;

    /// Whether the node is changed as the fault would change it.
    fn is_changed(&self, seen: &MarkedNode) -> bool;

    /// Changes it with our mark, or changes it back (`None`), if it still is as it was read.
    async fn change(
        &self,
        cluster: &Cluster,
        seen: &MarkedNode,
        mark: Option<&str>,
    ) -> Result<(), ClusterError>;

    /// The node, if the change is ours to make.
    async fn fit(&self, cluster: &Cluster) -> Result<MarkedNode, FaultError> {
        let (seen, words) = (cluster.marked_node(self.node()).await?, Self::WORDS);
        match seen.mark() {
            _ if self.is_changed(&seen) => Err(self.unfit(words.already)),
            Some(mark) => {
                Err(self
                    .unfit(format!("another run {} it (label outage.run={mark})", words.other_run)))
            }
            None => Ok(seen),
        }
    }

    fn unfit(&self, why: impl Into<String>) -> FaultError {
        let what = format!("{} node {}", Self::WORDS.verb, self.node());
        FaultError::Object { what, why: why.into() }
    }

    async fn change_back(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
        let Words { unmarked, undone, .. } = Self::WORDS;
        let untouched = Untouched { gone: "the node is no longer there".into(), unmarked };
        let look = async || context.cluster.marked_node(self.node()).await;
        let put_back = async |seen: &MarkedNode| {
            self.change(context.cluster, seen, None).await?;
            Ok(undone.to_owned())
        };
        undo_marked(context, untouched, look, put_back).await
    }
}

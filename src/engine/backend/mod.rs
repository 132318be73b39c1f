//! All that a run may do to the backend. The real one is in `real.rs`, the model in `embedded.rs`,
//! what both do through the API in `run_scope.rs`; tests run the engine against a fake one.

pub(crate) mod embedded;
#[cfg(test)]
pub(in crate::engine) mod fake;
pub(crate) mod real;
pub(crate) mod run_scope;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::mpsc::UnboundedSender;

use crate::agent::AgentMessage;
pub(crate) use crate::cluster::Readiness;
use crate::cluster::{Inventory, PodProblem};
use crate::engine::backend::run_scope::{RunScope, Running};
use crate::engine::component_logs::ComponentLog;
use crate::engine::error::RunError;
use crate::engine::fault_reporter::Progress;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::UndoEntry;
use crate::experiment::Fault;
use crate::fault::UndoAfter;
use crate::plan::{Node, Occupancy};
use crate::timeline::Record;

/// A cluster, its containers, and the probers in it. Every future may be dropped at any await.
#[allow(async_fn_in_trait)] // one runtime, one thread: no bound is needed
pub(crate) trait Backend {
    /// The run in its cluster, through the API: it does what needs no more than that.
    fn scope(&self) -> &RunScope<'_>;
    /// What the run has started.
    fn running(&mut self) -> &mut Running;
    async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        self.scope().nodes().await
    }
    /// Looks for what exists already and is named. Refused where it is not there: nothing is made
    /// yet.
    async fn look_up(&self, nodes: &[Node]) -> Result<(), RunError> {
        self.scope().look_up(nodes).await
    }
    /// Begins to follow the cluster. When it returns, the first lists have been sent.
    async fn watch(&mut self, out: UnboundedSender<Record>) -> Result<(), RunError>;
    /// What removes the workload again; asked for before it is made.
    fn workload_undo(&self) -> Option<UndoEntry> {
        self.scope().workload_undo()
    }
    /// What removes the probers again; asked for before they are started. `None`: they end with
    /// this process.
    fn probers_undo(&self) -> Option<UndoEntry> {
        None
    }
    async fn create_workload(&self) -> Result<(), RunError> {
        self.scope().create_workload().await
    }
    async fn workload_readiness(&self) -> Result<Readiness, RunError> {
        self.scope().workload_readiness().await
    }
    /// The pods that are not well now, or were not since then, of the cluster's own and of the
    /// run's; none where nobody can tell.
    async fn pod_problems(&self, since: jiff::Timestamp) -> Vec<PodProblem> {
        self.scope().pod_problems(since).await
    }
    /// What the kubelets and the control plane's components wrote since so long ago; nothing where
    /// there are none.
    async fn component_logs(&self, _back: Duration) -> Vec<ComponentLog> {
        Vec::new()
    }
    /// The writes that the API servers and etcd have counted by now; nothing where nobody counts.
    async fn write_counters(&self) -> Vec<Record> {
        Vec::new()
    }
    /// Starts all probes; `at_risk` are nodes that a fault may hit, the likeliest first. Returns the nodes that host
    /// one.
    async fn start_probes(
        &mut self,
        at_risk: &[String],
        out: UnboundedSender<AgentMessage>,
    ) -> Result<Vec<String>, RunError>;
    /// Asks no more where an attempt takes long (a canary's), and waits for the last outcomes.
    async fn finish_probes(&mut self) {
        self.running().finish_probes().await;
    }
    async fn stop_probes(&mut self) {
        self.running().stop_probes().await;
    }
    /// Ends what `watch` began.
    async fn stop_watching(&mut self);
    /// What a fault will do and how it is undone. Does nothing yet.
    fn plan_fault(
        &self,
        fault: &Fault,
        node: &Node,
        step: u32,
        undo_after: UndoAfter,
    ) -> Result<UndoEntry, RunError>;
    /// The pods on a node that are not this run's, in words; `None`: none, or nobody can tell.
    async fn others_on(&self, _node: &str) -> Option<String> {
        None
    }
    /// What runs on the nodes and must not be lost with them.
    async fn occupancy(&self) -> Result<Occupancy, RunError> {
        self.scope().occupancy().await
    }
    /// Refuses a planned fault that could not be undone as the backend is now. Nothing is injected
    /// yet.
    async fn vet(&self, _fault: &UndoEntry) -> Result<(), RunError> {
        Ok(())
    }
    /// The same for a fault that hits objects of a namespace: one for each of them. Looks which
    /// they are. Refused where nothing, or not enough, is there.
    async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        undo_after: UndoAfter,
        seed: &mut Seed,
    ) -> Result<Vec<UndoEntry>, RunError>;
    /// Every object that the cluster holds now, and the kinds that could not be listed.
    async fn inventory(&self) -> Result<Inventory, RunError> {
        self.scope().inventory().await
    }
    /// Ends when somebody deletes what the run has made for itself.
    fn namespace_lost(&self) -> BoxFuture<'static, RunError> {
        self.scope().namespace_lost()
    }
    /// Makes a fault; ends when it is confirmed. Refused where it found something else than it needs,
    /// and has changed nothing: it must not be undone. After any other error it must.
    async fn inject(&self, fault: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError>;
    /// Whether a fault is out of our reach as soon as it is in effect, so that it counts from its
    /// request, as the timer does that undoes it.
    fn is_out_of_reach(&self, _fault: &UndoEntry) -> bool {
        false
    }
    /// Sets the timer that undoes a fault without us anew, when all targets of its step are
    /// confirmed. Whether it was set: not where there is none.
    async fn set_timer_anew(&self, _fault: &UndoEntry) -> bool {
        false
    }
    /// Undoes an entry; ends when its effect is gone. Idempotent.
    async fn undo(&self, undo: &UndoEntry, progress: Progress<'_>) -> Result<(), RunError>;
    /// Ends when what was undone works again: only then may its entry be struck. To be called when
    /// all else is undone that may be in its way. A backend whose undo ends with that does nothing.
    async fn verify(&self, _undo: &UndoEntry, _progress: Progress<'_>) -> Result<(), RunError> {
        Ok(())
    }
}

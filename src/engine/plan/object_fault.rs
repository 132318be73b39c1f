//! Faults on objects of a namespace: which objects, as the cluster's API tells it now.

use crate::cluster::{Cluster, Pod};
use crate::engine::backend::run_scope::RunScope;
use crate::engine::error::RunError;
use crate::engine::plan::pods;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::UndoEntry;
use crate::experiment::{Fault, NodeSelector, PodSelector};
use crate::fault::{Lookup, ObjectFaultRecord, ObjectUndo};
use crate::plan;
use crate::timeline::Impact;

impl RunScope<'_> {
    /// What a fault that goes through the API does, and how it is undone. `None`: it does not, and
    /// is another's to plan.
    pub(crate) async fn plan_object_fault(
        &self,
        fault: &Fault,
        step: u32,
        seed: &mut Seed,
    ) -> Result<Option<Vec<UndoEntry>>, RunError> {
        if fault.kind().traits().impact != Impact::Objects {
            return Ok(None);
        }
        let records =
            ObjectFaultRecord::plan(fault, &mut ObjectLookup { scope: self, seed }).await?;
        Ok(Some(records.into_iter().map(|fault| self.on_object(step, fault)).collect()))
    }

    /// The same for one on a node. It hits pods of the run's namespace, of the application's, and
    /// of those that the experiment allows to be hit.
    pub(crate) fn plan_object_fault_on(
        &self,
        node: &str,
        fault: &Fault,
        step: u32,
    ) -> Option<UndoEntry> {
        let own = std::iter::once(&self.namespace);
        let others = self.experiment.namespaces();
        let namespaces: Vec<String> = own.chain(&others).cloned().collect();
        let undo = ObjectFaultRecord::plan_on_node(fault, node, &namespaces)?;
        Some(self.on_object(step, undo))
    }

    fn on_object(&self, step: u32, fault: ObjectFaultRecord) -> UndoEntry {
        let access = self.access.clone();
        UndoEntry::Object { undo: ObjectUndo::new(self.run, step, fault), access }
    }

    /// The pods that a selector chooses: so many as it says, by the seed. Refused where there are
    /// fewer.
    pub(crate) async fn choose_pods(
        &self,
        selector: &PodSelector,
        seed: &mut Seed,
    ) -> Result<Vec<Pod>, RunError> {
        let limits = &self.experiment.blast_radius;
        pods::choose_pods(&self.cluster, limits, &self.namespace, selector, seed).await
    }
}

struct ObjectLookup<'a, 's> {
    scope: &'a RunScope<'s>,
    seed: &'a mut Seed,
}

impl Lookup for ObjectLookup<'_, '_> {
    type Error = RunError;

    fn cluster(&self) -> &Cluster {
        &self.scope.cluster
    }

    fn namespace(&self, named: Option<&str>) -> String {
        named.unwrap_or(&self.scope.namespace).to_owned()
    }

    async fn pods(&mut self, selector: &PodSelector) -> Result<Vec<Pod>, RunError> {
        self.scope.choose_pods(selector, self.seed).await
    }

    async fn nodes(&mut self, selector: &NodeSelector) -> Result<Vec<String>, RunError> {
        let nodes = self.scope.nodes().await?;
        let chosen = plan::placement_node(&nodes, selector, self.seed)?;
        Ok(chosen.into_iter().map(|node| node.name.clone()).collect())
    }
}

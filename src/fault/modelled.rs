//! What a fault is to the model behind an embedded cluster.

use crate::embedded::{Action, NodeId};
use crate::experiment::Fault;

#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelNode<'a> {
    pub id: NodeId,
    pub name: &'a str,
}

impl ModelNode<'_> {
    pub(super) fn action(&self, fault: &Fault) -> Option<Action> {
        Action::of_fault(fault.facts(), self.id).ok()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Modelled {
    pub inject: Action,
    pub effect: &'static str,
    pub undo: Action,
    /// What is seen when it is gone.
    pub undone: &'static str,
    /// What the undo does, for people.
    pub describe: String,
}

/// A fault that is one action of the model, and undone by another. In `undo`, which describes that,
/// `{node}` and `{component}` stand for what is hit.
pub(super) fn modelled(
    fault: &Fault,
    node: ModelNode<'_>,
    effect: &'static str,
    undone: &'static str,
    undo: &str,
) -> Option<Modelled> {
    let inject = node.action(fault)?;
    let component = fault.component().map_or("", |component| component.name());
    let describe = undo
        .replace("{component}", component)
        .replace("{node}", &format!("node {} of the model", node.name));
    Some(Modelled { inject, effect, undo: inject.undo()?, undone, describe })
}

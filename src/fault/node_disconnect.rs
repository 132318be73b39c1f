//! The network cable is cut, by a packet filter inside the node: a partition from everybody.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::packet_filter::{self, Filter, Hit};
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::{Direction, Fault};

/// All packets are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeDisconnect(UndoTimer);

impl NodeFault for NodeDisconnect {
    const UNDO_TIMEOUT: Duration = packet_filter::WAIT.limit;

    fn injection_timeout(_: &Fault) -> Duration {
        packet_filter::INJECTION_TIMEOUT
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self(plan.undo_timer()))
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let filter = Filter {
            mark: &self.0.mark,
            what: "drop all packets".into(),
            direction: Direction::Both,
            hit: Hit::Everybody,
            witness: None,
        };
        packet_filter::inject(context, &filter, &self.0).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        packet_filter::undo(context, &self.0).await
    }

    fn undo_timer(&self) -> Option<&UndoTimer> {
        Some(&self.0)
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        packet_filter::describe(&self.0, machine)
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        self.0.by_hand(machine)
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        packet_filter::modelled(fault, node)
    }
}

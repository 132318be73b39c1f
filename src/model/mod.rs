//! Pure: how Kubernetes notices a dead node and what follows from it, over given time.
//!
//! ```text
//! Settings, Topology, seed -> Model: act(at, Action), advance(to) -> Changes, and the state that they lead to
//! ```
//!
//! `detection.rs` is the closed form of one part of it, and a property test of the machines.

mod action;
mod agenda;
mod change;
mod cluster;
mod control_plane;
mod cost;
mod detection;
mod detection_times;
mod distribution;
mod election;
mod endpoints;
mod eviction;
mod kubelet;
mod machine;
mod node;
mod node_lifecycle;
mod observer;
mod pod;
mod pod_spec;
mod power;
mod proxy;
mod risk;
mod scenario;
mod scheduler;
mod settings;
mod taint;
mod topology;
mod traps;
mod trials;
mod workload;

#[cfg(test)]
mod tests;

pub use action::{Action, Component};
pub(crate) use change::{Backend, Change, Deletion, Power, Taint};
pub(crate) use cost::{Cost, cost};
pub use detection::{
    Beat, Constant, Heartbeat, KubeletEnd, Late, Prediction, Unpredictable, heartbeat, predict,
};
pub(crate) use detection_times::DetectionTimes;
pub use distribution::{Bin, Distribution, Summary};
pub(crate) use machine::Model;
pub(crate) use node::{Effect, NodeState, Process};
#[cfg(test)]
pub(crate) use pod::Phase;
pub(crate) use pod_spec::{NOT_READY, UNREACHABLE, taint, tolerated};
pub(crate) use risk::{GlitchRisk, Risk};
pub use scenario::{Leads, Scenario, Step};
pub use settings::{Parameter, Quantity, Settings, Span};
pub use topology::{
    Controller, NodeId, NodeObject, NodeSpec, OwnerId, PodId, PodSpec, Routing, Spread, TaintId,
    Tolerates, Topology,
};
pub(crate) use traps::{About, FaultPlan, Pods, Trap, traps_of_fault, traps_of_tuning};
pub use trials::{FaultForecast, Forecast, forecast};

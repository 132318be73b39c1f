//! Pure: how Kubernetes notices a dead node, over given time.

pub mod cost;
pub mod detection;
pub mod risk;
pub mod traps;

pub use cost::{Cost, cost};
pub use detection::{Constant, Heartbeat, KubeletEnd, Prediction, Unpredictable, heartbeat, predict};
pub use risk::{GlitchRisk, Risk};
pub use traps::{About, FaultPlan, Pods, Trap, traps_of_fault, traps_of_tuning};

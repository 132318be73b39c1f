//! Pure: how Kubernetes notices a dead node, over given time.

pub mod detection;

pub use detection::{Constant, Heartbeat, KubeletEnd, Prediction, Unpredictable, heartbeat, predict};

//! Pure: how Kubernetes notices a dead node, over given time.

pub mod detection;

pub use detection::{Constant, KubeletEnd, Prediction, Unpredictable, heartbeat, predict};

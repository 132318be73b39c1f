//! How late watches delivered.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Lateness;
use crate::stats::Seconds;

/// How late the watches delivered, measured by an object of the run's own that was changed twice a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeliveryFinding {
    /// How many changes were delivered.
    pub updates: u32,
    /// From the sending of a change until the watch showed it.
    pub late: Lateness,
    /// The moments that a watch showed: detection, endpoints that left or came back, Ready.
    pub moments: Vec<MomentDelay>,
}

/// A moment that a watch showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MomentDelay {
    /// When it was shown.
    pub at: Seconds,
    /// It happened no more than this earlier, as far as watches were late around it.
    pub at_most: Seconds,
}

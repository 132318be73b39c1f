//! Claims: what others say, and a run's verdict decides.

use serde::{Deserialize, Serialize};

/// Something that an article says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// How it is called in a list of claims: `B3`.
    pub id: String,
    /// What is claimed, in a sentence.
    pub says: String,
    /// Who says so. Default: not said.
    pub source: Option<String>,
    /// What it means for the claim that the experiment passes. Default: confirmed.
    #[serde(default)]
    pub pass_means: PassMeans,
}

/// What it means for a claim that its experiment passes. That it fails means the opposite; inconclusive leaves the claim open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PassMeans {
    /// The experiment expects what is claimed.
    #[default]
    Confirmed,
    /// The experiment expects the contrary of what is claimed.
    Refuted,
}

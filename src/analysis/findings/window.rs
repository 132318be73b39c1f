//! A window of errors.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cause::CausePart;
use super::{Period, When};
use crate::stats::{Between, Seconds};

/// The errors that a probe's clients saw in one period. Moments are those of *sending*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// The period. A failure sent before a fault's request and failed after it belongs to the fault.
    pub period: Period,
    /// When the first request that failed was sent.
    pub first_failure: Seconds,
    /// When the last request that failed was sent.
    pub last_failure: Seconds,
    /// When the client of that request learned of its failure.
    pub waited_until: Seconds,
    /// When errors began.
    pub start: Edge,
    /// When errors ended.
    pub end: Edge,
    /// How long they lasted: at least from the first to the last failure, at most from edge to edge.
    pub length: Between,
    /// Nothing shows that they ended before the undo, or before the end of the data: the end's `latest` is only that.
    pub open: bool,
    /// How many attempts failed.
    pub failed: u64,
    /// The number of conclusive attempts from the first to the last failure.
    pub attempts: u64,
    /// The failures by class, most frequent first.
    pub classes: Vec<ClassCount>,
    /// Of the failures, how many were in flight when the fault was requested: sent before it, failed after it.
    pub in_flight: u64,
    /// The longest run of successes between two failures.
    pub longest_gap: Option<Gap>,
    /// The longest run of failures without a success between them.
    pub longest_streak: u64,
    /// Bursts: where errors stopped and started again, with so many successes in between that
    /// chance is excluded. At least one.
    pub bursts: Vec<Burst>,
    /// How long they lasted without the times between bursts; `None` where there is one burst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Between>,
    /// What caused them, where the control plane was asked: parts of the window, deepest cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<CausePart>,
}

impl Window {
    /// How long they lasted without the times between bursts.
    pub fn failing_time(&self) -> Between {
        self.failing.unwrap_or(self.length)
    }

    /// A length of it, in words: of one that is open, only the least is known.
    pub fn words(&self, length: Between) -> String {
        match self.open {
            true => format!("at least {}", length.least),
            false => length.to_string(),
        }
    }

    /// ` in 4 bursts (failing 3.1s)`; nothing where there is one burst.
    pub fn bursts_text(&self) -> String {
        let bursts = self.bursts.len();
        let text = |failing| format!(" in {bursts} bursts (failing {})", self.words(failing));
        self.failing.map_or(String::new(), text)
    }
}

/// A part of an error window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Burst {
    /// When its first request that failed was sent.
    pub first_failure: Seconds,
    /// When its last request that failed was sent.
    pub last_failure: Seconds,
    /// When the client of that request learned of its failure.
    pub waited_until: Seconds,
    /// When it began.
    pub start: Edge,
    /// When it ended.
    pub end: Edge,
    /// How long it lasted: at least from its first to its last failure, at most from edge to edge.
    pub length: Between,
    /// How many attempts failed.
    pub failed: u64,
    /// The number of conclusive attempts from its first to its last failure.
    pub attempts: u64,
    /// The longest run of successes between two of its failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_gap: Option<Gap>,
}

/// An edge of an error window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Where it lies.
    pub when: When,
    /// What bounds it on the outer side.
    pub proof: Proof,
}

/// What bounds a window on its outer side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// A success of a backend that was hit.
    BackEnd,
    /// The adjacent success: all backends were hit, so any answer proves that they answer.
    Neighbour,
    /// This many successes in a row, which would all have missed the dead backends with a chance of
    /// at most 5 %.
    Draws {
        /// How many.
        attempts: u64,
    },
    /// Only the request of a fault.
    FaultRequest,
    /// Only the request of an undo.
    UndoRequest,
    /// Only the end of the burst before it.
    BurstBefore,
    /// Only the beginning of the data.
    StartOfData,
    /// Only the failure with which the next burst begins.
    NextFailure,
    /// Only the end of the data.
    EndOfData,
}

impl Proof {
    pub fn words(&self) -> String {
        match self {
            Proof::BackEnd => "its backend answered".into(),
            Proof::Neighbour => "the adjacent request succeeded".into(),
            Proof::Draws { attempts } => format!("{attempts} in a row succeeded"),
            Proof::FaultRequest => "bounded only by the fault's request".into(),
            Proof::UndoRequest => "bounded only by the undo's request".into(),
            Proof::BurstBefore => "bounded only by the end of the previous burst".into(),
            Proof::StartOfData => "bounded only by the start of the data".into(),
            Proof::NextFailure => "bounded only by the next failure".into(),
            Proof::EndOfData => "bounded only by the end of the data".into(),
        }
    }
}

/// How many attempts ended in a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ClassCount {
    /// The class: `timeout`, `refused`, `status 503`.
    pub class: String,
    /// How many.
    pub count: u64,
}

impl ClassCount {
    /// `timeout 21, refused 3`.
    pub fn list(all: &[Self]) -> String {
        let shown: Vec<String> = all.iter().map(|c| format!("{} {}", c.class, c.count)).collect();
        shown.join(", ")
    }
}

/// A run of successes inside a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// When the failure before it was sent.
    pub from: Seconds,
    /// When the failure after it was sent.
    pub to: Seconds,
    /// The number of successes.
    pub successes: u64,
}

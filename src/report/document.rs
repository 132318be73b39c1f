//! What `-o json` and `-o yaml` print: one document, whatever was carried out.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::Report;
use super::spread::SpreadReport;
use super::study::StudyReport;
use super::suite::{Part, SuiteReport};
use super::view::View;

/// A document. `format` says which one; several runs are a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum Document {
    /// One run.
    Run(Box<Report>),
    /// Several runs of one experiment (`run --repeat`); of recorded runs (`get runs`) one entry an experiment.
    Spreads(Vec<SpreadReport>),
    /// Several experiments.
    Suite(SuiteReport),
    /// A study.
    Study(Box<StudyReport>),
}

impl Document {
    /// The document of these experiments.
    pub fn of(parts: &[Part<View<'_>>]) -> Self {
        match parts {
            [part] if part.not_started == 0 && part.runs().len() == 1 => {
                let report = Report::new(&part.runs()[0]);
                Document::Run(Box::new(Report { baseline: part.baseline.clone(), ..report }))
            }
            [part] => part.spread().map_or_else(
                || Document::Suite(SuiteReport::new(parts)),
                |spread| Document::Spreads(vec![spread]),
            ),
            _ => Document::Suite(SuiteReport::new(parts)),
        }
    }
}

//! What `-o json` and `-o yaml` print: one document, whatever was carried out.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::json::Report;
use super::spread::SpreadReport;
use super::study::StudyReport;
use super::suite::{Part, SuiteReport};
use super::summary::Summary;
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
        let [part] = parts else { return Document::Suite(SuiteReport::new(parts)) };
        if let Some(view) = part.only_run() {
            return Document::Run(Box::new(Report {
                baseline: part.baseline.clone(),
                earlier_tries: part.tries_before(view).map(Summary::new).collect(),
                ..Report::new(view)
            }));
        }
        match part.spread() {
            Some(spread) => Document::Spreads(vec![spread]),
            None => Document::Suite(SuiteReport::new(parts)),
        }
    }
}

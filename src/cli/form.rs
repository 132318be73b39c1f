//! The report formats of `-o`: their names, and how each is printed.

use clap::ValueEnum;

use super::failure::Failure;
use super::output;
use crate::report::suite::{Part, SuiteReport};
use crate::report::{Document, View, csv, json, jsonl, junit, log, markdown};

/// The formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Human-readable text
    Text,
    /// Human-readable text, with everything that was recorded
    Wide,
    /// JSON (`schema` prints its schema)
    Json,
    /// The same document as YAML
    Yaml,
    /// JUnit XML: one case per expectation
    Junit,
    /// CSV: one row per expectation
    Csv,
    /// Markdown table: claims and what was measured
    Markdown,
    /// Log: wall clock, status, endpoints by node
    Log,
    /// Every attempt, as JSON lines
    Jsonl,
}

impl Form {
    /// Whether it is written for a terminal, while a run goes on and at its end.
    pub(super) fn is_for_people(self) -> bool {
        matches!(self, Form::Text | Form::Wide)
    }

    /// Refuses the formats that have nothing to print of a plan.
    pub(super) fn refuse_unplanned(self) -> Result<(), Failure> {
        match self {
            Form::Text | Form::Wide | Form::Json | Form::Yaml => Ok(()),
            Form::Junit | Form::Csv | Form::Markdown | Form::Log | Form::Jsonl => {
                Err(Failure::usage("--dry-run prints a plan, which this output format cannot show")
                    .hint("use `-o text`, `-o json` or `-o yaml`"))
            }
        }
    }

    /// Prints one document for all of these. The formats for people are printed as runs end, not here.
    pub(super) fn print(self, parts: &[Part<View<'_>>]) {
        match self {
            Form::Text | Form::Wide => {}
            Form::Json => super::print(&json::pretty(&Document::of(parts))),
            Form::Yaml => super::print(&json::yaml(&Document::of(parts))),
            Form::Junit => super::print(&junit::render(parts)),
            Form::Csv => super::print(&csv::render(parts)),
            Form::Markdown => super::print(&markdown::render(&SuiteReport::new(parts))),
            Form::Log => print_logs(parts),
            Form::Jsonl => print_attempts(parts),
        }
    }
}

fn print_logs(parts: &[Part<View<'_>>]) {
    for view in parts.iter().flat_map(Part::runs) {
        let mut text = String::new();
        log::write(view, &mut text).expect("writing to a string");
        super::print(&text);
    }
}

/// An hour of attempts does not fit into one string. A line is an attempt, so warnings go to
/// standard error.
fn print_attempts(parts: &[Part<View<'_>>]) {
    for view in parts.iter().flat_map(Part::runs) {
        let run = &view.timeline.header.run;
        view.warnings().iter().for_each(|warning| complain!("warning: run {run}: {warning}"));
    }
    output::stream(|out| {
        parts.iter().flat_map(Part::runs).try_for_each(|view| jsonl::write(view.timeline, out))
    });
}

//! The report formats of `-o`: their names, and how each is written.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser, ValueParserFactory};
use clap::{Arg, Command, ValueEnum};

use super::output::visible;
use crate::report::suite::{self, Part, SuiteReport};
use crate::report::{Document, Style, View};
use crate::report::{
    compare, csv, describe, github, html, json, jsonl, junit, log, markdown, openmetrics, spread,
    svg, terminal,
};

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
    /// Markdown for a pull request: verdicts, what was measured, and claims
    Markdown,
    /// Text and annotations for a GitHub Actions log, and the Markdown for the job summary
    Github,
    /// OpenMetrics text: verdicts, measurements with their bounds, and counts
    Openmetrics,
    /// HTML page: verdict, timeline and events in one file, offline
    Html,
    /// SVG picture of each run's timeline
    Svg,
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

    /// Its file among a run's artifacts; `None`: another has all of it, or the run's own folder.
    pub(super) fn file_name(self) -> Option<&'static str> {
        match self {
            Form::Text | Form::Github | Form::Jsonl => None,
            Form::Wide => Some("report.txt"),
            Form::Json => Some("report.json"),
            Form::Yaml => Some("report.yaml"),
            Form::Junit => Some("report.xml"),
            Form::Csv => Some("report.csv"),
            Form::Markdown => Some("report.md"),
            Form::Openmetrics => Some("report.prom"),
            Form::Html => Some("report.html"),
            Form::Svg => Some("report.svg"),
            Form::Log => Some("report.log"),
        }
    }

    pub(super) fn write(
        self,
        parts: &[Part<View<'_>>],
        style: &Style,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = match self {
            Form::Text | Form::Wide => text(parts, self, style),
            Form::Json => json::pretty(&Document::of(parts)),
            Form::Yaml => json::yaml(&Document::of(parts)),
            Form::Junit => junit::render(parts),
            Form::Csv => csv::render(parts),
            Form::Markdown => markdown::render(parts),
            Form::Github => github(parts, style),
            Form::Openmetrics => openmetrics::render(parts),
            Form::Html => html::render(parts),
            Form::Svg => svg::render(&parts.iter().flat_map(Part::runs).collect::<Vec<_>>()),
            Form::Log => logs(parts),
            Form::Jsonl => return attempts(parts, out),
        };
        let ended = if text.ends_with('\n') { "" } else { "\n" };
        write!(out, "{}{ended}", visible(&text))
    }
}

/// The runs, the spreads of those that are several, and, if asked for, what they recorded. Several
/// experiments end with their table, and so does one that was not carried out.
fn text(parts: &[Part<View<'_>>], form: Form, style: &Style) -> String {
    let runs = || parts.iter().flat_map(Part::runs);
    let several = parts.iter().filter(|part| part.decisive().nth(1).is_some());
    let spreads = several.filter_map(Part::spread);
    let described =
        runs().filter(|_| form == Form::Wide).map(|view| describe::render(view, style.width));
    let table = (parts.len() > 1 || runs().next().is_none())
        .then(|| suite::render(&SuiteReport::new(parts), style));
    let reports = runs().map(|view| terminal::render(view, style));
    let spreads = spreads.map(|spread| spread::render(&spread, style));
    let baselines = parts.iter().filter_map(|part| part.baseline.as_ref());
    let baselines = baselines.map(|compared| compare::text(compared, style));
    reports
        .chain(spreads)
        .chain(baselines)
        .chain(described)
        .chain(table)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The text, in which nothing is a command to the runner, and the annotations.
fn github(parts: &[Part<View<'_>>], style: &Style) -> String {
    // Nobody who is quoted in the text can know what ends it.
    let token = format!("outage-{:016x}", RandomState::new().hash_one(std::process::id()));
    let text = text(parts, Form::Text, style);
    // The runner finds an absolute path in the repository, whatever the step's working directory.
    let path = |file: &str| {
        Path::new(file).canonicalize().map_or(file.to_owned(), |path| path.display().to_string())
    };
    let annotations = github::render(parts, &path);
    format!("::stop-commands::{token}\n{text}\n::{token}::\n{annotations}")
}

fn logs(parts: &[Part<View<'_>>]) -> String {
    let mut text = String::new();
    for view in parts.iter().flat_map(Part::runs) {
        log::write(view, &mut text).expect("writing to a string");
    }
    text
}

/// An hour of attempts does not fit into one string. A line is an attempt, so warnings go to
/// standard error.
fn attempts(parts: &[Part<View<'_>>], out: &mut dyn Write) -> io::Result<()> {
    for view in parts.iter().flat_map(Part::runs) {
        let run = &view.timeline.header.run;
        view.warnings().iter().for_each(|warning| complain!("warning: run {run}: {warning}"));
    }
    parts.iter().flat_map(Part::runs).try_for_each(|view| jsonl::write(view.timeline, out))
}

/// One `-o`: a format, and the file that it goes to; `None`: standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub form: Form,
    pub file: Option<PathBuf>,
}

impl ValueParserFactory for Output {
    type Parser = OutputParser;

    fn value_parser() -> OutputParser {
        OutputParser
    }
}

/// Reads `FORMAT`, `FORMAT=FILE` and `FORMAT=-`; help and completions list the formats.
#[derive(Clone)]
pub(super) struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        typed: &OsStr,
    ) -> Result<Output, clap::Error> {
        use std::os::unix::ffi::OsStrExt;
        let bytes = typed.as_bytes();
        let (form, file) = match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]))),
            None => (bytes, None),
        };
        let form = OsStr::from_bytes(form);
        let form = EnumValueParser::<Form>::new().parse_ref(command, arg, form)?;
        if file.is_some_and(OsStr::is_empty) {
            let message = "expected a file after `=` (`-` is standard output)\n";
            return Err(command.clone().error(clap::error::ErrorKind::InvalidValue, message));
        }
        let file = file.filter(|file| *file != "-").map(|file| Path::new(file).to_owned());
        Ok(Output { form, file })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Form::value_variants().iter().filter_map(Form::to_possible_value)))
    }
}

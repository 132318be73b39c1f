//! From a study's journal and the folders of its runs to its report: offline, and right after it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::env::Env;
use crate::cli::exit::{self, FailOn};
use crate::cli::failure::Failure;
use crate::cli::form::Form;
use crate::cli::judge::{self, Judged};
use crate::cli::output;
use crate::cli::outputs::Outputs;
use crate::engine::error::RunError;
use crate::report::study::{self, CellReport, CellRuns, FORMAT, Repetition, StudyReport};
use crate::report::{Document, Style, Summary, html, json, svg, view};
use crate::study::journal::{Entry, Ground, Journal, JournalError, Recorded};
use crate::timeline::store::is_record;

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let failure =
            Failure::from(RunError::refused("cannot use the study's record").because(&error));
        match error {
            JournalError::NoSuchStudy { .. } | JournalError::Ambiguous { .. } => {
                let failure = Failure { code: exit::USAGE, ..failure };
                failure.hint("`kubectl outage study -f FILE` begins a study; --runs-dir names another directory")
            }
            _ => failure,
        }
    }
}

/// The runs directory of a study: runs lie beside the folder of all studies.
pub(super) fn runs_dir_of(study: &Path) -> PathBuf {
    let studies = study.parent().unwrap_or(Path::new(""));
    studies.parent().unwrap_or(Path::new("")).to_owned()
}

pub(in crate::cli) fn folder_of(study: &Path, run: &str) -> PathBuf {
    runs_dir_of(study).join(run)
}

/// Writes down what became of the runs during which the study was interrupted: what has come to its
/// own end is not run again, and what has not is counted as what it was.
pub(super) fn settle(journal: &mut Journal) -> Result<(), Failure> {
    let open: Vec<String> = journal
        .entries
        .iter()
        .filter(|entry| entry.end.is_none())
        .map(|entry| entry.run.clone())
        .collect();
    for run in open {
        let judged = judge::judge(&folder_of(journal.folder(), &run));
        journal.end(&run, judged.is_ok_and(|judged| judged.is_over()), None)?;
    }
    Ok(())
}

/// A study with all of its runs.
pub(in crate::cli) struct StudyRuns {
    recorded: Recorded,
    /// Each run of the journal, judged; `None`: it can't be read.
    runs: Vec<(Entry, Option<Judged>)>,
}

impl StudyRuns {
    pub(in crate::cli) fn read(recorded: &Recorded) -> Self {
        let judged = |entry: &Entry| {
            let folder = folder_of(&recorded.folder, &entry.run);
            // One that never began has no folder.
            if !is_record(&folder) && !entry.is_done() {
                return None;
            }
            let judged = judge::judge(&folder).map_err(|failure| failure.report()).ok();
            Some((entry.clone(), judged))
        };
        let runs = recorded.entries.iter().filter_map(judged).collect();
        Self { recorded: recorded.clone(), runs }
    }

    fn report(&self) -> StudyReport {
        let header = &self.recorded.header;
        let cells: Vec<CellReport> =
            (0..header.cells.len()).map(|cell| CellReport::new(self.cell(cell))).collect();
        StudyReport {
            format: FORMAT.into(),
            study: self.recorded.id(),
            name: header.name.clone(),
            question: header.question.clone(),
            on: self.ground(),
            started: header.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seed: header.seed,
            rounds: header.rounds,
            planned: header.repeat * header.cells.len() as u32,
            done: cells.iter().map(|cell| cell.done).sum(),
            nodes: header.nodes,
            cells,
        }
    }

    fn cell(&self, cell: usize) -> CellRuns<'_> {
        let header = &self.recorded.header;
        let runs = || self.runs.iter().filter(move |(entry, _)| entry.slot.cell == cell);
        let is_unreadable = |(entry, judged): &&(Entry, Option<Judged>)| {
            judged.is_none() && !self.is_repeated(entry)
        };
        CellRuns {
            name: header.cells[cell].name.clone(),
            choices: header.cells[cell].choices.clone(),
            planned: header.repeat,
            done: runs().filter(|(entry, _)| entry.is_done()).count() as u32,
            unreadable: runs().filter(is_unreadable).count() as u32,
            runs: runs().filter_map(|run| self.repetition(run)).collect(),
            nodes: header.nodes,
        }
    }

    /// `None`: it can't be read.
    fn repetition<'a>(
        &self,
        (entry, judged): &'a (Entry, Option<Judged>),
    ) -> Option<Repetition<'a>> {
        let (number, is_repeated) = (entry.slot.repetition, self.is_repeated(entry));
        Some(Repetition { number, is_repeated, view: judged.as_ref()?.view() })
    }

    /// Whether a run was cut short, and a later one took its place.
    fn is_repeated(&self, run: &Entry) -> bool {
        let mut all = self.runs.iter();
        !run.is_done() && all.any(|(entry, _)| entry.slot == run.slot && entry.is_done())
    }

    /// What was measured of a cell, where it counts.
    pub(super) fn detections(&self, cell: usize) -> Vec<f64> {
        let runs = self.runs.iter().filter(|(entry, _)| entry.slot.cell == cell);
        let summaries = runs.filter_map(|(_, judged)| Some(judged.as_ref()?.summary()));
        let counted = summaries.filter(Summary::counts);
        counted.filter_map(|summary| Some(summary.detection?.most.as_f64())).collect()
    }

    /// What it ran on, each cluster once.
    fn ground(&self) -> String {
        let of = |judged: &Judged| view::cluster(&judged.view().timeline.header.cluster);
        let mut clusters: Vec<String> =
            self.runs.iter().filter_map(|(_, judged)| judged.as_ref().map(of)).collect();
        clusters.sort();
        clusters.dedup();
        match (&self.recorded.header.on, clusters.is_empty()) {
            (Ground::Embedded, true) => view::EMBEDDED.into(),
            (Ground::Kind, true) => "kind".into(),
            (Ground::Context { .. }, true) => "an existing cluster".into(),
            _ => clusters.join(", "),
        }
    }

    /// The gravest of its runs' verdicts, less those that were made again.
    pub(in crate::cli) fn code(&self, fail_on: FailOn) -> u8 {
        let done = self.runs.iter().filter(|(entry, _)| entry.is_done());
        exit::gravest(done.map(|(_, judged)| {
            judged.as_ref().map_or(exit::INCONCLUSIVE, |judged| judged.code(fail_on))
        }))
    }

    /// All that it recorded, for people.
    pub(in crate::cli) fn describe(&self, style: &Style) -> String {
        study::describe(&self.report(), style)
    }

    /// Prints the report, and writes the files; the exit code of writing alone.
    pub(in crate::cli) fn write(&self, outputs: &Outputs, env: &Env) -> u8 {
        let report = self.report();
        let code = outputs.write_files(|form, out| {
            self.as_form(&report, form, &Style { width: 100, ..Style::default() }, out)
        });
        output::stream(|out| self.as_form(&report, outputs.stdout, &env.style(), out));
        exit::gravest([code, outputs.add_summary(env, || study::markdown(&report))])
    }

    /// Formats that are about attempts or expectations have those of all runs.
    fn as_form(
        &self,
        report: &StudyReport,
        form: Form,
        style: &Style,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = match form {
            Form::Text => study::text(report, style),
            Form::Json => json::pretty(&Document::Study(Box::new(report.clone()))),
            Form::Yaml => json::yaml(&Document::Study(Box::new(report.clone()))),
            Form::Csv => study::csv(report),
            Form::Markdown => study::markdown(report),
            Form::Html => html::study(report),
            Form::Svg => svg::study(report),
            _ => {
                let views =
                    self.runs.iter().filter_map(|(_, judged)| Some(judged.as_ref()?.view()));
                let parts = crate::report::suite::Part::of_runs(views.collect());
                if form == Form::Wide {
                    writeln!(out, "{}", output::visible(&study::text(report, style)))?;
                }
                return form.write(&parts, style, out);
            }
        };
        write!(out, "{}", output::visible(&text))?;
        if text.ends_with('\n') { Ok(()) } else { writeln!(out) }
    }
}

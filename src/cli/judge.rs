//! From a run's folder to its report: the one way, offline and right after a run.

use std::path::Path;

use super::args::Form;
use super::env::Env;
use super::{exit, failure::Failure};
use crate::analysis;
use crate::experiment::Experiment;
use crate::report::{self, View};
use crate::timeline::Timeline;
use crate::verdict::{self, Outcome};

/// A run, read and judged.
pub struct Judged {
    /// The run as it was read.
    pub timeline: Timeline,
    /// All that reports show of it.
    pub view: View,
    /// The exit code that its verdict asks for.
    pub code: u8,
}

/// Reads and judges a run.
pub fn judge(folder: &Path) -> Result<Judged, Failure> {
    let timeline = Timeline::read(folder)?;
    let experiment: Experiment = serde_json::from_value(timeline.header.experiment.clone())
        .map_err(|e| Failure { code: exit::REFUSED, text: format!("error: the run's experiment is not understood: {e}") })?;
    let findings = analysis::analyse(&timeline);
    let verdict = verdict::judge(&findings, &experiment.expect);
    let code = match verdict.outcome {
        Outcome::Pass => exit::PASS,
        Outcome::Fail => exit::FAIL,
        Outcome::Inconclusive => exit::INCONCLUSIVE,
    };
    let view = View::new(&timeline, findings, verdict);
    Ok(Judged { timeline, view, code })
}

/// The report of some runs in one form. Several runs of one experiment end with their spread.
pub fn render(runs: &[Judged], form: Form, env: &Env) -> String {
    let views: Vec<&View> = runs.iter().map(|run| &run.view).collect();
    let style = report::Style { width: env.width, colour: env.colour, wide: form == Form::Wide };
    match form {
        Form::Text | Form::Wide => report::terminal(&views, &style),
        Form::Json => report::json(&views),
        Form::Yaml => report::yaml(&views),
        Form::Junit => report::junit(&views),
        Form::Log => runs.iter().map(|run| report::log(&run.timeline, &run.view)).collect(),
        Form::Jsonl => String::new(),
    }
}

/// Prints the report of some runs to standard output.
pub fn print(runs: &[Judged], form: Form, env: &Env) {
    if form == Form::Jsonl {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for run in runs {
            // A reader that has gone is no error.
            let _ = report::jsonl(&run.timeline, &mut out);
        }
        return;
    }
    super::print(&render(runs, form, env));
}

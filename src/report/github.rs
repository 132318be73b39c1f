//! Runs as workflow commands of GitHub Actions: an annotation for each expectation that was not met,
//! at its line in the experiment's file.

use std::fmt::Write;

use super::not_run::{FileError, NotRun};
use super::suite::{ExperimentStatus, Part, not_started};
use super::view::{FLAKY, Failure, View};
use crate::timeline::Retry;
use crate::verdict::Outcome;

/// GitHub shows so many annotations of each kind for a step.
const MOST: usize = 10;

/// An annotation. Its file and line are where a change of a pull request may be.
struct Annotation {
    /// `error` or `warning`.
    kind: &'static str,
    file: Option<String>,
    line: Option<u32>,
    title: String,
    message: String,
}

/// A line for each annotation; `path`: where the runner finds an experiment's file. What there are
/// too many of is counted: GitHub would leave them out in silence.
pub fn render(parts: &[Part<View<'_>>], path: &dyn Fn(&str) -> String) -> String {
    let all: Vec<Annotation> = parts.iter().flat_map(of_part).collect();
    let mut out = String::new();
    for kind in ["error", "warning"] {
        let of_kind: Vec<&Annotation> = all.iter().filter(|one| one.kind == kind).collect();
        let shown = if of_kind.len() > MOST { MOST - 1 } else { of_kind.len() };
        for Annotation { file, line, title, message, .. } in &of_kind[..shown] {
            let file = file.as_ref().map(|file| format!("file={},", property(&path(file))));
            let line = line.map(|line| format!("line={line},"));
            let place = [file, line].into_iter().flatten().collect::<String>();
            let _ = writeln!(out, "::{kind} {place}title={}::{}", property(title), data(message));
        }
        let left = of_kind.len() - shown;
        if left > 0 {
            let _ = writeln!(out, "::{kind} title=outage::{left} more: see the job summary");
        }
    }
    out
}

fn of_part(part: &Part<View<'_>>) -> Vec<Annotation> {
    let name = part.experiment.as_str();
    let whole = |kind, title: &str, why: &str| Annotation {
        kind,
        file: None,
        line: None,
        title: format!("{name}: {title}"),
        message: why.to_owned(),
    };
    let mut all: Vec<Annotation> = match &part.status {
        ExperimentStatus::Ran(_) => part.decisive().flat_map(|view| of_run(name, view)).collect(),
        ExperimentStatus::NotRun(..) if !part.errors.is_empty() => {
            part.errors.iter().map(|error| of_file(name, error)).collect()
        }
        ExperimentStatus::NotRun(state, why) => {
            let kind = if *state == NotRun::Skipped { "warning" } else { "error" };
            vec![whole(kind, &state.word().to_lowercase(), why)]
        }
    };
    if part.not_started > 0 {
        all.push(whole("error", "not started", &not_started(part.not_started)));
    }
    let worse = part.baseline.iter().filter(|compared| compared.is_worse());
    all.extend(worse.map(|_| whole("error", "worse", "worse than the baseline")));
    all
}

fn of_file(experiment: &str, FileError { file, line, message }: &FileError) -> Annotation {
    Annotation {
        kind: "error",
        file: Some(file.clone()),
        line: Some(*line),
        title: format!("{experiment}: invalid"),
        message: message.clone(),
    }
}

fn of_run(experiment: &str, view: &View<'_>) -> Vec<Annotation> {
    let header = &view.timeline.header;
    let places = header.places.as_ref();
    let at = |kind, line: Option<u32>, title: &str, message: String| Annotation {
        kind,
        file: places.map(|places| places.file.clone()),
        line,
        title: format!("{experiment}: {title}"),
        message: format!("{message} (run {})", header.run),
    };
    let failures = view.failures().into_iter();
    let failures = failures.map(|Failure { what, why }| at("error", None, what, why));
    // An expectation of a run that was cut short is open for that reason alone.
    let judged = view.verdict.assertions.iter().enumerate().filter(|_| !view.is_refused());
    let judged = judged.filter_map(|(index, assertion)| {
        let word = match assertion.outcome {
            Outcome::Fail => "not met",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Measured | Outcome::Pass => return None,
        };
        let line = places.and_then(|places| places.expectations.get(index).copied());
        let why = assertion.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let title = format!("{} {word}", assertion.subject);
        Some(at("error", line, &title, format!("{}{why}", assertion.result_text())))
    });
    let surprises = view.surprises().into_iter();
    let surprises = surprises.map(|text| at("warning", None, "unexpected", text));
    let retry = header.retry.as_ref().filter(|_| view.word() == FLAKY);
    let flaky = retry.map(|Retry { of, number }| {
        let message = format!("it passed as retry {number} of {of}, which was inconclusive");
        at("warning", None, &FLAKY.to_lowercase(), message)
    });
    failures.chain(judged).chain(flaky).chain(surprises).collect()
}

/// A command's message: one line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A command's property, which ends at a colon or a comma.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_end_its_command() {
        assert_eq!(data("100% a,b: c\r\n::error::x"), "100%25 a,b: c%0D%0A::error::x");
        assert_eq!(property("a: 1,5%\nb"), "a%3A 1%2C5%25%0Ab");
    }
}

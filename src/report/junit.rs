//! Runs as JUnit: a suite a run, a case an assertion. A failed assertion is a failure, an
//! inconclusive one an error, and so is what went wrong with the run itself. What was measured is in
//! the suite's properties. An experiment that did not run is a suite of one case, and so are the
//! runs that were not started. The tries before a run are in its cases.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use super::compare;
use super::measured::{self, Measured};
use super::not_run::NotRun;
use super::suite::{ExperimentStatus, Part, not_started};
use super::view::{Failure, View};
use crate::compare::{Comparison, Comparisons, Difference, Verdict};
use crate::verdict::{Assertion, Outcome};

/// Several experiments in one file.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    let mut report = Report::new("outage");
    report.add_test_suites(parts.iter().flat_map(suites));
    report.to_string().expect("XML without timestamps always serializes")
}

fn suites(part: &Part<View<'_>>) -> Vec<TestSuite> {
    let name = part.experiment.as_str();
    // Of several, each is a suite of its own, and the first is `run 1` however many there are.
    let several = part.decisive().count() as u64 + u64::from(part.not_started) > 1;
    let of_run = |number: usize| match several {
        true => format!("{name} (run {number})"),
        false => name.to_owned(),
    };
    let mut suites: Vec<TestSuite> = match &part.status {
        ExperimentStatus::Ran(_) => {
            let suite = |(number, view)| run(&of_run(number), view, part.tries_before(view));
            (1..).zip(part.decisive()).map(suite).collect()
        }
        ExperimentStatus::NotRun(state, why) => vec![not_run(name, *state, why)],
    };
    suites.extend(part.baseline.iter().flat_map(of_comparisons));
    if part.not_started > 0 {
        let name = format!("{name} (not started)");
        suites.push(not_run(&name, NotRun::NotStarted, &not_started(part.not_started)));
    }
    suites
}

/// A suite for each comparison.
pub fn comparisons(compared: &Comparisons) -> String {
    let mut report = Report::new("outage");
    report.add_test_suites(of_comparisons(compared));
    report.to_string().expect("XML without timestamps always serializes")
}

/// A case a quantity. What could not be compared is skipped: neither passed nor failed.
fn of_comparisons(compared: &Comparisons) -> Vec<TestSuite> {
    let skipped = |why: &str| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(why);
        status
    };
    let of_quantity = |one: &Difference, all: &Comparison| {
        let [name, before, after, difference, verdict] = compare::cells(one, all);
        let text = format!("before {before}; after {after}; difference {difference}: {verdict}");
        let status = match one.verdict {
            Verdict::Worse => non_success(NonSuccessKind::Failure, "worse", &text, &text),
            Verdict::Better | Verdict::NoDifferenceShown => TestCaseStatus::success(),
            Verdict::TooFewRuns | Verdict::NotJudged => skipped(&verdict),
        };
        case(&name, status, &text)
    };
    let suites = compared.comparisons.iter().map(|one| {
        let name = format!("{} (compared)", one.name);
        let mut suite = suite(
            &name,
            one.quantities.iter().map(|quantity| of_quantity(quantity, one)).collect(),
        );
        let changes = one
            .changes
            .iter()
            .map(|change| (format!("differs {}", change.name), compare::change(change)));
        suite.add_properties(changes);
        suite
    });
    let left = compared.skipped.iter().map(|why| {
        let name = why.split(':').next().unwrap_or_default();
        suite(&format!("{name} (compared)"), vec![case("baseline", skipped(why), why)])
    });
    suites.chain(left).collect()
}

/// A run, and the tries before it, of which each case has what they were.
fn run<'v, 'd: 'v>(
    name: &str,
    view: &View<'_>,
    before: impl Iterator<Item = &'v View<'d>>,
) -> TestSuite {
    let mut all = cases_of(view);
    let mut tries = Vec::new();
    for earlier in before {
        tries.push((format!("try {}", tries.len() + 1), earlier.timeline.header.run.clone()));
        cases_of(earlier).iter().for_each(|one| add_rerun(&mut all, one));
    }
    let mut suite = suite(name, all);
    let warnings = view.warnings();
    if !warnings.is_empty() {
        let lines: Vec<String> =
            warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        suite.set_system_err(lines.join("\n"));
    }
    suite.set_time(Duration::try_from_secs_f64(view.took().as_f64()).unwrap_or_default());
    let header = &view.timeline.header;
    if let Ok(began) = view.findings.origin.wall.parse::<jiff::Timestamp>() {
        let began = began.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string();
        suite.extra.insert("timestamp".into(), began.into());
    }
    let folder = view.folder.map(|folder| ("folder".to_owned(), folder.display().to_string()));
    let ran = [
        ("run".to_owned(), header.run.clone()),
        ("cluster".to_owned(), super::view::cluster(&header.cluster)),
        ("+0".to_owned(), view.findings.origin.wall.clone()),
        ("verdict".to_owned(), view.state()),
    ];
    let ran = ran.into_iter().chain(tries);
    let measured = measured::values(view).into_iter();
    let measured = measured.map(|Measured { name, value }| (format!("measured {name}"), value));
    let decided = view.decided().into_iter();
    let claims =
        decided.map(|claim| (format!("claim {}", claim.id), claim.decision.word().to_owned()));
    suite.add_properties(ran.chain(folder).chain(measured).chain(claims));
    suite
}

/// One for each assertion, and one for each thing that went wrong with the run itself.
fn cases_of(view: &View<'_>) -> Vec<TestCase> {
    let ended = view.failures().into_iter().map(|Failure { what, why }| {
        case("carried out", non_success(NonSuccessKind::Error, what, &why, &why), &why)
    });
    cases(view.verdict).into_iter().chain(ended).collect()
}

/// Adds to a case what it was in an earlier try, as Surefire does: `flakyError` where it passes now,
/// `rerunError` where it does not.
fn add_rerun(cases: &mut Vec<TestCase>, earlier: &TestCase) {
    let TestCaseStatus::NonSuccess { kind, message, ty, description, .. } = &earlier.status else {
        return;
    };
    let mut rerun = TestRerun::new(*kind);
    (rerun.message, rerun.ty, rerun.description) =
        (message.clone(), ty.clone(), description.clone());
    if cases.iter().all(|one| one.name != earlier.name) {
        cases.push(TestCase::new(earlier.name.clone(), TestCaseStatus::success()));
    }
    let same = cases.iter_mut().find(|one| one.name == earlier.name);
    same.into_iter().for_each(|one| _ = one.status.add_rerun(rerun.clone()));
}

/// What was skipped on purpose is skipped; whatever else did not run is an error.
fn not_run(name: &str, state: NotRun, why: &str) -> TestSuite {
    let status = if state == NotRun::Skipped {
        let mut skipped = TestCaseStatus::skipped();
        skipped.set_message(why);
        skipped
    } else {
        non_success(NonSuccessKind::Error, state.word(), why, why)
    };
    suite(name, vec![case("carried out", status, why)])
}

fn suite(name: &str, cases: Vec<TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(name);
    for mut case in cases {
        case.set_classname(name);
        suite.add_test_case(case);
    }
    // The crate counts skipped cases as `disabled`; most readers look for `skipped`.
    suite.extra.insert("skipped".into(), suite.disabled.to_string().into());
    suite
}

/// A run without assertions is one case, so that it can't be overlooked. A case keeps its name when
/// its bound changes: the trend of a test is found by its name.
fn cases(verdict: &crate::verdict::Verdict) -> Vec<TestCase> {
    let mut named = BTreeMap::<String, u32>::new();
    let mut of = |assertion: &Assertion| {
        let (why, text) = (assertion.why.as_deref().unwrap_or_default(), assertion.result_text());
        let number = named.entry(assertion.subject.clone()).or_default();
        *number += 1;
        let again = if *number == 1 { String::new() } else { format!(" #{number}") };
        let name = format!("{}{again}", assertion.subject);
        case(&name, status(assertion.outcome, why, &text), &text)
    };
    if verdict.assertions.is_empty() {
        let summary = &verdict.summary;
        return vec![case("measured", status(verdict.outcome, summary, summary), summary)];
    }
    verdict.assertions.iter().map(&mut of).collect()
}

fn case(name: &str, status: TestCaseStatus, output: &str) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_system_out(output);
    case
}

fn status(outcome: Outcome, why: &str, text: &str) -> TestCaseStatus {
    match outcome {
        Outcome::Measured | Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail => non_success(NonSuccessKind::Failure, outcome.word(), why, text),
        Outcome::Inconclusive => non_success(NonSuccessKind::Error, outcome.word(), why, text),
    }
}

fn non_success(kind: NonSuccessKind, word: &str, why: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(why).set_type(word.to_lowercase()).set_description(text);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_only_measured_is_no_skipped_one() {
        let verdict = crate::verdict::Verdict::new(None, Vec::new());
        let text = {
            let mut report = Report::new("outage");
            report.add_test_suite(suite("web", cases(&verdict)));
            report.to_string().unwrap()
        };
        assert!(text.contains(r#"skipped="0""#) && !text.contains("<skipped"), "{text}");
        let summary = format!("<system-out>{}</system-out>", verdict.summary);
        assert!(text.contains(&summary), "{text}");
    }

    #[test]
    fn text_cannot_break_out_of_its_element() {
        let mut report = Report::new("outage");
        report.add_test_suite(not_run("a\"b", NotRun::Refused, "a<b> & \"c\"\x1b[1m\n"));
        let text = report.to_string().unwrap();
        assert!(text.contains("a&lt;b&gt; &amp; &quot;c&quot;"), "{text}");
        assert!(text.contains(r#"<testsuite name="a&quot;b""#) && !text.contains('\x1b'), "{text}");
    }
}

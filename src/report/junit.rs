//! Runs as JUnit: a suite a run, a case an assertion, and one for the run itself. A failed assertion
//! is a failure, an inconclusive one an error, and so is what went wrong with the run itself. What
//! was measured is in the suite's properties. An experiment that did not run is a suite of one case,
//! and so are the runs that were not started. The tries before a run are in its cases.
//!
//! A reader of trends knows a case by its class and name: the experiment, and what the expectation
//! is about. Neither has a bound, a value, a target, a seed or a run's id.

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
        true => format!(" (run {number})"),
        false => String::new(),
    };
    let mut suites: Vec<TestSuite> = match &part.status {
        ExperimentStatus::Ran(_) => (1..)
            .zip(part.decisive())
            .map(|(number, view)| run(name, &of_run(number), view, part.tries_before(view)))
            .collect(),
        ExperimentStatus::NotRun(state, why) => vec![not_run(name, "", *state, why)],
    };
    suites.extend(part.baseline.iter().flat_map(of_comparisons));
    if part.not_started > 0 {
        let why = not_started(part.not_started);
        suites.push(not_run(name, " (not started)", NotRun::NotStarted, &why));
    }
    let shard = part.shard.map(|shard| ("shard".to_owned(), shard.to_string()));
    suites.iter_mut().for_each(|suite| _ = suite.add_properties(shard.clone()));
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
            "",
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
        suite(&format!("{name} (compared)"), "", vec![case("baseline", skipped(why), why)])
    });
    suites.chain(left).collect()
}

/// One run, and the tries before it, of which each case has what they were; `which` tells it from the
/// other runs of its experiment.
fn run<'v, 'd: 'v>(
    experiment: &str,
    which: &str,
    view: &View<'_>,
    before: impl Iterator<Item = &'v View<'d>>,
) -> TestSuite {
    let took = Duration::try_from_secs_f64(view.took().as_f64()).unwrap_or_default();
    let mut all = cases_of(view);
    // An expectation takes no time of its own: readers add up the cases.
    all.last_mut().expect("is the run's own").set_time(took);
    let mut tries = Vec::new();
    for earlier in before {
        tries.push((format!("try {}", tries.len() + 1), earlier.timeline.header.run.clone()));
        cases_of(earlier).iter().for_each(|one| add_rerun(&mut all, one));
    }
    let mut suite = suite(experiment, which, all);
    let warnings = view.warnings();
    if !warnings.is_empty() {
        let lines: Vec<String> =
            warnings.iter().map(|warning| format!("warning: {warning}")).collect();
        suite.set_system_err(lines.join("\n"));
    }
    suite.set_time(took);
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

/// One for each assertion, and one for the run itself.
fn cases_of(view: &View<'_>) -> Vec<TestCase> {
    cases(view.verdict).into_iter().chain([run_completed(view)]).collect()
}

/// Whether the run itself went well, whatever it measured.
fn run_completed(view: &View<'_>) -> TestCase {
    let failures = view.failures();
    let Some(Failure { what, why }) = failures.first() else {
        return case(RUN_COMPLETED, TestCaseStatus::success(), "");
    };
    let all = failures.iter().map(|one| format!("{}: {}", one.what, one.why)).collect::<Vec<_>>();
    case(RUN_COMPLETED, non_success(NonSuccessKind::Error, what, why, why), &all.join("\n"))
}

/// Adds to a case what it was in an earlier try, as Surefire does: `flakyError` where it passes now,
/// `rerunError` where it does not.
fn add_rerun(cases: &mut [TestCase], earlier: &TestCase) {
    let TestCaseStatus::NonSuccess { kind, message, ty, description, .. } = &earlier.status else {
        return;
    };
    let mut rerun = TestRerun::new(*kind);
    (rerun.message, rerun.ty, rerun.description) =
        (message.clone(), ty.clone(), description.clone());
    let same = cases.iter_mut().find(|one| one.name == earlier.name);
    same.into_iter().for_each(|one| _ = one.status.add_rerun(rerun.clone()));
}

/// What was skipped on purpose is skipped; whatever else did not run is an error.
fn not_run(experiment: &str, which: &str, state: NotRun, why: &str) -> TestSuite {
    let status = if state == NotRun::Skipped {
        let mut skipped = TestCaseStatus::skipped();
        skipped.set_message(why);
        skipped
    } else {
        non_success(NonSuccessKind::Error, state.word(), why, why)
    };
    suite(experiment, which, vec![case(RUN_COMPLETED, status, why)])
}

/// The case of the run itself.
const RUN_COMPLETED: &str = "run completed";

/// `which` is in the suite's name and in those of its cases: no two of an experiment are the same.
fn suite(class: &str, which: &str, cases: Vec<TestCase>) -> TestSuite {
    let mut suite = TestSuite::new(format!("{class}{which}"));
    for mut case in cases {
        case.set_classname(class);
        case.name = format!("{}{which}", case.name.as_str()).into();
        suite.add_test_case(case);
    }
    // The crate counts skipped cases as `disabled`; most readers look for `skipped`.
    suite.extra.insert("skipped".into(), suite.disabled.to_string().into());
    suite
}

/// A run without assertions is one case, so that it can't be overlooked. A case keeps its name when
/// its bound changes: the trend of a test is found by its name.
fn cases(verdict: &crate::verdict::Verdict) -> Vec<TestCase> {
    if verdict.assertions.is_empty() {
        let summary = &verdict.summary;
        return vec![case("measured", status(verdict.outcome, summary, summary), summary)];
    }
    let of = |(name, assertion): (String, &Assertion)| {
        let (why, text) = (assertion.why.as_deref().unwrap_or_default(), assertion.result_text());
        case(&name, status(assertion.outcome, why, &text), &text)
    };
    verdict.named().map(of).collect()
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
            report.add_test_suite(suite("web", "", cases(&verdict)));
            report.to_string().unwrap()
        };
        assert!(text.contains(r#"skipped="0""#) && !text.contains("<skipped"), "{text}");
        let summary = format!("<system-out>{}</system-out>", verdict.summary);
        assert!(text.contains(&summary), "{text}");
    }

    #[test]
    fn text_cannot_break_out_of_its_element() {
        let mut report = Report::new("outage");
        report.add_test_suite(not_run("a\"b", "", NotRun::Refused, "a<b> & \"c\"\x1b[1m\n"));
        let text = report.to_string().unwrap();
        assert!(text.contains("a&lt;b&gt; &amp; &quot;c&quot;"), "{text}");
        assert!(text.contains(r#"<testsuite name="a&quot;b""#) && !text.contains('\x1b'), "{text}");
    }
}

//! Runs as JUnit: a suite a run, a case an assertion. A failed assertion is a failure, an inconclusive one an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::view::View;
use crate::verdict::{Assertion, Outcome, Verdict};

/// Several runs in one file.
pub fn render(views: &[View<'_>]) -> String {
    let mut report = Report::new("outage");
    for view in views {
        report.add_test_suite(suite(view));
    }
    let mut text = report.to_string().expect("a string takes all");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn suite(view: &View<'_>) -> TestSuite {
    let header = &view.timeline.header;
    let mut suite = TestSuite::new(header.name.clone());
    let properties = [
        ("run", header.run.clone()),
        ("cluster", super::view::cluster(&header.cluster)),
        ("+0", view.findings.origin.wall.clone()),
    ];
    properties.into_iter().for_each(|(name, value)| {
        suite.add_property(Property::new(name, value));
    });
    let first = view.timeline.records.first().map_or(header.anchor.monotonic, |record| record.at);
    let last = view.timeline.records.last().map_or(first, |record| record.at);
    suite.set_time(Duration::from_millis(last.since(first).as_millis() as u64));
    for case in cases(view.verdict) {
        let mut case = case;
        case.set_classname(header.name.clone());
        suite.add_test_case(case);
    }
    suite
}

/// A run without assertions is one case, so that it can't be overlooked.
fn cases(verdict: &Verdict) -> Vec<TestCase> {
    if verdict.assertions.is_empty() {
        return vec![TestCase::new("measured", status(verdict.outcome, &verdict.summary, &verdict.summary))];
    }
    verdict.assertions.iter().map(case).collect()
}

fn case(assertion: &Assertion) -> TestCase {
    let why = assertion.why.as_deref().unwrap_or_default();
    let mut case = TestCase::new(assertion.text.clone(), status(assertion.outcome, why, &assertion.said()));
    case.set_system_out(assertion.said());
    case
}

fn status(outcome: Outcome, message: &str, description: &str) -> TestCaseStatus {
    let kind = match outcome {
        Outcome::Pass => return TestCaseStatus::success(),
        Outcome::Fail => NonSuccessKind::Failure,
        Outcome::Inconclusive => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message.to_owned()).set_type(outcome.word().to_lowercase()).set_description(description.to_owned());
    status
}

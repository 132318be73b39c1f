//! Runs as JUnit: a suite a run, a case an assertion. A failed assertion is a failure, an inconclusive one an error.

use std::fmt::{self, Write};

use super::view::View;
use crate::verdict::{Assertion, Outcome, Verdict};

/// Several runs in one file.
pub fn render(views: &[View<'_>]) -> String {
    let mut out = String::new();
    write(views, &mut out).expect("a string takes all");
    out
}

fn write(views: &[View<'_>], out: &mut String) -> fmt::Result {
    let suites: Vec<Suite<'_>> = views.iter().map(Suite::new).collect();
    let sum = |of: fn(&Suite<'_>) -> usize| suites.iter().map(of).sum::<usize>();
    let (failures, errors) = (sum(|s| s.count(Outcome::Fail)), sum(|s| s.count(Outcome::Inconclusive)));
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let tests = sum(|s| s.cases.len());
    writeln!(out, r#"<testsuites name="outage" tests="{tests}" skipped="0" failures="{failures}" errors="{errors}">"#)?;
    suites.iter().try_for_each(|suite| suite.write(out))?;
    writeln!(out, "</testsuites>")
}

struct Suite<'a> {
    view: &'a View<'a>,
    name: Text<'a>,
    cases: Vec<Case>,
}

impl<'a> Suite<'a> {
    fn new(view: &'a View<'a>) -> Self {
        Self { view, name: Text(&view.timeline.header.name), cases: cases(view.verdict) }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|case| case.outcome == outcome).count()
    }

    fn seconds(&self) -> f64 {
        let timeline = self.view.timeline;
        let first = timeline.records.first().map_or(timeline.header.anchor.monotonic, |record| record.at);
        let last = timeline.records.last().map_or(first, |record| record.at);
        last.since(first).as_millis() as f64 / 1e3
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (name, tests, seconds) = (&self.name, self.cases.len(), self.seconds());
        let (failures, errors) = (self.count(Outcome::Fail), self.count(Outcome::Inconclusive));
        writeln!(
            out,
            r#"    <testsuite name="{name}" tests="{tests}" skipped="0" errors="{errors}" failures="{failures}" time="{seconds:.3}">"#
        )?;
        writeln!(out, "        <properties>")?;
        let header = &self.view.timeline.header;
        let cluster = super::view::cluster(&header.cluster);
        for (name, value) in [("run", &header.run), ("cluster", &cluster), ("+0", &self.view.findings.origin.wall)] {
            writeln!(out, r#"            <property name="{name}" value="{}"/>"#, Text(value))?;
        }
        writeln!(out, "        </properties>")?;
        self.cases.iter().try_for_each(|case| case.write(&self.name, out))?;
        writeln!(out, "    </testsuite>")
    }
}

struct Case {
    name: String,
    outcome: Outcome,
    /// Why it did not pass.
    why: String,
    said: String,
}

/// A run without assertions is one case, so that it can't be overlooked.
fn cases(verdict: &Verdict) -> Vec<Case> {
    let of = |assertion: &Assertion| Case {
        name: assertion.text.clone(),
        outcome: assertion.outcome,
        why: assertion.why.clone().unwrap_or_default(),
        said: assertion.said(),
    };
    if verdict.assertions.is_empty() {
        let (why, said) = (verdict.summary.clone(), verdict.summary.clone());
        return vec![Case { name: "measured".into(), outcome: verdict.outcome, why, said }];
    }
    verdict.assertions.iter().map(of).collect()
}

impl Case {
    fn write(&self, class: &Text<'_>, out: &mut String) -> fmt::Result {
        let (why, said) = (Text(&self.why), Text(&self.said));
        writeln!(out, r#"        <testcase name="{}" classname="{class}">"#, Text(&self.name))?;
        if let Some(tag) = tag(self.outcome) {
            let kind = self.outcome.word().to_lowercase();
            writeln!(out, r#"            <{tag} message="{why}" type="{kind}">{said}</{tag}>"#)?;
        }
        writeln!(out, "            <system-out>{said}</system-out>\n        </testcase>")
    }
}

fn tag(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Pass => None,
        Outcome::Fail => Some("failure"),
        Outcome::Inconclusive => Some("error"),
    }
}

/// A text inside XML: what means something there is escaped, what may not be there at all is left out.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&apos;"),
            '\t' | '\n' | '\r' => f.write_char(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => Ok(()),
            letter => f.write_char(letter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_not_break_out_of_the_file() {
        assert_eq!(Text("a<b> & \"c\"'s\x1b[1m\n").to_string(), "a&lt;b&gt; &amp; &quot;c&quot;&apos;s[1m\n");
    }
}

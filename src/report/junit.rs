//! Runs as JUnit: a suite a run, a case an assertion. A failed assertion is a failure, an inconclusive one an error. An experiment that was
//! not carried out is a suite of one case, and so are the runs that were not begun.

use std::fmt::{self, Write};

use super::suite::{Became, NotRun, Part, not_begun};
use super::view::View;
use crate::verdict::{Assertion, Outcome, Verdict};

/// Several experiments in one file.
pub fn render(parts: &[Part<'_>]) -> String {
    let mut out = String::new();
    write(parts, &mut out).expect("a string takes all");
    out
}

fn write(parts: &[Part<'_>], out: &mut String) -> fmt::Result {
    let suites: Vec<Suite<'_>> = parts.iter().flat_map(Suite::of).collect();
    let sum = |tag: Option<Tag>| suites.iter().map(|suite| suite.count(tag)).sum::<usize>();
    let (skipped, failures, errors) =
        (sum(Some(Tag::Skipped)), sum(Some(Tag::Failure)), sum(Some(Tag::Error)));
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    let tests = suites.iter().map(|suite| suite.cases.len()).sum::<usize>();
    writeln!(
        out,
        r#"<testsuites name="outage" tests="{tests}" skipped="{skipped}" failures="{failures}" errors="{errors}">"#
    )?;
    suites.iter().try_for_each(|suite| suite.write(out))?;
    writeln!(out, "</testsuites>")
}

/// A run; or an experiment without one.
struct Suite<'a> {
    name: &'a str,
    view: Option<&'a View<'a>>,
    cases: Vec<Case>,
}

impl<'a> Suite<'a> {
    fn of(part: &'a Part<'a>) -> Vec<Self> {
        let name = part.experiment.as_str();
        let without =
            |state, why: &str| Self { name, view: None, cases: vec![Case::not_run(state, why)] };
        let left =
            (part.not_begun > 0).then(|| without(NotRun::NotBegun, &not_begun(part.not_begun)));
        let begun: Vec<Self> = match &part.became {
            Became::Ran(runs) => runs
                .iter()
                .map(|view| Self { name, view: Some(view), cases: cases(view.verdict) })
                .collect(),
            Became::Not(state, why) => vec![without(*state, why)],
        };
        begun.into_iter().chain(left).collect()
    }

    fn count(&self, tag: Option<Tag>) -> usize {
        self.cases.iter().filter(|case| case.tag == tag).count()
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let (name, tests) = (Text(self.name), self.cases.len());
        let seconds = self.view.map_or(0.0, |view| view.took().as_f64());
        let count = |tag| self.count(Some(tag));
        let (skipped, errors, failures) =
            (count(Tag::Skipped), count(Tag::Error), count(Tag::Failure));
        writeln!(
            out,
            r#"    <testsuite name="{name}" tests="{tests}" skipped="{skipped}" errors="{errors}" failures="{failures}" time="{seconds:.3}">"#
        )?;
        self.view.map_or(Ok(()), |view| properties(view, out))?;
        self.cases.iter().try_for_each(|case| case.write(&name, out))?;
        writeln!(out, "    </testsuite>")
    }
}

fn properties(view: &View<'_>, out: &mut String) -> fmt::Result {
    writeln!(out, "        <properties>")?;
    let header = &view.timeline.header;
    let cluster = super::view::cluster(&header.cluster);
    let claim = |claim: super::claims::DecidedClaim| {
        (format!("claim {}", claim.id), claim.decision.word().to_owned())
    };
    let ran = [
        ("run".into(), header.run.clone()),
        ("cluster".into(), cluster),
        ("+0".into(), view.findings.origin.wall.clone()),
    ];
    for (name, value) in ran.into_iter().chain(view.decided().into_iter().map(claim)) {
        writeln!(
            out,
            r#"            <property name="{}" value="{}"/>"#,
            Text(&name),
            Text(&value)
        )?;
    }
    writeln!(out, "        </properties>")
}

struct Case {
    name: String,
    /// What it is called where it did not pass.
    tag: Option<Tag>,
    /// The kind of it, for those who read the file.
    kind: String,
    /// Why it did not pass.
    why: String,
    said: String,
}

/// What JUnit calls that which did not pass.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Failure,
    Error,
    Skipped,
}

/// A run without assertions is one case, so that it can't be overlooked.
fn cases(verdict: &Verdict) -> Vec<Case> {
    let of = |assertion: &Assertion| Case {
        name: assertion.text.clone(),
        tag: tag(assertion.outcome),
        kind: assertion.outcome.word().to_lowercase(),
        why: assertion.why.clone().unwrap_or_default(),
        said: assertion.said(),
    };
    if verdict.assertions.is_empty() {
        let (why, said) = (verdict.summary.clone(), verdict.summary.clone());
        let (tag, kind) = (tag(verdict.outcome), verdict.outcome.word().to_lowercase());
        return vec![Case { name: "measured".into(), tag, kind, why, said }];
    }
    verdict.assertions.iter().map(of).collect()
}

impl Case {
    /// What was left out on purpose is skipped; whatever else did not happen is an error.
    fn not_run(state: NotRun, why: &str) -> Self {
        let tag = if state == NotRun::Skipped { Tag::Skipped } else { Tag::Error };
        Self {
            name: "carried out".into(),
            tag: Some(tag),
            kind: state.word().to_lowercase(),
            why: why.into(),
            said: why.into(),
        }
    }

    fn write(&self, class: &Text<'_>, out: &mut String) -> fmt::Result {
        let (why, said, kind) = (Text(&self.why), Text(&self.said), &self.kind);
        writeln!(out, r#"        <testcase name="{}" classname="{class}">"#, Text(&self.name))?;
        match self.tag {
            None => Ok(()),
            Some(Tag::Skipped) => writeln!(out, r#"            <skipped message="{why}"/>"#),
            Some(Tag::Failure) => writeln!(
                out,
                r#"            <failure message="{why}" type="{kind}">{said}</failure>"#
            ),
            Some(Tag::Error) => {
                writeln!(out, r#"            <error message="{why}" type="{kind}">{said}</error>"#)
            }
        }?;
        writeln!(out, "            <system-out>{said}</system-out>\n        </testcase>")
    }
}

fn tag(outcome: Outcome) -> Option<Tag> {
    match outcome {
        Outcome::Pass => None,
        Outcome::Fail => Some(Tag::Failure),
        Outcome::Inconclusive => Some(Tag::Error),
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
        assert_eq!(
            Text("a<b> & \"c\"'s\x1b[1m\n").to_string(),
            "a&lt;b&gt; &amp; &quot;c&quot;&apos;s[1m\n"
        );
    }
}

//! Draws what is wrong with an experiment: the line of the file with a caret, and what to do about
//! it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use super::output::visible;
use crate::experiment::{Diagnostic, Location, Severity, SourceFile};
use crate::report::{Ink, fill};
use crate::yaml::hidden;

/// How many problems are drawn; the others are counted.
const MOST: usize = 100;
/// The narrowest that is drawn, whatever the terminal says.
const NARROWEST: usize = 40;

/// Draws problems in their order, each with its place, and counts them in one line at the end. No
/// problems: an empty text.
///
/// `colour` is what colours are written with, `width` is the terminal's in columns. The text ends with a line
/// break.
pub fn render(problems: &[Diagnostic], colour: Option<Ink>, width: usize) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let width = width.max(NARROWEST);
    let renderer = match colour {
        Some(_) => Renderer::styled().hyperlink(false),
        None => Renderer::plain(),
    }
    .term_width(width);
    let mut text = String::new();
    for problem in problems.iter().take(MOST) {
        for group in groups(problem, width) {
            let drawn = renderer.render(&[group]);
            text += &match colour {
                Some(ink) => ink.mark(&drawn),
                None => drawn,
            };
            text += "\n";
        }
        text += "\n";
    }
    if problems.len() > MOST {
        text += &format!("... and {} more\n\n", problems.len() - MOST);
    }
    text + &summary(problems) + "\n"
}

/// "3 errors, 1 warning in x.yaml".
pub fn summary(problems: &[Diagnostic]) -> String {
    let count = |name: &str| match problems
        .iter()
        .filter(|problem| problem.severity.name() == name)
        .count()
    {
        0 => None,
        1 => Some(format!("1 {name}")),
        many => Some(format!("{many} {name}s")),
    };
    let counts: Vec<String> = [Severity::Error, Severity::Warning]
        .into_iter()
        .filter_map(|kind| count(kind.name()))
        .collect();
    let files: BTreeSet<&str> = problems
        .iter()
        .filter_map(|problem| Some(problem.at.as_ref()?.file.name.as_str()))
        .collect();
    match files.len() {
        0 => counts.join(", "),
        1 => format!("{} in {}", counts.join(", "), files.into_iter().collect::<String>()),
        several => format!("{} in {several} files", counts.join(", ")),
    }
}

fn groups(problem: &Diagnostic, width: usize) -> Vec<Group<'_>> {
    let level = match problem.severity {
        Severity::Error | Severity::Open => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = Group::with_title(
        level.primary_title(wrapped(&problem.message, width - "warning: ".len())),
    );
    let hint = Level::HELP.with_name("hint");
    match (&problem.hint, &problem.at) {
        (None, _) => vec![title.elements(snippets(problem))],
        // Right of the line numbers and of "= hint: ".
        (Some(text), Some(_)) => {
            vec![title.elements(snippets(problem)).element(hint.message(wrapped(text, width - 16)))]
        }
        (Some(text), None) => vec![
            title,
            Group::with_title(hint.primary_title(wrapped(text, width - "hint: ".len()))),
        ],
    }
}

/// One snippet a file: the problem's own first.
fn snippets(problem: &Diagnostic) -> Vec<Snippet<'_, Annotation<'_>>> {
    let Some(at) = &problem.at else { return Vec::new() };
    let mut files: Vec<&Arc<SourceFile>> = vec![&at.file];
    for related in &problem.related {
        if !files.iter().any(|file| Arc::ptr_eq(file, &related.at.file)) {
            files.push(&related.at.file);
        }
    }
    let own = std::iter::once((at, AnnotationKind::Primary, None));
    let others = problem
        .related
        .iter()
        .map(|related| (&related.at, AnnotationKind::Context, Some(visible(&related.label))));
    let marks: Vec<_> = own.chain(others).collect();
    files.into_iter().map(|file| snippet(file, &marks)).collect()
}

fn snippet<'p>(
    file: &'p Arc<SourceFile>,
    marks: &[(&'p Location, AnnotationKind, Option<Cow<'p, str>>)],
) -> Snippet<'p, Annotation<'p>> {
    let mine = marks.iter().filter(|(at, ..)| Arc::ptr_eq(&at.file, file));
    let annotations =
        mine.map(|(at, kind, label)| kind.span(at.span.start..at.span.end).label(label.clone()));
    Snippet::source(hidden::source(&file.text))
        .path(visible(&file.name))
        .annotations(annotations.collect::<Vec<_>>())
}

/// Breaks a text between words, so that no line is longer than `width` where that can be had.
fn wrapped(text: &str, width: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    fill(&visible(&words.join(" ")), width).join("\n")
}

#[cfg(test)]
mod tests;

//! What is wrong with an experiment, as plain data: how it is drawn is the command line's business.

use std::fmt;
use std::sync::Arc;

use super::hidden;

/// Whether something stops the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is run.
    Error,
    /// Nothing is run, either: the file leaves something open, and a cluster that is at hand knows
    /// what it could say.
    Open,
    /// It is printed, and the run goes on.
    Warning,
}

impl Severity {
    /// `error` or `warning`, as it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error | Severity::Open => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A text and the name under which a person knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path as it was typed, or `built-in:experiments/NAME.yaml`.
    pub name: String,
    pub text: String,
}

/// A range of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// The line of `start`, from 1.
    pub line: usize,
    /// The column of `start` in characters, from 1.
    pub column: usize,
}

impl Span {
    /// The span of a byte range, which is moved to the nearest characters' borders inside the text.
    pub fn of_bytes(text: &str, start: usize, end: usize) -> Self {
        let start = floor_char(text, start);
        let end = floor_char(text, end.max(start));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = 1 + text[..line_start].matches('\n').count();
        Self { start, end, line, column: 1 + text[line_start..start].chars().count() }
    }

    /// `line 3, column 7`
    pub(crate) fn place(self) -> String {
        format!("line {}, column {}", self.line, self.column)
    }
}

fn floor_char(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    pub file: Arc<SourceFile>,
    pub span: Span,
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Related {
    pub at: Location,
    /// What is there: a few words.
    pub label: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// Whether it stops the run.
    pub severity: Severity,
    /// What is wrong: a lowercase fragment. It and the hint show no PEM.
    pub message: String,
    /// Where. `None`: it is about the file or the command as a whole.
    pub at: Option<Location>,
    /// What a person can do about it. Default: nothing that is known.
    pub hint: Option<String>,
    /// Other places that have to do with it. Default: none.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: hidden::message(message.into()),
            at: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// Something that is left open, without a place.
    pub fn open(message: impl Into<String>) -> Self {
        Self { severity: Severity::Open, ..Self::error(message) }
    }

    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    /// The same, at a place.
    pub fn at(mut self, file: &Arc<SourceFile>, span: Span) -> Self {
        self.at = Some(Location { file: file.clone(), span });
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hidden::message(hint.into()));
        self
    }

    pub fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The same, with another place.
    pub fn related(mut self, file: &Arc<SourceFile>, span: Span, label: impl Into<String>) -> Self {
        self.related
            .push(Related { at: Location { file: file.clone(), span }, label: label.into() });
        self
    }

    /// Whether it keeps the file from being understood. What is left open does not.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub fn is_open(&self) -> bool {
        self.severity == Severity::Open
    }
}

/// `file:line:column: error: message (hint)`, for logs; a terminal gets the drawing of
/// `cli::diagnostics`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{}:{}:{}: ", at.file.name, at.span.line, at.span.column)?;
        }
        write!(f, "{}: {}", self.severity.name(), self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// Several problems; as an error of a function, at least one of them is an error.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Whether any of them keeps the file from being understood.
    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(Diagnostic::is_error)
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    pub(crate) fn add_new(&mut self, more: Diagnostics) {
        for one in more.0 {
            if !self.0.contains(&one) {
                self.0.push(one);
            }
        }
    }

    /// Puts those of one file in the order of its text; files and problems without a place keep
    /// their order.
    pub(crate) fn sort(&mut self) {
        let mut files: Vec<String> = Vec::new();
        self.0.sort_by_cached_key(|d| {
            d.at.as_ref().map(|at| (file_number(&mut files, &at.file.name), at.span.start))
        });
    }
}

fn file_number(files: &mut Vec<String>, name: &str) -> usize {
    files.iter().position(|known| known == name).unwrap_or_else(|| {
        files.push(name.to_owned());
        files.len() - 1
    })
}

impl std::ops::Deref for Diagnostics {
    type Target = [Diagnostic];

    fn deref(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            write!(f, "{}{diagnostic}", if index > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: name.into(), text: "ab\ncdé f\n".into() })
    }

    #[test]
    fn a_span_counts_lines_and_characters_from_one() {
        let text = &file("x").text;
        assert_eq!(Span::of_bytes(text, 0, 1), Span { start: 0, end: 1, line: 1, column: 1 });
        assert_eq!(Span::of_bytes(text, 8, 9), Span { start: 8, end: 9, line: 2, column: 5 });
    }

    #[test]
    fn a_span_stays_inside_the_text_and_between_characters() {
        let span = Span::of_bytes("é", 1, 99);
        assert_eq!((span.start, span.end), (0, 2));
    }

    #[test]
    fn problems_are_sorted_by_place_within_their_file() {
        let (a, b) = (file("a"), file("b"));
        let at = |file, start| {
            Diagnostic::error(format!("{start}")).at(file, Span { start, ..Span::default() })
        };
        let mut all: Diagnostics =
            [at(&a, 7), at(&b, 1), at(&a, 3), Diagnostic::error("whole")].into_iter().collect();
        all.sort();
        assert_eq!(
            all.iter().map(|d| d.message.as_str()).collect::<Vec<_>>(),
            ["whole", "3", "7", "1"]
        );
    }

    #[test]
    fn a_log_line_has_place_severity_message_and_hint() {
        let one = Diagnostic::warning("odd")
            .at(&file("x.yaml"), Span::of_bytes("ab\ncd", 3, 4))
            .hint("change it");
        assert_eq!(one.to_string(), "x.yaml:2:1: warning: odd (change it)");
    }
}

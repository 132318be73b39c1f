//! The problems of a file, as they are found.

use std::sync::Arc;

use crate::experiment::{Diagnostic, Diagnostics, SourceFile, Span};

/// The file that is read, and the problems so far.
pub(super) struct Told<'f> {
    file: &'f Arc<SourceFile>,
    problems: Vec<Diagnostic>,
}

/// The problem that was told last, for a hint.
pub(super) struct Last<'t>(&'t mut Diagnostic);

impl<'f> Told<'f> {
    /// With the problems that there are already.
    pub(super) fn new(file: &'f Arc<SourceFile>, problems: Diagnostics) -> Self {
        Self { file, problems: problems.into_iter().collect() }
    }

    /// The file.
    pub(super) fn file(&self) -> &'f Arc<SourceFile> {
        self.file
    }

    /// Something that kind or Kubernetes refuses, or that has no effect at all.
    pub(super) fn error(&mut self, at: Span, message: impl Into<String>) -> Last<'_> {
        self.tell(Diagnostic::error(message).at(self.file, at))
    }

    /// Something that has an effect, and perhaps not the one that was meant.
    pub(super) fn warn(&mut self, at: Span, message: impl Into<String>) -> Last<'_> {
        self.tell(Diagnostic::warning(message).at(self.file, at))
    }

    /// A problem as it is.
    pub(super) fn tell(&mut self, problem: Diagnostic) -> Last<'_> {
        self.problems.push(problem);
        Last(self.problems.last_mut().expect("one was just pushed"))
    }

    /// Problems as they are.
    pub(super) fn extend(&mut self, problems: Diagnostics) {
        self.problems.extend(problems);
    }

    /// All of them.
    pub(super) fn into_problems(self) -> Diagnostics {
        self.problems.into_iter().collect()
    }
}

impl Last<'_> {
    /// What a person can do about it.
    pub(super) fn hint(self, hint: impl Into<String>) {
        self.hint_if(Some(hint.into()));
    }

    /// The same, where something is known.
    pub(super) fn hint_if(self, hint: Option<String>) {
        *self.0 = self.0.clone().hint_if(hint);
    }
}

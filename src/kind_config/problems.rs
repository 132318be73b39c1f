//! The problems of a kind config, as they are found.

use std::sync::Arc;

use crate::yaml::tree::{Node, quoted};
use crate::yaml::{Diagnostic, Diagnostics, SourceFile, Span};

/// The file that is read, and the problems so far.
pub(super) struct Problems<'f> {
    file: &'f Arc<SourceFile>,
    found: Vec<Diagnostic>,
}

pub(super) struct Latest<'p>(&'p mut Diagnostic);

impl<'f> Problems<'f> {
    pub(super) fn new(file: &'f Arc<SourceFile>, found: Diagnostics) -> Self {
        Self { file, found: found.into_iter().collect() }
    }

    pub(super) fn file(&self) -> &'f Arc<SourceFile> {
        self.file
    }

    /// Something that kind or Kubernetes refuses, or that has no effect at all.
    pub(super) fn error(&mut self, at: Span, message: impl Into<String>) -> Latest<'_> {
        self.push(Diagnostic::error(message).at(self.file, at))
    }

    /// Something that has an effect, and perhaps not the intended one.
    pub(super) fn warn(&mut self, at: Span, message: impl Into<String>) -> Latest<'_> {
        self.push(Diagnostic::warning(message).at(self.file, at))
    }

    /// A value of another type than the field's: kind refuses the file.
    pub(super) fn mistyped(&mut self, key: &str, value: &Node, wanted: &str) {
        let found = value.described();
        let message = format!("{} must be {wanted}, found {found}: kind refuses it", quoted(key));
        self.error(value.focus(), message);
    }

    fn push(&mut self, problem: Diagnostic) -> Latest<'_> {
        self.found.push(problem);
        Latest(self.found.last_mut().expect("one was just pushed"))
    }

    pub(super) fn extend(&mut self, problems: Diagnostics) {
        self.found.extend(problems);
    }

    /// All of them in the file's order. What several nodes have in common is one problem.
    pub(super) fn into_diagnostics(self) -> Diagnostics {
        let mut all: Vec<Diagnostic> = Vec::new();
        for problem in self.found {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
        let mut all: Diagnostics = all.into_iter().collect();
        all.sort();
        all
    }
}

impl Latest<'_> {
    pub(super) fn hint(self, hint: impl Into<String>) {
        self.hint_if(Some(hint.into()));
    }

    pub(super) fn hint_if(self, hint: Option<String>) {
        *self.0 = self.0.clone().hint_if(hint);
    }
}

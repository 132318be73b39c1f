//! How a command ends that did not work: what failed, its causes, an empty line, `hint:` with what
//! to do.

use super::exit;
use crate::engine::error::{RunError, RunErrorKind};
use crate::experiment::{Diagnostic, Severity};
use crate::plan::Refusal;
use crate::report::not_run::FileError;
use crate::timeline::StoreError;

/// Why a command failed, and its exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub code: u8,
    pub error: RunError,
    /// Whether it is on standard error already.
    pub reported: bool,
    /// What is wrong in files, by line.
    pub in_files: Vec<FileError>,
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: exit::USAGE,
            error: RunError::refused(message),
            reported: false,
            in_files: Vec::new(),
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { error: self.error.hint(hint), ..self }
    }

    /// What failed and why, in one line.
    pub(super) fn line(&self) -> String {
        self.error.line()
    }

    /// What is wrong with files, after it was drawn.
    pub(super) fn reported(problems: &[Diagnostic]) -> Self {
        let errors = || problems.iter().filter(|one| one.severity != Severity::Warning);
        let what = |Diagnostic { message, hint, .. }: &Diagnostic| {
            let hint = hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
            format!("{message}{hint}")
        };
        let text = |error: &Diagnostic| {
            let place = error.at.as_ref().map_or(String::new(), |at| {
                format!("{}:{}:{}: ", at.file.name, at.span.line, at.span.column)
            });
            place + &what(error)
        };
        let in_file = |error: &Diagnostic| {
            let at = error.at.as_ref()?;
            let line = u32::try_from(at.span.line).ok()?;
            Some(FileError { file: at.file.name.clone(), line, message: what(error) })
        };
        let text = errors().map(text).collect::<Vec<_>>().join("; ");
        let in_files = errors().filter_map(in_file).collect();
        Self { reported: true, in_files, ..Self::usage(text) }
    }

    /// Prints it, unless it was; its exit code.
    pub(super) fn report(&self) -> u8 {
        if !self.reported {
            complain!("{}", text_of(&self.error));
        }
        self.code
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        text_of(&self.error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let code = match error.kind {
            RunErrorKind::Refused => exit::REFUSED,
            RunErrorKind::Failed => exit::INCONCLUSIVE,
            RunErrorKind::NotUndone => exit::NOT_UNDONE,
        };
        Self { code, error, reported: false, in_files: Vec::new() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        RunError::from(refusal).into()
    }
}

impl From<StoreError> for Failure {
    /// A run that is not there was typed wrongly.
    fn from(error: StoreError) -> Self {
        let failure = Failure::from(
            RunError::refused("cannot read the run").because(&error).maybe_hint(error.hint()),
        );
        match error {
            StoreError::NoSuchRun { .. } | StoreError::Ambiguous { .. } => {
                Failure { code: exit::USAGE, ..failure }
            }
            _ => failure,
        }
    }
}

pub(super) fn text_of(error: &RunError) -> String {
    let mut text = format!("error: {}", error.message);
    for cause in &error.causes {
        text += &format!("\n  caused by: {cause}");
    }
    if let Some(hint) = &error.hint {
        text += &format!("\n\nhint: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_what_failed_its_causes_and_a_hint() {
        let error = RunError::refused("cannot stop")
            .because(&std::io::Error::other("no such thing"))
            .hint("look again");
        let failure = Failure::from(error);
        assert_eq!(
            failure.text(),
            "error: cannot stop\n  caused by: no such thing\n\nhint: look again"
        );
        assert_eq!(failure.code, exit::REFUSED);
        assert_eq!(failure.line(), "cannot stop: no such thing");
    }

    #[test]
    fn a_run_that_is_not_there_is_bad_usage() {
        let failure = Failure::from(StoreError::NoSuchRun { name: "x".into(), dir: "runs".into() });
        assert_eq!(failure.code, exit::USAGE);
        assert!(
            failure.text().contains("no run x in runs") && failure.text().contains("get runs"),
            "{}",
            failure.text()
        );
        let found = ["2026a", "2026b", "2026c"].map(str::to_owned).into();
        let failure = Failure::from(StoreError::Ambiguous { name: "2026".into(), found });
        assert_eq!(failure.code, exit::USAGE);
        assert!(
            failure.text().contains("3 runs begin with 2026: 2026a, 2026b, 2026c\n"),
            "{}",
            failure.text()
        );
    }
}

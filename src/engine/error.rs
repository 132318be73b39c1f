//! What goes wrong in a run, for people: what failed, its causes, and what can be done.

use std::any::Any;
use std::error::Error;

use crate::agent::AgentError;
use crate::cluster::{ClusterError, KindError};
use crate::docker::{DockerError, EndpointError};
use crate::embedded::EmbeddedError;
use crate::fault::FaultError;
use crate::node::AccessError;
use crate::plan::Refusal;

/// Whether a fault had been injected when it went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunErrorKind {
    /// Refused before any fault: a precondition, the lock, the blast radius.
    Refused,
    /// Failed on the way; what had been done was undone.
    Failed,
    NotUndone,
}

/// What the text of an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wording {
    /// What could not be done: `stop container web`.
    Action,
    /// What is wrong: `the kubeconfig has no current context`.
    Statement,
}

/// An error that knows what a person can do.
pub(crate) trait Hinted: Error {
    fn wording(&self) -> Wording {
        Wording::Action
    }

    fn message(&self) -> String {
        match self.wording() {
            Wording::Action => format!("failed to {self}"),
            Wording::Statement => self.to_string(),
        }
    }

    /// What a person can do, where there is something.
    fn what_to_do(&self) -> Option<String>;

    /// Whether it says nothing of what was asked for, because nobody could answer that now.
    fn may_pass(&self) -> bool {
        false
    }
}

impl Hinted for DockerError {
    fn what_to_do(&self) -> Option<String> {
        self.hint().map(Into::into)
    }
}

impl Hinted for EndpointError {
    fn what_to_do(&self) -> Option<String> {
        Some(self.hint())
    }
}

impl Hinted for ClusterError {
    fn wording(&self) -> Wording {
        match self {
            Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Certificate { .. }
            | Self::Unauthorized { .. }
            | Self::Kubeconfig { .. }
            | Self::KubeconfigFile { .. }
            | Self::Plugin(_)
            | Self::NoKubeconfig { .. }
            | Self::NoSuchContext { .. }
            | Self::NoCurrentContext { .. }
            | Self::NamespaceStays { .. }
            | Self::TooSlow { .. } => Wording::Statement,
            _ => Wording::Action,
        }
    }

    fn what_to_do(&self) -> Option<String> {
        self.hint()
    }

    fn may_pass(&self) -> bool {
        ClusterError::may_pass(self)
    }
}

impl Hinted for KindError {
    fn wording(&self) -> Wording {
        Wording::Statement
    }

    fn what_to_do(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for EmbeddedError {
    fn what_to_do(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for FaultError {
    fn wording(&self) -> Wording {
        match self {
            Self::Api(error) => error.wording(),
            Self::Impossible { .. } => Wording::Statement,
            _ => Wording::Action,
        }
    }

    fn may_pass(&self) -> bool {
        matches!(self, Self::Api(error) if ClusterError::may_pass(error))
    }

    fn what_to_do(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for AccessError {
    fn what_to_do(&self) -> Option<String> {
        self.hint.map(Into::into)
    }
}

impl Hinted for AgentError {
    fn what_to_do(&self) -> Option<String> {
        self.hint().map(Into::into)
    }
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunError {
    /// Refused or failed.
    pub kind: RunErrorKind,
    /// What failed: a lowercase fragment.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What a person can do.
    pub hint: Option<String>,
    /// Whether it says nothing of what was asked for, because nobody could answer that now: an API
    /// server that is away.
    pub passes: bool,
}

impl RunError {
    /// Refused before any fault.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            kind: RunErrorKind::Refused,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            passes: false,
        }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { kind: RunErrorKind::Failed, ..Self::refused(message) }
    }

    /// Refused before any fault, by an error of an adapter.
    pub(crate) fn refused_by(error: impl Hinted) -> Self {
        let refused = Self {
            passes: error.may_pass(),
            ..Self::refused(error.message()).maybe_hint(error.what_to_do())
        };
        match error.source() {
            Some(source) => refused.because(source),
            None => refused,
        }
    }

    /// Failed on the way, by an error of an adapter.
    pub(crate) fn failed_by(error: impl Hinted) -> Self {
        Self { kind: RunErrorKind::Failed, ..Self::refused_by(error) }
    }

    /// A fault of this program's own.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Self::failed(format!("internal error: {}", text.unwrap_or("a panic without a message")))
            .hint("please report it, with the run's folder")
    }

    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many errors repeat their source's text in their own.
            if !self.causes.last().unwrap_or(&self.message).contains(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// With a cause that is only words.
    pub(crate) fn caused_by(mut self, why: impl Into<String>) -> Self {
        self.causes.push(why.into());
        self
    }

    /// With several of them, outermost first.
    pub(crate) fn caused_by_all(
        mut self,
        why: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.causes.extend(why.into_iter().map(Into::into));
        self
    }

    /// With something that a person can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }

    /// The message and its causes in one line.
    pub(crate) fn line(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }
}

impl From<FaultError> for RunError {
    fn from(why: FaultError) -> Self {
        Self::refused_by(why)
    }
}

impl From<Refusal> for RunError {
    fn from(Refusal { message, hint }: Refusal) -> Self {
        Self { hint, ..Self::refused(message) }
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}

impl Error for RunError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_told_twice() {
        let access = crate::node::AccessError {
            kind: crate::node::AccessErrorKind::Refused,
            message: "write a file: disk full".into(),
            hint: None,
        };
        let (what, node) = ("upload", "w".to_owned());
        let error = RunError::failed_by(AgentError::Access { what, node, source: access });
        assert_eq!(error.line(), "failed to upload the prober on w: write a file: disk full");
    }

    #[test]
    fn a_sentence_stays_one_whoever_passes_it_on() {
        let away =
            || ClusterError::Unreachable { server: "https://x".into(), why: "refused".into() };
        let passed_on = RunError::failed_by(FaultError::from(away()));
        assert_eq!(passed_on.message, "the API server https://x cannot be reached: refused");
        assert_eq!(passed_on.message, RunError::failed_by(away()).message);
        let gone = FaultError::Gone { machine: "container a".into() };
        assert_eq!(
            RunError::failed_by(gone).message,
            "failed to find container a: it no longer exists"
        );
    }
}

//! One thing that a preflight found.

use serde::Serialize;

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Check {
    Cluster,
    Engine,
    Version,
    Nodes,
    Rights,
    Leftovers,
    Settings,
    Heartbeats,
    Clocks,
    Helpers,
    Programs,
    Quorum,
    Targets,
    BlastRadius,
    Objects,
    Disk,
}

impl Check {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Check::Cluster => "cluster",
            Check::Engine => "engine",
            Check::Version => "version",
            Check::Nodes => "nodes",
            Check::Rights => "permissions",
            Check::Leftovers => "leftovers",
            Check::Settings => "settings",
            Check::Heartbeats => "heartbeats",
            Check::Clocks => "clocks",
            Check::Helpers => "helper pods",
            Check::Programs => "programs",
            Check::Quorum => "etcd quorum",
            Check::Targets => "targets",
            Check::BlastRadius => "blast radius",
            Check::Objects => "objects",
            Check::Disk => "disk",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    Ok,
    /// Worth knowing; a run does not record it.
    Note,
    /// A run goes on, and records it.
    Warning,
    /// A run is refused.
    Error,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    pub check: Check,
    pub level: Level,
    /// A lowercase fragment.
    pub message: String,
    pub hint: Option<String>,
}

impl Finding {
    fn new(check: Check, level: Level, message: impl Into<String>) -> Self {
        Self { check, level, message: message.into(), hint: None }
    }

    pub(crate) fn ok(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, message)
    }

    pub(crate) fn note(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, Level::Note, message)
    }

    pub(crate) fn warning(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, message)
    }

    pub(crate) fn error(check: Check, message: impl Into<String>) -> Self {
        Self::new(check, Level::Error, message)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

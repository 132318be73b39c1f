//! The way into a node: run a command with a time limit, upload a file, talk with a process, ask
//! whether the node is up. Docker is one implementation (`docker/access.rs`); whoever works inside
//! a node knows nothing but this.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWrite;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeHandle {
    pub name: String,
    /// What tells it from another node of that name, made later: a container's id, a Node's uid.
    pub id: String,
}

/// Whether a command can run in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    Up,
    /// The node is frozen: nothing answers, nothing is lost.
    Frozen,
    Down,
}

/// What a command left behind. A code other than 0 is not an error of the call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub code: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    /// stdout as text, trimmed.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// stderr, or stdout where that is empty: what a person wants to see of a failure.
    pub(crate) fn error_text(&self) -> String {
        let stderr = String::from_utf8_lossy(&self.stderr).trim().to_owned();
        if stderr.is_empty() { self.text() } else { stderr }
    }
}

/// A file for a node, owned by root.
#[derive(Clone, Debug)]
pub(crate) struct NodeFile<'a> {
    /// Absolute, in a directory that exists and is not a tmpfs.
    pub path: &'a str,
    pub mode: u32,
    pub bytes: Arc<[u8]>,
}

/// A running process's input; closed when it is dropped.
pub(crate) type ProcessInput = Pin<Box<dyn AsyncWrite + Send>>;
/// A running process's stdout. What it writes to stderr comes as an error.
pub(crate) type ProcessOutput = Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>>;

/// Both ends of a running process. When they are dropped it sees the end of its input, and must end
/// by itself.
pub(crate) struct ProcessStream {
    pub input: ProcessInput,
    pub output: ProcessOutput,
}

/// What kind of obstacle is in the way into a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessErrorKind {
    /// The node no longer exists.
    Gone,
    Frozen,
    Down,
    Timeout,
    /// Whoever leads into the node can't be reached.
    Away,
    /// The same, and nothing was sent: its socket is absent, forbidden, or nobody listens there.
    NotSent,
    /// Whoever leads into the node does not let this user in, or does not accept the credentials.
    NotAllowed,
    Refused,
}

/// Why a node could not be reached. Fits after "failed to".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessError {
    pub kind: AccessErrorKind,
    /// What was tried, and why it failed.
    pub message: String,
    pub hint: Option<&'static str>,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AccessError {}

pub(crate) type Access<'a, T> = BoxFuture<'a, Result<T, AccessError>>;

/// A way into nodes. A call that is dropped may still have its effect.
pub(crate) trait NodeAccess: Send + Sync {
    /// Whether a command can run there. Errors with `Gone` when the node no longer exists.
    fn state<'a>(&'a self, node: &'a NodeHandle) -> Access<'a, NodeState>;

    /// Runs a command as root, to its end or for as long as `limit`; one that takes longer goes on.
    fn run<'a>(
        &'a self,
        node: &'a NodeHandle,
        limit: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, Output>;

    /// Writes a file in place of one that is there.
    fn upload<'a>(&'a self, node: &'a NodeHandle, file: NodeFile<'a>) -> Access<'a, ()>;

    /// Starts a process as root, without a terminal.
    fn open<'a>(&'a self, node: &'a NodeHandle, argv: &'a [&'a str]) -> Access<'a, ProcessStream>;
}

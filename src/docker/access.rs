//! Docker as a way into nodes that are containers.

use std::io;
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};

use super::client::Docker;
use super::error::{DockerError, Unreachable};
use super::exec::ExecChunk;
use crate::node::{
    Access, AccessError, AccessErrorKind, NodeAccess, NodeFile, NodeHandle, NodeState, Output,
    ProcessStream,
};

impl NodeAccess for Docker {
    fn state<'a>(&'a self, node: &'a NodeHandle) -> Access<'a, NodeState> {
        async {
            let state = self.inspect(&node.id).await?;
            match (state.dead, state.running, state.paused) {
                (true, ..) => Err(DockerError::NoSuchContainer {
                    what: format!("inspect container {}", state.name),
                }
                .into()),
                (_, true, false) => Ok(NodeState::Up),
                (_, true, true) => Ok(NodeState::Frozen),
                (_, false, _) => Ok(NodeState::Down),
            }
        }
        .boxed()
    }

    fn run<'a>(
        &'a self,
        node: &'a NodeHandle,
        limit: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, Output> {
        async move { Ok(self.exec_within(limit, &node.id, argv, None).await?) }.boxed()
    }

    fn upload<'a>(&'a self, node: &'a NodeHandle, file: NodeFile<'a>) -> Access<'a, ()> {
        async move { Ok(self.upload_file(&node.id, file).await?) }.boxed()
    }

    fn open<'a>(&'a self, node: &'a NodeHandle, argv: &'a [&'a str]) -> Access<'a, ProcessStream> {
        async move {
            let stream = self.exec_stream(&node.id, argv).await?;
            Ok(ProcessStream { input: stream.stdin, output: Box::pin(stdout_of(stream.output)) })
        }
        .boxed()
    }
}

impl From<DockerError> for AccessError {
    fn from(error: DockerError) -> Self {
        let kind = match &error {
            DockerError::NoSuchContainer { .. } => AccessErrorKind::Gone,
            DockerError::Paused { .. } => AccessErrorKind::Frozen,
            DockerError::NotRunning { .. } => AccessErrorKind::Down,
            DockerError::Timeout { .. } => AccessErrorKind::Timeout,
            DockerError::Unreachable { why: Unreachable::Broken, .. } => AccessErrorKind::Away,
            DockerError::Unreachable { .. } | DockerError::Tls { .. } => AccessErrorKind::NotSent,
            DockerError::NotPaused { .. }
            | DockerError::Refused { .. }
            | DockerError::TooOld { .. } => AccessErrorKind::Refused,
        };
        Self { kind, message: error.to_string(), hint: error.hint() }
    }
}

/// The standard output. What is written to standard error says why the process ended: it is an
/// error.
fn stdout_of(
    chunks: impl Stream<Item = Result<ExecChunk, DockerError>> + Send,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    chunks.map(|chunk| match chunk.map_err(io::Error::other)? {
        ExecChunk::Stdout(bytes) => Ok(bytes),
        ExecChunk::Stderr(bytes) => {
            Err(io::Error::other(String::from_utf8_lossy(&bytes).trim().to_owned()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn what_is_written_to_standard_error_is_an_error() {
        let chunks = [
            Ok(ExecChunk::Stdout(b"a".to_vec())),
            Ok(ExecChunk::Stderr(b"exec format error\n".to_vec())),
        ];
        let output: Vec<_> = stdout_of(futures_util::stream::iter(chunks)).collect().await;
        assert_eq!(output[0].as_ref().unwrap(), b"a");
        assert_eq!(output[1].as_ref().unwrap_err().to_string(), "exec format error");
    }

    #[tokio::test]
    async fn a_container_is_up_frozen_down_or_gone() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let node = NodeHandle { name: "c-worker".into(), id: "id-c-worker".into() };
        let state = async || docker.state(&node).await.map_err(|error| error.kind);
        assert_eq!(state().await, Ok(NodeState::Up));
        engine.worker(|c| c.paused = true);
        assert_eq!(state().await, Ok(NodeState::Frozen));
        engine.worker(|c| (c.paused, c.running) = (false, false));
        assert_eq!(state().await, Ok(NodeState::Down));
        let refused = docker.run(&node, Duration::from_secs(5), &["true"]).await.unwrap_err();
        assert_eq!(refused.kind, AccessErrorKind::Down);
        engine.with(|state| state.containers.remove("c-worker"));
        assert_eq!(state().await, Err(AccessErrorKind::Gone));
    }
}

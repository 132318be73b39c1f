//! An agent's way into a node through the container engine.

use std::io;

use futures_util::{Stream, StreamExt};

use super::deploy::{AgentTransport, TransportError};
use crate::docker::{Docker, DockerError, ExecChunk};

impl AgentTransport for Docker {
    type Input = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;
    type Output = std::pin::Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>>;

    async fn upload(
        &self,
        container: &str,
        path: &str,
        mode: u32,
        bytes: &[u8],
    ) -> Result<(), TransportError> {
        Docker::upload(self, container, path, mode, bytes).await.map_err(Into::into)
    }

    async fn exec_stream(
        &self,
        container: &str,
        argv: &[String],
    ) -> Result<(Self::Input, Self::Output), TransportError> {
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let stream = Docker::exec_stream(self, container, &argv).await?;
        Ok((stream.stdin, Box::pin(stdout_of(stream.output))))
    }
}

/// The standard output. What is said on standard error is why it ended, and comes as an error.
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

    #[tokio::test]
    async fn what_is_said_on_standard_error_is_an_error() {
        let chunks = [
            Ok(ExecChunk::Stdout(b"a".to_vec())),
            Ok(ExecChunk::Stderr(b"exec format error\n".to_vec())),
        ];
        let output: Vec<_> = stdout_of(futures_util::stream::iter(chunks)).collect().await;
        assert_eq!(output[0].as_ref().unwrap(), b"a");
        assert_eq!(output[1].as_ref().unwrap_err().to_string(), "exec format error");
    }
}

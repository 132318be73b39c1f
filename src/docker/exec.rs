//! Running a command in a container: to its end, or as a stream.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::client::{ASK, Docker, bounded};
use super::error::{DockerError, Unreachable};
use crate::node::Output;

/// The bound on a command that is waited for.
const RUN: Duration = Duration::from_secs(60);

/// A piece of a running command's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExecChunk {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

/// A command that is running. When the parts are dropped, its connection closes: the command sees
/// the end of its stdin, and must end by itself (the engine lets it go on).
pub(crate) struct ExecStream {
    /// Its stdin; shut it down to close it.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its output, stdout and stderr apart and each in order; ends when the command does, and with
    /// an error when the engine goes away.
    pub output: Pin<Box<dyn Stream<Item = Result<ExecChunk, DockerError>> + Send>>,
    /// To ask how it ended.
    pub handle: ExecHandle,
}

/// Knows a command after its start.
#[derive(Clone, Debug)]
pub(crate) struct ExecHandle {
    docker: Docker,
    id: String,
    what: String,
}

impl ExecHandle {
    /// Its exit code; `None` while it runs.
    pub(crate) async fn code(&self) -> Result<Option<i64>, DockerError> {
        let found = bounded(&self.what, ASK, self.docker.bollard.inspect_exec(&self.id)).await?;
        Ok(if found.running.unwrap_or(false) { None } else { found.exit_code })
    }

    /// The output ends a little before the engine has taken note of the exit.
    async fn wait(&self) -> Result<i64, DockerError> {
        loop {
            if let Some(code) = self.code().await? {
                return Ok(code);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Docker {
    /// Runs a command to its end, for at most 60 s, with `stdin` as its input (`None`: none).
    ///
    /// Errors with `Paused` or `NotRunning` when nothing can be run in the container. When the
    /// future is dropped, or the time is over, the command goes on.
    pub(crate) async fn exec(
        &self,
        container: &str,
        argv: &[&str],
        stdin: Option<&[u8]>,
    ) -> Result<Output, DockerError> {
        self.exec_within(RUN, container, argv, stdin).await
    }

    /// [`Docker::exec`] with another bound on its time.
    pub(crate) async fn exec_within(
        &self,
        limit: Duration,
        container: &str,
        argv: &[&str],
        stdin: Option<&[u8]>,
    ) -> Result<Output, DockerError> {
        let what = what(container, argv);
        tokio::time::timeout(limit, self.run(container, argv, stdin))
            .await
            .unwrap_or(Err(DockerError::Timeout { what, after: limit }))
    }

    async fn run(
        &self,
        container: &str,
        argv: &[&str],
        stdin: Option<&[u8]>,
    ) -> Result<Output, DockerError> {
        let ExecStream { stdin: mut pipe, mut output, handle } =
            self.begin(container, argv, stdin.is_some()).await?;
        let feed = async {
            if let Some(bytes) = stdin {
                // A command may end without having read it all; its code tells.
                let _ = pipe.write_all(bytes).await;
                let _ = pipe.shutdown().await;
            }
        };
        let read = async {
            let mut all = Output::default();
            while let Some(chunk) = output.next().await {
                match chunk? {
                    ExecChunk::Stdout(bytes) => all.stdout.extend(bytes),
                    ExecChunk::Stderr(bytes) => all.stderr.extend(bytes),
                }
            }
            Ok::<_, DockerError>(all)
        };
        let ((), all) = tokio::join!(feed, read);
        Ok(Output { code: handle.wait().await?, ..all? })
    }

    /// Starts a command and hands out its streams. Its stdin is open.
    pub(crate) async fn exec_stream(
        &self,
        container: &str,
        argv: &[&str],
    ) -> Result<ExecStream, DockerError> {
        self.begin(container, argv, true).await
    }

    async fn begin(
        &self,
        container: &str,
        argv: &[&str],
        stdin: bool,
    ) -> Result<ExecStream, DockerError> {
        let what = what(container, argv);
        let options = CreateExecOptions {
            attach_stdin: Some(stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(argv.to_vec()),
            ..Default::default()
        };
        let id = bounded(&what, ASK, self.bollard.create_exec(container, options)).await?.id;
        let started =
            bounded(&what, ASK, self.bollard.start_exec(&id, None::<StartExecOptions>)).await?;
        let StartExecResults::Attached { output, input } = started else {
            unreachable!("asked to be attached")
        };
        let handle = ExecHandle { docker: self.clone(), id, what: what.clone() };
        let output =
            output.map(move |chunk| chunk.map(of_log).map_err(|error| broken(&what, &error)));
        Ok(ExecStream { stdin: input, output: Box::pin(output), handle })
    }
}

fn of_log(chunk: LogOutput) -> ExecChunk {
    let stderr = matches!(chunk, LogOutput::StdErr { .. });
    let bytes = chunk.into_bytes().into();
    if stderr { ExecChunk::Stderr(bytes) } else { ExecChunk::Stdout(bytes) }
}

fn broken(what: &str, error: &bollard::errors::Error) -> DockerError {
    DockerError::Unreachable {
        what: what.into(),
        why: Unreachable::Broken,
        detail: error.to_string(),
    }
}

/// Long scripts don't belong into an error's text.
fn what(container: &str, argv: &[&str]) -> String {
    let program = argv.first().copied().unwrap_or_default();
    format!("run {program} in container {container}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;

    #[tokio::test]
    async fn a_command_runs_to_its_end() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let output = docker.exec("c-worker", &["cat"], Some(b"hello")).await.unwrap();
        assert_eq!((output.code, output.text().as_str()), (0, "hello"));
        let output = docker.exec("c-worker", &["false"], None).await.unwrap();
        assert_eq!((output.code, output.error_text().as_str()), (1, "it is false"));
    }

    #[tokio::test]
    async fn nothing_runs_in_a_paused_or_stopped_container() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        docker.pause("c-worker").await.unwrap();
        let error = docker.exec("c-worker", &["true"], None).await.unwrap_err();
        assert_eq!(error.to_string(), "run true in container c-worker: the container is paused");
        docker.unpause("c-worker").await.unwrap();
        docker.kill("c-worker").await.unwrap();
        assert!(matches!(
            docker.exec("c-worker", &["true"], None).await,
            Err(DockerError::NotRunning { .. })
        ));
    }

    #[tokio::test]
    async fn a_stream_is_fed_and_read_while_it_runs() {
        let engine = FakeEngine::start();
        let docker = engine.connect().await;
        let mut stream = docker.exec_stream("c-worker", &["cat"]).await.unwrap();
        stream.stdin.write_all(b"one").await.unwrap();
        assert_eq!(
            stream.output.next().await.unwrap().unwrap(),
            ExecChunk::Stdout(b"one".to_vec())
        );
        assert_eq!(stream.handle.code().await.unwrap(), None);
        stream.stdin.shutdown().await.unwrap();
        assert!(stream.output.next().await.is_none());
        assert_eq!(stream.handle.wait().await.unwrap(), 0);
    }
}

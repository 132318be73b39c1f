//! Commands in a pod, through the API server.

use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::connect::Cluster;
use super::error::ClusterError;

/// How long the API server and the kubelet may take to start a command.
const START: Duration = Duration::from_secs(15);
/// How long the rest of a command's output may take after its exit code.
const REST: Duration = Duration::from_secs(5);
const BUFFER: usize = 256 * 1024;

/// A command that runs in a pod. Dropped, its input ends.
pub(crate) struct PodProcess {
    process: AttachedProcess,
}

pub(crate) struct PodStreams {
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    pub output: Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>>,
}

/// What a command in a pod left behind.
#[derive(Debug)]
pub(crate) struct PodOutput {
    /// `None`: its stream broke before it had ended.
    pub code: Option<i64>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Cluster {
    /// Starts a command in a pod. Errors when the pod is not there, or the API server can't reach
    /// its kubelet.
    pub(crate) async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        argv: &[&str],
    ) -> Result<PodProcess, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.streams(), namespace);
        let params = AttachParams {
            stdin: true,
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            max_stderr_buf_size: Some(BUFFER),
            ..AttachParams::default()
        };
        let what = format!("run a command in pod {namespace}/{pod}");
        let started = api.exec(pod, argv.iter().copied(), &params);
        let process = self.call_within(START, what, started).await?;
        Ok(PodProcess { process })
    }
}

impl PodProcess {
    /// Both of its streams. What it writes to standard error comes as an error. The output ends with
    /// the connection, too.
    pub(crate) fn streams(mut self) -> PodStreams {
        let status = self.process.take_status().expect("is asked for once");
        let input = Box::pin(self.process.stdin().expect("was asked for"));
        let stdout = chunks(self.process.stdout().expect("was asked for"));
        let stderr = chunks(self.process.stderr().expect("was asked for"))
            .map(|chunk| Err(io::Error::other(String::from_utf8_lossy(&chunk?).trim().to_owned())));
        // The process's streams end with it.
        let process = self.process;
        let output = futures_util::stream::select(stdout, stderr).map(move |chunk| {
            let _keep = &process;
            chunk
        });
        let output = output.take_until(broken(status));
        PodStreams { input, output: Box::pin(output) }
    }

    /// Waits for its end, with this as its input.
    pub(crate) async fn output(mut self, input: Option<Bytes>) -> io::Result<PodOutput> {
        let mut stdin = self.process.stdin().expect("was asked for");
        let write = async move {
            if let Some(input) = input {
                stdin.write_all(&input).await?;
            }
            stdin.shutdown().await
        };
        let status = self.process.take_status().expect("is asked for once");
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (
            self.process.stdout().expect("was asked for"),
            self.process.stderr().expect("was asked for"),
        );
        let read =
            async { tokio::join!(out.read_to_end(&mut stdout), err.read_to_end(&mut stderr)) };
        let Some((status, (read_out, read_err))) = unless_broken(status, write, read).await else {
            return Ok(PodOutput { code: None, stdout: Vec::new(), stderr: Vec::new() });
        };
        let _ = (read_out?, read_err?);
        let code = if status.status.as_deref() == Some("Success") {
            0
        } else {
            let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
            let exit = causes.iter().find(|it| it.reason.as_deref() == Some("ExitCode"));
            match exit.and_then(|it| it.message.as_deref()?.parse().ok()) {
                Some(code) => code,
                None => return Err(io::Error::other(status.message.unwrap_or_default())),
            }
        };
        Ok(PodOutput { code: Some(code), stdout, stderr })
    }
}

/// Ends when the connection of a command breaks: kube drops its status then, but leaves its outputs
/// open, so that reading them would never end. Of a command that has ended, they end by themselves.
async fn broken(status: impl Future<Output = Option<Status>>) {
    if status.await.is_some() {
        pending().await
    }
}

/// A command's status, and what was read of it; `None`: its connection broke (see [`broken`]).
/// Writing to a command that has ended without reading its input would never end either, which is
/// not an error.
async fn unless_broken<T>(
    status: impl Future<Output = Option<Status>>,
    write: impl Future<Output = io::Result<()>>,
    read: impl Future<Output = T>,
) -> Option<(Status, T)> {
    let (mut status, mut write, mut read) = (pin!(status), pin!(write), pin!(read));
    let (mut written, mut output) = (false, None);
    let status = loop {
        tokio::select! {
            status = &mut status => break status?,
            _ = &mut write, if !written => written = true,
            read = &mut read, if output.is_none() => output = Some(read),
        }
    };
    let output = match output {
        Some(output) => output,
        None => timeout(REST, read).await.ok()?,
    };
    Some((status, output))
}

fn chunks(
    reader: impl AsyncRead + Send + Unpin + 'static,
) -> Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send>> {
    Box::pin(futures_util::stream::unfold(Some(reader), |reader| async move {
        let (mut reader, mut buffer) = (reader?, vec![0; 64 * 1024]);
        match reader.read(&mut buffer).await {
            Ok(0) => None,
            Ok(count) => {
                buffer.truncate(count);
                Some((Ok(buffer), Some(reader)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    /// As kube leaves them: the writing half of a pipe is dropped, which does not end it.
    #[tokio::test(start_paused = true)]
    async fn a_command_ends_with_its_connection_although_its_output_stays_open() {
        let (mut output, writer) = tokio::io::simplex(16);
        drop(writer);
        let mut read = Vec::new();
        let ended = unless_broken(ready(None), ready(Ok(())), output.read_to_end(&mut read));
        let ended = timeout(START, ended).await;
        assert!(ended.expect("it ends").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_s_output_ends_with_its_connection_and_not_with_its_status() {
        let output = |status| {
            let (output, mut writer) = tokio::io::simplex(16);
            let written = async move {
                writer.write_all(b"last words").await.unwrap();
                writer
            };
            let chunks = chunks(output).take_until(broken(ready(status)));
            async move { (written.await, timeout(START, chunks.collect::<Vec<_>>()).await.ok()) }
        };
        let (open, read) = output(None).await;
        assert!(read.is_some(), "the connection broke");
        drop(open);
        let (_open, read) = output(Some(Status::default())).await;
        assert!(read.is_none(), "more of its output may be on the way");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_fails_without_reading_its_input_ends_with_its_output() {
        let (reader, mut input) = tokio::io::simplex(16);
        drop(reader);
        let (mut output, mut writer) = tokio::io::simplex(16);
        writer.write_all(b"disk full").await.unwrap();
        writer.shutdown().await.unwrap();
        let mut read = Vec::new();
        let (write, status) = (input.write_all(&[0; 64]), ready(Some(Status::default())));
        let ended = unless_broken(status, write, output.read_to_end(&mut read));
        assert!(timeout(START, ended).await.expect("it ends").is_some());
        assert_eq!(read, b"disk full");
    }
}

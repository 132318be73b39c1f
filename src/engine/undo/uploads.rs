//! Files on their way into a node. An engine may go on with an upload after its caller has given it
//! up: so each is recorded on this host before it begins, until it has arrived or was removed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::agent::deploy::OVER_MINUTES;
use crate::engine::error::RunError;
use crate::node::{
    Access, AccessError, AccessErrorKind, NodeAccess, NodeFile, NodeHandle, NodeState, Output,
    ProcessStream,
};

/// How long the removal waits for a file that may still arrive, or a node that can't be asked.
const ARRIVAL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(500);
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(5);
const OVER: Duration = Duration::from_secs(60 * OVER_MINUTES as u64);
/// The exit code of a removal that finds no file.
const ABSENT: i64 = 75;

/// A way into nodes that records its uploads in a folder.
pub(crate) struct RecordedUploads {
    access: Arc<dyn NodeAccess>,
    folder: PathBuf,
}

/// An upload, on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Upload {
    node: String,
    container: String,
    path: String,
    at: jiff::Timestamp,
}

impl RecordedUploads {
    pub(crate) fn new(access: impl NodeAccess + 'static, folder: PathBuf) -> Self {
        Self { access: Arc::new(access), folder }
    }
}

impl NodeAccess for RecordedUploads {
    fn state<'a>(&'a self, node: &'a NodeHandle) -> Access<'a, NodeState> {
        self.access.state(node)
    }

    fn run<'a>(
        &'a self,
        node: &'a NodeHandle,
        limit: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, Output> {
        self.access.run(node, limit, argv)
    }

    fn upload<'a>(&'a self, node: &'a NodeHandle, file: NodeFile<'a>) -> Access<'a, ()> {
        let (access, node) = (self.access.clone(), node.clone());
        let NodeFile { path, mode, bytes } = file;
        let path = path.to_owned();
        async move {
            let record = record(&self.folder, &node, &path)?;
            // A task of its own: a run that is interrupted need not wonder what became of it.
            let upload = tokio::spawn(async move {
                let done = access.upload(&node, NodeFile { path: &path, mode, bytes }).await;
                if !done.as_ref().is_err_and(may_arrive) {
                    let _ = fs::remove_file(record);
                }
                done
            });
            upload.await.unwrap_or_else(|error| Err(refused(&error)))
        }
        .boxed()
    }

    fn open<'a>(&'a self, node: &'a NodeHandle, argv: &'a [&'a str]) -> Access<'a, ProcessStream> {
        self.access.open(node, argv)
    }
}

/// Whether something was sent, and nobody knows what became of it.
fn may_arrive(error: &AccessError) -> bool {
    matches!(error.kind, AccessErrorKind::Timeout | AccessErrorKind::Away)
}

/// Writes the record of an upload, synced, and returns its path.
fn record(folder: &Path, node: &NodeHandle, path: &str) -> Result<PathBuf, AccessError> {
    let name = Path::new(path).file_name().unwrap_or_default();
    let record = folder.join(name);
    let upload = Upload {
        node: node.name.clone(),
        container: node.id.clone(),
        path: path.to_owned(),
        at: jiff::Timestamp::now(),
    };
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(&record, serde_json::to_vec(&upload)?)?;
        fs::File::open(&record)?.sync_all()?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| refused(&error))?;
    Ok(record)
}

fn refused(error: &dyn std::error::Error) -> AccessError {
    let message = format!("record an upload: {error}");
    AccessError { kind: AccessErrorKind::Refused, message, hint: None }
}

/// What is known of a recorded upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Its file was removed, or can't arrive any more.
    Over,
    /// It is not there yet.
    Awaited,
}

/// Removes from their nodes the files of uploads that were given up, and waits a little for those
/// that are not there yet. What does not come keeps its record for [`sweep`], and is no error.
/// Errors when a node or a record can't be asked; its record stays, too.
pub(crate) async fn remove_late(access: &dyn NodeAccess, folder: &Path) -> Result<(), RunError> {
    let end = Instant::now() + ARRIVAL;
    loop {
        match look(access, folder).await {
            Ok(Arrival::Over) => return Ok(()),
            Ok(Arrival::Awaited) if Instant::now() >= end => return Ok(()),
            Err(error) if Instant::now() >= end => return Err(error),
            _ => sleep(LOOK).await,
        }
    }
}

/// Looks once for what earlier runs in a cluster have left on its way: the folders of their uploads
/// are in `root`. For who has the cluster's lock. What can't be removed is left for the next time.
pub(crate) async fn sweep(access: &dyn NodeAccess, root: &Path) {
    for run in fs::read_dir(root).into_iter().flatten().flatten() {
        let _ = look(access, &run.path()).await;
    }
}

/// Looks once at all records of a folder, and removes it when they are over.
async fn look(access: &dyn NodeAccess, folder: &Path) -> Result<Arrival, RunError> {
    let records = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Arrival::Over),
        other => other.map_err(|error| unreadable(folder, &error))?,
    };
    let mut result = Ok(Arrival::Over);
    for record in records {
        let record = record.map_err(|error| unreadable(folder, &error))?.path();
        match remove(access, &record).await {
            Ok(Arrival::Over) => drop(fs::remove_file(record)),
            Ok(Arrival::Awaited) if result.is_ok() => result = Ok(Arrival::Awaited),
            Ok(Arrival::Awaited) => {}
            Err(error) => result = Err(error),
        }
    }
    if matches!(result, Ok(Arrival::Over)) {
        let _ = fs::remove_dir(folder);
    }
    result
}

fn unreadable(path: &Path, error: &std::io::Error) -> RunError {
    RunError::failed(format!("cannot read {}", path.display())).because(error)
}

async fn remove(access: &dyn NodeAccess, record: &Path) -> Result<Arrival, RunError> {
    let text = match fs::read(record) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Arrival::Over),
        other => other.map_err(|error| unreadable(record, &error))?,
    };
    // One that was cut was written before its upload began.
    let Ok(upload) = serde_json::from_slice::<Upload>(&text) else { return Ok(Arrival::Over) };
    let node = NodeHandle { name: upload.node, id: upload.container };
    let script = format!("[ -e \"$1\" ] || exit {ABSENT}; rm -f \"$1\"");
    let argv = ["sh", "-c", &script, "sh", &upload.path];
    let failed = || RunError::failed(format!("cannot remove a prober's file from {}", node.name));
    match access.run(&node, REMOVAL_TIMEOUT, &argv).await {
        Ok(output) if output.code == 0 => Ok(Arrival::Over),
        Ok(output) if output.code == ABSENT => {
            // An age that can't be told, since the clock was set back, is no reason to wait.
            let age = Duration::try_from(jiff::Timestamp::now().duration_since(upload.at));
            match age.is_ok_and(|age| age <= OVER) {
                true => Ok(Arrival::Awaited),
                false => Ok(Arrival::Over),
            }
        }
        Ok(output) => Err(failed().caused_by(output.error_text())),
        Err(error) if error.kind == AccessErrorKind::Gone => Ok(Arrival::Over),
        Err(error) => Err(failed().because(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A node of which the uploads take too long, or their time.
    #[derive(Clone, Default)]
    struct Node(Arc<Mutex<Truth>>);

    #[derive(Default)]
    struct Truth {
        file: bool,
        fails: Option<AccessErrorKind>,
        slow: Duration,
    }

    impl NodeAccess for Node {
        fn state<'a>(&'a self, _: &'a NodeHandle) -> Access<'a, NodeState> {
            unreachable!()
        }

        fn run<'a>(
            &'a self,
            _: &'a NodeHandle,
            _: Duration,
            argv: &'a [&'a str],
        ) -> Access<'a, Output> {
            assert_eq!(argv[4], "/usr/local/bin/.agent-1");
            let was = std::mem::take(&mut self.0.lock().unwrap().file);
            async move { Ok(Output { code: if was { 0 } else { ABSENT }, ..Output::default() }) }
                .boxed()
        }

        fn upload<'a>(&'a self, _: &'a NodeHandle, _: NodeFile<'a>) -> Access<'a, ()> {
            async {
                let (slow, fails) = {
                    let truth = self.0.lock().unwrap();
                    (truth.slow, truth.fails)
                };
                sleep(slow).await;
                self.0.lock().unwrap().file = fails.is_none();
                let message = "copy a file".into();
                fails.map_or(Ok(()), |kind| Err(AccessError { kind, message, hint: None }))
            }
            .boxed()
        }

        fn open<'a>(&'a self, _: &'a NodeHandle, _: &'a [&'a str]) -> Access<'a, ProcessStream> {
            unreachable!()
        }
    }

    const PATH: &str = "/usr/local/bin/.agent-1";

    fn file() -> NodeFile<'static> {
        NodeFile { path: PATH, mode: 0o755, bytes: b"x"[..].into() }
    }

    fn worker() -> NodeHandle {
        NodeHandle { name: "w".into(), id: "id-w".into() }
    }

    fn records(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_came_late_is_recorded_until_it_was_removed() {
        let (root, node) = (tempfile::tempdir().unwrap(), Node::default());
        let folder = root.path().join("uploads/r");
        node.0.lock().unwrap().fails = Some(AccessErrorKind::Timeout);
        let access = RecordedUploads::new(node.clone(), folder.clone());
        access.upload(&worker(), file()).await.unwrap_err();
        assert_eq!(records(&folder), 1);
        remove_late(&node, &folder).await.expect("one that does not come holds nobody up");
        assert_eq!(records(&folder), 1);
        // The next run looks, and the file is not there yet.
        sweep(&node, &root.path().join("uploads")).await;
        assert_eq!(records(&folder), 1);
        node.0.lock().unwrap().file = true;
        sweep(&node, &root.path().join("uploads")).await;
        assert!(!node.0.lock().unwrap().file && !folder.exists());
        remove_late(&node, &folder).await.expect("nothing is left");
        sweep(&node, &root.path().join("none")).await;
    }

    #[tokio::test]
    async fn what_was_not_sent_needs_no_record() {
        use AccessErrorKind::{Down, Frozen, Gone, NotSent, Refused};
        let (root, node) = (tempfile::tempdir().unwrap(), Node::default());
        let access = RecordedUploads::new(node.clone(), root.path().to_owned());
        for kind in [Down, Frozen, Gone, NotSent, Refused] {
            node.0.lock().unwrap().fails = Some(kind);
            access.upload(&worker(), file()).await.unwrap_err();
            assert_eq!(records(root.path()), 0, "{kind:?}");
        }
        node.0.lock().unwrap().fails = Some(AccessErrorKind::Away);
        access.upload(&worker(), file()).await.unwrap_err();
        assert_eq!(records(root.path()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_folder_that_is_not_there_is_empty() {
        let (root, node) = (tempfile::tempdir().unwrap(), Node::default());
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = remove_late(&node, &file).await.unwrap_err();
        assert!(error.line().starts_with("cannot read "), "{error}");
        remove_late(&node, &root.path().join("none")).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_arrived_needs_no_record_and_a_dropped_one_arrives() {
        let (root, node) = (tempfile::tempdir().unwrap(), Node::default());
        let folder = root.path().join("r");
        let access = RecordedUploads::new(node.clone(), folder.clone());
        access.upload(&worker(), file()).await.unwrap();
        assert_eq!(records(&folder), 0);
        node.0.lock().unwrap().slow = Duration::from_secs(3);
        let node_handle = worker();
        let uploading = access.upload(&node_handle, file());
        tokio::time::timeout(Duration::from_secs(1), uploading).await.unwrap_err();
        assert_eq!(records(&folder), 1, "nobody waits for it any more");
        node.0.lock().unwrap().file = false;
        remove_late(&node, &folder).await.unwrap();
        assert!(!folder.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_come_for_long_is_not_on_its_way() {
        let (root, node) = (tempfile::tempdir().unwrap(), Node::default());
        let folder = root.path().join("r");
        let record = record(&folder, &worker(), PATH).unwrap();
        let text = fs::read_to_string(&record).unwrap();
        let upload: Upload = serde_json::from_str(&text).unwrap();
        // Long ago, or before the clock was set back.
        for at in [upload.at - OVER * 2, upload.at + OVER] {
            let upload = Upload { at, ..serde_json::from_str(&text).unwrap() };
            fs::create_dir_all(&folder).unwrap();
            fs::write(&record, serde_json::to_vec(&upload).unwrap()).unwrap();
            sweep(&node, root.path()).await;
            assert!(!record.exists());
        }
    }
}

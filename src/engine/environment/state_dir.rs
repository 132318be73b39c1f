//! The state directory of a cluster: its lock and its undo ledger, in one place whatever the runs
//! directory is. Clusters of one name on two container engines are two clusters.
//!
//! A kind cluster has a directory by its name and engine, which exists before the cluster does, and
//! is found while its API server is down. Beside it, every cluster has a directory by its identity.
//! Whoever uses a cluster holds the lock of the latter, whichever way leads to it, and finds the
//! cluster's other directories there, as symbolic links.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::docker::Endpoint;
use crate::engine::error::{RunError, RunErrorKind};

/// Where the clusters' directories are, below the program's state directory.
const CLUSTERS: &str = "clusters";
const LOCK: &str = "lock";

/// Where lock and ledger of one cluster lie.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    cluster: String,
}

/// A cluster's state directory, and its lock.
pub(in crate::engine) struct Claim {
    pub state: StateDir,
    pub lock: Lock,
}

impl StateDir {
    /// The directory of a kind cluster below the program's state directory `root`.
    pub(crate) fn of_kind(root: &Path, cluster: &str, engine: &str) -> Self {
        let engine = Endpoint::identity(engine);
        let name = format!("{}@{}", plain(cluster), plain(engine.trim_start_matches('/')));
        Self { path: root.join(CLUSTERS).join(name), cluster: cluster.to_owned() }
    }

    /// The directory of a cluster whatever leads to it: its containers, or any context. Where it is
    /// reached through its API alone, its only one. `name`: what people call it.
    pub(crate) fn of_identity(root: &Path, name: &str, identity: &str) -> Self {
        let path = root.join(CLUSTERS).join(format!("api@{}", plain(identity)));
        Self { path, cluster: name.to_owned() }
    }

    /// Records, synced, that a cluster with this identity also has another directory.
    pub(crate) fn link(&self, other: &Self) -> Result<(), RunError> {
        let Some(name) = other.path.file_name() else { return Ok(()) };
        let linked = match symlink(Path::new("..").join(name), self.path.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            linked => linked.and_then(|()| File::open(&self.path)?.sync_all()),
        };
        linked.map_err(|e| {
            let path = self.path.display();
            RunError::refused(format!("cannot write to the state directory {path}"))
                .because(&e)
                .hint(what_helps(&e))
        })
    }

    /// The other directories of a cluster with this identity. An error if they cannot be read:
    /// something may be left to undo in one.
    pub(crate) fn linked(&self) -> Result<Vec<Self>, RunError> {
        let read = || -> std::io::Result<Vec<Self>> {
            let entries = match fs::read_dir(&self.path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut linked = Vec::new();
            for entry in entries {
                let entry = entry?;
                if entry.file_type()?.is_symlink() {
                    linked.push(Self { path: entry.path(), cluster: self.cluster.clone() });
                }
            }
            Ok(linked)
        };
        read().map_err(|e| {
            let path = self.path.display();
            RunError::refused(format!("cannot read the state directory {path}"))
                .because(&e)
                .hint("run the command as the user who started the earlier runs")
        })
    }

    /// Where earlier versions kept it, whatever the engine; `None` when they did not.
    pub(crate) fn of_earlier_versions(root: &Path, cluster: &str) -> Option<Self> {
        let state = Self::nameless(root, cluster);
        state.path.exists().then_some(state)
    }

    /// The directory of a cluster that needs no container engine.
    pub(crate) fn nameless(root: &Path, cluster: &str) -> Self {
        Self { path: root.join(CLUSTERS).join(plain(cluster)), cluster: cluster.to_owned() }
    }

    /// All that are below the program's state directory, by name. An error if it cannot be read:
    /// nobody knows then whether everything is undone.
    pub(crate) fn all(root: &Path) -> Result<Vec<Self>, RunError> {
        let clusters = root.join(CLUSTERS);
        let entries = match fs::read_dir(&clusters) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let text = format!("cannot read the undo ledgers in {}", clusters.display());
                let failed = RunError { kind: RunErrorKind::NotUndone, ..RunError::refused(text) };
                let hint = "run `kubectl outage recover` as the user who started the runs";
                return Err(failed.because(&error).hint(hint));
            }
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths.into_iter().map(Self::at).collect())
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let cluster = name.split('@').next().unwrap_or_default().to_owned();
        Self { path, cluster }
    }

    /// The same under the name that people know, where its path has only what tells it from others.
    pub(crate) fn called(&self, name: Option<&str>) -> Self {
        let cluster = name.unwrap_or(&self.cluster).to_owned();
        Self { path: self.path.clone(), cluster }
    }

    /// Makes it when absent.
    pub(crate) fn make(self) -> Result<Self, RunError> {
        let path = &self.path;
        fs::create_dir_all(path).map_err(|e| {
            RunError::refused(format!("cannot create the state directory {}", path.display()))
                .because(&e)
                .hint(format!(
                    "the undo ledger must be on disk before any fault is injected: {}",
                    what_helps(&e)
                ))
        })?;
        Ok(self)
    }

    /// Takes the lock where there is one, and makes nothing: for who only looks. Refused when a run
    /// has it.
    pub(crate) fn look(&self) -> Result<Lock, RunError> {
        if self.path.join(LOCK).exists() { self.lock() } else { Ok(Lock { files: Vec::new() }) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The ledger's file.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.path.join("ledger.jsonl")
    }

    /// Where a run records the files that are on their way into a node.
    pub(crate) fn uploads(&self, run: &str) -> PathBuf {
        let path = self.all_uploads().join(run);
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Where the folders of all runs' uploads are.
    pub(crate) fn all_uploads(&self) -> PathBuf {
        self.path.join("uploads")
    }

    /// Leaves a sign of life of the run that has the lock.
    pub(crate) fn beat(&self) {
        // One that can't be left only makes the watchdog undo sooner than it must.
        let _ = fs::write(self.scratch("beat"), b"");
    }

    /// How long ago the last sign of life was left; `None` when there is none.
    pub(crate) fn last_beat(&self) -> Option<std::time::Duration> {
        fs::metadata(self.scratch("beat")).ok()?.modified().ok()?.elapsed().ok()
    }

    /// A file for passing use in this directory.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes the lock. It ends with the process, however that ends. Refused when another run has
    /// it.
    pub(crate) fn lock(&self) -> Result<Lock, RunError> {
        self.lock_as(Holder::Command)
    }

    /// The same, with who takes it.
    pub(crate) fn lock_as(&self, holder: Holder) -> Result<Lock, RunError> {
        let path = self.path.join(LOCK);
        let cannot = |e: std::io::Error| {
            RunError::refused(format!("cannot lock {}", path.display())).because(&e)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(self.taken(&mut file)),
            Err(errno) => return Err(cannot(errno.into())),
        }
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}{}", std::process::id(), holder.mark()));
        Ok(Lock { files: vec![file] })
    }

    fn taken(&self, file: &mut File) -> RunError {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let process = |id: &str| {
            if id.is_empty() { String::new() } else { format!(" (process {})", id.trim()) }
        };
        if let Some(id) = holder.strip_suffix(Holder::Watchdog.mark()) {
            return RunError::refused(format!(
                "a run in cluster {} has died, and its watchdog{} is undoing its faults",
                self.cluster,
                process(id)
            ))
            .hint(
                "wait for it: undoing a fault usually takes less than two minutes and deleting \
                 the namespace at most two more, as long as the container engine and the API \
                 server answer; `kubectl outage recover --dry-run` lists what is left",
            );
        }
        let by = process(&holder);
        RunError::refused(format!(
            "another run, or the undo of one, is in progress in cluster {}{by}",
            self.cluster
        ))
        .hint(
            "wait for it to end, or press Ctrl-C in its terminal: a run then undoes its faults \
             and ends",
        )
    }
}

/// As the name of a file, or a part of it.
fn plain(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    text.chars().map(safe).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A command that somebody typed: a run, an undo.
    Command,
    /// The watchdog of a run that has died.
    Watchdog,
}

impl Holder {
    /// What is written behind its process.
    fn mark(self) -> &'static str {
        match self {
            Holder::Command => "",
            Holder::Watchdog => " watchdog",
        }
    }
}

/// What a person can do where nothing can be written to the state directory.
pub(in crate::engine) fn what_helps(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "free disk space, or set XDG_STATE_HOME to a directory on another one"
        }
        _ => "set XDG_STATE_HOME to a directory that you may write to",
    }
}

/// The lock of a cluster, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    /// None where there was nothing to be locked.
    files: Vec<File>,
}

impl Lock {
    /// Both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_until_the_first_ends() {
        let root = tempfile::tempdir().unwrap();
        let of = |cluster, engine| StateDir::of_kind(root.path(), cluster, engine).make().unwrap();
        let state = of("kind-a", "unix:///d.sock");
        let first = state.lock().unwrap();
        let refused = state.lock().unwrap_err();
        assert!(refused.message.contains(&std::process::id().to_string()), "{refused}");
        of("kind-b", "unix:///d.sock").lock().expect("another cluster is free");
        of("kind-a", "unix:///run/podman.sock").lock().expect("and that of another engine");
        drop(first);
        state.lock().expect("free again");
        let all = StateDir::all(root.path()).unwrap();
        let names: Vec<&str> = all.iter().map(StateDir::cluster).collect();
        assert_eq!(names, ["kind-a", "kind-a", "kind-b"]);
        assert!(all[0].path().ends_with("kind-a@d.sock"), "{all:?}");
    }

    #[test]
    fn two_ways_to_a_socket_lead_to_one_lock() {
        let root = tempfile::tempdir().unwrap();
        let (socket, link) = (root.path().join("d.sock"), root.path().join("link.sock"));
        fs::write(&socket, "").unwrap();
        std::os::unix::fs::symlink(&socket, &link).unwrap();
        let of = |socket: &Path| {
            StateDir::of_kind(root.path(), "c", &format!("unix://{}", socket.display()))
        };
        assert_eq!(of(&socket).path(), of(&link).path());
    }

    #[test]
    fn a_watchdog_that_undoes_is_named() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::nameless(root.path(), "kind-a").make().unwrap();
        let undoing = state.lock_as(Holder::Watchdog).unwrap();
        let refused = state.lock().unwrap_err();
        let by = format!("its watchdog (process {}) is undoing", std::process::id());
        assert!(
            refused.message.contains(&by) && refused.hint.unwrap().starts_with("wait for it"),
            "{}",
            refused.message
        );
        drop(undoing);
        let _next = state.lock().unwrap();
        assert!(
            state.lock().unwrap_err().message.starts_with("another run"),
            "nothing of the watchdog's is left"
        );
    }

    #[test]
    fn a_lock_that_is_taken_names_the_context() {
        let root = tempfile::tempdir().unwrap();
        let of_run = StateDir::of_identity(root.path(), "prod-eu", "uid-1").make().unwrap();
        let _lock = of_run.lock().unwrap();
        let found = StateDir::all(root.path()).unwrap().remove(0).called(Some("prod-eu"));
        let refused = found.lock().unwrap_err().message;
        assert!(refused.contains("in progress in cluster prod-eu (process"), "{refused}");
    }

    #[test]
    fn a_full_disk_is_freed_and_a_foreign_one_is_left() {
        assert!(what_helps(&std::io::ErrorKind::StorageFull.into()).contains("free disk space"));
        assert!(!what_helps(&std::io::ErrorKind::PermissionDenied.into()).contains("disk"));
    }

    /// Root can read everything but a directory that is none.
    #[test]
    fn what_cannot_be_read_is_not_taken_for_empty() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::nameless(root.path(), "kind-a");
        assert!(state.linked().unwrap().is_empty(), "nothing was ever there");
        fs::create_dir_all(root.path().join(CLUSTERS)).unwrap();
        fs::write(state.path(), "").unwrap();
        let refused = state.linked().unwrap_err();
        assert!(refused.message.starts_with("cannot read the state directory"), "{refused}");
    }

    #[test]
    fn a_look_leaves_nothing_and_respects_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::nameless(root.path(), "kind-a");
        let _lock = state.look().unwrap();
        assert!(!state.ledger().exists() && StateDir::all(root.path()).unwrap().is_empty());
        let held = state.clone().make().unwrap().lock().unwrap();
        assert!(state.look().is_err());
        drop(held);
        state.look().expect("free again");
    }
}

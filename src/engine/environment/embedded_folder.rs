//! Where an embedded cluster keeps its lock, its ledger and its kubeconfig: a folder that is gone
//! with its owner.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::engine::environment::state_dir::{Lock, StateDir};
use crate::engine::error::RunError;

/// How the embedded cluster is called: in reports, in its kubeconfig, and below the state
/// directory.
pub(crate) const NAME: &str = "embedded";

/// A folder of this process. Gone when this is dropped; what a process that died has left is found
/// by its lock, which nobody holds.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The program's state directory.
    state_dir: PathBuf,
}

/// One that was made, with the state in it.
pub(crate) struct Made {
    pub folder: Folder,
    pub state: StateDir,
    pub lock: Lock,
}

impl Folder {
    /// Makes one and takes its lock, and sweeps those of processes that died.
    pub(crate) fn make(state_dir: &Path) -> Result<Made, RunError> {
        let cannot = |e: std::io::Error| {
            RunError::refused(format!(
                "cannot create a folder in the state directory {}",
                state_dir.display()
            ))
            .because(&e)
            .hint(crate::engine::environment::state_dir::what_helps(&e))
        };
        fs::create_dir_all(state_dir).map_err(cannot)?;
        let _gate = gate(state_dir).map_err(cannot)?;
        remove_left(state_dir);
        let path = state_dir.join(NAME).join(format!(
            "{}-{:08x}",
            std::process::id(),
            crate::engine::seed::fresh() & 0xffff_ffff
        ));
        let state = StateDir::nameless(&path, NAME).make()?;
        let lock = state.lock()?;
        // Not before: dropping it waits for the gate, and what failed may be another's.
        let folder = Self { path, state_dir: state_dir.to_owned() };
        Ok(Made { folder, state, lock })
    }

    /// Writes the kubeconfig. Gives its path.
    pub(crate) fn kubeconfig(&self, text: &str) -> Result<PathBuf, RunError> {
        let path = self.path.join("kubeconfig");
        Secret::write(&path, text).map(Secret::keep).map_err(|e| {
            RunError::refused(format!("cannot write {}", path.display())).because(&e)
        })?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gate = gate(&self.state_dir);
        let _ = fs::remove_dir_all(&self.path);
        // Where it was the last one, nothing is left.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// The folders that processes which died have left.
pub(crate) fn left(state_dir: &Path) -> Vec<PathBuf> {
    let _gate = gate(state_dir);
    find_left(state_dir)
}

/// Removes them. Gives those that are gone.
pub(crate) fn sweep(state_dir: &Path) -> Vec<PathBuf> {
    let _gate = gate(state_dir);
    remove_left(state_dir)
}

fn remove_left(state_dir: &Path) -> Vec<PathBuf> {
    let gone =
        find_left(state_dir).into_iter().filter(|path| fs::remove_dir_all(path).is_ok()).collect();
    let _ = fs::remove_dir(state_dir.join(NAME));
    gone
}

fn find_left(state_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state_dir.join(NAME))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    // Nobody is between the making of a folder and its lock: who is there has the gate. The look at
    // a lock is short.
    let mut left: Vec<PathBuf> =
        entries.filter(|path| StateDir::nameless(path, NAME).look().is_ok()).collect();
    left.sort();
    left
}

/// Waits until nobody else makes, looks at or removes a folder. A folder without a held lock is
/// then a dead one's.
fn gate(state_dir: &Path) -> std::io::Result<File> {
    let path = state_dir.join(format!("{NAME}.lock"));
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(file)
}

/// A file with a secret, made by us: nobody else may read it, and none that was there is touched.
/// Removed when this is dropped, unless somebody has put another file or text in its place.
#[derive(Debug)]
pub(crate) struct Secret {
    path: PathBuf,
    /// Which file it is, of all that may be there one day.
    made: Option<(u64, u64)>,
    text: String,
}

impl Secret {
    /// Makes it: whoever sees it sees all of it. Errors when something is there.
    pub(crate) fn write(path: &Path, text: &str) -> std::io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let meta = file.metadata()?;
        let made = file.write_all(text.as_bytes()).and_then(|()| std::fs::hard_link(&draft, path));
        std::fs::remove_file(&draft)?;
        made?;
        Ok(Self {
            path: path.to_owned(),
            made: Some((meta.dev(), meta.ino())),
            text: text.to_owned(),
        })
    }

    /// Leaves it to whoever removes what is around it.
    fn keep(mut self) {
        self.made = None;
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let is = fs::symlink_metadata(&self.path).ok().map(|meta| (meta.dev(), meta.ino()));
        // The number of a file that was removed may be that of the next one.
        let is_ours = || fs::read(&self.path).is_ok_and(|text| text == self.text.as_bytes());
        if self.made.is_some() && is == self.made && is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_a_dead_process_left_is_swept_and_a_living_ones_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let Made { folder: living, state: _state, lock: _lock } =
            Folder::make(root.path()).unwrap();
        let dead = || {
            let path = root.path().join(NAME).join("1-dead");
            drop(StateDir::nameless(&path, NAME).make().unwrap().lock().unwrap());
            // One that died before it had a lock.
            let early = root.path().join(NAME).join("2-early");
            fs::create_dir(&early).unwrap();
            [path, early]
        };
        let left_behind = dead();
        let Made { folder: next, state: _other, lock: _held } = Folder::make(root.path()).unwrap();
        assert!(
            living.path.exists()
                && next.path.exists()
                && !left_behind.iter().any(|path| path.exists())
        );
        dead();
        assert_eq!(left(root.path()), left_behind);
        assert_eq!((sweep(root.path()), sweep(root.path())), (left_behind.to_vec(), vec![]));
        let path = next.path.clone();
        drop(next);
        assert!(!path.exists() && living.path.exists());
    }

    /// The lock is there as soon as the folder is, for all who sweep.
    #[test]
    fn nobody_sweeps_one_that_is_being_made() {
        let root = tempfile::tempdir().unwrap();
        let one = || {
            for _ in 0..100 {
                let Made { folder, state, lock } =
                    Folder::make(root.path()).expect("nobody is in the way");
                assert!(folder.path.exists() && state.lock().is_err());
                sweep(root.path());
                assert!(folder.path.exists());
                drop((folder, lock));
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(one))));
        assert!(!root.path().join(NAME).exists());
    }

    #[test]
    fn a_secret_is_ours_alone_and_touches_no_other_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("config");
        let secret = Secret::write(&path, "token").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            Secret::write(&path, "other").unwrap_err().kind(),
            std::io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "token");
        drop(secret);
        assert!(!path.exists());
        let secret = Secret::write(&path, "token").unwrap();
        let theirs = root.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        fs::rename(&theirs, &path).unwrap();
        drop(secret);
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        fs::remove_file(&path).unwrap();
        let secret = Secret::write(&path, "token").unwrap();
        fs::write(&path, "their text").unwrap();
        drop(secret);
        assert_eq!(fs::read_to_string(&path).unwrap(), "their text");
    }
}

//! The embedded cluster as ground: started for this command, and gone with it.

use std::fs;
use std::path::{Path, PathBuf};

use super::provision::{Ground, Nodes, Say, Site};
use super::state_dir::StateDir;
use super::trouble::Trouble;
use crate::cluster::{Cluster, KindConfig};
use crate::embedded::{Embedded, EmbeddedSpec};
use crate::timeline::ClusterKind;

/// How the embedded cluster is called: in reports, in its kubeconfig, and below the state directory.
pub const NAME: &str = "embedded";

/// The port that nearly every Service has.
const HTTP: u16 = 80;

/// Nodes that are in the model alone.
pub struct EmbeddedNodes {
    /// The cluster. Its sockets close when it is dropped.
    pub embedded: Embedded,
    /// How one looks on, with a kubectl.
    pub kubeconfig: PathBuf,
    _folder: Folder,
}

/// What the model of a kind cluster is to be like.
pub fn spec(config: &KindConfig) -> EmbeddedSpec {
    let version = crate::embedded::KUBERNETES;
    EmbeddedSpec {
        name: config.name.clone(),
        nodes: config.nodes.clone(),
        tuning: config.expected(version),
        seed: super::seed::fresh(),
    }
}

/// Starts an embedded cluster. Its lock and its ledger are in a folder of its own: what is owed to it dies with it, and none blocks
/// another.
pub async fn start(config: &KindConfig, site: &Site<'_>, say: Say<'_>) -> Result<Ground, Trouble> {
    let folder = Folder::make(&site.state_dir.join(NAME))?;
    let state = StateDir::open(&folder.path, NAME)?;
    let lock = state.lock()?;
    let embedded = Embedded::start(spec(config)).map_err(Trouble::refused_by)?;
    let kubeconfig = folder.path.join("kubeconfig");
    fs::write(&kubeconfig, embedded.kubeconfig())
        .map_err(|e| Trouble::refused(format!("cannot write {}", kubeconfig.display())).because(&e))?;
    let (wanted, given) = (HTTP, embedded.port(HTTP));
    if wanted != given {
        say(&format!(
            "port {wanted} can't be listened on here (only root has those below 1024): Services publish {given} in its stead"
        ));
    }
    say(&format!("an embedded cluster is up; to look on: kubectl --kubeconfig {} get nodes -w", kubeconfig.display()));
    let cluster = Cluster::from_kubeconfig(embedded.kubeconfig()).await.map_err(Trouble::refused_by)?;
    let (facts, warnings) = cluster.facts(ClusterKind::Embedded, NAME, None, &[]).await.map_err(Trouble::refused_by)?;
    let nodes = Nodes::Embedded(EmbeddedNodes { embedded, kubeconfig, _folder: folder });
    Ok(Ground { cluster, facts, warnings, state, nodes, _lock: lock })
}

/// A folder that is gone with its owner.
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one for this process, and sweeps those of processes that died.
    fn make(root: &Path) -> Result<Self, Trouble> {
        let others = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        others.filter(|path| is_left(path)).for_each(|path| drop(fs::remove_dir_all(path)));
        let path = root.join(format!("{}-{:04x}", std::process::id(), super::seed::fresh() & 0xffff));
        let cannot =
            |e: std::io::Error| Trouble::refused(format!("cannot make the state directory {}", path.display())).because(&e);
        fs::create_dir_all(&path).map_err(cannot)?;
        Ok(Self { path })
    }
}

/// Whether nobody holds the lock of a folder that once had one.
fn is_left(folder: &Path) -> bool {
    folder.join("clusters").is_dir() && StateDir::open(folder, NAME).and_then(|state| state.lock()).is_ok()
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        // Where it was the last one, nothing is left.
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_is_swept_and_a_living_ones_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let living = Folder::make(root.path()).unwrap();
        let locked = |path: &Path| StateDir::open(path, NAME).unwrap().lock().unwrap();
        let _lock = locked(&living.path);
        let dead = root.path().join("1-dead");
        drop(locked(&dead));
        let next = Folder::make(root.path()).unwrap();
        assert!(living.path.exists() && next.path.exists() && !dead.exists());
        let path = next.path.clone();
        drop(next);
        assert!(!path.exists());
    }
}

//! A limit of Linux that several kind clusters on one machine run into: each of their nodes needs
//! some inotify instances. A node that gets none does not start, a kubelet that gets none starts
//! again and again, and kube-proxy ends with "too many open files".

use std::fs;
use std::path::Path;

use crate::timeline::NodeRole;

const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
/// What raises the limit. kind's known issues ask for 512; the kernel's default is 128.
pub(crate) const RAISE: &str = "`sudo sysctl fs.inotify.max_user_instances=512`";
/// Of a node's kubelet alone. Counted on Kubernetes 1.34 nodes, as the next ones.
pub(crate) const KUBELET: u32 = 7;
/// systemd 4, containerd 1, kube-proxy 1.
const NODE: u32 = KUBELET + 6;
/// The API server 6, the controller manager 7.
const CONTROL_PLANE: u32 = NODE + 13;

/// The instances that nodes of these roles use.
pub(crate) fn needs(roles: impl IntoIterator<Item = NodeRole>) -> u32 {
    let of = |role| match role {
        NodeRole::ControlPlane => CONTROL_PLANE,
        NodeRole::Worker => NODE,
        NodeRole::ExternalLoadBalancer => 0,
    };
    roles.into_iter().map(of).sum()
}

/// There are fewer inotify instances left than something needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    limit: u32,
    used: u32,
    needed: u32,
}

impl Shortage {
    /// A lowercase fragment.
    pub(crate) fn describe(&self) -> String {
        let Self { limit, used, needed } = self;
        format!(
            "fs.inotify.max_user_instances is {limit}, {used} are in use and {needed} more are needed"
        )
    }
}

/// Whether this machine lacks the instances that are needed. `running` are the nodes that the
/// container engine has: what they use is assumed where the processes can't be seen. `None` also
/// where the machine is not Linux (the engine's is another one then).
pub(crate) fn shortage(
    running: impl IntoIterator<Item = NodeRole>,
    needed: u32,
) -> Option<Shortage> {
    Instances::of_root(running)?.lacking(needed)
}

/// Whether a kubelet that runs would lack them when it starts again: it gives its own back first.
pub(crate) fn shortage_at_restart(running: impl IntoIterator<Item = NodeRole>) -> Option<Shortage> {
    Instances::of_root(running)?.lacking_at_restart()
}

#[derive(Clone, Copy)]
struct Instances {
    limit: u32,
    used: u32,
}

impl Instances {
    fn of_root(running: impl IntoIterator<Item = NodeRole>) -> Option<Self> {
        let limit = fs::read_to_string(LIMIT).ok()?.trim().parse().ok()?;
        Some(Self { limit, used: count(Path::new("/proc")).max(needs(running)) })
    }

    fn lacking(self, needed: u32) -> Option<Shortage> {
        let Self { limit, used } = self;
        (used + needed > limit).then_some(Shortage { limit, used, needed })
    }

    fn lacking_at_restart(self) -> Option<Shortage> {
        Self { used: self.used.saturating_sub(KUBELET), ..self }.lacking(KUBELET)
    }
}

/// The instances of root's processes, as far as this user may see them: the limit is a user's, and
/// the nodes' processes are root's.
fn count(proc: &Path) -> u32 {
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    let of_root = processes.filter(|process| process.metadata().is_ok_and(|meta| is_roots(&meta)));
    let is_instance = |file: &fs::DirEntry| {
        fs::read_link(file.path()).is_ok_and(|target| target == Path::new("anon_inode:inotify"))
    };
    let of = |process: fs::DirEntry| {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files.filter(is_instance).count() as u32
    };
    of_root.map(of).sum()
}

fn is_roots(file: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(file) == 0;
    #[cfg(not(unix))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_clusters_are_more_than_the_default() {
        let cluster = [NodeRole::ControlPlane, NodeRole::Worker, NodeRole::Worker];
        let of = |clusters: usize| needs(cluster.into_iter().cycle().take(3 * clusters));
        let instances = |limit, used| Instances { limit, used };
        assert_eq!(instances(128, of(1)).lacking(of(1)), None);
        let third = instances(128, of(2)).lacking(of(1)).unwrap();
        assert_eq!(
            third.describe(),
            "fs.inotify.max_user_instances is 128, 104 are in use and 52 more are needed"
        );
        assert_eq!(instances(512, of(2)).lacking(of(1)), None);
        assert!(instances(128, 125).lacking(KUBELET).is_some());
        assert_eq!(instances(128, 125).lacking_at_restart(), None);
        assert!(instances(128, of(3)).lacking_at_restart().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn instances_are_counted_by_what_files_are_open() {
        let proc = tempfile::tempdir().unwrap();
        let files = proc.path().join("17/fd");
        fs::create_dir_all(&files).unwrap();
        for (number, target) in
            ["anon_inode:inotify", "/dev/null", "anon_inode:inotify"].iter().enumerate()
        {
            std::os::unix::fs::symlink(target, files.join(number.to_string())).unwrap();
        }
        let ours = is_roots(&fs::metadata(proc.path()).unwrap());
        assert_eq!(count(proc.path()), if ours { 2 } else { 0 });
    }
}

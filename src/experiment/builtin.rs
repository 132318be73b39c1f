//! The experiments that are in the binary, with the files that they name, for those who have no
//! checkout.

use std::path::{Component, Path, PathBuf};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../", $path)))),*]
    };
}

/// Every file, by its path from the top of the repository.
const FILES: &[(&str, &str)] = files![
    "experiments/worker-stop-fast.yaml",
    "experiments/worker-stop-from-pod.yaml",
    "experiments/worker-stop-default.yaml",
    "experiments/worker-stop-article-default.yaml",
    "experiments/node-kill.yaml",
    "experiments/node-pause.yaml",
    "experiments/node-disconnect.yaml",
    "experiments/kubelet-stop.yaml",
    "experiments/kubelet-pause.yaml",
    "experiments/scheduler-down.yaml",
    "experiments/controller-manager-down.yaml",
    "experiments/autoscaler-stalled.yaml",
    "experiments/autoscaler-stalled-api-server-down.yaml",
    "experiments/api-server-down.yaml",
    "experiments/etcd-down.yaml",
    "experiments/dns-down.yaml",
    "experiments/dns-node-lost.yaml",
    "experiments/dns-node-lost-spread.yaml",
    "experiments/worker-down.yaml",
    "experiments/control-plane-down.yaml",
    "experiments/worker-down-while-control-plane-down.yaml",
    "experiments/worker-reboot-while-control-plane-down.yaml",
    "experiments/ha-one-control-plane-lost.yaml",
    "experiments/ha-quorum-lost.yaml",
    "experiments/load-balancer-down.yaml",
    "experiments/rolling-restart.yaml",
    "experiments/control-plane-away.yaml",
    "experiments/glitch-shorter-than-grace.yaml",
    "experiments/glitch-longer-than-grace.yaml",
    "experiments/worker-cut-off-from-the-api-server.yaml",
    "experiments/rescheduling.yaml",
    "experiments/node-drain.yaml",
    "experiments/etcd-data-lost.yaml",
    "experiments/container-dies-while-control-plane-down.yaml",
    "experiments/pod-deleted-while-controller-manager-down.yaml",
    "experiments/leader-failover.yaml",
    "experiments/zombie-leader.yaml",
    "experiments/leader-on-the-dead-node.yaml",
    "experiments/workloads/web.yaml",
    "experiments/workloads/web-spread.yaml",
    "experiments/workloads/web-graceful.yaml",
    "experiments/workloads/client.yaml",
    "kind-configs/fast-detection.yaml",
    "kind-configs/default.yaml",
    "kind-configs/article-default.yaml",
    "kind-configs/ha-fast-detection.yaml",
    "kind-configs/ha-default.yaml",
];

/// Where experiments lie.
pub(super) const EXPERIMENTS: &str = "experiments";

/// The names of the built-in experiments, in the order in which a newcomer may want to read them.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(|(path, _)| name_of(path))
}

fn name_of(path: &'static str) -> Option<&'static str> {
    let name = path.strip_prefix(EXPERIMENTS)?.strip_prefix('/')?.strip_suffix(".yaml")?;
    (!name.contains('/')).then_some(name)
}

/// A built-in experiment's path and text, by its name.
pub(super) fn experiment(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(path, _)| name_of(path) == Some(name)).copied()
}

/// A built-in file by its path, in which `..` may occur.
pub(super) fn file(path: &Path) -> Option<(&'static str, &'static str)> {
    let wanted = tidy(path);
    FILES.iter().find(|(known, _)| Path::new(known) == wanted).copied()
}

/// A path without `.` and without `..` after a name. For showing only: on a disk with symbolic
/// links it may be another file.
pub(super) fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(tidied.components().next_back(), Some(Component::Normal(_))) =>
            {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_repository_is_built_in() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let on_disk: BTreeSet<String> = ["experiments", "experiments/workloads", "kind-configs"]
            .iter()
            .flat_map(|folder| {
                std::fs::read_dir(top.join(folder))
                    .unwrap()
                    .map(move |entry| (folder, entry.unwrap()))
            })
            .filter(|(_, entry)| {
                entry.path().extension().is_some_and(|extension| extension == "yaml")
            })
            .map(|(folder, entry)| format!("{folder}/{}", entry.file_name().to_string_lossy()))
            .collect();
        assert_eq!(
            FILES.iter().map(|(path, _)| (*path).to_owned()).collect::<BTreeSet<_>>(),
            on_disk
        );
    }

    #[test]
    fn names_are_those_of_experiments_only() {
        assert_eq!(names().next(), Some("worker-stop-fast"));
        assert!(names().all(|name| !name.contains('/') && experiment(name).is_some()));
        assert!(experiment("workloads/web").is_none());
    }

    #[test]
    fn a_path_may_go_up_and_down_again() {
        assert!(file(Path::new("experiments/../kind-configs/./default.yaml")).is_some());
        assert!(file(Path::new("../kind-configs/default.yaml")).is_none());
        assert_eq!(tidy(Path::new("../../a/./b/../c")), Path::new("../../a/c"));
        assert_eq!(tidy(Path::new("/a/../b")), Path::new("/b"));
    }
}

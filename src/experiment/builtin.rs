//! The experiments that are in the binary, with the files that they name, for those who have no
//! checkout.

use std::path::{Component, Path, PathBuf};

/// Every file, by its path from the top of the repository (`build.rs` lists them).
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

pub(super) const EXPERIMENTS: &str = "experiments";

pub(super) const STUDIES: &str = "experiments/studies";

/// What is in a folder, by the names of its files.
pub(super) fn names(folder: &str) -> impl Iterator<Item = &'static str> {
    FILES.iter().filter_map(move |(path, _)| name_of(path, folder))
}

fn name_of(path: &'static str, folder: &str) -> Option<&'static str> {
    let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".yaml")?;
    (!name.contains('/')).then_some(name)
}

/// The path and text of a built-in experiment or study, by its folder and name.
pub(super) fn named(folder: &str, name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(path, _)| name_of(path, folder) == Some(name)).copied()
}

/// The same of an experiment.
pub(super) fn experiment(name: &str) -> Option<(&'static str, &'static str)> {
    named(EXPERIMENTS, name)
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
    use super::*;

    #[test]
    fn names_are_those_of_experiments_only() {
        assert!(names(EXPERIMENTS).any(|name| name == "worker-stop-fast"));
        assert!(names(EXPERIMENTS).all(|name| !name.contains('/') && experiment(name).is_some()));
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

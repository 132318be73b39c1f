//! A pod's network: found by the pod's uid among the node's processes, and entered by the calling
//! thread.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::resolver::NameService;

/// A `resolv.conf` is not longer than this.
const MAX_FILE: u64 = 64 * 1024;

/// Why a pod's network can't be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetnsError {
    /// No process of the pod runs here.
    #[error("find a process of the pod with uid {0} on this node")]
    NoProcess(String),
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
}

/// Enters a pod's network with the calling thread, before it makes any socket, and gives how the
/// pod resolves names.
#[cfg(target_os = "linux")]
pub(crate) fn enter_pod(uid: &str) -> Result<NameService, NetnsError> {
    let process =
        process_of(Path::new("/proc"), uid).ok_or_else(|| NetnsError::NoProcess(uid.into()))?;
    let namespace = process.join("ns/net");
    let refused = |what: &str, source| NetnsError::Io {
        what: format!("{what} of the pod with uid {uid}"),
        source,
    };
    let file = File::open(&namespace).map_err(|error| refused("open the network", error))?;
    let names = NameService::parse(
        &file_of(&process, "etc/resolv.conf")
            .map_err(|error| refused("read the resolv.conf", error))?,
        &file_of(&process, "etc/hosts").unwrap_or_default(),
    );
    let network = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), network)
        .map_err(|error| refused("enter the network", error.into()))?;
    Ok(names)
}

/// Pods have networks of their own only on Linux.
#[cfg(not(target_os = "linux"))]
pub(crate) fn enter_pod(uid: &str) -> Result<NameService, NetnsError> {
    Err(NetnsError::NoProcess(uid.into()))
}

/// A process of the pod, preferably one with a `resolv.conf`.
fn process_of(proc: &Path, uid: &str) -> Option<PathBuf> {
    let all = fs::read_dir(proc).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let numbered = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    let mut of_pod: Vec<PathBuf> =
        all.filter(numbered).filter(|path| is_of_pod(path, uid)).collect();
    of_pod.sort();
    let with_names = of_pod.iter().find(|path| file_of(path, "etc/resolv.conf").is_ok());
    with_names.or(of_pod.first()).cloned()
}

fn is_of_pod(process: &Path, uid: &str) -> bool {
    fs::read_to_string(process.join("cgroup"))
        .is_ok_and(|cgroups| cgroups.lines().any(|line| names_pod(line, uid)))
}

/// Whether a cgroup lies in the pod's: `.../pod<uid>/...`, or with systemd `...-pod<uid with
/// underscores>.slice/...`.
fn names_pod(cgroup: &str, uid: &str) -> bool {
    let escaped = uid.replace('-', "_");
    let path = cgroup.splitn(3, ':').nth(2).unwrap_or_default();
    !uid.is_empty()
        && path.split('/').any(|part| {
            let part = part.strip_suffix(".slice").unwrap_or(part);
            let of_pod = part
                .rsplit_once("pod")
                .map(|(before, id)| (before.is_empty() || before.ends_with('-'), id));
            matches!(of_pod, Some((true, id)) if id == uid || id == escaped)
        })
}

/// A file as a process sees it. Links in it are followed within the process's own root, never out
/// of it.
fn file_of(process: &Path, path: &str) -> io::Result<String> {
    let mut text = String::new();
    open_in_root(&process.join("root"), path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(target_os = "linux")]
fn open_in_root(root: &Path, path: &str) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    let root = File::open(root)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
}

#[cfg(not(target_os = "linux"))]
fn open_in_root(root: &Path, path: &str) -> io::Result<File> {
    File::open(root.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

    #[test]
    fn pods_are_found_in_every_form_of_cgroup() {
        let escaped = UID.replace('-', "_");
        for line in [
            format!("0::/kubepods/burstable/pod{UID}/0123abcd"),
            format!("4:memory:/kubepods/pod{UID}"),
            format!(
                "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort-pod{escaped}.slice/cri-containerd-01.scope"
            ),
            format!("0::/../../kubelet.slice/kubelet-kubepods-pod{escaped}.slice"),
        ] {
            assert!(names_pod(&line, UID), "{line}");
        }
    }

    #[test]
    fn other_pods_are_not_taken_for_it() {
        for line in [
            "0::/",
            "0::/init.scope",
            "x",
            "0::/kubepods/pod",
            &format!("0::/kubepods/pod{UID}7"),
            &format!("0::/{UID}"),
        ] {
            assert!(!names_pod(line, UID), "{line}");
            assert!(!names_pod(line, ""), "{line}");
        }
    }

    #[test]
    fn a_process_with_names_is_preferred_and_links_stay_inside() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, cgroup) in [
            ("7", "0::/"),
            ("8", &*format!("0::/kubepods/pod{UID}/a")),
            ("9", &format!("0::/kubepods/pod{UID}/b")),
        ] {
            fs::create_dir_all(proc.path().join(pid).join("root/etc")).unwrap();
            fs::write(proc.path().join(pid).join("cgroup"), format!("{cgroup}\n")).unwrap();
        }
        assert_eq!(process_of(proc.path(), UID), Some(proc.path().join("8")));
        let root = proc.path().join("9/root");
        fs::write(root.join("inside"), "nameserver 10.0.0.1\n").unwrap();
        std::os::unix::fs::symlink("/inside", root.join("etc/resolv.conf")).unwrap();
        assert_eq!(process_of(proc.path(), UID), Some(proc.path().join("9")));
        assert_eq!(
            file_of(&proc.path().join("9"), "etc/resolv.conf").unwrap(),
            "nameserver 10.0.0.1\n"
        );
        assert_eq!(process_of(proc.path(), "other"), None);
    }

    #[test]
    fn a_pod_that_is_not_here_is_an_error() {
        let error = enter_pod("no-such-uid").unwrap_err().to_string();
        assert_eq!(error, "find a process of the pod with uid no-such-uid on this node");
    }
}

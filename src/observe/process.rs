//! The parts of the control plane as processes: found in /proc by their programs, in the node's own
//! network (others of the name in a pod's network are somebody else's).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::timeline::{Component, Event, ProcessState};

/// A process may exec another program in its first moments, as what a container runtime starts
/// does.
const STARTUP: Duration = Duration::from_secs(10);

/// A component's new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    component: Component,
    pid: Option<u32>,
    state: ProcessState,
}

impl Change {
    pub(super) fn event(self, node: &str) -> Event {
        Event::Process {
            node: node.to_owned(),
            component: self.component,
            pid: self.pid,
            state: self.state,
        }
    }
}

/// What is known of a node's processes.
pub(super) struct Table {
    proc: PathBuf,
    /// Each part's process and how it was, where there is one.
    parts: HashMap<Component, Option<(u32, ProcessState)>>,
    /// Processes that are none of them, and since when they are known.
    others: HashMap<u32, Instant>,
}

impl Table {
    pub(super) fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), parts: HashMap::new(), others: HashMap::new() }
    }

    /// What has changed since the last look; at the first, how each part is.
    pub(super) fn look(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for component in Component::ALL {
            let Some(Some((pid, before))) = self.parts.get(&component).copied() else { continue };
            let state = self.state_of(pid);
            if state != before {
                changes.push(self.is_now(component, pid, state));
            }
        }
        let missing: Vec<Component> = Component::ALL
            .into_iter()
            .filter(|part| !matches!(self.parts.get(part), Some(Some(_))))
            .collect();
        if !missing.is_empty() {
            changes.extend(self.search(&missing));
        }
        changes
    }

    fn is_now(&mut self, component: Component, pid: u32, state: ProcessState) -> Change {
        let pid = (state != ProcessState::Gone).then_some(pid);
        self.parts.insert(component, pid.map(|pid| (pid, state)));
        Change { component, pid, state }
    }

    fn search(&mut self, missing: &[Component]) -> Vec<Change> {
        let mut changes = Vec::new();
        let running = self.running();
        self.others.retain(|pid, _| running.contains(pid));
        for pid in running {
            let known = self.others.get(&pid);
            if known.is_some_and(|since| since.elapsed() > STARTUP)
                || self.parts.values().flatten().any(|(part, _)| *part == pid)
            {
                continue;
            }
            match self.part_of(pid).filter(|part| missing.contains(part)) {
                Some(component) => {
                    let state = self.state_of(pid);
                    self.others.remove(&pid);
                    changes.extend(
                        (state != ProcessState::Gone).then(|| self.is_now(component, pid, state)),
                    );
                }
                None => drop(self.others.entry(pid).or_insert_with(Instant::now)),
            }
        }
        // A component that was never there is reported once.
        let never: Vec<Component> =
            missing.iter().copied().filter(|part| !self.parts.contains_key(part)).collect();
        changes.extend(
            never.into_iter().map(|component| self.is_now(component, 0, ProcessState::Gone)),
        );
        changes
    }

    fn running(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    fn part_of(&self, pid: u32) -> Option<Component> {
        let at = self.proc.join(pid.to_string());
        let program = fs::read_link(at.join("exe")).ok()?;
        let component = Component::named(program.file_name()?.to_str()?)?;
        let network = fs::read_link(at.join("ns/net")).ok()?;
        (network == fs::read_link(self.proc.join("self/ns/net")).ok()?).then_some(component)
    }

    /// Its state is the first letter behind its name, which is in parentheses and may have any of
    /// its own.
    fn state_of(&self, pid: u32) -> ProcessState {
        let text =
            fs::read_to_string(self.proc.join(pid.to_string()).join("stat")).unwrap_or_default();
        let letter = text.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
        match letter {
            None | Some('Z' | 'X' | 'x') => ProcessState::Gone,
            Some('T' | 't') => ProcessState::Stopped,
            Some(_) => ProcessState::Running,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use ProcessState::{Gone, Running, Stopped};

    pub(crate) struct Fake(tempfile::TempDir);

    impl Fake {
        pub(crate) fn new() -> Self {
            let fake = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(fake.path().join("self/ns")).unwrap();
            symlink("net:[1]", fake.path().join("self/ns/net")).unwrap();
            fake
        }

        pub(crate) fn path(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn process(&self, pid: u32, program: &str, state: &str) {
            self.in_network(pid, program, state, "net:[1]");
        }

        fn in_network(&self, pid: u32, program: &str, state: &str, network: &str) {
            let at = self.path().join(pid.to_string());
            let _ = fs::remove_file(at.join("exe"));
            if fs::create_dir_all(at.join("ns")).is_ok()
                && symlink(network, at.join("ns/net")).is_err()
            {
                // It is there, with the same network.
            }
            symlink(format!("/usr/local/bin/{program}"), at.join("exe")).unwrap();
            // Whole or not at all, for a reader at the same time.
            fs::write(at.join("new"), format!("{pid} (a) S) {state} 1 {pid}")).unwrap();
            fs::rename(at.join("new"), at.join("stat")).unwrap();
        }

        pub(crate) fn ends(&self, pid: u32) {
            fs::remove_dir_all(self.path().join(pid.to_string())).unwrap();
        }
    }

    fn looked(table: &mut Table) -> Vec<(&'static str, Option<u32>, ProcessState)> {
        let mut seen: Vec<_> = table
            .look()
            .into_iter()
            .map(|change| (change.component.name(), change.pid, change.state))
            .collect();
        seen.sort_by_key(|(name, pid, _)| (*name, pid.is_some()));
        seen
    }

    #[test]
    fn each_part_is_reported_once_and_then_its_changes() {
        let fake = Fake::new();
        for (pid, program) in
            [(1, "systemd"), (11, "kube-apiserver"), (12, "etcd"), (13, "kube-scheduler")]
        {
            fake.process(pid, program, "S");
        }
        let mut table = Table::new(fake.path());
        let first = looked(&mut table);
        let there = [("etcd", Some(12), Running), ("kube-apiserver", Some(11), Running)];
        assert_eq!(
            first,
            [
                there[0],
                there[1],
                ("kube-controller-manager", None, Gone),
                ("kube-scheduler", Some(13), Running)
            ]
        );
        assert!(looked(&mut table).is_empty());
        fake.process(13, "kube-scheduler", "T");
        assert_eq!(looked(&mut table), [("kube-scheduler", Some(13), Stopped)]);
        fake.process(13, "kube-scheduler", "R");
        assert_eq!(looked(&mut table), [("kube-scheduler", Some(13), Running)]);
        fake.process(13, "kube-scheduler", "Z");
        assert_eq!(looked(&mut table), [("kube-scheduler", None, Gone)]);
        assert!(looked(&mut table).is_empty());
    }

    #[test]
    fn a_restart_between_two_looks_is_seen() {
        let fake = Fake::new();
        Component::ALL.iter().zip(10..).for_each(|(part, pid)| fake.process(pid, part.name(), "S"));
        let mut table = Table::new(fake.path());
        looked(&mut table);
        fake.ends(11);
        fake.process(21, "etcd", "S");
        assert_eq!(looked(&mut table), [("etcd", None, Gone), ("etcd", Some(21), Running)]);
    }

    #[test]
    fn what_the_runtime_starts_becomes_the_part() {
        let fake = Fake::new();
        fake.process(30, "runc", "S");
        let mut table = Table::new(fake.path());
        looked(&mut table);
        fake.process(30, "etcd", "S");
        assert_eq!(looked(&mut table), [("etcd", Some(30), Running)]);
    }

    #[test]
    fn a_part_in_a_pods_own_network_is_not_the_nodes() {
        let fake = Fake::new();
        fake.in_network(31, "etcd", "S", "net:[2]");
        let seen = looked(&mut Table::new(fake.path()));
        assert!(seen.iter().all(|(_, pid, _)| pid.is_none()), "{seen:?}");
    }
}

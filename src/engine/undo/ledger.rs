//! The undo ledger: what must be undone in a cluster, on disk and synced before it is done.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::error::RunError;
use crate::engine::undo::settings::SettingsFiles;
use crate::experiment::Fault;
use crate::fault::{self, ObjectUndo, Undo};
use crate::timeline::{Component, FaultName, Tuning};

/// Something that must be undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum UndoEntry {
    Fault(fault::Undo),
    /// A fault on an object of the cluster, done through its API.
    Object {
        /// Its record.
        undo: ObjectUndo,
        /// How its cluster is reached.
        access: Access,
    },
    /// A fault in the embedded cluster. What is not undone dies with it.
    Modelled {
        /// The step of its run's method, from 0.
        step: u32,
        node: String,
        /// What was done to it.
        fault: Fault,
    },
    /// The probers of a run: their file in a node, where one was stopped before it had removed that
    /// itself.
    Probers {
        /// The nodes' containers.
        containers: Vec<String>,
        /// The folder with the uploads that were not seen to end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uploads: Option<PathBuf>,
    },
    /// The namespace of a run.
    Namespace {
        name: String,
        /// How its cluster is reached.
        access: Access,
    },
    /// A kind cluster that is being made: half of one is of no use.
    KindCluster {
        name: String,
    },
    /// Settings of failure detection that were changed in running nodes.
    Settings {
        /// The kind cluster.
        cluster: String,
        /// The files as they were.
        nodes: Vec<SettingsFiles>,
        /// What they came to.
        tuning: Tuning,
    },
}

/// How a later process reaches a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Access {
    /// Through the kubeconfig that kind gives.
    Kind {
        /// The kind cluster.
        cluster: String,
    },
    /// Through a context of the user's kubeconfig.
    Context {
        /// The kubeconfig's files.
        kubeconfig: Vec<PathBuf>,
        context: String,
        /// The kind cluster that it leads to.
        cluster: String,
    },
    /// Through a context of the user's kubeconfig, and nothing but the API that it leads to.
    Api {
        /// The kubeconfig's files.
        kubeconfig: Vec<PathBuf>,
        context: String,
        /// What tells it from any other cluster (see [`Cluster::identity`]).
        ///
        /// [`Cluster::identity`]: crate::cluster::Cluster::identity
        identity: String,
        /// The image of the pods that lead into its nodes.
        helper_image: String,
    },
    /// Not at all: the embedded cluster ends with its process.
    Embedded,
}

/// The namespace of a run, by its id.
pub(crate) fn namespace_of(run: &str) -> String {
    format!("outage-{}", run.rsplit('-').next().unwrap_or_default())
}

impl Access {
    /// The kind cluster, if it is one.
    pub(crate) fn cluster(&self) -> Option<&str> {
        match self {
            Access::Kind { cluster } | Access::Context { cluster, .. } => Some(cluster),
            Access::Api { .. } | Access::Embedded => None,
        }
    }

    /// What a person's command begins with that asks this cluster. One that a run has made is in no
    /// kubeconfig of theirs.
    pub(crate) fn kubectl(&self) -> String {
        match self {
            Access::Kind { cluster } => {
                let file = format!("{cluster}.kubeconfig");
                format!(
                    "kind export kubeconfig --name {cluster} --kubeconfig {file} && kubectl --kubeconfig {file}"
                )
            }
            Access::Context { kubeconfig, context, .. }
            | Access::Api { kubeconfig, context, .. } => {
                let files: Vec<_> =
                    kubeconfig.iter().map(|file| file.display().to_string()).collect();
                format!("KUBECONFIG='{}' kubectl --context '{context}'", files.join(":"))
            }
            Access::Embedded => "kubectl".into(),
        }
    }
}

/// What is known of a fault from its undo: the step of the method, the fault's name, the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultRef<'a> {
    /// The step, from 0.
    pub step: u32,
    pub kind: FaultName,
    /// The part of the control plane that it hits, if not the node itself.
    pub component: Option<Component>,
    /// The node, or the object.
    pub node: &'a str,
}

impl UndoEntry {
    /// The fault that this undoes, if it is one.
    pub(crate) fn fault(&self) -> Option<FaultRef<'_>> {
        match self {
            UndoEntry::Fault(undo) => {
                let Undo { step, fault, .. } = undo;
                Some(FaultRef {
                    step: *step,
                    kind: fault.name(),
                    component: fault.component(),
                    node: undo.hits(),
                })
            }
            UndoEntry::Object { undo, .. } => Some(FaultRef {
                step: undo.step,
                kind: undo.fault.kind().into(),
                component: None,
                node: undo.fault.target(),
            }),
            UndoEntry::Modelled { step, node, fault } => Some(FaultRef {
                step: *step,
                kind: fault.name(),
                component: fault.component(),
                node,
            }),
            _ => None,
        }
    }

    /// How long after its injection, at least, a timer in the node undoes it where nobody can get
    /// in; `None`: there is none.
    pub(in crate::engine) fn undoes_itself_after(&self) -> Option<Duration> {
        match self {
            UndoEntry::Fault(undo) => fault::undoes_itself_after(undo),
            _ => None,
        }
    }

    /// A backend was given what another one has planned.
    pub(in crate::engine) fn not_a_fault_here(&self) -> RunError {
        RunError::failed(format!("this kind of cluster cannot {}", self.describe()))
    }

    /// The command by which a person can undo it, where there is one.
    pub(crate) fn by_hand(&self) -> Option<String> {
        match self {
            UndoEntry::Fault(undo) => Some(undo.by_hand()),
            UndoEntry::Object { undo, access } => undo.by_hand(&access.kubectl()),
            UndoEntry::KindCluster { name } => Some(format!("kind delete cluster --name {name}")),
            UndoEntry::Namespace { name, access } => {
                Some(format!("{} delete namespace {name}", access.kubectl()))
            }
            UndoEntry::Probers { .. } | UndoEntry::Modelled { .. } | UndoEntry::Settings { .. } => {
                None
            }
        }
    }

    /// What its undo does, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            UndoEntry::Fault(undo) => undo.describe(),
            UndoEntry::Object { undo, .. } => undo.describe(),
            UndoEntry::Modelled { node, fault, .. } => fault::describe_in_model(fault, node),
            UndoEntry::Probers { .. } => "remove the run's probers from the nodes".into(),
            UndoEntry::Namespace { name, .. } => format!("delete the run's namespace {name}"),
            UndoEntry::KindCluster { name } => {
                format!("delete the partially created kind cluster {name}")
            }
            UndoEntry::Settings { cluster, .. } => {
                format!("restore the original node settings of kind cluster {cluster}")
            }
        }
    }
}

/// An undo in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// Its number, unique in the ledger.
    pub id: u64,
    /// The run that made it.
    pub run: String,
    /// The container engine's address: only there can it be undone.
    pub engine: String,
    /// How its cluster is reached, where that is not through the container engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    /// When it was written.
    pub at: jiff::Timestamp,
    /// When a watchdog undoes it if its run has died; `None`: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_until: Option<jiff::Timestamp>,
    /// What must be undone. A ledger of an earlier version says `obligation`.
    #[serde(alias = "obligation")]
    pub undo: UndoEntry,
}

impl Entry {
    /// Whether it is undone inside a node into which a pod leads.
    pub(crate) fn needs_helper(&self) -> bool {
        self.access.is_some() && matches!(self.undo, UndoEntry::Fault(_))
    }

    /// The context that leads to its cluster, where that is reached through its API alone.
    pub(crate) fn context(&self) -> Option<&str> {
        match &self.access {
            Some(Access::Api { context, .. }) => Some(context),
            _ => None,
        }
    }

    /// Where it is to be undone, for people; `cluster` is what its state directory is called.
    pub(crate) fn place(&self, cluster: &str) -> String {
        match self.context() {
            Some(context) => format!("cluster of context {context}"),
            None => format!("cluster {cluster} on {}", self.engine),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    /// A ledger of an earlier version says `owed`.
    #[serde(alias = "owed")]
    Recorded(Box<Entry>),
    /// The time of an entry that has become known.
    Watched {
        id: u64,
        until: jiff::Timestamp,
    },
    Settled(u64),
}

/// A run, and where it works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunRef<'a> {
    pub run: &'a str,
    /// The container engine's address.
    pub engine: &'a str,
    /// How its cluster is reached, where that is not through the container engine.
    pub access: Option<&'a Access>,
}

/// The ledger of one cluster. Each change is on the disk when the call returns.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    file: Option<File>,
    open: Vec<Entry>,
    next: u64,
}

impl Ledger {
    /// Reads the ledger; a file that is not there is an empty one. Errors when it can't be read or
    /// holds what this version does not know.
    pub(crate) fn open(path: &Path) -> Result<Self, RunError> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other.map_err(|e| {
                RunError::refused(format!("cannot read the undo ledger {}", path.display()))
                    .because(&e)
            })?,
        };
        let mut ledger = Self { path: path.to_owned(), file: None, open: Vec::new(), next: 0 };
        for line in text.split_inclusive('\n') {
            // Only the last line can be cut, and then nothing was done on its account yet.
            if line.ends_with('\n') {
                ledger.replay(line)?;
            }
        }
        Ok(ledger)
    }

    fn replay(&mut self, line: &str) -> Result<(), RunError> {
        let unknown = |e: serde_json::Error| {
            RunError::refused(format!("the undo ledger {} has a line that cannot be read", self.path.display()))
                .because(&e)
                .hint("it was written by another version of this program: run `kubectl outage recover` with that version")
        };
        match serde_json::from_str(line).map_err(unknown)? {
            Line::Recorded(entry) => {
                self.next = self.next.max(entry.id + 1);
                self.open.push(*entry);
            }
            Line::Watched { id, until } => self.watched(id, until),
            Line::Settled(id) => self.open.retain(|entry| entry.id != id),
        }
        Ok(())
    }

    /// What is not undone yet, in the order in which it was recorded.
    pub(crate) fn pending(&self) -> &[Entry] {
        &self.open
    }

    /// Writes an undo, synced; only then may it be made. Returns its number.
    pub(crate) fn record(&mut self, run_ref: RunRef<'_>, undo: UndoEntry) -> Result<u64, RunError> {
        self.write(run_ref, undo, None)
    }

    /// The same for what a watchdog undoes after so long, if the run has died by then.
    pub(crate) fn record_watched(
        &mut self,
        run_ref: RunRef<'_>,
        undo: UndoEntry,
        after: Duration,
    ) -> Result<u64, RunError> {
        self.write(run_ref, undo, jiff::Timestamp::now().checked_add(after).ok())
    }

    fn write(
        &mut self,
        run_ref: RunRef<'_>,
        undo: UndoEntry,
        watched_until: Option<jiff::Timestamp>,
    ) -> Result<u64, RunError> {
        let entry = Entry {
            id: self.next,
            run: run_ref.run.to_owned(),
            engine: run_ref.engine.to_owned(),
            access: run_ref.access.cloned(),
            at: jiff::Timestamp::now(),
            watched_until,
            undo,
        };
        self.append(&Line::Recorded(Box::new(entry.clone()))).map_err(|e| self.cannot_write(&e))?;
        self.next += 1;
        self.open.push(entry);
        Ok(self.next - 1)
    }

    /// A watchdog undoes an entry after so long from now, if the run has died by then.
    pub(crate) fn watch_until(&mut self, id: u64, after: Duration) -> Result<(), RunError> {
        let Ok(until) = jiff::Timestamp::now().checked_add(after) else { return Ok(()) };
        self.append(&Line::Watched { id, until }).map_err(|e| self.cannot_write(&e))?;
        self.watched(id, until);
        Ok(())
    }

    /// The faults of a run that are not undone.
    pub(crate) fn faults_of(&self, run: &str) -> impl Iterator<Item = &Entry> {
        self.open.iter().filter(move |entry| entry.run == run && entry.undo.fault().is_some())
    }

    /// A run ends with faults that it could not undo: its watchdog need not wait any longer.
    pub(crate) fn give_up(&mut self, run: &str) -> Result<(), RunError> {
        let left: Vec<u64> = self.faults_of(run).map(|entry| entry.id).collect();
        left.into_iter().try_for_each(|id| self.watch_until(id, Duration::ZERO))
    }

    fn watched(&mut self, id: u64, until: jiff::Timestamp) {
        for entry in self.open.iter_mut().filter(|entry| entry.id == id) {
            entry.watched_until = Some(until);
        }
    }

    /// Strikes an entry whose undo was verified. When none is left, the file goes.
    pub(crate) fn settle(&mut self, id: u64) -> Result<(), RunError> {
        self.open.retain(|entry| entry.id != id);
        if self.open.is_empty() {
            self.file = None;
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(self.cannot_write(&error))
                }
                _ => Ok(()),
            };
        }
        self.append(&Line::Settled(id)).map_err(|e| self.cannot_write(&e))
    }

    fn append(&mut self, line: &Line) -> io::Result<()> {
        let fresh = self.file.is_none();
        if fresh {
            self.file = Some(self.reopen()?);
        }
        let file = self.file.as_mut().expect("was just opened");
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        file.write_all(&bytes)?;
        file.sync_all()?;
        if fresh {
            sync_directory(&self.path)?;
        }
        Ok(())
    }

    /// Opens the file for appending, less a last line that a crash cut: what follows must not run
    /// into it.
    fn reopen(&self) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path)?;
        let mut text = Vec::new();
        io::Read::read_to_end(&mut file, &mut text)?;
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        Ok(file)
    }

    fn cannot_write(&self, error: &io::Error) -> RunError {
        RunError::failed(format!("cannot write the undo ledger {}", self.path.display()))
            .because(error)
    }
}

/// A new file is only there after a power loss when its directory was synced, too.
fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::samples;
    use crate::timeline::FaultKind;

    const R: RunRef<'_> = RunRef { run: "r", engine: "unix:///e.sock", access: None };

    fn namespace(name: &str) -> UndoEntry {
        UndoEntry::Namespace { name: name.into(), access: Access::Kind { cluster: "a".into() } }
    }

    #[test]
    fn what_is_done_by_hand_asks_the_cluster_that_is_meant() {
        let fault = fault::ObjectFaultRecord::NodeDrain(fault::NodeDrain {
            node: "w".into(),
            namespaces: Vec::new(),
            options: Default::default(),
        });
        let drained = |access| {
            UndoEntry::Object { undo: ObjectUndo::new("r", 0, fault.clone()), access }
                .by_hand()
                .unwrap()
        };
        let kubeconfig = vec!["/home/u/a".into(), "/home/u/b".into()];
        let own = Access::Context { kubeconfig, context: "kind-c".into(), cluster: "c".into() };
        assert_eq!(
            drained(own),
            "KUBECONFIG='/home/u/a:/home/u/b' kubectl --context 'kind-c' uncordon w"
        );
        let export = "kind export kubeconfig --name a --kubeconfig a.kubeconfig && ";
        assert_eq!(
            namespace("n").by_hand().unwrap(),
            format!("{export}kubectl --kubeconfig a.kubeconfig delete namespace n")
        );
        assert_eq!(drained(Access::Embedded), "kubectl uncordon w");
    }

    #[test]
    fn what_was_pending_is_pending_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        let first = ledger.record(R, namespace("one")).unwrap();
        ledger.record(R, namespace("two")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("{\"recorded\":{"));
        ledger.settle(first).unwrap();
        drop(ledger);
        let mut again = Ledger::open(&path).unwrap();
        assert_eq!(again.pending().len(), 1);
        assert_eq!(again.pending()[0].undo, namespace("two"));
        again.settle(again.pending()[0].id).unwrap();
        assert!(!path.exists(), "nothing is pending, nothing is left");
    }

    #[test]
    fn a_time_that_is_set_anew_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        let first = ledger.record_watched(R, namespace("one"), Duration::from_secs(600)).unwrap();
        ledger.record_watched(R, namespace("two"), Duration::from_secs(600)).unwrap();
        ledger.watch_until(first, Duration::from_secs(12)).unwrap();
        let again = Ledger::open(&path).unwrap();
        assert_eq!(again.pending(), ledger.pending());
        let in_a_minute = jiff::Timestamp::now().checked_add(Duration::from_secs(60)).unwrap();
        let due = |entry: &Entry| entry.watched_until.is_some_and(|until| until < in_a_minute);
        assert_eq!(again.pending().iter().map(due).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn every_fault_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        let object = |fault| UndoEntry::Object {
            undo: ObjectUndo::new("r", 0, fault),
            access: Access::Embedded,
        };
        let on_objects = samples::object_faults().map(object);
        for kind in FaultKind::ALL {
            let is_it = |entry: &&UndoEntry| entry.fault().is_some_and(|fault| fault.kind == kind);
            let fault = samples::fault(kind);
            let entry = samples::plan_of(&fault).map(UndoEntry::Fault).unwrap_or_else(|_| {
                on_objects.iter().find(is_it).unwrap_or_else(|| panic!("{kind}")).clone()
            });
            ledger.record(R, entry).unwrap();
            let modelled = UndoEntry::Modelled { step: 0, node: "n".into(), fault };
            ledger.record(R, modelled).unwrap();
        }
        let read = Ledger::open(&path).unwrap();
        assert_eq!(read.pending(), ledger.pending());
        assert_eq!(read.pending().len(), FaultKind::ALL.len() * 2);
    }

    /// Lines as an earlier version wrote them.
    #[test]
    fn a_ledger_of_an_earlier_version_is_read() {
        let target = r#"{"node":"w","containerId":"i","containerName":"c-w","role":"worker","addresses":{"kind":["172.18.0.3"]},"cluster":"c"}"#;
        let timer = r#""mark":"outage-r-0","deadMan":{"secs":90,"nanos":0}"#;
        let faults = [
            (FaultKind::NodeKill, r#""nodeKill""#.to_owned()),
            (FaultKind::NodeStop, r#"{"nodeStop":{"grace":{"secs":10,"nanos":0}}}"#.to_owned()),
            (FaultKind::KubeletStop, format!(r#"{{"kubeletStop":{{{timer}}}}}"#)),
            (
                FaultKind::ComponentPause,
                format!(r#"{{"componentPause":{{"component":"etcd",{timer}}}}}"#),
            ),
            (
                FaultKind::ContainerKill,
                format!(r#"{{"containerKill":{{"pod":"p","containers":["a"],{timer}}}}}"#),
            ),
        ];
        let mut lines: Vec<(Option<FaultKind>, String)> = Vec::new();
        for (kind, fault) in faults {
            let undo = format!(
                r#"{{"fault":{{"format":"outage.undo/v1","run":"r","step":0,"target":{target},"harm":{fault}}}}}"#
            );
            lines.push((Some(kind), undo));
        }
        let drain = r#"{"object":{"undo":{"format":"outage.undo/v1","step":0,"mark":"r-0","harm":{"nodeDrain":{"node":"w","namespaces":["default"]}}},"access":{"kind":{"cluster":"c"}}}}"#;
        lines.push((Some(FaultKind::NodeDrain), drain.to_owned()));
        let delete = r#"{"object":{"undo":{"format":"outage.undo/v1","step":0,"mark":"r-0","harm":{"podDelete":{"namespace":"n","pod":"p","uid":"u","node":null}}},"access":"embedded"}}"#;
        lines.push((Some(FaultKind::PodDelete), delete.to_owned()));
        lines.push((None, r#"{"probers":{"containers":["i"]}}"#.to_owned()));
        lines.push((None, r#"{"kindCluster":{"name":"c"}}"#.to_owned()));
        let context = r#"{"namespace":{"name":"n","access":{"context":{"kubeconfig":["/home/u/a"],"context":"kind-c","cluster":"c"}}}}"#;
        lines.push((None, context.to_owned()));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        let entry = |(id, (_, obligation)): (usize, &(Option<FaultKind>, String))| {
            format!(
                "{{\"owed\":{{\"id\":{id},\"run\":\"r\",\"engine\":\"unix:///e.sock\",\"at\":\"2026-11-22T10:00:00Z\",\"watchedUntil\":\"2026-11-22T10:02:00Z\",\"obligation\":{obligation}}}}}\n"
            )
        };
        fs::write(&path, lines.iter().enumerate().map(entry).collect::<String>()).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        let kinds: Vec<_> = ledger
            .pending()
            .iter()
            .map(|entry| entry.undo.fault().map(|fault| fault.kind))
            .collect();
        let wanted = lines.iter().map(|(kind, _)| kind.map(FaultName::from));
        assert_eq!(kinds, wanted.collect::<Vec<_>>());
        assert_eq!(ledger.pending()[0].undo.by_hand().unwrap(), "docker start c-w");
    }

    #[test]
    fn a_cut_last_line_was_never_acted_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        Ledger::open(&path).unwrap().record(R, namespace("one")).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"owed\":{\"id\":1,\"ru").unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.pending().len(), 1);
        ledger.record(R, namespace("two")).unwrap();
        assert_eq!(Ledger::open(&path).unwrap().pending().len(), 2);
    }

    #[test]
    fn a_foreign_ledger_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.jsonl");
        fs::write(&path, "{\"owed\":{\"id\":1,\"what\":\"else\"}}\n").unwrap();
        assert!(Ledger::open(&path).unwrap_err().hint.unwrap().contains("another version"));
    }

    #[test]
    fn a_ledger_that_cannot_be_written_refuses_the_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing").join("ledger.jsonl");
        assert!(Ledger::open(&path).unwrap().record(R, namespace("one")).is_err());
    }
}

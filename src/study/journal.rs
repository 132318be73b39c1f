//! A study's record on disk: what it is, and a line before and after each run, each synced. Nothing
//! in it is ever changed, so that a study goes on after any interruption: only the last line can be
//! cut, and then nothing was done on its account.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::experiment::Choice;
use crate::series::order::Slot;
use crate::stats::Seconds;

const FILE: &str = "study.jsonl";
/// Where the studies of a runs directory are.
const FOLDER: &str = "studies";
const LATEST: &str = "latest";
pub(crate) const FORMAT: &str = "outage.study-journal/v1";

/// What a study is: the journal's first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    /// [`FORMAT`].
    pub format: String,
    pub name: String,
    pub question: Option<String>,
    /// The file, or the built-in study's name, from which it goes on.
    pub file: String,
    /// When it began.
    pub started: jiff::Timestamp,
    pub on: Ground,
    pub seed: u64,
    pub repeat: u32,
    pub rounds: u32,
    pub nodes: u32,
    pub cells: Vec<CellRecord>,
    /// The texts of the workload's files by their paths. Empty in a journal of an earlier version.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What a study runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Ground {
    /// The kind clusters of its cells.
    Kind,
    /// The model of them.
    Embedded,
    /// A cluster that is there.
    Context { name: Option<String> },
}

/// A cell as it was when the study began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CellRecord {
    pub name: String,
    pub choices: Vec<Choice>,
    /// The number of its cluster, from 0.
    pub cluster: usize,
    pub experiment: Json,
    /// The text of its kind config.
    pub kind_config: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Line {
    Begun { run: String, cell: usize, repetition: u32 },
    Ended(RunEnd),
    Made { cluster: usize },
    Finished { at: jiff::Timestamp },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunEnd {
    pub run: String,
    /// Whether its repetition is done: not where it was interrupted.
    pub done: bool,
    /// How long it took, with its cluster's preparation; `None`: it was interrupted.
    pub took: Option<Seconds>,
}

/// A run that was begun.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub run: String,
    pub slot: Slot,
    /// `None`: the study was interrupted before it was known.
    pub end: Option<RunEnd>,
}

impl Entry {
    /// Whether its repetition is done by it.
    pub(crate) fn is_done(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.done)
    }
}

/// A study's journal, open for more.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    file: File,
    pub header: Header,
    pub entries: Vec<Entry>,
    /// The clusters that the study has made.
    pub made: Vec<usize>,
}

/// Why a journal can't be read or written: what failed, and the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{} cannot be read: {why}", path.display())]
    Format { path: PathBuf, why: String },
    #[error("another process is running this study ({})", path.display())]
    Locked { path: PathBuf },
    #[error("no study {name} in {}", dir.display())]
    NoSuchStudy { name: String, dir: PathBuf },
    #[error("several studies begin with {name}: {found}")]
    Ambiguous { name: String, found: String },
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { what, path, source }
}

/// A journal as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub folder: PathBuf,
    pub header: Header,
    pub entries: Vec<Entry>,
    pub made: Vec<usize>,
    pub finished: bool,
    /// How much of the file is whole lines.
    whole: u64,
}

/// The studies of a runs directory.
#[derive(Debug, Default)]
pub(crate) struct AllRecorded {
    pub read: Vec<Recorded>,
    pub damaged: Vec<Damaged>,
}

/// A study whose journal can't be read.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub id: String,
    pub why: JournalError,
}

impl Recorded {
    pub(crate) fn id(&self) -> String {
        id_of(&self.folder)
    }

    /// The repetitions of its cells that are done.
    pub(crate) fn done_slots(&self) -> impl Iterator<Item = Slot> {
        self.entries.iter().filter(|entry| entry.is_done()).map(|entry| entry.slot)
    }

    /// Reads the journal of a study's folder. Errors: there is none, its first line is cut, or it has
    /// what this version does not know.
    pub(crate) fn read(folder: &Path) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(io_error("cannot read", &path))?;
        let wrong = |why: String| JournalError::Format { path: path.clone(), why };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let first = lines.next().ok_or_else(|| wrong("its first line was not written".into()))?;
        let header: Header = serde_json::from_str(first).map_err(|e| wrong(e.to_string()))?;
        if header.format != FORMAT {
            return Err(wrong(format!(
                "it has the format {}, this program reads {FORMAT}",
                header.format
            )));
        }
        let mut read = Self {
            folder: folder.to_owned(),
            header,
            entries: Vec::new(),
            made: Vec::new(),
            finished: false,
            whole: whole as u64,
        };
        for line in lines {
            match serde_json::from_str(line).map_err(|e| wrong(e.to_string()))? {
                Line::Begun { cell, .. } if cell >= read.header.cells.len() => {
                    let cells = read.header.cells.len();
                    let noun = if cells == 1 { "cell" } else { "cells" };
                    return Err(wrong(format!(
                        "it has a run of cell {}, and {cells} {noun}",
                        cell + 1
                    )));
                }
                Line::Begun { run, cell, repetition } => {
                    read.entries.push(Entry { run, slot: Slot { cell, repetition }, end: None });
                }
                Line::Ended(end) => {
                    if let Some(entry) = read.entries.iter_mut().find(|entry| entry.run == end.run)
                    {
                        entry.end = Some(end);
                    }
                }
                Line::Made { cluster } => read.made.push(cluster),
                Line::Finished { .. } => read.finished = true,
            }
        }
        Ok(read)
    }

    /// The studies of a runs directory, the oldest first.
    pub(crate) fn all(runs_dir: &Path) -> AllRecorded {
        let folders = fs::read_dir(runs_dir.join(FOLDER)).into_iter().flatten().flatten();
        let mut all = AllRecorded::default();
        for folder in folders.map(|folder| folder.path()).filter(|folder| folder.is_dir()) {
            match Self::read(&folder) {
                Ok(study) => all.read.push(study),
                Err(why) => all.damaged.push(Damaged { id: id_of(&folder), why }),
            }
        }
        all.read.sort_by(|a, b| (a.header.started, &a.folder).cmp(&(b.header.started, &b.folder)));
        all
    }

    /// `finished`, `running` where a process has it open, or `unfinished`: it can be resumed.
    pub(crate) fn state(&self) -> &'static str {
        let is_open =
            |file: File| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
        match self.finished {
            true => "finished",
            false if File::open(self.folder.join(FILE)).is_ok_and(is_open) => "running",
            false => "unfinished",
        }
    }

    /// How many of its runs were made: one that was interrupted is made again.
    pub(crate) fn done(&self) -> usize {
        self.done_slots().count()
    }

    /// Finds a study by its id or an unambiguous beginning of it, its name (then the newest),
    /// `latest`, or its folder.
    pub(crate) fn find(runs_dir: &Path, name: &str) -> Result<Self, JournalError> {
        let direct = Path::new(name);
        if direct.join(FILE).is_file() {
            return Self::read(&direct.canonicalize().unwrap_or_else(|_| direct.to_owned()));
        }
        let exact = runs_dir.join(FOLDER).join(name);
        if !name.is_empty() && exact.join(FILE).is_file() {
            return Self::read(&exact);
        }
        let AllRecorded { read, damaged } = Self::all(runs_dir);
        let begins = |one: &Self| name == LATEST || one.id().starts_with(name);
        let mut found: Vec<Self> = read.into_iter().filter(begins).collect();
        let is_newest = |one: &Self| name == LATEST || one.header.name == name;
        match found.iter().rposition(is_newest) {
            Some(newest) => Ok(found.swap_remove(newest)),
            None if found.len() == 1 && !name.is_empty() => Ok(found.swap_remove(0)),
            None if found.is_empty() || name.is_empty() => {
                let asked = |one: &Damaged| !name.is_empty() && one.id.starts_with(name);
                if let Some(one) = damaged.into_iter().find(|it| name == LATEST || asked(it)) {
                    return Err(one.why);
                }
                Err(JournalError::NoSuchStudy { name: name.to_owned(), dir: runs_dir.join(FOLDER) })
            }
            None => {
                let found = found.iter().map(Self::id).collect::<Vec<_>>().join(", ");
                Err(JournalError::Ambiguous { name: name.to_owned(), found })
            }
        }
    }

    /// Opens it for more. Errors when another process has it open.
    pub(crate) fn resume(self) -> Result<Journal, JournalError> {
        let path = self.folder.join(FILE);
        let file =
            OpenOptions::new().append(true).open(&path).map_err(io_error("cannot open", &path))?;
        lock(&file, &path)?;
        // What another process has written since it was read is read, too.
        let Self { folder, header, entries, made, whole, .. } = Self::read(&self.folder)?;
        // What follows must not run into a line that was cut.
        file.set_len(whole).map_err(io_error("cannot write", &path))?;
        Ok(Journal { folder, file, header, entries, made })
    }
}

/// Errors when another process has the journal open: not one that was just killed, whose lock goes a
/// moment later. A file system without locks only loses this protection.
fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(100)),
            _ => return Ok(()),
        }
    }
    Err(JournalError::Locked { path: path.to_owned() })
}

fn id_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Header {
    /// What another study of this name has in which it is not this one; nothing where it is the same
    /// study: the same cells, as often, on the same cluster, with the same workload.
    pub(crate) fn changed(&self, other: &Self) -> Vec<String> {
        let often = |header: &Self| (header.repeat, header.rounds);
        let is_known = !self.files.is_empty() && !other.files.is_empty();
        let files = self
            .files
            .iter()
            .filter(|(path, text)| other.files.get(*path).is_some_and(|now| now != *text));
        [
            ("its name", self.name != other.name),
            ("what it runs on", self.on != other.on),
            ("its cells", self.cells != other.cells),
            ("its repetitions or rounds", often(self) != often(other)),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(what, _)| what.to_owned())
        .chain(files.filter(|_| is_known).map(|(path, _)| format!("the workload file {path}")))
        .collect()
    }
}

impl Journal {
    /// Makes the folder and the journal of a new study below a runs directory.
    pub(crate) fn create(runs_dir: &Path, header: Header) -> Result<Self, JournalError> {
        let studies = runs_dir.join(FOLDER);
        fs::create_dir_all(&studies).map_err(io_error("cannot create", &studies))?;
        let time = header.started.strftime("%Y%m%d-%H%M%S").to_string();
        let id = (0..).map(|number| match number {
            0 => format!("{}-{time}", header.name),
            more => format!("{}-{time}-{more}", header.name),
        });
        let mut folders = id.map(|id| studies.join(id));
        let folder = loop {
            let folder = folders.next().expect("numbers do not end");
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => {
                    break made
                        .map(|()| folder.clone())
                        .map_err(io_error("cannot create", &folder))?;
                }
            }
        };
        let path = folder.join(FILE);
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error("cannot create", &path))?;
        lock(&file, &path)?;
        let mut journal = Self { folder, file, header, entries: Vec::new(), made: Vec::new() };
        let header = serde_json::to_vec(&journal.header).expect("is plain data");
        journal.append(header)?;
        // A new file is only there after a power loss when its directories were synced, too.
        for directory in [journal.folder.as_path(), &studies] {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(io_error("cannot sync", directory))?;
        }
        Ok(journal)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn id(&self) -> String {
        id_of(&self.folder)
    }

    /// Before a run: it is on the disk when this returns.
    pub(crate) fn begin(&mut self, run: &str, slot: Slot) -> Result<(), JournalError> {
        let Slot { cell, repetition } = slot;
        self.line(&Line::Begun { run: run.to_owned(), cell, repetition })?;
        self.entries.push(Entry { run: run.to_owned(), slot, end: None });
        Ok(())
    }

    pub(crate) fn end(
        &mut self,
        run: &str,
        done: bool,
        took: Option<Duration>,
    ) -> Result<(), JournalError> {
        let end = RunEnd { run: run.to_owned(), done, took: took.map(Seconds::from) };
        self.line(&Line::Ended(end.clone()))?;
        let entry = self.entries.iter_mut().find(|entry| entry.run == run);
        entry.into_iter().for_each(|entry| entry.end = Some(end.clone()));
        Ok(())
    }

    pub(crate) fn made(&mut self, cluster: usize) -> Result<(), JournalError> {
        self.made.push(cluster);
        self.line(&Line::Made { cluster })
    }

    pub(crate) fn finish(&mut self, at: jiff::Timestamp) -> Result<(), JournalError> {
        self.line(&Line::Finished { at })
    }

    fn line(&mut self, line: &Line) -> Result<(), JournalError> {
        self.append(serde_json::to_vec(line).expect("is plain data"))
    }

    fn append(&mut self, mut line: Vec<u8>) -> Result<(), JournalError> {
        line.push(b'\n');
        let path = self.folder.join(FILE);
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(io_error("cannot write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str) -> Header {
        let cell = CellRecord {
            name: "all".into(),
            choices: Vec::new(),
            cluster: 0,
            experiment: serde_json::json!({"name": "x"}),
            kind_config: None,
        };
        Header {
            format: FORMAT.into(),
            name: name.into(),
            question: None,
            file: "s.yaml".into(),
            started: "2026-01-01T00:00:00Z".parse().unwrap(),
            on: Ground::Embedded,
            seed: 7,
            repeat: 3,
            rounds: 3,
            nodes: 1000,
            cells: vec![cell],
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn a_study_with_another_text_of_its_workload_is_another() {
        let with = |files: &[(&str, &str)]| {
            let files = files.iter().map(|(path, text)| ((*path).into(), (*text).into()));
            Header { files: files.collect(), ..header("s") }
        };
        let begun = with(&[("web.yaml", "a"), ("db.yaml", "b")]);
        assert_eq!(begun.changed(&begun), Vec::<String>::new());
        let now = with(&[("web.yaml", "A"), ("db.yaml", "b")]);
        assert_eq!(begun.changed(&now), ["the workload file web.yaml"]);
        assert_eq!(with(&[]).changed(&now), Vec::<String>::new(), "an earlier version's");
        let more = Header { repeat: 4, on: Ground::Kind, ..begun.clone() };
        assert_eq!(begun.changed(&more), ["what it runs on", "its repetitions or rounds"]);
    }

    #[test]
    fn a_damaged_journal_is_named_and_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let whole = Journal::create(dir.path(), header("one")).unwrap().id();
        let broken = Journal::create(dir.path(), header("two")).unwrap();
        fs::write(broken.folder().join(FILE), "{\n").unwrap();
        let find = |name: &str| Recorded::find(dir.path(), name);
        assert_eq!(find("latest").unwrap().id(), whole);
        assert!(matches!(find("two"), Err(JournalError::Format { .. })));
        let all = Recorded::all(dir.path());
        let damaged: Vec<&str> = all.damaged.iter().map(|one| one.id.as_str()).collect();
        assert_eq!((all.read.len(), damaged), (1, vec![broken.id().as_str()]));
    }

    #[test]
    fn a_run_of_a_cell_that_the_study_does_not_have_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(dir.path(), header("one")).unwrap();
        journal.begin("r", Slot { cell: 1, repetition: 1 }).unwrap();
        let error = Recorded::read(journal.folder()).unwrap_err().to_string();
        assert!(error.ends_with("it has a run of cell 2, and 1 cell"), "{error}");
    }

    fn slot(repetition: u32) -> Slot {
        Slot { cell: 0, repetition }
    }

    #[test]
    fn it_goes_on_from_a_cut_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(dir.path(), header("s")).unwrap();
        journal.made(0).unwrap();
        for repetition in 1..=3 {
            let run = format!("r{repetition}");
            journal.begin(&run, slot(repetition)).unwrap();
            let took = (repetition < 3).then_some(Duration::from_secs(5));
            journal.end(&run, repetition < 3, took).unwrap();
        }
        journal.finish("2026-01-01T01:00:00Z".parse().unwrap()).unwrap();
        let (folder, all) = (journal.folder().to_owned(), journal.entries.clone());
        drop(journal);
        let path = folder.join(FILE);
        let bytes = fs::read(&path).unwrap();
        let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in 0..=bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let read = Recorded::read(&folder);
            if cut < first {
                assert!(read.is_err(), "no study without what it is: byte {cut}");
                continue;
            }
            let read = read.unwrap();
            assert_eq!(read.finished, cut == bytes.len());
            let lines = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            let begun = lines.saturating_sub(1) / 2;
            assert_eq!(read.entries.len(), begun.min(3), "byte {cut}");
            for (entry, whole) in read.entries.iter().zip(&all) {
                assert!(entry.end.is_none() || entry == whole, "byte {cut}");
            }
            // What follows is read back, and nothing of what was there is lost.
            let mut journal = read.clone().resume().unwrap();
            journal.begin("more", slot(9)).unwrap();
            drop(journal);
            let again = Recorded::read(&folder).unwrap();
            assert_eq!(again.entries[..begun.min(3)], read.entries[..], "byte {cut}");
            assert_eq!(again.entries.last().unwrap().slot, slot(9), "byte {cut}");
        }
    }

    #[test]
    fn a_study_is_found_by_its_name_id_or_folder() {
        let dir = tempfile::tempdir().unwrap();
        let find = |name: &str| Recorded::find(dir.path(), name).map(|found| found.id());
        assert!(matches!(find("latest"), Err(JournalError::NoSuchStudy { .. })));
        let first = Journal::create(dir.path(), header("one")).unwrap().id();
        let second = Journal::create(dir.path(), header("one")).unwrap();
        let other = Journal::create(dir.path(), header("other")).unwrap().id();
        assert_eq!(first, "one-20260101-000000");
        assert_eq!((find("one").unwrap(), find(&first).unwrap()), (second.id(), first));
        assert_eq!(find("latest").unwrap(), other);
        assert_eq!(find("ot").unwrap(), other);
        assert!(matches!(find("one-2026"), Err(JournalError::Ambiguous { .. })));
        assert!(matches!(find("x"), Err(JournalError::NoSuchStudy { .. })));
        assert!(matches!(find(""), Err(JournalError::NoSuchStudy { .. })));
        assert_eq!(find(&second.folder().to_string_lossy()).unwrap(), second.id());
    }

    #[test]
    fn one_process_runs_a_study() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), header("one")).unwrap();
        let read = Recorded::read(journal.folder()).unwrap();
        assert!(matches!(read.clone().resume(), Err(JournalError::Locked { .. })));
        drop(journal);
        read.resume().unwrap();
    }
}

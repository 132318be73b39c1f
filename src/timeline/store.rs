//! The folder of a run: written while the run goes on, readable after a crash.
//!
//! `events.jsonl` has the [`Header`] as its first line and a [`Record`] a line after it;
//! `<probe>.attempts` has a probe's attempts; `latest` in the runs directory links to the newest
//! run. Who writes holds a lock on the events, which ends with the process: a folder without an end
//! whose lock is free is that of a run that died.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::attempts::{AttemptReader, AttemptWriter, ProbeSpan};
use super::header::Header;
use super::record::{Event, Record};

const EVENTS: &str = "events.jsonl";
const ATTEMPTS: &str = "attempts";
const LATEST: &str = "latest";

/// Why a run's folder can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} cannot be read: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such run.
    #[error("no run {name} in {}", dir.display())]
    NoSuchRun {
        /// The run that was asked for.
        name: String,
        /// The runs directory.
        dir: PathBuf,
    },
    /// Several runs begin so.
    #[error("{} runs begin with {name}: {} and {}", found.len(), found[0], found[found.len() - 1])]
    Ambiguous {
        /// The beginning that was asked for.
        name: String,
        /// The runs, oldest first, two at least.
        found: Vec<String>,
    },
}

impl StoreError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            StoreError::NoSuchRun { .. } => {
                Some("`kubectl outage get runs` lists the runs; --runs-dir names another directory")
            }
            StoreError::Io { source, .. } => hint_of(source.kind()),
            StoreError::Ambiguous { .. } => {
                Some("use more characters of the ID; `kubectl outage get runs` lists the runs")
            }
            StoreError::Format { .. } => None,
        }
    }
}

fn hint_of(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::PermissionDenied => {
            Some("choose a directory that you may write to, with --runs-dir")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: choose another directory with --runs-dir")
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            Some("a file is where a directory is needed: choose another directory with --runs-dir")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free disk space, or choose a directory on another one with --runs-dir")
        }
        _ => None,
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

/// A run's folder, being written. Every record is handed to the system immediately, so that a crash
/// of this program loses none.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    events: File,
}

impl RunFolder {
    /// Makes the folder `runs_dir/<run>` and points `latest` to it. Errors when it exists or the
    /// directory can't be written.
    pub fn create(runs_dir: &Path, header: &Header) -> Result<Self, StoreError> {
        fs::create_dir_all(runs_dir).map_err(io_error("cannot create", runs_dir))?;
        let path = runs_dir.join(&header.run);
        fs::create_dir(&path).map_err(io_error("cannot create", &path))?;
        let file = path.join(EVENTS);
        let events = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&file)
            .map_err(io_error("cannot create", &file))?;
        // A file system without locks only loses the difference between a run that goes on and one
        // that died.
        let _ = events.try_lock();
        let mut folder = Self { path, events };
        folder.line(header)?;
        point_latest(runs_dir, &header.run);
        Ok(folder)
    }

    /// Appends one record.
    pub fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.line(record)
    }

    /// Makes the file of a probe's attempts.
    pub fn probe(&self, span: &ProbeSpan) -> Result<AttemptWriter<BufWriter<File>>, StoreError> {
        let path = self.path.join(format!("{}.{ATTEMPTS}", span.probe.name));
        let file = File::create(&path).map_err(io_error("cannot create", &path))?;
        AttemptWriter::new(BufWriter::new(file), span).map_err(io_error("cannot write", &path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the events are on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.events.sync_data().map_err(io_error("cannot sync", &self.path))
    }

    fn line(&mut self, value: &impl serde::Serialize) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(value).expect("records are plain data");
        line.push(b'\n');
        self.events.write_all(&line).map_err(io_error("cannot write", &self.path.join(EVENTS)))
    }
}

/// A convenience only: a file system without links has no `latest`.
fn point_latest(runs_dir: &Path, run: &str) {
    #[cfg(unix)]
    {
        let fresh = runs_dir.join(format!(".{LATEST}-{run}"));
        if std::os::unix::fs::symlink(run, &fresh).is_ok()
            && fs::rename(&fresh, runs_dir.join(LATEST)).is_err()
        {
            let _ = fs::remove_file(&fresh);
        }
    }
}

/// A run as it was read: all that analysis, verdict and report know of it.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The first line.
    pub header: Header,
    /// All records, in the order in which they were learned of.
    pub records: Vec<Record>,
    /// Each probe's attempts.
    pub probes: Vec<ProbeFile>,
    /// What could not be read, for people: lines cut by a crash, unknown records.
    pub damage: Vec<String>,
    /// Whether it was still being written when it was read.
    pub growing: bool,
}

/// A probe's file of attempts, read but not decoded.
#[derive(Clone, Debug)]
pub struct ProbeFile {
    /// What it is about.
    pub span: ProbeSpan,
    /// The file.
    bytes: Vec<u8>,
}

impl ProbeFile {
    /// Takes a whole file.
    pub fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let (span, _) = AttemptReader::open(&bytes)?;
        Ok(Self { span, bytes })
    }

    /// The attempts, in the order in which they ended.
    pub fn attempts(&self) -> AttemptReader<'_> {
        AttemptReader::open(&self.bytes).expect("was opened before").1
    }
}

impl Timeline {
    /// Reads a run's folder. What a crash cut off is left out and named in `damage`; only a missing
    /// or foreign header is an error.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(EVENTS);
        // Before the text: a run that ends in between is complete, not dead.
        let growing = is_written(&path);
        let text = fs::read(&path).map_err(io_error("cannot read", &path))?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.split_inclusive('\n').enumerate();
        let header = lines.next().map_or("", |(_, line)| line);
        let header =
            read_header(header).map_err(|why| StoreError::Format { path: path.clone(), why })?;
        let (mut records, mut damage) = (Vec::new(), Vec::new());
        for (number, line) in lines {
            match serde_json::from_str(line) {
                Ok(record) => records.push(record),
                Err(_) if !line.ends_with('\n') && growing => {}
                Err(_) if !line.ends_with('\n') => {
                    damage.push(format!("{EVENTS} ends in the middle of line {}", number + 1))
                }
                Err(error) => {
                    damage.push(format!("{EVENTS} line {} cannot be parsed: {error}", number + 1))
                }
            }
        }
        // A record made in one task may be written after a later one of another.
        records.sort_by_key(|record: &Record| record.at);
        super::earlier::complete(&mut records);
        let probes = read_probes(folder, &mut damage)?;
        Ok(Self { header, records, probes, damage, growing })
    }

    /// Finds a run by its id, an unambiguous beginning of it, `latest`, or its folder's path.
    pub fn find(runs_dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
        let missing = || StoreError::NoSuchRun { name: name.to_owned(), dir: runs_dir.to_owned() };
        let direct = Path::new(name);
        if direct.join(EVENTS).is_file() {
            return Ok(direct.to_owned());
        }
        let exact = runs_dir.join(name);
        if exact.join(EVENTS).is_file() {
            return Ok(exact);
        }
        let id =
            |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found: Vec<PathBuf> =
            list(runs_dir)?.into_iter().filter(|path| id(path).starts_with(name)).collect();
        match &found[..] {
            [path] if !name.is_empty() => Ok(path.clone()),
            [_, _, ..] if !name.is_empty() => Err(StoreError::Ambiguous {
                name: name.to_owned(),
                found: found.iter().map(id).collect(),
            }),
            _ => Err(missing()),
        }
    }

    /// Whether the run came to its own end.
    pub fn ended(&self) -> bool {
        self.records.iter().any(|record| record.event == Event::Ended)
    }

    /// A probe's file, by name.
    pub fn probe(&self, name: &str) -> Option<&ProbeFile> {
        self.probes.iter().find(|probe| probe.span.probe.name == name)
    }
}

/// Whether somebody holds the lock of a run's events.
fn is_written(events: &Path) -> bool {
    File::open(events)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// The folders of all runs, oldest first by name (ids begin with their time). A directory that is
/// not there has none.
pub fn list(runs_dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(runs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("cannot read", runs_dir))?,
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|name| name != LATEST) && path.join(EVENTS).is_file()
        })
        .collect();
    folders.sort();
    Ok(folders)
}

/// The header of a run's folder alone, for listings.
pub fn header_of(folder: &Path) -> Result<Header, StoreError> {
    use io::BufRead;
    let path = folder.join(EVENTS);
    let mut line = String::new();
    io::BufReader::new(File::open(&path).map_err(io_error("cannot read", &path))?)
        .read_line(&mut line)
        .map_err(io_error("cannot read", &path))?;
    read_header(&line).map_err(|why| StoreError::Format { path, why })
}

fn read_header(line: &str) -> Result<Header, String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|e| format!("its first line is not a header: {e}"))?;
    match value.get("format").and_then(|f| f.as_str()) {
        Some(Header::FORMAT) => {
            serde_json::from_value(value).map_err(|e| format!("its header cannot be parsed: {e}"))
        }
        Some(other) => {
            Err(format!("it has the format {other}, this program reads {}", Header::FORMAT))
        }
        None => Err("its first line names no format".into()),
    }
}

fn read_probes(folder: &Path, damage: &mut Vec<String>) -> Result<Vec<ProbeFile>, StoreError> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(io_error("cannot read", folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == ATTEMPTS))
        .collect();
    paths.sort();
    let mut probes = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(io_error("cannot read", &path))?;
        match ProbeFile::new(bytes) {
            Ok(probe) => probes.push(probe),
            Err(why) => damage
                .push(format!("{}: {why}", path.file_name().unwrap_or_default().to_string_lossy())),
        }
    }
    Ok(probes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_runs_directory_is_told_with_what_helps() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let hint = |dir: &Path| list(dir).unwrap_err().hint();
        assert!(hint(&file).unwrap().starts_with("a file is where a directory is needed"));
        let making = fs::create_dir_all(file.join("runs"))
            .map_err(io_error("cannot create", &file))
            .unwrap_err();
        assert!(making.hint().unwrap().starts_with("a file is where a directory is needed"));
        assert!(hint_of(io::ErrorKind::StorageFull).unwrap().starts_with("free disk space"));
        assert!(hint_of(io::ErrorKind::PermissionDenied).unwrap().contains("may write to"));
    }

    #[test]
    fn a_run_is_growing_as_long_as_its_writer_lives() {
        let root = tempfile::tempdir().unwrap();
        let events = root.path().join(EVENTS);
        let writer = File::create(&events).unwrap();
        assert!(!is_written(&events), "nobody has said that it writes");
        writer.try_lock().unwrap();
        assert!(is_written(&events));
        drop(writer);
        assert!(!is_written(&events));
    }
}

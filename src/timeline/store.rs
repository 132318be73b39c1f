//! The folder of a run: written while the run goes on, readable after a crash.
//!
//! `events.jsonl` has the [`Header`] as its first line and a [`Record`] a line after it, each with a
//! checksum; `<probe>.attempts` has a probe's attempts; `latest` in the runs directory links to the
//! newest run. Who writes holds a lock on the events, which ends with the process: a folder without an end
//! whose lock is free is that of a run that died.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::attempts_file::{AttemptWriter, ProbeFile, ProbeSpan};
use super::bounded::json_problem;
use super::checked_line::{self, Checksum};
use super::clock::{Bracket, Moment};
use super::counted::first_of;
use super::damage::{Damage, Extent, Stream};
use super::header::Header;
use super::record::{Event, Record};

const EVENTS: &str = "events.jsonl";
const ATTEMPTS: &str = "attempts";
const LATEST: &str = "latest";
/// How long the time is with which a run's id begins: `20260101-000000`.
const ID_TIME: usize = 15;

/// Why a run's folder can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// A file is not what it should be.
    #[error("{} cannot be read: {why}", path.display())]
    Format { path: PathBuf, why: String },
    #[error("no run {name} in {}", dir.display())]
    NoSuchRun { name: String, dir: PathBuf },
    /// Several runs begin so.
    #[error("{} runs begin with {name}: {}", found.len(), candidates(found))]
    Ambiguous {
        /// The beginning that was asked for.
        name: String,
        /// The runs, oldest first, two at least.
        found: Vec<String>,
    },
}

fn candidates(found: &[String]) -> String {
    first_of(found, 5)
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
    /// The checksum of the last line of the events.
    last: u32,
}

impl RunFolder {
    /// Errors when no run can be recorded there. Makes the runs directory when absent.
    pub fn check(runs_dir: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(runs_dir).map_err(io_error("cannot create", runs_dir))?;
        let trial = runs_dir.join(format!(".trial-{}", std::process::id()));
        fs::create_dir(&trial)
            .and_then(|()| fs::remove_dir(&trial))
            .map_err(io_error("cannot write to", runs_dir))
    }

    /// Makes the folder `runs_dir/<run>` and points `latest` to it. Errors when it exists or the
    /// directory can't be written.
    pub fn create(runs_dir: &Path, header: &Header) -> Result<Self, StoreError> {
        fs::create_dir_all(runs_dir).map_err(io_error("cannot create", runs_dir))?;
        let path = runs_dir.join(&header.run);
        // What a run records of a cluster is nobody else's business.
        let mut own = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut own, 0o700);
        own.create(&path).map_err(io_error("cannot create", &path))?;
        let file = path.join(EVENTS);
        let events = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&file)
            .map_err(io_error("cannot create", &file))?;
        // A file system without locks only loses the difference between a run that goes on and one
        // that died.
        let _ = events.try_lock();
        let mut folder = Self { path, events, last: 0 };
        folder.line(header)?;
        point_latest(runs_dir, &header.run);
        Ok(folder)
    }

    pub fn record(&mut self, record: &Record) -> Result<(), StoreError> {
        self.line(record)
    }

    pub fn probe(&self, span: &ProbeSpan) -> Result<AttemptWriter<BufWriter<File>>, StoreError> {
        let path = self.path.join(format!("{}.{ATTEMPTS}", span.probe.name));
        let file = File::create(&path).map_err(io_error("cannot create", &path))?;
        AttemptWriter::new(BufWriter::new(file), span).map_err(io_error("cannot write", &path))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the events are on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.events.sync_data().map_err(io_error("cannot sync", &self.path))
    }

    fn line(&mut self, value: &impl serde::Serialize) -> Result<(), StoreError> {
        let line = checked_line::write(value, &mut self.last).expect("records are plain data");
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
    pub header: Header,
    /// All records, in the order in which they were learned of.
    pub records: Vec<Record>,
    pub probes: Vec<ProbeFile>,
    /// What could not be read. A run that is still being written ends where it ends.
    pub damage: Vec<Damage>,
    /// Whether it was still being written when it was read.
    pub growing: bool,
}

impl Timeline {
    /// Reads a run's folder. What a crash cut off is left out and named in `damage`; only a missing
    /// or foreign header is an error.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(EVENTS);
        // Before the text: a run that ends in between is complete, not dead.
        let growing = is_written(&path);
        let bytes = fs::read(&path).map_err(no_events(folder))?;
        let first = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |end| end + 1);
        let (line, rest) = bytes.split_at(first);
        let header =
            read_header(line).map_err(|why| StoreError::Format { path: path.clone(), why })?;
        let previous = match header.format.as_str() {
            Header::EARLIER => Previous::Unchecked,
            Header::BY_LINE => Previous::Apart,
            _ => Previous::Line(checked_line::carried(line).unwrap_or_default()),
        };
        let mut damage = Vec::new();
        let mut records = read_records(rest, previous, growing, &mut damage);
        // A record made in one task may be written after a later one of another.
        records.sort_by_key(|record: &Record| record.at);
        super::earlier::complete(&mut records);
        let probes = read_probes(folder, &mut damage)?;
        let mut timeline = Self { header, records, probes, damage: Vec::new(), growing };
        damage
            .extend(timeline.probes.iter_mut().flat_map(|probe| std::mem::take(&mut probe.damage)));
        if growing {
            damage.retain(|damage| damage.extent == Extent::Part);
        } else {
            damage.extend(timeline.ending_early(&damage));
        }
        damage.extend(timeline.records.iter().filter_map(unwritten));
        timeline.damage = damage;
        timeline.widen_clocks();
        Ok(timeline)
    }

    /// A prober's clock that drifted makes all that it stamped less certain.
    fn widen_clocks(&mut self) {
        for record in &self.records {
            let Event::ClockDrift { probes, uncertainty_ns } = &record.event else { continue };
            for file in self.probes.iter_mut().filter(|file| probes.contains(&file.span.probe.name))
            {
                let known = &mut file.span.clock_uncertainty_ns;
                *known = (*known).max(*uncertainty_ns);
            }
        }
    }

    /// The probes whose attempts end before the probe was stopped, and those that have no file.
    fn ending_early(&self, known: &[Damage]) -> Vec<Damage> {
        let stopped = self.records.iter().filter_map(|record| match &record.event {
            Event::ProbeStopped { probe, .. } => Some((probe, record.at)),
            _ => None,
        });
        let early = |(probe, stopped): (&String, Moment)| {
            let Some(file) = self.probe(probe) else {
                return Some(Damage::ends_early(probe, None, "the file is missing"));
            };
            match file.finished {
                Some(true) => None,
                Some(false) => {
                    Some(Damage::ends_early(probe, file.last(), "the file is truncated"))
                }
                None => {
                    let last = file.last();
                    let due = last.unwrap_or(file.span.start).plus(file.span.patience());
                    (due < stopped).then(|| {
                        Damage::ends_early(probe, last, "no attempts until the probe was stopped")
                    })
                }
            }
        };
        let is_known = |one: &Damage| {
            known.iter().any(|other| other.stream == one.stream && other.extent == Extent::ToTheEnd)
        };
        stopped.filter_map(early).filter(|one| !is_known(one)).collect()
    }

    /// Finds a run by its id, an unambiguous beginning of it, `latest` (the one that began last), or
    /// its folder's path. Errors when the latest can't be read: an earlier one's verdict is not its.
    pub fn find(runs_dir: &Path, name: &str) -> Result<PathBuf, StoreError> {
        let missing = || StoreError::NoSuchRun { name: name.to_owned(), dir: runs_dir.to_owned() };
        if name == LATEST {
            return latest(runs_dir)?.ok_or_else(missing);
        }
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

    pub fn probe(&self, name: &str) -> Option<&ProbeFile> {
        self.probes.iter().find(|probe| probe.span.probe.name == name)
    }
}

/// Whether somebody holds the lock of a run's events.
fn is_written(events: &Path) -> bool {
    File::open(events)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// Whether a name begins as a run's id does: with a date.
fn is_id(name: &str) -> bool {
    name.split_once('-')
        .is_some_and(|(date, _)| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()))
}

/// The folder of the run that began last: by the time in its id, and within a second by its clock.
/// Errors when that one can't be read.
fn latest(runs_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    let folders = list(runs_dir)?;
    let Some(time) = folders.iter().map(|folder| id_time(folder)).max() else { return Ok(None) };
    let mut newest = None;
    for folder in folders.iter().filter(|folder| id_time(folder) == time) {
        let header = header_of(folder);
        // A folder of another name that can't be read may be anything.
        if time.is_empty() && header.is_err() {
            continue;
        }
        // Of what can't be read it is not known that it did not begin last.
        let wall = header.as_ref().ok().map(|header| header.anchor.wall);
        let began = (wall.is_none(), wall);
        if newest.as_ref().is_none_or(|(other, _)| *other <= began) {
            newest = Some((began, header.map(|_| folder.clone())));
        }
    }
    newest.map(|(_, folder)| folder).transpose()
}

/// The time in the id of a run; empty where its folder has another name.
fn id_time(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if is_id(&name) { name.get(..ID_TIME).unwrap_or(&name).to_owned() } else { String::new() }
}

/// The folders of all runs, oldest first by name (ids begin with their time), those that cannot be
/// read included. A directory that is not there has none.
pub fn list(runs_dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(runs_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(io_error("cannot read", runs_dir))?,
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_other = name == LATEST || name.starts_with('.') || !path.is_dir();
            !is_other && (is_id(&name) || is_record(path))
        })
        .collect();
    folders.sort();
    Ok(folders)
}

/// Whether a folder has the events of a run.
pub fn is_record(folder: &Path) -> bool {
    folder.join(EVENTS).is_file()
}

/// The header of a run's folder alone, for listings.
pub fn header_of(folder: &Path) -> Result<Header, StoreError> {
    use io::BufRead;
    let path = folder.join(EVENTS);
    let mut line = Vec::new();
    io::BufReader::new(File::open(&path).map_err(no_events(folder))?)
        .read_until(b'\n', &mut line)
        .map_err(io_error("cannot read", &path))?;
    read_header(&line).map_err(|why| StoreError::Format { path, why })
}

/// A folder whose events can't be opened is that of a run that ended before it wrote any, or it is
/// not a run's.
fn no_events(folder: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let folder = folder.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => {
            StoreError::Format { path: folder, why: format!("it has no {EVENTS}") }
        }
        _ => io_error("cannot read", &folder.join(EVENTS))(source),
    }
}

fn read_header(line: &[u8]) -> Result<Header, String> {
    if line.trim_ascii().is_empty() {
        return Err("it is empty: nothing of the run was recorded".into());
    }
    let value: serde_json::Value = serde_json::from_slice(line)
        .map_err(|error| format!("its first line is damaged: {}", json_problem(&error)))?;
    match (value.get("format").and_then(|f| f.as_str()), checked_line::check(line, 0)) {
        (Some(Header::FORMAT | Header::BY_LINE), Checksum::Good)
        | (Some(Header::EARLIER), Checksum::Missing) => {}
        (Some(Header::FORMAT | Header::BY_LINE), Checksum::Missing) => {
            return Err("its first line has no checksum".into());
        }
        (Some(_), Checksum::Bad) => return Err("its first line does not match its checksum".into()),
        (Some(other), _) => {
            return Err(format!(
                "it has the format {other}, this program reads {}",
                Header::FORMAT
            ));
        }
        (None, _) => return Err("its first line names no format".into()),
    }
    serde_json::from_value(value)
        .map_err(|error| format!("its first line is damaged: {}", json_problem(&error)))
}

/// What a line's checksum starts from.
#[derive(Clone, Copy)]
enum Previous {
    /// It has none.
    Unchecked,
    /// From nothing.
    Apart,
    /// From the checksum of the line before it.
    Line(u32),
}

impl Previous {
    /// Why a line can't be believed.
    fn problem(self, line: &[u8]) -> Option<&'static str> {
        let previous = if let Self::Line(checksum) = self { checksum } else { 0 };
        match checked_line::check(line, previous) {
            Checksum::Good => None,
            Checksum::Missing => (!matches!(self, Self::Unchecked)).then_some("has no checksum"),
            // It was changed, or the line before it was removed.
            Checksum::Bad => Some("does not match its checksum, or a line before it is missing"),
        }
    }

    /// What the checksum of the next line starts from.
    fn after(self, line: &[u8]) -> Self {
        match self {
            Self::Line(_) => Self::Line(checked_line::carried(line).unwrap_or_default()),
            other => other,
        }
    }
}

/// Reads the lines after the header. Those that can't be read are reported as damage, from the
/// record before them to the record after them.
fn read_records(
    bytes: &[u8],
    mut previous: Previous,
    growing: bool,
    damage: &mut Vec<Damage>,
) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let (first, mut open) = (damage.len(), false);
    for (number, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        let read = match previous.problem(line) {
            Some(why) => Err(why),
            None => serde_json::from_slice::<Record>(line).map_err(|_| "is not a record"),
        };
        previous = previous.after(line);
        let last = records.last().map(|record| record.at);
        if read.is_err() && read_header(line).is_ok() {
            damage.push(Damage {
                stream: Stream::Records,
                extent: Extent::Part,
                from: last,
                until: last,
                why: format!(
                    "line {} of {EVENTS} begins another run: the rest is ignored",
                    number + 2
                ),
            });
            break;
        }
        match read {
            Ok(record) => {
                if std::mem::take(&mut open) {
                    let one = damage.last_mut().expect("is open");
                    one.until = Some(record.at);
                }
                records.push(record);
            }
            // The line that is being written.
            Err(_) if !line.ends_with(b"\n") && growing => {}
            Err(_) if open => {}
            Err(why) => {
                let cut = !line.ends_with(b"\n");
                let why = if cut { "is truncated" } else { why };
                damage.push(Damage {
                    stream: Stream::Records,
                    extent: if cut { Extent::ToTheEnd } else { Extent::Part },
                    from: last,
                    until: None,
                    why: format!("line {} of {EVENTS} {why}", number + 2),
                });
                open = true;
            }
        }
    }
    // Records of several tasks are not quite in the order of their times.
    let times = |damage: &mut Damage| {
        (damage.from, damage.until) = match (damage.from, damage.until) {
            (Some(a), Some(b)) => (Some(a.min(b)), Some(a.max(b))),
            other => other,
        };
    };
    damage[first..].iter_mut().for_each(times);
    records
}

/// Attempts that a prober had no room for.
fn unwritten(record: &Record) -> Option<Damage> {
    let Event::AttemptsLost { probe, attempts } = &record.event else { return None };
    let Bracket { earliest, latest } = record.bracket();
    let noun = if *attempts == 1 { "attempt is" } else { "attempts are" };
    Some(Damage {
        stream: Stream::Attempts(probe.clone()),
        extent: Extent::Unwritten,
        from: Some(earliest),
        until: Some(latest),
        why: format!(
            "{attempts} {noun} lost, because the prober's memory was full while its connection was \
             broken"
        ),
    })
}

fn read_probes(folder: &Path, damage: &mut Vec<Damage>) -> Result<Vec<ProbeFile>, StoreError> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(io_error("cannot read", folder))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == ATTEMPTS))
        .collect();
    paths.sort();
    let mut probes = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).map_err(io_error("cannot read", &path))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match ProbeFile::new(bytes) {
            Ok(probe) if probe.span.probe.name == name => probes.push(probe),
            Ok(probe) => {
                let why = format!("the file has the attempts of {}", probe.span.probe.name);
                damage.push(Damage::ends_early(&name, None, why));
            }
            Err(why) => damage.push(Damage::ends_early(&name, None, why)),
        }
    }
    Ok(probes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_directory_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        RunFolder::check(&dir.path().join("runs")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(RunFolder::check(&dir.path().join("file")).unwrap_err().hint().is_some());
    }

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
    fn what_follows_a_second_beginning_is_ignored() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/kubelet-stop");
        let copy = tempfile::tempdir().unwrap();
        let events = fs::read(recorded.join(EVENTS)).unwrap();
        fs::write(copy.path().join(EVENTS), [&events[..], &events[..]].concat()).unwrap();
        let (once, twice) =
            (Timeline::read(&recorded).unwrap(), Timeline::read(copy.path()).unwrap());
        assert_eq!(twice.records, once.records);
        let [damage] = &twice
            .damage
            .iter()
            .filter(|one| one.stream == Stream::Records)
            .collect::<Vec<_>>()[..]
        else {
            panic!("{:?}", twice.damage)
        };
        assert!(
            damage.to_string().ends_with("begins another run: the rest is ignored"),
            "{damage}"
        );
        assert_eq!(damage.from, damage.until);
    }

    #[test]
    fn the_latest_run_is_the_one_that_began_last() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/kubelet-stop");
        let runs = tempfile::tempdir().unwrap();
        let missing = Timeline::find(runs.path(), LATEST).unwrap_err();
        assert!(matches!(missing, StoreError::NoSuchRun { .. }), "{missing}");
        let mut header = header_of(&recorded).unwrap();
        header.format = Header::FORMAT.into();
        for (run, later) in [("a-newer", 1), ("b-older", 0)] {
            header.run = run.into();
            let mut began = header.clone();
            began.anchor.wall += std::time::Duration::from_secs(later);
            RunFolder::create(runs.path(), &began).unwrap();
        }
        fs::remove_file(runs.path().join(LATEST)).unwrap();
        fs::create_dir(runs.path().join("20260101-000000-none")).unwrap();
        fs::create_dir(runs.path().join("other")).unwrap();
        let error = Timeline::find(runs.path(), LATEST).unwrap_err().to_string();
        assert!(error.contains("20260101-000000-none cannot be read"), "{error}");
        let listed = list(runs.path()).unwrap();
        assert_eq!(listed.len(), 3, "{listed:?}");
        let empty = Timeline::read(&listed[0]).unwrap_err().to_string();
        assert!(empty.ends_with("cannot be read: it has no events.jsonl"), "{empty}");
        fs::remove_dir(&listed[0]).unwrap();
        assert_eq!(Timeline::find(runs.path(), LATEST).unwrap(), runs.path().join("a-newer"));
        // An id says when its run began, to the second.
        for (run, later) in
            [("20260102-000000-b", 2), ("20260102-000000-a", 3), ("20260101-000000-c", 4)]
        {
            header.run = run.into();
            let mut began = header.clone();
            began.anchor.wall += std::time::Duration::from_secs(later);
            RunFolder::create(runs.path(), &began).unwrap();
        }
        let latest = Timeline::find(runs.path(), LATEST).unwrap();
        assert_eq!(latest, runs.path().join("20260102-000000-a"));
        fs::create_dir(runs.path().join("20260101-235959-none")).unwrap();
        assert_eq!(Timeline::find(runs.path(), LATEST).unwrap(), latest, "it is older");
    }

    #[test]
    fn candidates_are_listed_up_to_five() {
        let error = |count: usize| {
            let found = (0..count).map(|number| format!("2026-{number}")).collect();
            StoreError::Ambiguous { name: "2026".into(), found }.to_string()
        };
        assert_eq!(error(2), "2 runs begin with 2026: 2026-0, 2026-1");
        assert_eq!(
            error(7),
            "7 runs begin with 2026: 2026-0, 2026-1, 2026-2, 2026-3, 2026-4 and 2 more"
        );
    }

    #[test]
    fn lost_attempts_are_damage_and_a_drifted_clock_is_less_certain() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/kubelet-stop");
        let recorded = Timeline::read(&recorded).unwrap();
        let (span, runs) = (&recorded.probes[0].span, tempfile::tempdir().unwrap());
        let header = Header { format: Header::FORMAT.into(), ..recorded.header.clone() };
        let mut folder = RunFolder::create(runs.path(), &header).unwrap();
        let span = ProbeSpan { format: ProbeSpan::FORMAT.into(), ..span.clone() };
        folder.probe(&span).unwrap().finish().unwrap();
        let (probe, from, until) = (span.probe.name.clone(), Moment(7), Moment(9));
        for event in [
            Event::AttemptsLost { probe: probe.clone(), attempts: 12 },
            Event::ClockDrift { probes: vec![probe.clone()], uncertainty_ns: 5_000_000 },
            Event::ClockDrift { probes: vec!["other".into()], uncertainty_ns: u64::MAX },
        ] {
            folder.record(&Record { at: until, since: Some(from), event }).unwrap();
        }
        let read = Timeline::read(folder.path()).unwrap();
        assert_eq!(read.probes[0].span.clock_uncertainty_ns, 5_000_000);
        let [damage] = &read.damage[..] else { panic!("{:?}", read.damage) };
        assert_eq!((damage.from, damage.until), (Some(from), Some(until)));
        assert_eq!(
            damage.to_string(),
            format!(
                "the attempts of {probe} are incomplete: 12 attempts are lost, because the prober's \
                 memory was full while its connection was broken"
            )
        );
    }

    #[test]
    fn a_run_is_growing_as_long_as_its_writer_lives() {
        let root = tempfile::tempdir().unwrap();
        let events = root.path().join(EVENTS);
        let writer = File::create(&events).unwrap();
        assert!(!is_written(&events), "no writer has locked it");
        writer.try_lock().unwrap();
        assert!(is_written(&events));
        drop(writer);
        assert!(!is_written(&events));
    }
}

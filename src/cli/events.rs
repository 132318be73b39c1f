//! `--events`: what happens, as JSON lines, while it happens. Neither a slow reader nor one that is
//! gone holds a run.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;

use super::failure::Failure;
use super::judge::Judged;
use super::report_file::{ReportFile, why};
use crate::engine::follower::Observation;
use crate::engine::session::Start;
use crate::report::not_run::NotRun;
use crate::report::{View, json};
use crate::timeline::{Anchor, Component, Moment, Record, Retry};

/// The version of the form.
const FORMAT: &str = "outage.events/v1";
/// So many lines may wait for their reader. Those that find no room are missing, and so are their
/// numbers.
const MOST: usize = 16_384;
/// How long a reader may take for what is left when the command ends.
const LAST: Duration = Duration::from_secs(5);
/// What stands before the number of a descriptor.
const DESCRIPTOR: &str = "fd:";

/// A line.
#[derive(Debug, Serialize)]
struct Line<'l> {
    format: &'static str,
    /// From 1: where one is missing, the reader was too slow.
    number: u64,
    time: jiff::Timestamp,
    experiment: Option<&'l str>,
    run: Option<&'l str>,
    #[serde(flatten)]
    news: News<'l>,
}

/// What a line is about.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum News<'l> {
    /// A run begins.
    RunStarted {
        seed: u64,
        /// Which of how many runs of its experiment it is, from 1.
        repetition: Option<(u32, u32)>,
        /// The run that it makes again.
        retry: Option<&'l Retry>,
    },
    /// An event of its timeline, as it stands there.
    Timeline { record: &'l Record },
    /// A probe began to fail.
    ProbeFailing { probe: &'l str, class: &'l str },
    /// A probe has not failed for three seconds; the time is that of its last failure.
    ProbeAnswering { probe: &'l str },
    /// A fault is about to be injected, and how it will be undone.
    ToUndo { step: u32, target: &'l str, component: Option<Component>, undo: &'l str },
    /// What is waited for, and until when at the latest.
    Waiting { what: &'l [String], until: jiff::Timestamp },
    /// A run is over, and judged.
    RunEnded {
        /// The word of its report; `None`: it left no record that could be judged.
        state: Option<String>,
        summary: Option<String>,
        exit_code: u8,
    },
    /// An experiment was not run.
    NotRun { state: NotRun, why: &'l str },
    /// The command is over.
    Ended { exit_code: u8 },
}

impl<'l> News<'l> {
    pub(super) fn run_started(Start { seed, repetition, retry, .. }: &'l Start) -> Self {
        News::RunStarted { seed: *seed, repetition: *repetition, retry: retry.as_ref() }
    }

    /// A run that is over; `judged`: how, where it left a record.
    pub(super) fn run_ended(exit_code: u8, judged: Option<&Judged>) -> Self {
        let view = judged.map(Judged::view);
        let state = view.as_ref().map(View::state);
        let summary = view.map(|view| view.verdict.summary.clone());
        News::RunEnded { state, summary, exit_code }
    }
}

/// Where events go; by default nowhere.
#[derive(Clone, Default)]
pub(super) struct Events(Option<Arc<Stream>>);

struct Stream {
    lines: Mutex<Option<SyncSender<String>>>,
    written: Mutex<Receiver<()>>,
    number: AtomicU64,
    anchor: Anchor,
}

/// Events of one run.
#[derive(Clone, Default)]
pub(super) struct RunEvents {
    events: Events,
    experiment: String,
    run: String,
}

/// The file that events go to, if they go to one and not to a descriptor.
pub(super) fn file(target: &str) -> Result<Option<ReportFile>, Failure> {
    match target.starts_with(DESCRIPTOR) {
        true => Ok(None),
        false => ReportFile::new(Path::new(target)).map(Some),
    }
}

impl Events {
    /// Errors when nothing could be written there.
    pub(super) fn open(target: &str) -> Result<Self, Failure> {
        let path = match target.strip_prefix(DESCRIPTOR) {
            Some(number) => descriptor(number)?,
            None => PathBuf::from(target),
        };
        let (lines, waiting) = sync_channel::<String>(MOST);
        let (done, written) = sync_channel(1);
        let target = target.to_owned();
        // A named pipe is open when somebody reads it.
        std::thread::spawn(move || {
            if let Err(error) = write(&path, &waiting) {
                complain!("warning: no more events are written to {target}: {}", why(&error));
            }
            let _ = done.send(());
        });
        Ok(Self(Some(Arc::new(Stream {
            lines: Mutex::new(Some(lines)),
            written: Mutex::new(written),
            number: AtomicU64::new(1),
            anchor: Anchor::take(),
        }))))
    }

    pub(super) fn of_run(&self, experiment: &str, run: &str) -> RunEvents {
        let (experiment, run) = (experiment.to_owned(), run.to_owned());
        RunEvents { events: self.clone(), experiment, run }
    }

    /// An experiment that was not run.
    pub(super) fn not_run(&self, experiment: &str, state: NotRun, why: &str) {
        self.write(Moment::now(), Some(experiment), None, News::NotRun { state, why });
    }

    /// The last line. What a reader does not take in time is lost.
    pub(super) fn end(&self, exit_code: u8) {
        self.write(Moment::now(), None, None, News::Ended { exit_code });
        let Some(stream) = &self.0 else { return };
        drop(stream.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
        let written = stream.written.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = written.recv_timeout(LAST);
    }

    fn write(&self, at: Moment, experiment: Option<&str>, run: Option<&str>, news: News<'_>) {
        let Some(stream) = &self.0 else { return };
        let number = stream.number.fetch_add(1, Ordering::Relaxed);
        let time = stream.anchor.wall_of(at);
        let line = Line { format: FORMAT, number, time, experiment, run, news };
        let lines = stream.lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        lines.iter().for_each(|lines| _ = lines.try_send(json::line(&line)));
    }
}

impl RunEvents {
    pub(super) fn write(&self, news: News<'_>) {
        self.write_at(Moment::now(), news);
    }

    fn write_at(&self, at: Moment, news: News<'_>) {
        self.events.write(at, Some(&self.experiment), Some(&self.run), news);
    }

    /// What someone who follows the run sees. Single attempts are in the timeline alone.
    pub(super) fn take(&self, sight: &Observation) {
        match sight {
            Observation::Record(record) => self.write_at(record.at, News::Timeline { record }),
            Observation::Failing { probe, sent, class } => {
                self.write_at(*sent, News::ProbeFailing { probe, class });
            }
            Observation::Answering { probe, sent } => {
                self.write_at(*sent, News::ProbeAnswering { probe });
            }
            Observation::ToUndo { step, target, component, undo } => {
                let (step, component) = (*step, *component);
                self.write(News::ToUndo { step, target, component, undo });
            }
            Observation::Waiting { at, what, until } => {
                let Some(stream) = &self.events.0 else { return };
                let until = stream.anchor.wall_of(*until);
                self.write_at(*at, News::Waiting { what, until });
            }
            Observation::Attempts { .. } => {}
        }
    }
}

/// Where the system has a descriptor that this process was started with.
fn descriptor(number: &str) -> Result<PathBuf, Failure> {
    let number: u32 = number.parse().map_err(|_| {
        Failure::usage(format!("--events fd:{number}: expected the number of a descriptor"))
            .hint("for example: `kubectl outage run ... --events fd:3 3>events.jsonl`")
    })?;
    let path = PathBuf::from(format!("/dev/fd/{number}"));
    let cannot = |error: io::Error| {
        Failure::usage(format!("cannot write events to descriptor {number}: {}", why(&error)))
            .hint("it must be open for writing and not a socket: `3>events.jsonl` opens number 3")
    };
    OpenOptions::new().append(true).open(&path).map_err(cannot)?;
    Ok(path)
}

/// Writes lines until all who send them are gone. A file begins anew; a descriptor is added to.
fn write(path: &Path, lines: &Receiver<String>) -> io::Result<()> {
    let is_open = path.starts_with("/dev/fd");
    let mut options = OpenOptions::new();
    match is_open {
        true => options.append(true),
        false => options.write(true).create(true).truncate(true),
    };
    let mut out = options.open(path)?;
    for line in lines {
        out.write_all(format!("{line}\n").as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Event;

    #[test]
    fn each_line_says_what_happened_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        std::fs::write(&path, "of an earlier run\n").unwrap();
        let events = Events::open(&path.to_string_lossy()).unwrap();
        let run = events.of_run("web", "2026-1");
        run.write(News::RunStarted { seed: 7, repetition: None, retry: None });
        let note = Event::Note { warning: true, text: "a\u{9b}\n".into() };
        run.take(&Observation::Record(Record::now(note)));
        events.not_run("dns", NotRun::Skipped, "no DNS");
        events.end(3);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<_> =
            lines.iter().map(|line| (line["number"].as_u64().unwrap(), &line["type"])).collect();
        let types = ["runStarted", "timeline", "notRun", "ended"].map(serde_json::Value::from);
        assert_eq!(seen, (1..).zip(&types).collect::<Vec<_>>());
        assert!(lines.iter().all(|line| line["format"] == FORMAT && line["time"].is_string()));
        assert_eq!((&lines[0]["experiment"], &lines[0]["run"]), (&"web".into(), &"2026-1".into()));
        assert_eq!(lines[1]["record"]["event"], "note");
        assert!(!text.contains('\u{9b}'), "{text:?}");
        assert_eq!((&lines[2]["state"], &lines[3]["exitCode"]), (&"skipped".into(), &3.into()));
    }

    /// The run goes on, and ends.
    #[test]
    fn whoever_does_not_read_holds_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let events = Events::open(&path.to_string_lossy()).unwrap();
        let run = events.of_run("web", "2026-1");
        for _ in 0..2 * MOST {
            run.write(News::ProbeAnswering { probe: "web" });
        }
        events.end(0);
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        for number in ["x", "-1", "", "987654"] {
            let refused = Events::open(&format!("fd:{number}")).err().expect("refused");
            assert_eq!(refused.code, super::super::exit::USAGE, "{}", refused.text());
        }
    }
}

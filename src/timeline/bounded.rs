//! Files that somebody else wrote: read up to a limit, and never waited for without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::go_duration::format_duration;

/// The largest file that is read, in bytes. Kubernetes takes no object beyond 1.5 MiB.
pub(crate) const LARGEST: u64 = 4 << 20;
/// How long a pipe is waited for that no program has opened for writing. One that has is waited for
/// to its end.
const OPENING: Duration = Duration::from_secs(10);

/// Why a file could not be read: a fragment after "cannot read FILE: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{}", io_problem(.0))]
    Io(#[from] io::Error),
    #[error("larger than {} MiB", LARGEST >> 20)]
    TooLarge,
    #[error("no program opened this pipe for writing within {}", format_duration(OPENING))]
    NoWriter,
    #[error("not a text file: line {line}, column {column} is not valid UTF-8")]
    NotText { line: usize, column: usize },
}

/// What the system refused, in plain words.
pub(crate) fn io_problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::IsADirectory => "is a directory".into(),
        io::ErrorKind::NotADirectory => "a part of its path is not a directory".into(),
        _ => error.to_string(),
    }
}

/// Reads a text file, or a pipe.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    text(read(path)?)
}

/// Reads a file of any content, or a pipe.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    // Opening a pipe that nobody writes to would wait for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.file_type().is_fifo() {
        true => read_pipe(&file, OPENING),
        false => read_from(&file),
    }
}

/// Reads a text to its end, or to the limit.
pub(crate) fn read_text_from(from: impl Read) -> Result<String, ReadError> {
    text(read_from(from)?)
}

fn read_from(from: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    bounded(bytes)
}

/// Reads a pipe that was opened without waiting for its writer.
fn read_pipe(mut pipe: &File, opening: Duration) -> Result<Vec<u8>, ReadError> {
    let until = Instant::now() + opening;
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while bytes.len() as u64 <= LARGEST {
        let limit = match pipe.read(&mut buffer) {
            Ok(0) if !bytes.is_empty() => break,
            // Nobody writes to it: not yet, or no more.
            Ok(0) => Some(until.saturating_duration_since(Instant::now())),
            Ok(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                continue;
            }
            // Whoever writes to it takes time.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let timeout = limit.map(|limit| Timespec::try_from(limit).expect("a few seconds"));
        let mut polled = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut polled, timeout.as_ref()) {
            // One that has opened it and not written yet shows in the next read only.
            Ok(0) if limit.is_none_or(|limit| limit.is_zero()) => return Err(ReadError::NoWriter),
            // A writer was there, wrote nothing since the last read, and is gone.
            Ok(_) if limit.is_some() && polled[0].revents() == PollFlags::HUP => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    bounded(bytes)
}

fn bounded(bytes: Vec<u8>) -> Result<Vec<u8>, ReadError> {
    if bytes.len() as u64 > LARGEST { Err(ReadError::TooLarge) } else { Ok(bytes) }
}

fn text(bytes: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        ReadError::NotText { line, column }
    })
}

/// What is wrong with a JSON text, without its values and the parser's own words.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let at = match error.line() {
        0 => String::new(),
        line => format!(" at line {line}, column {}", error.column()),
    };
    match error.classify() {
        Category::Io => "it cannot be read".into(),
        Category::Eof => "it ends too early".into(),
        Category::Syntax => format!("it is not valid JSON{at}"),
        Category::Data => format!("a field is missing or not what was expected{at}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn problem<T: std::fmt::Debug>(result: Result<T, ReadError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn what_is_too_large_or_never_ends_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert_eq!(problem(read_text(&path)), "larger than 4 MiB");
        assert_eq!(problem(read(Path::new("/dev/zero"))), "larger than 4 MiB");
        assert_eq!(problem(read_text_from(io::repeat(b' '))), "larger than 4 MiB");
        File::create(&path).unwrap().set_len(LARGEST).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, LARGEST);
        assert_eq!(problem(read(folder.path())), "is a directory");
        assert_eq!(problem(read(&folder.path().join("x"))), "no such file");
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_one_without_a_writer_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let open = || {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap()
        };
        let limit = Duration::from_millis(20);
        let text = "no program opened this pipe for writing within 10s";
        assert_eq!(problem(read_pipe(&open(), limit)), text);
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "a: 1\n".repeat(20_000))
        });
        assert_eq!(read_text(&path).unwrap().len(), 100_000);
        writer.join().unwrap().unwrap();
        // Opened in time, and then slow.
        let pipe = open();
        let write = |path: &Path| File::options().write(true).open(path).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                std::thread::sleep(Duration::from_millis(20));
                let mut slow = write(&path);
                std::thread::sleep(Duration::from_millis(1200));
                slow.write_all(b"a: 1\n").unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(read_pipe(&pipe, Duration::from_secs(1)).unwrap(), b"a: 1\n");
        writer.join().unwrap();
        let pipe = open();
        drop(write(&path));
        assert!(read_pipe(&pipe, Duration::from_secs(5)).unwrap().is_empty(), "it wrote nothing");
    }

    #[test]
    fn a_byte_that_is_not_text_has_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"a: 1\n\xc3\xbc: \xff").unwrap();
        assert_eq!(
            problem(read_text(&path)),
            "not a text file: line 2, column 4 is not valid UTF-8"
        );
    }

    #[test]
    fn what_is_wrong_with_json_is_said_in_plain_words() {
        let of = |text: &str| {
            json_problem(
                &serde_json::from_str::<std::collections::BTreeMap<String, u8>>(text).unwrap_err(),
            )
        };
        assert_eq!(of("{\"a\": 1"), "it ends too early");
        assert_eq!(of("{\"a\": x}"), "it is not valid JSON at line 1, column 7");
        assert_eq!(
            of("{\"a\": \"secret\"}"),
            "a field is missing or not what was expected at line 1, column 14"
        );
    }
}

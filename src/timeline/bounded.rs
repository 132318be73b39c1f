//! Files that somebody else wrote: read up to a limit, and never waited for without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::go_duration::format_duration;

/// The largest file that is read, in bytes. Kubernetes takes no object beyond 1.5 MiB.
pub(crate) const LARGEST: u64 = 4 << 20;
/// A pipe may be silent for this long.
const SILENCE: Duration = Duration::from_secs(10);

/// Why a file could not be read: a fragment after "cannot read FILE: ".
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{}", io_problem(.0))]
    Io(#[from] io::Error),
    #[error("larger than {} MiB", LARGEST >> 20)]
    TooLarge,
    #[error("nothing was written to this pipe for {}", format_duration(SILENCE))]
    Silent,
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
        true => read_pipe(&file, SILENCE),
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

fn read_pipe(mut pipe: &File, silence: Duration) -> Result<Vec<u8>, ReadError> {
    let limit = Timespec::try_from(silence).expect("a few seconds");
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while bytes.len() as u64 <= LARGEST {
        if poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&limit)).map_err(io::Error::from)?
            == 0
        {
            return Err(ReadError::Silent);
        }
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
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
    fn a_pipe_is_read_to_its_end_and_a_silent_one_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let open = || {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open(&path).unwrap()
        };
        let silent = read_pipe(&open(), Duration::from_millis(20));
        assert_eq!(problem(silent), "nothing was written to this pipe for 10s");
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "a: 1\n".repeat(20_000))
        });
        assert_eq!(read_text(&path).unwrap().len(), 100_000);
        writer.join().unwrap().unwrap();
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

//! A report's file: checked before a run, replaced as a whole after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::timeline::store::is_record;

/// Why a file cannot be written.
pub(super) fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReportFile(PathBuf);

impl ReportFile {
    /// Errors when it could not be written now: nobody wants to learn that after an hour.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let file = Self::writable(path);
        if let Ok(Self(place)) = &file
            && place.ancestors().skip(1).any(is_record)
        {
            let message = format!("{} is in the folder of a run", path.display());
            return Err(Failure::usage(message).hint("write the report to another directory"));
        }
        file.map_err(|error| {
            let why = why(&error);
            Failure::usage(format!("cannot write the report to {}: {why}", path.display()))
        })
    }

    /// Errors when it could not be written now.
    pub(super) fn writable(path: &Path) -> io::Result<Self> {
        let file = Self::placed(path)?;
        file.check().map(|()| file)
    }

    /// Where it really is: a link stays one, and two ways to one file are one.
    fn placed(path: &Path) -> io::Result<Self> {
        if let Ok(existing) = path.canonicalize() {
            return Ok(Self(existing));
        }
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        Ok(Self(parent.unwrap_or(Path::new(".")).canonicalize()?.join(name)))
    }

    /// Whether it is the file that another path leads to.
    pub(super) fn is(&self, other: &Path) -> bool {
        Self::placed(other).is_ok_and(|other| other == *self)
    }

    fn check(&self) -> io::Result<()> {
        match fs::metadata(&self.0) {
            Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if there.is_file() => {
                OpenOptions::new().write(true).open(&self.0)?;
                self.check_beside()
            }
            Ok(_) => Ok(()),
            Err(_) => self.check_beside(),
        }
    }

    /// A new file in the same folder, which can take its place.
    fn beside(&self) -> PathBuf {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        self.0.with_file_name(format!(".{name}.{}", std::process::id()))
    }

    fn check_beside(&self) -> io::Result<()> {
        File::create(self.beside())?;
        fs::remove_file(self.beside())
    }

    /// Whoever reads it sees the old content or all of the new one. A pipe or a device is written to.
    pub(super) fn write(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if fs::metadata(&self.0).is_ok_and(|there| !there.is_file()) {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(&self.0)?);
            return write(&mut out).and_then(|()| out.flush());
        }
        let new = self.beside();
        let replaced = self.replace(&new, write);
        if replaced.is_err() {
            let _ = fs::remove_file(&new);
        }
        replaced
    }

    fn replace(
        &self,
        new: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(new)?);
        write(&mut out).and_then(|()| out.flush())?;
        if let Ok(old) = fs::metadata(&self.0) {
            fs::set_permissions(new, old.permissions())?;
        }
        out.get_ref().sync_all()?;
        drop(out);
        put(new, &self.0, fs::rename(new, &self.0))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// A file that is a mount, as `docker run -v` makes it, cannot be replaced: it is written over.
fn put(new: &Path, place: &Path, renamed: io::Result<()>) -> io::Result<()> {
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            fs::copy(new, place)?;
            fs::remove_file(new)
        }
        renamed => renamed,
    }
}

/// Whether it is the file or the pipe that standard output is, as `/dev/stdout`.
pub(super) fn is_stdout(path: &Path) -> bool {
    is_open_as(path, io::stdout())
}

fn is_open_as(path: &Path, open: impl AsFd) -> bool {
    let open = open.as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    matches!((fs::metadata(path), open), (Ok(there), Ok(open))
        if !there.file_type().is_char_device()
            && (there.dev(), there.ino()) == (open.dev(), open.ino()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_report_replaces_a_file_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.xml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let file = ReportFile::new(&path).unwrap();
        let cut = file.write(|out| {
            out.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(cut.is_err() && fs::read_to_string(&path).unwrap() == "old");
        file.write(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_that_is_a_mount_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let [new, place] = ["new", "place"].map(|name| folder.path().join(name));
        fs::write(&new, "new").unwrap();
        fs::write(&place, "something longer").unwrap();
        put(&new, &place, Err(io::ErrorKind::ResourceBusy.into())).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "new");
        assert!(!new.exists());
        assert!(put(&new, &place, Err(io::ErrorKind::StorageFull.into())).is_err());
    }

    #[test]
    fn the_file_that_output_is_redirected_to_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let [redirected, other] = ["a", "b"].map(|name| folder.path().join(name));
        let open = File::create(&redirected).unwrap();
        fs::write(&other, "").unwrap();
        assert!(is_open_as(&redirected, &open) && !is_open_as(&other, &open));
        assert!(!is_open_as(&folder.path().join("none"), &open));
        let null = OpenOptions::new().write(true).open("/dev/null").unwrap();
        assert!(!is_open_as(Path::new("/dev/null"), null), "it can be both");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| ReportFile::new(path).unwrap_err().text();
        assert!(refused(&folder.path().join("no/x")).contains("its directory does not exist"));
        assert!(refused(folder.path()).contains("it is a directory"));
        assert!(ReportFile::new(Path::new("/dev/null")).unwrap().write(|_| Ok(())).is_ok());
        assert!(Path::new("/dev/null").exists());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
        fs::write(folder.path().join("real"), "").unwrap();
        ReportFile::new(&link).unwrap().write(|out| out.write_all(b"x")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("real")).unwrap(), "x");
    }
}

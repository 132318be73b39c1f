//! `--artifacts`: a folder with what a person needs who asks why, made however a run ended: the
//! report in all formats, and a folder for each run. Its component logs are there already.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::failure::Failure;
use super::form::Form;
use super::report_file::{ReportFile, why};
use crate::report::View;
use crate::report::suite::Part;
use crate::timeline::store::is_record;

/// The folder.
#[derive(Debug)]
pub(super) struct Artifacts(PathBuf);

impl Artifacts {
    /// Makes the folder: logs come before reports. Errors when nothing could be written there.
    pub(super) fn new(folder: &Path) -> Result<Self, Failure> {
        // A check leaves nothing in the folder of a run.
        let place = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        if place.ancestors().any(is_record) {
            let message = format!("{} is in the folder of a run", folder.display());
            return Err(Failure::usage(message).hint("use another directory for --artifacts"));
        }
        let made = fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        made.map(Self).map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::AlreadyExists => "it is not a directory".to_owned(),
                _ => why(&error),
            };
            Failure::usage(format!("cannot write artifacts to {}: {why}", folder.display()))
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The files of the reports, each with its format.
    pub(super) fn reports(&self) -> Result<Vec<(Form, ReportFile)>, Failure> {
        let named =
            Form::value_variants().iter().filter_map(|form| Some((*form, form.file_name()?)));
        named.map(|(form, name)| Ok((form, ReportFile::new(&self.0.join(name))?))).collect()
    }

    /// Copies the runs beside their logs.
    pub(super) fn copy_runs(&self, parts: &[Part<View<'_>>]) -> io::Result<()> {
        let folders = parts.iter().flat_map(Part::runs).filter_map(|view| view.folder);
        folders.map(|folder| self.copy(folder)).fold(Ok(()), io::Result::and)
    }

    /// A copy of a run's folder, unless it is here already.
    fn copy(&self, run: &Path) -> io::Result<()> {
        let Some(name) = run.file_name() else { return Ok(()) };
        let copy = self.0.join(name);
        if copy.canonicalize().is_ok_and(|copy| copy == run) {
            return Ok(());
        }
        fs::create_dir_all(&copy)?;
        for file in fs::read_dir(run)? {
            let file = file?;
            if file.file_type()?.is_file() {
                fs::copy(file.path(), copy.join(file.file_name()))?;
            }
        }
        Ok(())
    }
}

//! From the names on a command line to the folders of runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::study::result::folder_of;
use crate::study::journal::{self, JournalError};
use crate::timeline::store::{self, header_of};
use crate::timeline::{Header, StoreError, Timeline};

/// What names stand for.
#[derive(Default)]
pub(super) struct Found {
    /// Each run once: by its id and as `latest` it is the same.
    pub folders: Vec<PathBuf>,
    /// Of the runs of a study, the names of their cells, by their ids.
    pub cells: BTreeMap<String, String>,
}

impl Found {
    fn run(&mut self, folder: PathBuf) {
        let folder = folder.canonicalize().unwrap_or(folder);
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// What one name stands for: a run, with `+` all runs of its `--repeat`, a study, a cell of one, a
    /// directory of runs, or all runs of an experiment.
    pub(super) fn add(&mut self, name: &str, runs_dir: &Path) -> Result<(), Failure> {
        if let Some(one) = name.strip_suffix('+') {
            let run = Timeline::find(runs_dir, one)?;
            siblings(&run)?.into_iter().for_each(|run| self.run(run));
            return Ok(());
        }
        let missing = match Timeline::find(runs_dir, name) {
            Ok(folder) => {
                self.run(folder);
                return Ok(());
            }
            Err(error @ StoreError::NoSuchRun { .. }) => error,
            Err(error) => return Err(error.into()),
        };
        if self.cell_of_study(name, runs_dir)? {
            return Ok(());
        }
        let path = Path::new(name);
        let inside = if path.is_dir() { store::list(path)? } else { Vec::new() };
        let of = |header: Header| header.name == name;
        let runs = match inside.is_empty() {
            true => store::list(runs_dir)?
                .into_iter()
                .filter(|run| header_of(run).is_ok_and(of))
                .collect(),
            false => inside,
        };
        if runs.is_empty() {
            let study = study(name, runs_dir)?.ok_or(missing)?;
            self.runs_of(&study, |_| true);
        }
        runs.into_iter().for_each(|run| self.run(run));
        Ok(())
    }

    /// `STUDY:CELL`, the cell by its number or its name. Whether the name was one.
    pub(super) fn cell_of_study(&mut self, name: &str, runs_dir: &Path) -> Result<bool, Failure> {
        let Some((of, cell)) = name.split_once(':') else { return Ok(false) };
        let Some(study) = study(of, runs_dir)? else { return Ok(false) };
        let cells: Vec<&str> = study.header.cells.iter().map(|cell| cell.name.as_str()).collect();
        let numbers = (1..=cells.len()).map(|number| number.to_string());
        let Some(at) =
            numbers.zip(&cells).position(|(number, name)| cell == number || cell == *name)
        else {
            // Several names with commas between them: each is looked up alone.
            if cell.contains(',') {
                return Ok(false);
            }
            let numbered = cells.iter().enumerate().map(|(at, name)| format!("{} {name}", at + 1));
            let numbered: Vec<String> = numbered.collect();
            return Err(Failure::usage(format!("study {of} has no cell {cell}"))
                .hint(format!("its cells, by number or name: {}", numbered.join("; "))));
        };
        self.runs_of(&study, |one| one == at);
        Ok(true)
    }

    /// Its runs that were made and are there; those that were interrupted are made again.
    fn runs_of(&mut self, study: &journal::Recorded, is_wanted: impl Fn(usize) -> bool) {
        let mut done: Vec<_> = study.entries.iter().filter(|it| it.is_done()).collect();
        // The cells in the order of the study's file, not of its runs.
        done.sort_by_key(|entry| entry.slot.cell);
        for entry in done.into_iter().filter(|it| is_wanted(it.slot.cell)) {
            let folder = folder_of(&study.folder, &entry.run);
            if store::is_record(&folder) {
                let cell = study.header.cells[entry.slot.cell].name.clone();
                self.cells.insert(entry.run.clone(), cell);
                self.run(folder);
            }
        }
    }
}

/// `None`: there is no such study.
fn study(name: &str, runs_dir: &Path) -> Result<Option<journal::Recorded>, Failure> {
    match journal::Recorded::find(runs_dir, name) {
        Ok(study) => {
            unfinished(&study, runs_dir).iter().for_each(|text| complain!("note: {text}"));
            Ok(Some(study))
        }
        Err(JournalError::NoSuchStudy { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// That a study has only some of its runs, and which earlier one of its name has all. `None`: it has
/// all.
fn unfinished(study: &journal::Recorded, runs_dir: &Path) -> Option<String> {
    if study.finished {
        return None;
    }
    let journal::Header { cells, repeat, name, .. } = &study.header;
    let all = journal::Recorded::all(runs_dir).read;
    let whole = all.iter().rev().find(|one| one.finished && one.header.name == *name);
    let whole = whole.map_or(String::new(), |it| format!("; the last finished one is {}", it.id()));
    let (id, state, done) = (study.id(), study.state(), study.done());
    let runs = cells.len() * *repeat as usize;
    Some(format!("study {id} is {state}: {done} of {runs} runs are done{whole}"))
}

/// All runs of the `--repeat` that a run is of, beside it: their seeds and numbers count up. A retry
/// is where its first try is.
fn siblings(run: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let series = |header: &Header| {
        let (number, of) = header.repetition.unwrap_or((0, 0));
        (header.name.clone(), of, header.seed.wrapping_sub(u64::from(number)))
    };
    let run = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    let beside = run.parent().unwrap_or(Path::new(".")).to_owned();
    let header = header_of(&run)?;
    let run = header.retry.map_or(run, |retry| beside.join(retry.of));
    let header = header_of(&run)?;
    let wanted = series(&header);
    // Runs are listed by time. The same seed again is another command: its numbers begin anew.
    let mut commands: Vec<Vec<PathBuf>> = Vec::new();
    let mut last = u32::MAX;
    for path in store::list(&beside)? {
        let Ok(header) = header_of(&path) else { continue };
        if let Some(retry) = &header.retry {
            let is_first = |path: &PathBuf| path.ends_with(&retry.of);
            let of = commands.iter_mut().find(|all| all.iter().any(is_first));
            of.into_iter().for_each(|all| all.push(path.clone()));
            continue;
        }
        let number = header.repetition.map_or(0, |(number, _)| number);
        if series(&header) != wanted {
            continue;
        }
        if number <= last {
            commands.push(Vec::new());
        }
        last = number;
        commands.last_mut().expect("one was begun").push(path);
    }
    Ok(commands.into_iter().find(|all| all.contains(&run)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_named_twice_counts_once() {
        let mut found = Found::default();
        ["b", "a", "b"].into_iter().for_each(|run| found.run(PathBuf::from(run)));
        assert_eq!(found.folders, ["b", "a"].map(PathBuf::from));
    }

    #[test]
    fn a_study_without_all_of_its_runs_is_named_beside_one_that_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let create = |started: &str| {
            let header = serde_json::json!({
                "format": journal::FORMAT, "name": "s", "question": null, "file": "s.yaml",
                "started": started, "on": journal::Ground::Embedded, "seed": 7, "repeat": 3,
                "rounds": 3, "nodes": 1, "cells": [], "files": {},
            });
            journal::Journal::create(dir.path(), serde_json::from_value(header).unwrap()).unwrap()
        };
        let mut first = create("2026-01-01T00:00:00Z");
        first.finish("2026-01-01T01:00:00Z".parse().unwrap()).unwrap();
        let id = first.id();
        drop((first, create("2026-01-02T00:00:00Z")));
        let note = |name: &str| unfinished(&study(name, dir.path()).unwrap().unwrap(), dir.path());
        assert_eq!(note(&id), None);
        let wanted = format!(
            "study s-20260102-000000 is unfinished: 0 of 0 runs are done; the last finished one is {id}"
        );
        assert_eq!(note("s"), Some(wanted));
    }
}

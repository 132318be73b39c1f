//! `compare`: recorded runs and studies beside others or beside a baseline, offline. `run` has the same
//! baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::args::{BaselineFlags, Compare, CompareForm};
use super::env::Env;
use super::failure::Failure;
use super::judge::{self, Judged};
use super::named::Found;
use super::report_file::ReportFile;
use super::{exit, print};
use crate::compare::{
    Baseline, Comparison, Comparisons, Floor, Named, Pair, Recorded, Sample, Saved, pair,
};
use crate::report;
use crate::timeline::counted;

pub(super) fn compare(args: &Compare, env: &Env) -> Result<u8, Failure> {
    let history = History::open(&args.history)?;
    let sides =
        args.sides.iter().map(|side| Side::read(side, env)).collect::<Result<Vec<_>, _>>()?;
    let (compared, after) = match &sides[..] {
        [_, _] if !history.is_empty() => {
            return Err(Failure::usage("--baseline replaces one of the two sides")
                .hint("name the runs alone: `kubectl outage compare RUNS --baseline FILE`"));
        }
        [before, after] => (Some(beside(before, after, args)?), after),
        [side] if !history.is_empty() => (history.compare(&side.runs), side),
        _ => {
            return Err(Failure::usage("nothing to compare these runs with")
                .hint("name a second side, or a baseline: `--baseline FILE`"));
        }
    };
    let Some(compared) = compared else { return Ok(history.save(&recorded(&after.runs), None)) };
    print(&match args.output {
        CompareForm::Text => report::compare::text(&compared, &env.style()),
        CompareForm::Json => report::json::pretty(&compared),
        CompareForm::Yaml => report::json::yaml(&compared),
        CompareForm::Markdown => report::compare::markdown(&compared),
        CompareForm::Junit => report::junit::comparisons(&compared),
        CompareForm::Csv => report::compare_csv::render(&compared),
    });
    let saved = history.save(&recorded(&after.runs), compared.why_not_saved());
    let code = match compared.is_decided() {
        _ if compared.is_worse() => exit::FAIL,
        true => exit::PASS,
        false => exit::INCONCLUSIVE,
    };
    Ok(exit::gravest([code, saved]))
}

fn recorded(runs: &[Judged]) -> Vec<Recorded<'_>> {
    runs.iter().map(Judged::recorded).collect()
}

fn beside(before: &Side, after: &Side, args: &Compare) -> Result<Comparisons, Failure> {
    let floor = Floor::of(&args.history.floor);
    let (mut comparisons, mut skipped) = (Vec::new(), Vec::new());
    for (side, other, name) in [(before, after, &args.sides[0]), (after, before, &args.sides[1])] {
        if side.cells.values().collect::<BTreeSet<_>>().len() > 1 && other.cells.is_empty() {
            let first = side.cells.values().next().map_or("", String::as_str);
            return Err(Failure::usage(format!("{name} is a study, but the other side is not"))
                .hint(format!("name one of its cells: `{name}:1`, or `'{name}:{first}'`")));
        }
    }
    let of = |run: &Recorded<'_>| {
        let header = &run.timeline.header;
        let cell = before.cells.get(&header.run).or(after.cells.get(&header.run));
        cell.unwrap_or(&header.name).clone()
    };
    for Pair { name, before, after } in pair(recorded(&before.runs), recorded(&after.runs), of) {
        if before.is_empty() || after.is_empty() {
            let side = &args.sides[usize::from(before.is_empty())];
            skipped.push(format!("{name}: only {side} has such runs"));
            continue;
        }
        let samples = [Sample::new(before), Sample::new(after)];
        let sides = [0, 1].map(|at| Named { name: &args.sides[at], sample: &samples[at] });
        let refused = |why| Failure { code: exit::REFUSED, ..Failure::usage(why) };
        let hint = "`kubectl outage get runs -o wide` lists the cluster of each run";
        comparisons
            .push(Comparison::new(&name, sides, floor).map_err(|why| refused(why).hint(hint))?);
    }
    Ok(Comparisons::new(floor, comparisons, skipped))
}

/// What is compared with and what is saved, as flags ask for it.
#[derive(Debug)]
pub(super) struct History {
    /// The file's name, and what is in it.
    baseline: Option<(String, Baseline)>,
    save: Option<ReportFile>,
    floor: Floor,
}

impl History {
    /// Errors when a baseline can't be read, or one that is to be written could not be.
    pub(super) fn open(flags: &BaselineFlags) -> Result<Self, Failure> {
        let floor = Floor::of(&flags.floor);
        let baseline = match &flags.baseline {
            Some(path) => Some((path.display().to_string(), read(path)?)),
            None => None,
        };
        let save = flags.save_baseline.as_deref().map(ReportFile::new).transpose()?;
        if let Some(file) = &save {
            existing(file)?;
        }
        Ok(Self { baseline, save, floor })
    }

    fn is_empty(&self) -> bool {
        self.baseline.is_none() && self.save.is_none()
    }

    /// `None`: no baseline was asked for.
    pub(super) fn compare(&self, runs: &[Judged]) -> Option<Comparisons> {
        let (name, baseline) = self.baseline.as_ref()?;
        Some(baseline.compare(&format!("baseline {name}"), &recorded(runs), self.floor))
    }

    /// The files that it reads and writes.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let read = self.baseline.iter().map(|(name, _)| PathBuf::from(name));
        read.chain(self.save.iter().map(|file| file.path().to_owned())).collect()
    }

    /// Saves these runs where that was asked for, unless `why_not` says why they must not replace it. The exit code that this alone asks for.
    pub(super) fn save(&self, runs: &[Recorded<'_>], why_not: Option<&str>) -> u8 {
        let Some(file) = &self.save else { return exit::PASS };
        let path = file.path().display();
        if let Some(why) = why_not {
            complain!("not saved to {path}: {why}");
            return exit::PASS;
        }
        let mut baseline = match existing(file) {
            Ok(baseline) => baseline,
            Err(failure) => return failure.report(),
        };
        let saved = baseline.save(runs);
        if saved.is_empty() {
            complain!(
                "error: nothing to save to {path}: most runs were left out (unfinished, fault not confirmed, or host disturbed)"
            );
            return exit::INCONCLUSIVE;
        }
        let text = report::json::pretty(&baseline);
        if let Err(error) = file.write(|out| io::Write::write_all(out, text.as_bytes())) {
            complain!("error: cannot write the baseline to {path}: {error}");
            return exit::INCONCLUSIVE;
        }
        for Saved { experiment, runs, replaced } in saved {
            let runs = counted(runs, "run");
            let older = replaced.map(|older| format!(", replacing {older}"));
            let older = older.unwrap_or_default();
            complain!("baseline of {experiment} saved to {path}: {runs}{older}");
        }
        exit::PASS
    }
}

fn read(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    text.and_then(|text| Baseline::parse(&text)).map_err(|why| {
        let failure = Failure::usage(format!("cannot read the baseline {}: {why}", path.display()));
        failure.hint("`--save-baseline FILE` writes one")
    })
}

/// What a file has that is to be written: its other entries stay.
fn existing(file: &ReportFile) -> Result<Baseline, Failure> {
    match std::fs::metadata(file.path()) {
        Ok(there) if there.is_file() && there.len() > 0 => read(file.path()),
        _ => Ok(Baseline::default()),
    }
}

/// The runs of a side.
struct Side {
    runs: Vec<Judged>,
    /// Of the runs of a study, the names of their cells, by their ids.
    cells: BTreeMap<String, String>,
}

impl Side {
    /// Names with commas between them; or one cell of a study, whose name may have commas.
    fn read(side: &str, env: &Env) -> Result<Self, Failure> {
        let mut found = Found::default();
        if !found.cell_of_study(side, &env.runs_dir)? {
            for name in side.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                found.add(name, &env.runs_dir)?;
            }
        }
        if found.folders.is_empty() {
            return Err(Failure::usage(format!("no runs in `{side}`"))
                .hint("name runs, a directory of runs, an experiment, or a study"));
        }
        let runs = found.folders.iter().map(|folder| judge::judge(folder));
        let runs = runs.collect::<Result<_, _>>()?;
        Ok(Self { runs, cells: found.cells })
    }
}

//! `compare`: recorded runs beside others or beside a baseline, offline. `run` has the same baseline.

use std::io;
use std::path::{Path, PathBuf};

use super::args::{BaselineFlags, Compare, CompareForm};
use super::env::Env;
use super::failure::Failure;
use super::judge::{self, Judged};
use super::report_file::ReportFile;
use super::{exit, print};
use crate::compare::{
    Baseline, Comparison, Comparisons, Floor, Named, Pair, Recorded, Sample, Saved, pair,
};
use crate::report;
use crate::timeline::store::{self, header_of};
use crate::timeline::{Header, StoreError, Timeline, counted};

pub(super) fn compare(args: &Compare, env: &Env) -> Result<u8, Failure> {
    let history = History::open(&args.history)?;
    let runs = args.sides.iter().map(|side| runs_of(side, env)).collect::<Result<Vec<_>, _>>()?;
    let (compared, after) = match &runs[..] {
        [_, _] if !history.is_empty() => {
            return Err(Failure::usage("--baseline replaces one of the two sides")
                .hint("name the runs alone: `kubectl outage compare RUNS --baseline FILE`"));
        }
        [before, after] => (Some(beside(before, after, args)?), after),
        [runs] if !history.is_empty() => (history.compare(runs), runs),
        _ => {
            return Err(Failure::usage("nothing to compare these runs with")
                .hint("name a second side, or a baseline: `--baseline FILE`"));
        }
    };
    let Some(compared) = compared else { return Ok(history.save(&recorded(after), None)) };
    print(&match args.output {
        CompareForm::Text => report::compare::text(&compared, &env.style()),
        CompareForm::Json => report::json::pretty(&compared),
        CompareForm::Yaml => report::json::yaml(&compared),
        CompareForm::Markdown => report::compare::markdown(&compared),
        CompareForm::Junit => report::junit::comparisons(&compared),
    });
    let saved = history.save(&recorded(after), compared.why_not_saved());
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

fn beside(before: &[Judged], after: &[Judged], args: &Compare) -> Result<Comparisons, Failure> {
    let floor = Floor::of(&args.history.floor);
    let (mut comparisons, mut skipped) = (Vec::new(), Vec::new());
    for Pair { name, before, after } in pair(recorded(before), recorded(after)) {
        if before.is_empty() || after.is_empty() {
            let side = &args.sides[usize::from(before.is_empty())];
            skipped.push(format!("{name}: only {side} has runs of this experiment"));
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
            complain!("error: nothing to save to {path}: no run ended with a confirmed fault");
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

/// The runs of a side: names with commas between them.
fn runs_of(side: &str, env: &Env) -> Result<Vec<Judged>, Failure> {
    let mut folders = Vec::new();
    for name in side.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        folders.extend(named(name, &env.runs_dir)?);
    }
    if folders.is_empty() {
        return Err(Failure::usage(format!("no runs in `{side}`"))
            .hint("name runs, a directory of runs, or an experiment"));
    }
    let folders = folders.into_iter().map(|folder| folder.canonicalize().unwrap_or(folder));
    super::report::distinct(folders.collect()).iter().map(|folder| judge::judge(folder)).collect()
}

/// What one name stands for: a run, with `+` all runs of its `--repeat`, a directory of runs, or all runs of an experiment.
fn named(name: &str, runs_dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    if let Some(one) = name.strip_suffix('+') {
        return Ok(siblings(&Timeline::find(runs_dir, one)?)?);
    }
    let missing = match Timeline::find(runs_dir, name) {
        Ok(folder) => return Ok(vec![folder]),
        Err(error @ StoreError::NoSuchRun { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let inside = if Path::new(name).is_dir() { store::list(Path::new(name))? } else { Vec::new() };
    if !inside.is_empty() {
        return Ok(inside);
    }
    let of = |header: Header| header.name == name;
    let runs = store::list(runs_dir)?.into_iter();
    let runs: Vec<PathBuf> = runs.filter(|run| header_of(run).is_ok_and(of)).collect();
    if runs.is_empty() { Err(missing.into()) } else { Ok(runs) }
}

/// All runs of the `--repeat` that a run is of, beside it: their seeds and numbers count up.
fn siblings(run: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let series = |header: &Header| {
        let (number, of) = header.repetition?;
        Some((header.name.clone(), of, header.seed.wrapping_sub(u64::from(number))))
    };
    let wanted = series(&header_of(run)?);
    if wanted.is_none() {
        return Ok(vec![run.to_owned()]);
    }
    let run = run.canonicalize().unwrap_or_else(|_| run.to_owned());
    // Runs are listed by time. The same seed again is another command: its numbers begin anew.
    let mut commands: Vec<Vec<PathBuf>> = Vec::new();
    let mut last = u32::MAX;
    for path in store::list(run.parent().unwrap_or(Path::new(".")))? {
        let Ok(header) = header_of(&path) else { continue };
        let Some((number, _)) = header.repetition.filter(|_| series(&header) == wanted) else {
            continue;
        };
        if number <= last {
            commands.push(Vec::new());
        }
        last = number;
        commands.last_mut().expect("one was begun").push(path);
    }
    Ok(commands.into_iter().find(|all| all.contains(&run)).unwrap_or_default())
}

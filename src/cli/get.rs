//! `get`: lists runs, studies, or the experiments inside this program.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Get, ListForm, Listing};
use super::env::Env;
use super::judge::{self, Judged};
use super::{exit, failure::Failure, print};
use crate::experiment;
use crate::report;
use crate::study::journal::{Ground, Recorded};
use crate::timeline::store;

pub(super) fn get(args: &Get, env: &Env) -> Result<u8, Failure> {
    match args.what {
        Listing::Runs => return runs(args.output, env),
        Listing::Studies => return studies(args.output, env),
        Listing::Experiments => print(&list_of(&experiments(), args.output, env.width)),
    }
    Ok(exit::PASS)
}

/// Lists all runs; of those that cannot be read it is said why. The code is theirs only when there
/// is no other: one odd folder is no reason to fail for ever.
fn runs(form: ListForm, env: &Env) -> Result<u8, Failure> {
    let (runs, unreadable) = judged(&env.runs_dir)?;
    let table = |wide| {
        if runs.is_empty() && unreadable.is_empty() {
            return nothing("runs", &env.runs_dir);
        }
        let summaries: Vec<_> = runs.iter().map(Judged::summary).collect();
        let now = jiff::Timestamp::now();
        print(&report::runs::render(&summaries, wide, now, env.width));
    };
    match form {
        ListForm::Text => table(false),
        ListForm::Wide => table(true),
        ListForm::Json | ListForm::Yaml => judge::print_list(&runs, form),
    }
    Ok(code(runs.is_empty(), &unreadable))
}

/// Says that nothing is recorded.
fn nothing(what: &str, dir: &Path) {
    let absent = if dir.exists() { "" } else { ": there is no such directory" };
    complain!("no {what} in {}{absent}", dir.display());
}

fn code(is_empty: bool, unreadable: &[Failure]) -> u8 {
    if is_empty {
        return exit::gravest(unreadable.iter().map(Failure::report));
    }
    unreadable.iter().for_each(|failure| complain!("warning: {}", failure.line()));
    exit::PASS
}

/// Lists all studies, as [`runs`] does.
fn studies(form: ListForm, env: &Env) -> Result<u8, Failure> {
    let all = Recorded::all(&env.runs_dir);
    let unreadable: Vec<Failure> =
        all.damaged.into_iter().map(|damaged| Failure::from(damaged.why)).collect();
    let studies: Vec<ListedStudy> = all.read.into_iter().map(ListedStudy::new).collect();
    match studies.is_empty()
        && unreadable.is_empty()
        && !matches!(form, ListForm::Json | ListForm::Yaml)
    {
        true => nothing("studies", &env.runs_dir),
        false => print(&list_of(&studies, form, env.width)),
    }
    Ok(code(studies.is_empty(), &unreadable))
}

/// What can be listed as a table or a document.
trait Row: Serialize {
    const HEADER: &[&str];
    /// What a wide table has after these.
    const MORE: &[&str];

    fn cells(&self) -> Vec<String>;
}

fn list_of<R: Row>(rows: &[R], form: ListForm, columns: usize) -> String {
    let more = if form == ListForm::Wide { R::MORE } else { &[] };
    let header = [R::HEADER, more].concat();
    let shown = header.len();
    let cells = rows.iter().map(|row| row.cells().into_iter().take(shown).collect());
    match form {
        ListForm::Text | ListForm::Wide => report::list(columns, header, cells),
        ListForm::Json => report::json::pretty(&rows),
        ListForm::Yaml => report::json::yaml(&rows),
    }
}

/// A stored study.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedStudy {
    study: String,
    name: String,
    question: Option<String>,
    started: String,
    /// `finished`, `running`, or `unfinished`: it can be resumed.
    state: &'static str,
    /// `kind`, `embedded`, or a context.
    on: String,
    cells: Vec<String>,
    /// How many of its runs were made, and how many are planned.
    done: usize,
    planned: usize,
    seed: u64,
    file: String,
    folder: PathBuf,
}

impl ListedStudy {
    fn new(study: Recorded) -> Self {
        let (state, done, header) = (study.state(), study.done(), &study.header);
        Self {
            study: study.id(),
            state,
            done,
            name: header.name.clone(),
            question: header.question.clone(),
            started: header.started.to_string(),
            on: match &header.on {
                Ground::Kind => "kind".into(),
                Ground::Embedded => "embedded".into(),
                Ground::Context { name } => name.clone().unwrap_or("current context".into()),
            },
            cells: header.cells.iter().map(|cell| cell.name.clone()).collect(),
            planned: header.repeat as usize * header.cells.len(),
            seed: header.seed,
            file: header.file.clone(),
            folder: study.folder.clone(),
        }
    }
}

impl Row for ListedStudy {
    const HEADER: &[&str] = &["STUDY", "CLUSTER", "CELLS", "RUNS", "STATE", "AGE"];
    const MORE: &[&str] = &["SEED", "FILE", "QUESTION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.study.clone(),
            self.on.clone(),
            self.cells.len().to_string(),
            format!("{}/{}", self.done, self.planned),
            self.state.to_owned(),
            report::runs::age(&self.started, jiff::Timestamp::now()),
            self.seed.to_string(),
            self.file.clone(),
            self.question.clone().unwrap_or_default(),
        ]
    }
}

/// All runs, oldest first, and why others cannot be read.
fn judged(runs_dir: &Path) -> Result<(Vec<Judged>, Vec<Failure>), Failure> {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for folder in store::list(runs_dir)? {
        match judge::judge(&folder) {
            Ok(run) => runs.push(run),
            Err(failure) => unreadable.push(failure),
        }
    }
    // The ids of runs of one second do not tell which was first.
    runs.sort_by_key(Judged::started);
    Ok((runs, unreadable))
}

/// A built-in experiment and what it asks.
#[derive(Serialize)]
struct Listed {
    name: String,
    question: String,
}

fn experiments() -> Vec<Listed> {
    let parsed = experiment::built_in_names()
        .into_iter()
        .filter_map(|name| experiment::parse(experiment::load(name).ok()?).ok());
    parsed
        .map(|p| Listed {
            name: p.file_name().into(),
            question: p.experiment.question.unwrap_or_default(),
        })
        .collect()
}

impl Row for Listed {
    const HEADER: &[&str] = &["NAME", "QUESTION"];
    const MORE: &[&str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.question.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_listed_by_their_start_and_not_by_their_names() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
        let listed = |names: [(&str, &str); 2]| {
            let root = tempfile::tempdir().unwrap();
            for (name, run) in names {
                std::os::unix::fs::symlink(recorded.join(run), root.path().join(name)).unwrap();
            }
            let (runs, unreadable) = judged(root.path()).unwrap();
            assert!(unreadable.is_empty() && runs.len() == 2);
            runs.iter().map(|run| run.started().unwrap()).collect::<Vec<_>>()
        };
        let both = [
            listed([("a", "kubelet-stop"), ("b", "node-kill")]),
            listed([("b", "kubelet-stop"), ("a", "node-kill")]),
        ];
        assert!(both[0] == both[1] && both[0].is_sorted(), "{both:?}");
    }

    #[test]
    fn experiments_are_listed_in_every_form() {
        let table = list_of(&experiments(), ListForm::Text, 100);
        assert!(table.starts_with("NAME ") && table.contains("\nworker-stop-fast "), "{table}");
        let json: serde_json::Value =
            serde_json::from_str(&list_of(&experiments(), ListForm::Json, 100)).unwrap();
        assert!(
            json.as_array().unwrap().iter().any(|one| one["name"] == "worker-stop-fast"),
            "{json}"
        );
        assert!(list_of(&experiments(), ListForm::Yaml, 100).contains("name: worker-stop-fast"));
    }
}

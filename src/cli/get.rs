//! `get`: lists runs, or the experiments inside this program.

use std::path::Path;

use serde::Serialize;

use super::args::{Get, ListForm, Listing};
use super::env::Env;
use super::judge::{self, Judged};
use super::{exit, failure::Failure, print};
use crate::experiment;
use crate::report;
use crate::timeline::store;

pub(super) fn get(args: &Get, env: &Env) -> Result<u8, Failure> {
    match args.what {
        Listing::Runs => return runs(args.output, env),
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
            return complain!("no runs in {}", env.runs_dir.display());
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
    match runs.is_empty() {
        true => Ok(exit::gravest(unreadable.iter().map(Failure::report))),
        false => {
            unreadable.iter().for_each(|failure| complain!("warning: {}", failure.line()));
            Ok(exit::PASS)
        }
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

fn list_of(experiments: &[Listed], form: ListForm, columns: usize) -> String {
    let rows = experiments.iter().map(|one| vec![one.name.clone(), one.question.clone()]);
    match form {
        ListForm::Text | ListForm::Wide => {
            report::table_within(columns, vec!["NAME", "QUESTION"], rows)
        }
        ListForm::Json => report::json::pretty(&experiments),
        ListForm::Yaml => report::json::yaml(&experiments),
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

//! `get`: lists runs, or the experiments inside this program.

use super::args::{Form, Get, Listing};
use super::env::Env;
use super::{exit, failure::Failure, judge, print};
use crate::experiment;
use crate::report;
use crate::timeline::store;

/// Prints the list.
pub fn get(args: &Get, env: &Env) -> Result<u8, Failure> {
    match args.what {
        Listing::Runs => runs(args.output, env),
        Listing::Experiments => {
            print(&experiments());
            Ok(exit::PASS)
        }
    }
}

fn runs(form: Form, env: &Env) -> Result<u8, Failure> {
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for folder in store::list(&env.runs_dir)? {
        match judge::judge(&folder) {
            Ok(run) => runs.push(run),
            Err(failure) => unreadable.push(failure.text),
        }
    }
    if runs.is_empty() && unreadable.is_empty() && matches!(form, Form::Text | Form::Wide) {
        eprintln!("no runs in {}", env.runs_dir.display());
        return Ok(exit::PASS);
    }
    match form {
        Form::Text | Form::Wide => {
            let summaries: Vec<_> = runs.iter().map(judge::Judged::summary).collect();
            print(&report::runs::render(&summaries, form == Form::Wide, jiff::Timestamp::now()));
        }
        other => judge::print(&runs, other, env),
    }
    unreadable.iter().for_each(|text| eprintln!("{text}"));
    Ok(exit::PASS)
}

/// The built-in experiments and what each asks.
fn experiments() -> String {
    let parsed = experiment::built_in_names().into_iter().filter_map(|name| experiment::parse(experiment::load(name).ok()?).ok());
    let rows: Vec<(String, String)> = parsed.map(|p| (p.experiment.name, p.experiment.question.unwrap_or_default())).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max("NAME".len());
    let line = |name: &str, question: &str| format!("{name:width$}   {question}\n");
    std::iter::once(line("NAME", "QUESTION")).chain(rows.iter().map(|(name, question)| line(name, question))).collect()
}

//! `__complete`: what may follow the words that were typed, in the protocol of kubectl's plugins
//! (Cobra's): a candidate per line, with its description behind a tab, and a directive at the end.

use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::args::{Cli, Complete};
use super::env::Env;
use super::explain;
use super::generator::ChosenFault;
use super::{exit, failure::Failure, output};
use crate::cluster::{context_names, kubeconfig_paths};
use crate::experiment;
use crate::report::printable;
use crate::study::journal::Recorded;
use crate::timeline::store;

/// Whether the shell also completes the names of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Files = 0,
    NoFiles = 4,
}

/// Words that may stand there, with a description or none.
type Candidates = Vec<(String, String)>;

/// Never fails: a shell that completes has no place for errors.
pub(super) fn complete(args: &Complete, env: &Env) -> Result<u8, Failure> {
    let (candidates, directive) = completed(&args.words, env);
    output::stream(|out| {
        for (word, about) in candidates {
            let about = about.lines().next().unwrap_or_default();
            let tab = if about.is_empty() { "" } else { "\t" };
            writeln!(out, "{}{tab}{}", printable(&word), printable(about))?;
        }
        writeln!(out, ":{}", directive as u8)
    });
    Ok(exit::PASS)
}

fn completed(words: &[String], env: &Env) -> (Candidates, Directive) {
    let mut root = Cli::command();
    root.build();
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, all)| (last, all));
    let place = Place::after(&root, before);
    let (candidates, directive) = match (place.value_of, last.split_once('=')) {
        (Some(flag), _) => values(&place, flag, last, env),
        (None, Some((name, typed))) if name.starts_with('-') && place.takes_flags => {
            let Some(flag) = flag(place.command, name) else {
                return (Vec::new(), Directive::NoFiles);
            };
            let (values, directive) = values(&place, flag, typed, env);
            let whole = |(value, about)| (format!("{name}={value}"), about);
            (values.into_iter().map(whole).collect(), directive)
        }
        _ if last.starts_with('-') && place.takes_flags => {
            (flags(place.command), Directive::NoFiles)
        }
        _ if place.command.has_subcommands() => (commands(place.command), Directive::NoFiles),
        _ => {
            let mut positionals = place.command.get_positionals();
            let here =
                positionals.nth(place.positionals).or(place.command.get_positionals().last());
            here.map_or((Vec::new(), Directive::NoFiles), |arg| values(&place, arg, last, env))
        }
    };
    let begins = |(word, _): &(String, String)| word.starts_with(last);
    (candidates.into_iter().filter(begins).collect(), directive)
}

/// Where in the command line the next word is.
struct Place<'c> {
    command: &'c Command,
    /// The flag whose value it is.
    value_of: Option<&'c Arg>,
    /// The flags before it that have a value.
    given: Vec<(&'c Arg, &'c str)>,
    /// How many arguments without a flag there are before it.
    positionals: usize,
    /// Whether no `--` is before it.
    takes_flags: bool,
}

impl<'c> Place<'c> {
    fn after(root: &'c Command, words: &'c [String]) -> Self {
        let (command, value_of, given) = (root, None, Vec::new());
        let mut place = Self { command, value_of, given, positionals: 0, takes_flags: true };
        for word in words {
            if let Some(flag) = place.value_of.take() {
                place.given.push((flag, word));
            } else if place.takes_flags && word == "--" {
                place.takes_flags = false;
            } else if place.takes_flags && word.len() > 1 && word.starts_with('-') {
                let takes_value =
                    |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
                let flag = flag(place.command, word).filter(takes_value);
                match (flag, value_within(word)) {
                    (Some(flag), Some(value)) => place.given.push((flag, value)),
                    _ => place.value_of = flag,
                }
            } else if let Some(command) = place.command.find_subcommand(word) {
                place.command = command;
            } else {
                place.positionals += 1;
            }
        }
        place
    }

    fn value(&self, id: &str) -> Option<&'c str> {
        let mut given = self.given.iter();
        given.find_map(|(flag, value)| (flag.get_id() == id).then_some(*value))
    }
}

/// The value that a flag's word has in it: `--context=NAME`, `-fFILE`.
fn value_within(word: &str) -> Option<&str> {
    match word.strip_prefix("--") {
        Some(long) => long.split_once('=').map(|(_, value)| value),
        None => {
            let value = word.chars().nth(1).map(|short| &word[1 + short.len_utf8()..])?;
            Some(value.strip_prefix('=').unwrap_or(value)).filter(|value| !value.is_empty())
        }
    }
}

/// The flag that a word names: `--context`, `--context=NAME`, `-f`, `-fFILE`.
fn flag<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|arg| match name.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => arg.get_short().is_some() && arg.get_short() == name.chars().nth(1),
    })
}

fn flags(command: &Command) -> Candidates {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help()))))
        .collect()
}

fn commands(command: &Command) -> Candidates {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| (command.get_name().to_owned(), about(command.get_about()))).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// What an argument may be.
fn values(place: &Place, arg: &Arg, typed: &str, env: &Env) -> (Candidates, Directive) {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|value| !value.is_hide_set());
        let values = shown.map(|value| (value.get_name().to_owned(), about(value.get_help())));
        return (values.collect(), Directive::NoFiles);
    }
    let plain = |names: Vec<String>| names.into_iter().map(|name| (name, String::new())).collect();
    let of_service = place.value("service").is_some();
    let found = match (place.command.get_name(), arg.get_id().as_str()) {
        (_, "context" | "allow_context") => {
            let explicit = place.value("kubeconfig").map(Path::new);
            let kubeconfig = env.kubeconfig.as_deref();
            plain(context_names(&kubeconfig_paths(explicit, kubeconfig, env.home.as_deref())))
        }
        ("init", "fault") => faults(),
        ("run", "names") if of_service => faults(),
        (_, "names") => experiments(),
        ("study", "name") => {
            plain(experiment::built_in_studies().into_iter().map(Into::into).collect())
        }
        ("explain", _) => explain::completed(typed),
        ("report" | "describe" | "compare", "runs" | "name" | "sides") => {
            plain(recorded(place.value("runs_dir").map_or(env.runs_dir.as_path(), Path::new)))
        }
        _ => Vec::new(),
    };
    let is_path = arg.get_value_hint() != clap::ValueHint::Unknown;
    (found, if is_path { Directive::Files } else { Directive::NoFiles })
}

fn faults() -> Candidates {
    ChosenFault::all().map(|(name, what)| (name.to_owned(), what.to_owned())).collect()
}

fn experiments() -> Candidates {
    let question = |name: &str| {
        let parsed = experiment::parse(experiment::load(name).ok()?).ok()?;
        parsed.experiment.question
    };
    let names = experiment::built_in_names().into_iter();
    names.map(|name| (name.to_owned(), question(name).unwrap_or_default())).collect()
}

/// The ids of runs and studies, the latest first.
fn recorded(runs_dir: &Path) -> Vec<String> {
    let folders = store::list(runs_dir).unwrap_or_default().into_iter().rev();
    let id = |folder: std::path::PathBuf| Some(folder.file_name()?.to_str()?.to_owned());
    let studies = Recorded::all(runs_dir).read.into_iter().map(|study| study.id());
    std::iter::once("latest".to_owned()).chain(folders.filter_map(id)).chain(studies).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Global;

    fn after(words: &str) -> (Vec<String>, Directive) {
        let global =
            Global { runs_dir: Some("/nowhere".into()), color: super::super::args::Colour::Never };
        let env = Env { kubeconfig: Some("/nowhere".into()), ..Env::read(&global).unwrap() };
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let (candidates, directive) = completed(&words, &env);
        (candidates.into_iter().map(|(word, _)| word).collect(), directive)
    }

    #[test]
    fn a_word_is_completed_by_its_place() {
        for (typed, one) in [
            ("va", "validate"),
            ("run --rep", "--repeat"),
            ("run --runs-dir x worker-stop-f", "worker-stop-fast"),
            ("run --service web worker-", "worker-stop"),
            ("init --fault=worker-", "--fault=worker-stop"),
            ("run --cluster emb", "embedded"),
            ("explain spec.method.fault.nodeSt", "spec.method.fault.nodeStop"),
            ("explain study.spec.mat", "study.spec.matrix"),
            ("describe run lat", "latest"),
            ("get ru", "runs"),
            ("study node-mon", "node-monitor"),
            ("-", "--runs-dir"),
        ] {
            let (found, directive) = after(typed);
            assert!(found.iter().any(|word| word == one), "{typed}: {found:?}");
            assert_eq!(directive, Directive::NoFiles, "{typed}");
            let last = typed.rsplit(' ').next().unwrap();
            assert!(found.iter().all(|word| word.starts_with(last)), "{typed}: {found:?}");
        }
    }

    #[test]
    fn names_are_looked_up_where_the_flags_before_say() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\n\
                    contexts: [{name: far, context: {cluster: c, user: u}}]\n";
        std::fs::write(&kubeconfig, text).unwrap();
        for separator in [' ', '='] {
            let typed = format!("run --kubeconfig{separator}{} --context ", kubeconfig.display());
            assert_eq!(after(&typed).0, ["far"], "{typed}");
        }
        std::fs::create_dir(folder.path().join("20260101-000000-a")).unwrap();
        let typed = format!("report --runs-dir {} ", folder.path().display());
        assert_eq!(after(&typed).0, ["latest", "20260101-000000-a"]);
        assert!(after("run -fa.yaml worker-stop-f").0.contains(&"worker-stop-fast".to_owned()));
    }

    #[test]
    fn files_are_the_shells_and_what_is_hidden_is_offered_nowhere() {
        assert_eq!(after("run -f "), (Vec::new(), Directive::Files));
        assert_eq!(after("run --docker-host "), (Vec::new(), Directive::NoFiles));
        assert_eq!(after("run --context "), (Vec::new(), Directive::NoFiles), "no kubeconfig");
        assert!(after("").0.iter().all(|word| !["agent", "__complete"].contains(&word.as_str())));
        assert_eq!(after("run -- --rep").0, Vec::<String>::new());
    }
}

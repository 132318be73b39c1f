//! README.md and docs/ say what the program does: its flags, exit codes, faults, probes and
//! expectations, no more and no less. Their links lead somewhere, and their tables can be read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::program::Home;
use super::{Test, test};

/// Flags of other programs that the pages mention.
const FLAGS_OF_OTHERS: &[&str] = &[
    "--release",
    "--path",
    "--test",
    "--lib",
    "--locked",
    "--name",
    "--list",
    "--cascade",
    // Of tests/safety.
    "--kills",
    "--on",
];
const LARGEST_README: usize = 8 * 1024;
const WIDEST_CELL: usize = 120;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("docs::every_flag_is_documented", every_flag_is_documented),
        test("docs::every_command_is_documented", every_command_is_documented),
        test("docs::report_formats_are_those_of_help", report_formats_are_those_of_help),
        test("docs::exit_codes_are_those_of_help", exit_codes_are_those_of_help),
        test("docs::names_are_those_of_the_schema", names_are_those_of_the_schema),
        test("docs::results_cover_every_experiment", results_cover_every_experiment),
        test("docs::the_architecture_has_every_module", the_architecture_has_every_module),
        test("docs::links_lead_somewhere", links_lead_somewhere),
        test("docs::pages_can_be_read", pages_can_be_read),
        test("docs::the_readme_shows_what_is_printed", the_readme_shows_what_is_printed),
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// docs/ and every README.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let others = [
        "README.md",
        "CONTRIBUTING.md",
        "src/README.md",
        "src/model/README.md",
        "tests/recorded/README.md",
    ];
    let others = others.map(|name| root().join(name));
    docs.chain(others).collect()
}

/// The pages for users.
fn user_docs() -> String {
    let of_users =
        |path: &PathBuf| !path.ends_with("CONTRIBUTING.md") && !path.ends_with("style.md");
    pages().iter().filter(|path| of_users(path)).map(read).collect::<Vec<_>>().join("\n")
}

/// The section below a heading, up to the next heading of its level or above.
fn section(text: &str, heading: &str) -> String {
    let level = heading.split(' ').next().unwrap().len();
    let from = text.lines().skip_while(|line| *line != heading).skip(1);
    let ends = |line: &&str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        line.starts_with('#') && line[hashes..].starts_with(' ') && hashes <= level
    };
    let lines: Vec<&str> = from.take_while(|line| !ends(line)).collect();
    assert!(!lines.is_empty(), "no section {heading:?}");
    lines.join("\n")
}

/// The cells of each row of each table, without headers.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |at: usize| {
        lines[at].starts_with('|')
            && !lines[at].starts_with("|---")
            && !lines.get(at + 1).is_some_and(|next| next.starts_with("|---"))
    };
    let cells = |at: usize| {
        let line = lines[at].trim_matches('|').replace("\\|", "\u{1}");
        line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
    };
    (0..lines.len()).filter(|at| is_row(*at)).map(cells).collect()
}

/// What stands between backticks.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn set<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(|item| item.as_ref().to_owned()).collect()
}

fn help(command: &[&str]) -> String {
    let home = Home::new();
    let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
    home.run(&arguments).exits(0).stdout.clone()
}

fn commands() -> Vec<String> {
    let text = help(&[]);
    let list = text.split("Commands:\n").nth(1).expect("a list of commands");
    let list = list.lines().take_while(|line| !line.is_empty());
    let named = list.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    named.filter(|name| !["", "help"].contains(name)).map(str::to_owned).collect()
}

/// `--flag` wherever it stands in a text.
fn flags_in(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").filter(|(at, _)| {
        !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '|')
    });
    let flags = starts.map(|(at, _)| {
        let name = text[at + 2..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next();
        format!("--{}", name.unwrap())
    });
    flags.filter(|flag| flag[2..].starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

/// The flags that a help text defines.
fn defined(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    lines.filter_map(|line| flags_in(line.split("  ").next()?).pop_first()).collect()
}

fn every_flag_is_documented() {
    let all = commands();
    let helps = all.iter().map(|command| help(&[command])).chain([help(&[])]);
    let defined: BTreeSet<String> = helps.flat_map(|help| defined(&help)).collect();
    assert!(defined.contains("--repeat") && defined.contains("--runs-dir"), "{defined:?}");
    let missing = &defined - &flags_in(&read("docs/commands.md"));
    assert!(missing.is_empty(), "docs/commands.md does not explain {missing:?}");
    let known = &defined | &set(FLAGS_OF_OTHERS);
    let invented = &flags_in(&user_docs()) - &known;
    assert!(invented.is_empty(), "no command has {invented:?}");
}

fn every_command_is_documented() {
    let commands = set(commands());
    let page = read("docs/commands.md");
    let missing: Vec<&String> =
        commands.iter().filter(|name| !page.contains(&format!("kubectl outage {name}"))).collect();
    assert!(missing.is_empty(), "docs/commands.md does not explain {missing:?}");
    for text in pages().iter().map(read) {
        for (at, what) in text.match_indices("kubectl outage ") {
            let word: String =
                text[at + what.len()..].chars().take_while(|c| c.is_ascii_lowercase()).collect();
            let in_code = text[..at].ends_with('`') || text[..at].ends_with('\n');
            assert!(!in_code || word.is_empty() || commands.contains(&word), "no command {word:?}");
        }
    }
}

fn report_formats_are_those_of_help() {
    let text = help(&["report"]);
    let values = text.split("Possible values:\n").nth(1).expect("formats").split("\n\n").next();
    let values = values.unwrap().lines().filter_map(|line| line.trim().strip_prefix("- "));
    let values = set(values.filter_map(|line| line.split(':').next()));
    let page = section(&read("docs/commands.md"), "## Report formats");
    assert_eq!(set(rows(&page).iter().map(|row| row[0].trim_matches('`'))), values);
}

fn exit_codes_are_those_of_help() {
    let page = read("docs/commands.md");
    for (command, heading) in [
        (None, "## Exit codes"),
        (Some("predict"), "### Exit codes of predict"),
        (Some("compare"), "### Exit codes of compare"),
        (Some("lint"), "### Exit codes of lint"),
        (Some("preflight"), "### Exit codes of preflight"),
        (Some("tune"), "### Exit codes of tune"),
    ] {
        let text = help(command.as_slice());
        let list = text.split("Exit codes:\n").nth(1).expect("exit codes");
        let codes = list.lines().map_while(|line| line.strip_prefix("  ")?.split_once(' '));
        let of_help: Vec<_> = codes.map(|(code, what)| (code, what.trim())).collect();
        let section = section(&page, heading);
        let section = section.split("\n#").next().unwrap().replace('`', "");
        let of_page = rows(&section);
        let of_page: Vec<_> = of_page.iter().map(|row| (&*row[0], &*row[1])).collect();
        let of_help: Vec<_> =
            of_help.iter().map(|(code, what)| (*code, what.replace('`', ""))).collect();
        assert_eq!(of_page, of_help.iter().map(|(c, w)| (*c, &**w)).collect::<Vec<_>>());
    }
}

/// The first name in backticks of the first cell of each row.
fn first_names(text: &str) -> BTreeSet<String> {
    let name = |row: &Vec<String>| {
        let cell = code(&row[0]).first().copied()?.to_owned();
        Some(cell.split(|c: char| !c.is_alphanumeric()).next()?.to_owned())
    };
    rows(text).iter().filter_map(name).collect()
}

/// The fields of a mapping in a published schema, by the path of its schema.
fn properties(schema: &Value, path: &str) -> BTreeSet<String> {
    let mapping = schema.pointer(path).unwrap_or_else(|| panic!("no {path}"));
    set(mapping["properties"].as_object().expect(path).keys())
}

/// Those of which there must be one.
fn choices(schema: &Value, path: &str) -> BTreeSet<String> {
    let choices = schema.pointer(path).unwrap()["oneOf"].as_array().expect(path);
    set(choices.iter().map(|choice| choice["required"][0].as_str().unwrap()))
}

fn names_are_those_of_the_schema() {
    let schema: Value = serde_json::from_str(&read("docs/schemas/experiment.json")).unwrap();
    let spec = |path: &str| format!("/properties/spec/properties/{path}");
    let faults = read("docs/faults.md");
    let radius = section(&faults, "## Blast radius");
    assert_eq!(first_names(&radius), properties(&schema, &spec("blastRadius")));
    let known = properties(&schema, "/$defs/step/properties/fault");
    assert_eq!(first_names(&faults.replace(&radius, "")), known);
    let probes = read("docs/probes.md");
    let canaries = section(&probes, "## canary");
    let http = section(&probes, "## http, tcp and tls");
    let (fields, of_http) =
        (first_names(&http), properties(&schema, &spec("probes/items/properties/http")));
    assert!(fields.is_subset(&of_http), "{fields:?} of {of_http:?}");
    let kinds = probes.replace(&canaries, "").replace(&http, "");
    assert_eq!(first_names(&kinds), choices(&schema, &spec("probes/items")));
    let expectations = first_names(&read("docs/expectations.md"));
    assert_eq!(expectations, properties(&schema, &spec("expect/items")));
    let page = read("docs/writing-experiments.md");
    let conditions = section(&page, "## Steady state");
    assert_eq!(first_names(&conditions), properties(&schema, &spec("steadyState/items")));
    let missing = &properties(&schema, "/properties/spec") - &set(code(&page));
    assert!(missing.is_empty(), "docs/writing-experiments.md does not explain {missing:?}");
}

fn results_cover_every_experiment() {
    let results = read("docs/results.md");
    let all = std::fs::read_dir(root().join("experiments")).unwrap();
    let names = all.filter_map(|entry| {
        Some(entry.unwrap().file_name().to_str()?.strip_suffix(".yaml")?.to_owned())
    });
    let missing: Vec<String> =
        names.filter(|name| !results.contains(&format!("`{name}"))).collect();
    assert!(missing.is_empty(), "docs/results.md has no row of {missing:?}");
}

fn the_architecture_has_every_module() {
    let entries = std::fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let folders = set(folders.map(|entry| entry.file_name().into_string().unwrap()));
    let cells: Vec<String> = rows(&section(&read("src/README.md"), "## Modules"))
        .iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(set(cells.iter().map(|cell| cell.trim_matches(['`', '/']))), folders);
}

/// `[text](target)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.map(str::to_owned).collect()
}

/// As GitHub names a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn links_lead_somewhere() {
    for page in pages() {
        for link in links(&read(&page)) {
            if link.starts_with("http") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            let headings = || {
                read(&target).lines().any(|line| {
                    line.starts_with('#') && anchor(line.trim_start_matches('#').trim()) == fragment
                })
            };
            assert!(fragment.is_empty() || headings(), "{}: no heading {link}", page.display());
        }
    }
}

fn pages_can_be_read() {
    let size = read("README.md").len();
    assert!(size <= LARGEST_README, "README.md has {size} bytes, more than {LARGEST_README}");
    for page in pages() {
        for cell in rows(&read(&page)).concat() {
            let width = cell.chars().count();
            assert!(width <= WIDEST_CELL, "{}: {width} characters: {cell}", page.display());
        }
    }
}

fn the_readme_shows_what_is_printed() {
    let run = root().join("tests/recorded/worker-stop");
    let printed = Home::new().run(&["report", run.to_str().unwrap()]).exits(0).stdout.clone();
    let page = section(&read("README.md"), "## One run");
    let shown = page.split("```\n").nth(1).expect("a block");
    assert_eq!(shown, printed);
}

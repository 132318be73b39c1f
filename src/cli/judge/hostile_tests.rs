//! A run in which every text is hostile, in every format.

use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::tests::attempts_again;
use super::*;
use crate::cli::form::Form;
use crate::report::{Style, is_unprintable};
use crate::timeline::ProbeFile;

/// Control characters, another direction, markup of each format, and a line that none may begin.
const HOSTILE: &str = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}<evil a=\"1\" b='2'>&]]>--></script>\" onevil=1 \
                       `[evil](evil)` ![evil](evil) | \\ % : , # {}\r\nevil-line 1\n::error::evil";

/// A value in which every text that may be another one is hostile.
fn hostile<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let mut all = serde_json::to_value(value).unwrap();
    let mut paths = Vec::new();
    texts(&all, String::new(), &mut paths);
    for path in paths {
        let place = all.pointer_mut(&path).unwrap();
        let before = place.take();
        *place = Value::String(format!("{}{HOSTILE}", before.as_str().unwrap()));
        if serde_json::from_value::<T>(all.clone()).is_err() {
            *all.pointer_mut(&path).unwrap() = before;
        }
    }
    serde_json::from_value(all).unwrap()
}

/// The places of all texts, as JSON pointers.
fn texts(value: &Value, at: String, paths: &mut Vec<String>) {
    match value {
        Value::String(_) => paths.push(at),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| texts(item, format!("{at}/{n}"), paths));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            texts(field, format!("{at}/{name}"), paths);
        }),
        _ => {}
    }
}

fn hostile_run(name: &str) -> Judged {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
    let mut timeline = Timeline::read(&recorded).unwrap();
    let experiment: Experiment =
        serde_json::from_value(timeline.header.experiment.clone()).unwrap();
    let experiment = hostile(&experiment);
    timeline.header = hostile(&timeline.header);
    timeline.header.experiment = serde_json::to_value(&experiment).unwrap();
    timeline.records = timeline.records.iter().map(hostile).collect();
    let again = |file: &ProbeFile| {
        let name = |name: &str| format!("{name}{HOSTILE}");
        ProbeFile::new(attempts_again(file, hostile(&file.span), name)).unwrap()
    };
    timeline.probes = timeline.probes.iter().map(again).collect();
    let folder = Path::new(HOSTILE).to_owned();
    let findings = analysis::analyse_for(&timeline, &verdict::wanted(&experiment.expect));
    let predictions = Predictions::of_run(&timeline.header, ground(&timeline.header, &findings));
    let verdict = verdict::judge(&findings, &experiment.expect, &predictions);
    Judged { folder, timeline, findings, verdict, predictions }
}

/// Markdown without what stands between as many backticks on a line.
fn without_code(text: &str) -> String {
    let ticks = |text: &str| text.len() - text.trim_start_matches('`').len();
    let mut out = String::new();
    for mut line in text.split_inclusive('\n') {
        while let Some(at) = line.find('`') {
            let (before, code) = line.split_at(at);
            out.push_str(before);
            if before.ends_with('\\') {
                (_, line) = code.split_at(1);
                continue;
            }
            let fence = &code[..ticks(code)];
            let inner = &code[fence.len()..];
            let ends = |(at, _): &(usize, &str)| {
                !inner[..*at].ends_with('`') && ticks(&inner[*at..]) == fence.len()
            };
            match inner.match_indices(fence).find(ends) {
                Some((at, _)) => line = &inner[at + fence.len()..],
                None => (out, line) = (out + fence, inner),
            }
        }
        out.push_str(line);
    }
    out
}

/// What a text in this format does that only its writer may do.
fn harm(form: Form, text: &str) -> Vec<String> {
    let mut harm = Vec::new();
    let mut no = |is_wrong: bool, what: &str| {
        if is_wrong {
            harm.push(format!("{form:?}: {what}"));
        }
    };
    no(text.contains(is_unprintable), "has control characters");
    // Where the runner heeds no command.
    let quoted = text.strip_prefix("::stop-commands::").and_then(|text| {
        let (token, rest) = text.split_once('\n')?;
        rest.split_once(&format!("\n::{token}::\n"))
    });
    let text = quoted.filter(|_| form == Form::Github).map_or(text, |(_, commands)| commands);
    let lines = || text.lines().map(str::trim_start);
    match form {
        Form::Json => no(serde_json::from_str::<Value>(text).is_err(), "is not JSON"),
        Form::Yaml => no(serde_saphyr::from_str::<Value>(text).is_err(), "is not YAML"),
        Form::Jsonl => {
            no(lines().any(|line| serde_json::from_str::<Value>(line).is_err()), "is not JSON");
        }
        Form::Csv => {
            let rows = csv::Reader::from_reader(text.as_bytes()).into_records();
            no(rows.into_iter().any(|row| row.is_err()), "has a row of another length");
        }
        // Where a line begins means nothing there.
        Form::Junit | Form::Html | Form::Svg => {}
        // One that is indented is a text that goes on.
        _ => no(
            text.lines().any(|line| line.starts_with("evil-line")),
            "has a line of somebody else's",
        ),
    }
    match form {
        Form::Junit | Form::Html | Form::Svg => {
            no(text.contains("<evil"), "has an element");
            // In the data of a page, a quote has a backslash before it.
            let quote = |at: usize| !text[..at].ends_with('\\');
            no(text.match_indices("\" onevil").any(|(at, _)| quote(at)), "has an attribute");
            no(form == Form::Junit && text.contains("]]>"), "ends its data");
        }
        Form::Markdown => {
            let text = without_code(text);
            no(text.contains("<evil"), "has an element");
            let link = |at: usize| !text[..at].ends_with('\\');
            no(text.match_indices("[evil](").any(|(at, _)| link(at)), "has a link");
        }
        Form::Github => no(lines().any(|line| line.starts_with("::error::evil")), "has a command"),
        Form::Openmetrics => {
            let is_sample = |line: &str| line.starts_with('#') || line.starts_with("outage_");
            no(!text.lines().all(is_sample), "has a line that is no sample");
            no(!text.ends_with("# EOF\n"), "does not end");
        }
        _ => {}
    }
    harm
}

#[test]
fn no_text_of_a_run_does_anything_in_any_format() {
    let mut all = Vec::new();
    for name in ["worker-stop", "node-pause", "worker-stop-with-stale-ports"] {
        let run = [hostile_run(name)];
        let parts = parts(&run);
        for form in Form::value_variants() {
            let mut bytes = Vec::new();
            form.write(&parts, &Style::default(), &mut bytes).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.contains("evil") || *form == Form::Jsonl, "{form:?} shows none of it");
            all.extend(harm(*form, &text).into_iter().map(|harm| format!("{name}: {harm}")));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

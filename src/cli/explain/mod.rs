//! `explain`: what the fields of experiments, studies and reports are for, as `kubectl explain` says
//! it.

mod example;
mod field;

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::args::{Explain, SchemaOf};
use super::env::Env;
use super::schema;
use super::{exit, failure::Failure, print};
use crate::experiment::{self, API_VERSION, Source};
use crate::report::fill;
use crate::yaml::suggest;
use crate::{compare, report};
use field::{Field, Presence, about, below, fields, is_mapping, resolved, type_of};

/// A file or a report whose fields are explained.
struct Kind {
    /// Its kind, and the first word of its fields' paths in lower case.
    name: &'static str,
    version: &'static str,
    schema: Json,
    built_in: Vec<Source>,
}

impl Kind {
    /// A path that names none is of one of the first two, in their order.
    const FILES: usize = 2;

    fn all() -> [Self; 4] {
        let (experiments, studies) = (experiment::built_in_names, experiment::built_in_studies);
        [
            Self {
                name: "Experiment",
                version: API_VERSION,
                schema: experiment::json_schema(),
                built_in: experiments().into_iter().flat_map(experiment::load).collect(),
            },
            Self {
                name: "Study",
                version: API_VERSION,
                schema: experiment::study_json_schema(),
                built_in: studies().into_iter().flat_map(experiment::load_study).collect(),
            },
            Self::printed("Report", report::json::FORMAT, SchemaOf::Report),
            Self::printed("Compare", compare::FORMAT, SchemaOf::Compare),
        ]
    }

    fn printed(name: &'static str, version: &'static str, of: SchemaOf) -> Self {
        let schema = serde_json::from_str(&schema::text(of)).expect("a schema of this program");
        Self { name, version, schema, built_in: Vec::new() }
    }

    fn word(&self) -> String {
        self.name.to_lowercase()
    }

    fn root(&self) -> Field<'_> {
        Field { path: String::new(), schema: &self.schema, presence: Presence::Required }
    }
}

pub(super) fn explain(args: &Explain, env: &Env) -> Result<u8, Failure> {
    let kinds = Kind::all();
    match args.path.as_deref().filter(|path| !path.is_empty()) {
        None => print(&listed(&kinds, env.width)),
        Some(path) => {
            let (kind, field) = found(&kinds, path)?;
            print(&explained(kind, &field, args.recursive, env.width));
        }
    }
    Ok(exit::PASS)
}

/// The paths that one that is being typed may become, a field further, and what they are for.
pub(super) fn completed(typed: &str) -> Vec<(String, String)> {
    let kinds = Kind::all();
    let words = kinds.iter().map(|kind| (kind.word(), purpose(&kind.schema, &kind.schema).into()));
    let Some((above, _)) = typed.rsplit_once('.') else {
        let top = fields(&kinds[0].schema, &kinds[0].root());
        let root = &kinds[0].schema;
        let top = top.iter().map(|field| (field.path.clone(), purpose(root, field.schema).into()));
        return words.chain(top).collect();
    };
    let Ok((kind, field)) = found(&kinds, above) else { return Vec::new() };
    let below = fields(&kind.schema, &field);
    let path = |one: &Field| format!("{above}.{}", one.name());
    below.iter().map(|one| (path(one), purpose(&kind.schema, one.schema).into())).collect()
}

fn listed(kinds: &[Kind], width: usize) -> String {
    let mut text = String::from("KINDS:\n");
    for kind in kinds {
        text += &format!(
            "  {}\n{}",
            kind.word(),
            indented(purpose(&kind.schema, &kind.schema), 4, width)
        );
    }
    text + "\nNext: `kubectl outage explain experiment.spec`. A path without a kind is that \
            of an experiment or a study.\n"
}

/// The field that a path names: from the top of a file, or the only one that ends so.
fn found<'k>(kinds: &'k [Kind], typed: &str) -> Result<(&'k Kind, Field<'k>), Failure> {
    // A list is explained by its items, whichever is meant.
    let without_index = |part: &str| part.split('[').next().unwrap_or_default().to_owned();
    let mut path: Vec<String> = typed.trim_end_matches('.').split('.').map(without_index).collect();
    let word = path[0].to_lowercase();
    let named = kinds.iter().find(|kind| [kind.word(), kind.word() + "s"].contains(&word));
    if named.is_some() {
        path.remove(0);
    }
    let searched = named.map_or(&kinds[..Kind::FILES], std::slice::from_ref);
    let at = |kind: &'k Kind| {
        path.iter().try_fold(kind.root(), |field, name| below(&kind.schema, &field, name))
    };
    if let Some(found) = searched.iter().find_map(|kind| Some((kind, at(kind)?))) {
        return Ok(found);
    }
    let wanted = path.join(".");
    let full = |kind: &Kind, field: &Field| match kind.name == kinds[0].name {
        true => field.path.clone(),
        false => format!("{}.{}", kind.word(), field.path),
    };
    let mut candidates = Vec::new();
    for kind in searched {
        let all = field::all(&kind.schema);
        let end = format!(".{wanted}");
        let mut of_end = all.iter().filter(|field| field.path.ends_with(&end));
        match (of_end.next(), of_end.next()) {
            (Some(only), None) => return Ok((kind, only.clone())),
            (Some(one), Some(other)) => {
                let hint =
                    format!("did you mean `{}` or `{}`?", full(kind, one), full(kind, other));
                return Err(Failure::usage(format!("several fields end in {wanted}")).hint(hint));
            }
            (None, _) => candidates.extend(all.iter().map(|field| full(kind, field))),
        }
    }
    let failure = Failure::usage(format!("there is no field {typed}"));
    Err(failure.hint(match nearest(&wanted, &candidates) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let kind = searched[0].word();
            format!("`kubectl outage explain {kind} --recursive` lists all fields")
        }
    }))
}

/// The path that was probably meant: one with this name at its end, one that is near as a whole, or
/// one with a name at its end that is near.
fn nearest<'c>(wanted: &str, candidates: &'c [String]) -> Option<&'c str> {
    fn last(path: &str) -> &str {
        path.rsplit('.').next().unwrap_or_default()
    }
    let all = || candidates.iter().map(String::as_str);
    let named = |name| all().filter(move |path| last(path) == name);
    suggest::closest(wanted, named(last(wanted)))
        .or_else(|| suggest::closest(wanted, all()))
        .or_else(|| named(suggest::closest(last(wanted), all().map(last))?).next())
}

fn explained(kind: &Kind, field: &Field, recursive: bool, width: usize) -> String {
    let root = &kind.schema;
    let mut text = format!("KIND:       {}\nVERSION:    {}\n\n", kind.name, kind.version);
    if !field.path.is_empty() {
        let required = if field.presence == Presence::Required { " -required-" } else { "" };
        text += &format!("FIELD: {} <{}>{required}\n\n", field.path, type_of(root, field.schema));
    }
    let words = words_of(root, field);
    if !words.is_empty() {
        text += &format!("ENUM:\n    {}\n\n", words.join("\n    "));
    }
    text += "DESCRIPTION:\n";
    let more = [field::limits(field.schema), default(field)];
    let about = about(root, field.schema).into_iter().map(str::to_owned).chain(more);
    text += &about.map(|about| indented(&about, 4, width)).collect::<String>();
    let all = fields(root, field);
    if recursive && !all.is_empty() {
        text += "\nFIELDS:\n";
        text += &tree(root, field, 1);
        return text;
    }
    for (heading, of_choice) in [("FIELDS", false), ("EXACTLY ONE OF", true)] {
        let are = |one: &&Field| (one.presence == Presence::Choice) == of_choice;
        let listed: Vec<String> =
            all.iter().filter(are).map(|one| line(root, one, width)).collect();
        if !listed.is_empty() {
            text += &format!("\n{heading}:\n{}", listed.join("\n"));
        }
    }
    if let Some((name, example)) = example::of(&kind.built_in, &field.path) {
        text += &format!("\nEXAMPLE (from the built-in {} {name}):\n", kind.word());
        text += &example.lines().map(|line| format!("    {line}\n")).collect::<String>();
    }
    text
}

/// A field of a mapping: its name and type, what it may be, and what it is for.
fn line(root: &Json, field: &Field, width: usize) -> String {
    let required = if field.presence == Presence::Required { " -required-" } else { "" };
    let mut text = format!("  {}  <{}>{required}\n", field.name(), type_of(root, field.schema));
    let words = words_of(root, field);
    if !words.is_empty() {
        text += &indented(&format!("enum: {}", words.join(", ")), 4, width);
    }
    let purpose = format!("{} {}", purpose(root, field.schema), default(field));
    text + &indented(purpose.trim_end(), 4, width)
}

/// The names of all fields below one, and their types.
fn tree(root: &Json, field: &Field, depth: usize) -> String {
    let mut text = String::new();
    for one in fields(root, field) {
        let presence = match one.presence {
            Presence::Required => " -required-",
            Presence::Choice => " -one of these-",
            Presence::Optional => "",
        };
        let (indent, kind) = ("  ".repeat(depth), type_of(root, one.schema));
        text += &format!("{indent}{}  <{kind}>{presence}\n", one.name());
        if !one.is_within_itself(root) && is_mapping(root, one.schema) {
            text += &tree(root, &one, depth + 1);
        }
    }
    text
}

/// What a field is for.
fn purpose<'s>(root: &'s Json, schema: &'s Json) -> &'s str {
    about(root, schema).first().copied().unwrap_or_default()
}

/// What is assumed where the field is absent, if the description does not say it in words.
fn default(field: &Field) -> String {
    match &field.schema["default"] {
        Json::Null => String::new(),
        value => format!("Default: {}.", plain(value)),
    }
}

/// The words that a value, or an item of a list, may be.
fn words_of(root: &Json, field: &Field) -> Vec<String> {
    let schema = resolved(root, field.schema);
    let each = schema["oneOf"].as_array().into_iter().flatten();
    let each = each.filter_map(|one| one.get("const"));
    let words = schema["enum"].as_array().into_iter().flatten().chain(each);
    let mut words: Vec<String> = words.map(plain).collect();
    // A version may be a number or a text.
    let mut known = BTreeSet::new();
    words.retain(|word| known.insert(word.clone()));
    words
}

fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text on lines of its own, broken between words.
fn indented(text: &str, by: usize, width: usize) -> String {
    if text.is_empty() {
        return String::new();
    }
    let indent = " ".repeat(by);
    fill(text, width - by).iter().map(|line| format!("{indent}{line}\n")).collect()
}

#[cfg(test)]
mod tests;

//! A study: an experiment, and what is varied in it.

use serde_json::{Value as Json, json};

use super::fields::{Cx, Fields};
use super::scalar::{self, count};
use super::{STUDY, another_kind, api_version, list, metadata, schema_of};
use crate::experiment::diagnostic::Span;
use crate::experiment::tree::{Node, Value, quoted};

const DEFAULT_REPEAT: u32 = 10;
const DEFAULT_NODES: u32 = 1000;
/// As for `--repeat` and `--nodes`.
const MOST_REPEATS: u32 = 1000;
const MOST_NODES: u32 = 5000;

/// What could be understood of a study.
#[derive(Debug, Default)]
pub(in crate::experiment) struct Draft {
    pub name: Option<String>,
    pub question: Option<String>,
    pub base: Option<Base>,
    pub repeat: Option<u32>,
    pub rounds: Option<Option<u32>>,
    pub seed: Option<Option<u32>>,
    pub nodes: Option<u32>,
    pub matrix: Option<Vec<Axis>>,
    pub exclude: Vec<Option<Exclusion>>,
}

/// The experiment that is varied.
#[derive(Debug)]
pub(in crate::experiment) enum Base {
    /// A built-in one by its name, or a file, relative to the study file.
    Named { text: String, at: Span },
    /// Its `spec`.
    Inline(Node),
}

/// One thing that is varied.
#[derive(Debug)]
pub(in crate::experiment) struct Axis {
    pub name: String,
    pub values: Vec<AxisValue>,
}

/// What is varied, one way.
#[derive(Clone, Debug)]
pub(in crate::experiment) struct AxisValue {
    pub name: String,
    /// What it puts into the experiment: fields by their paths below `spec`.
    pub set: Vec<(String, Node)>,
}

/// Cells that are left out: those with one of these values on each of these axes.
#[derive(Debug)]
pub(in crate::experiment) struct Exclusion {
    pub at: Span,
    pub of: Vec<ExcludedAxis>,
}

#[derive(Debug)]
pub(in crate::experiment) struct ExcludedAxis {
    pub axis: String,
    pub at: Span,
    pub values: Vec<ExcludedValue>,
}

#[derive(Debug)]
pub(in crate::experiment) struct ExcludedValue {
    pub name: String,
    pub at: Span,
}

/// Reads a study, as far as it can be. `None`: it is something else, or has no spec.
pub(in crate::experiment) fn study(cx: &Cx, node: &Node) -> Option<Draft> {
    another_kind(cx, node, STUDY, "a study")?;
    let mut fields = Fields::of(cx, node, "a study")?;
    fields.about("A study: an experiment in several variants, each run many times.");
    fields.doc("The version of this format.").required("apiVersion", api_version);
    fields
        .doc("The kind of this file.")
        .required("kind", |cx, _| cx.reads(|| json!({"const": STUDY})));
    let name = fields.doc("The metadata: the name.").required("metadata", metadata);
    let spec = fields.doc("The experiment, and what is varied.").required("spec", spec);
    fields.finish();
    Some(Draft { name, ..spec? })
}

pub(crate) fn json_schema() -> Json {
    let mut schema = schema_of(study, "an outage study");
    relax(&mut schema["properties"]["spec"]["properties"]["experiment"]);
    relax(&mut schema["$defs"]["step"]);
    schema
}

/// What an experiment lacks, the matrix may put in.
fn relax(schema: &mut Json) {
    match schema {
        Json::Object(keywords) => {
            keywords.retain(|name, _| !["required", "oneOf"].contains(&name.as_str()));
            keywords.values_mut().for_each(relax);
        }
        Json::Array(items) => items.iter_mut().for_each(relax),
        _ => {}
    }
}

fn spec(cx: &Cx, node: &Node) -> Option<Draft> {
    let mut fields = Fields::of(cx, node, "the spec of a study")?;
    let draft = Draft {
        name: None,
        question: fields
            .doc("The question that it answers, in a sentence.")
            .optional("question", scalar::sentence)
            .flatten(),
        base: fields
            .doc("The experiment: a built-in one by its name, a file, or its `spec`.")
            .required("experiment", base),
        repeat: fields.doc("How often each cell is run.").or(
            "repeat",
            DEFAULT_REPEAT,
            |cx, node| whole(cx, node, MOST_REPEATS),
        ),
        rounds: fields
            .doc(
                "The number of rounds. In each, every cluster is visited once and every cell gets its \
                 share of the repetitions, both in random order. Default: as many as repetitions.",
            )
            .optional("rounds", |cx, node| whole(cx, node, MOST_REPEATS)),
        seed: fields
            .doc("The seed of the order and of the runs. Default: a new one, which is recorded.")
            .optional("seed", count),
        nodes: fields.doc("The number of nodes for which the load of heartbeats is predicted.").or(
            "nodes",
            DEFAULT_NODES,
            |cx, node| whole(cx, node, MOST_NODES),
        ),
        matrix: fields
            .doc(
                "What is varied: axes with their values. A value with `name` and `set` sets these \
                 fields of the experiment; any other value replaces the field that the axis is \
                 named after. Fields are named by their path below `spec`: `method[0].for`.",
            )
            .or("matrix", Vec::new(), matrix),
        exclude: fields
            .doc("Combinations to leave out: for some of the axes, one value or several.")
            .or("exclude", Vec::new(), list(exclusion))
            .unwrap_or_default(),
    };
    fields.finish();
    Some(draft)
}

fn whole(cx: &Cx, node: &Node, most: u32) -> Option<u32> {
    cx.reads(|| json!({"type": "integer", "minimum": 1, "maximum": most}))?;
    let found = node.text().and_then(|text| text.parse().ok());
    let found = found.filter(|number| (1..=most).contains(number));
    found.or_else(|| cx.expected(node, &format!("a whole number from 1 to {most}")))
}

fn base(cx: &Cx, node: &Node) -> Option<Base> {
    cx.reads_also(|| json!({"type": "string"}), || super::spec(cx, node))?;
    match (&node.value, node.text()) {
        (_, Some(text)) => Some(Base::Named { text: text.to_owned(), at: node.focus() }),
        (Value::Map(_), _) => Some(Base::Inline(node.clone())),
        _ => cx.expected_hint(
            node,
            "an experiment",
            "name a built-in one (`kubectl outage get experiments`) or a file, or write its `spec` here",
        ),
    }
}

fn matrix(cx: &Cx, node: &Node) -> Option<Vec<Axis>> {
    let value = json!({"anyOf": [
        {"type": "object", "required": ["name", "set"], "additionalProperties": false,
         "properties": {"name": {"type": "string"}, "set": {"type": "object", "minProperties": 1}}},
        {"type": ["string", "number", "boolean"]},
        {"type": "object", "minProperties": 1, "maxProperties": 1},
    ]});
    let values = json!({"type": "array", "minItems": 1, "items": value});
    cx.reads(|| json!({"type": "object", "additionalProperties": values}))?;
    let Value::Map(entries) = &node.value else {
        return cx.expected(node, "a mapping of axes to lists of values");
    };
    let axes: Vec<Option<Axis>> = entries.iter().map(|(name, node)| axis(cx, name, node)).collect();
    axes.into_iter().collect()
}

fn axis(cx: &Cx, name: &str, node: &Node) -> Option<Axis> {
    // A path has brackets, and is a name nevertheless.
    let items = node.items();
    if items.is_empty() {
        let hint = "write its values as a list: `[2, 4]`, or `- {name: tuned, set: {..}}`";
        return cx.expected_hint(node, &format!("the values of the axis {}", quoted(name)), hint);
    }
    let values: Vec<_> = items.iter().map(|item| value(cx, name, node, item)).collect();
    let values: Vec<AxisValue> = values.into_iter().collect::<Option<_>>()?;
    for (at, item) in items.iter().enumerate() {
        if values[..at].iter().any(|other| other.name == values[at].name) {
            let message = format!("two values of the axis are called {}", quoted(&values[at].name));
            let hint = "give each a name: `{name: NAME, set: {PATH: VALUE}}`";
            return cx.error_hint(item.focus(), message, hint);
        }
    }
    Some(Axis { name: name.to_owned(), values })
}

fn value(cx: &Cx, axis: &str, list: &Node, item: &Node) -> Option<AxisValue> {
    if item.get("set").is_some() || item.get("name").is_some() {
        let mut fields = Fields::of(cx, item, "a value of the matrix")?;
        let name = fields.required("name", value_name);
        let set = fields.required("set", changes);
        fields.finish();
        return Some(AxisValue { name: name?, set: set? });
    }
    let name = match &item.value {
        Value::Map(entries) if entries.len() == 1 => entries[0].0.clone(),
        _ => value_name(cx, item)?,
    };
    let node = Node { key: list.key, ..item.clone() };
    Some(AxisValue { name, set: vec![(axis.to_owned(), node)] })
}

/// What names cells, runs and rows of reports.
fn value_name(cx: &Cx, node: &Node) -> Option<String> {
    let text = node.text().filter(|text| {
        !text.contains(['[', ']', ',', '=', '\n']) && !text.trim().is_empty() && text.len() <= 63
    });
    match text {
        Some(text) => Some(text.to_owned()),
        None => cx.expected_hint(
            node,
            "a value with a short name",
            "write `{name: NAME, set: {PATH: VALUE}}`; a name has none of `[`, `]`, `,` and `=`",
        ),
    }
}

fn changes(cx: &Cx, node: &Node) -> Option<Vec<(String, Node)>> {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => Some(entries.clone()),
        _ => cx.expected_hint(
            node,
            "fields of the experiment by their paths",
            "for example `{\"method[0].for\": 12s}`",
        ),
    }
}

fn exclusion(cx: &Cx, node: &Node) -> Option<Exclusion> {
    let names = json!({"anyOf": [{"type": ["string", "number", "boolean"]}, {"type": "array", "minItems": 1}]});
    cx.reads(|| json!({"type": "object", "minProperties": 1, "additionalProperties": names}))?;
    let entries = match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries,
        _ => return cx.expected_hint(node, "a combination", "for example `{settings: default}`"),
    };
    let of = entries.iter().map(|(axis, node)| {
        let nodes = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
        let name =
            |node: &Node| Some(ExcludedValue { name: value_name(cx, node)?, at: node.focus() });
        let values =
            nodes.iter().map(name).collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
        let at = node.key.unwrap_or(node.span);
        Some(ExcludedAxis { axis: axis.clone(), at, values })
    });
    let of = of.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
    Some(Exclusion { at: node.focus(), of })
}

//! Objects as rows for people: the columns and words of Kubernetes' own printers
//! (pkg/printers/internalversion of 1.34), which the server fills in and kubectl only prints.

mod age;
mod endpoints;
mod event;
mod node;
mod pod;
mod service;
mod simple;
mod workload;

use serde_json::{Value, json};

use super::form::metadata;
use crate::embedded::store::{Kind, object};
use age::age;

/// What each row carries of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// A column: its heading, its type, and whether it is shown to those only who ask for more (`-o
/// wide`).
type Column = (&'static str, &'static str, bool);

/// Columns, and the cells of one object.
struct Layout {
    columns: &'static [Column],
    cells: fn(&Value) -> Vec<Value>,
}

const NAME: Column = ("Name", "string", false);
const AGE: Column = ("Age", "string", false);

/// Text that all see.
const fn text(name: &'static str) -> Column {
    (name, "string", false)
}

/// A number that all see.
const fn number(name: &'static str) -> Column {
    (name, "integer", false)
}

/// Text for those who ask for more.
const fn wide(name: &'static str) -> Column {
    (name, "string", true)
}

fn layout(kind: &Kind) -> Layout {
    match kind.plural {
        "nodes" => node::LAYOUT,
        "pods" => pod::LAYOUT,
        "services" => service::LAYOUT,
        "endpoints" => endpoints::ENDPOINTS,
        "endpointslices" => endpoints::SLICES,
        "events" => event::LAYOUT,
        "deployments" => workload::DEPLOYMENTS,
        "replicasets" => workload::REPLICA_SETS,
        "namespaces" => simple::NAMESPACES,
        "leases" => simple::LEASES,
        "configmaps" => simple::CONFIG_MAPS,
        "secrets" => simple::SECRETS,
        "serviceaccounts" => simple::SERVICE_ACCOUNTS,
        _ => simple::OTHERS,
    }
}

/// A table of objects, with the metadata of their list.
pub(super) fn table(
    kind: &'static Kind,
    objects: &[&Value],
    meta: Value,
    include: Include,
) -> Value {
    let layout = layout(kind);
    let column = |(name, what, wide): &Column| {
        let format = if *name == "Name" { "name" } else { "" };
        json!({"name": name, "type": what, "format": format, "description": "", "priority": i32::from(*wide)})
    };
    let row = |object: &&Value| {
        let mut row = json!({"cells": (layout.cells)(object)});
        match include {
            Include::None => {}
            Include::Metadata => row["object"] = metadata(object),
            Include::Object => row["object"] = Value::clone(object),
        }
        row
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": layout.columns.iter().map(column).collect::<Vec<_>>(), "rows": objects.iter().map(row).collect::<Vec<_>>()})
}

fn name(object: &Value) -> Value {
    object::name(object).into()
}

/// A text, or another where it is absent or empty.
fn text_or(value: &Value, or: &str) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(or).into()
}

fn texts<'a>(list: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |item| item[field].as_str())
}

fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, serde_json::Map::len)
}

/// Labels as `a=b,c=d`, by name.
fn labels(map: &Value) -> String {
    let mut pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// The first three, and how many more there are.
fn first_three(list: &[String], none: &str) -> String {
    match list.len() {
        0 => none.to_owned(),
        1..=3 => list.join(","),
        more => format!("{} + {} more...", list[..3].join(","), more - 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::store::kinds;

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        for kind in kinds::ALL {
            let table =
                table(kind, &[&json!({"metadata": {"name": "a"}})], json!({}), Include::None);
            let cells = table["rows"][0]["cells"].as_array().unwrap().len();
            assert_eq!(
                table["columnDefinitions"].as_array().unwrap().len(),
                cells,
                "{}",
                kind.plural
            );
        }
    }
}

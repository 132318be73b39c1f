//! An example of a field: the shortest in the built-in experiments or studies.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::experiment::Source;
use crate::report::json as report;
use crate::yaml::{self, Diagnostics};

/// A longer one shows too much of something else.
const MOST_LINES: usize = 24;

/// The name of the file, and the field in it as YAML. Of a list, one item.
pub(super) fn of(sources: &[Source], path: &str) -> Option<(String, String)> {
    let (_, name) = path.rsplit_once('.').unwrap_or(("", path));
    let found = sources.iter().flat_map(|source| {
        let documents = yaml::parse(source.file(), &mut Diagnostics::default());
        let root = documents.unwrap_or_default().first().map(yaml::json::of_node);
        let values = root.map_or(Vec::new(), |root| values(&root, path));
        values.into_iter().map(|value| {
            let one = match value {
                Json::Array(items) => items.into_iter().take(1).collect(),
                other => other,
            };
            let file = Path::new(source.name()).file_stem().unwrap_or_default();
            (file.to_string_lossy().into_owned(), report::yaml(&json!({name: one})))
        })
    });
    let shortest = found.min_by_key(|(_, text)| (text.lines().count(), text.len()))?;
    (!name.is_empty() && shortest.1.lines().count() <= MOST_LINES).then_some(shortest)
}

/// What is at a path, in each item of the lists on the way.
fn values(root: &Json, path: &str) -> Vec<Json> {
    let items = |value: Json| match value {
        Json::Array(items) => items,
        other => vec![other],
    };
    path.split('.').fold(vec![root.clone()], |values, name| {
        let values = values.into_iter().flat_map(items);
        values.filter_map(|mut value| Some(value.get_mut(name)?.take())).collect()
    })
}

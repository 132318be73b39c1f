//! One experiment several times, with other settings: where a setting may be a list (`for: [10s,
//! 1m]`), the file is one experiment for each item; with several lists, for each combination.
//!
//! The lists are taken apart in the tree, so that whatever reads a setting knows nothing of it.

use super::diagnostic::{Diagnostic, Diagnostics, SourceFile};
use super::tree::{Node, Value, quoted};
use std::sync::Arc;

/// What may be a list: below this path of the file, under this key, at any depth.
const AXES: &[(&str, &str)] = &[("spec.method", FOR)];
const FOR: &str = "for";
/// The settings of steps among them.
pub(super) const LISTS_OF_STEPS: &[&str] = &[FOR];
/// More than these is a mistake, or a week.
const MOST: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// What sets it apart: `for=10s`. `None`: the file has no list.
    pub setting: Option<String>,
    /// The file with the settings in the place of the lists.
    pub root: Node,
}

/// Takes a file apart. What is not a setting's list stays where it is.
pub(super) fn expand(
    file: &Arc<SourceFile>,
    root: &Node,
    problems: &mut Diagnostics,
) -> Vec<Variant> {
    let mut variants = vec![Variant { setting: None, root: root.clone() }];
    while let Some(list) = variants.first().and_then(|variant| next_list(&variant.root)) {
        let (key, place, items) = (list.key, list.place, list.items.len());
        if let Some(twice) = list.twice() {
            let message =
                format!("{} appears twice in this list", quoted(twice.text().unwrap_or_default()));
            problems.push(
                Diagnostic::error(message)
                    .at(file, twice.focus())
                    .hint("use `--repeat 2` to run the same one twice"),
            );
            return firsts(root);
        }
        if variants.len() * items > MOST {
            let message = format!("the lists make more than {MOST} experiments");
            problems.push(Diagnostic::error(message).at(file, place).hint("split the file"));
            return firsts(root);
        }
        variants = variants
            .iter()
            .flat_map(|variant| (0..items).map(|item| variant.with(key, item)))
            .collect();
    }
    variants
}

/// With the first item of each list, so that whoever reads the settings reports what else is wrong,
/// and nothing of lists.
fn firsts(root: &Node) -> Vec<Variant> {
    let mut variant = Variant { setting: None, root: root.clone() };
    while let Some(key) = next_list(&variant.root).map(|list| list.key) {
        variant = variant.with(key, 0);
    }
    vec![variant]
}

/// A list where a setting is expected.
struct List<'n> {
    key: &'static str,
    place: super::diagnostic::Span,
    items: &'n [Node],
}

impl List<'_> {
    /// An item that another says, too.
    fn twice(&self) -> Option<&Node> {
        let earlier = |(at, item): &(usize, &Node)| {
            self.items[..*at].iter().any(|other| other.text() == item.text())
        };
        self.items.iter().enumerate().find(earlier).map(|(_, item)| item)
    }
}

fn next_list(root: &Node) -> Option<List<'_>> {
    AXES.iter().find_map(|(path, key)| match root.find(path) {
        (node, true) => list_below(node, key),
        _ => None,
    })
}

fn list_below<'n>(node: &'n Node, key: &'static str) -> Option<List<'n>> {
    match &node.value {
        Value::Map(entries) => entries.iter().find_map(|(name, child)| match &child.value {
            Value::List(items) if name == key && is_axis(items) => {
                Some(List { key, place: child.focus(), items })
            }
            _ => list_below(child, key),
        }),
        Value::List(items) => items.iter().find_map(|item| list_below(item, key)),
        Value::Scalar { .. } => None,
    }
}

/// An empty list, or one of lists, is a mistake: whoever reads the setting reports it.
fn is_axis(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.text().is_some())
}

impl Variant {
    /// The variant with an item of its first list in the list's place.
    fn with(&self, key: &'static str, item: usize) -> Self {
        let mut root = self.root.clone();
        let text = AXES.iter().find_map(|(path, axis)| {
            let below = (*axis == key).then(|| find_mut(&mut root, path)).flatten()?;
            replace(below, key, item)
        });
        let text = format!("{key}={}", text.unwrap_or_default());
        let setting =
            self.setting.as_ref().map_or(text.clone(), |before| format!("{before},{text}"));
        Self { setting: Some(setting), root }
    }
}

fn find_mut<'n>(root: &'n mut Node, path: &str) -> Option<&'n mut Node> {
    path.split('.').try_fold(root, |node, key| match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
        }
        _ => None,
    })
}

/// Puts an item into the place of the first list, and returns its text.
fn replace(node: &mut Node, key: &str, item: usize) -> Option<String> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find_map(|(name, child)| {
            let chosen = match &child.value {
                Value::List(items) if name == key && is_axis(items) => items.get(item).cloned(),
                _ => None,
            };
            match chosen {
                Some(chosen) => {
                    let text = chosen.text().map(str::to_owned);
                    *child = Node { key: child.key, ..chosen };
                    text
                }
                None => replace(child, key, item),
            }
        }),
        Value::List(items) => items.iter_mut().find_map(|child| replace(child, key, item)),
        Value::Scalar { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::yaml::tests::{file, tree};

    fn settings(yaml: &str) -> (Vec<Option<String>>, String) {
        let mut problems = Diagnostics::default();
        let variants = expand(&file(yaml), &tree(yaml), &mut problems);
        (variants.into_iter().map(|variant| variant.setting).collect(), problems.to_string())
    }

    #[test]
    fn a_file_without_a_list_is_one_experiment() {
        assert_eq!(settings("spec: {method: [{for: 1s}]}"), (vec![None], String::new()));
        // Nothing that could be a setting: reported by whoever reads it.
        assert_eq!(settings("spec: {method: [{for: []}]}").0, [None]);
        assert_eq!(settings("spec: {steadyState: [{for: [1s, 2s]}]}").0, [None]);
    }

    #[test]
    fn each_item_is_an_experiment_and_each_keeps_its_place() {
        let yaml = "spec: {method: [{pause: 1s}, {fault: x, for: [1s, 2s]}]}";
        let variants = expand(&file(yaml), &tree(yaml), &mut Diagnostics::default());
        let diagnostics: Vec<_> = variants
            .iter()
            .map(|v| (v.setting.as_deref(), v.root.text_at("spec.method[1].for")))
            .collect();
        assert_eq!(diagnostics, [(Some("for=1s"), Some("1s")), (Some("for=2s"), Some("2s"))]);
        assert_eq!(
            variants[1].root.find("spec.method[1].for").0.span.column,
            yaml.find("2s").unwrap() + 1
        );
    }

    #[test]
    fn several_lists_are_combined_also_in_steps_within_steps() {
        let (settings, problems) =
            settings("spec: {method: [{for: [1s, 2s], meanwhile: [{for: [3s, 4s]}]}]}");
        let settings: Vec<_> = settings.iter().flatten().map(String::as_str).collect();
        assert_eq!(settings, ["for=1s,for=3s", "for=1s,for=4s", "for=2s,for=3s", "for=2s,for=4s"]);
        assert_eq!(problems, "");
    }

    #[test]
    fn each_item_is_there_once() {
        let diagnostics = settings("spec: {method: [{for: [10s, 1m, 10s]}]}").1;
        assert!(
            diagnostics.contains("error: `10s` appears twice in this list (use `--repeat 2`"),
            "{diagnostics}"
        );
        // Whoever reads the settings finds one of them, and no list to complain of.
        let yaml = "spec: {method: [{for: [10s, 10s]}]}";
        let variants = expand(&file(yaml), &tree(yaml), &mut Diagnostics::default());
        assert_eq!(
            variants.iter().map(|v| v.root.text_at("spec.method[0].for")).collect::<Vec<_>>(),
            [Some("10s")]
        );
    }

    #[test]
    fn too_many_are_reported() {
        let list = (1..=11).map(|n| format!("{n}s")).collect::<Vec<_>>().join(", ");
        let (_, problems) =
            settings(&format!("spec: {{method: [{{for: [{list}]}}, {{for: [{list}]}}]}}"));
        assert!(problems.contains("more than 100 experiments"), "{problems}");
    }
}

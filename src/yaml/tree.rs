//! A YAML document as a tree in which every node knows where it stands.

use super::diagnostic::Span;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    /// All of it. Of an alias (`*a`), the alias.
    pub span: Span,
    /// The key that it stands under. `None` for a document and for an item of a list.
    pub key: Option<Span>,
    /// Whether it is short enough to be drawn as a whole: on one line, and not a block of keys or
    /// items.
    pub short: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text, number, boolean or nothing: in YAML their looks decide.
    Scalar {
        /// The text, without quotes.
        text: String,
        /// Whether it had no quotes (only then it can be a number, a boolean or nothing).
        plain: bool,
    },
    List(Vec<Node>),
    /// Keys and their values, in the order of the file. No key is there twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn nothing() -> Self {
        let value = Value::Scalar { text: String::new(), plain: true };
        Self { value, span: Span::of_bytes("", 0, 0), key: None, short: true }
    }

    /// Where a problem with this node is drawn: a short node as a whole, of a long one its key or
    /// its beginning.
    pub(crate) fn focus(&self) -> Span {
        match (&self.value, self.key) {
            _ if self.short => self.span,
            (_, Some(key)) => key,
            (Value::Map(entries), None) => {
                entries.first().and_then(|(_, node)| node.key).unwrap_or(self.beginning())
            }
            (Value::List(items), None) => items.first().map_or(self.beginning(), Node::focus),
            _ => self.beginning(),
        }
    }

    fn beginning(&self) -> Span {
        Span { end: self.span.start, ..self.span }
    }

    /// Whether it is `null`, `~` or empty.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The value under a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// The items of a list; of anything else none.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// Follows a path such as `spec.method[0].for` as far as it goes: the node, and whether it is
    /// the whole path's.
    pub(crate) fn find(&self, path: &str) -> (&Node, bool) {
        let mut node = self;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']') {
                Some(index) => index.parse().ok().and_then(|index: usize| node.items().get(index)),
                None => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// Puts a node at a path such as `spec.method[0].for`, in the place of the one that is there.
    /// Mappings that are missing on the way are made. Errors: the beginning of the path that leads
    /// nowhere.
    pub(crate) fn set(&mut self, path: &str, new: Node) -> Result<(), String> {
        let (mut node, mut walked) = (self, String::new());
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let index = step.strip_suffix(']');
            let before = match index {
                Some(_) => "[",
                None if walked.is_empty() => "",
                None => ".",
            };
            walked = format!("{walked}{before}{step}");
            if index.is_none() && node.is_null() {
                node.value = Value::Map(Vec::new());
            }
            let next = match (index, &mut node.value) {
                (Some(index), Value::List(items)) => {
                    index.parse().ok().and_then(|index: usize| items.get_mut(index))
                }
                (None, Value::Map(entries)) => {
                    let at = entries.iter().position(|(name, _)| name == step);
                    let at = at.unwrap_or_else(|| {
                        let value = Value::Map(Vec::new());
                        entries.push((step.to_owned(), Node { value, ..new.clone() }));
                        entries.len() - 1
                    });
                    Some(&mut entries[at].1)
                }
                _ => None,
            };
            node = next.ok_or(walked.clone())?;
        }
        *node = new;
        Ok(())
    }

    pub(crate) fn text_at(&self, path: &str) -> Option<&str> {
        match self.find(path) {
            (node, true) => node.text(),
            _ => None,
        }
    }

    /// What it is, for people: "a list", "`abc`".
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Value::List(items) if items.is_empty() => "an empty list".into(),
            Value::Map(entries) if entries.is_empty() => "an empty mapping".into(),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Scalar { .. } if self.is_null() => "nothing".into(),
            Value::Scalar { text, .. } => quoted(text),
        }
    }
}

/// A text in backticks, cut to a length that fits a line.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 48;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("`{}…`", &line[..cut]),
        None if line.len() < text.trim_end().len() => format!("`{line}…`"),
        None => format!("`{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::tests::tree;
    use super::*;

    #[test]
    fn a_path_finds_its_node() {
        let tree = tree("spec:\n  method:\n  - for: 15s\n  - {pause: 1s}\n");
        assert_eq!(tree.text_at("spec.method[0].for"), Some("15s"));
        assert_eq!(tree.text_at("spec.method[1].pause"), Some("1s"));
        assert_eq!(tree.text_at("spec.method[2].pause"), None);
    }

    #[test]
    fn a_path_that_ends_early_gives_the_last_node_that_is_there() {
        let tree = tree("spec:\n  method: []\n");
        let (node, whole) = tree.find("spec.method[0].for");
        assert!(!whole);
        assert_eq!((node.focus().line, node.focus().column), (2, 11));
    }

    #[test]
    fn a_field_is_set_wherever_it_is() {
        let mut root = tree("spec:\n  method:\n  - for: 15s\n  kind:\n");
        let new = tree("75s");
        root.set("spec.method[0].for", new.clone()).unwrap();
        root.set("spec.kind.tuning.grace", new.clone()).unwrap();
        assert_eq!(root.text_at("spec.method[0].for"), Some("75s"));
        assert_eq!(root.text_at("spec.kind.tuning.grace"), Some("75s"));
        assert_eq!(root.set("spec.method[1].for", new.clone()), Err("spec.method[1]".into()));
        assert_eq!(root.set("spec.method.for", new), Err("spec.method.for".into()));
    }

    #[test]
    fn a_long_text_is_cut_and_several_lines_are_one() {
        assert_eq!(quoted("abc"), "`abc`");
        assert_eq!(quoted("a\nb"), "`a…`");
        assert_eq!(quoted(&"é".repeat(60)), format!("`{}…`", "é".repeat(48)));
    }

    #[test]
    fn focus_is_the_value_where_it_is_short_and_the_key_where_it_is_long() {
        let tree = tree("a: b\nlist:\n- x: 1\ntext: |\n  one\n  two\nempty:\nflow: [1]\n");
        let column =
            |path: &str| (tree.find(path).0.focus().line, tree.find(path).0.focus().column);
        assert_eq!(column("a"), (1, 4));
        assert_eq!(column("list"), (2, 1));
        assert_eq!(column("list[0]"), (3, 3));
        assert_eq!(column("text"), (4, 1));
        assert_eq!(column("empty"), (7, 1));
        assert_eq!(column("flow"), (8, 7));
    }
}

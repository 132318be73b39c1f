//! The combinators of which every decoder is made, so that each reads as its schema.
//!
//! A decoder is `fn(&Cx, &Node) -> Option<T>`: `None` means that a problem was reported. Decoders ask
//! for all their fields before they give up on any, so that one pass finds every mistake.

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::description::{Description, Presence};
use super::written::Written;
use crate::experiment::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use crate::experiment::tree::{Node, Value};
use crate::yaml::suggest;

/// The file that is decoded, and the problems so far.
pub(crate) struct Cx<'f> {
    file: &'f Arc<SourceFile>,
    problems: RefCell<Diagnostics>,
    /// Where readers say what they would read, if they are asked for that alone.
    description: Option<RefCell<Description>>,
}

pub(crate) type Decode<T> = fn(&Cx, &Node) -> Option<T>;

impl<'f> Cx<'f> {
    pub(crate) fn new(file: &'f Arc<SourceFile>) -> Self {
        Self { file, problems: RefCell::default(), description: None }
    }

    /// Readers are asked what they would read.
    pub(crate) fn describing(file: &'f Arc<SourceFile>) -> Self {
        Self { description: Some(RefCell::default()), ..Self::new(file) }
    }

    /// What the readers would read, as a JSON Schema.
    pub(crate) fn into_json_schema(self) -> Json {
        self.description.map_or(Json::Null, |description| description.into_inner().finish())
    }

    /// Goes on where there is something to read; else says what would be read.
    pub(crate) fn reads(&self, schema: impl FnOnce() -> Json) -> Option<()> {
        let Some(description) = &self.description else { return Some(()) };
        description.borrow_mut().say(schema());
        None
    }

    /// The same for what many fields read: the schema has it once, under this name.
    pub(crate) fn reads_as(&self, name: &'static str, schema: impl FnOnce() -> Json) -> Option<()> {
        let Some(description) = &self.description else { return Some(()) };
        description.borrow_mut().define(name, schema());
        None
    }

    /// The same for what may also be read by `other`.
    pub(crate) fn reads_also<T>(
        &self,
        schema: impl FnOnce() -> Json,
        other: impl FnOnce() -> Option<T>,
    ) -> Option<()> {
        let Some(description) = &self.description else { return Some(()) };
        other();
        let other = description.borrow_mut().take();
        self.reads(|| json!({"anyOf": [schema(), other]}))
    }

    fn describes<T>(&self, key: &'static str, presence: Presence, field: Option<T>) {
        drop(field);
        if let Some(description) = &self.description {
            description.borrow_mut().add(key, presence);
        }
    }

    fn describes_more(&self, key: &str, keyword: &str, what: impl FnOnce() -> Option<Json>) {
        if let Some(description) = &self.description {
            description.borrow_mut().of_field(key, keyword, what());
        }
    }

    pub(crate) fn file(&self) -> &'f Arc<SourceFile> {
        self.file
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.borrow().has_errors()
    }

    pub(crate) fn into_problems(self) -> Diagnostics {
        self.problems.into_inner()
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(diagnostic);
    }

    /// Reports an error; always `None`, so that a decoder can end with it.
    pub(crate) fn error<T>(&self, at: Span, message: impl Into<String>) -> Option<T> {
        self.report(Diagnostic::error(message).at(self.file, at));
        None
    }

    /// Reports an error with a hint; always `None`.
    pub(crate) fn error_hint<T>(
        &self,
        at: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.report(Diagnostic::error(message).at(self.file, at).hint(hint));
        None
    }

    /// Reports that something else was wanted; always `None`.
    pub(crate) fn expected<T>(&self, node: &Node, wanted: &str) -> Option<T> {
        self.error(node.focus(), format!("expected {wanted}, found {}", node.described()))
    }

    /// The same with a hint; always `None`.
    pub(crate) fn expected_hint<T>(
        &self,
        node: &Node,
        wanted: &str,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.error_hint(
            node.focus(),
            format!("expected {wanted}, found {}", node.described()),
            hint,
        )
    }

    /// A list, each item on its own: a bad item is `None` and takes no other with it.
    pub(crate) fn items<T>(&self, node: &Node, decode: Decode<T>) -> Option<Vec<Option<T>>> {
        if let Some(description) = &self.description {
            decode(self, node);
            let items = description.borrow_mut().take();
            self.reads(|| json!({"type": "array", "items": items}))?;
        }
        match &node.value {
            Value::List(items) => Some(items.iter().map(|item| decode(self, item)).collect()),
            Value::Scalar { text, .. } if node.text().is_some() => {
                let message = format!("expected a list, found {}", node.described());
                self.error_hint(node.focus(), message, format!("a list of one is `[{text}]`"))
            }
            _ => self.expected(node, "a list"),
        }
    }

    /// A union in Kubernetes' form: a mapping with exactly one of these members.
    pub(crate) fn union<T>(
        &self,
        node: &Node,
        what: &'static str,
        members: &[(&'static str, Decode<T>)],
    ) -> Option<T> {
        let mut fields = Fields::of(self, node, what)?;
        let found = fields.one_of(members);
        fields.finish();
        found
    }
}

/// Reads a mapping into a struct, or into a variant of an enum: each field stands once. Doc comments
/// say what the mapping and its fields are for.
macro_rules! record {
    ($(#[doc = $about:literal])* $cx:ident, $node:ident, $what:expr => $type:ident $(::$variant:ident)? {
        $($(#[doc = $doc:literal])* $field:ident: $how:ident($key:literal, $($read:expr),+)),* $(,)?
    }) => {{
        let mut fields = Fields::of($cx, $node, $what)?;
        fields.about(concat!($($about),*));
        $(let $field = fields.doc(concat!($($doc),*)).$how($key, $($read),+);)*
        fields.finish();
        Some($type $(::$variant)? { $($field: $field?),* })
    }};
}

pub(crate) use record;

/// The fields of a mapping, taken one by one; `finish` reports those that nobody took.
pub(crate) struct Fields<'t, 'f> {
    cx: &'t Cx<'f>,
    node: &'t Node,
    /// The mapping, for people: "a probe".
    what: &'t str,
    known: Vec<&'static str>,
    /// What is missing: each entry one field, or several of which one is wanted.
    missing: Vec<Vec<&'static str>>,
    /// What the field that is read next is for.
    doc: &'static str,
}

impl<'t, 'f> Fields<'t, 'f> {
    /// The fields of a node, which must be a mapping, or nothing.
    pub(crate) fn of(cx: &'t Cx<'f>, node: &'t Node, what: &'t str) -> Option<Self> {
        if let Some(description) = &cx.description {
            description.borrow_mut().begin(what)?;
        }
        if !node.is_null() && !matches!(node.value, Value::Map(_)) {
            return cx.expected(node, &format!("{what} (a mapping)"));
        }
        Some(Self { cx, node, what, known: Vec::new(), missing: Vec::new(), doc: "" })
    }

    /// The same, with what to write in the place of a text.
    pub(crate) fn of_or(
        cx: &'t Cx<'f>,
        node: &'t Node,
        what: &'t str,
        write: impl FnOnce(&str) -> String,
    ) -> Option<Self> {
        match node.text() {
            Some(text) => cx.expected_hint(
                node,
                &format!("{what} (a mapping)"),
                format!("write `{}`", write(text)),
            ),
            None => Self::of(cx, node, what),
        }
    }

    /// Says what the field that is read next is for: a sentence for people and their editors. (Its
    /// default is added to that.)
    pub(crate) fn doc(&mut self, doc: &'static str) -> &mut Self {
        self.doc = doc;
        self
    }

    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> Option<T> {
        if self.cx.description.is_some() {
            return self.described(key, Presence::Required, decode);
        }
        if let Some(node) = self.present(key) {
            return decode(self.cx, node);
        }
        // One with nothing behind it is read, too, so that its place and what it takes are said.
        let empty = self.node.get(key);
        if empty.is_none_or(|empty| decode(self.cx, empty).is_some()) {
            self.missing.push(vec![key]);
        }
        None
    }

    /// A field that may be absent (or empty).
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.cx.description.is_some() {
            return self.described(key, Presence::Optional, decode);
        }
        match self.present(key) {
            Some(node) => decode(self.cx, node).map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn or<T: Written>(
        &mut self,
        key: &'static str,
        default: T,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> Option<T> {
        let found = self.optional(key, decode);
        self.cx.describes_more(key, "default", || default.written());
        found.map(|found| found.unwrap_or(default))
    }

    pub(crate) fn or_default<T: Default + Written>(
        &mut self,
        key: &'static str,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> Option<T> {
        self.or(key, T::default(), decode)
    }

    /// Reports a field that is optional, and must be there all the same.
    pub(crate) fn misses(&mut self, key: &'static str) {
        self.missing.push(vec![key]);
    }

    pub(crate) fn one_of<T>(&mut self, members: &[(&'static str, Decode<T>)]) -> Option<T> {
        if self.cx.description.is_some() {
            for (name, decode) in members {
                self.described::<_, T>(name, Presence::Choice, decode);
            }
            return None;
        }
        let names: Vec<&'static str> = members.iter().map(|(name, _)| *name).collect();
        self.known.extend(&names);
        let present: Vec<_> = members
            .iter()
            .filter_map(|(name, decode)| Some((self.node.get(name)?, decode)))
            .collect();
        match present[..] {
            [(node, decode)] => decode(self.cx, node),
            [] => {
                self.missing.push(names);
                None
            }
            [(first, _), (second, _), ..] => {
                let (first, second) =
                    (first.key.unwrap_or(first.span), second.key.unwrap_or(second.span));
                let message =
                    format!("{} takes only one of {}", self.what, suggest::listed(&names, "and"));
                self.cx.report(Diagnostic::error(message).at(self.cx.file, second).related(
                    self.cx.file,
                    first,
                    "the other one",
                ));
                None
            }
        }
    }

    /// Says what the mapping is for.
    pub(crate) fn about(&self, about: &'static str) {
        if let Some(description) = &self.cx.description {
            description.borrow_mut().about(about.trim());
        }
    }

    /// Says what a field is for that was read.
    pub(crate) fn about_field(&self, key: &str, doc: &'static str) {
        let doc = Some(doc.trim()).filter(|doc| !doc.is_empty());
        self.cx.describes_more(key, "description", || doc.map(Json::from));
    }

    fn described<T, N>(
        &mut self,
        key: &'static str,
        presence: Presence,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> Option<N> {
        let doc = std::mem::take(&mut self.doc);
        self.cx.describes(key, presence, decode(self.cx, self.node));
        self.about_field(key, doc);
        None
    }

    pub(crate) fn cx(&self) -> &'t Cx<'f> {
        self.cx
    }

    /// The key of a field that is there, for an error about the field as such.
    pub(crate) fn key(&self, name: &str) -> Option<Span> {
        self.node.get(name)?.key
    }

    pub(crate) fn first_key(&self, names: &[&'static str]) -> Option<(&'static str, Span)> {
        names.iter().find_map(|name| self.key(name).map(|key| (*name, key)))
    }

    /// Reports the fields that nobody knows and those that are missing. A missing one that an unknown
    /// one nearly names is reported once.
    pub(crate) fn finish(self) {
        if let Some(description) = &self.cx.description {
            return description.borrow_mut().end();
        }
        let entries: &[(String, Node)] =
            if let Value::Map(entries) = &self.node.value { entries } else { &[] };
        let absent: Vec<&'static str> =
            self.known.iter().copied().filter(|name| self.node.get(name).is_none()).collect();
        let mut missing = self.missing;
        for (name, node) in entries.iter().filter(|(name, _)| !self.known.contains(&name.as_str()))
        {
            let meant = suggest::closest(name, absent.iter().copied());
            missing.retain(|names| !meant.is_some_and(|meant| names.contains(&meant)));
            let hint = match meant {
                Some(meant) => Some(format!("did you mean `{meant}`?")),
                None => suggest::hint(name, &self.known, &format!("{} has", self.what)),
            };
            let message = format!("unknown field `{name}` in {}", self.what);
            let problem =
                Diagnostic::error(message).at(self.cx.file, node.key.unwrap_or(node.span));
            self.cx.report(problem.hint_if(hint));
        }
        for names in missing {
            let message = match names.as_slice() {
                [one] => format!("{} needs `{one}`", self.what),
                several => {
                    format!("{} needs one of {}", self.what, suggest::listed(several, "and"))
                }
            };
            self.cx.error::<()>(self.node.focus(), message);
        }
    }

    fn present(&mut self, key: &'static str) -> Option<&'t Node> {
        self.known.push(key);
        self.node.get(key).filter(|node| !node.is_null())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::experiment::decode::scalar::text;
    use crate::experiment::yaml::tests::{file, tree};

    /// What a decoder makes of a text, and the problems that it reports, one a line.
    pub(crate) fn decoded<T>(
        yaml: &str,
        decode: impl FnOnce(&Cx, &Node) -> Option<T>,
    ) -> (Option<T>, String) {
        let file = file(yaml);
        let cx = Cx::new(&file);
        let found = decode(&cx, &tree(yaml));
        let mut problems = cx.into_problems();
        problems.sort();
        (found, problems.to_string().replace("x.yaml:", ""))
    }

    fn pair(cx: &Cx, node: &Node) -> Option<(String, Option<String>)> {
        let mut fields = Fields::of(cx, node, "a pair")?;
        let left = fields.required("left", text);
        let right = fields.optional("right", text);
        fields.finish();
        Some((left?, right?))
    }

    #[test]
    fn fields_are_taken_by_name() {
        assert_eq!(
            decoded("{right: b, left: a}", pair),
            (Some(("a".into(), Some("b".into()))), String::new())
        );
        assert_eq!(decoded("{left: a, right: }", pair), (Some(("a".into(), None)), String::new()));
    }

    #[test]
    fn all_mistakes_of_a_mapping_are_reported() {
        let (found, problems) = decoded("{right: [], top: 1}", pair);
        assert_eq!(found, None);
        assert_eq!(
            problems,
            "1:1: error: a pair needs `left`\n1:9: error: expected a string, found an empty list\n\
             1:13: error: unknown field `top` in a pair (a pair has `left` and `right`)"
        );
    }

    #[test]
    fn a_field_with_nothing_behind_it_says_what_it_takes() {
        let (_, problems) = decoded("left:\nright: b", pair);
        assert_eq!(problems, "1:1: error: expected a string, found nothing");
    }

    #[test]
    fn a_slip_is_reported_once_not_also_as_missing() {
        let (_, problems) = decoded("{lfet: a}", pair);
        assert_eq!(problems, "1:2: error: unknown field `lfet` in a pair (did you mean `left`?)");
    }

    #[test]
    fn a_union_has_one_member() {
        let members: &[(&'static str, Decode<String>)] = &[("a", text), ("b", text)];
        assert_eq!(
            decoded("{b: x}", |cx, node| cx.union(node, "a thing", members)).0.as_deref(),
            Some("x")
        );
        let (_, none) = decoded("{}", |cx, node| cx.union(node, "a thing", members));
        assert_eq!(none, "1:1: error: a thing needs one of `a` and `b`");
        let (_, both) = decoded("{a: x, b: y}", |cx, node| cx.union(node, "a thing", members));
        assert_eq!(both, "1:8: error: a thing takes only one of `a` and `b`");
    }

    #[test]
    fn something_else_than_a_mapping_is_reported() {
        assert_eq!(decoded("[a]", pair).1, "1:1: error: expected a pair (a mapping), found a list");
    }
}

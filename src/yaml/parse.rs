//! YAML text -> located trees, one for each document; syntax errors are diagnostics like any other.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Tag};

use super::diagnostic::{Diagnostic, Diagnostics, SourceFile, Span};
use super::tree::{Node, Value};

/// How deep maps and lists may nest.
const MAX_DEPTH: usize = 64;
/// The key whose mappings become part of the one that it stands in (YAML 1.1).
const MERGE: &str = "<<";
/// How many nodes there may be, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

/// The documents of a text; empty ones are left out. `None` after an error behind which nothing can
/// be understood.
pub(crate) fn parse(file: &Arc<SourceFile>, problems: &mut Diagnostics) -> Option<Vec<Node>> {
    let mut builder = Builder::new(file);
    let outcome = builder.run();
    problems.extend(builder.problems);
    match outcome {
        Ok(()) => Some(builder.documents),
        Err(problem) => {
            problems.push(*problem);
            None
        }
    }
}

/// The same of a text of nobody's file. Errors say where it is wrong, and what.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, String> {
    let file = Arc::new(SourceFile { name: String::new(), text: text.to_owned() });
    let mut problems = Diagnostics::default();
    let documents = parse(&file, &mut problems);
    match problems.iter().find(|problem| problem.is_error()) {
        Some(Diagnostic { message, at: Some(place), .. }) => {
            Err(format!("{}: {message}", place.span.place()))
        }
        Some(Diagnostic { message, .. }) => Err(message.clone()),
        None => Ok(documents.unwrap_or_default()),
    }
}

/// A collection that is not closed yet.
struct Open {
    start: Span,
    anchor: usize,
    kind: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map { entries: Vec<(String, Node)>, seen: HashMap<String, Span>, key: Option<(String, Span)> },
}

struct Builder<'t> {
    file: &'t Arc<SourceFile>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: Vec<Node>,
    problems: Vec<Diagnostic>,
}

type Fatal = Box<Diagnostic>;

impl<'t> Builder<'t> {
    fn new(file: &'t Arc<SourceFile>) -> Self {
        Self {
            file,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            documents: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), Fatal> {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        for event in Parser::new_from_str_with_options(&self.file.text, options) {
            let (event, span) = event.map_err(|error| self.syntax_error(&error))?;
            if let Some(tag) = event.tag() {
                self.refuse_tag(tag, self.span(&span.tag_span().unwrap_or(span)));
            }
            self.take(event, self.span(&span))?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain
                    && !tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                self.add(
                    Value::Scalar { text: text.into_owned(), plain },
                    span,
                    self.on_one_line(span),
                    anchor,
                    1,
                )
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Collection::List(Vec::new()), span, anchor)
            }
            Event::MappingStart(_, anchor, _) => {
                let map = Collection::Map { entries: Vec::new(), seen: HashMap::new(), key: None };
                self.begin(map, span, anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(id) => self.alias(id, span),
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: Collection, start: Span, anchor: usize) -> Result<(), Fatal> {
        if self.open.len() >= MAX_DEPTH {
            return Err(self
                .fatal(format!("lists and mappings nest deeper than {MAX_DEPTH} levels"), start));
        }
        if let Some(Open { kind: Collection::Map { key: None, .. }, .. }) = self.open.last() {
            return Err(self.no_key(start));
        }
        self.open.push(Open { start, anchor, kind });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Fatal> {
        let Some(Open { start, anchor, kind }) = self.open.pop() else { return Ok(()) };
        let (value, last) = match kind {
            Collection::List(items) => {
                let last = items.last().map_or(start.end, |node| node.span.end);
                (Value::List(items), last)
            }
            Collection::Map { entries, seen, .. } => {
                let last = entries.last().map_or(start.end, |(_, node)| node.span.end);
                (Value::Map(self.merged(entries, seen)), last)
            }
        };
        // The end of a block is seen only at the next token, far below; a flow's is its bracket.
        let flow = end.end > end.start;
        let span = Span { end: if flow { end.end } else { last }, ..start };
        self.add(value, span, flow && self.on_one_line(span), anchor, 1)
    }

    /// A mapping with those that its key `<<` names: its own keys win, then the earlier mapping's.
    fn merged(
        &mut self,
        mut entries: Vec<(String, Node)>,
        mut seen: HashMap<String, Span>,
    ) -> Vec<(String, Node)> {
        let Some(at) = entries.iter().position(|(name, _)| name == MERGE) else { return entries };
        let (_, merge) = entries.remove(at);
        let sources = match merge.value {
            Value::List(items) => items,
            _ => vec![merge],
        };
        for source in sources {
            let at = source.focus();
            let Value::Map(more) = source.value else {
                let problem = Diagnostic::error("`<<` merges mappings, and this is not a mapping");
                self.problems.push(problem.at(self.file, at));
                continue;
            };
            for (name, node) in more {
                if seen.insert(name.clone(), at).is_none() {
                    entries.push((name, node));
                }
            }
        }
        entries
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fatal> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(self.fatal("an alias is inside the value that it repeats".into(), span));
        };
        let (value, size) = (node.value.clone(), count(node));
        self.add(value, span, true, 0, size)
    }

    /// Puts a finished node where it belongs: as a key, a value, an item, or a document.
    fn add(
        &mut self,
        value: Value,
        span: Span,
        short: bool,
        anchor: usize,
        size: usize,
    ) -> Result<(), Fatal> {
        self.nodes += size;
        if self.nodes > MAX_NODES {
            return Err(self.fatal(format!("the file has more than {MAX_NODES} values"), span));
        }
        let mut node = Node { value, span, key: None, short };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None if node.is_null() => {}
            None => self.documents.push(node),
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { key: slot @ None, .. }) => {
                let Value::Scalar { text, .. } = node.value else {
                    return Err(self.no_key(span));
                };
                *slot = Some((text, span));
            }
            Some(Collection::Map { entries, seen, key }) => {
                let Some((name, at)) = key.take() else { return Ok(()) };
                node.key = Some(at);
                match seen.insert(name.clone(), at) {
                    Some(first) => self.problems.push(duplicate(self.file, &name, at, first)),
                    None => entries.push((name, node)),
                }
            }
        }
        Ok(())
    }

    fn on_one_line(&self, span: Span) -> bool {
        self.file
            .text
            .get(span.start..span.end)
            .is_some_and(|text| !text.is_empty() && !text.contains('\n'))
    }

    fn refuse_tag(&mut self, tag: &Tag, span: Span) {
        if !tag.is_yaml_core_schema() && tag.original() != "!" {
            // It is not named: it may be the start of a password without quotes.
            let problem = Diagnostic::error("YAML tags are not supported here");
            self.problems.push(problem.at(self.file, span).hint("leave it out"));
        }
    }

    fn fatal(&self, message: String, span: Span) -> Fatal {
        Box::new(Diagnostic::error(message).at(self.file, span))
    }

    /// A key that is a list or a mapping: YAML allows it, but it is always a slip.
    fn no_key(&self, span: Span) -> Fatal {
        let (before, from) = self.file.text.split_at(span.start);
        let hint = match before.ends_with('{') && from.starts_with('{') {
            true => "if this is a template, render it first; put a string with `{` in quotes",
            false => "put a key that begins with `[` or `{` in quotes: `\"[a]\": ..`",
        };
        Box::new(self.fatal("a list or a mapping cannot be a key".into(), span).hint(hint))
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or_default();
        Span {
            start: range.start,
            end: range.end,
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }

    fn syntax_error(&self, error: &ScanError) -> Fatal {
        let at = error.marker().byte_offset().unwrap_or(0);
        // An error at the very end is drawn after the last character: an empty line below shows
        // nothing.
        let at = if at >= self.file.text.len() { self.file.text.trim_end().len() } else { at };
        let width =
            self.file.text[at..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
        let (message, hint) = explain(error.kind(), self.file.text[at..].chars().next());
        let problem = Diagnostic::error(message)
            .at(self.file, Span::of_bytes(&self.file.text, at, at + width));
        Box::new(problem.hint_if(hint.map(str::to_owned)))
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(count).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
    }
}

fn duplicate(file: &Arc<SourceFile>, name: &str, at: Span, first: Span) -> Diagnostic {
    Diagnostic::error(format!("`{name}` appears twice")).at(file, at).related(
        file,
        first,
        "first here",
    )
}

/// The syntax errors that people make, in words that say what to do.
fn explain(kind: &ErrorKind, found: Option<char>) -> (String, Option<&'static str>) {
    use ErrorKind::*;
    let (message, hint) = match kind {
        TabNotAllowed
        | TabInBlockIndentation
        | TabInIndentation
        | TabInPlainScalar
        | TabAtBlockScalarStart => ("a tab cannot indent in YAML", "use spaces"),
        UnclosedQuotedScalar => ("a quote is opened but never closed", "close it on the same line"),
        UnclosedFlowCollection { .. }
        | UnexpectedEofFlowMapping
        | UnexpectedEofFlowSequence
        | UnexpectedEofImplicitFlowMapping => {
            ("a bracket is opened but never closed", "every `{` needs a `}`, every `[` a `]`")
        }
        MappingValueNotAllowed => (
            "a `key: value` cannot stand here",
            "check the indentation above; put a string that contains `: ` in quotes",
        ),
        SimpleKeyExpected | InvalidSimpleKey => {
            ("a key without `:`", "write `key: value`; list items begin with `- `")
        }
        ExpectedBlockMappingKey | InvalidIndentation | ExpectedBlockSequenceEntry => (
            "the indentation matches no level above",
            "keys of one mapping, and items of one list, begin in the same column",
        ),
        ExpectedFlowMappingSeparator | ExpectedFlowSequenceSeparator
            if found.is_some_and(|c| "[]{}".contains(c)) =>
        {
            ("a bracket is not allowed here", "put a key or a string that contains it in quotes")
        }
        ExpectedFlowMappingSeparator => {
            ("expected `,` or `}`", "is a `}` missing above, or a comma between two entries?")
        }
        ExpectedFlowSequenceSeparator => {
            ("expected `,` or `]`", "is a `]` missing above, or a comma between two items?")
        }
        MismatchedFlowCollectionEnd { .. } => (
            "this bracket closes one of the other kind",
            "every `{` needs a `}`, every `[` a `]`; put a string that contains one in quotes",
        ),
        MisplacedFlowCollectionEnd => (
            "a bracket is closed but never opened",
            "put a key or a string that contains it in quotes",
        ),
        UnexpectedCharacter { .. } | ExpectedNodeContent => {
            ("no value can begin with this character", "put a string that begins with it in quotes")
        }
        InvalidTrailingSingleQuotedScalar | InvalidTrailingDoubleQuotedScalar => (
            "a string continues after its closing quote",
            "put all of it in quotes; write a quote inside single quotes twice",
        ),
        UnknownQuotedScalarEscape | InvalidQuotedScalarHexEscape => (
            "an unknown escape in a string in double quotes",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        BlockSequenceEntryNotAllowed | BlockEntryInFlowCollection => (
            "a list item is not allowed here",
            "start it on its own line; put a string that begins with `- ` in quotes",
        ),
        InvalidBlockScalarHeader => {
            ("text follows `|` or `>` on the same line", "begin it on the next line, indented")
        }
        MissingAnchorOrAliasName => {
            ("`&` or `*` without a name", "put a string that begins with it in quotes")
        }
        InvalidQuotedScalarIndent => (
            "a quoted string continues here, indented less than where it began",
            "is a closing quote missing above?",
        ),
        UnknownAnchor => {
            ("an alias to an undefined anchor", "put a string that begins with `*` in quotes")
        }
        RecursionLimitExceeded => {
            return (format!("lists and mappings nest deeper than {MAX_DEPTH} levels"), None);
        }
        _ => ("not valid YAML", "check the quotes, brackets and indentation here and above"),
    };
    (message.into(), Some(hint))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(text: &str) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: "x.yaml".into(), text: text.into() })
    }

    /// The only document of a text that has no problem.
    pub(crate) fn tree(text: &str) -> Node {
        let mut problems = Diagnostics::default();
        let mut documents = parse(&file(text), &mut problems).unwrap();
        assert_eq!(problems.to_string(), "");
        assert_eq!(documents.len(), 1);
        documents.remove(0)
    }

    fn problems(text: &str) -> String {
        let mut problems = Diagnostics::default();
        parse(&file(text), &mut problems);
        problems.to_string()
    }

    fn slices(text: &str, path: &str) -> (String, String) {
        let tree = tree(text);
        let (node, whole) = tree.find(path);
        assert!(whole, "{path}");
        let slice = |span: Span| text[span.start..span.end].to_owned();
        (slice(node.key.unwrap_or_default()), slice(node.span))
    }

    #[test]
    fn every_node_knows_its_bytes() {
        let text = "a: {b: [1, \"zwei\"]}\nc:\n  d: ü x\n  e: |\n    lines\nf: &x {g: 1}\nh: *x\n";
        assert_eq!(slices(text, "a"), ("a".into(), "{b: [1, \"zwei\"]}".into()));
        assert_eq!(slices(text, "a.b[1]"), (String::new(), "\"zwei\"".into()));
        assert_eq!(slices(text, "c.d"), ("d".into(), "ü x".into()));
        assert_eq!(slices(text, "h"), ("h".into(), "*x".into()));
        assert_eq!(tree(text).text_at("h.g"), Some("1"));
        let at = tree(text).find("c.d").0.span;
        assert_eq!((at.line, at.column), (3, 6));
    }

    #[test]
    fn quotes_and_the_tag_str_make_a_text() {
        let tree = tree("a: 1\nb: \"1\"\nc: !!str 1\n");
        let plain =
            |path: &str| matches!(tree.find(path).0.value, Value::Scalar { plain: true, .. });
        assert_eq!((plain("a"), plain("b"), plain("c")), (true, false, false));
    }

    #[test]
    fn several_documents_are_several_trees_and_empty_ones_none() {
        let mut found = Diagnostics::default();
        assert_eq!(
            parse(&file("---\n# only a comment\n---\na: 1\n---\nb: 1\n"), &mut found)
                .unwrap()
                .len(),
            2
        );
        assert_eq!(parse(&file(""), &mut found), Some(vec![]));
        assert!(found.is_empty());
    }

    #[test]
    fn all_duplicate_keys_are_reported() {
        assert_eq!(
            problems("a: 1\na: 2\nb: {c: 1, c: 2}\n"),
            "x.yaml:2:1: error: `a` appears twice\nx.yaml:3:11: error: `c` appears twice"
        );
    }

    #[test]
    fn aliases_can_neither_loop_nor_explode() {
        assert!(problems("a: &a [*a]\n").contains("inside the value that it repeats"));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let previous = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{previous}]\n"));
        }
        assert!(problems(&bomb).contains("more than 100000 values"));
    }

    #[test]
    fn a_merge_key_adds_what_is_not_there() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: *a, y: 3}\nd: {<<: [*b, *a]}\n";
        let tree = tree(text);
        let of = |path: &str| tree.text_at(path).map(str::to_owned);
        assert_eq!((of("c.x"), of("c.y"), of("c.<<")), (Some("1".into()), Some("3".into()), None));
        assert_eq!(
            (of("d.x"), of("d.y"), of("d.z")),
            (Some("2".into()), Some("1".into()), Some("2".into()))
        );
        assert_eq!(
            problems("a: {<<: 1}\n"),
            "x.yaml:1:9: error: `<<` merges mappings, and this is not a mapping"
        );
    }

    #[test]
    fn depth_is_bounded() {
        assert!(problems(&"[".repeat(1000)).contains("nest deeper than 64 levels"));
        assert!(problems(&"- ".repeat(1000)).contains("nest deeper than 64 levels"));
    }

    #[test]
    fn tags_and_keys_that_mean_nothing_are_refused() {
        assert_eq!(
            problems("a: !secret x\n"),
            "x.yaml:1:4: error: YAML tags are not supported here (leave it out)"
        );
        assert!(problems("? [a, b]\n: 1\n").contains("cannot be a key"));
    }

    #[test]
    fn slips_of_yaml_say_what_to_write() {
        let slips = [
            "a: {b[c]: 1}\n",
            "a: {b: c[d], e: 1}\n",
            "a: [b: {c]}\n",
            "{[a]: 1}\n",
            "a: {{ .Values.b }}\n",
            "a: {b: 1\nc: 2\n",
            "a: @b\n",
            "a: `b`\n",
            "a: %b\n",
            "a: b: c\n",
            "a: [1, 2\nb: 3\n",
            "a: 'b\n",
            "a: \"\\d\"\n",
            "a:\n  b: 1\n c: 2\n",
            "a: \"b\" c\n",
            "- a\nb: 1\n",
            "a: |b\n",
            "a: &\n",
            "a: 1\n---b\n",
            "a: }\n",
            "a: ]\n",
            "a: ,b\n",
            "a: - b\n",
            "a: ? b\n",
            "%YAML 3.0\n---\na: 1\n",
        ];
        let said = slips.map(|slip| format!("{slip}  {}\n", problems(slip)));
        insta::assert_snapshot!(said.concat());
    }

    #[test]
    fn a_bracket_that_is_never_closed_is_drawn_where_it_opens() {
        assert_eq!(
            problems("a: [1,\n\n\n"),
            "x.yaml:1:4: error: a bracket is opened but never closed (every `{` needs a `}`, \
             every `[` a `]`)"
        );
    }
}

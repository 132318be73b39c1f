//! YAML inside YAML: the documents of a multi-line text, each node at its place in the outer file.

use std::sync::Arc;

use crate::yaml;
use crate::yaml::tree::{Node, Value};
use crate::yaml::{Diagnostic, Diagnostics, Location, SourceFile, Span};

/// The documents of a text in a file, as kind takes them apart (at lines that begin with `---`).
/// What is not YAML is reported.
pub(crate) fn documents(
    file: &Arc<SourceFile>,
    scalar: &Node,
    problems: &mut Diagnostics,
) -> Vec<Node> {
    let Value::Scalar { text, .. } = &scalar.value else { return Vec::new() };
    let text = begun(text);
    let lines = literal_lines(file, scalar.span, text);
    let mut found = Vec::new();
    for piece in pieces(text, lines.as_deref()) {
        let place = Place { file, scalar: scalar.span, begin: piece.begin };
        let inner = Arc::new(SourceFile { name: file.name.clone(), text: piece.text });
        let mut diagnostics = Diagnostics::default();
        found.extend(
            yaml::parse(&inner, &mut diagnostics)
                .unwrap_or_default()
                .into_iter()
                .map(|node| place.node(node)),
        );
        problems.extend(diagnostics.into_iter().map(|problem| place.diagnostic(problem)));
    }
    found
}

/// One document of the text, and where it begins in the file; `None` where lines of text and file
/// do not agree.
struct Piece {
    text: String,
    begin: Option<(usize, usize)>,
}

/// A line of the file: its first byte, its number, and itself.
struct Line<'t> {
    start: usize,
    number: usize,
    text: &'t str,
}

/// The lines of the file that a literal text (`|`) consists of; `None` for other forms (quoted,
/// folded), whose lines are not the file's.
fn literal_lines<'f>(file: &'f SourceFile, span: Span, text: &str) -> Option<Vec<Line<'f>>> {
    let mut start = file.text.get(..span.start)?.rfind('\n').map_or(0, |end| end + 1);
    let mut lines = Vec::new();
    for (index, inner) in text.lines().enumerate() {
        let line = file.text.get(start..)?.split_inclusive('\n').next()?;
        if line.trim() != inner.trim() {
            return None;
        }
        lines.push(Line { start, number: span.line + index, text: line });
        start += line.len();
    }
    Some(lines)
}

/// A text from its first line that is not blank on: there the parser has it begin.
fn begun(text: &str) -> &str {
    let blank: usize =
        text.split_inclusive('\n').take_while(|line| line.trim().is_empty()).map(str::len).sum();
    &text[blank..]
}

fn pieces(text: &str, lines: Option<&[Line]>) -> Vec<Piece> {
    let mut all = vec![Piece { text: String::new(), begin: None }];
    let mut is_over = false;
    for (index, inner) in text.lines().enumerate() {
        // kind looks for a line break before `---`: the first line is never a separator, for YAML
        // it begins a document.
        if index > 0 && inner.starts_with("---") {
            all.push(Piece { text: String::new(), begin: None });
            is_over = false;
            continue;
        }
        // The mark of a document's end. kind decodes one document between two `---`, so that what
        // follows has no effect.
        is_over |= inner.trim_end() == "..." || inner.starts_with("... ");
        if is_over {
            continue;
        }
        let piece = all.last_mut().expect("there is always one");
        let line = lines.map(|lines| &lines[index]);
        if piece.text.is_empty() {
            piece.begin = line.map(|line| (line.start, line.number));
        }
        match line {
            // A document's first marker must stand at the first column, and has no place in the
            // indented text.
            Some(line) if inner.starts_with("---") => {
                piece.text.extend(line.text.chars().map(|c| if c == '-' { ' ' } else { c }))
            }
            Some(line) => piece.text.push_str(line.text),
            None => piece.text.extend([inner, "\n"]),
        }
    }
    all
}

/// From the places of a document to those of the file.
struct Place<'f> {
    file: &'f Arc<SourceFile>,
    scalar: Span,
    begin: Option<(usize, usize)>,
}

impl Place<'_> {
    fn span(&self, span: Span) -> Span {
        match self.begin {
            Some((start, line)) => Span {
                start: span.start + start,
                end: span.end + start,
                line: span.line + line - 1,
                column: span.column,
            },
            None => self.scalar,
        }
    }

    fn node(&self, node: Node) -> Node {
        let value = match node.value {
            Value::List(items) => {
                Value::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            Value::Map(entries) => {
                Value::Map(entries.into_iter().map(|(key, node)| (key, self.node(node))).collect())
            }
            scalar => scalar,
        };
        Node {
            value,
            span: self.span(node.span),
            key: node.key.map(|key| self.span(key)),
            short: node.short,
        }
    }

    fn location(&self, at: Location) -> Location {
        Location { file: self.file.clone(), span: self.span(at.span) }
    }

    fn diagnostic(&self, mut problem: Diagnostic) -> Diagnostic {
        problem.at = problem.at.map(|at| self.location(at));
        for related in &mut problem.related {
            related.at = self.location(related.at.clone());
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml::tests::{file, tree};

    fn inner(text: &str) -> (Vec<Node>, String) {
        let mut problems = Diagnostics::default();
        let found = documents(&file(text), tree(text).get("patch").unwrap(), &mut problems);
        (found, problems.to_string())
    }

    fn slice(text: &str, node: &Node) -> String {
        text[node.span.start..node.span.end].to_owned()
    }

    #[test]
    fn a_node_of_a_literal_text_stands_where_the_file_has_it() {
        let text = "a: ü\npatch: |\n\n  kind: X # why\n  deep:\n    x: 1s\nb: 2\n";
        let (found, problems) = inner(text);
        assert_eq!(problems, "");
        let node = found[0].find("deep.x").0;
        assert_eq!((slice(text, node), node.span.line, node.span.column), ("1s".into(), 6, 8));
        assert_eq!(found[0].get("kind").unwrap().key.unwrap().column, 3);
    }

    #[test]
    fn documents_are_taken_apart_where_kind_does_it() {
        let text = "patch: |-\n  ---\n  kind: A\n  --- # next\n  kind: B\n  ---\n";
        let (found, problems) = inner(text);
        assert_eq!((found.len(), problems.as_str()), (2, ""));
        assert_eq!(
            (found[0].get("kind").unwrap().span.line, found[1].get("kind").unwrap().span.line),
            (3, 5)
        );
        assert_eq!(slice(text, found[1].get("kind").unwrap()), "B");
    }

    #[test]
    fn three_dots_end_a_document() {
        let text = "patch: |\n  kind: A\n  ...\n  nobody: 1\n  ---\n  kind: B\n  ... # end\n";
        let (found, problems) = inner(text);
        assert_eq!((found.len(), problems.as_str()), (2, ""));
        assert_eq!(slice(text, found[1].get("kind").unwrap()), "B");
        assert!(found[0].get("nobody").is_none());
        assert_eq!(inner("patch: '...'\n"), (Vec::new(), String::new()));
    }

    #[test]
    fn other_forms_stand_as_a_whole() {
        for text in [
            "patch: \"kind: A\\nx: 1\"\n",
            "patch: >-\n  kind: A\n\n  x: 1\n",
            "patch: '{kind: A, x: 1}'\n",
        ] {
            let (found, problems) = inner(text);
            assert_eq!(problems, "", "{text}");
            let at = tree(text).get("patch").unwrap().span;
            assert_eq!(found[0].get("x").unwrap().span, at, "{text}");
        }
    }

    #[test]
    fn what_is_no_yaml_is_reported_at_its_place() {
        assert_eq!(inner("patch: |\n  a: 1\n  a: 2\n").1, "x.yaml:3:3: error: `a` appears twice");
        let (_, problems) = inner("patch: |\n  a: [1\n  b: 2\n");
        assert!(
            problems.starts_with("x.yaml:2:") || problems.starts_with("x.yaml:3:"),
            "{problems}"
        );
    }

    proptest! {
        /// Whatever a literal text holds, a scalar's place in the file spells the scalar.
        #[test]
        fn places_spell_their_text(values in proptest::collection::vec("[a-zé0-9]{1,8}", 1..8), indent in 1usize..6, blank in 0usize..3) {
            let mut text = format!("patch: |{}\n", if blank == 0 { "" } else { "-" });
            text += &"\n".repeat(blank);
            for (index, value) in values.iter().enumerate() {
                text += &format!("{}k{index}: {value}\n", " ".repeat(indent));
            }
            let (found, problems) = inner(&text);
            prop_assert_eq!(problems, "");
            for (index, value) in values.iter().enumerate() {
                let node = found[0].get(&format!("k{index}")).unwrap();
                prop_assert_eq!(&slice(&text, node), value);
                prop_assert_eq!(Span::of_bytes(&text, node.span.start, node.span.end), node.span);
            }
        }
    }
}

//! Words on lines: widths, wrapping, colour, and short names.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

use super::style::Style;
use crate::timeline::{counted, few};
use crate::verdict::Outcome;

/// The columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text, filled up with blanks.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A text that may come from a cluster, where a line is the report's own.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    match text.split_once('\n') {
        Some((first, more)) => {
            let more = more.lines().map(str::trim).filter(|line| !line.is_empty());
            [first.trim_end()].into_iter().chain(more).collect::<Vec<_>>().join(" ").into()
        }
        None => text.into(),
    }
}

/// A text on lines of no more than `columns`, broken between words; a word that is longer is cut.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    lines(words(text).flat_map(|word| pieces(word, columns)), columns)
}

/// The same, but a word that is longer has a line of its own: it may be there to be copied.
pub fn fill(text: &str, columns: usize) -> Vec<String> {
    lines(words(text), columns.max(8))
}

/// The same in columns that may be narrow: a text is as wide as its longest word at least.
pub(super) fn broken(text: &str, columns: usize) -> Vec<String> {
    lines(words(text), columns)
}

/// The words of a text. What is between backticks is one: a command is copied as a whole; and so is
/// a number with a blank at its thousands.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let has_code = text.matches('`').count().is_multiple_of(2);
    let mut in_code = false;
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let in_number = move |at: usize| {
        let (before, after) = (&text.as_bytes()[..at], &text.as_bytes()[at + 1..]);
        digit(before.last()) && after.iter().take(3).filter(|b| digit(Some(b))).count() == 3
    };
    let mut at = 0;
    text.split(move |c: char| {
        let here = at;
        at += c.len_utf8();
        in_code ^= has_code && c == '`';
        !in_code && (matches!(c, '\n' | '\t') || c == ' ' && !in_number(here))
    })
}

fn lines<'t>(words: impl Iterator<Item = &'t str>, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last_mut().expect("there is a line");
        let gap = usize::from(!line.is_empty());
        if width(line) + gap + width(word) > columns && !line.is_empty() {
            lines.push(word.to_owned());
        } else {
            line.push_str(&" "[..gap]);
            line.push_str(word);
        }
    }
    lines
}

/// A word in pieces of no more than `columns`.
fn pieces(mut word: &str, columns: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while width(word) > columns && !word.contains('`') {
        let fits = word
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| width(&word[..*end]) <= columns)
            .last();
        let (piece, rest) = word.split_at(fits.unwrap_or(word.len()));
        pieces.push(piece);
        word = rest;
    }
    pieces.push(word);
    pieces
}

/// A text behind a lead, wrapped; lines after the first are indented to the lead's width.
pub fn hang(lead: &str, text: &str, columns: usize) -> String {
    let indent = width(lead);
    let lines = fill(text, columns.saturating_sub(indent));
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        let lead = if number == 0 { lead } else { &" ".repeat(indent) };
        out.push_str(format!("{lead}{line}").trim_end());
        out.push('\n');
    }
    out
}

/// Lines of no more than `columns`, where words allow it: what is too long goes on below its own
/// text.
pub fn fit(text: &str, columns: usize) -> String {
    let line = |line: &str| {
        if width(line) <= columns {
            return format!("{line}\n");
        }
        let blanks = line.len() - line.trim_start().len();
        // What follows a gap is the text of a field or an event.
        let gap = line[blanks..].find("  ").map(|at| blanks + at);
        let text = gap.map(|gap| line.len() - line[gap..].trim_start().len());
        match text.filter(|text| *text <= columns / 2) {
            Some(text) => hang(&line[..text], &line[text..], columns),
            None => {
                let (lead, rest) = (&line[..blanks], &line[blanks..]);
                let first = fill(rest, columns.saturating_sub(blanks)).swap_remove(0);
                let below = rest[first.len()..].trim_start();
                let below = hang(&" ".repeat(blanks + 2), below, columns);
                format!("{lead}{first}\n{below}")
            }
        }
    };
    text.lines().map(line).collect()
}

/// Colours a text as its outcome; as it is when no colour is wanted.
pub(super) fn judged(text: &str, outcome: Outcome, style: &Style) -> String {
    let colour = match outcome {
        Outcome::Measured => anstyle::AnsiColor::Cyan,
        Outcome::Pass => anstyle::AnsiColor::Green,
        Outcome::Inconclusive => anstyle::AnsiColor::Yellow,
        Outcome::Fail => anstyle::AnsiColor::Red,
    };
    paint(text, anstyle::Style::new().bold().fg_color(Some(colour.into())), style)
}

/// Sets a text off.
pub(super) fn bold(text: &str, style: &Style) -> String {
    paint(text, anstyle::Style::new().bold(), style)
}

/// Takes a text back.
pub(super) fn dim(text: &str, style: &Style) -> String {
    paint(text, anstyle::Style::new().dimmed(), style)
}

fn paint(text: &str, look: anstyle::Style, style: &Style) -> String {
    match style.colour {
        Some(ink) => format!("{}{text}{}", ink.colour(look), ink.colour(format!("{look:#}"))),
        None => text.to_owned(),
    }
}

/// `a, b and c`; of many the first three and how many more.
pub(super) fn list(items: &[String]) -> String {
    match items {
        many if many.len() > 4 => few(many),
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// Names without the prefix that they share: `fast-detection-worker`, `-worker2`.
pub(super) fn short_names(names: &[String], prefix: &str) -> Vec<String> {
    let short = |(number, name): (usize, &String)| match name.strip_prefix(prefix) {
        Some(rest) if number > 0 && rest.starts_with('-') => rest.to_owned(),
        _ => name.clone(),
    };
    names.iter().enumerate().map(short).collect()
}

/// `1 endpoint`, `2 endpoints`.
pub(super) fn count(number: u64, noun: &str) -> String {
    counted(number, noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a-very-long-word b", 8), ["a-very-l", "ong-word", "b"]);
        assert_eq!(hang("  - ", "one two three", 12), "  - one two\n    three\n");
    }

    #[test]
    fn what_is_to_be_copied_stays_whole() {
        let text = "to undo: `kubectl outage recover --dry-run` or wait";
        let lines = ["to undo:", "`kubectl outage recover --dry-run`", "or wait"];
        for columns in [10, 20, 34] {
            assert_eq!(wrap(text, columns), lines);
            assert_eq!(hang("", text, columns), format!("{}\n", lines.join("\n")));
        }
        assert_eq!(wrap("5` of 6 feet", 9), ["5` of 6", "feet"]);
        assert_eq!(fill("at /a/long/path there", 10), ["at", "/a/long/path", "there"]);
    }

    #[test]
    fn widths_are_columns_and_not_bytes() {
        assert_eq!((width("≤ 20ms"), width("узел"), width("节点")), (6, 4, 4));
        assert!(wrap("节点节点节点节点节点", 9).iter().all(|line| width(line) <= 9));
        assert_eq!(pad("≤", 3), "≤  ");
    }

    #[test]
    fn names_are_said_short() {
        let names = ["kind-worker".to_owned(), "kind-worker2".to_owned()];
        assert_eq!(list(&short_names(&names, "kind")), "kind-worker and -worker2");
    }
}

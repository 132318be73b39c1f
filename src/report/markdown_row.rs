//! Texts in Markdown: a row of a table, and what none of its cells may do.

use std::fmt::Write;

use super::text::one_line;

pub(super) fn write_row<const N: usize>(out: &mut String, cells: [&str; N]) {
    let _ = writeln!(out, "| {} |", cells.map(cell).join(" | "));
}

/// A cell is one line, its bars are no borders, and it is text: no link, picture or HTML element.
/// What is code as a whole stays code.
pub(super) fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_code = line.len() > 2
        && line.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).is_some_and(is_plain);
    if is_code { line.replace('|', "\\|") } else { escaped(&line) }
}

fn is_plain(code: &str) -> bool {
    !code.contains('`')
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '|' | '\\' | '`' | '[' | '*' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// A name as code: between more backticks than it has in a row.
pub(super) fn code(name: &str) -> String {
    let name = one_line(name);
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    match longest {
        0 => format!("`{name}`"),
        _ => {
            let fence = "`".repeat(longest + 1);
            format!("{fence} {name} {fence}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_break_its_cell() {
        assert_eq!(cell("a | b\n  c"), "a \\| b c");
        assert_eq!(cell("`a[for=1s]`"), "`a[for=1s]`");
        assert_eq!(cell("`a|b`"), "`a\\|b`");
    }

    #[test]
    fn a_name_does_not_end_its_code() {
        assert_eq!(code("a<b>"), "`a<b>`");
        assert_eq!(code("a`[x](y)``b\n# c"), "``` a`[x](y)``b # c ```");
    }

    #[test]
    fn a_text_is_no_markup() {
        let hostile = "<img src=x> & ![a](b) `c` *d* \\";
        assert_eq!(cell(hostile), "&lt;img src=x> &amp; !\\[a](b) \\`c\\` \\*d\\* \\\\");
        assert_eq!(cell("`a` <b> `"), "\\`a\\` &lt;b> \\`");
    }
}

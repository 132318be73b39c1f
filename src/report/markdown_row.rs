//! A row of a Markdown table.

use std::fmt::Write;

pub(super) fn write_row<const N: usize>(out: &mut String, cells: [&str; N]) {
    let _ = writeln!(out, "| {} |", cells.map(cell).join(" | "));
}

/// A cell is one line, and its bars are no borders.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_break_its_cell() {
        assert_eq!(cell("a | b\n  c"), "a \\| b c");
    }
}

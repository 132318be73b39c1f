//! Tables as kubectl prints them: columns with blanks between them, no borders.

use super::text::{broken, hang, pad, width, words};

const GAP: usize = 3;
/// The gaps in a table that has to be narrow, the better first.
const NARROW_GAPS: [usize; 2] = [2, 1];

pub(super) struct Columns {
    widths: Vec<usize>,
    gap: usize,
}

impl Columns {
    /// As wide as the widest cell of each.
    pub(super) fn of(rows: &[Vec<String>]) -> Self {
        Self { widths: of_each(rows, width), gap: GAP }
    }

    /// No wider than this in all: the widest give way, down to their longest word. `None`: that is
    /// not narrow enough.
    fn within(columns: usize, rows: &[Vec<String>]) -> Option<Self> {
        let mut fitting = Self::of(rows);
        if fitting.width() <= columns {
            return Some(fitting);
        }
        let least = of_each(rows, |cell| words(cell).map(width).max().unwrap_or(0));
        let room = |gap: &usize| Self { widths: least.clone(), gap: *gap }.width() <= columns;
        fitting.gap = NARROW_GAPS.into_iter().find(room)?;
        while fitting.width() > columns {
            let wide = fitting.widths.iter_mut().zip(&least);
            let (widest, _) = wide.filter(|(w, least)| **w > **least).max_by_key(|(w, _)| **w)?;
            *widest -= 1;
        }
        Some(fitting)
    }

    fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + self.gap * self.widths.len().saturating_sub(1)
    }

    pub(super) fn line(&self, cells: &[String]) -> String {
        let cells = cells.iter().zip(&self.widths).map(|(cell, width)| pad(cell, width + self.gap));
        format!("{}\n", cells.collect::<String>().trim_end())
    }

    /// A row, whose cells go on below themselves.
    fn lines(&self, cells: &[String]) -> String {
        let cells: Vec<Vec<String>> =
            cells.iter().zip(&self.widths).map(|(cell, width)| broken(cell, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let line =
            |at: usize| cells.iter().map(move |cell| cell.get(at).cloned().unwrap_or_default());
        (0..height).map(|at| self.line(&line(at).collect::<Vec<_>>())).collect()
    }
}

/// The most of a measure of the cells, for each column.
fn of_each(rows: &[Vec<String>], measure: impl Fn(&str) -> usize) -> Vec<usize> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    (0..count).map(|at| cells(at).map(|cell| measure(cell)).max().unwrap_or(0)).collect()
}

/// From here on a list is not broken: whoever has so much room can scroll, and scripts read its
/// columns.
pub(super) const NARROW: usize = 80;

/// The width of a table that is never broken.
pub(super) const UNBROKEN: usize = usize::MAX;

/// A table that scripts may read.
pub fn list(columns: usize, header: Vec<&str>, rows: impl Iterator<Item = Vec<String>>) -> String {
    table(if columns < NARROW { columns } else { UNBROKEN }, header, rows)
}

/// A table that fits in so many columns. What is too long for its column goes on below; where there
/// is no room for the longest words, a row is a block, with each cell behind the name of its column.
pub fn table(columns: usize, header: Vec<&str>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let names = header.iter().map(|name| (*name).to_owned()).collect();
    let one_line = |cell: String| cell.replace('\n', " ");
    let rows = rows.map(|row| row.into_iter().map(one_line).collect());
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(rows).collect();
    if let Some(fitting) = Columns::within(columns, &rows) {
        return rows.iter().map(|row| fitting.lines(row)).collect();
    }
    let widest = header.iter().map(|name| width(name)).max().unwrap_or(0);
    let block = |row: &Vec<String>| {
        let mut cells = header.iter().zip(row);
        let first = cells.next().map_or(String::new(), |(_, cell)| hang("", cell, columns));
        let rest =
            cells.map(|(name, cell)| hang(&format!("  {}  ", pad(name, widest)), cell, columns));
        first + &rest.collect::<String>()
    };
    rows[1..].iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: usize) -> String {
        let row = ["a", "a question of more than a few words", "66 000/s"];
        table(
            columns,
            vec!["NAME", "QUESTION", "PER DAY"],
            [row.map(str::to_owned).to_vec()].into_iter(),
        )
    }

    #[test]
    fn what_does_not_fit_goes_on_below() {
        let whole = "NAME   QUESTION                              PER DAY\n\
                     a      a question of more than a few words   66 000/s\n";
        assert_eq!([shown(53), shown(UNBROKEN)], [whole, whole]);
        assert_eq!(
            shown(34),
            "NAME  QUESTION            PER DAY\n\
             a     a question of more  66 000/s\n      than a few words\n"
        );
    }

    #[test]
    fn where_there_is_no_room_for_the_longest_words_a_row_is_a_block() {
        assert_eq!(
            shown(21),
            "a\n  QUESTION  a\n            question\n            of more\n            than a\n            \
             few words\n  PER DAY   66 000/s\n"
        );
    }

    #[test]
    fn a_list_is_not_broken_where_there_is_some_room() {
        let rows = || [["a".to_owned(), "b ".repeat(60)].to_vec()].into_iter();
        assert_eq!(list(80, vec!["NAME", "TEXT"], rows()).lines().count(), 2);
        assert!(list(79, vec!["NAME", "TEXT"], rows()).lines().all(|line| width(line) <= 79));
    }
}

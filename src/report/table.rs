//! Tables as kubectl prints them: columns with three blanks between them, no borders.

use super::text::{hang, pad, width};

const GAP: usize = 3;

pub(super) struct Columns(Vec<usize>);

impl Columns {
    /// As wide as the widest cell of each.
    pub(super) fn of(rows: &[Vec<String>]) -> Self {
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |at: usize| rows.iter().filter_map(move |row| row.get(at));
        let widest = |at| cells(at).map(|cell| width(cell)).max().unwrap_or(0);
        Self((0..count).map(widest).collect())
    }

    pub(super) fn line(&self, cells: &[String]) -> String {
        let cells = cells.iter().zip(&self.0).map(|(cell, width)| pad(cell, width + GAP));
        format!("{}\n", cells.collect::<String>().trim_end())
    }
}

/// From here on a table is one, whatever it holds: whoever has so much room can scroll, and scripts
/// read columns.
pub(super) const NARROW: usize = 80;

/// A table; in a narrow terminal that it does not fit, a block a row, each cell behind the name of
/// its column.
pub fn table_within(
    columns: usize,
    header: Vec<&str>,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let whole = table(header.clone(), rows.iter().cloned());
    if columns >= NARROW || whole.lines().all(|line| width(line) <= columns) {
        return whole;
    }
    let widest = header.iter().map(|name| width(name)).max().unwrap_or(0);
    let block = |row: &Vec<String>| {
        let mut cells = header.iter().zip(row);
        let first = cells.next().map_or(String::new(), |(_, cell)| hang("", cell, columns));
        let rest =
            cells.map(|(name, cell)| hang(&format!("  {}  ", pad(name, widest)), cell, columns));
        first + &rest.collect::<String>()
    };
    rows.iter().map(block).collect()
}

pub fn table(header: Vec<&str>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let header = header.into_iter().map(str::to_owned).collect();
    let one_line = |cell: String| cell.replace('\n', " ");
    let rows = rows.map(|row| row.into_iter().map(one_line).collect());
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = Columns::of(&rows);
    rows.iter().map(|row| columns.line(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_does_not_fit_a_narrow_terminal_is_a_block_a_row() {
        let rows = || [["a", "a question of more than a few words"].map(str::to_owned).to_vec()];
        let shown = |columns| table_within(columns, vec!["NAME", "QUESTION"], rows().into_iter());
        let table = "NAME   QUESTION\na      a question of more than a few words\n";
        assert_eq!([shown(42), shown(80)], [table, table]);
        assert_eq!(shown(30), "a\n  QUESTION  a question of more\n            than a few words\n");
    }
}

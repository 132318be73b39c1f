//! Tables as kubectl prints them: columns with three blanks between them, no borders.

use super::text::{pad, width};

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

pub fn table(header: Vec<&str>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let header = header.into_iter().map(str::to_owned).collect();
    let one_line = |cell: String| cell.replace('\n', " ");
    let rows = rows.map(|row| row.into_iter().map(one_line).collect());
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = Columns::of(&rows);
    rows.iter().map(|row| columns.line(row)).collect()
}

//! Comparisons as CSV: a row for each quantity.

use super::csv::table;
use crate::compare::{Comparison, Comparisons, Difference, Side, Spread};

const HEADER: [&str; 19] = [
    "comparison",
    "quantity",
    "unit",
    "before_n",
    "before_left_out",
    "before_min",
    "before_median",
    "before_max",
    "after_n",
    "after_left_out",
    "after_min",
    "after_median",
    "after_max",
    "difference",
    "difference_low",
    "difference_high",
    "floor",
    "verdict",
    "why",
];

/// All comparisons in one table, in the units of JSON. What was not compared is a row with the reason.
pub fn render(compared: &Comparisons) -> String {
    let rows = compared
        .comparisons
        .iter()
        .flat_map(|all| all.quantities.iter().map(move |one| row(one, all)));
    let skipped = compared.skipped.iter().map(|why| {
        let mut row = [const { String::new() }; HEADER.len()];
        (row[17], row[18]) = ("not compared".into(), why.clone());
        row
    });
    table(HEADER, rows.chain(skipped))
}

fn row(one: &Difference, all: &Comparison) -> [String; HEADER.len()] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let spread = |spread: Option<Spread>, side: &Side| {
        let n = spread.map_or(0, |spread| spread.n as usize);
        let values = [spread.map(|it| it.min), spread.map(|it| it.median), spread.map(|it| it.max)];
        [n, side.left_out.len()]
            .map(|count| count.to_string())
            .into_iter()
            .chain(values.map(number))
    };
    let mut cells = vec![all.name.clone(), one.quantity.clone(), one.unit.name().to_owned()];
    cells.extend(spread(one.before, &all.before));
    cells.extend(spread(one.after, &all.after));
    let interval = [one.interval.map(|it| it.low), one.interval.map(|it| it.high)];
    cells.extend([one.estimate, interval[0], interval[1], one.floor].map(number));
    cells.extend([one.verdict.words().to_owned(), one.why.clone().unwrap_or_default()]);
    cells.try_into().expect("a cell for each column")
}

//! A study as tables: for a terminal, and as Markdown.

use std::fmt::Write;

use super::result::{
    CellReport, Ended, Estimate, FEWEST_TESTED, Measure, MeasureReport, PredictedCost, StudyReport,
};
use crate::report::markdown_row::cell;
use crate::report::style::Style;
use crate::report::table::table;
use crate::report::text::{count, hang};
use crate::stats::Interval;

pub(in crate::report) struct Table {
    pub title: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The header, where it need not stand out by its capitals.
    pub(in crate::report) fn header_words(&self) -> impl Iterator<Item = String> {
        self.header.iter().map(|cell| cell.to_lowercase().replace("ks at", "KS at"))
    }
}

/// For a terminal.
pub fn text(report: &StudyReport, style: &Style) -> String {
    let width = style.width.max(80);
    let mut out = String::new();
    for line in head(report) {
        out.push_str(&hang("", &line, width));
    }
    for one in tables(report) {
        let header = one.header.iter().map(String::as_str).collect();
        let _ = write!(out, "\n{}\n{}", one.title, table(width, header, one.rows.into_iter()));
    }
    out.push('\n');
    for note in notes(report) {
        out.push_str(&hang("", &note, width));
    }
    out
}

/// The same with each run in a line.
pub fn describe(report: &StudyReport, style: &Style) -> String {
    let rows = report.cells.iter().flat_map(|cell| {
        cell.runs.iter().map(|run| {
            let value = |measure: Measure| {
                run.values.get(&measure).map_or("-".into(), |value| measure.words(*value))
            };
            let result = [Some(&*run.state), run.left_out()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", ");
            let values = [Measure::Detection, Measure::ErrorWindow, Measure::Recovery].map(value);
            let first = [run.run.clone(), cell.cell.clone(), run.repetition.to_string(), result];
            first.into_iter().chain(values).chain([run.why.clone()]).collect()
        })
    });
    let header =
        vec!["RUN", "CELL", "REPETITION", "RESULT", "DETECTED", "ERRORS", "RECOVERY", "WHY"];
    format!("{}\nEvery run\n{}", text(report, style), table(style.width.max(80), header, rows))
}

/// As Markdown, ready to be put into a document.
pub fn markdown(report: &StudyReport) -> String {
    let mut out = head(report).join("  \n");
    out.push('\n');
    for one in tables(report) {
        let _ = writeln!(out, "\n**{}**\n", one.title);
        let lines = std::iter::once(one.header_words().collect());
        let lines = lines.chain([vec!["---".to_owned(); one.header.len()]]).chain(one.rows);
        for line in lines {
            let cells: Vec<String> = line.iter().map(|text| cell(text)).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out.push('\n');
    for note in notes(report) {
        let _ = writeln!(out, "- {note}");
    }
    out
}

pub(in crate::report) fn head(report: &StudyReport) -> Vec<String> {
    let question =
        report.question.as_ref().map_or(String::new(), |question| format!(": {question}"));
    vec![format!("Study {} on {}{question}", report.name, report.on), extent(report)]
}

pub(in crate::report) fn extent(report: &StudyReport) -> String {
    let StudyReport { study, cells, planned, done, seed, rounds, started, .. } = report;
    format!(
        "{done} of {} done, in {}; random order in {}, seed {seed}; {study}, started {started}",
        count(u64::from(*planned), "run"),
        count(cells.len() as u64, "cell"),
        count(u64::from(*rounds), "round"),
    )
}

fn tables(report: &StudyReport) -> Vec<Table> {
    let mut all = vec![ended(report)];
    all.extend(Measure::ALL.into_iter().filter_map(|measure| measured(report, measure)));
    all.extend(cost(report));
    all
}

fn header(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

pub(in crate::report) fn ended(report: &StudyReport) -> Table {
    let row = |cell: &CellReport| {
        let ended = cell.ended;
        let numbers =
            [ended.pass, ended.fail, ended.inconclusive, ended.unfinished + ended.unreadable];
        let first = [cell.cell.clone(), format!("{}/{}", cell.done, cell.planned)];
        first.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    Table {
        title: "Runs".into(),
        header: header(&["CELL", "DONE", "PASS", "FAIL", "INCONCLUSIVE", "UNFINISHED"]),
        rows: report.cells.iter().map(row).collect(),
    }
}

/// One quantity of every cell; `None`: it was never measured.
pub(in crate::report) fn measured(report: &StudyReport, measure: Measure) -> Option<Table> {
    let of = |cell: &CellReport| {
        cell.measures.iter().find(|one| one.measure == measure).filter(|one| one.n > 0).cloned()
    };
    report.cells.iter().find_map(of)?;
    let tested = measure == Measure::Detection;
    let row = |cell: &CellReport| {
        let numbers = of(cell);
        let mut row = vec![cell.cell.clone()];
        row.extend(numbers.map_or_else(
            || ["0", "-", "-", "-", "-", "-"].map(str::to_owned),
            |numbers| numbers_of(&numbers),
        ));
        row.extend(tested.then(|| agreement(cell)));
        row
    };
    let mut columns =
        header(&["CELL", "N", "MIN", "MEDIAN (95%)", "P95 (95%)", "MAX", "PREDICTED"]);
    columns.extend(tested.then(|| "KS AT 1%".to_owned()));
    let name = measure.name();
    let title = name[..1].to_uppercase() + &name[1..];
    Some(Table { title, header: columns, rows: report.cells.iter().map(row).collect() })
}

fn numbers_of(numbers: &MeasureReport) -> [String; 6] {
    let words = |value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |value| numbers.measure.words(value))
    };
    let estimate = |estimate: Option<Estimate>| {
        let Some(Estimate { value, interval }) = estimate else { return "-".to_owned() };
        let within =
            |Interval { low, high }| format!(" ({} to {})", words(Some(low)), words(Some(high)));
        format!("{}{}", words(Some(value)), interval.map_or(String::new(), within))
    };
    let predicted = numbers.predicted.map_or_else(
        || "-".to_owned(),
        |it| format!("{} to {}, median {}", words(it.min), words(it.max), words(it.median)),
    );
    [
        numbers.n.to_string(),
        words(numbers.min),
        estimate(numbers.median),
        estimate(numbers.p95),
        words(numbers.max),
        predicted,
    ]
}

fn agreement(cell: &CellReport) -> String {
    let n = cell.measures.iter().find(|one| one.measure == Measure::Detection);
    let too_few = n.filter(|one| one.n > 0 && one.predicted.is_some());
    cell.detection_agrees.map_or_else(
        || match too_few {
            Some(one) => format!("too few runs ({} of {FEWEST_TESTED})", one.n),
            None => "-".to_owned(),
        },
        |it| {
            let word = if it.agrees { "agrees" } else { "DIFFERS" };
            format!("{word} (D {:.2}, p {:.3})", it.test.distance, it.test.p)
        },
    )
}

/// What the settings of each cell cost and risk; `None`: no cell has a run.
pub(in crate::report) fn cost(report: &StudyReport) -> Option<Table> {
    let costs = report.cells.iter().filter_map(|cell| Some((cell, cell.predicted_cost.as_ref()?)));
    let costs: Vec<_> = costs.collect();
    let glitches = &costs.first()?.1.false_positives;
    let mut columns = header(&["CELL", "WRITES/S"]);
    columns.extend(glitches.iter().map(|it| format!("GLITCH OF {}", it.glitch.to_minutes())));
    let row = |(cell, cost): &(&CellReport, &PredictedCost)| {
        let risks = cost.false_positives.iter().map(|it| format!("{:.1}%", it.probability * 100.0));
        [cell.cell.clone(), format!("{:.1}", cost.writes_per_second)]
            .into_iter()
            .chain(risks)
            .collect()
    };
    let title = format!(
        "Predicted, not measured: heartbeat writes to API server and etcd with {}, and the chance that a glitch makes a healthy node NotReady",
        count(u64::from(report.nodes), "node")
    );
    Some(Table { title, header: columns, rows: costs.iter().map(row).collect() })
}

pub(in crate::report) fn notes(report: &StudyReport) -> Vec<String> {
    let sum = |of: fn(&Ended) -> u32| report.cells.iter().map(|cell| of(&cell.ended)).sum::<u32>();
    let mut notes = vec![
        "Quantiles: type 7 of Hyndman and Fan (1996). Intervals: 95% percentile bootstrap (Efron, 1979), from 6 runs on for the median, from 72 for the 95th \
         percentile (with fewer than 20 runs it lies between the two largest values). Predictions: the \
         model's trials, which use no measurements."
            .to_owned(),
    ];
    if report.cells.iter().any(|cell| cell.detection_agrees.is_some()) {
        notes.push(
            "KS: a one-sample Kolmogorov-Smirnov test (p as of Marsaglia, Tsang and Wang, 2003) of the measured detection against the \
             predicted distribution; `DIFFERS` where p is below 1%."
                .to_owned(),
        );
    }
    let left_out = sum(|ended| ended.left_out);
    if left_out > 0 {
        let runs = count(u64::from(left_out), "run");
        notes.push(format!(
            "Not in the numbers: {runs} in which no fault was confirmed or the prober's host was disturbed."
        ));
    }
    if sum(|ended| ended.unfinished) > 0 {
        notes.push("Unfinished runs are not in the other numbers; they are repeated when the study continues.".to_owned());
    }
    let repeated = sum(|ended| ended.repeated);
    if repeated > 0 {
        let runs = count(u64::from(repeated), "interrupted run");
        let was = if repeated == 1 { "was" } else { "were" };
        notes.push(format!("{runs} {was} repeated and {was} not counted."));
    }
    let unreadable = sum(|ended| ended.unreadable);
    if unreadable > 0 {
        let runs = count(u64::from(unreadable), "run");
        notes
            .push(format!("The folders of {runs} cannot be read; they are counted as unfinished."));
    }
    let open = report.planned.saturating_sub(report.done);
    if open > 0 {
        notes.push(format!(
            "{} to go: `kubectl outage study --resume {}`.",
            count(u64::from(open), "run"),
            report.study
        ));
    }
    notes
}

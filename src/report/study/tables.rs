//! A study as tables: for a terminal, and as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::counts::{Consequence, MeasuredWrites, Occurrence, Rate};
use super::result::{
    CellReport, Ended, Estimate, FEWEST_TESTED, Measure, MeasureReport, PredictedCost, StudyReport,
};
use crate::report::markdown_row::cell;
use crate::report::style::Style;
use crate::report::table::table;
use crate::report::text::{count, hang};
use crate::report::view::EMBEDDED;
use crate::stats::{Interval, Seconds};

pub(in crate::report) struct Table {
    pub title: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The header, where it need not stand out by its capitals.
    pub(in crate::report) fn header_words(&self) -> impl Iterator<Item = String> {
        self.header.iter().map(|cell| {
            cell.to_lowercase().replace("ks at", "KS at").replace("notready", "NotReady")
        })
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
    all.extend(occurrences(report));
    all.extend(Measure::ALL.into_iter().filter_map(|measure| measured(report, measure)));
    all.extend(cost(report));
    all.extend(writes(report));
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
    let name = report.title(measure);
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
    let predicted =
        numbers.predicted.map_or_else(|| "-".to_owned(), |it| numbers.measure.predicted_words(&it));
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

/// What the settings of each cell cost and risk; `None`: no run measured what they are for.
pub(in crate::report) fn cost(report: &StudyReport) -> Option<Table> {
    measured(report, Measure::Detection)?;
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

/// In how many runs the node was taken for dead, and what followed; `None`: no fault hit a node.
pub(in crate::report) fn occurrences(report: &StudyReport) -> Option<Table> {
    let cells = report.cells.iter().filter(|cell| !cell.occurrences.is_empty());
    let row = |cell: &CellReport| {
        let predicted = cell.occurrences.iter().find_map(|it| it.predicted);
        let predicted = predicted.map_or_else(|| "-".to_owned(), share);
        let mut seen: Vec<String> = cell.occurrences.iter().map(occurrence).collect();
        seen.insert(1, predicted);
        std::iter::once(cell.cell.clone()).chain(seen).collect()
    };
    let rows: Vec<Vec<String>> = cells.map(row).collect();
    let [not_ready, removed, evicted] = Consequence::ALL.map(Consequence::name);
    let columns = header(&["CELL", not_ready, "PREDICTED", removed, evicted]);
    let header = columns.iter().map(|column| column.to_uppercase()).collect();
    let title = "In how many runs the node that was hit became NotReady, and what followed (95%)";
    (!rows.is_empty()).then(|| Table { title: title.into(), header, rows })
}

/// `3 of 12: 25.0% (5.5% to 57.2%)`
pub(super) fn occurrence(seen: &Occurrence) -> String {
    let Occurrence { runs, of, interval: Interval { low, high }, .. } = *seen;
    let part = share(f64::from(runs) / f64::from(of));
    format!("{runs} of {of}: {part} ({} to {})", share(low), share(high))
}

pub(super) fn share(part: f64) -> String {
    format!("{:.1}%", part * 100.0)
}

/// What was counted in the quiet time before each fault; `None`: nothing was.
pub(in crate::report) fn writes(report: &StudyReport) -> Option<Table> {
    let cells = report.cells.iter();
    let measured = cells.filter_map(|cell| Some((cell, cell.measured_writes.as_ref()?)));
    let row = |(cell, writes): (&CellReport, &MeasuredWrites)| {
        let predicted = cell.predicted_cost.as_ref();
        vec![
            cell.cell.clone(),
            format!(
                "{} in {}",
                Seconds::from_f64(writes.seconds.round()).to_minutes(),
                count(u64::from(writes.runs), "run")
            ),
            a_second(writes.all),
            rate(writes.node_status.per_second),
            rate(writes.node_leases.per_second),
            rate(writes.other.per_second),
            writes.etcd.map_or_else(|| "-".into(), |etcd| rate(etcd.per_second)),
            a_second(writes.heartbeats),
            predicted.map_or_else(|| "-".into(), |it| rate(it.writes_per_second)),
        ]
    };
    let rows: Vec<Vec<String>> = measured.map(row).collect();
    let nodes = count(u64::from(report.nodes), "node").to_uppercase();
    let mut columns =
        header(&["CELL", "COUNTED", "ALL (95%)", "NODE STATUS", "NODE LEASES", "OTHER", "ETCD"]);
    columns.extend([format!("HEARTBEATS, {nodes} (95%)"), "PREDICTED".into()]);
    let title = "Writes per second, measured before each fault; heartbeats extrapolated and predicted \
                 for the study's number of nodes";
    (!rows.is_empty()).then(|| Table { title: title.into(), header: columns, rows })
}

pub(super) fn a_second(Rate { per_second, interval: Interval { low, high }, .. }: Rate) -> String {
    format!("{} ({} to {})", rate(per_second), rate(low), rate(high))
}

fn rate(per_second: f64) -> String {
    match per_second {
        ..9.995 => format!("{per_second:.2}"),
        ..99.95 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

/// What there is to know of the measured writes.
fn writes_notes(report: &StudyReport) -> Vec<String> {
    let mut notes = Vec::new();
    let measured: Vec<&MeasuredWrites> =
        report.cells.iter().filter_map(|cell| cell.measured_writes.as_ref()).collect();
    if let Some(first) = measured.first() {
        notes.push(format!(
            "Writes: successful write requests by `apiserver_request_total` of {}, and puts and deletes of one etcd member \
             (each applies all), between two readings before each fault. Not in them: this program's own test renewals. Heartbeats \
             are the nodes' status and leases (leases as the watch saw them, since API servers do not count them by namespace), \
             measured on {} and extrapolated in proportion. Intervals: Garwood (1936), too wide for heartbeats, which \
             come evenly.",
            servers(first),
            count(u64::from(first.nodes), "node"),
        ));
    }
    let unread: BTreeSet<&String> =
        report.cells.iter().flat_map(|cell| &cell.unread_writes).collect();
    notes.extend(unread.into_iter().map(|why| format!("Writes not read: {why}.")));
    let has_runs = report.cells.iter().any(|cell| cell.runs.iter().any(|run| run.counted));
    if measured.is_empty() && has_runs {
        notes.push(match report.on.contains(EMBEDDED) {
            true => "Writes were not measured: the embedded model counts none.".to_owned(),
            false => {
                "Writes were not measured: no run has read an API server's counters.".to_owned()
            }
        });
    }
    notes
}

/// Whose counters were added up.
fn servers(writes: &MeasuredWrites) -> String {
    let MeasuredWrites { api_servers, control_planes, .. } = *writes;
    match (api_servers, control_planes) {
        (some, all) if some < all => {
            format!("{some} of {all} API servers (the others' writes are missing)")
        }
        (one, 0) if one < 2 => {
            "the API server that answers at the cluster's address (the writes of \
             others behind it are missing)"
                .to_owned()
        }
        (1, _) => "the API server".to_owned(),
        (all, _) => format!("all {all} API servers, added up"),
    }
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
    if report.cells.iter().any(|cell| !cell.occurrences.is_empty()) {
        notes.push(
            "In how many runs: intervals of Clopper and Pearson (1934); predicted is the share of the model's trials. A node counts \
             also when it became NotReady after the fault was over."
                .to_owned(),
        );
    }
    notes.extend(writes_notes(report));
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

//! A study: its pictures with their tables, and every run.

use maud::{Markup, html};

use super::super::picture::draw::Drawn;
use super::super::study::picture::{self, Distributions, Place};
use super::super::study::{CellReport, Measure, RunReport, StudyReport, Table, story, tables};
use super::run::verdict;

pub(super) fn content(report: &StudyReport) -> Markup {
    html! {
        section class="study" {
            header {
                h1 { "Study " (report.name) }
                @if let Some(question) = &report.question { p class="question" { (question) } }
                @for sentence in story::sentences(report) { p class="answer" { (sentence) } }
                p class="where" { "On " (report.on) "." br; (tables::extent(report)) }
            }
            (table(report, &tables::ended(report), Names::Whole))
            (shares(report))
            p class="legend" {
                @for (sample, words) in picture::legend() {
                    span { svg width="14" height="14" aria-hidden="true" { (sample) } " " (words) }
                }
            }
            @for measure in Measure::ALL {
                (distributions(report, measure))
                @if measure == Measure::Detection { (cost(report)) }
            }
            @if let Some(writes) = tables::writes(report) { (table(report, &writes, Names::Values)) }
            (runs(report))
            ul { @for note in tables::notes(report) { li { (note) } } }
        }
    }
}

/// In how many runs the node was taken for dead, where that was not all.
fn shares(report: &StudyReport) -> Markup {
    let numbers = tables::occurrences(report).filter(|_| picture::shares_vary(report));
    let cells = report.cells.iter().filter_map(|cell| Some((cell, picture::not_ready(cell)?)));
    html! {
        @if let Some(numbers) = numbers {
            h2 { "How often the node became NotReady" }
            p { (picture::HOW_TO_READ_SHARES) }
            div class="cells" {
                @for (cell, seen) in cells {
                    @let words = picture::share_words(&seen);
                    div class="lane" {
                        div class="name" {
                            b { (name(report, cell, Names::Values)) }
                            @for line in &words { small { (line) } }
                        }
                        (plot(&picture::share(&seen), &format!("{}: {}", cell.cell, words.join("; "))))
                    }
                }
                div class="lane" {
                    div class="name" { small { "share of runs" } }
                    (plot(&picture::share_axis(), "axis"))
                }
            }
            (table(report, &numbers, Names::Values))
        }
    }
}

/// The table below says the same to whoever can't see the picture.
fn distributions(report: &StudyReport, measure: Measure) -> Markup {
    let drawn = Distributions::new(report, measure, Place::Page);
    let numbers = tables::measured(report, measure);
    html! {
        @if let Some((drawn, numbers)) = drawn.zip(numbers) {
            h2 { (numbers.title) }
            div class="cells" {
                @for (index, cell) in report.cells.iter().enumerate() {
                    @let number = index + 1;
                    @let words = drawn.words(cell);
                    div class="lane" id=[(measure == Measure::Detection).then(|| format!("cell={number}"))] {
                        div class="name" {
                            b { (name(report, cell, Names::Values)) }
                            @for line in &words { small { (line) } }
                        }
                        (plot(&drawn.row(cell), &format!("{}: {}", cell.cell, words.join("; "))))
                    }
                }
                div class="lane" {
                    div class="name" { small { (drawn.axis_name()) } }
                    (plot(&drawn.axis(), "axis"))
                }
            }
            (table(report, &Table { title: String::new(), ..numbers }, Names::Values))
        }
    }
}

fn plot(drawn: &Drawn, label: &str) -> Markup {
    html! {
        svg class="drawn" width="100%" height=(drawn.height) role="group" aria-label=(label) { (drawn.body) }
    }
}

fn cost(report: &StudyReport) -> Markup {
    let drawn = picture::cost(report, Place::Page);
    let numbers = tables::cost(report);
    html! {
        @if let Some(numbers) = numbers {
            h2 { "The cost of fast detection" }
            @if let Some(drawn) = drawn {
                p { (picture::how_to_read_cost(report)) }
                div class="cells" { (plot(&drawn, "median detection of each cell against its heartbeat writes a second; the tables have the numbers")) }
            } @else {
                p { "The heartbeats of all cells cost the same." }
            }
            (table(report, &numbers, Names::Values))
        }
    }
}

/// How a cell is called.
#[derive(Clone, Copy)]
enum Names {
    /// With its axes.
    Whole,
    /// Its values alone.
    Values,
}

/// Its number and its name, which may be broken behind each part.
fn name(report: &StudyReport, cell: &CellReport, names: Names) -> Markup {
    let number =
        report.cells.iter().position(|other| other.cell == cell.cell).map_or(0, |at| at + 1);
    let name = match names {
        Names::Whole => cell.cell.clone(),
        Names::Values => picture::label(report, cell),
    };
    html! {
        span class="badge" { (number) } " "
        @for part in name.split_inclusive([',', '=', '.']) { (part) wbr; }
    }
}

fn table(report: &StudyReport, table: &Table, names: Names) -> Markup {
    let cell = |row: &[String]| report.cells.iter().find(|cell| row.first() == Some(&cell.cell));
    html! {
        @if !table.title.is_empty() { p class="where" { (table.title) } }
        div class="wide" tabindex="0" role="group" aria-label=(if table.title.is_empty() { "the same in numbers" } else { &table.title }) {
            table {
                thead { tr { @for words in table.header_words() { th { (words) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            th scope="row" { @if let Some(cell) = cell(row) { (name(report, cell, names)) } }
                            @for text in &row[1..] { td { (text) } }
                        }
                    }
                }
            }
        }
    }
}

/// Where the dots link to.
fn runs(report: &StudyReport) -> Markup {
    let value = |run: &RunReport, measure: Measure| {
        run.values.get(&measure).map(|value| measure.words(*value))
    };
    html! {
        h2 { "Every run" }
        p class="where" {
            "Each run's timeline, and how it was judged: " code { "kubectl outage report RUN -o html=FILE" }
            ", or all runs of cell 1: " code { "kubectl outage report " (report.study) ":1 -o html=FILE" }
        }
        div class="wide" tabindex="0" role="group" aria-label="every run" {
            table {
                thead {
                    tr {
                        th { "run" } th { "cell" } th { "result" }
                        @for measure in Measure::ALL { th { (measure.name()) } }
                        th { "why" }
                    }
                }
                tbody {
                    @for (index, cell) in report.cells.iter().enumerate() {
                        @for run in &cell.runs {
                            tr id=(format!("run={}", run.run)) {
                                th scope="row" class="number" { (run.run) }
                                td class="number" { a href=(format!("#cell={}", index + 1)) title=(cell.cell) { (index + 1) } ", run " (run.repetition) " of " (cell.planned) }
                                td { (verdict(&run.state.to_uppercase())) @if let Some(word) = run.left_out() { " " (word) } }
                                @for measure in Measure::ALL { td class="number" { (value(run, measure).unwrap_or_else(|| "-".into())) } }
                                td { (run.why) }
                            }
                        }
                    }
                }
            }
        }
    }
}

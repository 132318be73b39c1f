//! Runs, or a study, as one page that needs nothing else: it makes no request, and says so in its
//! Content-Security-Policy. `script.js` zooms and pans what is drawn of a run.

mod run;
mod study;

use base64::Engine as _;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ring::digest::{SHA256, digest};

use super::compare;
use super::picture::draw;
use super::printable::printable;
use super::spread;
use super::study::{StudyReport, picture};
use super::style::Style;
use super::suite::{self, Part, Row, SuiteReport};
use super::view::View;
use crate::compare::Comparisons;
use run::Budget;

const SCRIPT: &str = include_str!("script.js");

/// The page. Several experiments or runs have an index, in which each run is a link.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    let views = || parts.iter().flat_map(Part::runs);
    let budget = Budget::of(views());
    let one = parts.len() == 1 && views().count() == 1 && parts[0].not_started == 0;
    let names: Vec<&str> = parts.iter().map(|part| part.experiment.as_str()).collect();
    let word = views().next().filter(|_| one).map_or("", View::word);
    let content = html! {
        @if !one { (index(parts)) }
        @for compared in parts.iter().filter_map(|part| part.baseline.as_ref()) { (baseline(compared)) }
        @for view in views() { (run::section(view, budget)) }
    };
    page(&format!("{word} {}", names.join(", ")), "", &content)
}

/// A study's page.
pub fn study(report: &StudyReport) -> String {
    page(&format!("Study {}", report.name), picture::STYLE, &study::content(report))
}

/// What every page has around its content.
fn page(title: &str, marks: &str, content: &Markup) -> String {
    let style = [include_str!("../picture/style.css"), marks, include_str!("style.css")].concat();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (title) " – outage" }
                link rel="icon" href="data:,";
                style { (PreEscaped(&style)) }
            }
            body {
                svg class="patterns" width="0" height="0" aria-hidden="true" { (draw::patterns()) }
                main { (content) }
                div class="tip" role="status" hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    // A tab or a control character of a style or script would be another one afterwards: they have none.
    printable(&page.into_string()).into_owned()
}

/// Nothing is loaded, and nothing runs but this script and this style.
fn policy(style: &str) -> String {
    let hash = |text: &str| {
        let sum = digest(&SHA256, text.as_bytes());
        format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(sum))
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(style)
    )
}

/// A row for each experiment, a link for each run.
fn index(parts: &[Part<View<'_>>]) -> Markup {
    let report = SuiteReport::new(parts);
    html! {
        header class="suite" {
            h1 { (suite::total(&report)) }
            @if !report.clusters.is_empty() { p class="where" { "Measured on " (report.clusters.join("; ")) "." } }
            @if let Some(shards) = report.shards() { p class="where" { (shards) } }
        }
        table class="index" {
            thead { tr { th { "experiment" } th { "verdict" } th { "measured" } th { "claims" } th { "time" } th { "runs" } } }
            tbody {
                @for (part, row) in parts.iter().zip(&report.experiments) { (index_row(part, row)) }
            }
        }
        @for part in parts { (spread_of(part)) }
    }
}

fn baseline(compared: &Comparisons) -> Markup {
    let text = compare::text(compared, &Style { width: 110, ..Style::default() });
    html! {
        section class="spread" { h2 { "Compared with the baseline" } pre tabindex="0" { (text) } }
    }
}

fn index_row(part: &Part<View<'_>>, row: &Row) -> Markup {
    let runs = part.runs();
    html! {
        tr {
            th scope="row" { (row.experiment) }
            td { (run::verdict(row.word())) }
            td { (row.figures) @if let Some(notes) = row.notes() { "; " (notes) } }
            td { (row.claim_ids()) }
            td { (row.time()) }
            td { @if let [one] = runs { (link(one)) } }
        }
        @if runs.len() > 1 {
            @for view in runs {
                tr class="of-many" {
                    td {}
                    td { (run::verdict(view.word())) @if part.is_retried(view) { " retried" } }
                    td { (run::figures_text(view)) }
                    td {}
                    td { (view.took().rounded().to_minutes()) }
                    td { (link(view)) }
                }
            }
        }
    }
}

fn link(view: &View<'_>) -> Markup {
    html! { a href=(format!("#{}", run::anchor(view))) { (view.timeline.header.run) } }
}

fn spread_of(part: &Part<View<'_>>) -> Markup {
    let spread = part.spread().filter(|_| part.decisive().nth(1).is_some());
    html! {
        @if let Some(spread) = spread {
            section class="spread" {
                h2 { "Spread of " (part.experiment) }
                pre tabindex="0" { (spread::render(&spread, &Style { width: 110, ..Style::default() })) }
            }
        }
    }
}

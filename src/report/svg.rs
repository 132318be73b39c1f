//! A run or a study as a static picture: one SVG file that needs nothing else.

use maud::{Markup, PreEscaped, html};

use super::picture::draw::{self, Drawn, Scale};
use super::picture::{FINEST, Lane, Picture};
use super::study::picture::{Distributions, Place};
use super::study::{self, Measure, StudyReport, tables};
use super::text::wrap;
use super::view::View;

const WIDTH: f64 = 1000.0;
const NAMES: f64 = 210.0;
const MARGIN: f64 = 12.0;
/// Characters of a line across the picture, and of a lane's name.
const COLUMNS: usize = 150;
const NAME_COLUMNS: usize = 30;
const NOTE_COLUMNS: usize = 38;

/// A picture of each run, one below the other.
pub fn render(views: &[&View<'_>]) -> String {
    let mut page = Page { y: MARGIN, body: Vec::new() };
    views.iter().for_each(|view| run(view, &mut page));
    if views.is_empty() {
        page.text("No run was recorded.", "title");
    }
    let title: Vec<String> = views.iter().map(|view| summary(view)).collect();
    page.document(&title.join(" "), "")
}

/// A picture of each quantity of a study, cell by cell, and of what speed costs.
pub fn study(report: &StudyReport) -> String {
    let mut page = Page { y: MARGIN + 20.0, body: Vec::new() };
    let title = format!("Study {}", report.name);
    page.body.push(html! { text class="heading" x=(MARGIN) y=(page.y) { (title) } });
    page.y += 4.0;
    for line in tables::head(report) {
        page.text(&line, "subtitle");
    }
    for sentence in study::story::sentences(report) {
        page.text(&sentence, "story");
    }
    for (sample, words) in study::picture::legend() {
        page.y += 4.0;
        let y = page.y + 1.0;
        page.body.push(html! { svg x=(MARGIN) y=(y) width="14" height="14" { (sample) } });
        page.y += 12.0;
        page.body.push(html! { text class="subtitle" x=(MARGIN + 20.0) y=(page.y) { (words) } });
    }
    if study::picture::shares_vary(report) {
        page.y += 16.0;
        page.text("how often the node became NotReady", "group");
        page.text(study::picture::HOW_TO_READ_SHARES, "note");
        for (index, cell) in report.cells.iter().enumerate() {
            let Some(seen) = study::picture::not_ready(cell) else { continue };
            page.y += 6.0;
            page.named(
                index + 1,
                &study::picture::label(report, cell),
                &study::picture::share_words(&seen),
                study::picture::share(&seen),
            );
        }
        page.row(&html! {}, study::picture::share_axis());
    }
    for measure in Measure::ALL {
        let Some(drawn) = Distributions::new(report, measure, Place::File) else { continue };
        page.y += 16.0;
        page.text(&report.title(measure), "group");
        for (index, cell) in report.cells.iter().enumerate() {
            page.y += 6.0;
            let name = study::picture::label(report, cell);
            page.named(index + 1, &name, &drawn.words(cell), drawn.row(cell));
        }
        page.row(&html! { text class="note" y="14" { (drawn.axis_name()) } }, drawn.axis());
        if let Some(cost) =
            study::picture::cost(report, Place::File).filter(|_| measure == Measure::Detection)
        {
            page.y += 16.0;
            page.text("The cost of fast detection", "group");
            page.text(&study::picture::how_to_read_cost(report), "note");
            page.y += 6.0;
            page.row(&html! {}, cost);
        }
    }
    page.document(&title, study::picture::STYLE)
}

/// Beyond what the page has in common with it.
const STYLE: &str = "svg .page { fill: var(--paper); }
svg .name { font-weight: 600; } svg .note, svg .group { fill: var(--soft); font-size: 10px; }
svg .group { font-weight: 700; letter-spacing: .06em; text-transform: uppercase; }
svg .heading { font-size: 18px; font-weight: 700; } svg .verdict { font-size: 16px; font-weight: 700; }
svg .subtitle { fill: var(--soft); }
";

/// `worker-stop-fast on kind cluster fast-detection (..): PASS. 4 expectations met.`
fn summary(view: &View<'_>) -> String {
    format!("{}: {}. {}.", view.title(), view.word(), view.verdict.summary)
}

struct Page {
    y: f64,
    body: Vec<Markup>,
}

impl Page {
    fn document(self, title: &str, marks: &str) -> String {
        let height = self.y + MARGIN;
        html! {
            svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
                width=(WIDTH) height=(height) role="img" {
                title { (title) }
                style { (PreEscaped(include_str!("picture/style.css"))) (PreEscaped(marks)) (PreEscaped(STYLE)) }
                (draw::patterns())
                rect class="page" width="100%" height="100%" {}
                @for part in &self.body { (part) }
            }
        }
        .into_string()
    }

    fn text(&mut self, text: &str, class: &str) {
        for line in wrap(text, COLUMNS) {
            self.y += 15.0;
            self.body.push(html! { text class=(class) x=(MARGIN) y=(self.y) { (line) } });
        }
    }

    /// A cell's drawing beside its number, its name and what the drawing shows.
    fn named(
        &mut self,
        number: usize,
        name: &str,
        words: &[String],
        Drawn { height, body }: Drawn,
    ) {
        let names = wrap(&format!("{number} {name}"), NAME_COLUMNS);
        let notes: Vec<String> = words.iter().flat_map(|line| wrap(line, NOTE_COLUMNS)).collect();
        let lines = names.iter().map(|line| (line, "name"));
        let lines: Vec<_> = lines.chain(notes.iter().map(|line| (line, "note"))).collect();
        let height = height.max(lines.len() as f64 * 13.0 + 4.0);
        let label = html! {
            @for (row, (line, class)) in lines.iter().enumerate() {
                text class=(class) x="0" y=(row * 13 + 14) { (line) }
            }
        };
        self.row(&label, Drawn { height, body });
    }

    /// A drawing beside its name.
    fn row(&mut self, name: &Markup, drawn: draw::Drawn) {
        let (x, y) = (NAMES, self.y);
        self.body.push(html! {
            g transform=(format!("translate({MARGIN} {y})")) { (name) }
            svg x=(x) y=(y) width=(WIDTH - NAMES - MARGIN) height=(drawn.height) { (drawn.body) }
        });
        self.y += drawn.height;
    }
}

fn run(view: &View<'_>, page: &mut Page) {
    let picture = Picture::new(view, FINEST);
    let scale = Scale { extent: picture.shown, width: WIDTH - NAMES - MARGIN };
    page.y += 20.0;
    page.body.push(html! {
        text class="heading" x=(MARGIN) y=(page.y) { (view.timeline.header.name) }
        text class="verdict" x=(WIDTH - MARGIN) y=(page.y) text-anchor="end" {
            (view.verdict_sign()) " " (view.word())
        }
    });
    page.y += 4.0;
    page.text(&view.title(), "subtitle");
    page.text(&view.subtitle(), "subtitle");
    view.story().iter().for_each(|sentence| page.text(sentence, "story"));
    page.y += 8.0;
    let label = |text: &str| html! { text class="name" x="0" y="13" { (text) } };
    page.row(&label("chain of events"), draw::moments(&picture, &scale));
    page.row(&html! {}, draw::axis(&scale));
    let mut group = "";
    for lane in &picture.lanes {
        if lane.group != group {
            group = lane.group;
            page.row(&html! { text class="group" y="13" { (group) } }, draw::gap(&picture, &scale));
        }
        page.row(&name(lane), draw::lane(lane, &picture, &scale));
    }
    page.row(&html! {}, draw::axis(&scale));
    page.y += 6.0;
    for assertion in &view.verdict.assertions {
        let why = assertion.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        page.text(
            &format!("{} {}{why}", assertion.outcome.word(), assertion.result_text()),
            "assertion",
        );
    }
    let warnings = view.warnings();
    warnings.iter().for_each(|warning| page.text(&format!("warning: {warning}"), "assertion"));
    page.text(LEGEND, "subtitle");
}

const LEGEND: &str = "Solid line: fault requested; dashed line: undo requested. Dashed boxes: predicted by the model before the run. I-shaped brackets: it happened within this interval. Probes: failed share, kinds of failure, latency (line: median, bar: maximum).";

fn name(lane: &Lane) -> Markup {
    let fits = |text: &str| match text.char_indices().nth(NAME_COLUMNS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    };
    html! {
        text class="name" x="0" y="14" { (fits(&lane.name)) }
        @if !lane.note.is_empty() {
            text class="note" x="0" y="26" { (fits(&lane.note)) }
        }
    }
}

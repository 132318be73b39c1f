//! A run as a static picture: one SVG file that needs nothing else.

use maud::{Markup, PreEscaped, html};

use super::picture::draw::{self, Scale};
use super::picture::{Lane, Picture};
use super::text::wrap;
use super::view::View;

const WIDTH: f64 = 1000.0;
const NAMES: f64 = 210.0;
const MARGIN: f64 = 12.0;
/// Characters of a line across the picture, and of a lane's name.
const COLUMNS: usize = 150;
const NAME_COLUMNS: usize = 30;

/// A picture of each run, one below the other.
pub fn render(views: &[&View<'_>]) -> String {
    let mut page = Page { y: MARGIN, body: Vec::new() };
    views.iter().for_each(|view| run(view, &mut page));
    if views.is_empty() {
        page.text("No run was recorded.", "title");
    }
    let height = page.y + MARGIN;
    let title: Vec<String> = views.iter().map(|view| summary(view)).collect();
    html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}"))
            width=(WIDTH) height=(height) role="img" {
            title { (title.join(" ")) }
            style { (PreEscaped(include_str!("picture/style.css"))) (PreEscaped(STYLE)) }
            (draw::patterns())
            rect class="page" width="100%" height="100%" {}
            @for part in &page.body { (part) }
        }
    }
    .into_string()
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
    fn text(&mut self, text: &str, class: &str) {
        for line in wrap(text, COLUMNS) {
            self.y += 15.0;
            self.body.push(html! { text class=(class) x=(MARGIN) y=(self.y) { (line) } });
        }
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
    let picture = Picture::new(view, 0);
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

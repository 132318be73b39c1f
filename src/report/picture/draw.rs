//! Lanes as SVG. Everything that has a place in time is a nested `svg` or a `g` with its seconds in
//! `data-a` and `data-b`, so that a page's script can move it without knowing what it is.

use std::fmt::Write;

use maud::{Markup, html};

use super::Picture;
use super::lane::{Extent, Lane, Span, Tone};
use super::strip::{Bucket, Family, Level, Strip};
use crate::report::line::Line;
use crate::stats::Seconds;

/// The seconds of an extent on so many pixels.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Scale {
    pub extent: Extent,
    pub width: f64,
}

pub(in crate::report) struct Drawn {
    pub height: f64,
    pub body: Markup,
}

/// A name of many lines makes its row higher than what is drawn: lines go on to its end.
const BELOW: f64 = 80.0;
/// A row of states, and what lies between two.
const ROW: f64 = 20.0;
const BAR: f64 = 16.0;
/// The height of a name with its note below it.
const NOTED: f64 = 30.0;
const TICKS: f64 = 8.0;
const PREDICTED: f64 = 13.0;
const SHARE: f64 = 40.0;
/// Of a probe that never failed.
const NO_SHARE: f64 = 4.0;
const GLYPHS: f64 = 11.0;
const LATENCY: f64 = 40.0;
/// Pixels of a character of small text, about.
const LETTER: f64 = 6.1;
/// What is shorter is drawn as wide as this.
const NARROWEST: f64 = 2.0;

/// The shape of each family's failures, around its middle.
const SHAPES: [&str; Family::ALL.len()] = [
    "m0,-4l4.2,7.5h-8.4z",
    "m-3.5,-3.5h7v7h-7z",
    "m0,-4.5l4.5,4.5l-4.5,4.5l-4.5,-4.5z",
    "m-3.8,0a3.8,3.8 0 1 0 7.6,0a3.8,3.8 0 1 0 -7.6,0z",
    "m-1.3,-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
    "m-3.5,-4.6l3.5,3.5l3.5,-3.5l1.1,1.1l-3.5,3.5l3.5,3.5l-1.1,1.1l-3.5,-3.5l-3.5,3.5l-1.1,-1.1l3.5,-3.5l-3.5,-3.5z",
];

impl Scale {
    pub(in crate::report) fn x(&self, at: Seconds) -> f64 {
        let Extent { from, to } = self.extent;
        (at - from).as_f64() / (to - from).as_f64() * self.width
    }
}

/// A number as short as a picture needs it.
pub(in crate::report) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn seconds(at: Seconds) -> String {
    format!("{:.6}", at.as_f64()).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The patterns that the styles name, once in a document.
pub(in crate::report) fn patterns() -> Markup {
    html! {
        defs {
            pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect class="paper" width="6" height="6" {}
                rect class="ink" width="2.2" height="6" {}
            }
            pattern id="stripes" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                rect class="paper" width="8" height="8" {}
                rect class="ink" width="3" height="8" {}
            }
        }
    }
}

/// A lane's name is beside it: this is what happened there.
pub(in crate::report) fn lane(lane: &Lane, picture: &Picture<'_>, scale: &Scale) -> Drawn {
    let rows = lane.spans.iter().chain(&lane.brackets).map(|span| span.row + 1).max().unwrap_or(0);
    let top = 2.0;
    let strip = lane.strip.as_ref().map(|strip| strip_of(strip, top, scale));
    let rows = if strip.is_some() { 0.0 } else { rows as f64 * ROW };
    let states = strip.as_ref().map_or(rows, |strip| strip.height);
    let ticks = if lane.ticks.is_empty() { 0.0 } else { TICKS };
    let predicted = if lane.predicted.is_empty() { 0.0 } else { PREDICTED };
    let least = if lane.note.is_empty() { 0.0 } else { NOTED };
    let height = (top + states + ticks + predicted + 2.0).max(least);
    let body = html! {
        (guides(picture, height, scale))
        @for span in &lane.predicted {
            (predicted_span(span, &lane.name, top + states + ticks + predicted, scale))
        }
        @if let Some(strip) = strip {
            @for span in &lane.spans { (placed(span, &lane.name, top, states, scale)) }
            (strip.body)
        } @else {
            @for span in &lane.spans {
                (placed(span, &lane.name, top + span.row as f64 * ROW, BAR, scale))
            }
        }
        @if !lane.ticks.is_empty() { (heartbeats(&lane.ticks, top + states, scale)) }
        @for span in &lane.brackets {
            @let y = if lane.strip.is_some() { top + 17.0 } else { top + span.row as f64 * ROW };
            (bracket(span, &lane.name, y, if lane.strip.is_some() { SHARE } else { BAR }, scale))
        }
    };
    Drawn { height, body }
}

/// Between two groups of lanes there are only the lines.
pub(in crate::report) fn gap(picture: &Picture<'_>, scale: &Scale) -> Drawn {
    let height = 16.0;
    Drawn { height, body: guides(picture, height, scale) }
}

fn guides(picture: &Picture<'_>, height: f64, scale: &Scale) -> Markup {
    html! {
        @for guide in &picture.guides {
            g class=(if guide.undo { "guide undo" } else { "guide" }) data-a=(seconds(guide.at))
                transform=(format!("translate({} 0)", px(scale.x(guide.at)))) {
                line y2=(px(height + BELOW)) {}
            }
        }
    }
}

struct Place {
    x: f64,
    width: f64,
}

fn place(span: &Span, scale: &Scale) -> Place {
    let (x, end) = (scale.x(span.from), scale.x(span.to));
    Place { x, width: (end - x).max(NARROWEST) }
}

/// `fast-detection-worker: Ready is Unknown, +4.932s to +28.453s`.
fn tip(span: &Span, name: &str) -> String {
    format!("{name}: {}, {:+.3} to {:+.3}", span.text, span.from, span.to)
}

/// A state is as long as it lasted, with its text inside.
fn placed(span: &Span, name: &str, y: f64, height: f64, scale: &Scale) -> Markup {
    let Place { x, width } = place(span, scale);
    html! {
        svg class={ "s " (span.tone.class()) } data-a=(seconds(span.from)) data-b=(seconds(span.to))
            x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) tabindex="0" role="img" {
            title { (tip(span, name)) }
            rect width="100%" height="100%" rx="2" {}
            text x=(px(4.0 - x.min(0.0))) y="12" { (span.text) }
        }
    }
}

/// A time in which something is known to have changed: I-shaped, as an error bar is.
fn bracket(span: &Span, name: &str, y: f64, height: f64, scale: &Scale) -> Markup {
    let Place { x, width } = place(span, scale);
    html! {
        svg class={ "s " (Tone::Bracket.class()) } data-a=(seconds(span.from)) data-b=(seconds(span.to))
            x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) tabindex="0" role="img" {
            title { (tip(span, name)) }
            rect width="100%" height="100%" {}
            line x1="0" x2="0" y2="100%" {}
            line x1="100%" x2="100%" y2="100%" {}
            line x2="100%" y1="50%" y2="50%" {}
        }
    }
}

/// A band behind the lane, and its words below it.
fn predicted_span(span: &Span, name: &str, height: f64, scale: &Scale) -> Markup {
    let Place { x, width } = place(span, scale);
    let words = span.text.chars().count() as f64 * LETTER;
    let before = x + width + words > scale.width;
    html! {
        svg class={ "s " (span.tone.class()) } data-a=(seconds(span.from)) data-b=(seconds(span.to))
            x=(px(x)) y="0" width=(px(width)) height=(px(height)) tabindex="0" role="img" {
            title { (tip(span, name)) }
            rect width="100%" height="100%" {}
            text x=(if before { "0" } else { "100%" }) dx=(if before { "-4" } else { "4" })
                text-anchor=(if before { "end" } else { "start" }) y=(px(height - 4.0)) { (span.text) }
        }
    }
}

/// `data-ticks`: their seconds, for the script.
fn heartbeats(ticks: &[Seconds], y: f64, scale: &Scale) -> Markup {
    let path = ticks.iter().fold(String::new(), |mut path, at| {
        let _ = write!(path, "M{} {}v{}", px(scale.x(*at)), px(y), px(TICKS - 2.0));
        path
    });
    let data: Vec<String> = ticks.iter().map(|at| format!("{:.2}", at.as_f64())).collect();
    html! {
        path class="ticks" data-y=(px(y)) data-ticks=(data.join(" ")) d=(path) {
            title { (ticks.len()) " heartbeats" }
        }
    }
}

/// Failed share on top, the shapes of what failed below it, and how long answers took.
fn strip_of(strip: &Strip, top: f64, scale: &Scale) -> Drawn {
    let named = if strip.windows.is_empty() { 2.0 } else { 16.0 };
    let share = top + named;
    let families: Vec<Family> =
        Family::ALL.into_iter().filter(|family| strip.failed(*family) > 0).collect();
    let tall = if families.is_empty() { NO_SHARE } else { SHARE };
    let glyphs = share + tall + 1.0;
    let latency = glyphs + families.len() as f64 * GLYPHS + 4.0;
    let height = latency + LATENCY + 4.0 - top;
    let Some(level) = strip.level(scale.extent.to - scale.extent.from, scale.width) else {
        return Drawn {
            height: SHARE,
            body: html! { text class="axis" x="4" y="30" { "no attempts were recorded" } },
        };
    };
    let limits = Limits::of(level);
    let drawing = Drawing { level, scale, share, tall, latency, limits };
    let body = html! {
        @for mark in &strip.windows {
            @let span = Span::new(mark.start.earliest, mark.end.latest, Tone::Bad, &mark.text);
            @let Place { x, width } = place(&span, scale);
            svg class=(if strip.windows.len() > 1 { "s window many" } else { "s window" }) data-a=(seconds(span.from)) data-b=(seconds(span.to)) x=(px(x))
                y=(px(top)) width=(px(width)) height=(px(named + tall)) tabindex="0" role="img" {
                title {
                    (mark.text) ": the first failure was sent " (between(mark.start)) ", the last "
                    (between(mark.end))
                }
                rect width="100%" height="100%" {}
                line x1="0" x2="0" y2="100%" {}
                line x1="100%" x2="100%" y2="100%" {}
                text x=(px(4.0 - x.min(0.0))) y="12" { (mark.text) }
            }
        }
        g class="strip" data-share=(px(share)) data-height=(px(tall)) data-latency=(px(latency))
            data-latency-height=(px(LATENCY)) data-low=(px(limits.low)) data-high=(px(limits.high)) {
            @if !families.is_empty() {
                line class="grid" x2="100%" y1=(px(share)) y2=(px(share)) {}
                line class="grid" x2="100%" y1=(px(share + tall / 2.0)) y2=(px(share + tall / 2.0)) {}
            }
            path class="asked" d=(drawing.asked()) {}
            @for family in Family::ALL {
                path class=(format!("f{}", family as usize)) data-family=(family as usize)
                    d=(drawing.bars(family)) {}
            }
            @if !families.is_empty() {
                text class="axis" x="3" y=(px(share + 9.0)) { "100% failed" }
            }
            @for (row, family) in families.iter().enumerate() {
                @let y = glyphs + row as f64 * GLYPHS + GLYPHS / 2.0;
                path class=(format!("f{}", *family as usize)) data-glyph=(SHAPES[*family as usize])
                    data-family=(*family as usize) data-y=(px(y)) d=(drawing.glyphs(*family, y)) {
                    title { (strip.failed(*family)) " " (family.word(strip.canary)) }
                }
                text class="axis" x="3" y=(px(y + 3.5)) { (family.word(strip.canary)) " " (strip.failed(*family)) }
            }
            @for power in limits.low as i32..=limits.high as i32 {
                @let y = drawing.latency_y(10f64.powi(power));
                line class="grid" x2="100%" y1=(px(y)) y2=(px(y)) {}
            }
            text class="axis" x="3" y=(px(latency + 8.0)) {
                "latency, " (limits.text(limits.low)) " to " (limits.text(limits.high))
            }
            path class="max" d=(drawing.slowest()) {}
            path class="p50" d=(drawing.medians()) {}
        }
    };
    Drawn { height, body }
}

fn between(when: crate::analysis::When) -> String {
    match when.width() > Seconds::ZERO {
        true => format!("between {:+.3} and {:+.3}", when.earliest, when.latest),
        false => format!("at {:+.3}", when.latest),
    }
}

/// The powers of ten between which answers took, in microseconds.
#[derive(Clone, Copy)]
struct Limits {
    low: f64,
    high: f64,
}

impl Limits {
    fn of(level: &Level) -> Self {
        let answered = || level.buckets.iter().filter(|bucket| bucket.max_us > 0);
        let low = answered().map(|bucket| bucket.p50_us).min().unwrap_or(1000).max(1);
        let high = answered().map(|bucket| bucket.max_us).max().unwrap_or(10_000).max(10);
        let low = f64::from(low).log10().floor();
        Self { low, high: f64::from(high).log10().ceil().max(low + 1.0) }
    }
}

impl Limits {
    fn text(self, power: f64) -> Seconds {
        Seconds::from_nanos(10i64.pow(power as u32) * 1000)
    }
}

struct Drawing<'a> {
    level: &'a Level,
    scale: &'a Scale,
    share: f64,
    tall: f64,
    latency: f64,
    limits: Limits,
}

struct Placed<'a> {
    x: f64,
    width: f64,
    bucket: &'a Bucket,
}

impl<'a> Drawing<'a> {
    /// Buckets in which something was asked.
    fn placed(&self) -> impl Iterator<Item = Placed<'a>> {
        let Level { start, step, buckets } = self.level;
        let scale = *self.scale;
        let end = |index: usize| *start + Seconds::from_nanos(step.as_nanos() * index as i64);
        let asked = buckets.iter().enumerate().filter(|(_, bucket)| bucket.judged > 0);
        asked
            .map(move |(index, bucket)| {
                let x = scale.x(end(index));
                Placed { x, width: (scale.x(end(index + 1)) - x).max(1.0), bucket }
            })
            .filter(move |placed| placed.x + placed.width >= 0.0 && placed.x <= scale.width)
    }

    fn path(&self, mut of: impl FnMut(Placed<'_>, &mut String)) -> String {
        let mut path = String::new();
        self.placed().for_each(|placed| of(placed, &mut path));
        path
    }

    /// Where something was asked, whatever became of it.
    fn asked(&self) -> String {
        let y = px(self.share + self.tall);
        self.path(|Placed { x, width, .. }, path| {
            let _ = write!(path, "M{} {y}h{}", px(x), px(width));
        })
    }

    /// Shares of the families, one on the other.
    fn bars(&self, family: Family) -> String {
        self.path(|Placed { x, width, bucket }, path| {
            let share = |count: u32| f64::from(count) / f64::from(bucket.judged) * self.tall;
            let below: f64 =
                bucket.failed[..family as usize].iter().map(|count| share(*count)).sum();
            let own = bucket.failed[family as usize];
            if own > 0 {
                let (bottom, height) =
                    (px(self.share + self.tall - below), px(share(own).max(2.0)));
                let width = px(width);
                let _ = write!(path, "M{} {bottom}v-{height}h{width}v{height}z", px(x));
            }
        })
    }

    fn glyphs(&self, family: Family, y: f64) -> String {
        let mut free = f64::MIN;
        self.path(|Placed { x, width, bucket }, path| {
            let middle = x + width / 2.0;
            if bucket.failed[family as usize] > 0 && middle >= free {
                let _ = write!(path, "M{} {}{}", px(middle), px(y), SHAPES[family as usize]);
                free = middle + 9.0;
            }
        })
    }

    fn latency_y(&self, us: f64) -> f64 {
        let Limits { low, high } = self.limits;
        let part = (us.max(1.0).log10() - low) / (high - low);
        self.latency + LATENCY * (1.0 - part.clamp(0.0, 1.0))
    }

    fn medians(&self) -> String {
        self.path(|Placed { x, width, bucket }, path| {
            if bucket.max_us > 0 {
                let y = self.latency_y(bucket.p50_us.into());
                let _ = write!(path, "M{} {}h{}", px(x), px(y), px(width));
            }
        })
    }

    fn slowest(&self) -> String {
        self.path(|Placed { x, width, bucket }, path| {
            if bucket.max_us > 0 {
                let [from, to] = [bucket.p50_us, bucket.max_us].map(|us| self.latency_y(us.into()));
                let _ = write!(path, "M{} {}V{}", px(x + width / 2.0), px(from), px(to));
            }
        })
    }
}

/// The chain of events as flags, in as many rows as they need.
pub(in crate::report) fn moments(picture: &Picture<'_>, scale: &Scale) -> Drawn {
    let mut ends: Vec<f64> = Vec::new();
    let flags: Vec<_> = picture
        .moments
        .iter()
        .map(|line| {
            let (x, words) = (scale.x(line.at), flag_text(line, picture));
            let width = words.chars().count() as f64 * LETTER + 12.0;
            let left = x + width > scale.width;
            let from = if left { x - width } else { x };
            let free = ends.iter().position(|end| *end <= from).unwrap_or(ends.len());
            ends.resize(ends.len().max(free + 1), f64::MIN);
            ends[free] = from + width;
            (line, x, words, left, free)
        })
        .collect();
    let height = ends.len() as f64 * 15.0 + 8.0;
    let body = html! {
        (guides(picture, height, scale))
        @for (line, x, words, left, row) in flags {
            @let y = row as f64 * 15.0 + 2.0;
            g class="flag" data-a=(seconds(line.at)) data-width=(px(words.chars().count() as f64 * LETTER + 12.0))
                transform=(format!("translate({} 0)", px(x))) tabindex="0" role="img" {
                title { (format!("{:+.3}", line.at)) " " (uncertain(line)) (line.label) ": " (line.text) }
                line y1=(px(y)) y2=(px(height)) {}
                circle cy=(px(y + 6.0)) r="3" {}
                text x=(if left { "-6" } else { "6" }) y=(px(y + 10.0))
                    text-anchor=(if left { "end" } else { "start" }) { (words) }
            }
            @if let Some(span) = uncertainty(line) {
                (bracket(&span, &line.label, height - 7.0, 6.0, scale))
            }
        }
    };
    Drawn { height, body }
}

/// `errors (web) +0.06s`: which of several probes or leaders it is about is in its text only.
fn flag_text(line: &Line, picture: &Picture<'_>) -> String {
    let is_about = |lane: &&Lane| match lane.group {
        "probes" => line.text.starts_with(&format!("{}: ", lane.name)),
        "leaders" => line.text.starts_with(&format!("{} on ", lane.name)),
        _ => false,
    };
    let about = picture.lanes.iter().find(is_about);
    let about = about.map_or(String::new(), |lane| format!(" ({})", lane.name));
    format!("{}{about} {:+.2}", line.label, line.at)
}

fn uncertain(line: &Line) -> String {
    line.uncertainty.map_or(String::new(), |by| format!("≤ {by} "))
}

/// Errors end after their last failure; all else lies before the moment at which it was seen.
fn uncertainty(line: &Line) -> Option<Span> {
    let by = line.uncertainty?;
    let (from, to) = match line.label.starts_with("healed") {
        true => (line.at, line.at + by),
        false => (line.at - by, line.at),
    };
    Some(Span::new(from, to, Tone::Bracket, format!("uncertain by {by}")))
}

/// A text near an edge stays inside.
fn anchor(x: f64, width: f64) -> &'static str {
    match x {
        x if x < 16.0 => "start",
        x if x > width - 16.0 => "end",
        _ => "middle",
    }
}

/// Moments of a round number of seconds.
pub(in crate::report) fn axis(scale: &Scale) -> Drawn {
    let Extent { from, to } = scale.extent;
    let least = (to - from).as_f64() / (scale.width / 90.0);
    let steps = (-4..6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let step = steps.into_iter().find(|step| *step >= least).unwrap_or(1e6);
    let first = (from.as_f64() / step).ceil() as i64;
    let last = (to.as_f64() / step).floor() as i64;
    let decimals = (-step.log10()).ceil().max(0.0) as usize;
    let body = html! {
        @for tick in first..=last {
            @let at = tick as f64 * step;
            @let x = scale.x(Seconds::from_f64(at));
            g class="tick" transform=(format!("translate({} 0)", px(x))) {
                line y1="15" y2="20" {}
                text y="12" text-anchor=(anchor(x, scale.width)) { (if tick == 0 { "+0".to_owned() } else { format!("{at:+.decimals$}s") }) }
            }
        }
    };
    Drawn { height: 20.0, body }
}

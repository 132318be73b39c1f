//! Windows of errors against outages that are known exactly: a gated server stamps its own closing
//! and opening.
//!
//! The truth must lie in the brackets that `analyse` gives. It is asked twice: with the back ends
//! that the answers named, and without. What a success of the gated back end (or a neighbouring
//! one, where there is no other back end) or a request bounds must hold always. A run of draws
//! proves at a level of 5 % for each edge: of those edges nine of ten must hold.

use outage::analysis::findings::{Proof, Window};
use outage::analysis::{Findings, Period, When, analyse};
use outage::probe::testing::Found;
use outage::stats::Seconds;
use outage::timeline::{Moment, Outcome};

use super::gated::{Outage, PERIOD_MS, Plan, timeline};
use super::{Test, test};

/// All tests against known outages.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        test(
            "outages::fifty_of_fifty_lie_in_narrow_brackets",
            fifty_of_fifty_lie_in_narrow_brackets,
        ),
        test(
            "outages::one_of_two_back_ends_has_wider_brackets",
            one_of_two_back_ends_has_wider_brackets,
        ),
        test(
            "outages::one_of_ten_back_ends_has_wider_brackets",
            one_of_ten_back_ends_has_wider_brackets,
        ),
    ]
}

/// The widest bracket of an edge where every attempt goes to the back end that is gated.
const NARROW_MS: f64 = 1.2 * PERIOD_MS;
/// From sending a request until the server decides on it, on a machine that is not overloaded: a
/// fifth of a period.
const ON_THE_WAY_MS: f64 = PERIOD_MS / 5.0;

/// What became of the edges of all outages.
#[derive(Default)]
struct Edges {
    /// The widths of all, in milliseconds.
    widths: Vec<f64>,
    /// And of those that a machine saw that was not overloaded.
    calm: Vec<f64>,
    /// Whether the truth lies in the bracket, of edges that draws prove.
    draws: Vec<bool>,
    /// And of all others.
    proven: Vec<bool>,
    /// First failures that were on their way for longer than `analyse` allows, at 5 %; and those of
    /// them that so missed the truth.
    held_up: usize,
    missed: usize,
}

impl Edges {
    /// Those of every server's run, as `analyse` gives them.
    fn of(plan: Plan, runs: &[(Found, Vec<Outage>)], named: bool) -> Self {
        let mut edges = Edges::default();
        for (found, outages) in runs {
            let findings = analyse(&timeline(found, outages, plan.back_ends, named));
            for (step, outage) in outages.iter().enumerate() {
                let period = Period::Fault { step: step as u32 };
                let window =
                    findings.probes[0].window(period).expect("somebody noticed the outage");
                assert!(
                    plan.back_ends > 1 || window.attempts == window.failed,
                    "no success inside: {window:?}"
                );
                edges.take(found, &findings, window, outage);
            }
        }
        edges.print(plan, named);
        edges
    }

    fn take(&mut self, found: &Found, findings: &Findings, window: &Window, outage: &Outage) {
        let after_zero =
            |at: Moment| Seconds::from_nanos(at.0 as i64 - findings.origin.monotonic_ns as i64);
        let decided_soon =
            ms(after_zero(outage.unanswered) - window.first_failure) <= ON_THE_WAY_MS;
        let calm = decided_soon && calm(found, window, after_zero);
        // A request without an answer that was held up longer than any of those before it: only the
        // server knows.
        let held_up = after_zero(outage.unanswered).max(window.start.when.latest);
        self.held_up += usize::from(held_up > window.start.when.latest);
        for (edge, truth) in [(window.start, outage.closed), (window.end, outage.opened)] {
            let latest = if truth == outage.closed { held_up } else { edge.when.latest };
            let holds = When { latest, ..edge.when }.holds(after_zero(truth));
            self.missed += usize::from(holds && !edge.when.holds(after_zero(truth)));
            let by_draws = matches!(edge.proof, Proof::Draws { .. });
            if by_draws {
                self.draws.push(holds)
            } else {
                self.proven.push(holds)
            }
            if !holds && !by_draws {
                println!("{:?} is not in {edge:?} (calm: {calm})", after_zero(truth));
            }
            self.widths.push(ms(edge.when.width()));
            if calm {
                self.calm.push(ms(edge.when.width()));
            }
        }
    }

    fn print(&mut self, plan: Plan, named: bool) {
        self.widths.sort_by(f64::total_cmp);
        self.calm.sort_by(f64::total_cmp);
        let held = |edges: &[bool]| {
            format!("{} of {} hold", edges.iter().filter(|holds| **holds).count(), edges.len())
        };
        println!(
            "1 of {}, named {named}: proven {}, by draws {}; width p50 {:.2} max {:.2} ms; calm {}, max {:.2} ms",
            plan.back_ends,
            held(&self.proven),
            held(&self.draws),
            middle(&self.widths),
            self.widths.last().unwrap(),
            self.calm.len(),
            self.calm.last().unwrap_or(&0.0)
        );
        println!(
            "  {} first failures were held up, {} of them past the truth",
            self.held_up, self.missed
        );
        // One in twenty by design; a machine that stalls has more.
        assert!(self.held_up * 5 <= self.widths.len() / 2, "one in five");
    }
}

/// The median of what is sorted.
fn middle(widths: &[f64]) -> f64 {
    widths[widths.len() / 2]
}

fn ms(seconds: Seconds) -> f64 {
    seconds.as_f64() * 1e3
}

/// Whether no attempt, from the twenty before the window to its end, was late, left out or long on
/// its way.
fn calm(found: &Found, window: &Window, after_zero: impl Fn(Moment) -> Seconds) -> bool {
    let earliest = window.start.when.earliest - Seconds::from_f64(20.0 * PERIOD_MS / 1e3);
    let when = When { earliest, latest: window.end.when.latest };
    let mut around =
        found.attempts.iter().filter(|attempt| when.holds(after_zero(found.span.sent(attempt))));
    around.all(|attempt| {
        let soon = attempt.duration_us() as f64 <= ON_THE_WAY_MS * 1e3
            || matches!(attempt.outcome, Outcome::Timeout(_));
        let says = attempt.outcome.is_ok() || attempt.outcome.is_failure();
        attempt.late_us <= 1000 && says && soon
    })
}

fn fifty_of_fifty_lie_in_narrow_brackets() {
    let plan = Plan { servers: 5, back_ends: 1, margin_ms: 250, outage_ms: 80 };
    let runs = plan.run();
    for named in [true, false] {
        let edges = Edges::of(plan, &runs, named);
        // Fifty outages, both edges of each.
        assert_eq!(edges.proven, [true; 100]);
        assert!(
            middle(&edges.widths) <= NARROW_MS
                && edges.calm.iter().all(|width| *width <= NARROW_MS)
        );
    }
}

/// With one of several back ends gated, brackets are wider, and still hold the truth. `draws`: so
/// many exclude at 5 % that all missed.
fn one_of(plan: Plan, draws: f64) {
    let runs = plan.run();
    let [named, unnamed] = [true, false].map(|named| Edges::of(plan, &runs, named));
    assert!(named.proven.len() > named.widths.len() * 9 / 10, "names are known, and used");
    assert!(unnamed.draws.len() > unnamed.widths.len() * 9 / 10, "names are not known");
    assert!(named.proven.iter().chain(&unnamed.proven).all(|holds| *holds));
    let by_draws: Vec<bool> = named.draws.into_iter().chain(unnamed.draws).collect();
    // 95 % by design: fewer than 88 % of two hundred would be chance once in ten thousand runs.
    assert!(by_draws.iter().filter(|holds| **holds).count() * 100 >= by_draws.len() * 88);
    assert!(middle(&named.widths) > NARROW_MS);
    assert!((draws - 0.5..draws + 1.2).contains(&(middle(&unnamed.widths) / PERIOD_MS)));
}

fn one_of_two_back_ends_has_wider_brackets() {
    one_of(Plan { servers: 10, back_ends: 2, margin_ms: 250, outage_ms: 100 }, 5.0);
}

fn one_of_ten_back_ends_has_wider_brackets() {
    one_of(Plan { servers: 10, back_ends: 10, margin_ms: 450, outage_ms: 500 }, 29.0);
}

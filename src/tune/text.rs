//! The choice for people: a table, the recommendation with its reason, the traps, and how it is set.

use std::fmt::Write;

use super::choice::Choice;
use super::goals::Goal;
use super::search::{Recommendation, Tuned, Unmet};
use crate::lint::text::{chance, chances, thousands};
use crate::model::Heartbeat;
use crate::report::{hang, table};
use crate::stats::Seconds;

/// What the numbers are, wherever they are printed.
pub(crate) const PREDICTED: &str = "predicted from the settings, not measured; `--verify N` measures the recommended and the \
     current settings on kind clusters";

pub(crate) fn render(tuned: &Tuned, width: usize) -> String {
    let mut out = hang("", &title(tuned), width);
    out.push_str(&hang("goals: ", &goals(tuned), width));
    out.push('\n');
    let rows: Vec<Row> = rows(tuned);
    out.push_str(&table(
        width,
        HEADER.into(),
        rows.iter()
            .map(|row| std::iter::once(row.mark.to_owned()).chain(row.cells.clone()).collect()),
    ));
    out.push_str(&hang("", &legend(tuned), width));
    out.push('\n');
    match &tuned.recommendation {
        Some(recommendation) => recommended(recommendation, tuned, width, &mut out),
        None => {
            tuned.unmet.iter().for_each(|unmet| out.push_str(&hang("", &impossible(unmet), width)))
        }
    }
    out.push_str(&hang("note: ", PREDICTED, width));
    out
}

pub(super) const HEADER: [&str; 11] = [
    "",
    "HEARTBEAT",
    "PERIOD",
    "GRACE",
    "P50",
    "P95",
    "MAX",
    "WRITES",
    "FALSE POSITIVES A MONTH",
    "RESTART RISK",
    "RIDES OUT",
];

/// A line of the table.
pub(super) struct Row {
    /// What it is: recommended, present, or neither.
    pub mark: &'static str,
    pub cells: [String; 10],
}

/// The present settings, the recommended ones, and of the front the fastest at each cost that meets
/// all goals but that of detection: what less speed saves, and more costs.
pub(super) fn rows(tuned: &Tuned) -> Vec<Row> {
    let best = tuned.recommendation.as_ref().map(|found| &found.choice);
    let mark = |one: &Choice| match () {
        () if Some(one) == best => "best",
        () if Some(one) == tuned.present.as_ref() => "now",
        () => "",
    };
    let fits = |one: &&Choice| {
        let others = Goal::ALL.into_iter().filter(|goal| *goal != Goal::Detection);
        others.into_iter().all(|goal| goal.is_met(one, &tuned.goals))
    };
    let mut shown: Vec<&Choice> = Vec::new();
    for one in tuned.front.iter().filter(fits) {
        if !shown.iter().any(|other| other.writes_per_second <= one.writes_per_second) {
            shown.push(one);
        }
    }
    let unmet = tuned.unmet.iter().map(|unmet| &unmet.best);
    for one in best.into_iter().chain(unmet).chain(&tuned.present) {
        if !shown.contains(&one) {
            shown.push(one);
        }
    }
    shown.sort_by_key(|one| one.detection.max);
    shown.into_iter().map(|one| Row { mark: mark(one), cells: cells(one) }).collect()
}

fn cells(one: &Choice) -> [String; 10] {
    let tenths = |seconds: Seconds| format!("{seconds:.1}");
    let false_positives = &one.false_positives;
    [
        heartbeat(one),
        one.settings.node_monitor_period.to_minutes(),
        one.settings.node_monitor_grace_period.to_minutes(),
        tenths(one.detection.p50),
        tenths(one.detection.p95),
        tenths(one.detection.max.ceil(1)),
        one.writes(),
        count(false_positives.by_loss_a_month),
        chance(false_positives.by_restart),
        tenths(false_positives.rides_out.floor(1)),
    ]
}

fn heartbeat(one: &Choice) -> String {
    let what = match one.heartbeat {
        Heartbeat::Lease => "lease",
        Heartbeat::Status => "status",
    };
    format!("{what} {}", one.heartbeat_interval.to_minutes())
}

/// A number of events, some of which are rare.
fn count(events: f64) -> String {
    match events {
        e if e < 1e-6 => "0".into(),
        e if e < 0.01 => "<0.01".into(),
        e if e < 10.0 => format!("{e:.2}"),
        e => thousands(e),
    }
}

pub(super) fn title(tuned: &Tuned) -> String {
    format!(
        "settings of failure detection for {} nodes and {}, Kubernetes {}; current: {}",
        tuned.goals.nodes,
        crate::timeline::counted(tuned.api_servers as usize, "API server"),
        tuned.kubernetes,
        tuned.start
    )
}

pub(crate) fn goals(tuned: &Tuned) -> String {
    let goals = &tuned.goals;
    let asked = Goal::ALL.into_iter().filter(|goal| match goal {
        Goal::RideOut => goals.ride_out.is_some(),
        Goal::Rescheduling => goals.reschedule_within.is_some(),
        Goal::Detection | Goal::FalsePositives => true,
    });
    asked.map(|goal| goal.words(goals)).collect::<Vec<_>>().join("; ")
}

pub(super) fn legend(tuned: &Tuned) -> String {
    format!(
        "best: recommended; now: current. {} of {} settings meet the goals; {} are on the Pareto front (-o json lists them). The table \
         has the fastest at each cost that meets the goals other than detection. P50, P95, MAX: from a node's last sign of life until \
         NotReady. WRITES: heartbeats to API server and etcd. FALSE POSITIVES: by lost heartbeats, all \
         nodes together. RESTART RISK: chance that one restart of the controller manager makes a healthy \
         node NotReady. RIDES OUT: the longest loss of all heartbeats that makes no node NotReady",
        tuned.meet,
        tuned.compared,
        tuned.front.len()
    )
}

fn recommended(found: &Recommendation, tuned: &Tuned, width: usize, out: &mut String) {
    out.push_str(&hang(
        "recommended: ",
        &format!("{}: {}", settings(&found.choice), found.reason),
        width,
    ));
    for (name, choice) in
        [("recommended", Some(&found.choice)), ("current", tuned.present.as_ref())]
    {
        let Some(choice) = choice else { continue };
        let glitches = chances(&choice.false_positives.glitches);
        out.push_str(&hang(&format!("NotReady after a glitch ({name}): "), &glitches, width));
    }
    if let Some(why) = &tuned.present_why_not {
        out.push_str(&hang("current: ", &format!("not predicted: {why}"), width));
    }
    out.push_str(&hang("pods: ", &pods(found), width));
    for trap in &found.traps {
        let text = format!("{}: {}; {} ({})", trap.name, trap.text, trap.why, trap.hint);
        out.push_str(&hang("trap: ", &text, width));
    }
    for patch in &found.patches {
        out.push('\n');
        out.push_str(&hang(&format!("{}: ", patch.platform), &patch.how, width));
        for line in patch.text.iter().flat_map(|text| text.lines()) {
            let _ = writeln!(out, "    {line}");
        }
    }
    if found.patches.is_empty() {
        out.push_str("no change needed\n");
    }
    out.push('\n');
}

/// All five, by their names.
pub(super) fn settings(choice: &Choice) -> String {
    let settings = &choice.settings;
    format!(
        "nodeStatusUpdateFrequency {}, nodeStatusReportFrequency {}, nodeLeaseDurationSeconds {}, \
         node-monitor-period {}, node-monitor-grace-period {}",
        settings.node_status_update_frequency.to_minutes(),
        settings.node_status_report_frequency.to_minutes(),
        settings.node_lease_duration.as_f64(),
        settings.node_monitor_period.to_minutes(),
        settings.node_monitor_grace_period.to_minutes()
    )
}

pub(super) fn pods(found: &Recommendation) -> String {
    let toleration = &found.toleration;
    let stays = match toleration.recommended == toleration.present {
        true => format!("tolerationSeconds {}, unchanged", toleration.present.as_f64()),
        false => format!(
            "tolerationSeconds {} instead of {}",
            toleration.recommended.as_f64(),
            toleration.present.as_f64()
        ),
    };
    format!(
        "a lost node's pods leave their Services when it is NotReady, and are created elsewhere \
         within {} of the failure ({stays})",
        Seconds::from_f64(toleration.rescheduled_within.as_f64().ceil()).to_minutes()
    )
}

pub(super) fn impossible(unmet: &Unmet) -> String {
    let Unmet { goal, asked, alone, best } = unmet;
    let than = match alone {
        true => "even without the other goals",
        false => "together with the other goals",
    };
    let at_best = match goal {
        Goal::Detection => format!("the fastest takes up to {:.1}", best.detection.max.ceil(1)),
        Goal::Rescheduling => format!(
            "the fastest detection takes up to {:.1}, and a second until the pods have a node",
            best.detection.max.ceil(1)
        ),
        Goal::FalsePositives => {
            format!("the fewest are {} a month", count(best.false_positives.by_loss_a_month))
        }
        Goal::RideOut => format!("the longest is {:.1}", best.false_positives.rides_out.floor(1)),
    };
    format!("cannot be met: {asked}, {than}: {at_best} ({})", settings(best))
}

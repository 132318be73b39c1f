//! The Pareto front, and which of it to take.

use std::cmp::Ordering;

use serde::Serialize;

use super::choice::Choice;
use super::goals::{Goal, Goals};
use super::grid;
use super::patch::{self, Change, Patch, Toleration};
use crate::model::{Trap, traps_of_tuning};
use crate::timeline::{Tolerations, Tuning};

/// The version of the form.
pub(crate) const FORMAT: &str = "outage.tune/v1";

/// The cluster as it is, or is assumed to be.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// What it is, for people.
    pub name: String,
    pub kubernetes: String,
    pub tuning: Tuning,
    pub tolerations: Tolerations,
    pub api_servers: u32,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tuned {
    pub format: &'static str,
    /// Every number is computed from settings; none was measured.
    pub predicted: bool,
    pub kubernetes: String,
    /// What the present settings are those of.
    pub start: String,
    pub api_servers: u32,
    pub goals: Goals,
    /// The settings as they are; `None`: the model cannot say what they come to.
    pub present: Option<Choice>,
    pub present_why_not: Option<String>,
    /// Whether they meet the goals.
    pub present_is_enough: bool,
    /// How many settings were compared.
    pub compared: usize,
    /// How many of them meet the goals.
    pub meet: usize,
    pub recommendation: Option<Recommendation>,
    /// The goals that the others leave no room for, where there is no recommendation.
    pub unmet: Vec<Unmet>,
    /// Those than which no other is better in everything, the fastest first.
    pub front: Vec<Choice>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recommendation {
    pub choice: Choice,
    pub reason: String,
    pub toleration: Toleration,
    pub traps: Vec<Trap>,
    pub patches: Vec<Patch>,
}

/// A goal that cannot be met.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unmet {
    pub goal: Goal,
    pub asked: String,
    /// Whether no settings meet it, whatever the other goals are.
    pub alone: bool,
    /// The best of those that meet all other goals, else the best of all.
    pub best: Choice,
}

/// Compares all settings, and recommends those that meet the goals at the lowest cost.
pub(crate) fn tune(start: &Start, goals: &Goals) -> Tuned {
    let choice = |tuning: &Tuning| Choice::of(tuning, &start.kubernetes, goals.nodes, goals.loss);
    let present = choice(&start.tuning);
    let all: Vec<Choice> = present
        .iter()
        .cloned()
        .chain(grid::all().filter_map(|tuning| choice(&tuning).ok()))
        .collect();
    let meeting: Vec<&Choice> = all.iter().filter(|one| meets(one, goals)).collect();
    let best = meeting.iter().copied().min_by(|a, b| compare(a, b));
    let present_is_enough = present.as_ref().is_ok_and(|present| meets(present, goals));
    let recommend = |best: &Choice| Recommendation {
        reason: reason(best, &meeting, present_is_enough, present.as_ref().ok()),
        ..recommendation(best, start, goals)
    };
    Tuned {
        format: FORMAT,
        predicted: true,
        kubernetes: start.kubernetes.clone(),
        start: start.name.clone(),
        api_servers: start.api_servers,
        goals: goals.clone(),
        present_why_not: present.as_ref().err().map(ToString::to_string),
        present_is_enough,
        compared: all.len(),
        meet: meeting.len(),
        recommendation: best.map(recommend),
        unmet: if best.is_none() { unmet(&all, goals) } else { Vec::new() },
        front: front(&all),
        present: present.ok(),
    }
}

fn meets(choice: &Choice, goals: &Goals) -> bool {
    Goal::ALL.iter().all(|goal| goal.is_met(choice, goals))
}

/// By cost, then by the glitch that is ridden out, then by detection and the rest.
fn compare(a: &Choice, b: &Choice) -> Ordering {
    let pairs = a.objectives().into_iter().zip(b.objectives());
    pairs.map(|(a, b)| a.total_cmp(&b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Those that no other dominates; of equals the first.
pub(super) fn front(all: &[Choice]) -> Vec<Choice> {
    let mut front: Vec<Choice> = Vec::new();
    for one in all {
        let is_known = |other: &Choice| other.objectives() == one.objectives();
        if !front.iter().any(|other| other.dominates(one) || is_known(other)) {
            front.retain(|other| !one.dominates(other));
            front.push(one.clone());
        }
    }
    let order = |a: &Choice, b: &Choice| {
        let key = |one: &Choice| (one.detection.max, one.detection.p50);
        key(a).cmp(&key(b)).then(a.writes_per_second.total_cmp(&b.writes_per_second))
    };
    front.sort_by(order);
    front
}

fn recommendation(best: &Choice, start: &Start, goals: &Goals) -> Recommendation {
    let toleration =
        Toleration::new(&start.tolerations, best.detection.max, goals.reschedule_within);
    let change = Change {
        present: start.tuning.completed(&start.kubernetes),
        wanted: best.tuning,
        toleration: toleration.changed(),
        kubernetes: &start.kubernetes,
    };
    Recommendation {
        choice: best.clone(),
        reason: String::new(),
        traps: traps_of_tuning(&best.tuning, &start.kubernetes, start.api_servers),
        patches: patch::all(&change),
        toleration,
    }
}

fn reason(best: &Choice, meeting: &[&Choice], is_enough: bool, present: Option<&Choice>) -> String {
    if present == Some(best) {
        return "the current settings meet the goals, and none that do cost less".into();
    }
    let as_cheap =
        meeting.iter().filter(|one| one.writes_per_second <= best.writes_per_second).count();
    let writes = best.writes();
    let longest = match as_cheap {
        1 => String::new(),
        _ => format!("; of {as_cheap} with as few, they ride out the longest glitch"),
    };
    let saves = match present.filter(|_| is_enough) {
        Some(present) if present.writes_per_second > best.writes_per_second => {
            ". The current settings meet the goals too, with more writes"
        }
        Some(_) => ". The current settings meet the goals too, with as many writes",
        None => "",
    };
    format!("the fewest writes ({writes}) of those that meet the goals{longest}{saves}")
}

/// The goals that have no room beside the others: those that are impossible alone, else all for which
/// giving up one leaves something.
fn unmet(all: &[Choice], goals: &Goals) -> Vec<Unmet> {
    let by =
        |goal: Goal| move |a: &&Choice, b: &&Choice| goal.measure(a).total_cmp(&goal.measure(b));
    let one = |goal: Goal, alone: bool| {
        let others = |one: &&Choice| {
            Goal::ALL.iter().filter(|other| **other != goal).all(|other| other.is_met(one, goals))
        };
        let best = all.iter().filter(others).min_by(by(goal));
        let best = if alone { all.iter().min_by(by(goal)) } else { best };
        best.map(|best| Unmet { goal, asked: goal.words(goals), alone, best: best.clone() })
    };
    let impossible = |goal: &Goal| !all.iter().any(|one| goal.is_met(one, goals));
    let alone: Vec<Unmet> =
        Goal::ALL.into_iter().filter(impossible).filter_map(|goal| one(goal, true)).collect();
    match alone.is_empty() {
        true => Goal::ALL.into_iter().filter_map(|goal| one(goal, false)).collect(),
        false => alone,
    }
}

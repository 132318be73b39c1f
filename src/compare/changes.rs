//! What differs in how two samples were made, in the words of the experiment's file and in its order.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::Sample;

/// Something that differs in how runs were made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What: `Kubernetes`, `node-monitor-period`, or a field of the experiment's file: `method[0].for`.
    pub name: String,
    /// Before; several where runs differ, none where it was not set.
    pub before: BTreeSet<String>,
    /// After.
    pub after: BTreeSet<String>,
}

/// The order of an experiment's fields in its file.
const FIELDS: [&str; 7] =
    ["cluster", "workload", "probes", "steadyState", "steadyStateTimeout", "method", "blastRadius"];
/// What the settings that the cluster was seen to have say, too.
const SAID_BY_THE_CLUSTER: &str = "cluster.kind.tuning.";

/// A condition as the file has it: a field, or a part of one that is shown as a whole.
struct Place<'a> {
    field: String,
    part: Option<&'a str>,
}

/// The values of a field on one side, by their parts.
type Parts<'a> = BTreeMap<&'a str, &'a BTreeSet<String>>;

pub(super) fn changes(before: &Sample, after: &Sample) -> Vec<Change> {
    if before.runs.is_empty() || after.runs.is_empty() {
        return Vec::new();
    }
    let mut fields: BTreeMap<String, [Parts<'_>; 2]> = BTreeMap::new();
    for (side, sample) in [before, after].into_iter().enumerate() {
        for (name, values) in conditions(sample) {
            let Place { field, part } = place(name);
            fields.entry(field).or_default()[side].insert(part.unwrap_or_default(), values);
        }
    }
    let differs = |parts: &[Parts<'_>; 2]| {
        parts[0] != parts[1] || parts[0].values().any(|values| values.len() > 1)
    };
    let change = |(name, parts): (String, [Parts<'_>; 2])| {
        let [before, after] = parts.each_ref().map(|parts| shown(&name, parts));
        Change { name, before, after }
    };
    let mut changes: Vec<Change> =
        fields.into_iter().filter(|(_, parts)| differs(parts)).map(change).collect();
    changes.sort_by_key(|change| order(&change.name));
    changes
}

/// What a sample was made of, each thing once.
fn conditions(sample: &Sample) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
    sample.conditions.iter().filter(|(name, _)| !name.starts_with(SAID_BY_THE_CLUSTER))
}

/// The fields in which the runs of a sample differ among themselves.
pub(super) fn mixed(sample: &Sample) -> BTreeSet<String> {
    let mixed = conditions(sample).filter(|(_, values)| values.len() > 1);
    mixed.map(|(name, _)| place(name).field).collect()
}

/// What was run and on what first; then the experiment as its file has it; then its workload.
fn order(name: &str) -> usize {
    let first = name.split(['.', '[']).next().unwrap_or(name);
    let place = FIELDS.iter().position(|field| *field == first);
    match name.contains(['.', ' ', '[']) {
        false => 0,
        true => 1 + place.unwrap_or(FIELDS.len()),
    }
}

/// A condition's path as the program keeps it, to the file's field. A fault is shown as a whole: all
/// of it changes with its kind.
fn place(name: &str) -> Place<'_> {
    if name.contains(' ') {
        return Place { field: name.to_owned(), part: None };
    }
    let (path, part) = match name.split_once(".fault.fault") {
        Some((step, rest)) => (format!("{step}.fault"), Some(rest.trim_start_matches('.'))),
        None => (name.to_owned(), None),
    };
    let mut field = String::new();
    let path = path
        .replace(".fault.", ".")
        .replace(".ask.", ".")
        .replace(".target.service.name", ".service");
    for segment in path.split('.') {
        match segment {
            _ if field.is_empty() => field += segment,
            _ if segment.bytes().all(|byte| byte.is_ascii_digit()) => {
                field += &format!("[{segment}]");
            }
            "hold" => field += ".for",
            _ => field += &format!(".{}", camel_case(segment)),
        }
    }
    Place { field, part }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        text + &head.to_uppercase() + tail
    })
}

fn shown(name: &str, parts: &Parts<'_>) -> BTreeSet<String> {
    match parts.get("") {
        Some(values) if name.ends_with(".rate") => {
            values.iter().map(|rate| format!("{}/s", rate.trim_end_matches(".0"))).collect()
        }
        Some(values) => (*values).clone(),
        None if parts.is_empty() => BTreeSet::new(),
        None => {
            // One target is what a fault has that names no number.
            let is_default =
                |part: &str, value: &str| part.ends_with("count.exactly") && value == "1";
            let mut leaves = Vec::new();
            for (part, values) in parts {
                let value = values.iter().map(String::as_str).collect::<Vec<_>>().join(" or ");
                if !is_default(part, &value) {
                    let path = part.split('.').filter(|it| *it != "exactly").collect();
                    leaves.push(Leaf { path, value });
                }
            }
            BTreeSet::from([flow(&leaves, 0)])
        }
    }
}

/// A value in a field that is shown as a whole.
struct Leaf<'a> {
    path: Vec<&'a str>,
    value: String,
}

/// Leaves by their paths, as a line of YAML without its outer braces.
fn flow(leaves: &[Leaf<'_>], depth: usize) -> String {
    let chunk = |chunk: &[Leaf<'_>]| match &chunk[0] {
        Leaf { path, value } if path.len() == depth + 1 => format!("{}: {value}", path[depth]),
        Leaf { path, .. } => format!("{}: {{{}}}", path[depth], flow(chunk, depth + 1)),
    };
    let chunks = leaves.chunk_by(|a, b| a.path[depth] == b.path[depth]);
    chunks.map(chunk).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(conditions: &[(&str, &str)]) -> Sample {
        let conditions = conditions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), BTreeSet::from([(*value).to_owned()])));
        Sample { runs: vec!["a".into()], conditions: conditions.collect(), ..Sample::default() }
    }

    #[test]
    fn a_setting_that_differs_within_a_sample_is_named_once() {
        let mut sample = sample(&[
            ("cluster.kind.tuning.nodeMonitorGracePeriod", "3s"),
            ("node-monitor-grace-period", "3s"),
        ]);
        for values in sample.conditions.values_mut() {
            values.insert("2s".into());
        }
        assert_eq!(mixed(&sample), BTreeSet::from(["node-monitor-grace-period".to_owned()]));
    }

    #[test]
    fn fields_are_those_of_the_file_in_its_order() {
        let fault = "method.0.fault.fault.";
        let of = |kind: &str, rest: &str| format!("{fault}{kind}.target.{rest}");
        let (kill, role, pause) = (
            of("nodeKill", "mostEndpointsOf"),
            of("nodeKill", "role"),
            of("nodePause", "count.exactly"),
        );
        let paused = of("nodePause", "role");
        let before = sample(&[
            (&kill, "web"),
            (&role, "worker"),
            ("method.0.fault.hold", "7s"),
            ("method.0.fault.name", "kill"),
            ("method.0.fault.meanwhile.0.fault.fault.podDelete.pods.app", "a"),
            ("method.0.fault.meanwhile.0.fault.hold", "2s"),
            ("steadyState.1.probe.success_ratio", "1.0"),
            ("probes.web.ask.http.target.service.name", "a"),
            ("probes.web.rate", "50.0"),
            ("cluster.kind.tuning.nodeMonitorGracePeriod", "3s"),
            ("node-monitor-grace-period", "3s"),
        ]);
        let after = sample(&[
            (&pause, "1"),
            (&paused, "worker"),
            ("method.0.fault.hold", "6s"),
            ("method.0.fault.name", "pause"),
            ("method.0.fault.meanwhile.0.fault.fault.podDelete.pods.app", "b"),
            ("method.0.fault.meanwhile.0.fault.hold", "3s"),
            ("steadyState.1.probe.success_ratio", "0.9"),
            ("probes.web.ask.http.target.service.name", "b"),
            ("probes.web.rate", "10.0"),
            ("cluster.kind.tuning.nodeMonitorGracePeriod", "2s"),
            ("node-monitor-grace-period", "2s"),
        ]);
        let line = |change: &Change| {
            let side = |side: &BTreeSet<String>| side.iter().next().unwrap().clone();
            format!("{}: {} -> {}", change.name, side(&change.before), side(&change.after))
        };
        let lines: Vec<String> = changes(&before, &after).iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "node-monitor-grace-period: 3s -> 2s",
                "probes.web.http.service: a -> b",
                "probes.web.rate: 50/s -> 10/s",
                "steadyState[1].probe.successRatio: 1.0 -> 0.9",
                "method[0].fault: nodeKill: {target: {mostEndpointsOf: web, role: worker}} -> nodePause: {target: {role: worker}}",
                "method[0].for: 7s -> 6s",
                "method[0].meanwhile[0].fault: podDelete: {pods: {app: a}} -> podDelete: {pods: {app: b}}",
                "method[0].meanwhile[0].for: 2s -> 3s",
                "method[0].name: kill -> pause",
            ]
        );
    }
}

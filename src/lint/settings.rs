//! The settings of failure detection that a kind config asks for, each with its place.

use std::time::Duration;

use super::extra_args::{self, API_SERVER, CONTROLLER_MANAGER, KUBELET};
use super::nodes::Nodes;
use super::patches::{Level, Patch};
use super::told::Told;
use crate::experiment::Span;
use crate::experiment::tree::{Node, Value, quoted};
use crate::timeline::parse_duration;

/// Longer than this nobody waits for a node.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Shorter than this nothing in Kubernetes is timed.
const SHORTEST: Duration = Duration::from_millis(1);

/// A setting and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Set {
    /// The value.
    pub value: Duration,
    /// Where it stands.
    pub at: Span,
}

/// All of them; `None` where the file leaves the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct AskedSettings {
    /// In the kubelets' config file, which is the same for all nodes: `nodeStatusUpdateFrequency`.
    pub update: Option<Set>,
    /// `nodeStatusReportFrequency`.
    pub report: Option<Set>,
    /// `nodeLeaseDurationSeconds`.
    pub lease: Option<Set>,
    /// `--node-monitor-period`.
    pub period: Option<Set>,
    /// `--node-monitor-grace-period`.
    pub grace: Option<Set>,
    /// The kubelets' flag `--node-status-update-frequency`, by node in the file's order.
    pub update_flags: Vec<Option<Set>>,
}

/// Reads them from the patches that have an effect; values that can't be are told and left out.
pub(super) fn read(told: &mut Told, patches: &[Patch], nodes: &Nodes) -> AskedSettings {
    let mut asked =
        AskedSettings { update_flags: vec![None; nodes.all.len()], ..AskedSettings::default() };
    for patch in patches {
        match patch.document.kind {
            "KubeletConfiguration" => kubelet_file(told, &patch.root, &mut asked),
            "ClusterConfiguration" => components(told, &patch.root, nodes, &mut asked),
            "InitConfiguration" | "JoinConfiguration" => {
                kubelet_flags(told, patch, nodes, &mut asked)
            }
            _ => {}
        }
    }
    asked
}

fn kubelet_file(told: &mut Told, root: &Node, asked: &mut AskedSettings) {
    for (name, setting) in [
        ("nodeStatusUpdateFrequency", &mut asked.update),
        ("nodeStatusReportFrequency", &mut asked.report),
    ] {
        *setting = root.get(name).and_then(|node| duration(told, name, node)).or(*setting);
    }
    let name = "nodeLeaseDurationSeconds";
    asked.lease = root.get(name).and_then(|node| whole_seconds(told, name, node)).or(asked.lease);
}

fn components(told: &mut Told, root: &Node, nodes: &Nodes, asked: &mut AskedSettings) {
    let args =
        |component: &str| root.get(component).and_then(|component| component.get("extraArgs"));
    for (name, component) in [("apiServer", API_SERVER), ("scheduler", "the scheduler")] {
        if let Some(args) = args(name) {
            extra_args::read(told, args, component, &nodes.kubernetes);
        }
    }
    let Some(args) = args("controllerManager") else { return };
    for (name, value) in extra_args::read(told, args, CONTROLLER_MANAGER, &nodes.kubernetes) {
        let setting = match name {
            "node-monitor-period" => &mut asked.period,
            "node-monitor-grace-period" => &mut asked.grace,
            _ => continue,
        };
        *setting = duration(told, name, value).or(*setting);
    }
}

/// `kubeadm init` starts the first control plane's kubelet, `kubeadm join` all others.
fn kubelet_flags(told: &mut Told, patch: &Patch, nodes: &Nodes, asked: &mut AskedSettings) {
    let Some(args) =
        patch.root.get("nodeRegistration").and_then(|node| node.get("kubeletExtraArgs"))
    else {
        return;
    };
    let init = patch.document.kind == "InitConfiguration";
    for (name, value) in extra_args::read(told, args, KUBELET, &nodes.kubernetes) {
        let Some(set) =
            (name == "node-status-update-frequency").then(|| duration(told, name, value)).flatten()
        else {
            continue;
        };
        for (index, flag) in asked.update_flags.iter_mut().enumerate() {
            let first = nodes.first_control_plane() == Some(index);
            let mine = match patch.level {
                Level::Cluster => first == init,
                Level::Node(own) => own == index,
            };
            *flag = if mine { Some(set) } else { *flag };
        }
    }
}

/// A duration in Go's form. Told: no unit, negative, nothing, zero, shorter than a millisecond, longer than a day.
fn duration(told: &mut Told, name: &str, node: &Node) -> Option<Set> {
    if node.is_null() {
        return None;
    }
    let Some(text) = node.text() else {
        told.error(node.focus(), format!("{name} is a duration, found {}", node.described()))
            .hint("such as `10s`");
        return None;
    };
    let refused = |told: &mut Told, why: &str, hint: String| {
        told.error(node.focus(), format!("{name} is {}: {why}", quoted(text))).hint(hint);
        None
    };
    match parse_duration(text) {
        _ if text.starts_with('-') => {
            refused(told, "a duration can't be negative", "such as `10s`".into())
        }
        Some(value) if value.is_zero() => {
            refused(told, "it can't be zero", "leave it out for the default".into())
        }
        Some(value) if value > LONGEST => {
            refused(told, "longer than a day", "is the unit right?".into())
        }
        Some(value) if value < SHORTEST => {
            refused(told, "shorter than a millisecond", "is the unit right?".into())
        }
        Some(value) => Some(Set { value, at: node.focus() }),
        None if text.parse::<f64>().is_ok() => {
            refused(told, "a duration has a unit", format!("did you mean `{text}s`?"))
        }
        None => refused(told, "this is no duration", "such as `10s`, `1m30s` or `500ms`".into()),
    }
}

/// The one setting that is a number.
fn whole_seconds(told: &mut Told, name: &str, node: &Node) -> Option<Set> {
    if node.is_null() {
        return None;
    }
    let number = match &node.value {
        Value::Scalar { text, plain: true } => text.parse::<i64>().ok(),
        _ => None,
    };
    match number {
        Some(seconds @ 1..=86_400) => {
            Some(Set { value: Duration::from_secs(seconds.unsigned_abs()), at: node.focus() })
        }
        _ => {
            told.error(
                node.focus(),
                format!(
                    "{name} is {}: a whole number of seconds, 1 to 86400, is needed",
                    node.described()
                ),
            )
            .hint("without unit and quotes, such as `40`");
            None
        }
    }
}

//! The method: faults and pauses, in their order.

use std::time::Duration;

use super::fields::{Cx, Decode, Fields};
use super::node::selector;
use super::scalar::{duration, positive};
use crate::experiment::schema::{Fault, NodeSelector, Step};
use crate::experiment::tree::Node;

/// As Docker has it.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// All faults, by name.
const FAULTS: &[(&str, Decode<Fault>)] = &[
    ("nodeStop", node_stop),
    ("nodeKill", |cx, node| Some(Fault::NodeKill { target: only_target(cx, node, "`nodeKill`")? })),
    ("nodePause", |cx, node| Some(Fault::NodePause { target: only_target(cx, node, "`nodePause`")? })),
    ("nodeDisconnect", |cx, node| Some(Fault::NodeDisconnect { target: only_target(cx, node, "`nodeDisconnect`")? })),
    ("kubeletStop", |cx, node| Some(Fault::KubeletStop { target: only_target(cx, node, "`kubeletStop`")? })),
];

/// What a step does, before `for` has joined it.
enum Action {
    Harm(Fault),
    Rest(Duration),
}

/// One item of `method`.
pub fn step(cx: &Cx, node: &Node) -> Option<Step> {
    let mut fields = Fields::of(cx, node, "a step")?;
    let action = fields.one_of(&[("fault", harm), ("pause", rest)]);
    let pauses = node.get("pause").is_some();
    let hold = if pauses { fields.optional("for", positive) } else { fields.required("for", positive).map(Some) };
    let for_key = fields.key("for");
    fields.finish();
    match (action?, hold?) {
        (Action::Harm(fault), Some(hold)) => Some(Step::Fault { fault, hold }),
        (Action::Rest(hold), None) => Some(Step::Pause { hold }),
        (Action::Rest(_), Some(_)) => cx.error_hint(for_key?, "a `pause` has its length itself", "write `pause: 10s`"),
        (Action::Harm(_), None) => None,
    }
}

fn harm(cx: &Cx, node: &Node) -> Option<Action> {
    cx.union(node, "a fault", FAULTS).map(Action::Harm)
}

fn rest(cx: &Cx, node: &Node) -> Option<Action> {
    positive(cx, node).map(Action::Rest)
}

fn node_stop(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`nodeStop`")?;
    let target = fields.required("target", selector);
    let grace = fields.or("grace", DEFAULT_GRACE, duration);
    fields.finish();
    Some(Fault::NodeStop { target: target?, grace: grace? })
}

fn only_target(cx: &Cx, node: &Node, what: &'static str) -> Option<NodeSelector> {
    let mut fields = Fields::of(cx, node, what)?;
    let target = fields.required("target", selector);
    fields.finish();
    target
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn each_fault_is_understood_under_its_own_name() {
        for (name, _) in FAULTS {
            let (found, problems) = decoded(&format!("{{fault: {{{name}: {{target: {{role: worker}}}}}}, for: 15s}}"), step);
            let Some(Step::Fault { fault, hold }) = found else { panic!("{name}: {problems}") };
            assert_eq!((fault.kind(), hold), (*name, Duration::from_secs(15)));
        }
    }

    #[test]
    fn a_stop_may_say_its_grace() {
        let (found, _) = decoded("{fault: {nodeStop: {target: {name: n}, grace: 0s}}, for: 1s}", step);
        assert!(matches!(found, Some(Step::Fault { fault: Fault::NodeStop { grace: Duration::ZERO, .. }, .. })));
    }

    #[test]
    fn a_pause_has_its_own_length() {
        assert_eq!(decoded("pause: 10s", step).0, Some(Step::Pause { hold: Duration::from_secs(10) }));
        assert!(decoded("{pause: 10s, for: 1s}", step).1.contains("has its length itself"));
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |yaml: &str| decoded(yaml, step).1;
        assert!(wrong("{fault: {nodeStpo: {target: {role: worker}}}, for: 1s}").contains("did you mean `nodeStop`?"));
        assert!(wrong("{fault: {nodeKill: {target: {role: worker}}}}").contains("a step needs `for`"));
        assert!(wrong("{fault: {nodeKill: {}}, for: 1s}").contains("`nodeKill` needs `target`"));
        assert!(wrong("{fault: {nodeKill: {target: {role: worker}, grace: 1s}}, for: 1s}").contains("unknown field `grace`"));
        assert!(wrong("{for: 1s}").contains("a step needs one of `fault` and `pause`"));
    }
}

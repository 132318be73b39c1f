//! The method: faults and pauses, in their order.

use std::time::Duration;

use super::fields::{Cx, Decode, Fields};
use super::node::selector;
use super::scalar::{choice, duration, positive};
use crate::experiment::schema::{Fault, NodeSelector, Step};
use crate::experiment::tree::Node;
use crate::timeline::{Component, NodeRole};

/// As Docker has it.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// All faults, by name.
const FAULTS: &[(&str, Decode<Fault>)] = &[
    ("nodeStop", node_stop),
    ("nodeKill", |cx, node| Some(Fault::NodeKill { target: only_target(cx, node, "`nodeKill`")? })),
    ("nodePause", |cx, node| Some(Fault::NodePause { target: only_target(cx, node, "`nodePause`")? })),
    ("nodeDisconnect", |cx, node| Some(Fault::NodeDisconnect { target: only_target(cx, node, "`nodeDisconnect`")? })),
    ("kubeletStop", |cx, node| Some(Fault::KubeletStop { target: only_target(cx, node, "`kubeletStop`")? })),
    ("componentStop", |cx, node| {
        let (component, target) = part(cx, node, "`componentStop`")?;
        Some(Fault::ComponentStop { component, target })
    }),
    ("componentKill", |cx, node| {
        let (component, target) = part(cx, node, "`componentKill`")?;
        Some(Fault::ComponentKill { component, target })
    }),
    ("componentPause", |cx, node| {
        let (component, target) = part(cx, node, "`componentPause`")?;
        Some(Fault::ComponentPause { component, target })
    }),
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

/// A part of a control plane. Only control planes have any, so that no other node is ever meant.
fn part(cx: &Cx, node: &Node, what: &'static str) -> Option<(Component, NodeSelector)> {
    let mut fields = Fields::of(cx, node, what)?;
    let component = fields.required("component", component);
    let target = fields.required("target", selector);
    fields.finish();
    let mut target = target?;
    target.role.get_or_insert(NodeRole::ControlPlane);
    Some((component?, target))
}

pub fn component(cx: &Cx, node: &Node) -> Option<Component> {
    choice(cx, node, "part of the control plane", &Component::ALL.map(|component| (component.name(), component)))
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn each_fault_is_understood_under_its_own_name() {
        for (name, _) in FAULTS {
            let component = if name.starts_with("component") { "component: etcd, " } else { "" };
            let yaml = format!("{{fault: {{{name}: {{{component}target: {{role: control-plane}}}}}}, for: 15s}}");
            let (found, problems) = decoded(&yaml, step);
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
    fn a_part_is_one_of_four_and_on_a_control_plane() {
        let fault = |yaml: &str| decoded(&format!("{{fault: {{componentKill: {yaml}}}, for: 1s}}"), step);
        let (found, _) = fault("{component: etcd, target: {name: n}}");
        let target = NodeSelector { name: Some("n".into()), role: Some(NodeRole::ControlPlane), ..NodeSelector::default() };
        let wanted = Fault::ComponentKill { component: Component::Etcd, target };
        assert_eq!(found, Some(Step::Fault { fault: wanted, hold: Duration::from_secs(1) }));
        assert!(fault("{component: kube-shceduler, target: {name: n}}").1.contains("did you mean `kube-scheduler`?"));
        assert!(fault("{target: {name: n}}").1.contains("`componentKill` needs `component`"));
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

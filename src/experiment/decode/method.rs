//! The method: faults and pauses, in their order.

use std::time::Duration;

use super::fields::{Cx, Decode, Fields};
use super::node::target;
use super::scalar::{choice, dns_label, duration, positive};
use crate::experiment::schema::{Direction, Fault, NodeSelector, Side, Step};
use crate::experiment::tree::Node;
use crate::timeline::{Component, NodeRole};

/// As Docker has it.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// All faults, by name.
const FAULTS: &[(&str, Decode<Fault>)] = &[
    ("nodeStop", node_stop),
    ("nodeKill", |cx, node| Some(Fault::NodeKill { target: only_target(cx, node, "`nodeKill`")? })),
    ("nodeReboot", |cx, node| {
        Some(Fault::NodeReboot { target: only_target(cx, node, "`nodeReboot`")? })
    }),
    ("nodePause", |cx, node| {
        Some(Fault::NodePause { target: only_target(cx, node, "`nodePause`")? })
    }),
    ("nodeDisconnect", |cx, node| {
        Some(Fault::NodeDisconnect { target: only_target(cx, node, "`nodeDisconnect`")? })
    }),
    ("kubeletStop", |cx, node| {
        Some(Fault::KubeletStop { target: only_target(cx, node, "`kubeletStop`")? })
    }),
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
    ("partition", partition),
    ("nodeDrain", |cx, node| {
        Some(Fault::NodeDrain { target: only_target(cx, node, "`nodeDrain`")? })
    }),
    ("etcdDataLoss", etcd_data_loss),
    ("deploymentScale", super::objects::deployment_scale),
    ("deploymentPlace", super::objects::deployment_place),
    ("podDelete", super::objects::pod_delete),
    ("containerKill", super::objects::container_kill),
];

/// What a step does, before `for` has joined it.
enum Action {
    Harm(Fault),
    Rest(Duration),
}

/// One item of `method`.
pub(crate) fn step(cx: &Cx, node: &Node) -> Option<Step> {
    let mut fields = Fields::of(cx, node, "a step")?;
    let action = fields.one_of(&[("fault", harm), ("pause", rest)]);
    let pauses = node.get("pause").is_some();
    let hold = if pauses {
        fields.optional("for", positive)
    } else {
        fields.required("for", positive).map(Some)
    };
    let name = fields.optional("name", dns_label);
    let meanwhile = fields.or("meanwhile", Vec::new(), meanwhile);
    let for_key = fields.key("for");
    let idle_key = fields.key("name").or(fields.key("meanwhile"));
    fields.finish();
    let (name, mut meanwhile) = (name?, meanwhile?);
    match (action?, hold?, idle_key) {
        (Action::Harm(fault), Some(hold), _) => {
            if let (Some(name), Some(target)) = (&name, fault.target()) {
                share(name, target, &mut meanwhile);
            }
            Some(Step::Fault { name, fault, hold, meanwhile })
        }
        (Action::Rest(_), Some(_), _) => {
            cx.error_hint(for_key?, "a `pause` has its length itself", "write `pause: 10s`")
        }
        (Action::Rest(_), None, Some(key)) => {
            cx.error(key, "only a step with a `fault` has a name, or anything done meanwhile")
        }
        (Action::Rest(hold), None, None) => Some(Step::Pause { hold }),
        (Action::Harm(_), None, _) => None,
    }
}

/// Whoever hits the nodes of this step hits nodes of its role, name and labels: what is checked by these holds for both.
fn share(name: &str, outer: &NodeSelector, meanwhile: &mut [Step]) {
    for step in meanwhile {
        let Step::Fault { fault, meanwhile, .. } = step else { continue };
        share(name, outer, meanwhile);
        if let Some(target) = fault.target_mut().filter(|target| target.of.as_deref() == Some(name))
        {
            target.role = target.role.or(outer.role);
            target.name = target.name.take().or_else(|| outer.name.clone());
            target.labels.extend(outer.labels.clone());
        }
    }
}

fn meanwhile(cx: &Cx, node: &Node) -> Option<Vec<Step>> {
    cx.items(node, step)?.into_iter().collect()
}

fn harm(cx: &Cx, node: &Node) -> Option<Action> {
    cx.union(node, "a fault", FAULTS).map(Action::Harm)
}

fn rest(cx: &Cx, node: &Node) -> Option<Action> {
    positive(cx, node).map(Action::Rest)
}

fn node_stop(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`nodeStop`")?;
    let target = fields.required("target", target);
    let grace = fields.or("grace", DEFAULT_GRACE, duration);
    fields.finish();
    Some(Fault::NodeStop { target: target?, grace: grace? })
}

fn partition(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut fields = Fields::of(cx, node, "`partition`")?;
    let target = fields.required("target", target);
    let from = fields.or("from", Side::default(), |cx, node| {
        choice(cx, node, "side of a partition", &Side::ALL)
    });
    let direction = fields.or("direction", Direction::default(), |cx, node| {
        choice(cx, node, "direction", &Direction::ALL)
    });
    fields.finish();
    Some(Fault::Partition { target: target?, from: from?, direction: direction? })
}

fn etcd_data_loss(cx: &Cx, node: &Node) -> Option<Fault> {
    let mut target = only_target(cx, node, "`etcdDataLoss`")?;
    target.role.get_or_insert(NodeRole::ControlPlane);
    Some(Fault::EtcdDataLoss { target })
}

fn only_target(cx: &Cx, node: &Node, what: &'static str) -> Option<NodeSelector> {
    let mut fields = Fields::of(cx, node, what)?;
    let target = fields.required("target", target);
    fields.finish();
    target
}

/// A part of a control plane. Only control planes have any, so that no other node is ever meant.
fn part(cx: &Cx, node: &Node, what: &'static str) -> Option<(Component, NodeSelector)> {
    let mut fields = Fields::of(cx, node, what)?;
    let component = fields.required("component", component);
    let target = fields.required("target", target);
    fields.finish();
    let mut target = target?;
    target.role.get_or_insert(NodeRole::ControlPlane);
    Some((component?, target))
}

pub(crate) fn component(cx: &Cx, node: &Node) -> Option<Component> {
    choice(
        cx,
        node,
        "part of the control plane",
        &Component::ALL.map(|component| (component.name(), component)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn each_fault_is_understood_under_its_own_name() {
        for (name, _) in FAULTS {
            let what = match *name {
                "deploymentScale" => "name: web, replicas: 0",
                "deploymentPlace" => "name: web, on: {role: worker}",
                "podDelete" | "containerKill" => "labels: {app: web}",
                name if name.starts_with("component") => {
                    "component: etcd, target: {role: control-plane}"
                }
                _ => "target: {role: control-plane}",
            };
            let yaml = format!("{{fault: {{{name}: {{{what}}}}}, for: 15s}}");
            let (found, problems) = decoded(&yaml, step);
            let Some(Step::Fault { fault, hold, .. }) = found else { panic!("{name}: {problems}") };
            assert_eq!((fault.kind().name(), hold), (*name, Duration::from_secs(15)));
        }
    }

    #[test]
    fn a_stop_may_say_its_grace() {
        let (found, _) =
            decoded("{fault: {nodeStop: {target: {name: n}, grace: 0s}}, for: 1s}", step);
        assert!(matches!(
            found,
            Some(Step::Fault { fault: Fault::NodeStop { grace: Duration::ZERO, .. }, .. })
        ));
    }

    #[test]
    fn a_part_is_one_of_four_and_on_a_control_plane() {
        let fault =
            |yaml: &str| decoded(&format!("{{fault: {{componentKill: {yaml}}}, for: 1s}}"), step);
        let (found, _) = fault("{component: etcd, target: {name: n}}");
        let target = NodeSelector {
            name: Some("n".into()),
            role: Some(NodeRole::ControlPlane),
            ..NodeSelector::default()
        };
        let wanted = Fault::ComponentKill { component: Component::Etcd, target };
        let step = Step::Fault {
            name: None,
            fault: wanted,
            hold: Duration::from_secs(1),
            meanwhile: Vec::new(),
        };
        assert_eq!(found, Some(step));
        assert!(
            fault("{component: kube-shceduler, target: {name: n}}")
                .1
                .contains("did you mean `kube-scheduler`?")
        );
        assert!(
            fault("{component: apiserver, target: {name: n}}")
                .1
                .contains("did you mean `kube-apiserver`?")
        );
        assert!(fault("{target: {name: n}}").1.contains("`componentKill` needs `component`"));
    }

    #[test]
    fn a_partition_has_two_sides_and_a_direction() {
        let found =
            |yaml: &str| decoded(&format!("{{fault: {{partition: {yaml}}}, for: 1s}}"), step);
        let of = |yaml: &str| match found(yaml).0 {
            Some(Step::Fault { fault: Fault::Partition { from, direction, .. }, .. }) => {
                (from, direction)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(of("{target: {name: n}}"), (Side::All, Direction::Both));
        assert_eq!(
            of("{target: {name: n}, from: apiServer, direction: in}"),
            (Side::ApiServer, Direction::In)
        );
        assert!(
            found("{target: {name: n}, from: apiserver}").1.contains("did you mean `apiServer`?")
        );
    }

    #[test]
    fn a_pause_has_its_own_length() {
        assert_eq!(
            decoded("pause: 10s", step).0,
            Some(Step::Pause { hold: Duration::from_secs(10) })
        );
        assert!(decoded("{pause: 10s, for: 1s}", step).1.contains("has its length itself"));
    }

    #[test]
    fn steps_may_be_within_a_step() {
        let yaml = "{name: away, fault: {nodeKill: {target: {role: worker}}}, for: 40s, meanwhile: [pause: 5s, {name: dies, fault: {nodeReboot: {target: {name: n}}}, for: 50s}]}";
        let (found, problems) = decoded(yaml, step);
        assert_eq!(problems, "");
        let step = found.unwrap();
        assert_eq!(
            (step.name(), step.size(), step.lasts()),
            (Some("away"), 3, Duration::from_secs(55))
        );
        assert_eq!(step.meanwhile()[1].name(), Some("dies"));
        let told = decoded("{name: away, pause: 5s}", super::step).1;
        assert!(told.contains("1:2: error: only a step with a `fault` has a name"), "{told}");
        let told =
            decoded("{fault: {nodeKill: {target: {role: worker}}}, for: 1s, meanwhile: [{pause: 1}, {pause: x}]}", super::step).1;
        assert_eq!(told.lines().count(), 2, "{told}");
    }

    #[test]
    fn mistakes_are_told() {
        let wrong = |yaml: &str| decoded(yaml, step).1;
        assert!(
            wrong("{fault: {nodeStpo: {target: {role: worker}}}, for: 1s}")
                .contains("did you mean `nodeStop`?")
        );
        assert!(
            wrong("{fault: {nodeKill: {target: {role: worker}}}}").contains("a step needs `for`")
        );
        assert!(wrong("{fault: {nodeKill: {}}, for: 1s}").contains("`nodeKill` needs `target`"));
        assert!(
            wrong("{fault: {nodeKill: {target: {role: worker}, grace: 1s}}, for: 1s}")
                .contains("unknown field `grace`")
        );
        assert!(wrong("{for: 1s}").contains("a step needs one of `fault` and `pause`"));
    }
}

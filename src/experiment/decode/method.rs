//! The method: faults and pauses, in their order.

use std::time::Duration;

use super::applied_object::applied_object;
use super::commands::commands;
use super::fields::{Cx, Decode, Fields};
use super::node::{self, target};
use super::reference::object;
use super::scalar::{
    choice, count, dns_label, duration, flag, label_value, percent, positive, qualified_name,
};
use crate::experiment::schema::{
    AppliedObject, Commands, Count, Direction, DrainOptions, Fault, NodeSelector, PodSelector,
    Side, Step, every_fault,
};
use crate::experiment::tree::Node;
use crate::timeline::{Component, FaultKind, NodeRole, ObjectRef, Taint, TaintEffect};

macro_rules! readers {
    ($(
        $(#[doc = $about:literal])*
        $fault:ident {
            $($(#[doc = $doc:literal])* $(#[serde $_serde:tt])* $field:ident: $type:ty = $read:expr,)*
        }
    )*) => {
        const FAULTS: &[(&str, Decode<Fault>)] = &[$((FaultKind::$fault.name(), |cx, node| {
            let what = format!("`{}`", FaultKind::$fault);
            let mut fields = Fields::of(cx, node, &what)?;
            fields.about(concat!($($about),*));
            $(
                let read: fn(&mut Fields) -> Option<$type> = $read;
                let $field = read(fields.doc(concat!($($doc),*)));
            )*
            fields.finish();
            Some(Fault::$fault { $($field: $field?),* })
        })),*];
    };
}

every_fault!(readers);

/// `target`: which node.
fn node(fields: &mut Fields) -> Option<NodeSelector> {
    fields.required("target", target)
}

/// `target`: only control planes have parts, so that no other node is ever meant.
fn control_plane(fields: &mut Fields) -> Option<NodeSelector> {
    let mut target = node(fields)?;
    target.role.get_or_insert(NodeRole::ControlPlane);
    Some(target)
}

/// `component`: a part of the control plane.
fn part(fields: &mut Fields) -> Option<Component> {
    fields.doc("Which component of the control plane.").required("component", component)
}

/// Which pods, and how many of them.
fn pods(fields: &mut Fields) -> Option<PodSelector> {
    let pods = super::reference::pods(fields);
    let count = fields.doc("How many of these pods, chosen at random by the seed.").or(
        "count",
        Count::default(),
        node::count,
    );
    Some(PodSelector { pods: pods?, count: count? })
}

/// The flags of `kubectl drain`, beside its `target`.
fn drain_options(fields: &mut Fields) -> Option<Box<DrainOptions>> {
    let default = DrainOptions::default();
    let timeout = fields
        .doc("How long an eviction is retried that a disruption budget refuses.")
        .or("timeout", default.timeout, positive);
    let grace_period = fields
        .doc("How long each pod may take to terminate. Default: the pod's own grace period.")
        .optional("gracePeriod", duration);
    let delete_empty_dir_data = fields
        .doc("Whether pods with an emptyDir volume are evicted. If not, they make the drain fail.")
        .or("deleteEmptyDirData", default.delete_empty_dir_data, flag);
    let force = fields
        .doc("Whether pods without a controller are evicted. If not, they make the drain fail.")
        .or("force", default.force, flag);
    let ignore_daemon_sets = fields
        .doc("Whether pods of DaemonSets are left in place. If not, they make the drain fail.")
        .or("ignoreDaemonSets", default.ignore_daemon_sets, flag);
    Some(Box::new(DrainOptions {
        timeout: timeout?,
        grace_period: grace_period?,
        delete_empty_dir_data: delete_empty_dir_data?,
        force: force?,
        ignore_daemon_sets: ignore_daemon_sets?,
    }))
}

/// A taint, beside its `target`.
fn taint(fields: &mut Fields) -> Option<Box<Taint>> {
    let key = fields.doc("The taint's key.").required("key", qualified_name);
    let value =
        fields.doc("The taint's value. Default: none.").or("value", String::new(), label_value);
    let effect = fields
        .doc("The taint's effect. `NoExecute` evicts pods that do not tolerate it.")
        .required("effect", |cx, node| choice(cx, node, "taint effect", &TaintEffect::ALL));
    Some(Box::new(Taint { key: key?, value: value?, effect: effect? }))
}

fn side(cx: &Cx, node: &Node) -> Option<Side> {
    choice(cx, node, "side of a partition", &Side::ALL)
}

fn direction(cx: &Cx, node: &Node) -> Option<Direction> {
    choice(cx, node, "direction", &Direction::ALL)
}

/// What a step does, before `for` has joined it.
enum Action {
    Inject(Fault),
    Pause(Duration),
}

/// One item of `method`.
pub(crate) fn step(cx: &Cx, node: &Node) -> Option<Step> {
    let mut fields = Fields::of(cx, node, "a step")?;
    fields.about("A step of the method: a fault, or a pause.");
    let action = fields.one_of(&[("fault", inject), ("pause", pause)]);
    fields.about_field("fault", "The fault that is injected.");
    fields.about_field("pause", "Nothing is done for this long.");
    let pauses = node.get("pause").is_some();
    let hold = fields
        .doc("How long the fault lasts, from its confirmation to its undo. Required with `fault`.")
        .optional("for", positive);
    if !pauses && fields.key("for").is_none() {
        fields.misses("for");
    }
    let name = fields
        .doc("The name by which other steps, expectations and claims refer to this step.")
        .optional("name", dns_label);
    let meanwhile = fields
        .doc("Steps that are done during this fault, one after the other from its confirmation on.")
        .or("meanwhile", Vec::new(), meanwhile);
    let for_key = fields.key("for");
    let idle_key = fields.key("name").or(fields.key("meanwhile"));
    fields.finish();
    let (name, mut meanwhile) = (name?, meanwhile?);
    match (action?, hold?, idle_key) {
        (Action::Inject(fault), Some(hold), _) => {
            if let (Some(name), Some(target)) = (&name, fault.target()) {
                share(name, target, &mut meanwhile);
            }
            Some(Step::Fault { name, fault, hold, meanwhile })
        }
        (Action::Pause(_), Some(_), _) => {
            cx.error_hint(for_key?, "a `pause` already has its own duration", "write `pause: 10s`")
        }
        (Action::Pause(_), None, Some(key)) => {
            cx.error(key, "only a step with a `fault` can have `name` or `meanwhile`")
        }
        (Action::Pause(hold), None, None) => Some(Step::Pause { hold }),
        // Which was reported.
        (Action::Inject(_), None, _) => None,
    }
}

/// Whoever hits the nodes of this step hits nodes of its role, name and labels: what is checked by
/// these holds for both.
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

fn inject(cx: &Cx, node: &Node) -> Option<Action> {
    cx.union(node, "a fault", FAULTS).map(Action::Inject)
}

fn pause(cx: &Cx, node: &Node) -> Option<Action> {
    positive(cx, node).map(Action::Pause)
}

pub(crate) fn component(cx: &Cx, node: &Node) -> Option<Component> {
    choice(
        cx,
        node,
        "control-plane component",
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
                "nodeTaint" => "target: {role: worker}, key: disk, effect: NoSchedule",
                "kubeletThrottle" => "target: {role: worker}, cpu: 5%",
                "manifest" => "object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}",
                "command" => {
                    "target: {role: worker}, effect: other, inject: [a], confirm: [b], undo: [c], confirmUndone: [d]"
                }
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
    fn a_throttled_kubelet_has_whole_percents() {
        let of = |cpu: &str| {
            let yaml = "{fault: {kubeletThrottle: {target: {role: worker}, cpu: CPU}}, for: 1s}";
            decoded(&yaml.replace("CPU", cpu), step)
        };
        let (found, problems) = of("1%");
        let Some(Step::Fault { fault, .. }) = found else { panic!("{problems}") };
        assert!(matches!(fault, Fault::KubeletThrottle { cpu: 1, .. }), "{fault:?}");
        for wrong in ["0%", "101%", "50m", "0.5", "1.5%", "-5%"] {
            let (_, problems) = of(wrong);
            assert!(problems.contains("expected whole percents from `1%` to `100%`"), "{problems}");
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
    fn a_taint_has_a_key_and_an_effect() {
        let of =
            |yaml: &str| fault(&format!("{{nodeTaint: {{target: {{role: worker}}, {yaml}}}}}"));
        let (found, problems) = of("key: example.com/disk, effect: NoExecute");
        assert_eq!(problems, "");
        let Some(found @ Fault::NodeTaint { .. }) = found else { panic!("{found:?}") };
        let again = serde_json::to_value(&found).unwrap();
        assert_eq!(serde_json::from_value::<Fault>(again).unwrap(), found);
        assert!(found.counts_on(Some(NodeRole::Worker)), "no budget limits it");
        let mild = of("key: disk, value: slow, effect: NoSchedule").0.unwrap();
        assert!(!mild.counts_on(Some(NodeRole::Worker)));
        assert!(of("key: disk").1.contains("`nodeTaint` needs `effect`"));
        assert!(of("key: a b, effect: NoExecute").1.contains("`a b` is not a valid key"));
        let wrong = of("key: disk, effect: NoExecut").1;
        assert!(wrong.contains("did you mean `NoExecute`?"), "{wrong}");
        let begun = of("key: disk, effect: NoExec").1;
        assert!(begun.contains("did you mean `NoExecute`?"), "{begun}");
        let spaced = of("key: disk, value: has space, effect: NoExecute").1;
        assert!(spaced.contains("`has space` is not a valid value"), "{spaced}");
        assert_eq!(of("key: disk, value: '', effect: NoExecute").1, "");
    }

    #[test]
    fn a_pause_has_its_own_length() {
        assert_eq!(
            decoded("pause: 10s", step).0,
            Some(Step::Pause { hold: Duration::from_secs(10) })
        );
        assert!(decoded("{pause: 10s, for: 1s}", step).1.contains("has its own duration"));
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
        let diagnostics = decoded("{name: away, pause: 5s}", super::step).1;
        assert!(
            diagnostics.contains("1:2: error: only a step with a `fault` can have `name`"),
            "{diagnostics}"
        );
        let diagnostics =
            decoded("{fault: {nodeKill: {target: {role: worker}}}, for: 1s, meanwhile: [{pause: 1}, {pause: x}]}", super::step).1;
        assert_eq!(diagnostics.lines().count(), 2, "{diagnostics}");
    }

    #[test]
    fn mistakes_are_reported() {
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

    fn fault(yaml: &str) -> (Option<Fault>, String) {
        decoded(yaml, |cx, node| cx.union(node, "a fault", FAULTS))
    }

    #[test]
    fn a_deployment_is_scaled_to_a_number() {
        let (found, problems) =
            fault("{deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}}");
        assert_eq!(problems, "");
        let wanted =
            Fault::DeploymentScale { deployment: "kube-system/coredns".into(), replicas: 0 };
        assert_eq!(found, Some(wanted));
        let diagnostics = fault("{deploymentScale: {replicas: -1}}").1;
        assert!(
            diagnostics.contains("`deploymentScale` needs `name`")
                && diagnostics.contains("expected a whole number"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_deployment_is_moved_to_some_nodes() {
        let (found, problems) =
            fault("{deploymentPlace: {name: web, on: {role: worker, count: 2}}}");
        assert_eq!(problems, "");
        let Some(Fault::DeploymentPlace { on, .. }) = found else { panic!("{found:?}") };
        assert_eq!((on.role, on.count), (Some(NodeRole::Worker), Count::Exactly(2)));
        let wrong = |yaml: &str| fault(&format!("{{deploymentPlace: {yaml}}}")).1;
        assert!(wrong("{name: web}").contains("`deploymentPlace` needs `on`"));
        assert!(wrong("{name: web, on: {count: 2}}").contains("would match any node"));
        assert!(wrong("{name: web, on: {leader: etcd}}").contains("unknown field `leader`"));
    }

    #[test]
    fn pods_are_chosen_by_labels_and_number() {
        let count = |yaml: &str| match fault(&format!("{{podDelete: {yaml}}}")).0 {
            Some(Fault::PodDelete { pods }) => Ok(pods.count),
            _ => Err(fault(&format!("{{podDelete: {yaml}}}")).1),
        };
        assert_eq!(count("{labels: {app: web}}"), Ok(Count::Exactly(1)));
        assert_eq!(count("{labels: {app: web}, count: all}"), Ok(Count::All));
        assert_eq!(count("{labels: {app: web}, count: 2}"), Ok(Count::Exactly(2)));
        assert!(
            count("{labels: {app: web}, count: 0}")
                .unwrap_err()
                .contains("expected a number of 1 or more, or `all`")
        );
        assert!(count("{labels: {}}").unwrap_err().contains("would match everything"));
    }
}

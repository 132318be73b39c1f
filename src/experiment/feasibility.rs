//! Whether an expectation can be met at all, and which faults it is judged on: the same rules for a
//! file before its run, and for the verdict after it.

use super::schema::{Expectation, Fault};
use crate::timeline::{Component, FaultTraits, Impact, NodeRole, TargetKind};
use crate::yaml::suggest;

/// Fewer attempts than these show nothing by not succeeding.
pub(crate) const FEWEST_TO_JUDGE: u64 = 3;

/// A fault as the rules see it, whether it is planned or was carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultView<'a> {
    pub step: Option<&'a str>,
    /// The part of the control plane that it hits; `None`: its target as a whole.
    pub component: Option<Component>,
    /// The role of the machine that it hits; `None`: any, or not known.
    pub role: Option<NodeRole>,
    pub traits: FaultTraits,
}

impl<'a> FaultView<'a> {
    pub(super) fn planned(step: Option<&'a str>, fault: &Fault) -> Self {
        let role = fault.target().and_then(|target| target.role);
        Self { step, component: fault.component(), role, traits: fault.traits() }
    }

    /// Whether it takes the process of a part from its node, or cuts it off from all others.
    pub(crate) fn takes(&self, part: Component) -> bool {
        self.component.map_or(self.traits.impact.whole_node(), |taken| taken == part)
    }

    /// Whether it takes what a leader of a part depends on, so that it may lose its lease and need
    /// not: its own node's API server or etcd member, or its node's ways to others.
    pub(crate) fn takes_support_of(&self, part: Component) -> bool {
        match self.component {
            Some(taken) => {
                part != Component::Etcd && matches!(taken, Component::ApiServer | Component::Etcd)
            }
            None => self.traits.impact == Impact::SomeNetwork,
        }
    }

    fn is_on_machine(&self) -> bool {
        !matches!(self.traits.target, TargetKind::Deployment | TargetKind::Pods)
    }

    /// Whether it hits what Kubernetes knows as a node, which the load balancer is not.
    fn is_on_node(&self) -> bool {
        self.is_on_machine() && self.role != Some(NodeRole::ExternalLoadBalancer)
    }

    /// Whether what it hits is not well, which a drained node is.
    fn degrades_machine(&self) -> bool {
        self.is_on_machine() && self.traits.impact != Impact::Objects
    }

    /// Whether endpoints or pods may be where it hits.
    fn has_endpoints(&self) -> bool {
        self.is_on_node() || self.traits.target == TargetKind::Pods
    }

    /// Whether what it does is not known.
    fn is_anything(&self) -> bool {
        matches!(self.traits.impact, Impact::Command | Impact::Unknown)
            || self.traits.target == TargetKind::Object
    }

    fn kills_containers(&self) -> bool {
        self.traits.impact == Impact::Containers || self.is_anything()
    }

    /// Whether a leader may lose its place by it: its process, its node, what it depends on, or
    /// etcd's quorum.
    fn may_cost_lead(&self, part: Component) -> bool {
        let hits = self.takes(part)
            || self.takes_support_of(part)
            || self.takes(Component::Etcd)
            || self.is_anything();
        hits && self.is_on_machine() && matches!(self.role, None | Some(NodeRole::ControlPlane))
    }
}

/// The faults on which a detection is judged: those of the step that is named; else those on a
/// whole node, where there is one.
pub(crate) fn judged_for_detection<'f, F>(
    of: Option<&str>,
    faults: &'f [F],
    facts: impl for<'a> Fn(&'a F) -> FaultView<'a>,
) -> Vec<&'f F> {
    let whole = faults.iter().any(|fault| facts(fault).component.is_none());
    let meant = |fault: &&F| match of {
        Some(name) => facts(fault).step == Some(name),
        None => !whole || facts(fault).component.is_none(),
    };
    faults.iter().filter(meant).collect()
}

/// Why an expectation can't be met, and what to do about it.
pub(crate) struct Infeasible {
    pub why: String,
    pub hint: String,
}

impl Infeasible {
    fn new(why: String, hint: impl Into<String>) -> Self {
        Self { why: format!("this cannot pass: {why}"), hint: hint.into() }
    }
}

/// Why no run of these faults can meet an expectation; only what is certain.
pub(crate) fn infeasible<'a>(
    expectation: &Expectation,
    faults: &[FaultView<'a>],
) -> Option<Infeasible> {
    let none = |fits: fn(&FaultView<'a>) -> bool| !faults.iter().any(fits);
    let kinds = || {
        let mut kinds: Vec<&str> = faults
            .iter()
            .map(|fault| fault.component.map_or(fault.traits.name, Component::name))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        suggest::listed(&kinds, "and")
    };
    match expectation {
        Expectation::Detection { of, .. } => undetected(of.as_deref(), faults),
        Expectation::NotDetected if none(FaultView::is_on_node) => Some(Infeasible::new(
            format!("{} does not target nodes", kinds()),
            "use `nodesUntouched` to assert that every node stays Ready",
        )),
        Expectation::EndpointRemoval { .. } => {
            let other = faults.iter().find(|fault| !fault.has_endpoints())?;
            let why = format!(
                "each fault must remove endpoints, but `{}` targets neither nodes nor pods",
                other.traits.name
            );
            Some(Infeasible::new(why, "use `errorWindow` for what clients notice"))
        }
        Expectation::Rescheduled { .. } | Expectation::NotRescheduled { .. }
            if none(FaultView::has_endpoints) =>
        {
            Some(Infeasible::new(
                format!("{} targets neither pods nor nodes that run any", kinds()),
                "use a fault on a node or on pods",
            ))
        }
        Expectation::Restarted { .. } if none(FaultView::kills_containers) => {
            Some(Infeasible::new(
                format!("{} cannot kill containers in place", kinds()),
                "use `containerKill`",
            ))
        }
        Expectation::LeaderChange { component, .. } | Expectation::OldLeader { component, .. } => {
            let safe = !faults.iter().any(|fault| fault.may_cost_lead(*component));
            let hint = format!("target it with `target: {{leader: {}}}`", component.name());
            let why = || format!("{} cannot make {} lose its leader", kinds(), component.name());
            safe.then(|| Infeasible::new(why(), hint))
        }
        _ => None,
    }
}

/// Of the step that is named, else of all that hit something as a whole, each must be noticed by
/// its node.
fn undetected(of: Option<&str>, faults: &[FaultView<'_>]) -> Option<Infeasible> {
    // What drains a node leaves it well, unless another fault takes it.
    let node_hit = faults.iter().any(FaultView::degrades_machine);
    let noticed =
        |fault: &FaultView<'_>| fault.is_on_node() && (fault.degrades_machine() || node_hit);
    let other = judged_for_detection(of, faults, |fault| *fault)
        .into_iter()
        .find(|fault| !noticed(fault))?;
    let hint = match faults.iter().find(|fault| noticed(fault)) {
        Some(FaultView { step: Some(step), .. }) => {
            format!("`of: {step}` selects the step that can be detected")
        }
        Some(_) => "`of: STEP` selects the step that can be detected".into(),
        None => "use a fault that takes a node down, such as `nodeKill`".into(),
    };
    Some(Infeasible::new(format!("`{}` makes no node NotReady", other.traits.name), hint))
}

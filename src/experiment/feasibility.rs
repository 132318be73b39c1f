//! Whether an expectation can be met at all, and which faults it is judged on: the same rules for a
//! file before its run, and for the verdict after it.

use super::schema::{Expectation, Fault};
use crate::timeline::{Component, Impact, NodeRole};
use crate::yaml::suggest;

/// A fault as the rules see it, whether it is planned or was carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultView<'a> {
    pub step: Option<&'a str>,
    /// The part of the control plane that it hits; `None`: its target as a whole.
    pub component: Option<Component>,
    pub impact: Impact,
}

impl FaultView<'_> {
    /// Whether it takes the process of a part from its node, or cuts it off from all others.
    pub(crate) fn takes(&self, part: Component) -> bool {
        self.component.map_or(self.impact.whole_node(), |taken| taken == part)
    }

    /// Whether it takes what a leader of a part depends on, so that it may lose its lease and need
    /// not: its own node's API server or etcd member, or its node's ways to others.
    pub(crate) fn takes_support_of(&self, part: Component) -> bool {
        match self.component {
            Some(taken) => {
                part != Component::Etcd && matches!(taken, Component::ApiServer | Component::Etcd)
            }
            None => self.impact == Impact::SomeNetwork,
        }
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

/// A fault of a method, and its step's name.
pub(super) struct PlannedFault<'a> {
    pub step: Option<&'a str>,
    pub fault: &'a Fault,
}

impl PlannedFault<'_> {
    fn facts(&self) -> FaultView<'_> {
        let impact = self.fault.kind().traits().impact;
        FaultView { step: self.step, component: self.fault.component(), impact }
    }
}

/// Why an expectation can't be met, and what to do about it.
pub(super) struct Infeasible {
    pub why: String,
    pub hint: String,
}

impl Infeasible {
    fn new(why: String, hint: impl Into<String>) -> Self {
        Self { why, hint: hint.into() }
    }
}

/// Why no run of these faults can meet an expectation; only what is certain.
pub(super) fn infeasible(expectation: &Expectation, faults: &[PlannedFault]) -> Option<Infeasible> {
    let all = |holds: fn(&Fault) -> bool| faults.iter().all(|named| holds(named.fault));
    let kinds = || {
        let mut kinds: Vec<&str> = faults
            .iter()
            .map(|named| named.fault.component().map_or(named.fault.kind().name(), Component::name))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        suggest::listed(&kinds, "and")
    };
    match expectation {
        Expectation::Detection { of, .. } => undetected(of.as_deref(), faults),
        Expectation::NotDetected if all(|fault| !is_on_node(fault)) => Some(Infeasible::new(
            format!("{} does not target nodes", kinds()),
            "use `nodesUntouched` to assert that every node stays Ready",
        )),
        Expectation::EndpointRemoval { .. } => {
            let other = faults.iter().find(|named| !has_endpoints(named.fault))?;
            let why = format!(
                "each fault must remove endpoints, but `{}` targets neither nodes nor pods",
                other.fault.kind()
            );
            Some(Infeasible::new(why, "use `errorWindow` for what clients notice"))
        }
        Expectation::Rescheduled { .. } | Expectation::NotRescheduled { .. }
            if all(|fault| !has_endpoints(fault)) =>
        {
            Some(Infeasible::new(
                format!("{} targets neither pods nor nodes that run any", kinds()),
                "use a fault on a node or on pods",
            ))
        }
        Expectation::Restarted { .. }
            if all(|fault| !matches!(fault, Fault::ContainerKill { .. })) =>
        {
            Some(Infeasible::new(
                format!("{} does not kill containers in place", kinds()),
                "use `containerKill`",
            ))
        }
        Expectation::LeaderChange { component, .. } | Expectation::OldLeader { component, .. } => {
            let safe = faults.iter().all(|named| !may_cost_lead(named, *component));
            let hint = format!("target it with `target: {{leader: {}}}`", component.name());
            let why = || format!("{} cannot make {} lose its leader", kinds(), component.name());
            safe.then(|| Infeasible::new(why(), hint))
        }
        _ => None,
    }
}

/// Of the step that is named, else of all that hit something as a whole, each must be noticed by
/// its node.
fn undetected(of: Option<&str>, faults: &[PlannedFault]) -> Option<Infeasible> {
    // What drains a node leaves it well, unless another fault takes it.
    let node_hit = faults.iter().any(|named| named.fault.degrades_node());
    let noticed = |fault: &Fault| is_on_node(fault) && (fault.degrades_node() || node_hit);
    let other = judged_for_detection(of, faults, PlannedFault::facts)
        .into_iter()
        .find(|named| !noticed(named.fault))?;
    let hint = match faults.iter().find(|named| noticed(named.fault)) {
        Some(PlannedFault { step: Some(step), .. }) => {
            format!("`of: {step}` selects the step that can be detected")
        }
        Some(_) => "`of: STEP` selects the step that can be detected".into(),
        None => "use a fault that takes a node down, such as `nodeKill`".into(),
    };
    Some(Infeasible::new(format!("`{}` makes no node NotReady", other.fault.kind()), hint))
}

/// Whether it hits what Kubernetes knows as a node, which the load balancer is not.
fn is_on_node(fault: &Fault) -> bool {
    fault.target().is_some_and(|target| target.role != Some(NodeRole::ExternalLoadBalancer))
}

/// Whether endpoints or pods may be where it hits.
fn has_endpoints(fault: &Fault) -> bool {
    is_on_node(fault) || fault.pods().is_some()
}

/// Whether a leader may lose its place by it: its process, its node, what it depends on, or etcd's
/// quorum.
fn may_cost_lead(named: &PlannedFault, part: Component) -> bool {
    let (facts, target) = (named.facts(), named.fault.target());
    let hits = facts.takes(part) || facts.takes_support_of(part) || facts.takes(Component::Etcd);
    hits && target.is_some_and(|target| matches!(target.role, None | Some(NodeRole::ControlPlane)))
}

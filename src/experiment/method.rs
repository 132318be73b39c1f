//! The steps of a method with their numbers: a step first, then what is done meanwhile, then the
//! next.

use std::time::Duration;

use super::schema::{Experiment, Fault, From, Probe, Step};
use crate::timeline::{FaultKind, Impact};

#[derive(Clone, Debug, PartialEq)]
pub struct Numbered<'a> {
    /// Its number, from 0, over all steps.
    pub number: u32,
    /// Where it is in the file: `spec.method[0].meanwhile[1]`.
    pub place: String,
    /// The faults during which it begins, by their numbers, outermost first. They may have been
    /// undone by then.
    pub during: Vec<u32>,
    pub step: &'a Step,
}

impl<'a> Numbered<'a> {
    /// Its fault, and how long that lasts at least; `None`: it is a pause.
    pub fn fault(&self) -> Option<(&'a Fault, Duration)> {
        match self.step {
            Step::Fault { fault, .. } => Some((fault, self.step.holds())),
            Step::Pause { .. } => None,
        }
    }

    pub fn name(&self) -> Option<&'a str> {
        self.step.name()
    }

    /// Whether it begins during this other step.
    pub fn is_during(&self, outer: &Numbered) -> bool {
        self.during.contains(&outer.number)
    }
}

impl Step {
    pub fn name(&self) -> Option<&str> {
        match self {
            Step::Fault { name, .. } => name.as_deref(),
            Step::Pause { .. } => None,
        }
    }

    /// What is done beside it.
    pub fn meanwhile(&self) -> &[Step] {
        match self {
            Step::Fault { meanwhile, .. } => meanwhile,
            Step::Pause { .. } => &[],
        }
    }

    /// Whether a fault beside it hits the nodes that it hits: then it is undone after that one,
    /// however long that takes.
    pub fn is_shared(&self) -> bool {
        self.name().is_some_and(|name| self.meanwhile().iter().any(|step| step.shares(name)))
    }

    /// Whether it, or what is done beside it, hits the nodes of the step of this name.
    fn shares(&self, name: &str) -> bool {
        let own = match self {
            Step::Fault { fault, .. } => {
                fault.target().is_some_and(|target| target.of.as_deref() == Some(name))
            }
            Step::Pause { .. } => false,
        };
        own || self.meanwhile().iter().any(|step| step.shares(name))
    }

    /// How many steps it is, with those beside it.
    pub fn size(&self) -> u32 {
        1 + self.meanwhile().iter().map(Step::size).sum::<u32>()
    }

    /// How long its fault lasts at least.
    pub fn holds(&self) -> Duration {
        match self {
            Step::Fault { .. } if self.is_shared() => self.lasts(),
            Step::Fault { hold, .. } | Step::Pause { hold } => *hold,
        }
    }

    /// How long it takes at least: it ends when the last of what is done beside it has ended.
    pub fn lasts(&self) -> Duration {
        match self {
            Step::Pause { hold } => *hold,
            Step::Fault { hold, meanwhile, .. } => {
                meanwhile.iter().map(Step::lasts).sum::<Duration>().max(*hold)
            }
        }
    }
}

impl Experiment {
    /// The namespaces in which pods may be hit besides the run's own: that of the application, and
    /// those that the blast radius allows.
    pub fn namespaces(&self) -> Vec<String> {
        let allowed = self.blast_radius.allowed(self.namespace.as_deref());
        allowed.into_iter().map(str::to_owned).collect()
    }

    pub fn steps(&self) -> Vec<Numbered<'_>> {
        numbered(self.method.iter().enumerate())
    }

    /// Of each fault, in the method's order.
    pub fn fault_kinds(&self) -> Vec<FaultKind> {
        let steps = self.steps();
        steps.iter().filter_map(|step| Some(step.fault()?.0.kind())).collect()
    }

    /// Whether there is a fault after which its node is looked at from inside.
    pub fn faults_on_nodes(&self) -> bool {
        self.fault_kinds().iter().any(|kind| kind.traits().impact != Impact::Objects)
    }

    /// Whether there is a fault that is injected from inside its node, unless a container engine does
    /// it.
    pub fn enters_nodes(&self) -> bool {
        let steps = self.steps();
        steps.iter().any(|step| step.fault().is_some_and(|(fault, _)| fault.enters_node()))
    }

    /// Whether something is done inside nodes: a fault, or a probe from there.
    pub fn works_in_nodes(&self) -> bool {
        let asks_inside = |probe: &Probe| probe.from != From::Host && probe.ask.canary().is_none();
        self.enters_nodes() || self.probes.iter().any(asks_inside)
    }
}

/// Steps with their places in the method, and those beside them.
pub(super) fn numbered<'a>(
    method: impl IntoIterator<Item = (usize, &'a Step)>,
) -> Vec<Numbered<'a>> {
    let mut found = Vec::new();
    for (index, step) in method {
        add(step, format!("spec.method[{index}]"), &[], &mut found);
    }
    found
}

fn add<'a>(step: &'a Step, place: String, during: &[u32], found: &mut Vec<Numbered<'a>>) {
    let number = found.len() as u32;
    found.push(Numbered { number, place: place.clone(), during: during.to_vec(), step });
    let during = [during, &[number]].concat();
    for (index, inner) in step.meanwhile().iter().enumerate() {
        add(inner, format!("{place}.meanwhile[{index}]"), &during, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::NodeSelector;

    fn pause(secs: u64) -> Step {
        Step::Pause { hold: Duration::from_secs(secs) }
    }

    fn fault(secs: u64, meanwhile: Vec<Step>) -> Step {
        let fault = Fault::NodeKill { target: NodeSelector::default() };
        Step::Fault { name: None, fault, hold: Duration::from_secs(secs), meanwhile }
    }

    #[test]
    fn steps_are_numbered_as_they_begin() {
        let method = [pause(1), fault(40, vec![pause(5), fault(50, vec![pause(1)])]), pause(1)];
        let found = numbered(method.iter().enumerate());
        let found: Vec<(u32, &str, &[u32])> =
            found.iter().map(|s| (s.number, s.place.as_str(), s.during.as_slice())).collect();
        let wanted: [(u32, &str, &[u32]); 6] = [
            (0, "spec.method[0]", &[]),
            (1, "spec.method[1]", &[]),
            (2, "spec.method[1].meanwhile[0]", &[1]),
            (3, "spec.method[1].meanwhile[1]", &[1]),
            (4, "spec.method[1].meanwhile[1].meanwhile[0]", &[1, 3]),
            (5, "spec.method[2]", &[]),
        ];
        assert_eq!(found, wanted);
        assert_eq!(method[1].size(), 4);
        assert_eq!(method[1].lasts(), Duration::from_secs(55));
    }
}

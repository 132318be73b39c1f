//! How soon after a fault something was seen, or not.

use super::finding::{Finding, Limits};
use crate::analysis::{FaultFinding, Findings, When};
use crate::experiment::feasibility::FaultView;
use crate::stats::{Between, Seconds};

/// A fault that was carried out, as the rules of feasibility see it.
pub(super) fn facts(fault: &FaultFinding) -> FaultView<'_> {
    let (step, traits) = (fault.name.as_deref(), fault.kind.traits());
    FaultView { step, component: fault.component, role: None, traits }
}

pub(super) fn moment(
    found: &Findings,
    fault: &FaultFinding,
    when: When,
    limits: impl Into<Limits>,
) -> Finding {
    let since = fault.requested;
    let length = |when: When| Between::new(when.earliest - since, when.latest - since);
    let late = found.delivered_within(when.latest);
    let late = late.map_or(String::new(), |late| format!(" (seen up to {late} late)"));
    let measured = format!("{:.3}{late}", length(found.shown(when, since)));
    Finding::bounded(length(found.happened(when, since)), limits, measured)
}

/// What did not happen: judged only when there was time for it, and someone looked.
pub(super) fn missing(
    found: &Findings,
    fault: &FaultFinding,
    bound: Seconds,
    watched: &str,
    what: &str,
) -> Finding {
    let lasted = found.held_until(fault).map(|end| end - fault.requested);
    match (lasted, found.watch_gaps(watched).next()) {
        (None, _) => Finding::unknown(format!("{what}, and the fault has no undo")),
        (_, Some(gap)) => Finding::unknown(format!("{what}, but {}", gap.why)),
        (Some(lasted), None) if lasted < bound => {
            Finding::unknown(format!("{what} in the {lasted} of the fault"))
        }
        (Some(lasted), None) => Finding::failed(format!("{what} in the {lasted} of the fault")),
    }
}

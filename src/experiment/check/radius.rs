//! How much a fault affects, where the rest of the experiment can't be understood: otherwise a plan
//! says it.

use super::{Check, PlacedFault};
use crate::experiment::schema::{Affected, Excess};

pub(super) fn check(check: &Check) {
    let Some(radius) = &check.draft.blast_radius else { return };
    for PlacedFault { fault, place, .. } in check.faults() {
        let excess =
            Affected::by_one(fault).and_then(|affected| Excess::join(&radius.excess(&affected)));
        if let Some((message, hint)) = excess {
            check.report(check.error(&format!("{place}.target"), message).hint(hint));
        }
    }
}

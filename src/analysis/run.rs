//! What is known of the run around a probe's attempts.

use super::Wanted;
use super::clock::Zero;
use super::findings::FaultFinding;
use super::unreadable::Lost;
use crate::stats::Seconds;
use crate::timeline::Record;

pub(super) struct Run<'a> {
    /// Its +0.
    pub zero: Zero,
    /// Since when the steady state held before the first fault.
    pub steady_since: Option<Seconds>,
    pub faults: &'a [FaultFinding],
    /// Its last moment.
    pub end: Seconds,
    pub records: &'a [Record],
    pub lost: Lost<'a>,
    pub wanted: &'a Wanted,
}

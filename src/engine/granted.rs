//! What the users of a cluster were found to be allowed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::preflight::rights::Operation;

/// After so long the user's rights are asked for again.
const GRANTED: Duration = Duration::from_secs(15 * 60);

/// The rights that a command has found its users to have, and when: they are not asked for again
/// before each of many runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted(Arc<Mutex<BTreeMap<Grant, Instant>>>);

/// A server, the context that says who the user is there, and what the user may do.
type Grant = (String, String, Operation);

impl Granted {
    pub(super) fn has(&self, grant: &Grant) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(grant).is_some_and(|at| at.elapsed() < GRANTED)
    }

    pub(super) fn add(&self, grant: Grant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(grant, Instant::now());
    }
}

//! Kubernetes' events: made, and forgotten after a while.

use std::collections::VecDeque;

use serde_json::Value;

use super::registry::Key;
use crate::embedded::objects::event::{self, EventSpec};
use crate::embedded::store::{Store, kinds, object};

/// As many are kept. A real API server keeps an hour's.
const KEPT: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Events {
    made: u64,
    kept: VecDeque<Key>,
}

impl Events {
    /// Says something about an object.
    pub(super) fn record(
        &mut self,
        store: &Store,
        about: &Value,
        event: EventSpec<'_>,
        at: jiff::Timestamp,
    ) {
        self.made += 1;
        let event = store.put(&kinds::EVENTS, event::new(about, event, at, self.made));
        self.kept
            .push_back((object::namespace(&event).to_owned(), object::name(&event).to_owned()));
        if self.kept.len() > KEPT
            && let Some((namespace, name)) = self.kept.pop_front()
        {
            store.remove(&kinds::EVENTS, &namespace, &name);
        }
    }
}

//! A probe's attempts as records, between two flushes.

use std::collections::HashMap;

use crate::timeline::Attempt;
use crate::timeline::attempts::AttemptEncoder;

/// More backends than this are not kept apart: an answer with a header that differs each time must
/// not fill the memory.
const MAX_BACKENDS: usize = 4096;
/// A backend's name is truncated here.
const MAX_NAME: usize = 253;

#[derive(Debug, Default)]
pub(super) struct Recorder {
    encoder: AttemptEncoder,
    backends: HashMap<String, u32>,
    bytes: Vec<u8>,
}

impl Recorder {
    pub(super) fn record(&mut self, mut attempt: Attempt, backend: Option<&str>) {
        attempt.backend = backend.and_then(|name| self.backend(name));
        self.encoder.attempt(&attempt, &mut self.bytes);
    }

    /// Takes what was recorded since the last time: whole records.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn backend(&mut self, name: &str) -> Option<u32> {
        let name = cut(name);
        if let Some(&index) = self.backends.get(name) {
            return Some(index);
        }
        if self.backends.len() >= MAX_BACKENDS {
            return None;
        }
        let index = self.backends.len() as u32;
        self.encoder.backend(name, &mut self.bytes);
        self.backends.insert(name.to_owned(), index);
        Some(index)
    }
}

fn cut(name: &str) -> &str {
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::AttemptReader;

    fn attempt(slot: u64) -> Attempt {
        Attempt { slot, ..Attempt::default() }
    }

    #[test]
    fn back_ends_are_named_once_and_before_their_first_attempt() {
        let mut recorder = Recorder::default();
        for (slot, backend) in [Some("a"), Some("b"), None, Some("a")].into_iter().enumerate() {
            recorder.record(attempt(slot as u64), backend);
        }
        let bytes = recorder.take();
        let mut reader = AttemptReader::records(&bytes);
        let seen: Vec<_> = reader.by_ref().map(|a| a.backend).collect();
        assert_eq!(seen, [Some(0), Some(1), None, Some(0)]);
        assert_eq!(reader.backends(), ["a", "b"]);
    }

    #[test]
    fn endless_new_names_are_bounded() {
        let mut recorder = Recorder::default();
        for slot in 0..MAX_BACKENDS as u64 + 10 {
            recorder.record(attempt(slot), Some(&format!("{slot}-{}", "ü".repeat(1000))));
        }
        let bytes = recorder.take();
        let mut reader = AttemptReader::records(&bytes);
        assert_eq!(reader.by_ref().filter(|a| a.backend.is_none()).count(), 10);
        assert!(reader.backends().iter().all(|name| name.len() <= MAX_NAME));
    }
}

//! The times of which something could not be read, by stream.

use super::clock::Zero;
use super::findings::Unreadable;
use crate::timeline::{Damage, Stream};

/// What could not be read of a timeline.
#[derive(Clone, Copy)]
pub(super) struct Lost<'a> {
    pub damage: &'a [Damage],
    pub zero: Zero,
}

impl<'a> Lost<'a> {
    pub(super) fn records(&self) -> Vec<Unreadable> {
        self.of(&Stream::Records)
    }

    pub(super) fn attempts(&self, probe: &str) -> Vec<Unreadable> {
        self.of(&Stream::Attempts(probe.to_owned()))
    }

    /// The probes whose attempts could not all be read.
    pub(super) fn probes(&self) -> impl Iterator<Item = &'a str> {
        self.damage.iter().filter_map(|damage| match &damage.stream {
            Stream::Attempts(probe) => Some(probe.as_str()),
            _ => None,
        })
    }

    fn of(&self, stream: &Stream) -> Vec<Unreadable> {
        let damage = self.damage.iter().filter(|damage| damage.stream == *stream);
        damage.map(|damage| time_of(damage, self.zero)).collect()
    }
}

pub(super) fn time_of(damage: &Damage, zero: Zero) -> Unreadable {
    let at = |moment| zero.at(moment);
    Unreadable { from: damage.from.map(at), until: damage.until.map(at) }
}

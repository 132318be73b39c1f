//! The network cable is cut, by a packet filter inside the node: a partition from everybody.

use super::packet_filter::{Filter, Hit};
use crate::experiment::Direction;

pub(super) fn filter(mark: &str) -> Filter<'_> {
    Filter {
        mark,
        what: "drop all packets".into(),
        direction: Direction::Both,
        hit: Hit::Everybody,
        witness: None,
    }
}

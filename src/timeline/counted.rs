//! Numbers with their nouns.

use std::fmt::Display;

/// `1 pod`, `2 pods`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let s = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{s}")
}

//! A study's record on disk, from which it goes on after any interruption.

pub(crate) mod journal;

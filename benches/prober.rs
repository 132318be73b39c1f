//! The prober and its peers, in turn.
fn main() {}

//! The prober inside a node: its protocol, how it gets there, and its clock.

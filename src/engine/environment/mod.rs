//! What a run stands on: the cluster (found, or made when absent), its lock and its folder.
//!
//! `provision.rs` is the way in; `kind.rs` and `embedded.rs` are siblings: what a cluster's nodes are made of.

pub mod embedded;
pub mod embedded_folder;
pub(in crate::engine) mod inotify;
pub mod kind;
pub(in crate::engine) mod kind_addresses;
pub mod provision;
pub mod restore;
pub mod state_dir;

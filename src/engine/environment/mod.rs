//! What a run stands on: the cluster (found, or made when absent), its lock and its folder.
//!
//! `provision.rs` is the way in, `handle.rs` what comes out; `kind.rs`, `context.rs` and
//! `embedded.rs` are siblings: what a cluster's nodes are made of.

pub(in crate::engine) mod claim;
mod context;
pub(in crate::engine) mod differences;
pub(crate) mod embedded;
pub(crate) mod embedded_folder;
pub(crate) mod handle;
pub(in crate::engine) mod inotify;
pub(in crate::engine) mod kept_workload;
pub(crate) mod kind;
pub(in crate::engine) mod kind_addresses;
pub(in crate::engine) mod left_behind;
pub(crate) mod provision;
pub(crate) mod restore;
pub(crate) mod retune;
pub(crate) mod state_dir;

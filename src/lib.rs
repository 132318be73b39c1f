//! `outage` makes a real Kubernetes cluster fail in a chosen way and measures what its users would have noticed.
//!
//! `src/README.md` is the architecture; the first line of each module says its job.

pub mod agent;
pub mod analysis;
pub mod canary;
pub mod cli;
pub mod cluster;
pub mod docker;
pub mod embedded;
pub mod engine;
pub mod experiment;
pub mod fault;
pub mod lint;
pub mod model;
pub mod observe;
pub mod prediction;
pub mod probe;
pub mod report;
pub mod stats;
pub mod timeline;
pub mod verdict;
pub mod watch;

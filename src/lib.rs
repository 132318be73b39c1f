//! `outage` makes a real Kubernetes cluster fail in a chosen way and measures what its users would
//! have noticed.
//!
//! `src/README.md` is the architecture; the first line of each module says its job.

// A command is one future of many, each inside the next: the layout of `run` is deeper than the 128
// that the compiler allows by default.
#![recursion_limit = "256"]

pub mod agent;
pub mod analysis;
mod canary;
pub mod cli;
mod cluster;
pub mod compare;
mod docker;
mod embedded;
mod engine;
mod experiment;
mod fault;
mod helper;
mod http2;
mod kind_config;
mod lint;
pub mod model;
mod node;
mod observe;
mod plan;
pub mod prediction;
mod preflight;
pub mod probe;
pub mod report;
mod resolver;
mod series;
pub mod stats;
mod study;
pub mod timeline;
mod tls;
mod tune;
pub mod verdict;
mod watch;
mod workload;
mod yaml;

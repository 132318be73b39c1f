//! The network of an embedded cluster: real sockets on its own loopback addresses.
//!
//! ```text
//! client -> service.rs (a Service's address: hands the connection to one of the ready pods) -> connection.rs (a pod's answer)
//! client -> pod.rs (a pod's own address) ---------------------------------------------------------^
//! ```

mod addresses;
mod connection;
mod http2;
mod listener;
mod pod;
mod service;

pub(crate) use addresses::{Block, MOST_NODES, Ports};
pub(crate) use pod::PodServer;
pub(crate) use service::{Entry, NoPod, Routes, ServiceProxy};

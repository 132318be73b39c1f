//! The built-in cluster: the model in real time behind the real API on loopback.
//!
//! ```text
//! clients --> api/ --> store/ <--> control/ <--> the model (crate::model)
//! probes  --> network/ (pods and Services, real sockets) <--'
//! ```
//!
//! All of it lives on its own thread and ends with its [`Embedded`].

pub(crate) mod api;
mod control;
mod error;
mod handle;
mod hooks;
pub(crate) mod network;
pub(crate) mod objects;
pub(crate) mod store;

pub(crate) use crate::model::{Action, NodeId, NodeSpec, Topology};
pub(crate) use error::EmbeddedError;
pub(crate) use handle::{Embedded, EmbeddedSpec};

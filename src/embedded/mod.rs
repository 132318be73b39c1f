//! The built-in cluster: the model in real time behind the real API on loopback.
//!
//! ```text
//! clients --> api/ --> store/ <--> control/ <--> the model (crate::model)
//! probes  --> network/ (pods and Services, real sockets) <--'
//! ```
//!
//! All of it lives on one thread of its own and ends with its [`Embedded`].

pub mod api;
mod control;
mod error;
mod handle;
mod hooks;
pub mod network;
pub mod objects;
pub mod store;

pub use crate::model::{Action, NodeId};
pub use error::EmbeddedError;
pub use handle::{Embedded, EmbeddedSpec, KUBERNETES};

//! The model in real time: what clients write becomes the model's actions, what the model changes
//! becomes objects and sockets.
//!
//! ```text
//! clients' writes --client_writes.rs-->  Model  --changes.rs--> objects in the store, sockets
//!                                   ^                      |
//!            the clock, act() ------'      reconcile/ <----'  (what follows from objects alone: slices, status, namespaces)
//! ```
//!
//! One task does all of it, so nothing here is ever half done when another part looks.

mod actions;
mod changes;
mod client_writes;
mod driver;
mod events;
mod execute;
mod initial_objects;
mod processes;
mod reconcile;
mod registry;

pub(super) use actions::Command;
pub(super) use driver::{Driver, Parts, Request};
pub(super) use initial_objects::InitialObjects;
pub(super) use registry::{NodeEntry, Registry};

//! The model in real time: what clients write becomes the model's deeds, what the model changes becomes objects and sockets.
//!
//! ```text
//! clients' writes --intake.rs-->  Model  --changes.rs--> objects in the store, sockets
//!                                   ^                      |
//!            the clock, act() ------'      reconcile/ <----'  (what follows from objects alone: slices, status, namespaces)
//! ```
//!
//! One task does all of it, so nothing here is ever half done when another part looks.

mod changes;
mod deeds;
mod driver;
mod events;
mod genesis;
mod intake;
mod reconcile;
mod seats;

pub(super) use deeds::Command;
pub(super) use driver::{Driver, Parts};
pub(super) use genesis::Genesis;
pub(super) use seats::{NodeSeat, Seats};

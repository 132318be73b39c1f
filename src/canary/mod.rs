//! Canaries: the control plane is asked to do something at a fixed rate, and each attempt is
//! recorded like a probe's.
//!
//! ```text
//! rate -> operation.rs asks the API server --answer--> in_flight.rs (pure): attempts in flight -> outcomes -> the probe's attempts
//!                  a watch of what was created --progress-->
//! ```
//!
//! Open loop: attempt i is due at start + i / rate, whether or not earlier ones have ended. What
//! the API server did not accept has failed as any request fails. What it accepted, and was not
//! done in time, has failed in the phase that was waited for; but where the watch was down at the
//! deadline the outcome is unknown, and the attempt says nothing
//! ([`Outcome::Unseen`](crate::timeline::Outcome::Unseen)).

mod in_flight;
mod operation;
mod task;

pub(crate) use operation::describe;
pub(crate) use task::{CanaryHandle, CanarySpec, start};

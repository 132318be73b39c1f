//! Which settings of failure detection to take: a search by the model's closed forms.
//!
//! ```text
//! Goals, Start -> grid.rs (what can be set) -> choice.rs (what each comes to) -> search.rs (front, recommendation)
//!   -> patch.rs (how it is set), text.rs, markdown.rs
//! ```
//!
//! All of it is prediction: nothing here has been measured on a cluster.

mod choice;
mod goals;
mod grid;
pub(crate) mod markdown;
pub(crate) mod patch;
mod search;
pub(crate) mod text;

#[cfg(test)]
mod tests;

pub(crate) use choice::Choice;
pub(crate) use goals::{Goals, Rate};
pub(crate) use search::{Start, Tuned, tune};

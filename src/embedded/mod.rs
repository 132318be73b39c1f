//! The built-in cluster: the model in real time behind the real API on loopback.

pub mod api;
mod error;
pub mod store;

pub use error::EmbeddedError;

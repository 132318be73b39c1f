//! The Docker adapter: the only place that names bollard. Podman's socket speaks the same API.
//!
//! ```text
//! endpoint (which engine) -> client (connect, bounds on time) -> container | power | exec | upload | events
//!                                                                 access (the way into a node)
//! ```

mod access;
mod client;
mod container;
mod endpoint;
mod error;
mod events;
mod exec;
#[cfg(test)]
pub(crate) mod fake;
mod network;
mod power;
mod tls;
mod upload;

pub(crate) use client::Docker;
pub(crate) use container::{Addresses, Container, ContainerState};
pub(crate) use endpoint::{Endpoint, EndpointError, EngineEnv};
pub(crate) use error::DockerError;

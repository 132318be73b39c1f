//! Kubernetes' REST API over the store, on loopback: enough of it that kubectl and this program's own client see no difference.

mod availability;
mod discovery;
mod error;
mod hooks;
mod kubeconfig;
mod port;
mod respond;
mod route;
mod server;

pub use availability::Availability;
pub use error::ApiError;
pub use hooks::{Deletion, Hooks, Operation, Proxied};
pub use server::ApiServer;

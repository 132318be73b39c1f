//! Kubernetes' REST API over the store, on loopback: enough of it that kubectl and this program's
//! own client see no difference.

mod access;
mod availability;
mod body;
mod defaults;
mod delete;
mod discovery;
mod error;
mod form;
mod hooks;
mod openapi;
mod patch;
mod port;
mod protobuf;
mod query;
mod read;
mod respond;
mod review;
mod route;
mod scale;
mod served;
mod server;
mod table;
mod target;
mod validate;
mod watch;
mod write;

pub(crate) use availability::Availability;
pub(crate) use error::ApiError;
pub(crate) use hooks::{Deletion, Hooks, Proxied};
pub(crate) use server::ApiServer;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod list_watch_tests;
#[cfg(test)]
mod proxy_tests;
#[cfg(test)]
mod testing;

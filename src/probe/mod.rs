//! Questions asked at a fixed rate.
//!
//! ```text
//! spec -> Prober: pacer -> send -> drive (lookup, connect, TLS, request, answer) -> recorder -> Sink
//!                    \--------- poller: waits for the next slot, socket or deadline ---------/
//! ```
//!
//! A [`Prober`] is one thread with one loop over non-blocking sockets. It has no runtime and no
//! timer wheel: a wheel of whole milliseconds would be later than what is measured.

mod channel;
mod chunked;
mod connect;
pub mod control;
mod dns;
mod drive;
mod expected;
mod grpc;
mod http;
mod http2;
mod http_answer;
mod kind;
mod pacer;
mod poller;
mod ports;
mod prober;
mod protocol;
mod recorder;
mod request;
mod socket;
pub mod spec;
mod state;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use crate::resolver::NameService;
pub use dns::DnsQuestion;
pub use expected::{BodyExpectation, JsonValue};
pub use grpc::GrpcQuestion;
pub use http::{Body, HttpQuestion};
pub use kind::Question;
pub use prober::{Prober, ProberError, Sink};
pub use spec::{Destination, ProbeSpec};
pub use tls::{Identity, Scope, TlsQuestion};

//! Questions asked at a fixed rate: the pacer, HTTP, TCP and DNS.
//!
//! ```text
//! spec -> Prober: pacer -> send -> drive (look-up, connect, TLS, request, answer) -> recorder -> Sink
//!                    \--------- poller: waits for the next slot, socket or deadline ---------/
//! ```
//!
//! A [`Prober`] is one thread with one loop over non-blocking sockets. It has no runtime and no timer wheel: a wheel of whole
//! milliseconds would be later than what is measured.

mod channel;
mod chunked;
pub mod control;
mod drive;
mod http;
mod lookup;
mod message;
mod names;
mod pacer;
mod poller;
mod ports;
mod prober;
mod recorder;
mod socket;
pub mod spec;
mod state;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use names::NameService;
pub use prober::{Prober, ProberError, Sink};
pub use spec::{
    Body, Destination, DnsQuestion, HttpQuestion, Identity, ProbeSpec, Question, Secret,
    TlsQuestion,
};

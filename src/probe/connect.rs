//! Probes that connect and ask nothing: over TCP, or to the end of a TLS handshake.

use super::protocol::Protocol;
use super::tls::Tls;

#[derive(Debug)]
pub(super) struct Connect {
    pub tls: Option<Tls>,
}

impl Protocol for Connect {
    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }
}

//! A TCP probe: a connection, and nothing on it.

use super::kind::Protocol;

#[derive(Debug)]
pub(super) struct Tcp;

impl Protocol for Tcp {}

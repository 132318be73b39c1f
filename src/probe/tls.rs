//! TLS handshakes: of probes of `https` URLs, and as a kind of probe.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use serde::{Deserialize, Serialize};

use crate::timeline::{Secret, TlsCause};
use crate::tls::{Shown, Trust, client_config};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsQuestion {
    /// Accept any certificate.
    pub insecure: bool,
    /// The name that the certificate must carry.
    pub server_name: String,
    /// Who may vouch for the certificate, as DER. Default: who vouches for the web's.
    #[serde(default)]
    pub roots: Option<Vec<Vec<u8>>>,
    /// How the client shows who it is.
    #[serde(default, with = "travelling")]
    pub identity: Option<Secret<Identity>>,
}

/// A client's certificate and key, as DER.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The certificates, the client's own first.
    pub chain: Vec<Vec<u8>>,
    /// The private key: PKCS#1, PKCS#8 or SEC1.
    pub key: Vec<u8>,
    /// Whether a prober in a node may be given it: over its input, into its memory.
    #[serde(skip)]
    pub scope: Scope,
}

/// How far an identity may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// It was given to this process, or stays in it: the kubeconfig's own.
    #[default]
    ThisProcess,
    /// The experiment names it, for a prober wherever it runs.
    Prober,
}

/// Writes an identity only if it may leave this process.
mod travelling {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Identity, Scope, Secret};

    pub(super) fn serialize<S: Serializer>(
        identity: &Option<Secret<Identity>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let identity = identity.as_ref().map(|Secret(identity)| identity);
        identity.filter(|identity| identity.scope == Scope::Prober).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret<Identity>>, D::Error> {
        Option::deserialize(from).map(|identity| identity.map(Secret))
    }
}

/// What every handshake of a probe begins with.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Prepares handshakes. Errors when the name is none, and when a certificate or key can't be
    /// read.
    pub(super) fn new(question: &TlsQuestion) -> Result<Self, String> {
        let name = ServerName::try_from(question.server_name.clone())
            .map_err(|_| format!("{:?} is not a valid server name", question.server_name))?;
        let trust = match &question.roots {
            _ if question.insecure => Trust::Any,
            Some(roots) => Trust::Named(roots),
            None => Trust::Web,
        };
        let identity = question.identity.as_ref();
        let identity = identity.map(|Secret(Identity { chain, key, .. })| Shown { chain, key });
        let mut config = client_config(trust, identity)?;
        // A new connection is to cost what it costs a new client.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { config: Arc::new(config), name })
    }

    /// With the name of the protocol that is spoken (ALPN).
    pub(super) fn offering(mut self, protocol: &[u8]) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }

    pub(super) fn connect(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
    }
}

/// Why a handshake failed.
pub(super) fn cause_of(error: &io::Error) -> TlsCause {
    use rustls::{CertificateError as Certificate, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => TlsCause::NoTls,
        Some(Error::PeerIncompatible(_)) => TlsCause::NothingInCommon,
        Some(Error::AlertReceived(_)) => TlsCause::Alert,
        Some(Error::InvalidCertificate(why)) => match why {
            Certificate::UnknownIssuer => TlsCause::UnknownIssuer,
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                TlsCause::OtherName
            }
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. } => TlsCause::Expired,
            _ => TlsCause::BadCertificate,
        },
        _ => TlsCause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_identity_of_the_experiment_leaves_this_process() {
        let question = |scope| TlsQuestion {
            insecure: false,
            server_name: "web".into(),
            roots: None,
            identity: Some(Secret(Identity { chain: vec![vec![1]], key: vec![222, 173], scope })),
        };
        let json = |scope| serde_json::to_string(&question(scope)).unwrap();
        assert!(!json(Scope::ThisProcess).contains("222"), "{}", json(Scope::ThisProcess));
        let arrived: TlsQuestion = serde_json::from_str(&json(Scope::Prober)).unwrap();
        let Some(Secret(identity)) = arrived.identity else { panic!("has arrived") };
        assert_eq!((identity.key, identity.scope), (vec![222, 173], Scope::ThisProcess));
        assert!(!format!("{:?}", question(Scope::Prober)).contains("222"));
    }
}

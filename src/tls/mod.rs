//! The TLS of a client, the same for probes and for the connections to a cluster and to a container
//! engine: whose certificates it accepts, and how it shows who it is.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Who may vouch for a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trust<'a> {
    /// Anybody.
    Any,
    /// These, as DER.
    Named(&'a [Vec<u8>]),
    /// Who vouches for the web's.
    Web,
    /// Whom this machine trusts.
    System,
}

/// A client's certificates, its own first, and their key (PKCS#1, PKCS#8 or SEC1), as DER.
#[derive(Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub chain: &'a [Vec<u8>],
    pub key: &'a [u8],
}

/// Errors when a certificate or key can't be read.
pub(crate) fn client_config(
    trust: Trust<'_>,
    identity: Option<Shown<'_>>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not available: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(trust, provider)?);
    let Some(Shown { chain, key }) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::try_from(key.to_vec())
        .map_err(|why| format!("the client's key cannot be used: {why}"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("the client's certificate cannot be used: {error}"))
}

fn verifier(
    trust: Trust<'_>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let unusable = |error: &dyn std::error::Error| {
        format!("the certificate authority cannot be used: {error}")
    };
    let roots = match trust {
        Trust::Any => return Ok(Arc::new(AnyCertificate(provider))),
        Trust::System => {
            let verifier = rustls_platform_verifier::Verifier::new(provider);
            return Ok(Arc::new(verifier.map_err(|error| unusable(&error))?));
        }
        Trust::Web => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Trust::Named(named) => {
            let mut roots = RootCertStore::empty();
            for der in named {
                let added = roots.add(CertificateDer::from(der.clone()));
                added.map_err(|error| unusable(&error))?;
            }
            roots
        }
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(verifier.map_err(|error| unusable(&error))?)
}

/// Accepts every certificate. Signatures are still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

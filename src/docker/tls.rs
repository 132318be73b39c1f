//! TLS to an engine, with the files that docker keeps: `ca.pem`, and `cert.pem` and `key.pem` where
//! the engine wants a client's certificate.

use std::error::Error;
use std::io;
use std::path::Path;

use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker as Bollard};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription as Alert, CertificateError as Certificate, ClientConfig};

use crate::timeline::bounded;
use crate::tls::{Shown, Trust, client_config};

/// A connection over TLS to `host:port`, with `timeout` in seconds. Errors with what is wrong with
/// the files.
pub(super) fn open(host: &str, directory: &Path, timeout: u64) -> Result<Bollard, String> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config(directory)?)
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.pool_max_idle_per_host(0).build(connector);
    let send = move |request: BollardRequest| {
        let answer = client.request(request);
        async move { Ok(answer.await?) }
    };
    let url = Some(format!("https://{host}"));
    Bollard::connect_with_custom_transport(send, url, timeout, API_DEFAULT_VERSION)
        .map_err(|error| error.to_string())
}

fn config(directory: &Path) -> Result<ClientConfig, String> {
    let roots = chain(&directory.join("ca.pem"))?;
    let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let identity = match (certificate.exists(), key.exists()) {
        (false, false) => None,
        _ => {
            let key_of = PrivateKeyDer::from_pem_slice(&read(&key)?);
            let key_of = key_of.map_err(|_| format!("{} is not a PEM key", key.display()))?;
            Some((chain(&certificate)?, key_of.secret_der().to_vec()))
        }
    };
    let shown = identity.as_ref().map(|(chain, key)| Shown { chain, key });
    client_config(Trust::Named(&roots), shown)
        .map_err(|why| format!("{}: {why}", directory.display()))
}

fn chain(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let pem = read(file)?;
    let found = CertificateDer::pem_slice_iter(&pem).map(|der| Some(der.ok()?.to_vec()));
    match found.collect::<Option<Vec<_>>>() {
        Some(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(format!("{} is not a PEM certificate", file.display())),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    bounded::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

/// Why TLS failed, where a call failed for that.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref() {
            return Some(reason(tls));
        }
        // Its own source is that of the error in it, which would be skipped.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn reason(error: &rustls::Error) -> String {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error {
        InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "its certificate is not signed by the authority in ca.pem".into()
        }
        InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired".into()
        }
        InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet".into()
        }
        InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => "its certificate is for another host name".into(),
        AlertReceived(Alert::CertificateExpired) => {
            "the client certificate (cert.pem) has expired".into()
        }
        AlertReceived(Alert::CertificateRequired) => {
            "it requires a client certificate (cert.pem and key.pem)".into()
        }
        AlertReceived(
            Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) => "it does not accept the client certificate (cert.pem)".into(),
        InvalidMessage(_) => "it does not use TLS".into(),
        other => other.to_string(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use base64::Engine;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::docker::{Docker, DockerError, Endpoint};

    const CA: &[u8] = include_bytes!("../probe/testdata/mutual-ca.der");
    const CLIENT: &[u8] = include_bytes!("../probe/testdata/mutual-client.der");
    const CLIENT_KEY: &[u8] = include_bytes!("../probe/testdata/mutual-client-key.der");
    /// Signed by itself.
    const OTHER: &[u8] = include_bytes!("../probe/testdata/cert.der");
    const OTHER_KEY: &[u8] = include_bytes!("../probe/testdata/key.der");

    /// The port on which the engine at this socket is reached over TLS by clients of the CA.
    fn tls_in_front_of(socket: &Path) -> u16 {
        let cert = include_bytes!("../probe/testdata/mutual-server.der").as_slice();
        let key = include_bytes!("../probe/testdata/mutual-server-key.der").as_slice();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(CA)).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from(cert)],
                PrivatePkcs8KeyDer::from(key).into(),
            )
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = socket.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut client = rustls::StreamOwned::new(connection, stream.unwrap());
                // A request of these tests has no body, and is read at a time.
                let mut request = [0; 4096];
                let Ok(length @ 1..) = client.read(&mut request) else { continue };
                let mut engine = UnixStream::connect(&socket).unwrap();
                engine.write_all(&request[..length]).unwrap();
                let mut answer = Vec::new();
                engine.read_to_end(&mut answer).unwrap();
                let _ = client.write_all(&answer);
                client.conn.send_close_notify();
                let _ = client.flush();
            }
        });
        port
    }

    fn pem(directory: &Path, file: &str, label: &str, der: &[u8]) {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        let text = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        std::fs::write(directory.join(file), text).unwrap();
    }

    #[tokio::test]
    async fn both_sides_show_their_certificates_and_what_is_wrong_is_named() {
        let engine = FakeEngine::start();
        let port = tls_in_front_of(engine.endpoint().socket().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let connect = async |host: &str| {
            let certs = directory.path().display();
            let address = format!("tcp://{host}:{port}?certs={certs}");
            Docker::connect(&Endpoint { address, origin: "DOCKER_HOST".into() })
                .await
                .map(|docker| docker.describe())
                .map_err(|error| match error {
                    DockerError::Tls { ref why, .. } if error.hint().is_some() => why.clone(),
                    other => panic!("{other}"),
                })
        };
        assert!(connect("localhost").await.unwrap_err().contains("ca.pem cannot be read"));
        let put = |file, label, der| pem(directory.path(), file, label, der);
        put("ca.pem", "CERTIFICATE", CA);
        assert_eq!(
            connect("localhost").await.unwrap_err(),
            "it requires a client certificate (cert.pem and key.pem)"
        );
        put("cert.pem", "CERTIFICATE", CLIENT);
        assert!(connect("localhost").await.unwrap_err().contains("key.pem cannot be read"));
        put("key.pem", "PRIVATE KEY", CLIENT_KEY);
        assert_eq!(connect("localhost").await.unwrap(), "Docker 9.8.7 (API 1.41)");
        assert_eq!(
            connect("127.0.0.1").await.unwrap_err(),
            "its certificate is for another host name"
        );
        put("cert.pem", "CERTIFICATE", OTHER);
        put("key.pem", "PRIVATE KEY", OTHER_KEY);
        assert_eq!(
            connect("localhost").await.unwrap_err(),
            "it does not accept the client certificate (cert.pem)"
        );
        put("ca.pem", "CERTIFICATE", OTHER);
        assert_eq!(
            connect("localhost").await.unwrap_err(),
            "its certificate is not signed by the authority in ca.pem"
        );
    }

    #[test]
    fn a_certificate_that_has_expired_is_named() {
        let expired = rustls::Error::InvalidCertificate(Certificate::Expired);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, expired));
        assert_eq!(refusal(&wrapped).unwrap(), "its certificate has expired");
        assert_eq!(refusal(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
    }
}

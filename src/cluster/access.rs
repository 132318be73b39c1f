//! How an API server is asked without kube's client: a probe speaks HTTP itself, to time each part
//! of an answer.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::config::AuthInfo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;

use super::authorization::Authorization;
use crate::timeline::bounded;

/// The port at which kubeadm's API servers listen on their nodes.
pub(super) const API_PORT: u16 = 6443;
/// A name that every API server's certificate carries.
pub(super) const API_NAME: &str = "kubernetes";

/// Where an API server is, and what shows it who asks. What is secret is not shown.
#[derive(Clone)]
pub(crate) struct ApiAccess {
    /// The host: a name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// What goes before every path: empty, or a path that begins with `/` and ends without.
    pub prefix: String,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<ApiTls>,
    /// The value of the Authorization header. Default: none.
    pub authorization: Option<String>,
}

#[derive(Clone)]
pub(crate) struct ApiTls {
    /// The name that its certificate must carry.
    pub server_name: String,
    /// Whether any certificate is accepted, as the kubeconfig says.
    pub insecure: bool,
    /// Who may vouch for it, as DER. Default: who vouches for the web's.
    pub roots: Option<Vec<Vec<u8>>>,
    pub identity: Option<ClientIdentity>,
}

/// A client's certificates and their key, as DER.
#[derive(Clone)]
pub(crate) struct ClientIdentity {
    pub chain: Vec<Vec<u8>>,
    pub key: Vec<u8>,
}

impl fmt::Debug for ApiAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiAccess")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl ApiAccess {
    /// Errors when the user's credentials are none that can be written into a request: those of a
    /// plugin, or another user's.
    pub(super) fn of_config(config: &kube::Config) -> Result<Self, String> {
        let url = &config.cluster_url;
        let speaks_tls = url.scheme_str() == Some("https");
        let tls = tls(config)?;
        Ok(Self {
            port: url.port_u16().unwrap_or(if speaks_tls { 443 } else { 80 }),
            host: host(config),
            prefix: url.path().trim_end_matches('/').to_owned(),
            tls: speaks_tls.then_some(tls),
            authorization: authorization(&config.auth_info)?,
        })
    }

    /// The same user, at the API server on the node at this address.
    pub(super) fn at(mut self, address: &str) -> Self {
        (self.host, self.port, self.prefix) = (address.to_owned(), API_PORT, String::new());
        if let Some(tls) = &mut self.tls {
            tls.server_name = API_NAME.to_owned();
        }
        self
    }
}

fn host(config: &kube::Config) -> String {
    config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// Errors with what is wrong with the user's certificate or key.
pub(super) fn tls(config: &kube::Config) -> Result<ApiTls, String> {
    Ok(ApiTls {
        server_name: config.tls_server_name.clone().unwrap_or_else(|| host(config)),
        insecure: config.accept_invalid_certs,
        roots: config.root_cert.clone(),
        identity: identity(&config.auth_info)?,
    })
}

fn authorization(user: &AuthInfo) -> Result<Option<String>, String> {
    let authorization = Authorization::of(user)?;
    if let Authorization::Plugin(_) = authorization {
        return Err(
            "its user's credentials come from a plugin, which an `api` probe cannot use".into()
        );
    }
    if user.impersonate.is_some() {
        return Err(
            "its user impersonates another one, which an `api` probe does not support".into()
        );
    }
    Ok(authorization.header().and_then(|header| Some(header.to_str().ok()?.to_owned())))
}

fn identity(user: &AuthInfo) -> Result<Option<ClientIdentity>, String> {
    let certificate = pem(
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
        "client certificate",
    )?;
    let key = user.client_key_data.as_ref().map(|data| data.expose_secret());
    let key = pem(key, user.client_key.as_deref(), "client key")?;
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err("its user has no client certificate".into()),
        (Some(_), None) => return Err("its user has no client key".into()),
    };
    let chain = CertificateDer::pem_slice_iter(&certificate)
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<_, _>>();
    let chain = chain.map_err(|_| "the client certificate is not valid PEM")?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| "the client key is not valid PEM")?;
    Ok(Some(ClientIdentity { chain, key: key.secret_der().to_vec() }))
}

/// A PEM text, from the kubeconfig itself or from the file that it names.
fn pem(data: Option<&str>, file: Option<&str>, what: &str) -> Result<Option<Vec<u8>>, String> {
    match (data, file) {
        (Some(data), _) => BASE64_STANDARD
            .decode(data)
            .map(Some)
            .map_err(|_| format!("the {what} is not valid base64")),
        (None, Some(file)) => bounded::read(Path::new(file))
            .map(Some)
            .map_err(|error| format!("the {what} {file} cannot be read: {error}")),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kubeconfig::{choose, read_text};
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n";
    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";

    async fn access(server: &str, user: &str) -> Result<ApiAccess, String> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: '{server}'}}\nusers:\n- name: u\n  user: {user}\n"
        );
        let chosen =
            choose(read_text(&text).unwrap(), None).await.map_err(|error| error.to_string())?;
        ApiAccess::of_config(&chosen.config)
    }

    #[tokio::test]
    async fn credentials_are_found_and_never_shown() {
        let user = format!(
            "{{client-certificate-data: {}, client-key-data: {}}}",
            BASE64_STANDARD.encode(CERTIFICATE),
            BASE64_STANDARD.encode(KEY)
        );
        let found = access("https://127.0.0.1:40123/k8s/", &user).await.unwrap();
        assert_eq!(
            (found.host.as_str(), found.port, found.prefix.as_str()),
            ("127.0.0.1", 40123, "/k8s")
        );
        let tls = found.tls.as_ref().unwrap();
        assert_eq!((tls.server_name.as_str(), tls.insecure), ("127.0.0.1", false));
        let ClientIdentity { chain, key } = tls.identity.as_ref().unwrap();
        assert_eq!((chain.as_slice(), key.len()), (&[vec![0, 1, 2]][..], 48));
        let found = access("http://127.64.0.1:6443", "{token: hunter2}").await.unwrap();
        assert!(found.tls.is_none());
        assert_eq!(found.authorization.as_deref(), Some("Bearer hunter2"));
        assert!(!format!("{found:?} {tls:?}").contains("hunter2"));
        let basic = access("https://[::1]:1", "{username: me, password: hunter2}").await.unwrap();
        assert_eq!(
            (basic.host.as_str(), basic.authorization.as_deref()),
            ("::1", Some("Basic bWU6aHVudGVyMg=="))
        );
    }

    #[tokio::test]
    async fn what_a_plugin_knows_is_refused() {
        let plugin = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}}";
        assert!(access("https://a:1", plugin).await.unwrap_err().contains("from a plugin"));
        assert!(
            access("https://a:1", "{token: t, as: admin}")
                .await
                .unwrap_err()
                .contains("impersonates another")
        );
    }
}

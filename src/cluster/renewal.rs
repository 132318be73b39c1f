//! A client certificate that a credential plugin renews. It is part of a client's connections: a
//! new certificate needs a new client.

use std::sync::{Arc, Mutex, PoisonError};

use http::Request;
use kube::client::Body;
use tower::BoxError;

use super::error::ClusterError;
use super::exec_plugin::{Credentials, ExecPlugin};

/// The client of these credentials, built again whenever the plugin prints another certificate.
/// Where they have none, it is built once: a token goes into each request.
pub(super) fn renewed(
    plugin: Arc<ExecPlugin>,
    first: &Credentials,
    namespace: &str,
    build: impl Fn(&Credentials) -> Result<kube::Client, ClusterError> + Send + Sync + 'static,
) -> Result<kube::Client, ClusterError> {
    let client = build(first)?;
    let Some(certificate) = first.certificate() else { return Ok(client) };
    let held = Arc::new((Mutex::new((certificate.to_owned(), client)), build));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (plugin, held) = (plugin.clone(), held.clone());
        async move {
            let credentials = plugin.current().await?;
            let client = {
                let (held, build) = &*held;
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                match credentials.certificate() {
                    Some(certificate) if certificate != held.0 => {
                        *held = (certificate.to_owned(), build(&credentials)?);
                    }
                    _ => {}
                }
                held.1.clone()
            };
            client.send(request).await.map_err(BoxError::from)
        }
    });
    Ok(kube::Client::new(service, namespace))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::cluster::exec_plugin::tests::plugin;

    /// The certificates of the clients that are built for two requests.
    async fn built(expires: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let plugin = plugin(&format!(
            "echo >> {0}; echo '{{\"status\": {{\"clientCertificateData\": \"C'$(wc -l < {0} | tr -d ' ')'\", \
             \"clientKeyData\": \"K\", \"expirationTimestamp\": \"{expires}\"}}}}'",
            runs.display()
        ));
        let first = plugin.credentials(&mut |_| {}).await.unwrap();
        let built = Arc::new(Mutex::new(Vec::new()));
        let seen = built.clone();
        let build = move |credentials: &Credentials| {
            seen.lock().unwrap().push(credentials.certificate().unwrap().to_owned());
            let answer =
                async |_: Request<Body>| Ok::<_, BoxError>(http::Response::new(Body::empty()));
            Ok(kube::Client::new(tower::service_fn(answer), "default"))
        };
        let client = renewed(plugin, &first, "default", build).unwrap();
        for _ in 0..2 {
            client.send(Request::new(Body::empty())).await.unwrap();
        }
        let built = built.lock().unwrap();
        built.clone()
    }

    #[tokio::test]
    async fn a_new_certificate_is_used() {
        assert_eq!(built("2020-01-01T00:00:00Z").await, ["C1", "C2", "C3"]);
        assert_eq!(built("2099-01-01T00:00:00Z").await, ["C1"]);
    }
}

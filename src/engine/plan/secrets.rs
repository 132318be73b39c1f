//! The certificates of Secrets that probes name.

use std::collections::BTreeMap;

use crate::engine::error::RunError;
use crate::engine::plan::placement::{Placement, found};
use crate::experiment::{Ask, ClientCertificate, FileText, SecretKey, certificate};
use crate::timeline::{ObjectRef, Secret};

/// The keys of a Secret of the type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

impl Placement<'_> {
    /// Puts certificates in the place of the Secrets that have them. Refused where one is not there,
    /// or not as it must be. What is asked so is for a prober: it gets into no timeline.
    pub(super) async fn read_secrets(&self, ask: &mut Ask) -> Result<(), RunError> {
        let Some(settings) = ask.tls_settings_mut() else { return Ok(()) };
        if let Some(SecretKey { secret, key }) = settings.ca_secret.take() {
            let text = self.secret(&secret).await?.text(&key)?;
            certificate::chain(&text).and_then(|chain| certificate::roots(&chain)).map_err(
                |why| {
                    RunError::refused(format!("key {key} of Secret {secret} cannot be used: {why}"))
                },
            )?;
            settings.ca = Some(FileText { file: None, text });
        }
        if let Some(secret) = settings.client_secret.take() {
            let read = self.secret(&secret).await?;
            let (text, key) = (read.text(CERTIFICATE)?, read.text(PRIVATE_KEY)?);
            certificate::chain(&text).and_then(|chain| certificate::pair(chain, &key)).map_err(
                |why| RunError::refused(format!("Secret {secret} cannot be used: {why}")),
            )?;
            settings.client = Some(ClientCertificate {
                certificate: FileText { file: None, text },
                key_file: Default::default(),
                key: Secret(key),
            });
        }
        Ok(())
    }

    async fn secret(&self, secret: &ObjectRef) -> Result<Read, RunError> {
        let namespace = secret.namespace_or(self.namespace);
        let read = self.cluster.secret(namespace, &secret.name).await;
        let data = found(read, "Secret", namespace, &secret.name)?;
        Ok(Read { name: format!("{namespace}/{}", secret.name), data })
    }
}

/// A Secret that was read.
struct Read {
    name: String,
    data: BTreeMap<String, Secret<Vec<u8>>>,
}

impl Read {
    fn text(&self, key: &str) -> Result<String, RunError> {
        let Some(Secret(value)) = self.data.get(key) else {
            let keys: Vec<&str> = self.data.keys().map(String::as_str).collect();
            let hint = match keys[..] {
                [] => "it has no keys".to_owned(),
                _ => format!("its keys are: {}", keys.join(", ")),
            };
            let text = format!("Secret {} has no key {key}", self.name);
            return Err(RunError::refused(text).hint(hint));
        };
        String::from_utf8(value.clone()).map_err(|_| {
            RunError::refused(format!("key {key} of Secret {} is not text", self.name))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::experiment::{HttpAsk, Target, TlsSettings};

    const CLIENT: &str = include_str!("../../experiment/testdata/client.pem");
    const KEY: &str = include_str!("../../experiment/testdata/client.key");
    const OTHER_KEY: &str = include_str!("../../experiment/testdata/other.key");

    /// What a probe asks that takes its CA from `shop/ca` and its own certificate from `shop/me`.
    async fn read(ca: serde_json::Value, me: serde_json::Value) -> Result<TlsSettings, RunError> {
        let api = FakeApi::with("/api/v1/namespaces/shop/secrets/ca", json!({"data": ca}));
        api.put("/api/v1/namespaces/shop/secrets/me", json!({"data": me}));
        let cluster = api.cluster();
        let placement =
            Placement { cluster: &cluster, namespace: "outage-7f3a", nodes: &[], at_risk: &[] };
        let target = Target::Service { service: "shop/web".into(), port: None };
        let settings = TlsSettings {
            ca_secret: Some(SecretKey { secret: "shop/ca".into(), key: "ca.crt".into() }),
            client_secret: Some("shop/me".into()),
            ..TlsSettings::default()
        };
        let mut ask = Ask::Http(Box::new(HttpAsk { settings, ..HttpAsk::get(target) }));
        placement.read_secrets(&mut ask).await?;
        Ok(ask.tls_settings().unwrap().clone())
    }

    fn encoded(text: &str) -> String {
        use base64::prelude::{BASE64_STANDARD, Engine};
        BASE64_STANDARD.encode(text)
    }

    #[tokio::test]
    async fn certificates_of_secrets_take_their_places() {
        let pair = |key: &str| json!({"tls.crt": encoded(CLIENT), "tls.key": encoded(key)});
        let ca = || json!({"ca.crt": encoded(CLIENT)});
        let settings = read(ca(), pair(KEY)).await.unwrap();
        assert_eq!(settings.ca.unwrap().text, CLIENT);
        let client = settings.client.unwrap();
        assert_eq!((client.certificate.text.as_str(), client.key.0.as_str()), (CLIENT, KEY));
        for (ca, me, why) in [
            (ca(), pair(OTHER_KEY), "Secret shop/me cannot be used: the key does not belong"),
            (ca(), json!({"tls.crt": encoded(CLIENT)}), "Secret shop/me has no key tls.key"),
            (json!({"root.pem": ""}), pair(KEY), "Secret shop/ca has no key ca.crt"),
            (
                json!({"ca.crt": encoded("x")}),
                pair(KEY),
                "key ca.crt of Secret shop/ca cannot be used",
            ),
        ] {
            let error = read(ca, me).await.unwrap_err();
            assert!(error.message.contains(why), "{error}");
            assert_eq!(error.kind, crate::engine::error::RunErrorKind::Refused);
            let shown = format!("{error:?}");
            assert!(!shown.contains("PRIVATE KEY") && !shown.contains(CLIENT), "{shown}");
        }
    }
}

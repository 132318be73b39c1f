//! How a probe speaks TLS: the fields that `http`, `tls` and `grpc` have in common.

use rustls::pki_types::ServerName;
use serde_json::json;

use super::fields::{Cx, Fields};
use super::reference;
use super::scalar::{dns_label, flag, named_file, path, sentence, text};
use crate::experiment::schema::{ClientCertificate, FileText, SecretKey, TlsSettings};
use crate::experiment::tree::{Node, Value, quoted};
use crate::timeline::{ObjectRef, Secret};

pub(super) const FIELDS: [&str; 5] =
    ["insecure", "serverName", "ca", "clientCertificate", "clientKey"];

/// Where cert-manager and Kubernetes itself put the certificate of an authority.
const CA_KEY: &str = "ca.crt";
/// What is in a Secret beside its name.
const OF_SECRETS: [&str; 2] = ["namespace", "key"];

/// Where a certificate is.
enum Place {
    Text(FileText),
    Secret(SecretKey),
}

pub(super) fn tls_settings(fields: &mut Fields) -> Option<TlsSettings> {
    let [insecure, server_name, ca, certificate, key] = FIELDS;
    let is_insecure = fields.doc("Accept any server certificate.").or(insecure, false, flag);
    let server_name = fields
        .doc("The name that the server's certificate must have. Default: that of the target.")
        .optional(server_name, name_in_certificate);
    let authority = fields
        .doc(
            "The certificate authorities to trust, as PEM: a text, a file or a Secret. Default: \
             those of the public web.",
        )
        .optional(ca, |cx, node| place(cx, node, Some(CA_KEY)));
    let chain = fields
        .doc("The client's certificate, as PEM: a text, a file, or a Secret that also has the key.")
        .optional(certificate, |cx, node| place(cx, node, None));
    let key_file = fields.doc("The client's private key, as PEM.").optional(key, named_file);
    match (fields.key(certificate), fields.key(key), &chain) {
        (Some(_), Some(at), Some(Some(Place::Secret(_)))) => {
            let message = "`clientKey` is in the Secret of `clientCertificate`";
            return fields.cx().error_hint(at, message, "remove it");
        }
        (Some(_), None, Some(Some(Place::Secret(_)))) => {}
        (Some(_), None, _) => fields.misses(key),
        (None, Some(_), _) => fields.misses(certificate),
        _ => {}
    }
    let key_file = key_file?;
    let mut settings =
        TlsSettings { insecure: is_insecure?, server_name: server_name?, ..TlsSettings::default() };
    match authority? {
        Some(Place::Text(text)) => settings.ca = Some(text),
        Some(Place::Secret(secret)) => settings.ca_secret = Some(secret),
        None => {}
    }
    match chain? {
        Some(Place::Text(certificate)) => {
            settings.client = key_file.map(|key_file| ClientCertificate {
                certificate,
                key_file,
                key: Secret::default(),
            });
        }
        Some(Place::Secret(SecretKey { secret, .. })) => settings.client_secret = Some(secret),
        None => {}
    }
    if let (true, Some(_), Some(at)) = (settings.insecure, fields.key(ca), fields.key(insecure)) {
        let hint = "remove one of the two";
        fields.cx().error_hint::<()>(at, "`insecure` accepts any certificate, despite `ca`", hint);
    }
    Some(settings)
}

/// A text, a file or a Secret; with the default of its `key`, if it may have another.
fn place(cx: &Cx, node: &Node, default: Option<&str>) -> Option<Place> {
    let named = || {
        let mut fields = Fields::of(cx, node, "a certificate")?;
        let found = fields.one_of(&[("file", file), ("secret", secret)]);
        fields.about_field("file", "A file, relative to the experiment.");
        fields.about_field("secret", "A Secret of the cluster. It is read when the probes start.");
        let namespace = fields
            .doc("The namespace of the Secret, if its name has none.")
            .optional("namespace", dns_label);
        let key = match default {
            Some(default) => {
                fields.doc("The key in the Secret.").or("key", default.to_owned(), sentence)
            }
            None => Some(String::new()),
        };
        let stray = fields.first_key(&OF_SECRETS);
        // Nothing returns before `finish`, which reports what is missing and what is unknown.
        let found = match (found, stray) {
            (Some(Place::Secret(SecretKey { secret, .. })), _) => namespace
                .and_then(|namespace| fields.joined(secret, namespace))
                .zip(key)
                .map(|(secret, key)| Place::Secret(SecretKey { secret, key })),
            (Some(_), Some((name, at))) => cx.error(at, format!("`{name}` is for a `secret` only")),
            (found, _) => found,
        };
        fields.finish();
        found
    };
    cx.reads_also(|| json!({"type": "string"}), named)?;
    match node.value {
        Value::Map(_) => named(),
        _ => text(cx, node).map(|text| Place::Text(FileText { file: None, text })),
    }
}

fn file(cx: &Cx, node: &Node) -> Option<Place> {
    path(cx, node).map(|file| Place::Text(FileText { file: Some(file), text: String::new() }))
}

fn secret(cx: &Cx, node: &Node) -> Option<Place> {
    let secret: ObjectRef = reference::object(cx, node)?;
    Some(Place::Secret(SecretKey { secret, key: String::new() }))
}

fn name_in_certificate(cx: &Cx, node: &Node) -> Option<String> {
    match sentence(cx, node)? {
        name if ServerName::try_from(name.as_str()).is_ok() => Some(name),
        other => {
            let message = format!("{} cannot be in a certificate", quoted(&other));
            cx.error_hint(node.focus(), message, "use a DNS name or an IP address")
        }
    }
}

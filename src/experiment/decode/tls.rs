//! How a probe speaks TLS: the fields that `http` and `tls` have in common.

use rustls::pki_types::ServerName;

use super::fields::{Cx, Fields};
use super::scalar::{flag, named_file, sentence, text_or_file};
use crate::experiment::schema::{ClientCertificate, TlsSettings};
use crate::experiment::tree::{Node, quoted};
use crate::timeline::Secret;

/// The names of these fields.
pub(super) const FIELDS: [&str; 5] =
    ["insecure", "serverName", "ca", "clientCertificate", "clientKey"];

pub(super) fn tls_settings(fields: &mut Fields) -> Option<TlsSettings> {
    let [insecure, server_name, ca, certificate, key] = FIELDS;
    let is_insecure = fields.or(insecure, false, flag);
    let server_name = fields.optional(server_name, name_in_certificate);
    let authority = fields.optional(ca, text_or_file);
    let chain = fields.optional(certificate, text_or_file);
    let key_file = fields.optional(key, named_file);
    match (fields.key(certificate), fields.key(key)) {
        (Some(_), None) => fields.misses(key),
        (None, Some(_)) => fields.misses(certificate),
        _ => {}
    }
    let client = chain?.zip(key_file?);
    let settings = TlsSettings {
        insecure: is_insecure?,
        server_name: server_name?,
        ca: authority?,
        client: client.map(|(certificate, key_file)| ClientCertificate {
            certificate,
            key_file,
            key: Secret::default(),
        }),
    };
    if let (true, Some(_), Some(at)) = (settings.insecure, &settings.ca, fields.key(insecure)) {
        let hint = "remove one of the two";
        fields.cx().error_hint::<()>(at, "`insecure` accepts any certificate, despite `ca`", hint);
    }
    Some(settings)
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

//! Whose health a gRPC probe asks for.

use super::fields::{Cx, Fields};
use super::http::{header_name, ingress_host, refuse_tls_fields};
use super::scalar::{flag, sentence};
use super::target::{self, target};
use super::tls::tls_settings;
use crate::experiment::schema::{Ask, GrpcAsk, HttpAsk};
use crate::experiment::tree::{Node, quoted};

/// Its length fits one byte of the request.
const MAX_NAME: usize = 127;

pub(super) fn grpc(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a `grpc` probe")?;
    let asked = target(
        &mut fields,
        &[
            ("service", target::service),
            ("ingress", target::ingress),
            ("address", target::address),
            ("pod", target::pod),
        ],
    );
    fields.about(
        "The health of a gRPC server (`grpc.health.v1.Health/Check`). Success: it is SERVING.",
    );
    let host = fields.doc(target::HOST).optional("host", target::host);
    let tls = fields.doc("Whether it is probed over TLS.").or("tls", false, flag);
    let health_service = fields
        .doc("The gRPC service whose health is checked. Default: the server as a whole.")
        .or("healthService", String::new(), health_service);
    let backend_header = fields.doc(target::BACKEND_HEADER).optional("backendHeader", header_name);
    let settings = tls_settings(&mut fields);
    let (host_key, of_tls) = (fields.key("host"), fields.first_key(&super::tls::FIELDS));
    fields.finish();
    let mut tls = tls?;
    let target = ingress_host(cx, asked?.0, host?, host_key, &mut tls)?;
    let ask = GrpcAsk {
        target,
        health_service: health_service?,
        backend_header: backend_header?.unwrap_or_else(|| HttpAsk::BACKEND_HEADER.into()),
        tls,
        settings: settings?,
    };
    if !ask.uses_tls() {
        refuse_tls_fields(cx, of_tls, "TLS", "set `tls: true`");
    }
    Some(Ask::Grpc(Box::new(ask)))
}

/// `shop.v1.Checkout`.
fn health_service(cx: &Cx, node: &Node) -> Option<String> {
    let name = sentence(cx, node)?;
    let is_name = name.len() <= MAX_NAME && name.chars().all(|c| c.is_ascii_graphic());
    if is_name {
        return Some(name);
    }
    let message = format!("{} is not the name of a gRPC service", quoted(&name));
    cx.error_hint(node.focus(), message, "one looks like `shop.v1.Checkout`")
}

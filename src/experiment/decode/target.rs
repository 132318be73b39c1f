//! Whom a probe asks.

use super::fields::{Cx, Decode, Fields};
use super::reference;
use super::scalar::{choice, dns_label, port, sentence};
use super::url;
use crate::experiment::schema::{Pods, PortOn, Target, Via};
use crate::experiment::tree::{Node, quoted};
use crate::timeline::ObjectRef;

const VIA: [(&str, Via); 2] =
    [(Via::NodePort.name(), Via::NodePort), (Via::LoadBalancer.name(), Via::LoadBalancer)];

/// What fields are for that several kinds of probes have.
pub(super) const HOST: &str = "The host to request. Default: that of the Ingress's rule if it is the only one, else the address.";
pub(super) const BACKEND_HEADER: &str = "The response header that names the backend. Default: \
                                         `x-backend`. Without it, the backend is unknown.";

/// Whom a probe asks, before `namespace` and `port` have joined it.
pub(super) enum Whom {
    Service(ObjectRef),
    Ingress(ObjectRef),
    Pod(Pods, u16),
    Address(String, u16),
    Url(url::Url),
}

/// What each of the members is, where it is not a mapping that says so itself.
const WHOM: [(&str, &str); 4] = [
    ("service", "A Service."),
    ("ingress", "An Ingress: it is probed at the address of its load balancer."),
    ("address", "An address, `HOST:PORT`."),
    ("url", "A URL."),
];

/// The target, and of a URL its path.
pub(super) fn target(
    fields: &mut Fields,
    members: &[(&'static str, Decode<Whom>)],
) -> Option<(Target, Option<String>)> {
    let whom = fields.one_of(members);
    for (name, about) in WHOM {
        fields.about_field(name, about);
    }
    let namespace = fields
        .doc("The namespace of the object, if its name has none.")
        .optional("namespace", dns_label);
    let port = fields.doc("The port of the Service. Default: its only one.").optional("port", port);
    let via = fields
        .doc(
            "Reach the Service from outside the cluster, through a node's port or its load \
             balancer. Default: by its ClusterIP.",
        )
        .optional("via", |cx, node| choice(cx, node, "`via` value", &VIA));
    let each = fields
        .doc(
            "With `via: nodePort`: probe each node, with a probe for each. Default: a node that no \
             fault hits.",
        )
        .optional("on", |cx, node| choice(cx, node, "`on` value", &[("each", ())]));
    if let Some(key) = fields.key("on").filter(|_| via != Some(Some(Via::NodePort))) {
        return fields.cx().error(key, "`on` is for `via: nodePort` only");
    }
    let whom = whom?;
    if !matches!(whom, Whom::Service(_)) {
        let is_ingress = matches!(whom, Whom::Ingress(_));
        for (name, hint) in [
            ("port", "put the port into the address or URL; a `pod` has its own `port`"),
            ("via", "leave it out"),
            ("namespace", "an address has none, and a `pod` has its own `namespace`"),
        ] {
            if let Some(key) = fields.key(name).filter(|_| name != "namespace" || !is_ingress) {
                let message = format!("`{name}` is for a `service` only");
                return fields.cx().error_hint(key, message, hint);
            }
        }
    }
    Some(match whom {
        Whom::Service(service) => {
            let service = fields.joined(service, namespace?)?;
            let target = match via? {
                None => Target::Service { service, port: port? },
                Some(via) => {
                    let on = each?.map_or(PortOn::Spared, |()| PortOn::Each);
                    Target::Published { service, port: port?, via, on }
                }
            };
            (target, None)
        }
        Whom::Ingress(ingress) => {
            let ingress = fields.joined(ingress, namespace?)?;
            let (service, of_paths) = (None, Vec::new());
            (Target::Ingress { ingress, host: None, tls: false, service, of_paths }, None)
        }
        Whom::Pod(pods, port) => (Target::Pod { pods, port }, None),
        Whom::Address(host, port) => {
            (Target::Address { host, port, tls: false, service: None }, None)
        }
        Whom::Url(url::Url { host, port, tls, path }) => {
            (Target::Address { host, port, tls, service: None }, Some(path))
        }
    })
}

pub(super) fn service(cx: &Cx, node: &Node) -> Option<Whom> {
    reference::service(cx, node).map(Whom::Service)
}

pub(super) fn ingress(cx: &Cx, node: &Node) -> Option<Whom> {
    reference::object(cx, node).map(Whom::Ingress)
}

pub(super) fn host(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match url::address(&format!("{text}:80")) {
        Ok((host, 80)) if host == text => Some(text),
        _ => cx.error(node.focus(), format!("{} is not a host", quoted(&text))),
    }
}

pub(super) fn pod(cx: &Cx, node: &Node) -> Option<Whom> {
    let mut fields = Fields::of(cx, node, "a pod selector")?;
    fields.about("A pod, directly: the first by name of those that are selected.");
    let pods = reference::pods(&mut fields);
    let port = fields.doc("The pod's port.").required("port", port);
    fields.finish();
    Some(Whom::Pod(pods?, port?))
}

pub(super) fn address(cx: &Cx, node: &Node) -> Option<Whom> {
    let text = sentence(cx, node)?;
    match url::address(&text) {
        Ok((host, port)) => Some(Whom::Address(host, port)),
        Err(why) => {
            cx.error_hint(node.focus(), format!("{} is not an address", quoted(&text)), why)
        }
    }
}

pub(super) fn web_address(cx: &Cx, node: &Node) -> Option<Whom> {
    let text = sentence(cx, node)?;
    match url::url(&text) {
        Ok(url) => Some(Whom::Url(url)),
        Err(why) => cx.error_hint(
            node.focus(),
            format!("{} is not a URL that a probe can use", quoted(&text)),
            why,
        ),
    }
}

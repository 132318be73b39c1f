//! Probes: what is asked, from where, how often.

use std::collections::BTreeMap;
use std::time::Duration;

use super::asking;
use super::canary;
use super::duration::{RATES, Rates};
use super::fields::{Cx, Fields};
use super::node::selector;
use super::scalar::{choice, dns_label, flag, labels, port, positive, rate, sentence, texts};
use super::url;
use crate::experiment::schema::{Ask, Connection, From, NodeSelector, Probe, StatusRange, Target};
use crate::experiment::tree::{Node, Value, quoted};
use crate::timeline::NodeRole;

/// What a probe has that says nothing of it.
#[derive(Clone, Copy)]
pub(crate) struct Usual {
    /// Whether it asks from the host; else from a control-plane node.
    pub host: bool,
    /// Attempts a second.
    pub rate: f64,
    /// Those that it may have.
    pub rates: Rates,
    /// The time that an attempt may take.
    pub timeout: Duration,
}

impl Usual {
    fn from(&self) -> From {
        if self.host { From::Host } else { a_control_plane_node() }
    }
}

const USUAL: Usual =
    Usual { host: false, rate: 10.0, rates: RATES, timeout: Duration::from_secs(1) };
const DEFAULT_BACKEND_HEADER: &str = "x-backend";

/// One item of `probes`.
pub(crate) fn probe(cx: &Cx, node: &Node) -> Option<Probe> {
    let mut fields = Fields::of(cx, node, "a probe")?;
    let name = fields.required("name", dns_label);
    let ask = fields.one_of(&[
        ("http", http),
        ("tcp", tcp),
        ("api", asking::api),
        ("dns", asking::dns),
        ("canary", canary::ask),
    ]);
    let of_api = matches!(ask, Some(Ask::Api { .. }));
    let usual = if fields.key("canary").is_some() {
        canary::usual(ask.as_ref())
    } else {
        Usual { host: of_api, ..USUAL }
    };
    let from = fields.or("from", usual.from(), from);
    if let (true, Some(From::Node(_) | From::Pod { .. }), Some(key)) =
        (of_api, &from, fields.key("from"))
    {
        let hint = "leave `from` out; `server: each` asks every API server at its own address";
        cx.error_hint::<()>(
            key,
            "an `api` probe asks from this machine: its credentials stay here",
            hint,
        );
    }
    let connection = fields.or("connection", Connection::New, connection);
    let rate = fields.or("rate", usual.rate, |cx, node| rate(cx, node, usual.rates));
    let timeout = fields.or("timeout", usual.timeout, positive);
    if fields.key("canary").is_some() {
        canary::refuse_place(cx, &fields);
    }
    fields.finish();
    Some(Probe {
        name: name?,
        ask: ask?,
        from: from?,
        connection: connection?,
        rate: rate?,
        timeout: timeout?,
    })
}

fn http(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "an http question")?;
    let whom = fields.one_of(&[("service", service), ("url", web_address), ("pod", pod)]);
    let port = fields.optional("port", port);
    let path = fields.optional("path", path);
    let success = fields.or("success", StatusRange::default(), status_range);
    let headers = fields.or("headers", BTreeMap::new(), headers);
    let backend_header = fields.or("backendHeader", DEFAULT_BACKEND_HEADER.into(), header_name);
    let insecure = fields.or("insecure", false, flag);
    let (port_key, path_key, insecure_key) =
        (fields.key("port"), fields.key("path"), fields.key("insecure"));
    fields.finish();
    let whom = whom?;
    if let (Whom::Url(_), Some(key), Some(Some(_))) = (&whom, path_key, &path) {
        cx.error_hint::<()>(key, "a `url` has its path already", "put the path into the `url`");
    }
    if let (false, Some(key)) = (matches!(&whom, Whom::Url(url) if url.tls), insecure_key) {
        cx.error::<()>(key, "`insecure` is for `https` URLs only");
    }
    let (target, url_path) = target(cx, whom, port?, port_key)?;
    let path = path?.or(url_path).unwrap_or_else(|| "/".into());
    Some(Ask::Http {
        target,
        path,
        success: success?,
        headers: headers?,
        backend_header: backend_header?,
        insecure: insecure?,
    })
}

fn tcp(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a tcp question")?;
    let whom = fields.one_of(&[("service", service), ("address", address), ("pod", pod)]);
    let port = fields.optional("port", port);
    let port_key = fields.key("port");
    fields.finish();
    Some(Ask::Tcp { target: target(cx, whom?, port?, port_key)?.0 })
}

/// Whom a probe asks, before `port` has joined it.
enum Whom {
    Service(String),
    Pod(BTreeMap<String, String>, u16),
    Address(String, u16),
    Url(url::Url),
}

/// The target, and of a URL its path.
fn target(
    cx: &Cx,
    whom: Whom,
    port: Option<u16>,
    key: Option<crate::experiment::Span>,
) -> Option<(Target, Option<String>)> {
    if let (false, Some(_), Some(key)) = (matches!(whom, Whom::Service(_)), port, key) {
        return cx.error_hint(
            key,
            "`port` here is for a `service` only",
            "an address has its port, and a `pod` takes `port` inside",
        );
    }
    Some(match whom {
        Whom::Service(name) => (Target::Service { name, port }, None),
        Whom::Pod(labels, port) => (Target::Pod { labels, port }, None),
        Whom::Address(host, port) => (Target::Address { host, port, tls: false }, None),
        Whom::Url(url) => {
            (Target::Address { host: url.host, port: url.port, tls: url.tls }, Some(url.path))
        }
    })
}

fn service(cx: &Cx, node: &Node) -> Option<Whom> {
    dns_label(cx, node).map(Whom::Service)
}

fn pod(cx: &Cx, node: &Node) -> Option<Whom> {
    let mut fields = Fields::of(cx, node, "a choice of pods")?;
    let labels = fields.required("labels", labels);
    let port = fields.required("port", port);
    fields.finish();
    Some(Whom::Pod(labels?, port?))
}

fn address(cx: &Cx, node: &Node) -> Option<Whom> {
    let text = sentence(cx, node)?;
    match url::address(&text) {
        Ok((host, port)) => Some(Whom::Address(host, port)),
        Err(why) => cx.error_hint(node.focus(), format!("{} is no address", quoted(&text)), why),
    }
}

fn web_address(cx: &Cx, node: &Node) -> Option<Whom> {
    let text = sentence(cx, node)?;
    match url::url(&text) {
        Ok(url) => Some(Whom::Url(url)),
        Err(why) => cx.error_hint(
            node.focus(),
            format!("{} is no URL that can be asked", quoted(&text)),
            why,
        ),
    }
}

fn path(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match url::path_problem(&text) {
        None => Some(text),
        Some(why) => cx.error_hint(node.focus(), format!("{} is no path", quoted(&text)), why),
    }
}

/// `200-399`, or one status.
fn status_range(cx: &Cx, node: &Node) -> Option<StatusRange> {
    let text = node.text().unwrap_or_default();
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if 100 <= from && from <= to && to <= 599 => {
            Some(StatusRange { from, to })
        }
        _ => cx.expected(node, "statuses such as `200-399`, or one such as `200`"),
    }
}

fn headers(cx: &Cx, node: &Node) -> Option<BTreeMap<String, String>> {
    const OURS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];
    let headers = texts(cx, node)?;
    let problem = |(name, value): (&String, &String)| {
        let at = node.get(name).map_or(node.focus(), |value| value.key.unwrap_or(value.span));
        if !is_header_name(name) {
            return cx.error(at, format!("{} can't be the name of a header", quoted(name)));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return cx.error(at, format!("the header {} is set by the probe itself", quoted(name)));
        }
        if value.contains(|c: char| c.is_control()) {
            return cx.error(
                at,
                format!("the value of {} has characters that a header can't carry", quoted(name)),
            );
        }
        Some(())
    };
    let fine: Vec<Option<()>> = headers.iter().map(problem).collect();
    fine.into_iter().collect::<Option<()>>().map(|()| headers)
}

fn header_name(cx: &Cx, node: &Node) -> Option<String> {
    match sentence(cx, node)? {
        name if is_header_name(&name) => Some(name.to_ascii_lowercase()),
        name => cx.error(node.focus(), format!("{} can't be the name of a header", quoted(&name))),
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn a_control_plane_node() -> From {
    From::Node(NodeSelector { role: Some(NodeRole::ControlPlane), ..NodeSelector::default() })
}

/// `host`, or a node or pod.
fn from(cx: &Cx, node: &Node) -> Option<From> {
    match &node.value {
        Value::Scalar { .. } => match node.text() {
            Some("host") => Some(From::Host),
            _ => {
                let hint = "write `host`, or `{node: {role: control-plane}}`, or `{pod: {labels: {app: client}}}`";
                cx.error_hint(
                    node.focus(),
                    format!("{} is no place to ask from", node.described()),
                    hint,
                )
            }
        },
        _ => cx.union(
            node,
            "a place to ask from",
            &[("node", from_node), ("pod", from_pod), ("host", from_host)],
        ),
    }
}

fn from_node(cx: &Cx, node: &Node) -> Option<From> {
    let selector = selector(cx, node)?;
    if selector.role == Some(NodeRole::ExternalLoadBalancer) {
        return cx.error(
            node.focus(),
            "a probe can't ask from the load balancer, which is no node of Kubernetes",
        );
    }
    Some(From::Node(selector))
}

fn from_pod(cx: &Cx, node: &Node) -> Option<From> {
    let mut fields = Fields::of(cx, node, "a choice of pods")?;
    let labels = fields.required("labels", labels);
    fields.finish();
    Some(From::Pod { labels: labels? })
}

fn from_host(cx: &Cx, node: &Node) -> Option<From> {
    cx.error_hint(node.key.unwrap_or(node.span), "the host has no settings", "write `from: host`")
}

fn connection(cx: &Cx, node: &Node) -> Option<Connection> {
    choice(cx, node, "connection", &[("new", Connection::New), ("reused", Connection::Reused)])
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    fn ask(yaml: &str) -> Ask {
        let (found, problems) = decoded(&format!("{{name: a, {yaml}}}"), probe);
        assert_eq!(problems, "");
        found.unwrap().ask
    }

    fn wrong(yaml: &str) -> String {
        let (_, problems) = decoded(&format!("{{name: a, {yaml}}}"), probe);
        problems.split_once("error: ").map_or(String::new(), |(_, message)| message.to_owned())
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let (found, problems) = decoded("{name: web, http: {service: web}}", probe);
        assert_eq!(problems, "");
        let target = Target::Service { name: "web".into(), port: None };
        let ask = Ask::Http {
            target,
            path: "/".into(),
            success: StatusRange { from: 200, to: 399 },
            headers: BTreeMap::new(),
            backend_header: "x-backend".into(),
            insecure: false,
        };
        let (connection, timeout) = (Connection::New, Duration::from_secs(1));
        assert_eq!(
            found,
            Some(Probe {
                name: "web".into(),
                ask,
                from: a_control_plane_node(),
                connection,
                rate: 10.0,
                timeout
            })
        );
    }

    #[test]
    fn each_kind_of_target_is_understood() {
        let target = |yaml: &str| ask(yaml).target().cloned().unwrap();
        let labels = || [("app".to_owned(), "web".to_owned())].into();
        assert_eq!(
            target("http: {service: web, port: 80}"),
            Target::Service { name: "web".into(), port: Some(80) }
        );
        assert_eq!(
            target("http: {pod: {labels: {app: web}, port: 8080}, path: /x}"),
            Target::Pod { labels: labels(), port: 8080 }
        );
        assert_eq!(
            target("http: {url: \"https://example.com/x\", insecure: true}"),
            Target::Address { host: "example.com".into(), port: 443, tls: true }
        );
        assert_eq!(
            target("tcp: {service: web}"),
            Target::Service { name: "web".into(), port: None }
        );
        assert_eq!(
            target("tcp: {address: \"db:5432\"}"),
            Target::Address { host: "db".into(), port: 5432, tls: false }
        );
        assert_eq!(
            target("tcp: {pod: {labels: {app: web}, port: 1}}"),
            Target::Pod { labels: labels(), port: 1 }
        );
    }

    #[test]
    fn a_url_brings_its_path() {
        let Ask::Http { path, .. } = ask("http: {url: \"http://x/a?b=c\"}") else {
            panic!("not http")
        };
        assert_eq!(path, "/a?b=c");
    }

    #[test]
    fn success_is_a_status_or_a_range() {
        let success = |text: &str| match ask(&format!("http: {{service: web, success: {text}}}")) {
            Ask::Http { success, .. } => (success.from, success.to),
            _ => panic!("not http"),
        };
        assert_eq!((success("200"), success("200-204")), ((200, 200), (200, 204)));
        for bad in ["99", "600", "300-200", "ok", "200-", "[200]"] {
            assert!(
                wrong(&format!("http: {{service: web, success: {bad}}}"))
                    .starts_with("expected statuses"),
                "{bad}"
            );
        }
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        assert!(
            wrong("http: {url: \"http://x/\", path: /y}")
                .starts_with("a `url` has its path already")
        );
        assert!(
            wrong("http: {url: \"http://x/\", port: 81}")
                .starts_with("`port` here is for a `service` only")
        );
        assert!(
            wrong("http: {service: web, insecure: true}")
                .starts_with("`insecure` is for `https` URLs only")
        );
        assert!(
            wrong("http: {service: web}, tcp: {service: web}")
                .starts_with("a probe takes only one of")
        );
        assert!(
            wrong("http: {service: web, url: \"http://x\"}")
                .starts_with("an http question takes only one of")
        );
    }

    #[test]
    fn headers_that_break_the_request_are_refused() {
        assert!(
            wrong("http: {service: web, headers: {Host: x}}").contains("set by the probe itself")
        );
        assert!(
            wrong("http: {service: web, headers: {\"a b\": x}}")
                .contains("can't be the name of a header")
        );
        assert!(wrong("http: {service: web, headers: {a: \"x\\ny\"}}").contains("can't carry"));
    }

    #[test]
    fn a_probe_asks_from_a_node_a_pod_or_the_host() {
        let from = |yaml: &str| {
            decoded(&format!("{{name: a, tcp: {{service: web}}, from: {yaml}}}"), probe)
        };
        assert_eq!(from("host").0.unwrap().from, From::Host);
        assert_eq!(
            from("{pod: {labels: {app: c}}}").0.unwrap().from,
            From::Pod { labels: [("app".into(), "c".into())].into() }
        );
        assert!(matches!(
            from("{node: {name: n}}").0.unwrap().from,
            From::Node(NodeSelector { name: Some(_), .. })
        ));
        assert!(from("laptop").1.contains("is no place to ask from"));
        assert!(from("{host: {}}").1.contains("write `from: host`"));
        assert!(from("{node: {role: external-load-balancer}}").1.contains("no node of Kubernetes"));
    }
}

//! What a probe asks: the fields of each kind.

use std::collections::BTreeMap;

use serde_json::json;

use super::fields::{Cx, Decode, Fields};
use super::reference;
use super::scalar::{choice, dns_label, flag, port, sentence, texts};
use super::url;
use crate::experiment::schema::{
    ApiServer, ApiVerb, Ask, Canary, DnsName, Pods, StatusRange, Target, Via,
};
use crate::experiment::tree::{Node, quoted};
use crate::timeline::ObjectRef;

pub(crate) const KINDS: [(&str, Decode<Ask>); 6] =
    [("http", http), ("tcp", tcp), ("tls", tls), ("api", api), ("dns", dns), ("canary", canary)];
const DEFAULT_BACKEND_HEADER: &str = "x-backend";
const VERBS: [(&str, ApiVerb); 3] =
    [("read", ApiVerb::Read), ("readCached", ApiVerb::ReadCached), ("write", ApiVerb::Write)];
const VIA: [(&str, Via); 2] =
    [(Via::NodePort.name(), Via::NodePort), (Via::LoadBalancer.name(), Via::LoadBalancer)];
const MAX_DNS_NAME: usize = 253;
const CANARIES: [(&str, Canary); 3] = [
    (Canary::Scheduling.name(), Canary::Scheduling),
    (Canary::Reconciliation.name(), Canary::Reconciliation),
    (Canary::Autoscaling.name(), Canary::Autoscaling),
];

fn http(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "an `http` probe")?;
    let asked = target(
        &mut fields,
        &[("service", service), ("ingress", ingress), ("url", web_address), ("pod", pod)],
    );
    let host = fields.optional("host", host);
    let tls = fields.optional("tls", flag);
    let path = fields.optional("path", path);
    let success = fields.or("success", StatusRange::default(), status_range);
    let headers = fields.or("headers", BTreeMap::new(), headers);
    let backend_header = fields.or("backendHeader", DEFAULT_BACKEND_HEADER.into(), header_name);
    let insecure = fields.or("insecure", false, flag);
    let (path_key, insecure_key) = (fields.key("path"), fields.key("insecure"));
    let of_ingress = fields.key("host").or(fields.key("tls"));
    if fields.key("ingress").is_some() && fields.key("host").is_none() {
        fields.misses("host");
    }
    fields.finish();
    let (target, url_path) = asked?;
    let target = match (target, of_ingress) {
        (Target::Ingress { ingress, .. }, _) => {
            Target::Ingress { ingress, host: host??, tls: tls?.unwrap_or(false) }
        }
        (_, Some(key)) => return cx.error(key, "`host` and `tls` are for an `ingress` only"),
        (other, None) => other,
    };
    if let (Some(_), Some(key), Some(Some(_))) = (&url_path, path_key, &path) {
        cx.error_hint::<()>(key, "a `url` already has its path", "put the path into the `url`");
    }
    let by_tls =
        matches!(target, Target::Address { tls: true, .. } | Target::Ingress { tls: true, .. });
    if let (false, Some(key)) = (by_tls, insecure_key) {
        cx.error::<()>(key, "`insecure` is for `https` URLs only");
    }
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

const TCP_TARGETS: [(&str, Decode<Whom>); 3] =
    [("service", service), ("address", address), ("pod", pod)];

fn tcp(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a `tcp` probe")?;
    let asked = target(&mut fields, &TCP_TARGETS);
    fields.finish();
    Some(Ask::Tcp { target: asked?.0 })
}

fn tls(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a `tls` probe")?;
    let asked = target(&mut fields, &TCP_TARGETS);
    let server_name = fields.optional("serverName", sentence);
    let insecure = fields.or("insecure", false, flag);
    fields.finish();
    Some(Ask::Tls { target: asked?.0, server_name: server_name?, insecure: insecure? })
}

/// Whom a probe asks, before `namespace` and `port` have joined it.
enum Whom {
    Service(ObjectRef),
    Ingress(ObjectRef),
    Pod(Pods, u16),
    Address(String, u16),
    Url(url::Url),
}

/// The target, and of a URL its path.
fn target(
    fields: &mut Fields,
    members: &[(&'static str, Decode<Whom>)],
) -> Option<(Target, Option<String>)> {
    let whom = fields.one_of(members);
    let namespace = fields.optional("namespace", dns_label);
    let port = fields.optional("port", port);
    let via = fields.optional("via", |cx, node| choice(cx, node, "way to a Service", &VIA));
    let whom = whom?;
    if !matches!(whom, Whom::Service(_)) {
        let is_ingress = matches!(whom, Whom::Ingress(_));
        for (name, hint) in [
            ("port", "an address has its port, and a `pod` takes `port` inside"),
            ("via", "leave it out"),
            ("namespace", "an address has none, and a `pod` takes `namespace` inside"),
        ] {
            if let Some(key) = fields.key(name).filter(|_| name != "namespace" || !is_ingress) {
                let message = format!("`{name}` here is for a `service` only");
                return fields.cx().error_hint(key, message, hint);
            }
        }
    }
    Some(match whom {
        Whom::Service(service) => {
            let service = fields.joined(service, namespace?)?;
            let target = match via? {
                None => Target::Service { service, port: port? },
                Some(via) => Target::Published { service, port: port?, via },
            };
            (target, None)
        }
        Whom::Ingress(ingress) => {
            let ingress = fields.joined(ingress, namespace?)?;
            (Target::Ingress { ingress, host: String::new(), tls: false }, None)
        }
        Whom::Pod(pods, port) => (Target::Pod { pods, port }, None),
        Whom::Address(host, port) => (Target::Address { host, port, tls: false }, None),
        Whom::Url(url) => {
            (Target::Address { host: url.host, port: url.port, tls: url.tls }, Some(url.path))
        }
    })
}

fn service(cx: &Cx, node: &Node) -> Option<Whom> {
    reference::service(cx, node).map(Whom::Service)
}

fn ingress(cx: &Cx, node: &Node) -> Option<Whom> {
    reference::object(cx, node).map(Whom::Ingress)
}

fn host(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match url::address(&format!("{text}:80")) {
        Ok((host, 80)) if host == text => Some(text),
        _ => cx.error(node.focus(), format!("{} is not a host", quoted(&text))),
    }
}

fn pod(cx: &Cx, node: &Node) -> Option<Whom> {
    let mut fields = Fields::of(cx, node, "a pod selector")?;
    let pods = reference::pods(&mut fields);
    let port = fields.required("port", port);
    fields.finish();
    Some(Whom::Pod(pods?, port?))
}

fn address(cx: &Cx, node: &Node) -> Option<Whom> {
    let text = sentence(cx, node)?;
    match url::address(&text) {
        Ok((host, port)) => Some(Whom::Address(host, port)),
        Err(why) => {
            cx.error_hint(node.focus(), format!("{} is not an address", quoted(&text)), why)
        }
    }
}

fn web_address(cx: &Cx, node: &Node) -> Option<Whom> {
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

fn path(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    match url::path_problem(&text) {
        None => Some(text),
        Some(why) => cx.error_hint(node.focus(), format!("{} is not a path", quoted(&text)), why),
    }
}

/// `200-399`, or one status.
fn status_range(cx: &Cx, node: &Node) -> Option<StatusRange> {
    cx.reads(|| json!({"type": ["string", "integer"]}))?;
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
            return cx.error(at, format!("{} cannot be the name of a header", quoted(name)));
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return cx.error(at, format!("the header {} is set by the probe itself", quoted(name)));
        }
        if value.contains(|c: char| c.is_control()) {
            return cx.error(
                at,
                format!("the value of {} has characters that a header cannot carry", quoted(name)),
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
        name => cx.error(node.focus(), format!("{} cannot be the name of a header", quoted(&name))),
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

fn api(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields =
        Fields::of_or(cx, node, "an `api` probe", |text| format!("api: {{verb: {text}}}"))?;
    let verb = fields.required("verb", |cx, node| choice(cx, node, "verb", &VERBS));
    let server = fields.or("server", ApiServer::Balancer, server);
    fields.finish();
    Some(Ask::Api { verb: verb?, server: server? })
}

fn server(cx: &Cx, node: &Node) -> Option<ApiServer> {
    let each = choice(cx, node, "API server", &[("balancer", false), ("each", true)])?;
    Some(if each { ApiServer::Each } else { ApiServer::Balancer })
}

fn dns(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields =
        Fields::of_or(cx, node, "a `dns` probe", |text| format!("dns: {{service: {text}}}"))?;
    let name = fields.one_of(&[
        ("service", |cx, node| reference::service(cx, node).map(DnsName::Service)),
        ("name", full),
    ]);
    let namespace = fields.optional("namespace", dns_label);
    let cached = fields.or("cached", false, flag);
    let name = match name {
        Some(DnsName::Service(service)) => {
            Some(DnsName::Service(fields.joined(service, namespace?)?))
        }
        full => match fields.key("namespace").filter(|_| full.is_some()) {
            Some(key) => cx.error(key, "`namespace` is for a `service` only"),
            None => full,
        },
    };
    fields.finish();
    Some(Ask::Dns { name: name?, cached: cached? })
}

/// A name in full. A label may hold more than a host's name may (`_http._tcp.web`).
fn full(cx: &Cx, node: &Node) -> Option<DnsName> {
    let text = sentence(cx, node)?;
    let name = text.strip_suffix('.').unwrap_or(&text);
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if name.len() <= MAX_DNS_NAME && name.split('.').all(fine) {
        return Some(DnsName::Full(name.to_ascii_lowercase()));
    }
    cx.error_hint(
        node.focus(),
        format!("{} is not a valid DNS name", quoted(&text)),
        "a full name looks like `kubernetes.default.svc.cluster.local`",
    )
}

/// `scheduling`, `reconciliation` or `autoscaling`.
fn canary(cx: &Cx, node: &Node) -> Option<Ask> {
    choice(cx, node, "canary", &CANARIES).map(Ask::Canary)
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::super::probe::probe;
    use super::*;
    use crate::experiment::schema::From;
    use crate::timeline::ProbeKind;

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
    fn every_kind_has_its_fields() {
        let names = KINDS.map(|(name, _)| name);
        assert!(names.into_iter().eq(ProbeKind::ALL.iter().map(ProbeKind::name)));
    }

    #[test]
    fn each_kind_of_target_is_understood() {
        let target = |yaml: &str| ask(yaml).target().cloned().unwrap();
        let pods = || Pods::labelled([("app", "web")]);
        assert_eq!(
            target("http: {service: web, port: 80}"),
            Target::Service { service: "web".into(), port: Some(80) }
        );
        assert_eq!(
            target("http: {pod: {labels: {app: web}, port: 8080}, path: /x}"),
            Target::Pod { pods: pods(), port: 8080 }
        );
        assert_eq!(
            target("http: {url: \"https://example.com/x\", insecure: true}"),
            Target::Address { host: "example.com".into(), port: 443, tls: true }
        );
        assert_eq!(
            target("tcp: {service: web}"),
            Target::Service { service: "web".into(), port: None }
        );
        assert_eq!(
            target("tcp: {address: \"db:5432\"}"),
            Target::Address { host: "db".into(), port: 5432, tls: false }
        );
        assert_eq!(
            target("tcp: {pod: {labels: {app: web}, port: 1}}"),
            Target::Pod { pods: pods(), port: 1 }
        );
        assert_eq!(
            target("tls: {service: web, port: 443}"),
            Target::Service { service: "web".into(), port: Some(443) }
        );
    }

    #[test]
    fn a_tls_question_names_the_certificate_only_where_it_differs() {
        let Ask::Tls { server_name, insecure, .. } = ask("tls: {address: \"db:5432\"}") else {
            panic!("not tls")
        };
        assert_eq!((server_name, insecure), (None, false));
        let named = ask("tls: {service: web, serverName: web.test, insecure: true}");
        assert!(
            matches!(named, Ask::Tls { server_name: Some(name), insecure: true, .. } if name == "web.test")
        );
        assert!(wrong("tls: {service: web, path: /}").contains("path"));
    }

    #[test]
    fn a_service_or_ingress_is_asked_from_outside() {
        let target = |yaml: &str| ask(yaml).target().cloned().unwrap();
        let (service, port) = ("shop/front".into(), Some(80));
        assert_eq!(
            target("http: {service: shop/front, port: 80, via: nodePort}"),
            Target::Published { service, port, via: Via::NodePort }
        );
        assert_eq!(
            target("tcp: {service: front, namespace: shop, via: loadBalancer}"),
            Target::Published { service: "shop/front".into(), port: None, via: Via::LoadBalancer }
        );
        let (ingress, host) = ("shop/front".into(), "shop.example.test".into());
        assert_eq!(
            target(
                "http: {ingress: shop/front, host: shop.example.test, tls: true, insecure: true}"
            ),
            Target::Ingress { ingress, host, tls: true }
        );
        assert!(wrong("http: {ingress: shop/front}").contains("needs `host`"));
        assert!(wrong("http: {service: web, host: a.test}").contains("for an `ingress` only"));
        assert!(wrong("http: {url: \"http://x\", via: nodePort}").contains("for a `service` only"));
        assert!(wrong("http: {ingress: a, host: \"a b\"}").contains("is not a host"));
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
                .starts_with("a `url` already has its path")
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
                .starts_with("an `http` probe takes only one of")
        );
    }

    #[test]
    fn headers_that_break_the_request_are_refused() {
        assert!(
            wrong("http: {service: web, headers: {Host: x}}").contains("set by the probe itself")
        );
        assert!(
            wrong("http: {service: web, headers: {\"a b\": x}}")
                .contains("cannot be the name of a header")
        );
        assert!(wrong("http: {service: web, headers: {a: \"x\\ny\"}}").contains("cannot carry"));
    }

    #[test]
    fn the_api_servers_are_asked_from_here() {
        let (found, problems) = decoded("{name: a, api: {verb: readCached, server: each}}", probe);
        assert_eq!(problems, "");
        let found = found.unwrap();
        assert_eq!(
            (found.ask, found.from),
            (Ask::Api { verb: ApiVerb::ReadCached, server: ApiServer::Each }, From::Host)
        );
        let (found, _) = decoded("{name: a, api: {verb: write}, from: host}", probe);
        assert_eq!(
            found.unwrap().ask,
            Ask::Api { verb: ApiVerb::Write, server: ApiServer::Balancer }
        );
        let (_, problems) =
            decoded("{name: a, api: {verb: read}, from: {node: {role: worker}}}", probe);
        assert!(
            problems.contains("runs on this machine: its credentials stay here (leave `from` out"),
            "{problems}"
        );
    }

    #[test]
    fn names_are_of_services_or_in_full() {
        let ask = |yaml: &str| decoded(&format!("{{name: a, dns: {yaml}}}"), probe).0.unwrap().ask;
        assert_eq!(
            ask("{service: web}"),
            Ask::Dns { name: DnsName::Service("web".into()), cached: false }
        );
        let name = DnsName::Full("_http._tcp.web.local".into());
        assert_eq!(
            ask("{name: _http._tcp.Web.local., cached: true}"),
            Ask::Dns { name, cached: true }
        );
    }

    #[test]
    fn mistakes_are_reported() {
        let wrong = |yaml: &str| decoded(&format!("{{name: a, {yaml}}}"), probe).1;
        assert!(wrong("api: {verb: list}").contains("list"), "{}", wrong("api: {verb: list}"));
        assert!(
            wrong("api: read").contains("(write `api: {verb: read}`)"),
            "{}",
            wrong("api: read")
        );
        assert!(
            wrong("dns: web").contains("(write `dns: {service: web}`)"),
            "{}",
            wrong("dns: web")
        );
        assert!(wrong("api: {}").contains("an `api` probe needs `verb`"));
        assert!(
            wrong("api: {verb: read, server: all}").contains("`each`"),
            "{}",
            wrong("api: {verb: read, server: all}")
        );
        assert!(wrong("dns: {name: \"a b\"}").contains("is not a valid DNS name"));
        assert!(wrong("dns: {service: a, name: b}").contains("a `dns` probe takes only one of"));
        assert!(
            wrong("dns: {cached: true}")
                .contains("a `dns` probe needs one of `service` and `name`")
        );
    }
}

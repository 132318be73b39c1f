//! What a probe asks: the fields of each kind.

use super::fields::{Cx, Decode, Fields};
use super::grpc::grpc;
use super::http::http;
use super::reference;
use super::scalar::{choice, dns_label, flag, sentence};
use super::target::{self, Whom, target};
use super::tls::tls_settings;
use crate::experiment::schema::{ApiServer, ApiVerb, Ask, Canary, DnsName};
use crate::experiment::tree::{Node, quoted};

pub(crate) const KINDS: [(&str, Decode<Ask>); 7] = [
    ("http", http),
    ("tcp", tcp),
    ("tls", tls),
    ("grpc", grpc),
    ("api", api),
    ("dns", dns),
    ("canary", canary),
];
const VERBS: [(&str, ApiVerb); 3] =
    [("read", ApiVerb::Read), ("readCached", ApiVerb::ReadCached), ("write", ApiVerb::Write)];
const MAX_DNS_NAME: usize = 253;
const CANARIES: [(&str, Canary); 3] = [
    (Canary::Scheduling.name(), Canary::Scheduling),
    (Canary::Reconciliation.name(), Canary::Reconciliation),
    (Canary::Autoscaling.name(), Canary::Autoscaling),
];

const TCP_TARGETS: [(&str, Decode<Whom>); 3] =
    [("service", target::service), ("address", target::address), ("pod", target::pod)];

fn tcp(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a `tcp` probe")?;
    fields.about(
        "A TCP connection, opened and closed. With `connection: reused` it is kept, and checked to \
         be still open.",
    );
    let asked = target(&mut fields, &TCP_TARGETS);
    fields.finish();
    Some(Ask::Tcp { target: asked?.0 })
}

fn tls(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields = Fields::of(cx, node, "a `tls` probe")?;
    fields.about("A TLS connection, opened and closed. Success: the handshake completes.");
    let asked = target(&mut fields, &TCP_TARGETS);
    let settings = tls_settings(&mut fields);
    fields.finish();
    Some(Ask::Tls { target: asked?.0, settings: Box::new(settings?) })
}

fn api(cx: &Cx, node: &Node) -> Option<Ask> {
    let mut fields =
        Fields::of_or(cx, node, "an `api` probe", |text| format!("api: {{verb: {text}}}"))?;
    fields.about(
        "The API server, from this machine, with the kubeconfig's credentials. Success: 2xx.",
    );
    let verb = fields
        .doc("Reads or changes a small object. `read` and `write` go through etcd; `readCached` does not.")
        .required("verb", |cx, node| choice(cx, node, "verb", &VERBS));
    let server = fields
        .doc(
            "The kubeconfig's server, or each API server at its own address, with a probe for each.",
        )
        .or("server", ApiServer::Balancer, server);
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
    fields.about("The cluster's DNS. Success: an answer with an address.");
    let name = fields.one_of(&[
        ("service", |cx, node| reference::service(cx, node).map(DnsName::Service)),
        ("name", full),
    ]);
    fields.about_field("service", "The Service whose name is looked up.");
    fields.about_field("name", "A fully qualified DNS name: no search domain is tried.");
    let namespace = fields
        .doc("The namespace of the Service, if its name has none.")
        .optional("namespace", dns_label);
    let cached = fields
        .doc("Whether an answer is used again until its TTL ends, as a client with a cache does.")
        .or("cached", false, flag);
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
    use crate::experiment::schema::{
        BodyJson, FileText, From, HttpAsk, Method, Pods, PortOn, SecretKey, Target, TlsSettings,
        Via,
    };
    use crate::timeline::ProbeKind;

    fn ask(yaml: &str) -> Ask {
        let (found, problems) = decoded(&format!("{{name: a, {yaml}}}"), probe);
        assert_eq!(problems, "");
        found.unwrap().ask
    }

    fn http(fields: &str) -> HttpAsk {
        match ask(&format!("http: {{{fields}}}")) {
            Ask::Http(http) => *http,
            _ => panic!("not http"),
        }
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
            Target::Address { host: "example.com".into(), port: 443, tls: true, service: None }
        );
        assert_eq!(
            target("tcp: {service: web}"),
            Target::Service { service: "web".into(), port: None }
        );
        assert_eq!(
            target("tcp: {address: \"db:5432\"}"),
            Target::Address { host: "db".into(), port: 5432, tls: false, service: None }
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
        let settings = |yaml: &str| match ask(yaml) {
            Ask::Tls { settings, .. } => *settings,
            _ => panic!("not tls"),
        };
        assert_eq!(settings("tls: {address: \"db:5432\"}"), TlsSettings::default());
        let TlsSettings { server_name, insecure, .. } =
            settings("tls: {service: web, serverName: web.test, insecure: true}");
        assert_eq!((server_name.as_deref(), insecure), (Some("web.test"), true));
        assert!(wrong("tls: {service: web, path: /}").contains("path"));
    }

    #[test]
    fn a_service_or_ingress_is_asked_from_outside() {
        let target = |yaml: &str| ask(yaml).target().cloned().unwrap();
        let (service, port) = ("shop/front".into(), Some(80));
        assert_eq!(
            target("http: {service: shop/front, port: 80, via: nodePort}"),
            Target::Published { service, port, via: Via::NodePort, on: PortOn::Spared }
        );
        assert_eq!(
            target("tcp: {service: front, namespace: shop, via: loadBalancer}"),
            Target::Published {
                service: "shop/front".into(),
                port: None,
                via: Via::LoadBalancer,
                on: PortOn::Spared
            }
        );
        let (ingress, host) = ("shop/front".into(), Some("shop.example.test".into()));
        assert_eq!(
            target(
                "http: {ingress: shop/front, host: shop.example.test, tls: true, insecure: true}"
            ),
            Target::Ingress { ingress, host, tls: true, service: None, of_paths: Vec::new() }
        );
        let Ask::Http(http) = ask("http: {ingress: shop/front}") else { panic!("not http") };
        assert_eq!(http.path, "", "that of its rule");
        let each = target("http: {service: shop/front, via: nodePort, on: each}");
        assert!(matches!(each, Target::Published { on: PortOn::Each, .. }), "{each:?}");
        for yaml in ["via: loadBalancer, on: each", "on: each"] {
            let wrong = wrong(&format!("tcp: {{service: a, {yaml}}}"));
            assert!(wrong.contains("`on` is for `via: nodePort` only"), "{wrong}");
        }
        assert!(wrong("http: {service: web, host: a.test}").contains("for an `ingress` only"));
        assert!(wrong("http: {url: \"http://x\", via: nodePort}").contains("for a `service` only"));
        assert!(wrong("http: {ingress: a, host: \"a b\"}").contains("is not a host"));
    }

    #[test]
    fn a_url_brings_its_path() {
        assert_eq!(http("url: \"http://x/a?b=c\"").path, "/a?b=c");
    }

    #[test]
    fn success_is_a_status_or_a_range() {
        let success = |text: &str| {
            let success = http(&format!("service: web, success: {text}")).success;
            (success.from, success.to)
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
                .starts_with("`port` is for a `service` only")
        );
        assert!(
            wrong("http: {service: web, insecure: true}").starts_with("`insecure` needs HTTPS")
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
    fn a_request_has_a_method_a_body_and_paths_in_turn() {
        let plain = http("service: web");
        assert_eq!((plain.method, plain.paths()), (Method::Get, &["/".to_owned()][..]));
        let post = http("service: web, method: POST, body: '{\"id\": 1}', paths: [/a, /b]");
        assert_eq!((post.method, post.paths()), (Method::Post, &["/a".into(), "/b".into()][..]));
        assert_eq!(post.body, Some(FileText { file: None, text: "{\"id\": 1}".into() }));
        let file = http("service: web, method: PUT, body: {file: a.json}, paths: [/only]");
        assert_eq!(file.body, Some(FileText { file: Some("a.json".into()), text: String::new() }));
        assert_eq!((file.path.as_str(), file.paths.len()), ("/only", 0));
        assert_eq!(http("url: \"http://x\", paths: [/a, /b]").paths().len(), 2);
        for (bad, why) in [
            ("service: web, method: post", "did you mean `POST`?"),
            (
                "service: web, method: POST, body: {id: 1}",
                "a body is a text, not a mapping (quote it",
            ),
            ("service: web, method: POST, body: {fiel: a}", "did you mean `file`?"),
            ("service: web, paths: []", "expected a list of paths"),
            ("service: web, paths: [a]", "`a` is not a path"),
            ("service: web, path: /, paths: [/a]", "`path` and `paths` are mutually exclusive"),
            ("url: \"http://x/a\", paths: [/b]", "a `url` already has its path"),
        ] {
            assert!(wrong(&format!("http: {{{bad}}}")).contains(why), "{bad}: {}", wrong(bad));
        }
    }

    #[test]
    fn a_body_over_http2_is_as_long_as_what_is_sent() {
        let of = |version: &str, length: usize| {
            let body = format!("$(unique){}", "x".repeat(length - 16));
            let fields = format!("service: web, method: POST, version: {version}, body: '{body}'");
            decoded(&format!("{{name: a, http: {{{fields}}}}}"), probe).1
        };
        assert_eq!((of("2", 65_535), of("1.1", 65_536)), (String::new(), String::new()));
        assert!(of("2", 65_536).contains("can have at most 64 KiB (use `version: 1.1`)"));
    }

    #[test]
    fn an_odd_body_of_a_request_is_a_warning() {
        let (found, problems) = decoded("{name: a, http: {service: web, body: x}}", probe);
        assert!(found.is_some());
        assert!(
            problems.contains("warning: servers may ignore or refuse the body of a GET"),
            "{problems}"
        );
    }

    #[test]
    fn a_placeholder_that_is_misspelt_is_a_warning() {
        let warnings = |fields: &str| {
            let yaml = format!("{{name: a, http: {{service: web, method: POST, {fields}}}}}");
            let (found, problems) = decoded(&yaml, probe);
            assert!(found.is_some(), "{problems}");
            problems
        };
        for (fields, sent) in [
            ("path: '/?$(uniqe)'", "`$(uniqe)`"),
            ("paths: [/a, '/?$(UNIQUE)']", "`$(UNIQUE)`"),
            ("headers: {X-Id: '$(unique'}", "`$(unique`"),
            ("body: 'a $(unique) $(uniq)'", "`$(uniq)`"),
        ] {
            let found = warnings(fields);
            let whole = format!("warning: {sent} is sent as it is (did you mean `$(unique)`?)");
            assert!(found.contains(&whole) && found.lines().count() == 1, "{found}");
        }
        assert_eq!(warnings("path: '/?$(unique)', body: 'echo $(date)'"), "");
    }

    #[test]
    fn the_body_of_an_answer_is_a_text_or_a_value() {
        let read = http("service: web, bodyContains: ok, bodyJson: {path: $.n, equals: 1}");
        assert_eq!(read.body_contains.as_deref(), Some("ok"));
        assert_eq!(read.body_json, Some(BodyJson { path: "$.n".into(), equals: 1.into() }));
        let equals = |text: &str| {
            let fields = format!("service: web, bodyJson: {{path: $.n, equals: {text}}}");
            http(&fields).body_json.unwrap().equals
        };
        assert_eq!((equals("true"), equals("\"1\"")), (true.into(), "1".into()));
        assert_eq!((equals("ok"), equals("1.5")), ("ok".into(), 1.5.into()));
        for (bad, why) in [
            ("success: 204, bodyContains: x", "an answer of status 204 has no body"),
            ("method: HEAD, bodyContains: x", "the answer to HEAD has no body"),
            ("bodyJson: {path: status, equals: ok}", "`status` is not a JSONPath"),
            ("bodyJson: {path: $.status}", "needs `equals`"),
            ("bodyJson: {path: $.status, equals: [1]}", "expected a string, a number or a boolean"),
        ] {
            let wrong = wrong(&format!("http: {{service: web, {bad}}}"));
            assert!(wrong.contains(why), "{bad}: {wrong}");
        }
    }

    #[test]
    fn a_service_is_asked_by_https() {
        let read = http("service: web, tls: true, serverName: web.test, ca: \"PEM\"");
        assert!(read.tls && read.uses_tls());
        assert_eq!(read.settings.server_name.as_deref(), Some("web.test"));
        assert_eq!(read.settings.ca.unwrap().text, "PEM");
        let read = http("url: \"https://x\", clientCertificate: {file: a}, clientKey: {file: b}");
        assert_eq!(read.settings.client.unwrap().key_file.to_str(), Some("b"));
        for (bad, why) in [
            ("service: web, ca: {file: a}", "`ca` needs HTTPS"),
            (
                "url: \"https://x\", serverName: not a name",
                "`not a name` cannot be in a certificate",
            ),
            ("url: \"https://x\", tls: true", "`tls` is not for a `url`: its scheme decides"),
            ("url: \"https://x\", clientKey: {file: b}", "needs `clientCertificate`"),
            ("url: \"https://x\", clientCertificate: a", "needs `clientKey`"),
            (
                "url: \"https://x\", clientKey: \"PEM\"",
                "found a text (save it to a file, and write `{file: client.key}`)",
            ),
            ("url: \"https://x\", insecure: true, ca: a", "accepts any certificate, despite `ca`"),
        ] {
            let wrong = wrong(&format!("http: {{{bad}}}"));
            assert!(wrong.contains(why), "{bad}: {wrong}");
        }
    }

    #[test]
    fn a_version_of_http_is_a_text_or_a_number() {
        for (version, http2) in [("2", true), ("\"2\"", true), ("1.1", false), ("'1.1'", false)] {
            assert_eq!(
                http(&format!("service: web, version: {version}")).http2,
                http2,
                "{version}"
            );
        }
        assert!(!http("service: web").http2);
        let wrong = wrong("http: {service: web, version: 3}");
        assert!(wrong.contains("unknown HTTP version `3`"), "{wrong}");
    }

    #[test]
    fn a_grpc_server_is_asked_for_its_health() {
        let grpc = |fields: &str| match ask(&format!("grpc: {{{fields}}}")) {
            Ask::Grpc(grpc) => *grpc,
            _ => panic!("not grpc"),
        };
        let read = grpc("service: shop/cart, port: 9000, healthService: shop.v1.Cart");
        assert_eq!(read.target, Target::Service { service: "shop/cart".into(), port: Some(9000) });
        assert_eq!((read.health_service.as_str(), read.uses_tls()), ("shop.v1.Cart", false));
        let read = grpc("ingress: shop/front, host: cart.test, tls: true, ca: PEM");
        assert!(read.uses_tls() && !read.tls && read.health_service.is_empty(), "{read:?}");
        let read = grpc("address: \"cart.test:9000\", tls: true, insecure: true");
        assert!(read.settings.insecure);
        for (bad, why) in [
            ("service: a, ca: x", "`ca` needs TLS (set `tls: true`)"),
            ("service: a, host: b", "`host` is for an `ingress` only"),
            ("service: a, healthService: \"a b\"", "is not the name of a gRPC service"),
            ("service: a, path: /", "path"),
            ("port: 80", "a `grpc` probe needs one of"),
        ] {
            let wrong = wrong(&format!("grpc: {{{bad}}}"));
            assert!(wrong.contains(why), "{bad}: {wrong}");
        }
    }

    #[test]
    fn certificates_may_be_in_secrets() {
        let settings = |fields: &str| http(&format!("service: web, tls: true, {fields}")).settings;
        let read =
            settings("ca: {secret: shop/ca}, clientCertificate: {secret: me, namespace: shop}");
        let key = |secret: &str, key: &str| SecretKey { secret: secret.into(), key: key.into() };
        assert_eq!(read.ca_secret, Some(key("shop/ca", "ca.crt")));
        assert_eq!((read.client_secret, read.ca), (Some("shop/me".into()), None));
        let other = settings("ca: {secret: bundle, key: root.pem}");
        assert_eq!(other.ca_secret, Some(key("bundle", "root.pem")));
        for (bad, why) in [
            ("ca: {file: a, key: b}", "`key` is for a `secret` only"),
            ("ca: {secret: a, file: b}", "a certificate takes only one of `file` and `secret`"),
            ("ca: {secret: A}", "expected a name"),
            ("insecure: true, ca: {secret: a}", "accepts any certificate, despite `ca`"),
            ("clientCertificate: {secret: a, key: b}", "key"),
            (
                "clientCertificate: {secret: a}, clientKey: {file: b}",
                "`clientKey` is in the Secret of `clientCertificate`",
            ),
        ] {
            let wrong = wrong(&format!("http: {{service: web, tls: true, {bad}}}"));
            assert!(wrong.contains(why), "{bad}: {wrong}");
        }
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

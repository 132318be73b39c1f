//! Questions: from the experiment's words to what a prober asks.

use std::net::{IpAddr, SocketAddr};

use crate::cluster::{ApiAccess, CANARY_OBJECT, ClientIdentity, ClusterDns, ClusterError};
use crate::engine::error::RunError;
use crate::engine::plan::placement::{Asked, Place, Placement, address};
use crate::experiment::{
    ApiServer, ApiVerb, Ask, DnsName, FileText, GrpcAsk, HttpAsk, Method, PortOn, Probe, Target,
    TlsSettings, certificate,
};
use crate::probe::{
    Body, BodyExpectation, Destination, DnsQuestion, GrpcQuestion, HttpQuestion, Identity,
    JsonValue, Question, Scope, TlsQuestion,
};
use crate::timeline::{ObjectRef, Secret, UNIQUE, counted};

/// The port of every name server.
const DNS_PORT: u16 = 53;

impl Placement<'_> {
    pub(super) async fn asked(&self, probe: &Probe, place: &Place) -> Result<Asked, RunError> {
        let target = match &probe.ask {
            Ask::Api { verb, server } => return self.api(probe, *verb, server),
            Ask::Dns { name, cached } => return self.dns(probe, place, name, *cached).await,
            ask => ask.target().ok_or_else(|| {
                RunError::failed(format!("probe {} cannot be run by a prober", probe.name))
            })?,
        };
        let destination = self.destination(probe, place, target).await?;
        let mut ask = probe.ask.clone();
        self.read_secrets(&mut ask).await?;
        let mut asked = asked(&ask, target, destination).map_err(RunError::failed)?;
        match target {
            Target::Published { service, via, on, .. } => {
                let on = match on {
                    PortOn::Node { node, .. } => format!(" on {node}"),
                    PortOn::Spared | PortOn::Each => String::new(),
                };
                asked.target += &format!(" ({} of {service}{on})", via.name());
            }
            Target::Ingress { ingress, service, .. } => {
                let leads = service.as_ref().map(|service| format!(", to Service {service}"));
                asked.target += &format!(" (Ingress {ingress}{})", leads.unwrap_or_default());
            }
            Target::Address { service: Some(service), .. } => {
                asked.target += &format!(" (Service {service})");
            }
            _ => {}
        }
        Ok(asked)
    }

    /// A question to an API server.
    pub(in crate::engine) fn api(
        &self,
        probe: &Probe,
        verb: ApiVerb,
        server: &ApiServer,
    ) -> Result<Asked, RunError> {
        let access = match server {
            ApiServer::On { address, .. } => self.cluster.api_access_at(address),
            ApiServer::Balancer | ApiServer::Each => self.cluster.api_access(),
        };
        let access = access.map_err(no_credentials)?;
        let destination = address(&access.host, access.port);
        let target = format!("API {} at {}", verb.name(), host_of(&access));
        Ok(Asked {
            target,
            destination,
            question: Question::Http(Box::new(api_question(
                access,
                verb,
                self.namespace,
                &probe.name,
            ))),
        })
    }

    /// A question to DNS: of a pod's own name servers, of the cluster's from a node, of this
    /// machine's from the host.
    pub(in crate::engine) async fn dns(
        &self,
        probe: &Probe,
        place: &Place,
        name: &DnsName,
        cached: bool,
    ) -> Result<Asked, RunError> {
        let (destination, dns) = match place {
            Place::Host => (Destination::Resolver, None),
            Place::Pod { .. } => (Destination::Resolver, self.cluster_dns().await?),
            Place::Node { .. } => {
                let dns = self.cluster_dns().await?.ok_or_else(|| {
                    RunError::failed(format!(
                        "probe {} queries the cluster's DNS, but there is none",
                        probe.name
                    ))
                    .hint(
                        "its Service is the one in kube-system with the label `k8s-app: kube-dns`",
                    )
                })?;
                (Destination::Address(SocketAddr::new(dns.address, DNS_PORT)), Some(dns))
            }
        };
        let name = self.full_name(probe, place, name, dns.as_ref())?;
        let whom = match &destination {
            Destination::Address(server) => format!("DNS {name} at {server}"),
            _ => format!("DNS {name}"),
        };
        let target = if cached { format!("{whom}, cached") } else { whom };
        Ok(Asked { target, destination, question: Question::Dns(DnsQuestion { name, cached }) })
    }

    async fn cluster_dns(&self) -> Result<Option<ClusterDns>, RunError> {
        self.cluster.cluster_dns().await.map_err(RunError::failed_by)
    }

    fn full_name(
        &self,
        probe: &Probe,
        place: &Place,
        name: &DnsName,
        dns: Option<&ClusterDns>,
    ) -> Result<String, RunError> {
        match name {
            DnsName::Full(name) => Ok(name.clone()),
            DnsName::Service(_) if *place == Place::Host => {
                let text = format!(
                    "probe {} looks up Service names from the host, which does not use the \
                     cluster's DNS",
                    probe.name
                );
                Err(RunError::refused(text)
                    .hint("use `from: {node: {role: control-plane}}`, or a pod"))
            }
            DnsName::Service(service) => {
                let domain = dns.map_or("cluster.local", |dns| dns.domain.as_str());
                let namespace = service.namespace_or(self.namespace);
                Ok(format!("{}.{namespace}.svc.{domain}", service.name))
            }
        }
    }
}

/// Errors when a certificate or key cannot be used.
pub(in crate::engine) fn asked(
    ask: &Ask,
    target: &Target,
    destination: Destination,
) -> Result<Asked, String> {
    let mut peer = Peer::of(target, &destination);
    let (description, question) = match ask {
        Ask::Http(http) => {
            peer.tls = http.uses_tls();
            let description = peer.request(http);
            (description, Question::Http(Box::new(http_question(http, &peer)?)))
        }
        Ask::Tls { settings, .. } => {
            let question = peer.tls_question(settings)?;
            (format!("tls {}:{}", peer.host, peer.port), Question::Tls(question))
        }
        Ask::Grpc(grpc) => {
            peer.tls = grpc.uses_tls();
            let GrpcAsk { health_service, backend_header, settings, .. } = &**grpc;
            let of = if health_service.is_empty() {
                String::new()
            } else {
                format!("/{health_service}")
            };
            let question = GrpcQuestion {
                host: peer.authority(),
                health_service: health_service.clone(),
                backend_header: backend_header.clone(),
                tls: peer.tls_question_if_used(settings)?,
            };
            (format!("grpc {}:{}{of}", peer.host, peer.port), Question::Grpc(Box::new(question)))
        }
        _ => (format!("tcp {}:{}", peer.host, peer.port), Question::Tcp),
    };
    let target = match &destination {
        Destination::Address(address) if !description.contains(&address.ip().to_string()) => {
            format!("{description} ({address})")
        }
        _ => description,
    };
    Ok(Asked { target, destination, question })
}

fn http_question(http: &HttpAsk, peer: &Peer) -> Result<HttpQuestion, String> {
    let names_type = http.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type"));
    let body = http.body.as_ref().map(|FileText { text, .. }| Body {
        content_type: (!names_type).then(|| content_type(text).to_owned()),
        text: text.clone(),
    });
    let json = http.body_json.as_ref();
    let json = json.map(|it| JsonValue { path: it.path.clone(), equals: it.equals.clone() });
    Ok(HttpQuestion {
        method: http.method.name().into(),
        host: peer.authority(),
        paths: http.paths().to_vec(),
        headers: http.headers.clone().into_iter().collect(),
        success: (http.success.from, http.success.to),
        expected_body: BodyExpectation { contains: http.body_contains.clone(), json },
        backend_header: http.backend_header.clone(),
        body,
        authorization: None,
        tls: peer.tls_question_if_used(&http.settings)?,
        http2: http.http2,
    })
}

/// Of a body whose header is not set by the experiment.
fn content_type(body: &str) -> &'static str {
    let body = body.replace(UNIQUE, "1");
    match serde_json::from_str::<serde_json::Value>(&body).is_ok() {
        true => "application/json",
        false => "text/plain; charset=utf-8",
    }
}

/// A Service's name for a client: of another namespace as DNS has it.
fn known_as(service: &ObjectRef, asked: String) -> String {
    match &service.namespace {
        None => service.name.clone(),
        // By which name a pod asks depends on its own namespace.
        Some(_) if asked.parse::<IpAddr>().is_err() => asked,
        Some(namespace) => format!("{}.{namespace}.svc", service.name),
    }
}

/// Who answers, by the name that a client knows.
struct Peer {
    host: String,
    port: u16,
    tls: bool,
}

impl Peer {
    fn of(target: &Target, destination: &Destination) -> Self {
        let (ip_or_name, port) = match destination {
            Destination::Address(address) => (address.ip().to_string(), address.port()),
            Destination::Name { host, port } => (host.clone(), *port),
            Destination::Resolver => (String::new(), 0),
        };
        let (host, tls) = match target {
            Target::Service { service, .. } => (known_as(service, ip_or_name), false),
            Target::Address { host, tls, .. } => (host.clone(), *tls),
            Target::Ingress { host, tls, .. } => (host.clone().unwrap_or(ip_or_name), *tls),
            Target::Pod { .. } | Target::Published { .. } => (ip_or_name, false),
        };
        Self { host, port, tls }
    }

    /// As a URL or Host header shows it: without the port where it is the scheme's own.
    fn authority(&self) -> String {
        let default_port = if self.tls { 443 } else { 80 };
        match self.port == default_port {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// As reports describe it: a GET of one path as its URL.
    fn request(&self, http: &HttpAsk) -> String {
        let method = match http.method {
            Method::Get => String::new(),
            other => format!("{} ", other.name()),
        };
        let version = if http.http2 { "HTTP/2 " } else { "" };
        let scheme = if self.tls { "https" } else { "http" };
        let more = match http.paths().len() - 1 {
            0 => String::new(),
            more => format!(" and {}", counted(more, "more path")),
        };
        format!("{version}{method}{scheme}://{}{}{more}", self.authority(), http.path)
    }

    fn tls_question_if_used(&self, settings: &TlsSettings) -> Result<Option<TlsQuestion>, String> {
        self.tls.then(|| self.tls_question(settings)).transpose()
    }

    fn tls_question(&self, settings: &TlsSettings) -> Result<TlsQuestion, String> {
        let asked = || self.host.trim_matches(['[', ']']).to_owned();
        let roots = settings.ca.as_ref().map(|ca| certificate::chain(&ca.text)).transpose()?;
        let identity = settings.client.as_ref().map(|client| {
            let chain = certificate::chain(&client.certificate.text)?;
            let key = certificate::key(&client.key.0)?;
            Ok::<_, String>(Secret(Identity { chain, key, scope: Scope::Prober }))
        });
        Ok(TlsQuestion {
            insecure: settings.insecure,
            server_name: settings.server_name.clone().unwrap_or_else(asked),
            roots,
            identity: identity.transpose()?,
        })
    }
}

/// Credentials that a probe can't use.
fn no_credentials(error: ClusterError) -> RunError {
    RunError::failed_by(error)
        .hint("an `api` probe authenticates with a client certificate or a token, as in kind's kubeconfig")
}

fn host_of(access: &ApiAccess) -> String {
    match access.host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, access.port).to_string(),
        Err(_) => format!("{}:{}", access.host, access.port),
    }
}

fn api_question(access: ApiAccess, verb: ApiVerb, namespace: &str, probe: &str) -> HttpQuestion {
    let path =
        format!("{}/api/v1/namespaces/{namespace}/configmaps/{CANARY_OBJECT}", access.prefix);
    let path = if verb == ApiVerb::ReadCached { format!("{path}?resourceVersion=0") } else { path };
    let host = host_of(&access);
    let tls = access.tls.map(|tls| TlsQuestion {
        insecure: tls.insecure,
        server_name: tls.server_name,
        roots: tls.roots,
        identity: tls.identity.map(|ClientIdentity { chain, key }| {
            Secret(Identity { chain, key, scope: Scope::ThisProcess })
        }),
    });
    let question = HttpQuestion {
        headers: vec![("Accept".into(), "application/json".into())],
        success: (200, 299),
        authorization: access.authorization.map(Secret),
        tls,
        ..HttpQuestion::get(host, path)
    };
    match verb {
        ApiVerb::Read | ApiVerb::ReadCached => question,
        ApiVerb::Write => {
            HttpQuestion { method: "PATCH".into(), body: Some(change(probe)), ..question }
        }
    }
}

/// A change of the probe's own key, so that several probes don't undo one another's; another one
/// each time, as what is the same already is not written.
fn change(probe: &str) -> Body {
    let key = probe.replace('@', ".");
    let text = serde_json::json!({"data": {key: UNIQUE}}).to_string();
    Body { content_type: Some("application/merge-patch+json".into()), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> ApiAccess {
        let tls = crate::cluster::ApiTls {
            server_name: "kubernetes".into(),
            insecure: false,
            roots: Some(vec![]),
            identity: None,
        };
        let authorization = Some("Bearer hunter2".to_owned());
        ApiAccess {
            host: "fd00::1".into(),
            port: 6443,
            prefix: String::new(),
            tls: Some(tls),
            authorization,
        }
    }

    #[test]
    fn verbs_differ_in_what_they_ask_of_etcd() {
        let ask = |verb| api_question(access(), verb, "outage-7f3a", "api-write@cp-2");
        let object = "/api/v1/namespaces/outage-7f3a/configmaps/outage-canary";
        let read = ask(ApiVerb::Read);
        assert_eq!(
            (read.method.as_str(), read.paths[0].as_str(), read.host.as_str()),
            ("GET", object, "[fd00::1]:6443")
        );
        assert_eq!(ask(ApiVerb::ReadCached).paths[0], format!("{object}?resourceVersion=0"));
        let write = ask(ApiVerb::Write);
        assert_eq!((write.method.as_str(), write.paths[0].as_str()), ("PATCH", object));
        let body = write.body.unwrap();
        assert_eq!(body.content_type.as_deref(), Some("application/merge-patch+json"));
        assert_eq!(body.text, r#"{"data":{"api-write.cp-2":"$(unique)"}}"#);
        assert!(!format!("{read:?}").contains("hunter2"));
    }

    fn http(target: Target) -> Ask {
        Ask::Http(Box::new(HttpAsk { path: "/x".into(), ..HttpAsk::get(target) }))
    }

    #[test]
    fn a_service_is_shown_with_its_name_and_address() {
        let destination = address("10.96.3.4", 80);
        let ask = http(Target::Service { service: "web".into(), port: None });
        let asked = asked(&ask, ask.target().unwrap(), destination).unwrap();
        assert_eq!(asked.target, "http://web/x (10.96.3.4:80)");
        let Question::Http(question) = asked.question else { panic!("is http") };
        assert_eq!(question.host, "web");
        assert_eq!(question.tls, None);
    }

    #[test]
    fn a_tls_question_checks_for_the_name_that_is_asked_or_named() {
        let question = |server_name: Option<&str>| {
            let target = Target::Service { service: "web".into(), port: Some(443) };
            let server_name = server_name.map(str::to_owned);
            let settings = TlsSettings { server_name, ..TlsSettings::default() };
            let ask = Ask::Tls { target: target.clone(), settings: Box::new(settings) };
            asked(&ask, &target, address("10.96.3.4", 443)).unwrap()
        };
        assert_eq!(question(None).target, "tls web:443 (10.96.3.4:443)");
        for (named, expected) in [(None, "web"), (Some("web.test"), "web.test")] {
            let Question::Tls(tls) = question(named).question else { panic!("is tls") };
            assert_eq!(tls.server_name, expected);
        }
    }

    #[test]
    fn a_grpc_server_is_shown_with_the_service_that_is_asked_for() {
        let grpc = |health_service: &str, tls| {
            let grpc = crate::experiment::GrpcAsk {
                target: Target::Service { service: "shop/cart".into(), port: Some(9000) },
                health_service: health_service.into(),
                backend_header: "x-backend".into(),
                tls,
                settings: TlsSettings::default(),
            };
            let ask = Ask::Grpc(Box::new(grpc));
            let asked = asked(&ask, ask.target().unwrap(), address("10.96.3.4", 9000)).unwrap();
            let Question::Grpc(question) = asked.question else { panic!("is grpc") };
            (asked.target, *question)
        };
        let (target, question) = grpc("", false);
        assert_eq!(target, "grpc cart.shop.svc:9000 (10.96.3.4:9000)");
        assert_eq!((question.host.as_str(), question.tls), ("cart.shop.svc:9000", None));
        let (target, question) = grpc("shop.v1.Cart", true);
        assert_eq!(target, "grpc cart.shop.svc:9000/shop.v1.Cart (10.96.3.4:9000)");
        assert_eq!(question.tls.unwrap().server_name, "cart.shop.svc");
    }

    #[test]
    fn a_url_keeps_its_name_port_and_certificate() {
        let destination = address("example.test", 8443);
        let ask = http(Target::Address {
            host: "example.test".into(),
            port: 8443,
            tls: true,
            service: None,
        });
        let asked = asked(&ask, ask.target().unwrap(), destination).unwrap();
        assert_eq!(asked.target, "https://example.test:8443/x");
        let Question::Http(question) = asked.question else { panic!("is http") };
        assert_eq!(question.host, "example.test:8443");
        assert_eq!(question.tls.unwrap().server_name, "example.test");
    }

    #[test]
    fn a_request_is_asked_as_the_experiment_says() {
        let target = Target::Service { service: "shop/checkout".into(), port: None };
        let text = r#"{"id": $(unique)}"#.to_owned();
        let http = HttpAsk {
            method: Method::Post,
            path: "/a".into(),
            paths: vec!["/a".into(), "/b".into()],
            body: Some(FileText { file: None, text }),
            body_contains: Some("ok".into()),
            tls: true,
            ..HttpAsk::get(target)
        };
        let of = |http: HttpAsk| {
            let ask = Ask::Http(Box::new(http));
            let asked = asked(&ask, ask.target().unwrap(), address("10.96.3.4", 443)).unwrap();
            let Question::Http(question) = asked.question else { panic!("is http") };
            (asked.target, question)
        };
        let (target, question) = of(http.clone());
        assert_eq!(target, "POST https://checkout.shop.svc/a and 1 more path (10.96.3.4:443)");
        assert_eq!((question.method.as_str(), question.paths.len()), ("POST", 2));
        assert_eq!(question.tls.unwrap().server_name, "checkout.shop.svc");
        assert_eq!(question.expected_body.contains.as_deref(), Some("ok"));
        let body = question.body.unwrap();
        assert_eq!(body.content_type.as_deref(), Some("application/json"));
        let headers = [("Content-type".to_owned(), "text/csv".to_owned())].into();
        let (_, typed) = of(HttpAsk { headers, ..http });
        assert_eq!(typed.body.unwrap().content_type, None, "the experiment's own is sent");
    }
}

//! Questions to API servers and to DNS: from the experiment's words to what a prober asks.

use std::net::{IpAddr, SocketAddr};

use crate::cluster::{ApiAccess, CANARY_OBJECT, ClusterDns, ClusterError};
use crate::engine::error::RunError;
use crate::engine::plan::placement::{Asked, Place, Placement, address};
use crate::experiment::{ApiServer, ApiVerb, DnsName, Probe};
use crate::probe::{
    Body, Destination, DnsQuestion, HttpQuestion, Identity, Question, Secret, TlsQuestion,
};

/// The port of every name server.
const DNS_PORT: u16 = 53;

impl Placement<'_> {
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

    /// A question to DNS: of a pod's own name servers, of the cluster's from a node, of this machine's from the host.
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
                        "probe {} asks the cluster's DNS, and there is none",
                        probe.name
                    ))
                    .hint("its Service is known by the label `k8s-app: kube-dns`, in kube-system")
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
                    "probe {} asks for Service names from the host, which does not know the cluster's DNS",
                    probe.name
                );
                Err(RunError::failed(text)
                    .hint("let it ask `from: {node: {role: control-plane}}`, or from a pod"))
            }
            DnsName::Service(service) => {
                let domain = dns.map_or("cluster.local", |dns| dns.domain.as_str());
                Ok(format!("{service}.{}.svc.{domain}", self.namespace))
            }
        }
    }
}

/// Credentials that a probe can't use.
fn no_credentials(error: ClusterError) -> RunError {
    RunError::failed_by(error)
        .hint("a probe shows a client certificate or a token, as kind's kubeconfig has it")
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
        identity: tls.identity.map(|(chain, key)| Secret(Identity { chain, key })),
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

/// A change of the probe's own key, so that several probes don't undo one another's; another one each time, as what is the same
/// already is not written.
fn change(probe: &str) -> Body {
    let key = probe.replace('@', ".");
    let text = serde_json::json!({"data": {key: Body::SLOT}}).to_string();
    Body { content_type: "application/merge-patch+json".into(), text }
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
            (read.method.as_str(), read.path.as_str(), read.host.as_str()),
            ("GET", object, "[fd00::1]:6443")
        );
        assert_eq!(ask(ApiVerb::ReadCached).path, format!("{object}?resourceVersion=0"));
        let write = ask(ApiVerb::Write);
        assert_eq!((write.method.as_str(), write.path.as_str()), ("PATCH", object));
        let body = write.body.unwrap();
        assert_eq!(body.content_type, "application/merge-patch+json");
        assert_eq!(body.text, format!(r#"{{"data":{{"api-write.cp-2":"{}"}}}}"#, Body::SLOT));
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}

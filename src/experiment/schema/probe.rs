//! What is asked, by whom, and how often.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::{NodeSelector, Pods};
use crate::timeline::{GRPC_HEALTH_PATH, HIDDEN, ObjectRef, ProbeKind, Secret, is_secret_name};

/// A question asked at a fixed rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name: a DNS label, unique in the experiment.
    pub name: String,
    pub ask: Ask,
    /// From where. Default: any node, a control plane where one is not at risk. A canary is the host's.
    pub from: From,
    /// Whether each attempt has a connection of its own. Default: new.
    pub connection: Connection,
    /// Attempts a second, 1 to 1000 (`50/s`); of a canary, 0.01 to 5 (`3/min`). Default: 10; of a
    /// canary, its own.
    pub rate: f64,
    /// The time that the whole of an attempt may take. Default: 1 s; of a canary, its own.
    pub timeout: Duration,
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ask {
    /// An HTTP request. Success: 2xx and 3xx (redirects are not followed).
    Http(Box<HttpAsk>),
    /// A TCP connection, opened and closed. With `connection: reused` it is kept, and checked to be
    /// still open.
    Tcp { target: Target },
    /// A TLS connection, opened and closed. Success: the handshake completes.
    Tls {
        target: Target,
        #[serde(flatten)]
        settings: Box<TlsSettings>,
    },
    /// The health of a gRPC server (`grpc.health.v1.Health/Check`). Success: it is serving.
    Grpc(Box<GrpcAsk>),
    /// The API server, from this program, with the kubeconfig's credentials. Success: 2xx.
    Api {
        verb: ApiVerb,
        /// Which one. Default: the balancer.
        server: ApiServer,
    },
    /// The cluster's DNS. Success: an address.
    Dns {
        name: DnsName,
        /// Whether an answer is used again for as long as it holds, as a client with a cache does.
        /// Default: no.
        cached: bool,
    },
    /// Something that the control plane is asked to do, in the run's namespace. Success: it is
    /// done.
    Canary(Canary),
}

/// An HTTP request, and which answers are success.
///
/// In timelines its fields are called as here: they always were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpAsk {
    pub target: Target,
    /// Default: GET.
    #[serde(default)]
    pub method: Method,
    /// The path and query. Default: `/`. Of a `url`, its own. Of several paths the first. Of an
    /// Ingress, that of its rule: empty until it was looked up.
    pub path: String,
    /// Several paths: attempt i asks for the one of number i modulo their count. Default: none,
    /// `path` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Headers to send besides Host. Default: none. In timelines without secrets.
    #[serde(serialize_with = "recorded")]
    pub headers: BTreeMap<String, String>,
    /// Whether it is asked over HTTP/2. Default: no, over HTTP/1.1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http2: bool,
    /// What is sent behind the headers. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<FileText>,
    /// Statuses that are success. Default: 200 to 399.
    pub success: StatusRange,
    /// The text that the answer's body must contain. Default: any body is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
    /// What the answer's body must have, as JSON. Default: any body is success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_json: Option<BodyJson>,
    /// The response header that names the backend. Default: `x-backend`. Where the answer has
    /// none, the back end is unknown.
    pub backend_header: String,
    /// Whether a Service or pod is asked by HTTPS. Default: no. (URLs and Ingresses say so
    /// themselves.)
    #[serde(default)]
    pub tls: bool,
    #[serde(flatten)]
    pub settings: TlsSettings,
}

/// Headers as timelines have them.
fn recorded<S: Serializer>(headers: &BTreeMap<String, String>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(headers.iter().map(|(name, value)| match is_secret_name(name) {
        true => (name, HIDDEN),
        false => (name, value.as_str()),
    }))
}

impl HttpAsk {
    /// The response header that names the backend, where the experiment names no other.
    pub const BACKEND_HEADER: &str = "x-backend";

    /// A GET of `/`, with nothing but defaults.
    pub fn get(target: Target) -> Self {
        Self {
            target,
            method: Method::Get,
            path: "/".into(),
            paths: Vec::new(),
            http2: false,
            headers: BTreeMap::new(),
            body: None,
            success: StatusRange::default(),
            body_contains: None,
            body_json: None,
            backend_header: Self::BACKEND_HEADER.into(),
            tls: false,
            settings: TlsSettings::default(),
        }
    }

    /// The paths that are asked for in turn: at least one.
    pub fn paths(&self) -> &[String] {
        if self.paths.is_empty() { std::slice::from_ref(&self.path) } else { &self.paths }
    }

    pub fn uses_tls(&self) -> bool {
        self.tls || self.target.says_tls()
    }
}

/// Whose health a gRPC server is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrpcAsk {
    pub target: Target,
    /// The service, as the server names it. Default: empty, the server as a whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health_service: String,
    /// The response header that names the backend. Default: `x-backend`.
    pub backend_header: String,
    /// Whether it is asked over TLS. Default: no. (Ingresses say so themselves.)
    #[serde(default)]
    pub tls: bool,
    #[serde(flatten)]
    pub settings: TlsSettings,
}

impl GrpcAsk {
    pub fn uses_tls(&self) -> bool {
        self.tls || self.target.says_tls()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[default]
    Get,
    Head,
    Options,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// Those that only read first.
    pub const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Options,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }

    /// Whether a body belongs to it.
    pub fn takes_body(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch | Method::Options)
    }

    /// Whether it may change something in the application that is asked.
    pub fn has_side_effects(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch | Method::Delete)
    }
}

/// A text of the experiment itself, or of a file beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileText {
    /// The file, relative to the experiment's. `None`: the experiment has the text.
    pub file: Option<PathBuf>,
    /// What the file held when the experiment was read.
    pub text: String,
}

/// What a body must have, as JSON: all values that the path selects are `equals`, and there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BodyJson {
    /// A JSONPath (RFC 9535): `$.status`.
    pub path: String,
    /// A string, number or boolean.
    pub equals: serde_json::Value,
}

/// How a probe speaks TLS.
///
/// In timelines its fields are called as here: they always were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TlsSettings {
    /// Accept any certificate. Default: no.
    #[serde(default)]
    pub insecure: bool,
    /// The name that the certificate must carry. Default: the Service's or the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Who may vouch for the server's certificate, as PEM. Default: who vouches for the web's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<FileText>,
    /// The same, in a Secret of the cluster. It is read when probes start, and in no timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretKey>,
    /// How the client shows who it is. Default: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientCertificate>,
    /// The same, in a Secret of the type `kubernetes.io/tls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<ObjectRef>,
}

impl TlsSettings {
    /// The Secrets that it names.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut ObjectRef> {
        self.ca_secret.iter_mut().map(|key| &mut key.secret).chain(&mut self.client_secret)
    }
}

/// A value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    pub secret: ObjectRef,
    pub key: String,
}

/// A client's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// PEM: the certificates, the client's own first.
    pub certificate: FileText,
    /// The key's file, relative to the experiment's.
    pub key_file: PathBuf,
    /// What it held when the experiment was read, as PEM. It is in no timeline.
    #[serde(skip)]
    pub key: Secret<String>,
}

/// A file that an experiment names in a probe, and where its text goes.
pub(crate) struct NamedFile<'a> {
    /// The field: `clientKey`.
    pub field: &'static str,
    pub file: &'a Path,
    pub text: &'a mut String,
}

impl FileText {
    fn named(&mut self, field: &'static str) -> Option<NamedFile<'_>> {
        let Self { file, text } = self;
        file.as_deref().map(|file| NamedFile { field, file, text })
    }
}

/// What is asked of an API server: always of the same small object, in the run's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiVerb {
    /// To read the object as it is now: goes through etcd.
    Read,
    /// To read it as it may have been (`resourceVersion=0`): is answered from the API server's
    /// cache.
    ReadCached,
    /// To change it, each time to something else: goes through etcd.
    Write,
}

impl ApiVerb {
    pub fn name(self) -> &'static str {
        match self {
            ApiVerb::Read => "read",
            ApiVerb::ReadCached => "readCached",
            ApiVerb::Write => "write",
        }
    }
}

/// Which API server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiServer {
    /// The kubeconfig's: with several control planes that is the load balancer before them.
    Balancer,
    /// Each of them at its own address: one probe for each, called `PROBE@NODE`.
    Each,
    /// The one on this node: what became of `Each`.
    On { node: String, address: String },
}

/// Whose address is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsName {
    Service(ObjectRef),
    /// Any name's, in full: no search domain is tried.
    Full(String),
}

/// What the control plane is asked to do, each time anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Canary {
    /// A new pod is to run, which takes the scheduler and a kubelet.
    Scheduling,
    /// A Deployment is to have one pod more or less, which takes the controller manager.
    Reconciliation,
    /// An autoscaler is to bring its target back to its minimum size, which takes the controller
    /// manager's autoscaler.
    Autoscaling,
}

impl Canary {
    /// Its name in an experiment.
    pub const fn name(self) -> &'static str {
        match self {
            Canary::Scheduling => "scheduling",
            Canary::Reconciliation => "reconciliation",
            Canary::Autoscaling => "autoscaling",
        }
    }
}

impl Ask {
    pub fn kind(&self) -> ProbeKind {
        match self {
            Ask::Http(_) => ProbeKind::Http,
            Ask::Tcp { .. } => ProbeKind::Tcp,
            Ask::Tls { .. } => ProbeKind::Tls,
            Ask::Grpc(_) => ProbeKind::Grpc,
            Ask::Api { .. } => ProbeKind::Api,
            Ask::Dns { .. } => ProbeKind::Dns,
            Ask::Canary(_) => ProbeKind::Canary,
        }
    }

    /// Whom it asks; `None`: the control plane, or DNS.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Ask::Http(http) => Some(&http.target),
            Ask::Grpc(grpc) => Some(&grpc.target),
            Ask::Tcp { target } | Ask::Tls { target, .. } => Some(target),
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    pub fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Ask::Http(http) => Some(&mut http.target),
            Ask::Grpc(grpc) => Some(&mut grpc.target),
            Ask::Tcp { target } | Ask::Tls { target, .. } => Some(target),
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    /// The paths of its HTTP requests; one that is empty was not looked up yet.
    pub fn paths(&self) -> Vec<String> {
        match self {
            Ask::Http(http) => http.paths().to_vec(),
            Ask::Grpc(_) => vec![GRPC_HEALTH_PATH.into()],
            _ => Vec::new(),
        }
    }

    /// Its paths, where it has several.
    pub fn paths_in_turn(&self) -> &[String] {
        match self {
            Ask::Http(http) => &http.paths,
            _ => &[],
        }
    }

    pub fn uses_tls(&self) -> bool {
        match self {
            Ask::Http(http) => http.uses_tls(),
            Ask::Grpc(grpc) => grpc.uses_tls(),
            other => matches!(other, Ask::Tls { .. }),
        }
    }

    /// How it speaks TLS, if it may.
    pub fn tls_settings(&self) -> Option<&TlsSettings> {
        match self {
            Ask::Http(http) => Some(&http.settings),
            Ask::Grpc(grpc) => Some(&grpc.settings),
            Ask::Tls { settings, .. } => Some(settings),
            _ => None,
        }
    }

    pub fn tls_settings_mut(&mut self) -> Option<&mut TlsSettings> {
        match self {
            Ask::Http(http) => Some(&mut http.settings),
            Ask::Grpc(grpc) => Some(&mut grpc.settings),
            Ask::Tls { settings, .. } => Some(settings),
            _ => None,
        }
    }

    /// The files that it names.
    pub(crate) fn files_mut(&mut self) -> impl Iterator<Item = NamedFile<'_>> {
        let (body, settings) = match self {
            Ask::Http(http) => (http.body.as_mut(), Some(&mut http.settings)),
            other => (None, other.tls_settings_mut()),
        };
        let (ca, client) =
            settings.map_or((None, None), |tls| (tls.ca.as_mut(), tls.client.as_mut()));
        let of_client = client.into_iter().flat_map(|client| {
            let ClientCertificate { certificate, key_file, key: Secret(text) } = client;
            let key = NamedFile { field: "clientKey", file: key_file, text };
            certificate.named("clientCertificate").into_iter().chain([key])
        });
        let body = body.and_then(|body| body.named("body"));
        body.into_iter().chain(ca.and_then(|ca| ca.named("ca"))).chain(of_client)
    }

    /// The Service that it asks, if it is one; of an address or an Ingress, the one behind it.
    pub fn service(&self) -> Option<&ObjectRef> {
        match self.target()? {
            Target::Service { service, .. } | Target::Published { service, .. } => Some(service),
            Target::Ingress { service, .. } | Target::Address { service, .. } => service.as_ref(),
            Target::Pod { .. } => None,
        }
    }

    /// What it asks the control plane to do, if it does.
    pub fn canary(&self) -> Option<Canary> {
        match self {
            Ask::Canary(canary) => Some(*canary),
            _ => None,
        }
    }
}

/// Whom a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A Service, by its ClusterIP (from a pod: by its DNS name).
    Service {
        #[serde(rename = "name")]
        service: ObjectRef,
        /// Its port. Default: its only one.
        port: Option<u16>,
    },
    /// A Service, from outside of the cluster.
    Published {
        service: ObjectRef,
        /// Its port. Default: its only one.
        port: Option<u16>,
        via: Via,
        /// Of a NodePort. Default: on a node that no fault takes.
        #[serde(default, skip_serializing_if = "PortOn::is_spared")]
        on: PortOn,
    },
    /// What an Ingress publishes, at the address of its load balancer.
    Ingress {
        ingress: ObjectRef,
        /// The host of its rule. Default: that of its rules, where they have one, else its address.
        host: Option<String>,
        /// Whether it is asked by HTTPS.
        tls: bool,
        /// The Service of that rule, once the Ingress was looked up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ObjectRef>,
        /// Where the probe's paths lead to several Services, that of each path: one probe for each
        /// Service, called `PROBE@SERVICE`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        of_paths: Vec<ObjectRef>,
    },
    /// A pod, directly: the first by name.
    Pod {
        #[serde(flatten)]
        pods: Pods,
        port: u16,
    },
    /// A host and port (for `http`, of an `http://` or `https://` URL).
    Address {
        /// The host: a name or an address.
        host: String,
        port: u16,
        tls: bool,
        /// The Service that has this address, where the cluster was asked and has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ObjectRef>,
    },
}

impl Target {
    /// Whether it says itself that it is asked over TLS.
    fn says_tls(&self) -> bool {
        matches!(self, Target::Address { tls: true, .. } | Target::Ingress { tls: true, .. })
    }
}

/// For people: `shop/checkout`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Service { service, .. } | Target::Published { service, .. } => service.fmt(f),
            Target::Ingress { ingress, .. } => write!(f, "Ingress {ingress}"),
            Target::Pod { pods, .. } => write!(f, "the pod {pods}"),
            Target::Address { host, port, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// On which node a NodePort is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PortOn {
    /// On one that no fault takes.
    #[default]
    Spared,
    /// On each: one probe for each, called `PROBE@NODE`.
    Each,
    /// On this one: what became of `Each`.
    Node { node: String, address: String },
}

impl PortOn {
    pub fn is_spared(&self) -> bool {
        *self == PortOn::Spared
    }
}

/// How a Service is reached from outside of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// Its port on a node that no fault takes.
    NodePort,
    /// The address of its load balancer.
    LoadBalancer,
}

/// Why a Service can't be asked from outside of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpublished {
    pub message: String,
    pub hint: String,
}

impl Via {
    /// Whether a Service of this type can be asked so: a load balancer's has NodePorts, too.
    pub(crate) fn fits(self, service: &str, service_type: &str) -> Result<(), Unpublished> {
        let (what, needed) = match (self, service_type) {
            (Via::NodePort, "NodePort" | "LoadBalancer") => return Ok(()),
            (Via::LoadBalancer, "LoadBalancer") => return Ok(()),
            (Via::NodePort, _) => ("NodePort", "NodePort"),
            (Via::LoadBalancer, _) => ("load balancer", "LoadBalancer"),
        };
        Err(Unpublished {
            message: format!("the Service `{service}` is of type {service_type}: it has no {what}"),
            hint: format!("set `type: {needed}` in its `spec`, or remove `via`"),
        })
    }

    /// Its name in an experiment.
    pub const fn name(self) -> &'static str {
        match self {
            Via::NodePort => "nodePort",
            Via::LoadBalancer => "loadBalancer",
        }
    }
}

/// Statuses that count as success, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusRange {
    pub from: u16,
    pub to: u16,
}

impl Default for StatusRange {
    fn default() -> Self {
        Self { from: 200, to: 399 }
    }
}

/// Where a probe asks from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// A node's own network.
    Node(NodeSelector),
    /// A pod's network and its DNS: the first by name.
    Pod(Pods),
    /// The machine on which this program runs.
    Host,
}

/// Whether attempts share connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Connection {
    /// Each attempt opens its own.
    #[default]
    New,
    /// Attempts use one that is open and idle; only where there is none a new one.
    Reused,
}

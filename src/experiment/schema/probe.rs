//! What is asked, by whom, and how often.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{NodeSelector, Pods};
use crate::timeline::{ObjectRef, ProbeKind};

/// A question asked at a fixed rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Its name: a DNS label, unique in the experiment.
    pub name: String,
    pub ask: Ask,
    /// From where. Default: a control-plane node. A canary is the host's.
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
    /// An HTTP GET. Success: 2xx and 3xx (redirects are not followed).
    Http {
        target: Target,
        /// The path and query. Default: `/`. Of a `url`, its own.
        path: String,
        /// Statuses that are success. Default: 200 to 399.
        success: StatusRange,
        /// Headers to send besides Host. Default: none.
        headers: BTreeMap<String, String>,
        /// The response header that names the back end. Default: `x-backend`. Where the answer has
        /// none, the back end is unknown.
        backend_header: String,
        /// For an `https` URL: accept any certificate. Default: no.
        insecure: bool,
    },
    /// A TCP connection, opened and closed. With `connection: reused` it is kept, and checked to be
    /// still open.
    Tcp { target: Target },
    /// A TLS connection, opened and closed. Success: the handshake completes.
    Tls {
        target: Target,
        /// The name that the certificate must carry. Default: the Service's or the host's.
        server_name: Option<String>,
        /// Accept any certificate. Default: no.
        insecure: bool,
    },
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
            Ask::Http { .. } => ProbeKind::Http,
            Ask::Tcp { .. } => ProbeKind::Tcp,
            Ask::Tls { .. } => ProbeKind::Tls,
            Ask::Api { .. } => ProbeKind::Api,
            Ask::Dns { .. } => ProbeKind::Dns,
            Ask::Canary(_) => ProbeKind::Canary,
        }
    }

    /// Whom it asks; `None`: the control plane, or DNS.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Ask::Http { target, .. } | Ask::Tcp { target } | Ask::Tls { target, .. } => {
                Some(target)
            }
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    pub fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Ask::Http { target, .. } | Ask::Tcp { target } | Ask::Tls { target, .. } => {
                Some(target)
            }
            Ask::Api { .. } | Ask::Dns { .. } | Ask::Canary(_) => None,
        }
    }

    /// The Service that it asks, if it is one.
    pub fn service(&self) -> Option<&ObjectRef> {
        match self.target() {
            Some(Target::Service { service, .. } | Target::Published { service, .. }) => {
                Some(service)
            }
            _ => None,
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
    },
    /// What an Ingress publishes, at the address of its load balancer.
    Ingress {
        ingress: ObjectRef,
        /// The host of its rule.
        host: String,
        /// Whether it is asked by HTTPS.
        tls: bool,
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
    },
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

impl Via {
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

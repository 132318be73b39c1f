//! A connection to one cluster.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::Kubeconfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tower::filter::AsyncFilterLayer;
use tower::{BoxError, ServiceBuilder};

use super::access::{self, API_NAME, API_PORT, ApiAccess, ApiTls};
use super::authorization::Authorization;
use super::error::ClusterError;
use super::exec_plugin::{Credentials, Notify};
use super::kind_nodes::{NodeContainer, find_kind_cluster};
use super::kubeconfig::{Chosen, choose, read_files, read_text};
use super::renewal::renewed;
use super::resolver::Resolver;
use super::retry::retry_until;
use crate::timeline::ContextFacts;
use crate::tls::{Shown, Trust, client_config};

/// From the first packet to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest silence of an answer that has begun. Watches have their own, shorter limit.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The whole of an ordinary question.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is not used again: its server may have died unseen.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// One cluster, connected. Cheap to clone. Nothing is retried inside: an outage is as long as it
/// is.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: kube::Client,
    /// For what is silent for as long as a command in a pod runs.
    streams: kube::Client,
    config: Arc<kube::Config>,
    authorization: Authorization,
    context: String,
    /// The user's name in the kubeconfig.
    user: Option<String>,
    server: String,
    version: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("context", &self.context)
            .field("server", &self.server)
            .finish()
    }
}

impl Cluster {
    /// Connects by the text of a kubeconfig (kind's), with its current context. Errors when the
    /// server does not answer.
    pub(crate) async fn from_kubeconfig(text: &str) -> Result<Self, ClusterError> {
        Self::connect(read_text(text)?, None, &mut |_| {}).await
    }

    /// The same for a cluster that has just been created: its API server may not listen yet.
    pub(crate) async fn of_new(text: &str, within: Duration) -> Result<Self, ClusterError> {
        let until = Instant::now() + within;
        retry_until(until, ClusterError::may_pass, || Self::from_kubeconfig(text)).await
    }

    /// Connects by the user's kubeconfig files (see [`kubeconfig_paths`](super::kubeconfig_paths)),
    /// which are only read. Default context: the current one. `notify` takes what is waited for
    /// when the user's credential plugin is slow. Errors when none of the files is there, the
    /// context is not, or the server does not answer.
    pub(crate) async fn from_files(
        paths: &[PathBuf],
        context: Option<&str>,
        notify: Notify<'_>,
    ) -> Result<Self, ClusterError> {
        Self::connect(read_files(paths)?, context, notify).await
    }

    async fn connect(
        kubeconfig: Kubeconfig,
        context: Option<&str>,
        notify: Notify<'_>,
    ) -> Result<Self, ClusterError> {
        let Chosen { context, user, config } = choose(kubeconfig, context).await?;
        let authorization =
            Authorization::of(&config.auth_info).map_err(|why| ClusterError::Kubeconfig { why })?;
        let cluster = Self::of_config(config, context, authorization, notify).await?;
        Ok(Self { user, ..cluster })
    }

    /// The same cluster and user, through the API server on the node at this address. Errors when
    /// that does not answer.
    pub(crate) async fn directly(&self, address: &str) -> Result<Self, ClusterError> {
        let mut config = (*self.config).clone();
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let url = format!("https://{host}:{API_PORT}").parse();
        config.cluster_url = url.map_err(|_| ClusterError::Kubeconfig {
            why: format!("{address} is not a valid address"),
        })?;
        config.tls_server_name = Some(API_NAME.to_owned());
        let (context, authorization) = (self.context.clone(), self.authorization.clone());
        Self::of_config(config, context, authorization, &mut |_| {}).await
    }

    /// The same where the API server may have started a moment ago, and not listen yet.
    pub(crate) async fn directly_within(
        &self,
        address: &str,
        within: Duration,
    ) -> Result<Self, ClusterError> {
        let refuses = |error: &ClusterError| matches!(error, ClusterError::Refused { .. });
        retry_until(Instant::now() + within, refuses, || self.directly(address)).await
    }

    async fn of_config(
        config: kube::Config,
        context: String,
        authorization: Authorization,
        notify: Notify<'_>,
    ) -> Result<Self, ClusterError> {
        let server = shown(&config.cluster_url);
        let (client, streams) = match &authorization {
            Authorization::Plugin(plugin) => {
                let credentials = plugin.credentials(notify).await?;
                let renewed = |silence| {
                    let (own, asked) = (config.clone(), authorization.clone());
                    let build = move |credentials: &Credentials| {
                        let mut own = own.clone();
                        credentials.replace_plugin(&mut own.auth_info);
                        client(&own, asked.clone(), silence)
                    };
                    renewed(plugin.clone(), &credentials, &config.default_namespace, build)
                };
                (renewed(Some(READ_TIMEOUT))?, renewed(None)?)
            }
            other => (
                client(&config, other.clone(), Some(READ_TIMEOUT))?,
                client(&config, other.clone(), None)?,
            ),
        };
        let (config, version) = (Arc::new(config), String::new());
        let mut cluster =
            Self { client, streams, config, authorization, context, user: None, server, version };
        cluster.version = cluster
            .call("read the server's version", cluster.client.apiserver_version())
            .await
            .map_err(|error| error.of_version(&cluster.server))?
            .git_version;
        Ok(cluster)
    }

    /// A cluster whose API server is a function.
    #[cfg(test)]
    pub(super) fn of_service<A, B>(
        answer: impl FnMut(http::Request<Body>) -> A + Clone + Send + 'static,
    ) -> Self
    where
        A: Future<Output = Result<http::Response<B>, BoxError>> + Send + 'static,
        B: http_body_util::BodyExt<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let client = kube::Client::new(tower::service_fn(answer), "default");
        let config = Arc::new(kube::Config::new("https://fake".parse().expect("is a URL")));
        Self {
            streams: client.clone(),
            client,
            config,
            authorization: Authorization::None,
            context: "fake".into(),
            user: None,
            server: "https://fake".into(),
            version: "v1.34.4".into(),
        }
    }

    /// The same cluster, each of whose requests is told.
    #[cfg(test)]
    pub(crate) fn recorded(
        self,
        mut tell: impl FnMut(&http::request::Parts) + Clone + Send + 'static,
    ) -> Self {
        let client = self.client.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (parts, body) = request.into_parts();
            tell(&parts);
            let client = client.clone();
            async move {
                client.send(http::Request::from_parts(parts, body)).await.map_err(BoxError::from)
            }
        });
        Self { client: kube::Client::new(service, "default"), ..self }
    }

    pub(crate) fn context(&self) -> &str {
        &self.context
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn context_facts(&self) -> ContextFacts {
        let Self { context, server, user, .. } = self;
        ContextFacts { name: context.clone(), server: server.clone(), user: user.clone() }
    }

    /// The API server's version as it was when we connected, such as `v1.34.4`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// How a probe asks the kubeconfig's API server. Errors when the user's credentials are none
    /// that can be written into a request.
    pub(crate) fn api_access(&self) -> Result<ApiAccess, ClusterError> {
        ApiAccess::of_config(&self.config).map_err(|why| ClusterError::Kubeconfig { why })
    }

    /// How the API server on the node at this address is asked, by the same user.
    pub(crate) fn api_access_at(&self, address: &str) -> Result<ApiAccess, ClusterError> {
        Ok(self.api_access()?.at(address))
    }

    pub(super) fn config(&self) -> &kube::Config {
        &self.config
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// A client for what is silent for as long as a command in a pod runs.
    pub(super) fn streams(&self) -> kube::Client {
        self.streams.clone()
    }

    /// Whether the API server answers now. Needs no etcd.
    #[cfg(test)]
    pub(crate) async fn ping(&self) -> Result<(), ClusterError> {
        self.call("read the server's version", self.client.apiserver_version()).await.map(drop)
    }

    /// The kind cluster that this is, among those of the Docker engine, whatever its context is
    /// called, by the names and addresses of its nodes. `None` when it is not kind's (or another
    /// engine's).
    pub(crate) async fn kind_cluster(
        &self,
        containers: &[NodeContainer],
    ) -> Result<Option<String>, ClusterError> {
        Ok(find_kind_cluster(&self.nodes().await?, containers).map(str::to_owned))
    }

    /// Asks, with an end to the waiting, and puts errors into words.
    pub(super) async fn call<T>(
        &self,
        what: impl Into<String>,
        question: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        self.call_within(CALL_TIMEOUT, what, question).await
    }

    /// The same with another end to the waiting.
    pub(super) async fn call_within<T>(
        &self,
        within: Duration,
        what: impl Into<String>,
        question: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        match tokio::time::timeout(within, question).await {
            Ok(answer) => {
                answer.map_err(|error| ClusterError::from_kube(what, &self.server, error))
            }
            Err(_) => Err(ClusterError::Timeout {
                what: what.into(),
                server: self.server.clone(),
                within,
            }),
        }
    }
}

/// A server's URL as it may be shown: without the password or the token that may be in it.
fn shown(url: &http::Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_token =
        |part: &&str| part.len() >= 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = url.path().split('/').filter(|part| !part.is_empty() && !is_token(part));
    let scheme = url.scheme_str().unwrap_or("https");
    path.fold(format!("{scheme}://{host}"), |shown, part| format!("{shown}/{part}"))
}

/// kube's own stack without its retries, with our resolver at the bottom, and our own way of
/// identifying the user. `silence` is the longest of an answer that has begun; `None`: any.
fn client(
    config: &kube::Config,
    authorization: Authorization,
    silence: Option<Duration>,
) -> Result<kube::Client, ClusterError> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver::from_system());
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(https(config, tcp)?);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_read_timeout(silence);
    connector.set_write_timeout(Some(READ_TIMEOUT));
    connector.set_reset_reader_on_write(true);
    let http: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
    let headers = config.extra_headers_layer();
    let headers = headers
        .map_err(|error| ClusterError::from_kube("connect", &shown(&config.cluster_url), error))?;
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(AsyncFilterLayer::new(move |request| authorization.clone().identify(request)))
        .layer(headers)
        .map_err(BoxError::from)
        .service(http);
    Ok(kube::Client::new(stack, config.default_namespace.clone()))
}

fn https<C>(config: &kube::Config, tcp: C) -> Result<HttpsConnector<C>, ClusterError> {
    let ApiTls { insecure, roots, identity, .. } =
        access::tls(config).map_err(|why| ClusterError::Kubeconfig { why })?;
    let refused = |why| ClusterError::Certificate { server: shown(&config.cluster_url), why };
    let trust = match &roots {
        _ if insecure => Trust::Any,
        Some(roots) => Trust::Named(roots),
        None => Trust::System,
    };
    let identity = identity.as_ref().map(|it| Shown { chain: &it.chain, key: &it.key });
    let tls = client_config(trust, identity).map_err(refused)?;
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone());
        let name =
            name.map_err(|_| refused("its `tls-server-name` is not a server name".into()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().wrap_connector(tcp))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: '{server}', insecure-skip-tls-verify: true}}\nusers:\n- name: u\n  user: {{token: t}}\n"
        )
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let error = Cluster::from_kubeconfig(&kubeconfig("https://localhost:9")).await.unwrap_err();
        assert!(
            matches!(&error, ClusterError::Refused { server, .. } if server == "https://localhost:9"),
            "{error:?}"
        );
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let of = |url: &str| shown(&url.parse().unwrap());
        assert_eq!(of("http://me:secret@127.64.0.1:6443/"), "http://127.64.0.1:6443");
        assert_eq!(of("https://a.example/k8s/c@1/"), "https://a.example/k8s/c@1");
        let token = "cb457e20735fdb0390097fd25ba73ee7";
        assert_eq!(of(&format!("http://127.64.0.1:6443/{token}")), "http://127.64.0.1:6443");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_speak_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = kubeconfig(&format!("https://{}", silent.local_addr().unwrap()));
        let error = Cluster::from_kubeconfig(&text).await.unwrap_err();
        assert!(error.is_unreachable(), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_is_asked_again_until_the_limit() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = kubeconfig(&format!("http://{address}"));
        let began = Instant::now();
        let error = Cluster::of_new(&text, Duration::from_secs(30)).await.unwrap_err();
        assert!(matches!(error, ClusterError::Refused { .. }), "{error:?}");
        assert!(began.elapsed() >= Duration::from_secs(30));
    }
}

//! `version`: which build this is, and which Kubernetes a cluster runs.

use serde::Serialize;

use super::args::{LintForm, Version};
use super::env::Env;
use super::{block_on, exit, failure::Failure, live, print};
use crate::preflight::judge::supported;
use crate::report::json;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client_version: ClientVersion,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_version: Option<ServerVersion>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientVersion {
    version: &'static str,
    /// Only release builds from a Git checkout know it (`build.rs`).
    commit: Option<&'static str>,
    target: &'static str,
    /// The oldest and the newest Kubernetes that it supports.
    kubernetes: [String; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    version: String,
    context: String,
}

/// Prints the version of this program; of a context's server, too, if one is named.
pub(super) fn version(args: &Version, env: &Env) -> Result<u8, Failure> {
    let server = block_on(server(args, env)).transpose();
    let (server_version, failure) = match server {
        Ok(server) => (server, None),
        Err(failure) => (None, Some(failure)),
    };
    let client_version = ClientVersion {
        version: concat!("v", env!("CARGO_PKG_VERSION")),
        commit: option_env!("OUTAGE_COMMIT"),
        target: env!("OUTAGE_TARGET"),
        kubernetes: supported(),
    };
    let versions = Versions { client_version, server_version };
    match args.output {
        LintForm::Text => print(&versions.text()),
        LintForm::Json => print(&json::pretty(&versions)),
        LintForm::Yaml => print(&json::yaml(&versions)),
    }
    failure.map_or(Ok(exit::PASS), Err)
}

async fn server(args: &Version, env: &Env) -> Option<Result<ServerVersion, Failure>> {
    let context = args.context.as_deref().filter(|_| !args.client)?;
    let cluster = live::cluster(Some(context), args.kubeconfig.as_deref(), env).await;
    let version = cluster.map(|cluster| ServerVersion {
        version: cluster.version().to_owned(),
        context: cluster.context().to_owned(),
    });
    Some(version.map_err(Failure::from))
}

impl Versions {
    fn text(&self) -> String {
        let ClientVersion { version, commit, target, kubernetes: [oldest, newest] } =
            &self.client_version;
        let mut text = format!("Client Version: {version}\n");
        if let Some(commit) = commit {
            text += &format!("Commit: {commit}\n");
        }
        text += &format!("Target: {target}\nSupported Kubernetes: {oldest} to {newest}\n");
        if let Some(ServerVersion { version, context }) = &self.server_version {
            text += &format!("Server Version: {version} (context {context})\n");
        }
        text
    }
}

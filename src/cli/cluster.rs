//! `cluster`: an embedded cluster in the foreground, to look at and to play with.

use std::io::ErrorKind;
use std::path::Path;

use super::args::Cluster;
use super::env::Env;
use super::failure::Failure;
use super::{block_on, exit, load, print};
use crate::cluster::KindConfig;
use crate::embedded::Embedded;
use crate::engine::abort::Abort;
use crate::engine::environment::embedded;
use crate::engine::environment::embedded_folder::{Folder, Secret};
use crate::engine::error::RunError;

/// What the cluster is a model of when no kind config is named.
pub(super) const DEFAULT_CONFIG: &str = include_str!("../../kind-configs/default.yaml");

/// Starts a cluster and keeps it until Ctrl-C.
pub(super) fn cluster(args: &Cluster, env: &Env) -> Result<u8, Failure> {
    let config = config(args)?;
    let (folder, _state, _lock) = Folder::make(&env.state_dir)?;
    let embedded = Embedded::start(embedded::spec(&config)).map_err(RunError::refused_by)?;
    block_on(async {
        let abort = Abort::listen(|_, _| {})
            .map_err(|e| RunError::refused("cannot listen for signals").because(&e))?;
        let own = folder.kubeconfig(embedded.kubeconfig())?;
        let wanted = args.kubeconfig_out.as_deref();
        let _out = wanted.map(|path| write_out(path, embedded.kubeconfig())).transpose()?;
        let path = wanted.unwrap_or(&own).display();
        print(&format!(
            "an embedded cluster is up: {} nodes, a model of Kubernetes, no real one. Ctrl-C ends it.\n\n  kubectl --kubeconfig {path} get nodes,pods,endpointslices -A\n  kubectl --kubeconfig {path} get nodes -w\n",
            config.nodes.len()
        ));
        tokio::select! {
            _ = abort.interrupted() => Ok(exit::PASS),
            () = embedded.ended() => Err(RunError::failed("the embedded cluster has ended by itself: a fault in the model").into()),
        }
    })
}

fn config(args: &Cluster) -> Result<KindConfig, Failure> {
    let (name, text) = match &args.filename {
        Some(path) => (path.display().to_string(), load::kind_config(path)?),
        None => ("built in".into(), DEFAULT_CONFIG.into()),
    };
    KindConfig::parse(&text)
        .map_err(|e| Failure::usage(format!("error: cannot use the kind config {name}: {e}")))
}

/// Writes the kubeconfig where it is wanted, for as long as the cluster is up. Refuses to touch what is there: it may be somebody's
/// credentials.
fn write_out(path: &Path, text: &str) -> Result<Secret, RunError> {
    let cannot = |e: std::io::Error| {
        let hint = (e.kind() == ErrorKind::AlreadyExists)
            .then_some("name a file that is not there yet; one that is there is never overwritten, for it may hold credentials");
        RunError::refused(format!("cannot write {}", path.display())).because(&e).maybe_hint(hint)
    };
    path.parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| Secret::write(path, text))
        .map_err(cannot)
}

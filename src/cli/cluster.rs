//! `cluster`: an embedded cluster in the foreground, to look at and to play with.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::args::Cluster;
use super::env::Env;
use super::failure::Failure;
use super::{block_on, exit, load, print};
use crate::embedded::Embedded;
use crate::engine::abort::Abort;
use crate::engine::environment::embedded;
use crate::engine::environment::embedded_folder::{Folder, Made, Secret};
use crate::engine::error::RunError;
use crate::kind_config::{self, DEFAULT_KUBERNETES, KindConfig, Kubernetes};
use crate::timeline::bounded::io_problem;
use crate::timeline::counted;
use crate::yaml::SourceFile;

/// Starts a cluster and keeps it until Ctrl-C.
pub(super) fn cluster(args: &Cluster, env: &Env) -> Result<u8, Failure> {
    let config = config(args, env)?;
    let Made { folder, state: _state, lock: _lock } = Folder::make(&env.state_dir)?;
    let embedded = Embedded::start(embedded::spec(&config)).map_err(RunError::refused_by)?;
    block_on(async {
        let abort = Abort::listen(|_, _| {})
            .map_err(|e| RunError::refused("cannot listen for signals").because(&e))?;
        let own = folder.kubeconfig(embedded.kubeconfig())?;
        let wanted = args.kubeconfig_out.as_deref();
        let _out = wanted.map(|path| write_out(path, embedded.kubeconfig())).transpose()?;
        let path = wanted.unwrap_or(&own).display();
        print(&format!(
            "the embedded cluster is up: {}, a model of Kubernetes and not a real one. \
             Press Ctrl-C to stop it.\n\n  kubectl --kubeconfig {path} get \
             nodes,pods,endpointslices -A\n  kubectl --kubeconfig {path} get nodes -w\n",
            counted(config.nodes.len(), "node")
        ));
        tokio::select! {
            _ = abort.interrupted() => Ok(exit::PASS),
            () = embedded.ended() => Err(RunError::failed("the embedded cluster stopped unexpectedly: internal error, please report it").into()),
        }
    })
}

fn config(args: &Cluster, env: &Env) -> Result<KindConfig, Failure> {
    match &args.filename {
        Some(path) => load::kind_config(path, DEFAULT_KUBERNETES, env),
        None => Ok(default_config()),
    }
}

/// The kind config that the cluster is a model of when none is named.
pub(super) fn default_config() -> KindConfig {
    let text = include_str!("../../kind-configs/default.yaml").to_owned();
    let file = Arc::new(SourceFile { name: "built-in:kind-configs/default.yaml".into(), text });
    let reading = kind_config::read(&file, Kubernetes::Default(DEFAULT_KUBERNETES));
    reading.usable().expect("a test reads it")
}

/// Writes the kubeconfig to a file that does not exist yet, for as long as the cluster is up.
fn write_out(path: &Path, text: &str) -> Result<Secret, RunError> {
    let cannot = |e: std::io::Error| {
        let hint = match e.kind() {
            ErrorKind::AlreadyExists => Some(
                "choose a file that does not exist: existing files are never overwritten, since they may hold credentials",
            ),
            ErrorKind::NotFound => Some("create the directory first, or choose another path"),
            ErrorKind::PermissionDenied => {
                Some("choose a file in a directory that you may write to")
            }
            _ => None,
        };
        let why = match e.kind() {
            ErrorKind::NotFound => "its directory does not exist".to_owned(),
            _ => io_problem(&e),
        };
        RunError::refused(format!("cannot write {}", path.display()))
            .caused_by(why)
            .maybe_hint(hint)
    };
    Secret::write(path, text).map_err(cannot)
}

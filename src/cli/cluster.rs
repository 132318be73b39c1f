//! `cluster`: an embedded cluster in the foreground, to look at and to play with.

use std::path::PathBuf;

use super::args::Cluster;
use super::env::Env;
use super::failure::Failure;
use super::{block_on, exit, print};
use crate::cluster::KindConfig;
use crate::embedded::Embedded;
use crate::engine::abort::Abort;
use crate::engine::embedded_ground;
use crate::engine::trouble::Trouble;

/// What the cluster is a model of when no kind config is named.
const DEFAULT_CONFIG: &str = include_str!("../../kind-configs/default.yaml");

/// Starts a cluster and keeps it until Ctrl-C.
pub fn cluster(args: &Cluster, env: &Env) -> Result<u8, Failure> {
    let config = config(args)?;
    let embedded = Embedded::start(embedded_ground::spec(&config)).map_err(Trouble::refused_by)?;
    block_on(async {
        let abort = Abort::listen(|_, _| {}).map_err(|e| Trouble::refused("cannot listen for signals").because(&e))?;
        let file = Kubeconfig::write(args, env, embedded.kubeconfig())?;
        let path = file.path.display();
        print(&format!(
            "an embedded cluster is up: {} nodes, a model of Kubernetes, no real one. Ctrl-C ends it.\n\n  kubectl --kubeconfig {path} get nodes,pods,endpointslices -A\n  kubectl --kubeconfig {path} get nodes -w\n",
            config.nodes.len()
        ));
        tokio::select! {
            _ = abort.interrupted() => Ok(exit::PASS),
            () = embedded.ended() => Err(Trouble::failed("the embedded cluster has ended by itself: a fault in the model").into()),
        }
    })
}

fn config(args: &Cluster) -> Result<KindConfig, Failure> {
    let (name, text) = match &args.filename {
        Some(path) => {
            let unreadable = |e: std::io::Error| Failure::usage(format!("error: cannot read {}: {e}", path.display()));
            (path.display().to_string(), std::fs::read_to_string(path).map_err(unreadable)?)
        }
        None => ("built in".into(), DEFAULT_CONFIG.into()),
    };
    KindConfig::parse(&text).map_err(|e| Failure::usage(format!("error: cannot use the kind config {name}: {e}")))
}

/// The kubeconfig's file, which is of no use afterwards.
struct Kubeconfig {
    path: PathBuf,
}

impl Kubeconfig {
    fn write(args: &Cluster, env: &Env, text: &str) -> Result<Self, Trouble> {
        let own = || env.state_dir.join(format!("embedded-{}.kubeconfig", std::process::id()));
        let path = args.kubeconfig_out.clone().unwrap_or_else(own);
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let cannot = |e: std::io::Error| Trouble::refused(format!("cannot write {}", path.display())).because(&e);
        folder.and_then(|()| std::fs::write(&path, text)).map_err(cannot)?;
        Ok(Self { path })
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

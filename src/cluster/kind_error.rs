//! Why the kind program did not do what was asked.

use std::path::PathBuf;
use std::time::Duration;

use crate::timeline::format_duration;

#[derive(Debug, thiserror::Error)]
pub(crate) enum KindError {
    #[error("the program kind is not installed")]
    NotInstalled,
    #[error("{} cannot be run: {source}", path.display())]
    NotRun { path: PathBuf, source: std::io::Error },
    #[error("kind cannot reach the container engine: {why}")]
    Engine { why: String },
    #[error("a kind cluster named {name} already exists")]
    Exists { name: String },
    #[error("there is no kind cluster named {name}")]
    NoSuchCluster { name: String },
    #[error("the node image {image} is not present locally and cannot be pulled: {why}")]
    Image { image: String, why: String },
    #[error("a port that the cluster needs is in use: {why}")]
    Port { why: String },
    #[error("kind failed: {}", lines.join("\n"))]
    Failed { lines: Vec<String> },
    #[error("kind did not finish within {}", format_duration(*within))]
    TooSlow { within: Duration },
}

impl KindError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotInstalled => {
                "install it from https://kind.sigs.k8s.io/docs/user/quick-start/#installation, \
                 or use an existing cluster with --context"
                    .into()
            }
            Self::Exists { name } => format!("delete it with `kind delete cluster --name {name}`"),
            Self::Image { .. } => {
                "choose a local image with --node-image or OUTAGE_NODE_IMAGE (`docker images kindest/node`)".into()
            }
            Self::NoSuchCluster { .. } => "`kind get clusters` lists the existing ones".into(),
            _ => return None,
        })
    }
}

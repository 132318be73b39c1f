//! Why the kind program did not do what was asked.

use std::path::PathBuf;
use std::time::Duration;

/// Why kind did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KindError {
    /// There is no such program.
    #[error("the program kind is not installed")]
    NotInstalled,
    /// It could not be started, or talked to.
    #[error("{} cannot be run: {source}", path.display())]
    NotRun { path: PathBuf, source: std::io::Error },
    /// The container engine does not answer kind.
    #[error("kind cannot reach the container engine: {why}")]
    Engine { why: String },
    /// A cluster of that name exists.
    #[error("a kind cluster named {name} already exists")]
    Exists { name: String },
    #[error("there is no kind cluster named {name}")]
    NoSuchCluster { name: String },
    /// The node image is not here and can't be pulled.
    #[error("the node image {image} is not present locally and cannot be pulled: {why}")]
    Image { image: String, why: String },
    /// A port that the cluster wants is in use.
    #[error("a port that the cluster needs is in use: {why}")]
    Port { why: String },
    /// It ended with an error.
    #[error("kind said: {}", lines.join("\n"))]
    Failed { lines: Vec<String> },
    /// It did not end.
    #[error("kind did not end within {} s", within.as_secs())]
    TooSlow { within: Duration },
}

impl KindError {
    /// What a person can do about it, where there is something.
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
            Self::NoSuchCluster { .. } => "`kind get clusters` lists those that are there".into(),
            _ => return None,
        })
    }
}

//! A kind config as kind 0.30 to 0.33 reads it: located and typed, with the settings that each node
//! really gets. The only reader: `lint`, `validate`, `predict`, `run`, `cluster` and the check of
//! an existing cluster all start here.
//!
//! ```text
//! located tree -> fields and types (fields.rs, schema.rs), values (values.rs), nodes (nodes.rs)
//!   -> patches (patches.rs) -> each node's kubeadm documents, patched (documents.rs)
//!   -> flags (known_flags.rs, flags.rs), settings (settings.rs) -> KindConfig; other settings for it (tuning.rs)
//! ```

mod documents;
mod fields;
mod flags;
mod known_flags;
mod labels;
mod nodes;
mod patches;
mod problems;
mod schema;
mod settings;
mod tuning;
mod values;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::timeline::{NodeRole, Tolerations, Tuning};
use crate::yaml::tree::Node;
use crate::yaml::{self, Diagnostic, Diagnostics, SourceFile, Span};
pub(crate) use labels::{LABEL_VALUE, is_dns_label, is_label_value, is_qualified_name};
pub(crate) use nodes::version_of_image;
use problems::Problems;

/// The Kubernetes version of node images that do not tell theirs, unless another one is given.
pub(crate) const DEFAULT_KUBERNETES: &str = "v1.34.0";

/// The Kubernetes version (`v1.34.4`) to read a kind config for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kubernetes<'a> {
    /// Of nodes whose image does not name one.
    Default(&'a str),
    /// Of all nodes, whatever their images say.
    Exactly(&'a str),
    /// The same as a guess: the image that all nodes get does not name one.
    Guess(&'a str),
}

/// A kind config and the problems found in it.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// As far as it was understood. `None`: it is not a kind config.
    pub config: Option<KindConfig>,
    /// In the file's order.
    pub problems: Diagnostics,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KindConfig {
    /// The cluster's name; kind's own (`kind`) where the file has none.
    pub name: String,
    pub is_named: bool,
    /// The nodes in the file's order. A file without nodes means one control plane.
    pub nodes: Vec<KindNode>,
    /// The version of Kubernetes of the first control plane.
    pub kubernetes: String,
    /// Whether no node image names the version.
    pub kubernetes_is_assumed: bool,
    /// How long pods without a toleration of their own stay on a node that is lost.
    pub default_tolerations: Tolerations,
    /// What the file itself sets in the components' configuration; `None` where it leaves the
    /// default.
    pub asked: Tuning,
    file: Arc<SourceFile>,
    root: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KindNode {
    pub name: String,
    pub role: NodeRole,
    /// Those that it registers with: Kubernetes' own and the file's.
    pub labels: BTreeMap<String, String>,
    /// Whether it has the control plane's taint.
    pub tainted: bool,
    /// Its kubelet's settings and the controller manager's, all of them.
    pub tuning: Tuning,
    /// Where the file sets them.
    pub places: Places,
}

/// Where settings stand in the file; `None`: nowhere, the default holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// `nodeStatusUpdateFrequency`, or the kubelet's flag.
    pub update: Option<Span>,
    /// Whether that is the flag, which beats the config file.
    pub update_is_flag: bool,
    pub report: Option<Span>,
    pub lease: Option<Span>,
    pub period: Option<Span>,
    pub grace: Option<Span>,
}

/// Reads a kind config with all its problems.
pub(crate) fn read(file: &Arc<SourceFile>, kubernetes: Kubernetes<'_>) -> Reading {
    let mut syntax = Diagnostics::default();
    let documents = yaml::parse(file, &mut syntax).unwrap_or_default();
    let is_broken = syntax.has_errors();
    let mut problems = Problems::new(file, syntax);
    let config = match documents.first() {
        Some(root) if fields::is_kind_config(&mut problems, root) => {
            if let Some(second) = documents.get(1) {
                problems
                    .warn(second.focus(), "kind reads only the first document of a file")
                    .hint("put this one into its own file");
            }
            Some(read_root(&mut problems, root, kubernetes))
        }
        Some(_) => None,
        None => {
            if !is_broken {
                problems.error(Span::of_bytes(&file.text, 0, 0), "the file is empty");
            }
            None
        }
    };
    Reading { config, problems: problems.into_diagnostics() }
}

fn read_root(problems: &mut Problems, root: &Node, kubernetes: Kubernetes<'_>) -> KindConfig {
    fields::check(problems, root, &schema::CLUSTER, fields::Reader::Kind);
    values::check(problems, root);
    let nodes = nodes::read(problems, root, kubernetes);
    let patches = patches::read(problems, root, &nodes);
    let documents = documents::of_nodes(problems, root, &nodes, &patches);
    settings::read(problems, root, nodes, &documents)
}

impl Reading {
    /// The config, if nothing about it is wrong; warnings are dropped.
    pub(crate) fn usable(self) -> Result<KindConfig, Diagnostics> {
        match self.config {
            Some(config) if !self.problems.has_errors() => Ok(config),
            _ => Err(self.problems),
        }
    }
}

impl KindConfig {
    /// Its file, for people.
    pub(crate) fn path(&self) -> &str {
        &self.file.name
    }

    pub(crate) fn text(&self) -> &str {
        &self.file.text
    }

    /// The same file for another version of Kubernetes.
    pub(crate) fn for_kubernetes(&self, kubernetes: Kubernetes<'_>) -> Self {
        read(&self.file, kubernetes).config.expect("it was a kind config before")
    }

    pub(crate) fn count(&self, role: NodeRole) -> usize {
        self.nodes.iter().filter(|node| node.role == role).count()
    }

    /// The container that kind puts before several control planes: a machine, but not a node of
    /// Kubernetes.
    pub(crate) fn load_balancer(&self) -> Option<String> {
        (self.count(NodeRole::ControlPlane) > 1)
            .then(|| format!("{}-external-load-balancer", self.name))
    }

    /// The settings of the cluster as a whole. Where kubelets differ, the slowest counts, as it
    /// does where they are read from a cluster.
    pub(crate) fn tuning(&self) -> Tuning {
        let slowest = |setting: fn(&Tuning) -> Option<Duration>| {
            self.nodes.iter().filter_map(|node| setting(&node.tuning)).max()
        };
        Tuning {
            node_status_update_frequency: slowest(|tuning| tuning.node_status_update_frequency),
            node_status_report_frequency: slowest(|tuning| tuning.node_status_report_frequency),
            node_lease_duration: slowest(|tuning| tuning.node_lease_duration),
            ..self.nodes.first().map(|node| node.tuning).unwrap_or_default()
        }
    }

    /// What is wrong where a cluster must not be confused with others: kind calls each one `kind`
    /// that has no name.
    pub(crate) fn unnamed(&self) -> Option<Diagnostic> {
        let message = "the kind config has no `name:`, so kind calls the cluster `kind`";
        (!self.is_named)
            .then(|| self.error(message).hint("add a name, such as `name: my-experiments`"))
    }

    /// An error about the file as a whole, at its beginning.
    pub(crate) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(message).at(&self.file, self.root.focus())
    }

    /// A problem at its place in this file, or at the file's beginning.
    pub(crate) fn locate(&self, problem: Diagnostic, at: Option<Span>) -> Diagnostic {
        problem.at(&self.file, at.unwrap_or(self.root.focus()))
    }
}

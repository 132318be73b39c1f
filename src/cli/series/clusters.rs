//! The clusters of a series: each once, and which of them need only other settings in their nodes.

use crate::engine::environment::provision::ClusterSpec;
use crate::kind_config::KindConfig;

pub(in crate::cli) struct Clusters {
    /// Each cluster once.
    pub specs: Vec<ClusterSpec>,
    /// The cluster of each cell.
    pub of: Vec<usize>,
    /// The cluster that stands for each: itself, or one whose settings are changed in its nodes.
    pub hosts: Vec<usize>,
}

impl Clusters {
    /// The clusters that cells are to run on. `retunes`: whether settings of failure detection may be
    /// changed in the nodes of a running one.
    pub(in crate::cli) fn new(wanted: Vec<ClusterSpec>, retunes: bool) -> Self {
        let (mut specs, mut of) = (Vec::<ClusterSpec>::new(), Vec::new());
        for wanted in wanted {
            let at = specs.iter().position(|spec| *spec == wanted);
            of.push(at.unwrap_or(specs.len()));
            specs.extend(at.is_none().then_some(wanted));
        }
        let hosts = specs.iter().enumerate().map(|(at, spec)| {
            specs[..at].iter().position(|one| retunes && is_retuned(one, spec)).unwrap_or(at)
        });
        let hosts = hosts.collect();
        Self { specs, of, hosts }
    }

    /// The number of the cluster that a cell runs on.
    pub(in crate::cli) fn host(&self, cell: usize) -> usize {
        self.hosts[self.of[cell]]
    }

    /// The settings that the cluster of a cell is to have, where they are changed in its nodes.
    pub(in crate::cli) fn retuned(&self, cell: usize) -> Option<&KindConfig> {
        let host = self.host(cell);
        match &self.specs[self.of[cell]] {
            ClusterSpec::Kind { config } => {
                (self.hosts.iter().filter(|it| **it == host).count() > 1).then_some(config)
            }
            _ => None,
        }
    }
}

/// Whether one kind cluster is the other with other settings of failure detection.
fn is_retuned(one: &ClusterSpec, other: &ClusterSpec) -> bool {
    match (one, other) {
        (ClusterSpec::Kind { config: one }, ClusterSpec::Kind { config: other }) => {
            one.differs_only_in_settings(other)
        }
        _ => false,
    }
}

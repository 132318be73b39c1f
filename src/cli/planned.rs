//! The cluster that an experiment's kind config asks for, before it is there: what predictions start from.

use std::path::Path;

use super::failure::Failure;
use super::{exit, load};
use crate::engine::ground::provision;
use crate::experiment::{Cluster, Parsed};
use crate::model::Topology;
use crate::prediction::{Ground, workload};
use crate::timeline::NodeRole;

/// A cluster that could be made.
pub struct Planned {
    /// Its nodes and settings, with the experiment's workload on it.
    pub ground: Ground,
    /// What it is, for people.
    pub name: String,
}

/// The cluster of `config`, else of the experiment's own kind config; `None` where there is neither. Errors when the config can't be used.
pub fn planned(parsed: &Parsed, config: Option<&Path>, kubernetes: &str) -> Result<Option<Planned>, Failure> {
    let (path, text, tuning) = match (config, &parsed.kind_config, &parsed.experiment.cluster) {
        (Some(path), ..) => (path.display().to_string(), load::kind_config(path)?, None),
        (None, Some(file), Cluster::Kind { tuning, .. }) => (file.path.clone(), file.text.clone(), *tuning),
        _ => return Ok(None),
    };
    let unusable = |trouble| Failure { code: exit::USAGE, ..Failure::from(trouble) };
    let config = provision::asked(&path, &text, tuning).map_err(unusable)?;
    let name = &config.name;
    let nodes = Topology::kind(name, config.count(NodeRole::ControlPlane), config.count(NodeRole::Worker)).nodes;
    let count = nodes.len();
    let nodes = nodes.into_iter().map(|node| (node.name, node.role));
    let ground = with_workload(Ground::new(nodes, config.expected(kubernetes), kubernetes), parsed);
    let name = format!("kind cluster {name} as {path} asks for it (Kubernetes {kubernetes}, {count} nodes)");
    Ok(Some(Planned { ground, name }))
}

/// The same with the version of today, where it can be had: for hints, which must not fail.
pub fn today(parsed: &Parsed) -> Option<Ground> {
    planned(parsed, None, load::TODAY).ok().flatten().map(|planned| planned.ground)
}

/// A ground with the experiment's workload on it.
pub fn with_workload(ground: Ground, parsed: &Parsed) -> Ground {
    ground.with_workload(workload::behind_services(parsed.workload.iter().map(|file| file.text.as_str())))
}

//! `rbac`: the least role that an experiment needs. Asks a cluster only for the names of custom
//! resources.

use super::args::Rbac;
use super::env::Env;
use super::load::Place;
use super::{block_on, exit, failure::Failure, live, load, print};
use crate::engine::error::RunError;
use crate::engine::preflight::resource_names;
use crate::experiment::{Cluster, Experiment, Parsed};
use crate::preflight::rights::{self, ResourceNames, WayIn};
use crate::preflight::role;
use crate::workload::Manifest;

/// Prints one role for all experiments that were named.
pub(super) fn rbac(args: &Rbac, env: &Env) -> Result<u8, Failure> {
    let experiments = load::experiments(&args.experiments, Place::Other, env)?;
    let names = names(args, &experiments, env)?;
    let rights = rights::of(with_workloads(&experiments), WayIn::HelperPods, &names);
    let mut files: Vec<&str> = experiments.iter().map(|one| one.file_name()).collect();
    files.dedup();
    let name = match files[..] {
        [name] => format!("outage-{name}"),
        _ => "outage".to_owned(),
    };
    let account = args.service_account.as_ref();
    let account = account.map(|it| (it.namespace.as_str(), it.name.as_str()));
    print(&role::yaml(&name, &rights, account));
    Ok(exit::PASS)
}

fn with_workloads(all: &[Parsed]) -> impl Iterator<Item = (&Experiment, &Manifest)> {
    all.iter().map(|one| (&one.experiment, &one.workload))
}

/// What custom resources are called, asked of a cluster that has them.
fn names(args: &Rbac, experiments: &[Parsed], env: &Env) -> Result<ResourceNames, Failure> {
    let custom = rights::custom_kinds(with_workloads(experiments));
    let Some((_, first)) = custom.first() else { return Ok(ResourceNames::default()) };
    let named = experiments.iter().find_map(|one| match &one.experiment.cluster {
        Cluster::NamedContext { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let context = args.context.as_deref().or(named);
    let unknown = |why: String| {
        RunError::refused(format!("cannot look up the resource name of {first}"))
            .caused_by(why)
            .hint("name a cluster that has this kind with --context NAME")
    };
    block_on(async {
        let cluster = live::cluster(context, args.kubeconfig.as_deref(), env).await;
        let cluster = cluster.map_err(|error| unknown(error.line()))?;
        let names = resource_names(&cluster, &custom).await;
        let names = names.map_err(|error| unknown(error.to_string()))?;
        match custom.iter().find(|(version, kind)| names.of(version, kind).is_none()) {
            None => Ok(names),
            Some((version, kind)) => {
                let context = cluster.context();
                Err(unknown(format!("context {context} has no {kind} in {version}")).into())
            }
        }
    })
}

//! `rbac`: the least role that an experiment needs. Asks no cluster.

use super::args::Rbac;
use super::env::Env;
use super::load::Place;
use super::{exit, failure::Failure, load, print};
use crate::preflight::rights::{self, WayIn};
use crate::preflight::role;

/// Prints one role for all experiments that were named.
pub(super) fn rbac(args: &Rbac, env: &Env) -> Result<u8, Failure> {
    let experiments = load::experiments(&args.experiments, Place::Other, env)?;
    let rights = {
        let experiments = experiments.iter().map(|one| (&one.experiment, &one.workload));
        rights::of(experiments, WayIn::HelperPods)
    };
    let mut names: Vec<&str> = experiments.iter().map(|one| one.file_name()).collect();
    names.dedup();
    let name = match names[..] {
        [name] => format!("outage-{name}"),
        _ => "outage".to_owned(),
    };
    let account = args.service_account.as_ref();
    let account = account.map(|it| (it.namespace_or("default"), it.name.as_str()));
    print(&role::yaml(&name, &rights, account));
    Ok(exit::PASS)
}

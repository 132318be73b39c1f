//! The state before the first fault: all that a prediction may know of a run.

use crate::analysis::{FaultFinding, Findings};
use crate::prediction::ClusterModel;
use crate::timeline::Header;

/// The cluster of a header, with the endpoints and targets as they were when the first fault was
/// requested. Nothing of what the fault then did goes in.
pub fn ground(header: &Header, found: &Findings) -> ClusterModel {
    let mut ground = ClusterModel::of_cluster(&header.cluster);
    ground.targets = found.faults.iter().map(|fault| (fault.step, fault.target.clone())).collect();
    match found.faults.first() {
        Some(fault) => ground.with_endpoints(endpoints(fault)),
        None => ground,
    }
}

fn endpoints(fault: &FaultFinding) -> impl Iterator<Item = (&str, &str, u32)> {
    fault.services.iter().flat_map(|service| {
        let by_node = service.by_node.iter();
        by_node.filter_map(|at| Some((service.service.as_str(), at.node.as_deref()?, at.count)))
    })
}

//! The state before the first fault: all that a prediction may know of a run.

use crate::analysis::{FaultFinding, Findings};
use crate::prediction::{ClusterModel, Seen};
use crate::timeline::Header;

/// The cluster of a header, with the endpoints and targets as they were when the first fault was
/// requested. Nothing of what the fault then did goes in.
pub fn ground(header: &Header, found: &Findings) -> ClusterModel {
    let mut ground = ClusterModel::of_header(header);
    ground.targets = found.faults.iter().map(|fault| (fault.step, fault.target.clone())).collect();
    match found.faults.first() {
        Some(fault) => ground.with_endpoints(endpoints(fault)),
        None => ground,
    }
}

fn endpoints(fault: &FaultFinding) -> impl Iterator<Item = Seen<'_>> {
    fault.services.iter().flat_map(|found| {
        let service = found.service.as_str();
        let by_node = found.by_node.iter();
        by_node.filter_map(move |at| {
            Some(Seen { service, node: at.node.as_deref()?, count: at.count })
        })
    })
}

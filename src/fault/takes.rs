//! How long a fault may take to be made and to be undone, at worst: a dead man's switch must not act on what is only slow. The bounds are
//! those of the faults themselves; a call of the engine has the time of a command in a node.

use std::time::Duration;

use super::inside::LONG;
use super::object::{node_drain, pod_delete};
use super::scene::COMMAND;
use super::{
    component, container_kill, etcd_data_loss, kubelet_stop, node_reboot, object, packet_filter,
    revive, switch_off,
};
use crate::experiment::Fault;

/// From the call that arms its switch until it is confirmed.
pub(crate) fn injection_takes(fault: &Fault) -> Duration {
    COMMAND
        + match fault {
            Fault::NodeStop { grace, .. } => *grace + switch_off::PATIENCE,
            Fault::NodeKill { .. } | Fault::NodePause { .. } => switch_off::PATIENCE,
            Fault::NodeReboot { .. } => COMMAND + node_reboot::PATIENCE * 2,
            Fault::NodeDisconnect { .. } | Fault::Partition { .. } => {
                COMMAND + packet_filter::PATIENCE
            }
            Fault::KubeletStop { .. } => COMMAND + kubelet_stop::PATIENCE,
            Fault::ComponentStop { .. }
            | Fault::ComponentKill { .. }
            | Fault::ComponentPause { .. } => COMMAND + component::END,
            Fault::EtcdDataLoss { .. } => {
                etcd_data_loss::SNAPSHOT_LIMIT + LONG.limit + etcd_data_loss::PATIENCE
            }
            Fault::ContainerKill { .. } => COMMAND + container_kill::PATIENCE,
            Fault::NodeDrain { .. } => node_drain::PATIENCE,
            Fault::PodDelete { .. } => pod_delete::PATIENCE,
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => object::PODS,
        }
}

/// From the first call of its undo until that is verified, where the engine and the API server answer.
pub(crate) fn undo_takes(fault: &Fault) -> Duration {
    COMMAND
        + match fault {
            Fault::NodeStop { .. }
            | Fault::NodeKill { .. }
            | Fault::NodePause { .. }
            | Fault::NodeReboot { .. } => revive::PATIENCE,
            Fault::NodeDisconnect { .. } | Fault::Partition { .. } => packet_filter::PATIENCE,
            Fault::KubeletStop { .. } => kubelet_stop::PATIENCE,
            Fault::ComponentStop { .. }
            | Fault::ComponentKill { .. }
            | Fault::ComponentPause { .. } => component::START,
            Fault::EtcdDataLoss { .. } => LONG.limit + component::START,
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => object::PODS,
            Fault::NodeDrain { .. } => object::PATIENCE,
            Fault::ContainerKill { .. } | Fault::PodDelete { .. } => Duration::ZERO,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::record::tests::{every_component_fault, every_fault};
    use crate::timeline::Component;

    #[test]
    fn a_fault_that_waits_is_given_its_time() {
        let [stop, kill, ..] = every_fault();
        assert_eq!(
            injection_takes(&stop),
            injection_takes(&kill) + Duration::from_secs(10),
            "its grace"
        );
        let [part, ..] = every_component_fault(Component::Etcd);
        assert!(injection_takes(&part) >= component::END + COMMAND * 2);
        let loss = Fault::EtcdDataLoss { target: Default::default() };
        assert!(
            injection_takes(&loss) >= Duration::from_secs(60 + 220 + 120),
            "{:?}",
            injection_takes(&loss)
        );
        assert!(undo_takes(&part) >= component::START);
    }
}

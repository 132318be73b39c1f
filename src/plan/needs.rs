//! What of the control plane a probe hangs on.

use crate::experiment::{ApiServer, ApiVerb, Ask, Canary};
use crate::timeline::{Component, Needs};

/// What must work for a question to be answered; `None`: nothing of the control plane.
pub(crate) fn needs(ask: &Ask) -> Option<Needs> {
    match ask {
        Ask::Api { verb, server } => {
            let node = match server {
                ApiServer::On { node, .. } => Some(node.clone()),
                ApiServer::Balancer | ApiServer::Each => None,
            };
            Some(Needs::ApiServer { node, etcd: *verb != ApiVerb::ReadCached })
        }
        Ask::Canary(canary) => Some(Needs::Leader(done_by(*canary))),
        _ => None,
    }
}

/// Who does what a canary asks for. The autoscaler is a controller of the controller manager.
fn done_by(canary: Canary) -> Component {
    match canary {
        Canary::Scheduling => Component::Scheduler,
        Canary::Reconciliation | Canary::Autoscaling => Component::ControllerManager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_may_be_old_does_without_etcd() {
        let api = |verb, server| needs(&Ask::Api { verb, server });
        let any = |etcd| Some(Needs::ApiServer { node: None, etcd });
        assert_eq!(api(ApiVerb::ReadCached, ApiServer::Balancer), any(false));
        assert_eq!(api(ApiVerb::Write, ApiServer::Balancer), any(true));
        let on = ApiServer::On { node: "cp2".into(), address: "172.18.0.3".into() };
        assert_eq!(
            api(ApiVerb::Read, on),
            Some(Needs::ApiServer { node: Some("cp2".into()), etcd: true })
        );
        assert_eq!(
            needs(&Ask::Canary(Canary::Autoscaling)),
            Some(Needs::Leader(Component::ControllerManager))
        );
    }
}

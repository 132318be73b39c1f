//! What each canary asks the control plane for, and how its watch shows that it was done.

use crate::cluster::{CanaryClient, ClusterError};
use crate::experiment::Canary;
use crate::timeline::{Change, Event, Outcome, Phase};
use crate::watch::CanaryObjects;

/// The autoscaler is to bring its target back to so many.
const LEAST: u32 = 2;

/// What a canary does, for people: after `scheduling: `.
pub(crate) fn describe(canary: Canary) -> &'static str {
    match canary {
        Canary::Scheduling => "a new pod, until it runs",
        Canary::Reconciliation => {
            "a Deployment scaled to 0 or 1, until its controllers have caught up"
        }
        Canary::Autoscaling => "an autoscaler's target scaled below its minimum, until it is back",
    }
}

pub(super) fn watch_name(canary: Canary) -> &'static str {
    match canary {
        Canary::Scheduling => "canary scheduling",
        Canary::Reconciliation => "canary reconciliation",
        Canary::Autoscaling => "canary autoscaling",
    }
}

/// What a watch showed of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// What it asked for is there, and waits for this.
    WaitsFor(u64, Phase),
    Done(u64),
    /// All changes up to this one are done.
    DoneUpTo(i64),
}

/// What one canary asks for, and the client that it uses.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub canary: Canary,
    pub client: CanaryClient,
}

impl Operation {
    pub(super) async fn prepare(&self) -> Result<(), ClusterError> {
        match self.canary {
            Canary::Scheduling => Ok(()),
            Canary::Reconciliation => self.client.make_deployment(0).await,
            Canary::Autoscaling => {
                self.client.make_deployment(LEAST).await?;
                self.client.make_autoscaler(LEAST).await
            }
        }
    }

    pub(super) fn objects(&self) -> CanaryObjects {
        match self.canary {
            Canary::Scheduling => CanaryObjects::Pods,
            Canary::Reconciliation | Canary::Autoscaling => CanaryObjects::Deployment,
        }
    }

    /// Starts one operation. Gives the number of the change, where it has one.
    pub(super) async fn ask(&self, slot: u64) -> Result<Option<i64>, Outcome> {
        match self.canary {
            Canary::Scheduling => self.client.ask_for_pod(slot).await.map(|()| None),
            Canary::Reconciliation => {
                self.client.ask_for_size(1 - (slot % 2) as u32, slot).await.map(Some)
            }
            Canary::Autoscaling => self.client.ask_for_size(LEAST - 1, slot).await.map(Some),
        }
    }

    /// What is waited for when the API server has taken it.
    pub(super) fn first_phase(&self) -> Phase {
        match self.canary {
            Canary::Scheduling => Phase::Bound,
            Canary::Reconciliation | Canary::Autoscaling => Phase::Observed,
        }
    }

    /// What a record of the canary's watch shows.
    pub(super) fn progress(&self, event: &Event) -> Option<Progress> {
        match event {
            Event::Pod { pod, node, phase, change, .. } if *change != Change::Deleted => {
                let slot = self.client.slot_of(pod)?;
                let waits_for = if node.is_some() { Phase::Running } else { Phase::Bound };
                Some(if phase == "Running" {
                    Progress::Done(slot)
                } else {
                    Progress::WaitsFor(slot, waits_for)
                })
            }
            Event::Deployment { generation, observed, wanted, replicas, .. } => match self.canary {
                Canary::Scheduling => None,
                // As many as the newest change wants: the older ones are overtaken by it, as
                // Kubernetes' controllers see it.
                Canary::Reconciliation => (observed == generation && replicas == wanted)
                    .then_some(Progress::DoneUpTo(*generation)),
                // This generation is the autoscaler's own doing: those before it were ours.
                Canary::Autoscaling => {
                    (*wanted >= LEAST as i32).then_some(Progress::DoneUpTo(*generation - 1))
                }
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(canary: Canary) -> Operation {
        Operation { canary, client: CanaryClient::of_nothing("p") }
    }

    fn pod(name: &str, node: Option<&str>, phase: &str) -> Event {
        let (pod, node, identity) = (name.into(), node.map(str::to_owned), Default::default());
        Event::Pod {
            pod,
            change: Change::Changed,
            node,
            phase: phase.into(),
            ready: false,
            identity,
        }
    }

    fn deployment(generation: i64, observed: i64, wanted: i32, replicas: i32) -> Event {
        Event::Deployment {
            deployment: "d".into(),
            change: Change::Changed,
            generation,
            observed,
            wanted,
            replicas,
        }
    }

    #[tokio::test]
    async fn a_pod_is_bound_and_then_runs() {
        let operation = operation(Canary::Scheduling);
        let progress = |node, phase| operation.progress(&pod("outage-canary-p-4", node, phase));
        assert_eq!(progress(None, "Pending"), Some(Progress::WaitsFor(4, Phase::Bound)));
        assert_eq!(progress(Some("w"), "Pending"), Some(Progress::WaitsFor(4, Phase::Running)));
        assert_eq!(progress(Some("w"), "Running"), Some(Progress::Done(4)));
        assert_eq!(operation.progress(&pod("web-4", Some("w"), "Running")), None);
    }

    #[tokio::test]
    async fn a_change_is_done_when_the_pods_are_as_many_as_asked() {
        let operation = operation(Canary::Reconciliation);
        assert_eq!(operation.progress(&deployment(5, 4, 1, 0)), None);
        assert_eq!(operation.progress(&deployment(5, 5, 1, 0)), None);
        assert_eq!(operation.progress(&deployment(5, 5, 1, 1)), Some(Progress::DoneUpTo(5)));
    }

    #[tokio::test]
    async fn the_autoscalers_own_change_ends_those_before() {
        let operation = operation(Canary::Autoscaling);
        assert_eq!(operation.progress(&deployment(5, 5, 1, 1)), None);
        assert_eq!(operation.progress(&deployment(6, 5, 2, 1)), Some(Progress::DoneUpTo(5)));
    }
}

//! Two faults on one node: each gets its effect, or is known never to get it, and in the end the
//! node is well.

use super::*;

const NODE: NodeId = NodeId(1);
const FAULTS: [Action; 5] = [
    Action::Stop { node: NODE, grace: Duration::from_secs(3) },
    Action::Kill { node: NODE },
    Action::Pause { node: NODE },
    Action::Disconnect { node: NODE },
    Action::StopKubelet { node: NODE },
];
/// No deed of these takes longer: a boot of 3.2 s, and a shutdown of 3 s after it.
const EFFECT: f64 = 7.0;

fn pairs() -> impl Iterator<Item = (Action, Action)> {
    FAULTS.into_iter().flat_map(|first| FAULTS.map(|second| (first, second)))
}

impl Cluster {
    fn now(&self) -> f64 {
        self.model.now().as_secs_f64()
    }

    /// Does it now, and waits for its effect.
    fn has_effect(&mut self, action: Action, case: &str) -> Effect {
        let end = self.now() + EFFECT;
        self.at(self.now(), action);
        while self.model.node(NODE).effect(action) == Effect::Coming {
            assert!(
                self.now() < end,
                "{case}: {action:?} has no effect: {:?}",
                self.model.node(NODE)
            );
            self.until(self.now() + 0.05);
        }
        self.model.node(NODE).effect(action)
    }

    fn becomes_well(&mut self, case: &str) {
        self.until(self.now() + 30.0);
        let state = self.model.node(NODE);
        assert!(
            state.ready == Ready::True && state.kubelet && !state.frozen && state.connected,
            "{case}: {state:?}"
        );
        assert_eq!(state.power, Power::On, "{case}");
    }
}

/// One after the other: the second comes as the first is taken back, while the node boots, and when
/// it has booted.
#[test]
fn a_fault_after_another_has_its_effect() {
    for (first, second) in pairs() {
        for wait in [0.0, 1.35, 5.0] {
            let case = format!("{first:?}, after {wait} s {second:?}");
            let mut cluster = Cluster::tuned(1, 2, 1);
            cluster.until(10.0);
            cluster.has_effect(first, &case);
            let undone = cluster.now() + 3.0;
            cluster.at(undone, first.undo().unwrap()).until(undone + wait);
            assert_eq!(cluster.has_effect(second, &case), Effect::There, "{case}");
            cluster.until(cluster.now() + 5.0);
            assert_eq!(cluster.model.node(NODE).effect(second), Effect::There, "{case}: it lasts");
            cluster.has_effect(second.undo().unwrap(), &case);
            cluster.becomes_well(&case);
        }
    }
}

/// One on top of the other, and taken back in either order.
#[test]
fn a_fault_on_another_ends_in_a_node_that_is_well() {
    for (first, second) in pairs() {
        for order in [[first, second], [second, first]] {
            let case = format!("{first:?} and {second:?}, undone in the order {order:?}");
            let mut cluster = Cluster::tuned(1, 2, 1);
            cluster.until(10.0);
            cluster.has_effect(first, &case);
            let is_off = cluster.model.node(NODE).power == Power::Off;
            let needs_it = matches!(second, Action::Pause { .. } | Action::StopKubelet { .. });
            let expected = if is_off && needs_it { Effect::Never } else { Effect::There };
            assert_eq!(cluster.has_effect(second, &case), expected, "{case}");
            cluster.until(cluster.now() + 3.0);
            for fault in order {
                let now = cluster.now();
                cluster.at(now, fault.undo().unwrap()).until(now + 1.0);
            }
            cluster.becomes_well(&case);
        }
    }
}

/// A node that boots forgets what is taken back before it is up.
#[test]
fn what_is_taken_back_during_a_boot_never_happens() {
    for second in FAULTS {
        let case = format!("{second:?}");
        let mut cluster = Cluster::tuned(1, 2, 1);
        cluster.until(10.0);
        cluster.has_effect(Action::Kill { node: NODE }, &case);
        let began = cluster.now();
        cluster.at(began, Action::Start { node: NODE });
        cluster.at(began + 0.5, second).at(began + 1.0, second.undo().unwrap()).until(began + 1.0);
        assert_eq!(cluster.has_effect(Action::Start { node: NODE }, &case), Effect::There);
        let state = cluster.model.node(NODE);
        assert!(!state.frozen && state.connected && state.kubelet, "{case}: {state:?}");
        cluster.becomes_well(&case);
    }
}

/// The prediction of such a method comes to an end.
#[test]
fn a_forecast_of_two_faults_on_one_node_ends() {
    let settings = Settings::of(&tuned(), "v1.34.4").unwrap();
    for (first, second) in pairs() {
        let step = |action| Step::Fault { action, hold: seconds(3.0), meanwhile: Vec::new() };
        let scenario = Scenario { steps: vec![step(first), step(second)], ..one_fault(first, 3.0) };
        assert_eq!(forecast(&scenario, &settings, 3, 1).faults.len(), 2);
    }
}

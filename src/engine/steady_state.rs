//! The steady state: what must hold before the first fault, and again afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::live::Live;
use crate::experiment::{Condition, Quantity};
use crate::timeline::{Moment, Outcome, Ready, few};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    /// What was asked and what was seen, for people.
    pub text: String,
    /// Since when it holds; `None`: it does not.
    pub since: Option<Moment>,
    pub about: About,
}

/// What a condition is about, and what it lacks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    Nodes {
        missing: Vec<String>,
    },
    Probe {
        /// How its last attempts failed, and how many of them.
        failures: Vec<(Outcome, u32)>,
    },
    /// Something that sets no hint.
    Other,
}

/// The steady state of an experiment, and what else a run adds to it.
#[derive(Clone, Debug)]
pub(crate) struct SteadyState {
    conditions: Vec<Condition>,
    /// A node counts only when it has been Ready for so long: its kubelet's beat is then regular.
    settle: Duration,
    /// Nodes that must be there, whatever the watch has listed so far.
    nodes: Vec<String>,
    /// Nodes that must have been heard of since `began`: what is known of them may be older than
    /// what was done to them.
    heard: Vec<String>,
    /// When the run began: what has held since before then has held since then.
    began: Moment,
}

impl SteadyState {
    /// The conditions of an experiment in a cluster of these nodes.
    pub(crate) fn new(
        conditions: Vec<Condition>,
        nodes: Vec<String>,
        settle: Duration,
        began: Moment,
    ) -> Self {
        Self { conditions, settle, nodes, heard: Vec::new(), began }
    }

    /// As a recovery must reach it: with as many ready endpoints as there were in `live`, and a
    /// sign of life from every node that a fault hit, after `from`.
    pub(crate) fn recovered(
        mut self,
        live: &Live,
        services: &[String],
        hit: Vec<String>,
        from: Moment,
    ) -> Self {
        for service in services {
            let at_least = live.endpoints_of(service).iter().filter(|e| e.ready).count() as u32;
            let as_before =
                Condition::EndpointsReady { service: service.as_str().into(), at_least };
            // The experiment may have asked for as much.
            if !self.conditions.contains(&as_before) {
                self.conditions.push(as_before);
            }
        }
        // A restarted kubelet's phase no longer matters, and nothing held before the undo counts.
        self.settle = Duration::ZERO;
        self.heard = hit;
        self.began = from;
        self
    }

    pub(crate) fn judge(&self, live: &Live, now: Moment) -> Vec<Judged> {
        let blind = live.blind.iter().map(|(watch, why)| Judged {
            text: format!("the watch of {watch} is down ({why})"),
            since: None,
            about: About::Other,
        });
        let heard = self.heard.iter().map(|node| self.heard_of(node, live));
        self.conditions
            .iter()
            .map(|condition| self.condition(condition, live, now))
            .chain(blind)
            .chain(heard)
            .collect()
    }

    /// Since when all of it holds; `None`: it does not.
    pub(crate) fn since(judged: &[Judged]) -> Option<Moment> {
        judged
            .iter()
            .map(|condition| condition.since)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()
    }

    fn condition(&self, condition: &Condition, live: &Live, now: Moment) -> Judged {
        match condition {
            Condition::NodesReady(quantity) => self.nodes_ready(*quantity, live, now),
            Condition::EndpointsReady { service, at_least } => {
                self.endpoints_ready(&service.to_string(), *at_least, live)
            }
            Condition::Probe { name, success_ratio, hold } => {
                self.probe(name, *success_ratio, *hold, live, now)
            }
        }
    }

    fn heard_of(&self, node: &str, live: &Live) -> Judged {
        let since = live.heard.get(node).copied().filter(|at| *at >= self.began);
        // Not the moment itself: that a node lives is known from then on, and was so before.
        Judged {
            text: format!("{node} has sent a heartbeat since"),
            since: since.map(|_| self.began),
            about: About::Other,
        }
    }

    fn nodes_ready(&self, quantity: Quantity, live: &Live, now: Moment) -> Judged {
        let ready: BTreeMap<&String, Moment> = self
            .nodes
            .iter()
            .filter_map(|name| Some((name, live.nodes.get(name)?)))
            .filter(|(_, node)| node.ready == Ready::True)
            .map(|(name, node)| (name, node.since))
            .filter(|(_, since)| since.is_none_or(|since| now.since(since) >= self.settle))
            .map(|(name, since)| (name, since.unwrap_or(self.began).max(self.began)))
            .collect();
        let wanted = match quantity {
            Quantity::All => self.nodes.len(),
            Quantity::AtLeast(count) => count as usize,
        };
        let missing: Vec<&str> = self
            .nodes
            .iter()
            .filter(|name| !ready.contains_key(name))
            .map(String::as_str)
            .collect();
        let mut text = format!("{} of {} nodes ready", ready.len(), self.nodes.len());
        if wanted > self.nodes.len() {
            text += &format!(", {wanted} wanted");
        }
        if !missing.is_empty() {
            text += &format!(" (not yet: {})", few(&missing));
        }
        let mut since: Vec<Moment> = ready.into_values().collect();
        since.sort();
        Judged {
            text,
            since: if wanted == 0 { Some(self.began) } else { since.get(wanted - 1).copied() },
            about: About::Nodes { missing: missing.into_iter().map(str::to_owned).collect() },
        }
    }

    fn endpoints_ready(&self, service: &str, at_least: u32, live: &Live) -> Judged {
        let ready = live.endpoints_of(service).iter().filter(|e| e.ready).count() as u32;
        let changed = live.endpoints_changed.get(service).copied().unwrap_or(self.began);
        let since = (ready >= at_least).then_some(changed.max(self.began));
        let text = format!("{ready} ready endpoints of {service}, {at_least} wanted");
        Judged { text, since, about: About::Other }
    }

    fn probe(&self, name: &str, ratio: f64, hold: Duration, live: &Live, now: Moment) -> Judged {
        let Some(probe) = live.probes.get(name) else {
            let about = About::Probe { failures: Vec::new() };
            return Judged { text: format!("probe {name} has not started"), since: None, about };
        };
        let share = probe.share(hold, now);
        let holds = share.covered && share.ratio() >= ratio;
        let all_ok = share.ok == share.total;
        let since = if all_ok { probe.ok_since() } else { Some(now.minus(hold)) };
        let failures = probe.failures(hold, now);
        let mut text =
            format!("probe {name}: {} of {} answered in {hold:?}", share.ok, share.total);
        if !failures.is_empty() {
            let labels: Vec<String> = failures
                .iter()
                .map(|(outcome, count)| format!("{} x{count}", label(*outcome)))
                .collect();
            text += &format!(" ({} from {})", labels.join(", "), probe.span.probe.target);
        }
        let since = since.filter(|_| holds).map(|since| since.max(self.began));
        Judged { text, since, about: About::Probe { failures } }
    }
}

/// An outcome with its cause, where it is known: `TLS: unknown issuer`.
fn label(outcome: Outcome) -> String {
    match outcome.cause() {
        Some(cause) => format!("{}: {cause}", outcome.label()),
        None => outcome.label(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::live::NodeState;
    use crate::engine::live::tests::span;
    use crate::timeline::Endpoint;

    fn secs(s: f64) -> Moment {
        Moment((s * 1e9) as u64)
    }

    fn live(ready: Ready, since: Option<Moment>) -> Live {
        let mut live = Live::default();
        live.nodes.insert("w".into(), NodeState { ready, since });
        live
    }

    fn all_nodes(settle: u64) -> SteadyState {
        SteadyState::new(
            vec![Condition::NodesReady(Quantity::All)],
            vec!["w".into()],
            Duration::from_secs(settle),
            secs(1.0),
        )
    }

    #[test]
    fn a_node_counts_only_when_its_beat_is_regular() {
        let live = live(Ready::True, Some(secs(10.0)));
        let judge = |settle, now| SteadyState::since(&all_nodes(settle).judge(&live, secs(now)));
        assert_eq!(judge(3, 12.0), None);
        assert_eq!(judge(3, 13.0), Some(secs(10.0)));
        assert_eq!(judge(0, 10.1), Some(secs(10.0)));
    }

    #[test]
    fn an_unknown_or_missing_node_is_not_ready() {
        assert_eq!(
            SteadyState::since(&all_nodes(0).judge(&live(Ready::Unknown, None), secs(9.0))),
            None
        );
        let judged = all_nodes(0).judge(&Live::default(), secs(9.0));
        assert_eq!(judged[0].text, "0 of 1 nodes ready (not yet: w)");
        assert_eq!(SteadyState::since(&judged), None);
    }

    #[test]
    fn more_nodes_than_there_are_is_named() {
        let steady = SteadyState {
            conditions: vec![Condition::NodesReady(Quantity::AtLeast(9))],
            ..all_nodes(0)
        };
        let judged = steady.judge(&live(Ready::True, Some(secs(1.0))), secs(9.0));
        assert_eq!(judged[0].text, "1 of 1 nodes ready, 9 wanted");
        assert_eq!(SteadyState::since(&judged), None);
    }

    #[test]
    fn of_ninety_nodes_three_are_named() {
        let nodes = (0..90).map(|n| format!("w{n}")).collect();
        let steady = SteadyState { nodes, ..all_nodes(0) };
        let judged = steady.judge(&Live::default(), secs(9.0));
        assert_eq!(judged[0].text, "0 of 90 nodes ready (not yet: w0, w1, w2 and 87 more)");
    }

    #[test]
    fn a_blind_watch_is_no_steady_state() {
        let mut live = live(Ready::True, None);
        assert_eq!(SteadyState::since(&all_nodes(0).judge(&live, secs(9.0))), Some(secs(1.0)));
        live.blind.insert("nodes".into(), "cut".into());
        assert_eq!(SteadyState::since(&all_nodes(0).judge(&live, secs(9.0))), None);
    }

    #[test]
    fn recovery_wants_as_many_endpoints_as_before() {
        let mut live = live(Ready::True, None);
        let endpoint =
            |ready| Endpoint { address: "a".into(), pod: Some("p".into()), node: None, ready };
        live.endpoints.entry("web".into()).or_default().insert("p".into(), endpoint(true));
        let recovery = all_nodes(3).recovered(&live, &["web".into()], vec!["w".into()], secs(20.0));
        live.heard.insert("w".into(), secs(20.5));
        live.endpoints.get_mut("web").unwrap().insert("p".into(), endpoint(false));
        assert_eq!(SteadyState::since(&recovery.judge(&live, secs(21.0))), None);
        live.endpoints.get_mut("web").unwrap().insert("p".into(), endpoint(true));
        live.endpoints_changed.insert("web".into(), secs(25.0));
        assert_eq!(SteadyState::since(&recovery.judge(&live, secs(26.0))), Some(secs(25.0)));
        live.heard.insert("w".into(), secs(19.0));
        assert_eq!(
            SteadyState::since(&recovery.judge(&live, secs(26.0))),
            None,
            "heard of before it was undone only"
        );
    }

    #[test]
    fn what_the_experiment_asks_already_is_not_asked_twice() {
        let mut live = live(Ready::True, None);
        let endpoint =
            Endpoint { address: "a".into(), pod: Some("p".into()), node: None, ready: true };
        live.endpoints.entry("web".into()).or_default().insert("p".into(), endpoint);
        for (at_least, conditions) in [(1, 1), (2, 2)] {
            let asked = Condition::EndpointsReady { service: "web".into(), at_least };
            let steady = SteadyState::new(vec![asked], Vec::new(), Duration::ZERO, secs(0.0));
            let judged = steady
                .recovered(&live, &["web".into()], Vec::new(), secs(20.0))
                .judge(&live, secs(21.0));
            assert_eq!(judged.len(), conditions, "{judged:?}");
        }
    }

    /// A condition on a probe, and 3 s of its attempts.
    fn probed(outcome: impl Fn(u32) -> Outcome) -> (SteadyState, Live) {
        let mut live = Live::default();
        live.probe_started(span("web", 10));
        let probe = live.probes.get_mut("web").unwrap();
        for slot in 0..30u32 {
            probe.attempt(secs(f64::from(slot) / 10.0), outcome(slot));
            probe.ended(slot.into());
        }
        let condition = Condition::Probe {
            name: "web".into(),
            success_ratio: 1.0,
            hold: Duration::from_secs(1),
        };
        (SteadyState::new(vec![condition], Vec::new(), Duration::ZERO, secs(0.0)), live)
    }

    #[test]
    fn a_probe_must_have_been_asked_for_all_of_the_time() {
        let (steady, live) = probed(|_| Outcome::Ok);
        assert_eq!(SteadyState::since(&steady.judge(&live, secs(0.5))), None);
        assert_eq!(SteadyState::since(&steady.judge(&live, secs(3.0))), Some(secs(0.0)));
    }

    #[test]
    fn a_probe_that_is_not_met_says_what_it_got() {
        let (steady, live) = probed(|slot| match slot % 5 {
            0 => Outcome::Refused,
            _ => Outcome::Status(404),
        });
        let judged = steady.judge(&live, secs(2.95));
        assert_eq!(
            judged[0].text,
            "probe web: 0 of 10 answered in 1s (status 404 x8, refused x2 from web)"
        );
        let failures = vec![(Outcome::Status(404), 8), (Outcome::Refused, 2)];
        assert_eq!(judged[0].about, About::Probe { failures });
    }
}

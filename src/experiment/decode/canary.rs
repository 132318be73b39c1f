//! Canaries: what the control plane is asked to do, and how often by default.

use std::time::Duration;

use super::duration::CANARY_RATES;
use super::fields::{Cx, Fields};
use super::probe::Usual;
use super::scalar::choice;
use crate::experiment::schema::{Ask, Canary};
use crate::experiment::tree::Node;

const CANARIES: [(&str, Canary); 3] = [
    (Canary::Scheduling.name(), Canary::Scheduling),
    (Canary::Reconciliation.name(), Canary::Reconciliation),
    (Canary::Autoscaling.name(), Canary::Autoscaling),
];

/// `scheduling`, `reconciliation` or `autoscaling`.
pub(crate) fn ask(cx: &Cx, node: &Node) -> Option<Ask> {
    choice(cx, node, "canary", &CANARIES).map(Ask::Canary)
}

/// What a canary has that says nothing of it. An autoscaler looks every 15 s only.
pub(crate) fn usual(ask: Option<&Ask>) -> Usual {
    let (rate, timeout) = match ask.and_then(Ask::canary) {
        Some(Canary::Scheduling) | None => (0.5, 10),
        Some(Canary::Reconciliation) => (1.0, 5),
        Some(Canary::Autoscaling) => (0.05, 30),
    };
    Usual { host: true, rate, rates: CANARY_RATES, timeout: Duration::from_secs(timeout) }
}

/// A canary asks the API server, by this program.
pub(crate) fn refuse_place(cx: &Cx, fields: &Fields) {
    for name in ["from", "connection"] {
        if let Some(key) = fields.key(name) {
            let message = format!(
                "`{name}` makes no sense for a canary: this program itself asks the API server"
            );
            cx.error_hint::<()>(key, message, "leave it out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::super::probe::probe;
    use super::*;
    use crate::experiment::schema::{Connection, From, Probe};

    #[test]
    fn each_canary_has_its_own_pace() {
        let read = |yaml: &str| decoded(&format!("{{name: a, canary: {yaml}}}"), probe).0.unwrap();
        let seconds = Duration::from_secs;
        let Probe { ask, from, connection, rate, timeout, .. } = read("scheduling");
        assert_eq!(
            (ask, from, connection),
            (Ask::Canary(Canary::Scheduling), From::Host, Connection::New)
        );
        assert_eq!((rate, timeout), (0.5, seconds(10)));
        assert_eq!(
            (read("reconciliation").rate, read("reconciliation").timeout),
            (1.0, seconds(5))
        );
        assert_eq!(read("autoscaling, rate: 3/min, timeout: 20s").timeout, seconds(20));
    }

    #[test]
    fn what_makes_no_sense_is_told_all_at_once() {
        let (_, told) = decoded(
            "{name: a, canary: scheduling, from: host, connection: new, rate: 50/s}",
            probe,
        );
        assert!(told.contains("1:31: error: `from` makes no sense for a canary"), "{told}");
        assert!(told.contains("`connection` makes no sense for a canary"), "{told}");
        assert!(told.contains("the rate `50/s` is out of range"), "{told}");
        assert!(told.contains("a canary takes 0.01/s to 5/s"), "{told}");
        let (_, told) = decoded("{name: a, canary: schedulin}", probe);
        assert!(
            told.contains("`schedulin` is no canary")
                && told.contains("did you mean `scheduling`?"),
            "{told}"
        );
    }
}

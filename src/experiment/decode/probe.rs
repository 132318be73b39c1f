//! Probes: what is asked, from where, how often.

use std::time::Duration;

use serde_json::json;

use super::ask::KINDS;
use super::duration::{CANARY_RATES, RATES, Rates};
use super::fields::{Cx, Fields};
use super::node::selector;
use super::reference::pods_or_name;
use super::scalar::{choice, dns_label, positive, rate};
use crate::experiment::schema::{Ask, Canary, Connection, From, NodeSelector, Probe};
use crate::experiment::tree::{Node, Value};
use crate::timeline::NodeRole;

struct Defaults {
    from: From,
    rate: f64,
    rates: Rates,
    timeout: Duration,
}

impl Defaults {
    fn of(ask: Option<&Ask>, is_canary: bool) -> Self {
        let (host, rate, timeout) = match ask {
            // An autoscaler looks every 15 s only.
            Some(Ask::Canary(Canary::Autoscaling)) => (true, 0.05, 30),
            Some(Ask::Canary(Canary::Reconciliation)) => (true, 1.0, 5),
            _ if is_canary => (true, 0.5, 10),
            ask => (ask.is_some_and(|ask| ask.kind().needs_credentials()), 10.0, 1),
        };
        Self {
            from: if host { From::Host } else { From::Node(NodeSelector::default()) },
            rate,
            rates: if is_canary { CANARY_RATES } else { RATES },
            timeout: Duration::from_secs(timeout),
        }
    }
}

pub(crate) fn probe(cx: &Cx, node: &Node) -> Option<Probe> {
    let mut fields = Fields::of(cx, node, "a probe")?;
    fields.about("Attempts at a fixed rate throughout the run.");
    let name = fields
        .doc("Its name, by which conditions and expectations refer to it.")
        .required("name", dns_label);
    let ask = fields.one_of(&KINDS);
    fields.about_field(
        "canary",
        "A new task for the control plane at each attempt: a pod to schedule, a Deployment to scale, \
         or an autoscaler to bring back to its minimum.",
    );
    let is_canary = fields.key("canary").is_some();
    let defaults = Defaults::of(ask.as_ref(), is_canary);
    let from = fields
        .doc(
            "Where the attempts come from: `host` (this machine), a node or a pod. Default: a node \
             that no fault hits.",
        )
        .or("from", defaults.from, from);
    let connection = fields
        .doc("Whether each attempt opens a connection, or uses one that is open and idle.")
        .or("connection", Connection::New, connection);
    let rate = fields.doc("How many attempts are sent. A canary has its own default.").or(
        "rate",
        defaults.rate,
        |cx, node| rate(cx, node, defaults.rates),
    );
    let timeout = fields
        .doc("How long an attempt may take in all. A canary has its own default.")
        .or("timeout", defaults.timeout, positive);
    if is_canary {
        refuse_place_of_canary(cx, &fields);
    } else if let (Some(Ask::Api { .. }), Some(From::Node(_) | From::Pod { .. }), Some(key)) =
        (&ask, &from, fields.key("from"))
    {
        let hint = "leave `from` out; `server: each` asks every API server at its own address";
        cx.error_hint::<()>(
            key,
            "an `api` probe runs on this machine: its credentials stay here",
            hint,
        );
    }
    fields.finish();
    Some(Probe {
        name: name?,
        ask: ask?,
        from: from?,
        connection: connection?,
        rate: rate?,
        timeout: timeout?,
    })
}

/// A canary asks the API server, by this program.
fn refuse_place_of_canary(cx: &Cx, fields: &Fields) {
    for name in ["from", "connection"] {
        if let Some(key) = fields.key(name) {
            let message = format!("`{name}` does not apply to a canary: it runs on this machine");
            cx.error_hint::<()>(key, message, "leave it out");
        }
    }
}

/// `host`, or a node or pod.
fn from(cx: &Cx, node: &Node) -> Option<From> {
    let place = || {
        cx.union(
            node,
            "a place to probe from",
            &[("node", from_node), ("pod", from_pod), ("host", from_host)],
        )
    };
    cx.reads_also(|| json!({"const": "host"}), place)?;
    match &node.value {
        Value::Scalar { .. } => match node.text() {
            Some("host") => Some(From::Host),
            _ => {
                let hint = "write `host`, or `{node: {role: control-plane}}`, or `{pod: {labels: {app: client}}}`";
                cx.error_hint(
                    node.focus(),
                    format!("{} is not a place to probe from", node.described()),
                    hint,
                )
            }
        },
        _ => place(),
    }
}

fn from_node(cx: &Cx, node: &Node) -> Option<From> {
    let selector = selector(cx, node)?;
    if selector.role == Some(NodeRole::ExternalLoadBalancer) {
        return cx.error(
            node.focus(),
            "a probe cannot run on the load balancer, which is not a Kubernetes node",
        );
    }
    Some(From::Node(selector))
}

fn from_pod(cx: &Cx, node: &Node) -> Option<From> {
    pods_or_name(cx, node).map(From::Pod)
}

fn from_host(cx: &Cx, node: &Node) -> Option<From> {
    cx.reads(|| false.into())?;
    cx.error_hint(node.key.unwrap_or(node.span), "the host has no settings", "write `from: host`")
}

fn connection(cx: &Cx, node: &Node) -> Option<Connection> {
    choice(cx, node, "connection", &[("new", Connection::New), ("reused", Connection::Reused)])
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;
    use std::collections::BTreeMap;

    use crate::experiment::schema::{HttpAsk, Pods, StatusRange, Target};

    #[test]
    fn what_is_absent_has_its_default() {
        let (found, problems) = decoded("{name: web, http: {service: web}}", probe);
        assert_eq!(problems, "");
        let target = Target::Service { service: "web".into(), port: None };
        let ask = Ask::Http(Box::new(HttpAsk {
            path: "/".into(),
            success: StatusRange { from: 200, to: 399 },
            headers: BTreeMap::new(),
            backend_header: "x-backend".into(),
            ..HttpAsk::get(target)
        }));
        let (connection, timeout) = (Connection::New, Duration::from_secs(1));
        assert_eq!(
            found,
            Some(Probe {
                name: "web".into(),
                ask,
                from: From::Node(NodeSelector::default()),
                connection,
                rate: 10.0,
                timeout
            })
        );
    }

    #[test]
    fn a_probe_asks_from_a_node_a_pod_or_the_host() {
        let from = |yaml: &str| {
            decoded(&format!("{{name: a, tcp: {{service: web}}, from: {yaml}}}"), probe)
        };
        assert_eq!(from("host").0.unwrap().from, From::Host);
        assert_eq!(
            from("{pod: {labels: {app: c}}}").0.unwrap().from,
            From::Pod(Pods::labelled([("app", "c")]))
        );
        assert!(matches!(
            from("{node: {name: n}}").0.unwrap().from,
            From::Node(NodeSelector { name: Some(_), .. })
        ));
        assert!(from("laptop").1.contains("is not a place to probe from"));
        assert!(from("{host: {}}").1.contains("write `from: host`"));
        assert!(from("{node: {role: external-load-balancer}}").1.contains("not a Kubernetes node"));
    }

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
    fn all_problems_of_a_probe_are_reported_together() {
        let (_, problems) = decoded(
            "{name: a, canary: scheduling, from: host, connection: new, rate: 50/s}",
            probe,
        );
        assert!(problems.contains("1:31: error: `from` does not apply to a canary"), "{problems}");
        assert!(problems.contains("`connection` does not apply to a canary"), "{problems}");
        assert!(problems.contains("the rate `50/s` is out of range"), "{problems}");
        assert!(problems.contains("a canary's rate is 0.01/s to 5/s"), "{problems}");
        let (_, problems) = decoded("{name: a, canary: schedulin}", probe);
        assert!(
            problems.contains("unknown canary `schedulin`")
                && problems.contains("did you mean `scheduling`?"),
            "{problems}"
        );
    }
}

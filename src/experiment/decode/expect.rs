//! Expectations: what must be so for the run to pass.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fields::{Cx, Decode, Fields};
use super::method::component;
use super::scalar::{dns_label, labels, positive, share};
use crate::experiment::schema::{Bound, Expectation};
use crate::experiment::tree::Node;
use crate::timeline::Component;

const EXPECTATIONS: &[(&str, Decode<Expectation>)] = &[
    ("detection", detection),
    ("endpointRemoval", endpoint_removal),
    ("errorWindow", error_window),
    ("failedShare", failed_share),
    ("leaderChange", leader_change),
    ("leaderGap", |cx, node| {
        let (component, at_most, at_least) = how_long(cx, node, "`leaderGap`")?;
        Some(Expectation::LeaderGap { component, at_most, at_least })
    }),
    ("oldLeader", |cx, node| {
        let (component, at_most, at_least) = how_long(cx, node, "`oldLeader`")?;
        Some(Expectation::OldLeader { component, at_most, at_least })
    }),
    ("noErrors", |cx, node| {
        Some(Expectation::NoErrors { probe: only_probe(cx, node, "`noErrors`")? })
    }),
    ("noSuccess", no_success),
    ("nodesUntouched", |cx, node| {
        nothing(cx, node, "`nodesUntouched`", Expectation::NodesUntouched)
    }),
    ("notDetected", |cx, node| nothing(cx, node, "`notDetected`", Expectation::NotDetected)),
    ("rescheduled", rescheduled),
    ("notRescheduled", |cx, node| {
        Some(Expectation::NotRescheduled { labels: only_labels(cx, node, "`notRescheduled`")? })
    }),
    ("restarted", restarted),
    ("objectsKept", |cx, node| nothing(cx, node, "`objectsKept`", Expectation::ObjectsKept)),
    ("recovery", |cx, node| {
        Some(Expectation::Recovery { within: only_within(cx, node, "`recovery`")? })
    }),
];

/// One item of `expect`.
pub(crate) fn expectation(cx: &Cx, node: &Node) -> Option<Expectation> {
    cx.union(node, "an expectation", EXPECTATIONS)
}

fn only_within(cx: &Cx, node: &Node, what: &'static str) -> Option<Bound> {
    let mut fields = Fields::of_or(cx, node, what, |text| {
        format!("{}: {{within: {text}}}", what.trim_matches('`'))
    })?;
    let within = fields.required("within", limit);
    fields.finish();
    within
}

/// An expectation that has nothing to say but its name.
fn nothing(
    cx: &Cx,
    node: &Node,
    what: &'static str,
    expectation: Expectation,
) -> Option<Expectation> {
    if !node.is_null() {
        Fields::of(cx, node, what)?.finish();
    }
    Some(expectation)
}

fn detection(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`detection`")?;
    let of = fields.optional("of", dns_label);
    let after = fields.optional("after", dns_label);
    let within = fields.required("within", limit);
    let at_least = fields.optional("atLeast", positive);
    fields.finish();
    let (within, at_least) = (within?, at_least?);
    possible(cx, node, ("within", Some(within)), at_least)?;
    Some(Expectation::Detection { of: of?, after: after?, within, at_least })
}

fn no_success(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields =
        Fields::of_or(cx, node, "`noSuccess`", |text| format!("noSuccess: {{probe: {text}}}"))?;
    let probe = fields.required("probe", dns_label);
    let during = fields.optional("during", dns_label);
    fields.finish();
    Some(Expectation::NoSuccess { probe: probe?, during: during? })
}

/// A duration, or `predicted`.
fn limit(cx: &Cx, node: &Node) -> Option<Bound> {
    match node.text() {
        Some("predicted") => Some(Bound::Predicted),
        Some(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => cx.error_hint(
            node.focus(),
            format!("expected a duration or `predicted`, found `{word}`"),
            "use a duration such as `7s`, or `predicted` for the model's prediction",
        ),
        _ => positive(cx, node).map(Bound::Fixed),
    }
}

fn endpoint_removal(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`endpointRemoval`")?;
    let service = fields.optional("service", dns_label);
    let within = fields.required("within", limit);
    fields.finish();
    Some(Expectation::EndpointRemoval { service: service?, within: within? })
}

fn error_window(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`errorWindow`")?;
    let probe = fields.required("probe", dns_label);
    let at_most = fields.optional("atMost", limit);
    let at_least = fields.optional("atLeast", positive);
    let empty = fields.key("atMost").or(fields.key("atLeast")).is_none();
    fields.finish();
    let (at_most, at_least) = (at_most?, at_least?);
    if empty {
        return cx.error(node.focus(), "`errorWindow` needs `atMost`, `atLeast`, or both");
    }
    possible(cx, node, ("atMost", at_most), at_least)?;
    Some(Expectation::ErrorWindow { probe: probe?, at_most, at_least })
}

/// Tells of two bounds that contradict each other.
fn possible(
    cx: &Cx,
    node: &Node,
    (field, most): (&str, Option<Bound>),
    least: Option<Duration>,
) -> Option<()> {
    match (most, least) {
        (Some(Bound::Fixed(most)), Some(least)) if most < least => {
            cx.error(node.focus(), format!("`{field}` is shorter than `atLeast`"))
        }
        _ => Some(()),
    }
}

fn failed_share(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`failedShare`")?;
    let probe = fields.required("probe", dns_label);
    let at_most = fields.required("atMost", share);
    fields.finish();
    Some(Expectation::FailedShare { probe: probe?, at_most: at_most? })
}

fn rescheduled(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`rescheduled`")?;
    let service = fields.required("service", dns_label);
    let within = fields.required("within", positive);
    fields.finish();
    Some(Expectation::Rescheduled { service: service?, within: within? })
}

fn restarted(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`restarted`")?;
    let labels = fields.required("labels", labels);
    let within = fields.required("within", positive);
    fields.finish();
    Some(Expectation::Restarted { labels: labels?, within: within? })
}

fn only_labels(cx: &Cx, node: &Node, what: &'static str) -> Option<BTreeMap<String, String>> {
    let mut fields = Fields::of(cx, node, what)?;
    let labels = fields.required("labels", labels);
    fields.finish();
    labels
}

fn only_probe(cx: &Cx, node: &Node, what: &'static str) -> Option<String> {
    let mut fields = Fields::of_or(cx, node, what, |text| {
        format!("{}: {{probe: {text}}}", what.trim_matches('`'))
    })?;
    let probe = fields.required("probe", dns_label);
    fields.finish();
    probe
}

fn leader_change(cx: &Cx, node: &Node) -> Option<Expectation> {
    let mut fields = Fields::of(cx, node, "`leaderChange`")?;
    let component = fields.required("component", led);
    let within = fields.required("within", positive);
    fields.finish();
    Some(Expectation::LeaderChange { component: component?, within: within? })
}

/// A part of which one leads, and how long something of it lasts: at most, and at least.
fn how_long(
    cx: &Cx,
    node: &Node,
    what: &'static str,
) -> Option<(Component, Duration, Option<Duration>)> {
    let mut fields = Fields::of(cx, node, what)?;
    let component = fields.required("component", led);
    let at_most = fields.required("atMost", positive);
    let at_least = fields.optional("atLeast", positive);
    fields.finish();
    let (at_most, at_least) = (at_most?, at_least?);
    possible(cx, node, ("atMost", Some(Bound::Fixed(at_most))), at_least)?;
    Some((component?, at_most, at_least))
}

/// A part of which one leads.
fn led(cx: &Cx, node: &Node) -> Option<Component> {
    match component(cx, node)? {
        Component::ApiServer => cx.error_hint(
            node.focus(),
            "kube-apiserver has no leader: every instance is active",
            "etcd, kube-controller-manager and kube-scheduler have a leader",
        ),
        led => Some(led),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn each_expectation_is_understood() {
        let expectation = |yaml: &str| decoded(yaml, expectation).0.unwrap();
        let (probe, seven) = (|| "web".to_owned(), Bound::Fixed(Duration::from_secs(7)));
        let detection = |of: Option<&str>, after: Option<&str>, within| Expectation::Detection {
            of: of.map(str::to_owned),
            after: after.map(str::to_owned),
            within,
            at_least: None,
        };
        assert_eq!(expectation("detection: {within: 7s}"), detection(None, None, seven));
        let least = Some(Duration::from_secs(2));
        let both = Expectation::Detection { of: None, after: None, within: seven, at_least: least };
        assert_eq!(expectation("detection: {atLeast: 2s, within: 7s}"), both);
        assert_eq!(
            expectation("detection: {within: predicted}"),
            detection(None, None, Bound::Predicted)
        );
        assert_eq!(
            expectation("detection: {of: a, after: b, within: 7s}"),
            detection(Some("a"), Some("b"), seven)
        );
        assert_eq!(expectation("nodesUntouched: {}"), Expectation::NodesUntouched);
        assert_eq!(expectation("recovery: {within: 7s}"), Expectation::Recovery { within: seven });
        assert_eq!(
            expectation("endpointRemoval: {within: 7s}"),
            Expectation::EndpointRemoval { service: None, within: seven }
        );
        assert_eq!(
            expectation("endpointRemoval: {service: web, within: 7s}"),
            Expectation::EndpointRemoval { service: Some(probe()), within: seven }
        );
        assert_eq!(
            expectation("errorWindow: {probe: web, atMost: 7s}"),
            Expectation::ErrorWindow { probe: probe(), at_most: Some(seven), at_least: None }
        );
        let least = Some(Duration::from_secs(7));
        assert_eq!(
            expectation("errorWindow: {probe: web, atLeast: 7s, atMost: predicted}"),
            Expectation::ErrorWindow {
                probe: probe(),
                at_most: Some(Bound::Predicted),
                at_least: least
            }
        );
        assert_eq!(
            expectation("noSuccess: {probe: web}"),
            Expectation::NoSuccess { probe: probe(), during: None }
        );
        let during = Some("away".to_owned());
        assert_eq!(
            expectation("noSuccess: {probe: web, during: away}"),
            Expectation::NoSuccess { probe: probe(), during }
        );
        assert_eq!(
            expectation("failedShare: {probe: web, atMost: 0.1}"),
            Expectation::FailedShare { probe: probe(), at_most: 0.1 }
        );
        assert_eq!(expectation("noErrors: {probe: web}"), Expectation::NoErrors { probe: probe() });
        let labels = || [("app".to_owned(), "web".to_owned())].into();
        assert_eq!(
            expectation("rescheduled: {service: web, within: 7s}"),
            Expectation::Rescheduled { service: probe(), within: Duration::from_secs(7) }
        );
        assert_eq!(
            expectation("notRescheduled: {labels: {app: web}}"),
            Expectation::NotRescheduled { labels: labels() }
        );
        assert_eq!(
            expectation("restarted: {labels: {app: web}, within: 7s}"),
            Expectation::Restarted { labels: labels(), within: Duration::from_secs(7) }
        );
        assert_eq!(expectation("objectsKept: {}"), Expectation::ObjectsKept);
        assert_eq!(expectation("notDetected: {}"), Expectation::NotDetected);
    }

    #[test]
    fn each_expectation_is_called_as_it_is_written() {
        for (kind, _) in EXPECTATIONS {
            let (field, subject) = match *kind {
                "noErrors" | "noSuccess" => ("probe: web", "/web"),
                "failedShare" => ("probe: web, atMost: 0.1", "/web"),
                "errorWindow" => ("probe: web, atMost: 7s", "/web"),
                "endpointRemoval" | "rescheduled" => ("service: web, within: 7s", "/web"),
                "detection" => ("of: dies, within: 7s", "/dies"),
                "leaderChange" => ("component: etcd, within: 7s", "/etcd"),
                "leaderGap" | "oldLeader" => ("component: etcd, atMost: 7s", "/etcd"),
                "restarted" => ("labels: {app: web}, within: 7s", ""),
                "notRescheduled" => ("labels: {app: web}", ""),
                "recovery" => ("within: 7s", ""),
                _ => ("", ""),
            };
            let (found, problems) = decoded(&format!("{kind}: {{{field}}}"), expectation);
            assert_eq!(
                found.map(|found| found.name()),
                Some(format!("{kind}{subject}")),
                "{problems}"
            );
        }
    }

    #[test]
    fn leaders_are_expected_by_part() {
        let expectation = |yaml: &str| decoded(yaml, expectation).0.unwrap();
        let (component, within) = (Component::Etcd, Duration::from_secs(7));
        let (at_most, at_least) = (within, None);
        assert_eq!(
            expectation("leaderChange: {component: etcd, within: 7s}"),
            Expectation::LeaderChange { component, within }
        );
        assert_eq!(
            expectation("leaderGap: {component: etcd, atMost: 7s}"),
            Expectation::LeaderGap { component, at_most, at_least }
        );
        assert_eq!(
            expectation("oldLeader: {component: etcd, atMost: 7s}"),
            Expectation::OldLeader { component, at_most, at_least }
        );
        let at_least = Some(Duration::from_secs(2));
        let both = |kind: &str| {
            expectation(&format!("{kind}: {{component: etcd, atLeast: 2s, atMost: 7s}}"))
        };
        assert_eq!(both("leaderGap"), Expectation::LeaderGap { component, at_most, at_least });
        assert_eq!(both("oldLeader"), Expectation::OldLeader { component, at_most, at_least });
    }

    #[test]
    fn what_has_no_leader_is_reported() {
        let wrong = |yaml: &str| decoded(yaml, expectation).1;
        assert!(
            wrong("leaderGap: {component: kube-apiserver, atMost: 7s}").contains("has no leader")
        );
        assert!(
            wrong("leaderGap: {component: kube-shceduler, atMost: 7s}")
                .contains("did you mean `kube-scheduler`?")
        );
        assert!(
            wrong("leaderChange: {component: etcd, atMost: 7s}")
                .contains("unknown field `atMost` in `leaderChange`")
        );
    }

    #[test]
    fn mistakes_are_reported() {
        let wrong = |yaml: &str| decoded(yaml, expectation).1;
        assert!(wrong("detection: {within: 7}").contains("did you mean `7s`?"));
        assert!(wrong("detection: {atMost: 7s}").contains("unknown field `atMost` in `detection`"));
        assert!(
            wrong("errorwindow: {probe: web, atMost: 7s}").contains("did you mean `errorWindow`?")
        );
        assert!(
            wrong("objectsKept: {within: 7s}").contains("unknown field `within` in `objectsKept`")
        );
        assert!(wrong("errorWindow: {probe: web}").contains("needs `atMost`, `atLeast`, or both"));
        assert!(
            wrong("errorWindow: {probe: web, atMost: 3s, atLeast: 4s}")
                .contains("`atMost` is shorter than `atLeast`")
        );
        assert!(
            wrong("detection: {within: 3s, atLeast: 4s}")
                .contains("`within` is shorter than `atLeast`")
        );
        assert!(
            wrong("oldLeader: {component: etcd, atMost: 3s, atLeast: 4s}")
                .contains("is shorter than `atLeast`")
        );
        assert!(wrong("noErrors: web").contains(
            "expected `noErrors` (a mapping), found `web` (write `noErrors: {probe: web}`)"
        ));
        assert!(wrong("recovery: 7s").contains("(write `recovery: {within: 7s}`)"));
    }
}

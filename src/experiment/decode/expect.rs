//! Expectations: what must be so for the run to pass.

use std::time::Duration;

use serde_json::json;

use super::fields::{Cx, Decode, Fields};
use super::method::component;
use super::reference::{pods, service};
use super::scalar::{choice, dns_label, positive, share};
use crate::experiment::schema::{
    Bound, DEFAULT_WINDOW, During, ErrorTime, Expectation, Pods, every_expectation,
};
use crate::experiment::tree::{Node, quoted};
use crate::stats::Quantile;
use crate::timeline::{Component, ObjectRef};
use crate::yaml::suggest;

macro_rules! readers {
    ($(
        $(#[doc = $about:literal])*
        $kind:ident $name:literal $($bare:literal)? $({
            $($(#[doc = $doc:literal])* $(#[serde $_serde:tt])*
                $field:ident: $type:ty = $how:ident($key:literal, $($read:expr),+),)*
        })?
    )*) => {
        const EXPECTATIONS: &[(&str, Decode<Expectation>)] = &[$(($name, |cx, node| {
            let what = format!("`{}`", $name);
            #[allow(unused_mut)]
            let mut fields = match None::<&str>$(.or(Some($bare)))? {
                Some(bare) => Fields::of_or(cx, node, &what, |text| {
                    format!("{}: {{{bare}: {text}}}", $name)
                })?,
                None => Fields::of(cx, node, &what)?,
            };
            fields.about(concat!($($about),*));
            $($(
                let $field: Option<$type> =
                    fields.doc(concat!($($doc),*)).$how($key, $($read),+);
            )*)?
            fields.finish();
            possible(cx, node, Expectation::$kind $({ $($field: $field?),* })?)
        })),*];
    };
}

every_expectation!(readers);

pub(crate) fn expectation(cx: &Cx, node: &Node) -> Option<Expectation> {
    cx.union(node, "an expectation", EXPECTATIONS)
}

/// A duration, or `predicted`.
fn limit(cx: &Cx, node: &Node) -> Option<Bound> {
    cx.reads_also(|| json!({"const": "predicted"}), || positive(cx, node))?;
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

fn error_time(cx: &Cx, node: &Node) -> Option<ErrorTime> {
    choice(cx, node, "`counts` value", &ErrorTime::ALL)
}

fn quantile(cx: &Cx, node: &Node) -> Option<Quantile> {
    let words = Quantile::ALL.map(|(word, _)| word);
    match node.text() {
        // What is near may be far from what was meant.
        Some(other) if !words.contains(&other) => cx.error_hint(
            node.focus(),
            format!("unknown quantile {}", quoted(other)),
            format!("the quantile is one of {}", suggest::listed(&words, "and")),
        ),
        _ => choice(cx, node, "quantile", &Quantile::ALL),
    }
}

/// A duration of one answer: milliseconds are meant where there is no unit.
fn latency(cx: &Cx, node: &Node) -> Option<Duration> {
    let is_bare = |text: &&str| text.parse().is_ok_and(|millis| (1..=10_000).contains(&millis));
    match node.text().filter(is_bare) {
        Some(text) => cx.error_hint(
            node.focus(),
            format!("expected a duration, found {}, which has no unit", quoted(text)),
            format!("did you mean `{text}ms`?"),
        ),
        None => positive(cx, node),
    }
}

/// A word for a part of the run, or the name of a step.
fn during(cx: &Cx, node: &Node) -> Option<During> {
    let named = dns_label(cx, node)?;
    let word = During::WORDS.into_iter().find(|(word, _)| *word == named);
    Some(word.map_or(During::Step(named), |(_, during)| during))
}

/// Refuses bounds that contradict each other, or are missing.
fn possible(cx: &Cx, node: &Node, found: Expectation) -> Option<Expectation> {
    let (field, most, least) = match &found {
        Expectation::ErrorWindow { at_most: None, at_least: None, .. } => {
            return cx.error(node.focus(), "`errorWindow` needs `atMost`, `atLeast`, or both");
        }
        Expectation::ErrorWindow { at_most: None, counts: ErrorTime::FailingTime, .. } => {
            return cx.error_hint(
                node.focus(),
                "`counts` says what `atMost` counts, but there is no `atMost`",
                "`atLeast` is always judged on the longest burst",
            );
        }
        Expectation::Detection { within: Bound::Fixed(most), at_least: Some(least), .. } => {
            ("within", most, least)
        }
        Expectation::ErrorWindow {
            at_most: Some(Bound::Fixed(most)),
            at_least: Some(least),
            ..
        }
        | Expectation::LeaderGap { at_most: most, at_least: Some(least), .. }
        | Expectation::OldLeader { at_most: most, at_least: Some(least), .. } => {
            ("atMost", most, least)
        }
        _ => return Some(found),
    };
    if most < least {
        return cx.error(node.focus(), format!("`{field}` is shorter than `atLeast`"));
    }
    Some(found)
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
        let error_window = |at_most, at_least, counts| Expectation::ErrorWindow {
            probe: probe(),
            at_most,
            at_least,
            counts,
        };
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
            Expectation::EndpointRemoval { service: Some("web".into()), within: seven }
        );
        assert_eq!(
            expectation("errorWindow: {probe: web, atMost: 7s}"),
            error_window(Some(seven), None, ErrorTime::FirstToLast)
        );
        assert_eq!(
            expectation("errorWindow: {probe: web, atMost: 7s, counts: failingTime}"),
            error_window(Some(seven), None, ErrorTime::FailingTime)
        );
        let rate = |window, at_most| Expectation::ErrorRate {
            probe: probe(),
            window: Duration::from_secs(window),
            at_most,
        };
        assert_eq!(expectation("errorRate: {probe: web, atMost: 5%}"), rate(10, 0.05));
        assert_eq!(expectation("errorRate: {probe: web, window: 30s, atMost: 0.5}"), rate(30, 0.5));
        let least = Some(Duration::from_secs(7));
        assert_eq!(
            expectation("errorWindow: {probe: web, atLeast: 7s, atMost: predicted}"),
            error_window(Some(Bound::Predicted), least, ErrorTime::FirstToLast)
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
        let latency = |quantile, during| Expectation::Latency {
            probe: probe(),
            quantile,
            at_most: Duration::from_millis(300),
            during,
        };
        assert_eq!(
            expectation("latency: {probe: web, atMost: 300ms}"),
            latency(Quantile::P99, During::Fault)
        );
        assert_eq!(
            expectation("latency: {probe: web, quantile: p99.9, atMost: 300ms, during: after}"),
            latency(Quantile::P999, During::After)
        );
        assert_eq!(
            expectation("latency: {probe: web, quantile: max, atMost: 300ms, during: dies}"),
            latency(Quantile::Max, During::Step("dies".into()))
        );
        assert_eq!(
            expectation("failedShare: {probe: web, atMost: 0.1}"),
            Expectation::FailedShare { probe: probe(), at_most: 0.1 }
        );
        assert_eq!(expectation("noErrors: {probe: web}"), Expectation::NoErrors { probe: probe() });
        let pods = || Pods::labelled([("app", "web")]);
        assert_eq!(
            expectation("rescheduled: {service: web, within: 7s}"),
            Expectation::Rescheduled { service: "web".into(), within: Duration::from_secs(7) }
        );
        assert_eq!(
            expectation("notRescheduled: {labels: {app: web}}"),
            Expectation::NotRescheduled { pods: pods() }
        );
        assert_eq!(
            expectation("restarted: {labels: {app: web}, within: 7s}"),
            Expectation::Restarted { pods: pods(), within: Duration::from_secs(7) }
        );
        assert_eq!(expectation("objectsKept: {}"), Expectation::ObjectsKept);
        assert_eq!(expectation("notDetected: {}"), Expectation::NotDetected);
    }

    #[test]
    fn each_expectation_is_called_as_it_is_written() {
        for (kind, _) in EXPECTATIONS {
            let (field, subject) = match *kind {
                "noErrors" | "noSuccess" => ("probe: web", "/web"),
                "failedShare" | "errorRate" => ("probe: web, atMost: 0.1", "/web"),
                "errorWindow" | "latency" => ("probe: web, atMost: 7s", "/web"),
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
            wrong("errorWindow: {probe: web, atLeast: 3s, counts: failingTime}")
                .contains("`counts` says what `atMost` counts, but there is no `atMost`")
        );
        assert!(
            wrong("errorWindow: {probe: web, atMost: 3s, counts: failing}")
                .contains("unknown `counts` value `failing`")
        );
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
        let quantile = wrong("latency: {probe: web, atMost: 3s, quantile: p999}");
        assert!(
            quantile.contains("unknown quantile `p999` (the quantile is one of `p50`, "),
            "{quantile}"
        );
        let bare = wrong("latency: {probe: web, atMost: 50}");
        assert!(bare.contains("(did you mean `50ms`?)"), "{bare}");
        assert!(wrong("recovery: 7s").contains("(write `recovery: {within: 7s}`)"));
    }
}

//! Events, in whole seconds as Kubernetes' own.

use serde_json::{Value, json};

use crate::embedded::store::object;

#[derive(Clone, Copy, Debug)]
pub(crate) struct EventSpec<'a> {
    /// `Normal` or `Warning`.
    pub kind: &'a str,
    /// One word: `NodeNotReady`.
    pub reason: &'a str,
    pub message: &'a str,
    pub by: &'a str,
    /// On which host; empty: none.
    pub host: &'a str,
}

impl<'a> EventSpec<'a> {
    pub(crate) fn normal(reason: &'a str, message: &'a str, by: &'a str) -> Self {
        Self { kind: "Normal", reason, message, by, host: "" }
    }

    pub(crate) fn warning(reason: &'a str, message: &'a str, by: &'a str) -> Self {
        Self { kind: "Warning", ..Self::normal(reason, message, by) }
    }

    pub(crate) fn on(self, host: &'a str) -> Self {
        Self { host, ..self }
    }
}

/// An event about an object. Those about what lies in no namespace lie in `default`. `serial` makes
/// its name its own.
pub(crate) fn new(about: &Value, event: EventSpec<'_>, at: jiff::Timestamp, serial: u64) -> Value {
    let (name, namespace) = (object::name(about), object::namespace(about));
    let lies_in = if namespace.is_empty() { "default" } else { namespace };
    let mut involved = json!({"kind": about["kind"], "name": name, "uid": object::uid(about)});
    if !namespace.is_empty() {
        involved["namespace"] = namespace.into();
        involved["apiVersion"] = about["apiVersion"].clone();
    }
    let mut source = json!({"component": event.by});
    if !event.host.is_empty() {
        source["host"] = event.host.into();
    }
    let seconds = object::timestamp(at);
    json!({
        "metadata": {"name": format!("{name}.{:016x}", at.as_nanosecond() as u64 ^ serial << 56), "namespace": lies_in},
        "involvedObject": involved, "reason": event.reason, "message": event.message, "source": source,
        "firstTimestamp": seconds, "lastTimestamp": seconds, "count": 1, "type": event.kind, "eventTime": null,
        "reportingComponent": event.by, "reportingInstance": event.host,
    })
}

//! Events in their two forms: those of the core group, as they are stored, and those of
//! events.k8s.io.

use serde_json::{Map, Value};

use crate::embedded::store::{kinds, object};

/// What each field is called in the core group and in events.k8s.io.
const FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The newer form of a stored event.
pub(super) fn from_core(event: &Value) -> Value {
    renamed(event, &kinds::NEW_EVENTS, |field| {
        FIELDS.iter().find(|(core, _)| core == &field).map(|(_, new)| *new)
    })
}

/// The stored form of an event in its newer form.
pub(super) fn to_core(event: &Value) -> Value {
    renamed(event, &kinds::EVENTS, |field| {
        FIELDS.iter().find(|(_, new)| new == &field).map(|(core, _)| *core)
    })
}

fn renamed(
    event: &Value,
    kind: &kinds::Kind,
    name: impl Fn(&str) -> Option<&'static str>,
) -> Value {
    let members = event.as_object().into_iter().flatten();
    let members =
        members.map(|(field, value)| (name(field).unwrap_or(field).to_owned(), value.clone()));
    let mut event = Value::Object(members.collect::<Map<_, _>>());
    object::set_type(&mut event, kind);
    event
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_the_same_event() {
        let core = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Node"},
            "message": "m", "reason": "NodeNotReady", "count": 2, "source": {"component": "c"}});
        let new = from_core(&core);
        assert_eq!(
            (&new["apiVersion"], &new["regarding"]["kind"]),
            (&"events.k8s.io/v1".into(), &"Node".into())
        );
        assert_eq!(
            (&new["note"], &new["deprecatedCount"], new.get("message")),
            (&"m".into(), &2.into(), None)
        );
        assert_eq!(to_core(&new), core);
    }
}

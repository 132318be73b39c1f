//! Events as rows.

use serde_json::Value;

use super::age::since;
use super::{Column, Layout, name, text, text_or, wide};

pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        text("Last Seen"),
        text("Type"),
        text("Reason"),
        text("Object"),
        wide("Subobject"),
        wide("Source"),
        text("Message"),
        wide("First Seen"),
        wide("Count"),
        WIDE_NAME,
    ],
    cells,
};

const WIDE_NAME: Column = ("Name", "string", true);

fn cells(event: &Value) -> Vec<Value> {
    let about = &event["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let target = match about["name"].as_str() {
        Some(name) if !name.is_empty() => format!("{kind}/{name}"),
        _ => kind,
    };
    vec![
        last(event).into(),
        text_or(&event["type"], ""),
        text_or(&event["reason"], ""),
        target.into(),
        text_or(&about["fieldPath"], ""),
        source(event).into(),
        event["message"].as_str().unwrap_or_default().trim().into(),
        first(event).into(),
        event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1).into(),
        name(event),
    ]
}

fn first(event: &Value) -> String {
    since(if event["firstTimestamp"].is_null() {
        &event["eventTime"]
    } else {
        &event["firstTimestamp"]
    })
}

fn last(event: &Value) -> String {
    let series = &event["series"]["lastObservedTime"];
    match (series.is_null(), event["lastTimestamp"].is_null()) {
        (false, _) => since(series),
        (true, false) => since(&event["lastTimestamp"]),
        (true, true) => first(event),
    }
}

fn source(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let component = Some(text(&event["source"]["component"])).filter(|text| !text.is_empty());
    let parts = [
        component.unwrap_or_else(|| text(&event["reportingComponent"])),
        text(&event["source"]["host"]),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_shown_with_what_it_is_about() {
        let now = crate::embedded::store::object::timestamp(jiff::Timestamp::now());
        let event = json!({"metadata": {"name": "w.1"}, "type": "Normal", "reason": "NodeNotReady", "message": "Node w is not ready\n",
            "involvedObject": {"kind": "Node", "name": "w"}, "source": {"component": "node-controller"}, "lastTimestamp": now});
        let cells = cells(&event);
        let texts: Vec<&str> = cells.iter().filter_map(Value::as_str).collect();
        assert_eq!(
            texts[1..7],
            ["Normal", "NodeNotReady", "node/w", "", "node-controller", "Node w is not ready"]
        );
        assert!(["0s", "1s"].contains(&texts[0]), "{}", texts[0]);
        assert_eq!(cells[8], 1);
    }
}

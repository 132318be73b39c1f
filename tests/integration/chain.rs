//! The order in which a run's chain must have happened, whatever the machine's speed.

use serde_json::Value;

/// Asserts what must hold of every run with one fault on a node. Never: which of last error and endpoint's removal comes first.
pub fn assert_order(report: &Value) {
    let fault = &report["findings"]["faults"][0];
    let at = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no moment: {value} in {report:#}"));
    let (requested, confirmed) = (at(&fault["requested"]), at(&fault["confirmed"]));
    let (undo_requested, undone) = (at(&fault["undoRequested"]), at(&fault["undone"]));
    assert!(requested <= confirmed && confirmed < undo_requested && undo_requested <= undone, "{fault:#}");
    let detected = &fault["node"]["detected"];
    let (earliest, latest) = (at(&detected["when"]["earliest"]), at(&detected["when"]["latest"]));
    assert!(requested < latest && earliest <= latest && latest < undone, "{detected:#}");
    for service in fault["services"].as_array().unwrap() {
        for endpoint in service["endpoints"].as_array().unwrap() {
            let unready = at(&endpoint["unready"]["latest"]);
            assert!(requested < unready, "{endpoint:#}");
        }
    }
}

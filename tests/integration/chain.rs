//! The order in which a run's chain must have happened, whatever the machine's speed.

use serde_json::Value;

/// Asserts what must hold of every run with one fault on a node. Never: which of last error and
/// endpoint's removal comes first.
pub(crate) fn assert_order(report: &Value) {
    assert_order_of(report, 0);
}

/// The same of one fault among several.
pub(crate) fn assert_order_of(report: &Value, fault: usize) {
    let fault = &report["findings"]["faults"][fault];
    let at = |what: &str, value: &Value| {
        value.as_f64().unwrap_or_else(|| panic!("{what} has no moment: {value} in {fault:#}"))
    };
    let requested = at("requested", &fault["requested"]);
    let confirmed = at("confirmed", &fault["confirmed"]["at"]);
    let (undo_requested, undone) =
        (at("undoRequested", &fault["undoRequested"]), at("undone", &fault["undone"]));
    assert!(
        requested <= confirmed && confirmed < undo_requested && undo_requested <= undone,
        "{fault:#}"
    );
    let detected = &fault["node"]["detected"]["at"];
    let (earliest, latest) =
        (at("detected", &detected["earliest"]), at("detected", &detected["latest"]));
    assert!(requested < earliest && earliest <= latest && latest < undone, "{fault:#}");
    let ready_again = at("readyAgain", &fault["node"]["readyAgain"]["latest"]);
    assert!(ready_again > undo_requested, "{fault:#}");
    let services = fault["services"].as_array().unwrap();
    let hit: Vec<&Value> =
        services.iter().flat_map(|service| service["hit"].as_array().unwrap()).collect();
    assert!(!hit.is_empty(), "the fault hit no endpoint: {fault:#}");
    for endpoint in hit {
        assert!(at("left", &endpoint["left"]["latest"]) > requested, "{fault:#}");
    }
}

/// Asserts that a probe saw errors between fault and detection: the first after the fault was
/// requested.
pub(crate) fn assert_errors(report: &Value, probe: &str) {
    let probes = report["findings"]["probes"].as_array().unwrap();
    let found =
        probes.iter().find(|p| p["name"] == probe).unwrap_or_else(|| panic!("no probe {probe}"));
    let window = found["windows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|w| w["period"]["fault"].is_object() || w["period"]["step"].is_u64());
    let window = window.unwrap_or_else(|| panic!("no errors during the fault: {found:#}"));
    let detected =
        report["findings"]["faults"][0]["node"]["detected"]["at"]["latest"].as_f64().unwrap();
    let (first, last) =
        (window["firstFailure"].as_f64().unwrap(), window["lastFailure"].as_f64().unwrap());
    assert!(first < detected && first <= last, "{window:#}");
    assert!(window["failed"].as_u64() > Some(0), "{window:#}");
    assert!(window["length"]["least"].as_f64() <= window["length"]["most"].as_f64(), "{window:#}");
}

//! Pods as rows.

use serde_json::Value;

use super::age::since;
use super::{AGE, Layout, NAME, age, count, name, text, text_or, wide};
use crate::embedded::store::object;

pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        NAME,
        text("Ready"),
        text("Status"),
        text("Restarts"),
        AGE,
        wide("IP"),
        wide("Node"),
        wide("Nominated Node"),
        wide("Readiness Gates"),
    ],
    cells,
};

fn cells(pod: &Value) -> Vec<Value> {
    let status = &pod["status"];
    let ready = containers(pod).filter(|container| is_ready(container)).count();
    vec![
        name(pod),
        format!("{ready}/{}", count(&pod["spec"]["containers"])).into(),
        word(pod).into(),
        restarts(pod).into(),
        age(pod),
        text_or(&status["podIPs"][0]["ip"], "<none>"),
        text_or(&pod["spec"]["nodeName"], "<none>"),
        text_or(&status["nominatedNodeName"], "<none>"),
        "<none>".into(),
    ]
}

fn containers(pod: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

fn is_ready(container: &Value) -> bool {
    container["ready"] == true && !container["state"]["running"].is_null()
}

/// What state it is in, in a word.
fn word(pod: &Value) -> String {
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if object::is_deleted(pod) {
        let (phase, reason) = (text(&status["phase"]), text(&status["reason"]));
        if reason == "NodeLost" {
            return "Unknown".to_owned();
        }
        if !["Succeeded", "Failed"].contains(&phase.as_str()) {
            return "Terminating".to_owned();
        }
    }
    let own = status["reason"].as_str().filter(|reason| !reason.is_empty());
    let mut word = own.map_or_else(|| text(&status["phase"]), str::to_owned);
    // The first container that has something to say has the last word.
    for container in containers(pod).rev() {
        word = container_word(&container["state"]).unwrap_or(word);
    }
    match word.as_str() {
        "Completed" if containers(pod).any(is_ready) => "Running".to_owned(),
        _ => word,
    }
}

fn container_word(state: &Value) -> Option<String> {
    let (waiting, terminated) = (&state["waiting"]["reason"], &state["terminated"]);
    let reason =
        waiting.as_str().or(terminated["reason"].as_str()).filter(|reason| !reason.is_empty());
    let exit = || terminated["exitCode"].as_i64().map(|code| format!("ExitCode:{code}"));
    reason.map(str::to_owned).or_else(exit)
}

fn restarts(pod: &Value) -> String {
    let total: u64 =
        containers(pod).filter_map(|container| container["restartCount"].as_u64()).sum();
    let ends = containers(pod).map(|container| &container["lastState"]["terminated"]["finishedAt"]);
    match ends.filter(|end| !end.is_null()).max_by_key(|end| end.as_str()) {
        Some(last) if total > 0 => format!("{total} ({} ago)", since(last)),
        _ => total.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_word_is_kubectls() {
        let pod = |status: Value, deleted: bool| {
            let mut pod = json!({"metadata": {"name": "a"}, "status": status});
            if deleted {
                pod["metadata"]["deletionTimestamp"] = "2026-11-22T06:23:41Z".into();
            }
            word(&pod)
        };
        let running = json!({"phase": "Running", "containerStatuses": [{"ready": true, "state": {"running": {}}}]});
        assert_eq!(pod(running.clone(), false), "Running");
        assert_eq!(pod(running, true), "Terminating");
        assert_eq!(pod(json!({"phase": "Running", "reason": "NodeLost"}), true), "Unknown");
        assert_eq!(pod(json!({"phase": "Succeeded"}), true), "Succeeded");
        assert_eq!(pod(json!({"phase": "Pending"}), false), "Pending");
        let waiting = json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]});
        assert_eq!(pod(waiting, false), "ContainerCreating");
        let ended = json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 137}}}]});
        assert_eq!(pod(ended, false), "ExitCode:137");
    }

    #[test]
    fn readiness_is_counted_over_containers() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{}, {}], "nodeName": "w"}, "status": {"phase": "Running",
            "podIPs": [{"ip": "127.0.0.9"}], "containerStatuses": [{"ready": true, "restartCount": 2, "state": {"running": {}}}, {}]}});
        let cells = cells(&pod);
        assert_eq!(
            (&cells[1], &cells[3], &cells[5], &cells[6]),
            (&"1/2".into(), &"2".into(), &"127.0.0.9".into(), &"w".into())
        );
    }
}

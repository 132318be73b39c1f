//! Reviews: what a user may do, and who they are. A model has one user, who may do everything.

use serde_json::{Value, json};

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// The answer to a review; `None`: the resource is not one. It is the same whatever is asked.
pub(super) fn answer(group: &str, plural: &str) -> Option<Value> {
    let (kind, status) = match (group, plural) {
        (AUTHORIZATION, "selfsubjectaccessreviews") => {
            ("SelfSubjectAccessReview", json!({"allowed": true}))
        }
        (AUTHORIZATION, "selfsubjectrulesreviews") => {
            let rules = json!({
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                "incomplete": false,
            });
            ("SelfSubjectRulesReview", rules)
        }
        (AUTHENTICATION, "selfsubjectreviews") => {
            let groups = ["system:masters", "system:authenticated"];
            let user = json!({"username": "embedded", "groups": groups});
            ("SelfSubjectReview", json!({"userInfo": user}))
        }
        _ => return None,
    };
    let version = format!("{group}/v1");
    Some(json!({"kind": kind, "apiVersion": version, "metadata": {}, "spec": {}, "status": status}))
}

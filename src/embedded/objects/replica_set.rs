//! ReplicaSets: those that a Deployment makes, and their status.

use serde_json::{Value, json};

use crate::embedded::store::object;

/// The label by which the pods of a Deployment's ReplicaSets are distinguished.
pub(crate) const HASH_LABEL: &str = "pod-template-hash";
/// Which of a Deployment's ReplicaSets it is, by age.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
/// What Kubernetes makes names of: no vowels, no digits that look like letters.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Letters for a number, as in the names that Kubernetes makes.
pub(crate) fn letters(mut number: u64, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        text.push(LETTERS[(number % LETTERS.len() as u64) as usize] as char);
        number /= LETTERS.len() as u64;
    }
    text
}

/// What tells one template from another (FNV-1a over its JSON).
pub(crate) fn template_hash(template: &Value) -> String {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    letters(template.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, hash), 9)
}

/// The ReplicaSet of a Deployment's present template.
pub(crate) fn of_deployment(deployment: &Value, revision: u64) -> Value {
    let hash = template_hash(&deployment["spec"]["template"]);
    let mut template = deployment["spec"]["template"].clone();
    let labels = object::meta_mut(&mut template).entry("labels").or_insert(Value::Null);
    object::as_map(labels).insert(HASH_LABEL.into(), hash.as_str().into());
    let mut selector = deployment["spec"]["selector"].clone();
    object::map_mut(&mut selector, "matchLabels").insert(HASH_LABEL.into(), hash.as_str().into());
    json!({
        "metadata": {
            "name": format!("{}-{hash}", object::name(deployment)), "namespace": object::namespace(deployment),
            "labels": template["metadata"]["labels"],
            "annotations": {
                "deployment.kubernetes.io/desired-replicas": replicas(deployment).to_string(),
                REVISION: revision.to_string(),
            },
            "ownerReferences": super::owned_by(deployment),
        },
        "spec": {"replicas": replicas(deployment), "selector": selector, "template": template},
        "status": {"replicas": 0},
    })
}

/// How many replicas are requested; 1 by default.
pub(crate) fn replicas(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// What a ReplicaSet's pods amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub replicas: u64,
    pub ready: u64,
}

pub(crate) fn status(set: &Value, tally: Tally) -> Value {
    let mut status = json!({
        "replicas": tally.replicas, "fullyLabeledReplicas": tally.replicas, "observedGeneration": set["metadata"]["generation"],
    });
    if tally.ready > 0 {
        status["readyReplicas"] = tally.ready.into();
        status["availableReplicas"] = tally.ready.into();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_of_two_templates_are_told_apart() {
        let deployment = |image: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n", "uid": "u"},
                "spec": {
                    "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}},
                },
            })
        };
        let (one, two) = (of_deployment(&deployment("a"), 1), of_deployment(&deployment("b"), 2));
        assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
        assert_eq!(one, of_deployment(&deployment("a"), 1));
        let labels = &one["spec"]["template"]["metadata"]["labels"];
        assert!(super::super::selects(&one["spec"]["selector"]["matchLabels"], labels));
        assert!(!super::super::selects(&two["spec"]["selector"]["matchLabels"], labels));
    }

    #[test]
    fn letters_are_of_the_wanted_length() {
        assert_eq!(letters(0, 5), "bbbbb");
        assert_eq!(letters(u64::MAX, 5).len(), 5);
    }
}

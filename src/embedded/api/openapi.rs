//! As much of the OpenAPI documents as makes kubectl leave validation to the server: which paths
//! take `fieldValidation`.

use serde_json::{Map, Value, json};

use crate::embedded::store::{Kind, kinds};

/// The answer of `/openapi/v3`.
pub(super) fn index() -> Value {
    let url = |root: &str| json!({"serverRelativeURL": format!("/openapi/v3/{root}")});
    let roots = kinds::ALL.into_iter().map(root);
    let paths: Map<String, Value> = roots.map(|root| (root.clone(), url(&root))).collect();
    json!({"paths": paths})
}

/// `api/v1`, or `apis/apps/v1`.
fn root(kind: &Kind) -> String {
    match kind.group {
        "" => format!("api/{}", kind.version),
        group => format!("apis/{group}/{}", kind.version),
    }
}

/// The answer of `/openapi/v3/<root>`; `None` where there is nothing of it.
pub(super) fn of_group(of: &str) -> Option<Value> {
    let paths: Map<String, Value> =
        kinds::ALL.into_iter().filter(|kind| root(kind) == of).map(path).collect();
    (!paths.is_empty()).then(|| {
        json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths,
        "components": {"schemas": {}}})
    })
}

fn path(kind: &Kind) -> (String, Value) {
    let namespaces = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
    let what = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    let operation =
        json!({"parameters": parameters, "responses": {}, "x-kubernetes-group-version-kind": what});
    (format!("/{}/{namespaces}{}/{{name}}", root(kind), kind.plural), json!({"patch": operation}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_in_the_index_and_there() {
        for root in index()["paths"].as_object().unwrap().keys() {
            assert!(of_group(root).is_some(), "{root}");
        }
        let apps = of_group("apis/apps/v1").unwrap();
        let patch =
            &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        assert_eq!(patch["parameters"][2]["name"], "fieldValidation");
        assert!(of_group("apis/batch/v1").is_none());
    }
}

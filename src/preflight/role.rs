//! Rights as RBAC's objects: a ClusterRole, and a Role for each namespace that has rights of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::rights::Right;
use crate::yaml::json::written;

/// What a rule is about: why it is optional, the API group, and the one object.
type Scope<'a> = (Option<&'a str>, &'a str, Option<&'a str>);

/// The objects that give these rights, as YAML; with their bindings where an account
/// (`NAMESPACE/NAME`) is to have them.
pub(crate) fn yaml(name: &str, rights: &[Right], account: Option<(&str, &str)>) -> String {
    let mut by_namespace: BTreeMap<Option<&str>, Vec<&Right>> = BTreeMap::new();
    for right in rights {
        by_namespace.entry(right.of.namespace.as_deref()).or_default().push(right);
    }
    let documents = by_namespace.into_iter().map(|(namespace, rights)| {
        let (kind, place) = match namespace {
            None => ("ClusterRole", String::new()),
            Some(namespace) => ("Role", format!(", namespace: {}", written(namespace))),
        };
        let metadata = format!("metadata: {{name: {name}{place}}}");
        let head = |kind: &str| {
            format!("apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\n{metadata}\n")
        };
        let mut text = format!("{}rules:\n{}", head(kind), rules(&rights));
        if let Some((namespace, account)) = account {
            let _ = write!(
                text,
                "---\n{}roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {name}}}\n\
                 subjects:\n- {{kind: ServiceAccount, namespace: {}, name: {}}}\n",
                head(&format!("{kind}Binding")),
                written(namespace),
                written(account)
            );
        }
        text
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn rules(rights: &[&Right]) -> String {
    // The verbs of each resource, then the resources that have the same.
    let mut verbs: BTreeMap<(Scope<'_>, &str), BTreeSet<&str>> = BTreeMap::new();
    for Right { of, without } in rights {
        let scope = (*without, of.group.as_str(), of.name.as_deref());
        verbs.entry((scope, &of.resource)).or_default().insert(&of.verb);
    }
    // A path of the server is not in a rule with resources.
    let mut rules: BTreeMap<(Scope<'_>, BTreeSet<&str>, bool), BTreeSet<&str>> = BTreeMap::new();
    for ((scope, resource), verbs) in verbs {
        rules.entry((scope, verbs, resource.starts_with('/'))).or_default().insert(resource);
    }
    let list = |words: &BTreeSet<&str>| {
        words.iter().map(|word| written(word)).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    for (((without, group, name), verbs, are_paths), resources) in &rules {
        if let Some(without) = without {
            let _ = writeln!(text, "# Optional. Without it, {without}.");
        }
        if *are_paths {
            let _ = writeln!(text, "- nonResourceURLs: [{}]", list(resources));
        } else {
            let _ = writeln!(text, "- apiGroups: [{}]", written(group));
            let _ = writeln!(text, "  resources: [{}]", list(resources));
        }
        if let Some(name) = name {
            let _ = writeln!(text, "  resourceNames: [{}]", written(name));
        }
        let _ = writeln!(text, "  verbs: [{}]", list(verbs));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::rights::Operation;
    use super::*;

    fn right(namespace: Option<&str>, resource: &str, name: Option<&str>, verb: &str) -> Right {
        let of = Operation {
            namespace: namespace.map(str::to_owned),
            group: String::new(),
            resource: resource.into(),
            name: name.map(str::to_owned),
            verb: verb.into(),
        };
        Right { of, without: None }
    }

    #[test]
    fn what_has_the_same_verbs_is_one_rule() {
        let mut optional = right(None, "nodes/proxy", None, "get");
        optional.without = Some("settings are unknown");
        let rights = [
            right(None, "pods", None, "list"),
            right(None, "nodes", None, "list"),
            right(None, "nodes", None, "watch"),
            right(None, "pods", None, "watch"),
            right(None, "/metrics", None, "list"),
            right(None, "/metrics", None, "watch"),
            optional,
            right(Some("shop"), "secrets", Some("tls1"), "get"),
        ];
        assert_eq!(
            yaml("outage-a", &rights, Some(("ci", "outage"))),
            "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: outage-a}
rules:
- apiGroups: [\"\"]
  resources: [nodes, pods]
  verbs: [list, watch]
- nonResourceURLs: [/metrics]
  verbs: [list, watch]
# Optional. Without it, settings are unknown.
- apiGroups: [\"\"]
  resources: [nodes/proxy]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: outage-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: outage-a}
subjects:
- {kind: ServiceAccount, namespace: ci, name: outage}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: outage-a, namespace: shop}
rules:
- apiGroups: [\"\"]
  resources: [secrets]
  resourceNames: [tls1]
  verbs: [get]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: outage-a, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: outage-a}
subjects:
- {kind: ServiceAccount, namespace: ci, name: outage}
"
        );
    }
}

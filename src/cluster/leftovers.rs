//! What keeps a namespace that is being deleted, in Kubernetes' own words, and how a person looks
//! at it.

use k8s_openapi::api::core::v1::Namespace;

/// What is left in a namespace that stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leftovers {
    why: Option<String>,
    /// The kinds of the objects that are left, as kubectl takes them: `configmaps`,
    /// `widgets.example.com`.
    kinds: Vec<String>,
}

impl Leftovers {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let conditions =
            namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let unmet: Vec<(&str, &str)> = conditions
            .filter(|condition| condition.status == "True")
            .filter_map(|condition| Some((condition.type_.as_str(), condition.message.as_deref()?)))
            .collect();
        let remaining = unmet.iter().filter(|(kind, _)| *kind == "NamespaceContentRemaining");
        let messages: Vec<&str> = unmet.iter().map(|(_, message)| *message).collect();
        Self {
            why: (!messages.is_empty()).then(|| messages.join("; ")),
            kinds: remaining.flat_map(|(_, message)| kinds(message)).collect(),
        }
    }

    pub(crate) fn why(&self) -> String {
        self.why.clone().unwrap_or_else(|| "it is still being deleted".into())
    }

    /// How a person finds what it is, and what ends it. `kubectl`: what a command begins with that
    /// asks this cluster.
    pub(crate) fn hint(&self, namespace: &str, kubectl: &str) -> String {
        match &self.kinds[..] {
            [] => format!(
                "`{kubectl} get namespace {namespace} -o yaml` shows in its conditions what \
                 blocks its deletion"
            ),
            kinds => format!(
                "`{kubectl} -n {namespace} get {} -o yaml` shows what is left, and its \
                 finalizers: their owner must remove them, or remove them yourself with `edit` \
                 instead of `get`",
                kinds.join(",")
            ),
        }
    }
}

/// From `Some resources are remaining: configmaps. has 1 resource instances, widgets.example.com
/// has 2 resource instances`.
fn kinds(message: &str) -> Vec<String> {
    let list = message.rsplit_once("remaining: ").map_or(message, |(_, list)| list);
    let kind = |part: &str| {
        part.split_once(" has ").map(|(kind, _)| kind.trim().trim_end_matches('.').to_owned())
    };
    list.split(", ")
        .filter_map(kind)
        .filter(|kind| !kind.is_empty() && !kind.contains(' '))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(conditions: serde_json::Value) -> Leftovers {
        Leftovers::of(
            &serde_json::from_value(serde_json::json!({"status": {"conditions": conditions}}))
                .unwrap(),
        )
    }

    #[test]
    fn kubernetes_own_words_are_shown_and_the_kinds_that_are_left() {
        let stuck = left(serde_json::json!([
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "all discovered"},
            {"type": "NamespaceContentRemaining", "status": "True",
             "message": "Some resources are remaining: configmaps. has 1 resource instances, widgets.example.com has 2 resource instances"},
            {"type": "NamespaceFinalizersRemaining", "status": "True",
             "message": "Some content in the namespace has finalizers remaining: example.com/hold in 3 resource instances"}]));
        assert!(
            stuck.why().starts_with("Some resources are remaining: configmaps. has 1"),
            "{}",
            stuck.why()
        );
        assert!(
            stuck
                .why()
                .ends_with("; Some content in the namespace has finalizers remaining: example.com/hold in 3 resource instances")
        );
        assert!(
            stuck.hint("n", "kubectl --context c").starts_with(
                "`kubectl --context c -n n get configmaps,widgets.example.com -o yaml` shows"
            ),
            "{}",
            stuck.hint("n", "kubectl")
        );
    }

    #[test]
    fn one_that_says_nothing_is_looked_at_itself() {
        let silent = Leftovers::of(&Namespace::default());
        assert_eq!(silent.why(), "it is still being deleted");
        assert!(
            silent
                .hint("n", "kubectl --context c")
                .starts_with("`kubectl --context c get namespace n -o yaml`")
        );
        let other = left(
            serde_json::json!([{"type": "NamespaceContentRemaining", "status": "True", "message": "in other words"}]),
        );
        assert_eq!((other.why().as_str(), other.kinds.len()), ("in other words", 0));
    }
}

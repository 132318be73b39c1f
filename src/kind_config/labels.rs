//! Labels with which a kubelet does not start (`pkg/kubelet/apis/well_known_labels.go`).

use super::problems::Problems;
use crate::yaml::Span;
use crate::yaml::tree::quoted;

/// Of Kubernetes' own labels, those that a kubelet may give its node.
const KUBELETS: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// Names below these are a kubelet's too.
const KUBELETS_OWN: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Reports a label that keeps the node's kubelet from starting.
pub(super) fn check(problems: &mut Problems, at: Span, name: &str, value: &str) {
    let prefix = name.split_once('/').map_or("", |(prefix, _)| prefix);
    let is_part = |text: &str, of: &str| text == of || text.ends_with(&format!(".{of}"));
    let reserved = ["kubernetes.io", "k8s.io"].iter().any(|domain| is_part(prefix, domain));
    let allowed = KUBELETS.contains(&name) || KUBELETS_OWN.iter().any(|own| is_part(prefix, own));
    let (what, hint) = if !is_qualified_name(name) {
        (format!("{} is not a valid label name", quoted(name)), "such as `example.com/disk`")
    } else if !is_label_value(value) {
        let what = format!("{} is not a valid value of the label {}", quoted(value), quoted(name));
        (what, LABEL_VALUE)
    } else if reserved && !allowed {
        let hint = "use a name of your own, or run `kubectl label node` once the cluster is up";
        (format!("a node may not set the label {} on itself", quoted(name)), hint)
    } else {
        return;
    };
    problems.error(at, format!("{what}: its kubelet does not start")).hint(hint);
}

/// What the value of a label or a taint may have.
pub(crate) const LABEL_VALUE: &str = "letters, digits, `-`, `_` and `.`, at most 63";

pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_valid(value)
}

fn is_valid(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// The name of a label or the key of a taint: `disk`, or `example.com/disk`.
pub(crate) fn is_qualified_name(name: &str) -> bool {
    match name.split_once('/') {
        Some((prefix, short)) => is_valid(short) && prefix.split('.').all(is_dns_label),
        None => is_valid(name),
    }
}

pub(crate) fn is_dns_label(text: &str) -> bool {
    is_valid(text) && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

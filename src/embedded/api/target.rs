//! What a path means.

use super::ApiError;
use super::query::decode;
use crate::embedded::store::{Kind, kinds};

/// Objects of a kind, or one of them, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    /// Empty for what lies in none, or for all of them.
    pub(super) namespace: String,
    /// One object; `None` means the collection.
    pub(super) name: Option<String>,
    /// A part of it, such as `status`.
    pub(super) part: Option<String>,
    /// What comes after the part.
    pub(super) rest: String,
}

impl Target {
    /// Reads `/api/v1/...` and `/apis/<group>/<version>/...`.
    pub(super) fn parse(path: &str) -> Result<Self, ApiError> {
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(ApiError::no_such_path()),
        };
        let kind_of = |plural: &str| kinds::find(group, version, plural);
        match rest {
            ["namespaces", namespace, plural, rest @ ..]
                if kind_of(plural).is_some_and(|kind| kind.namespaced) =>
            {
                Self::of(kind_of(plural), namespace, rest)
            }
            [plural, rest @ ..] => Self::of(kind_of(plural), "", rest),
            [] => Err(ApiError::no_such_path()),
        }
    }

    fn of(kind: Option<&'static Kind>, namespace: &str, rest: &[&str]) -> Result<Self, ApiError> {
        let kind = kind.ok_or_else(ApiError::no_such_path)?;
        // All objects of all namespaces can be listed, but each is found in its own.
        if kind.namespaced && namespace.is_empty() && !rest.is_empty() {
            return Err(ApiError::no_such_path());
        }
        let text = |index: usize| rest.get(index).map(|&part| part.to_owned());
        let after = rest.get(2..).unwrap_or_default().join("/");
        Ok(Self {
            kind,
            namespace: namespace.to_owned(),
            name: text(0),
            part: text(1),
            rest: after,
        })
    }

    /// The namespace that a list is of; `None` for all.
    pub(super) fn scope(&self) -> Option<&str> {
        (!self.namespace.is_empty()).then_some(self.namespace.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(&'static str, String, String, String, String)> {
        let target = Target::parse(path).ok()?;
        let text = |part: Option<String>| part.unwrap_or_default();
        Some((
            target.kind.plural,
            target.namespace,
            text(target.name),
            text(target.part),
            target.rest,
        ))
    }

    #[test]
    fn paths_are_kubernetes_own() {
        let of = |plural, parts: [&str; 4]| {
            let [namespace, name, part, rest] = parts.map(str::to_owned);
            Some((plural, namespace, name, part, rest))
        };
        assert_eq!(read("/api/v1/pods"), of("pods", ["", "", "", ""]));
        assert_eq!(
            read("/api/v1/namespaces/n/pods/p/status"),
            of("pods", ["n", "p", "status", ""])
        );
        assert_eq!(read("/api/v1/namespaces/n"), of("namespaces", ["", "n", "", ""]));
        assert_eq!(read("/api/v1/namespaces/n/status"), of("namespaces", ["", "n", "status", ""]));
        assert_eq!(
            read("/api/v1/nodes/w/proxy/configz"),
            of("nodes", ["", "w", "proxy", "configz"])
        );
        assert_eq!(
            read("/apis/apps/v1/namespaces/n/deployments/d/scale"),
            of("deployments", ["n", "d", "scale", ""])
        );
        for path in [
            "/api/v1/things",
            "/api/v1/pods/p",
            "/apis/apps/v2/deployments",
            "/apis/apps/v1",
            "/api",
            "/x",
            "/api/v1/deployments",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }
}

//! Names of objects: `web`, `shop/web`, or `web` with a `namespace` beside it.

use serde_json::{Value as Json, json};

use super::fields::{Cx, Decode, Fields};
use super::scalar::{dns_label, is_dns_name, labels};
use crate::experiment::schema::{Pods, PodsBy};
use crate::experiment::tree::{Node, quoted};
use crate::kind_config::is_dns_label;
use crate::timeline::ObjectRef;

const PATTERN: &str = "^([a-z0-9-]+/)?[a-z0-9.-]+$";

/// A Service: its name has no dots.
pub(crate) fn service(cx: &Cx, node: &Node) -> Option<ObjectRef> {
    read(cx, node, "a Service", is_dns_label)
}

/// Another object, whose name may have dots.
pub(crate) fn object(cx: &Cx, node: &Node) -> Option<ObjectRef> {
    read(cx, node, "a name", is_dns_name)
}

/// A Service that was typed elsewhere than in a file. Errors say what is wrong.
pub(crate) fn typed_service(text: &str) -> Result<ObjectRef, String> {
    let found = Some(text).filter(|text| !text.is_empty()).map_or("nothing".into(), quoted);
    parsed(text, is_dns_label).ok_or_else(|| format!("expected a Service, found {found} ({HINT})"))
}

const HINT: &str =
    "a name has only a-z, 0-9 and `-`, and may begin with a namespace, as in `shop/web`";

fn read(cx: &Cx, node: &Node, what: &str, valid: fn(&str) -> bool) -> Option<ObjectRef> {
    cx.reads_as("objectName", as_schema)?;
    if let Some(right) = node.text().and_then(|text| parsed(text, valid)) {
        return Some(right);
    }
    cx.error_hint(node.focus(), format!("expected {what}, found {}", node.described()), HINT)
}

fn as_schema() -> Json {
    let about = "The name of an object, with or without its namespace: `web` or `shop/web`.";
    json!({"type": "string", "pattern": PATTERN, "description": about})
}

fn parsed(text: &str, valid: fn(&str) -> bool) -> Option<ObjectRef> {
    let found = ObjectRef::from(text);
    let is_right = valid(&found.name) && found.namespace.as_deref().is_none_or(is_dns_label);
    is_right.then_some(found)
}

/// The fields that several readers have in common.
impl Fields<'_, '_> {
    /// A name, which must be there, and its `namespace`, which may be.
    pub(crate) fn named(
        &mut self,
        key: &'static str,
        read: Decode<ObjectRef>,
    ) -> Option<ObjectRef> {
        let found = self.required(key, read);
        let beside = self.doc(BESIDE).optional("namespace", dns_label);
        let (found, beside) = (found?, beside?);
        self.joined(found, beside)
    }

    /// The same where the name may be absent.
    pub(crate) fn named_optional(
        &mut self,
        key: &'static str,
        read: Decode<ObjectRef>,
    ) -> Option<Option<ObjectRef>> {
        match self.key(key).or(self.key("namespace")) {
            Some(_) => self.named(key, read).map(Some),
            None => {
                let found = self.optional(key, read);
                found.zip(self.doc(BESIDE).optional("namespace", dns_label)).map(|_| None)
            }
        }
    }

    /// An object, with the namespace beside its name.
    pub(crate) fn joined(&self, object: ObjectRef, beside: Option<String>) -> Option<ObjectRef> {
        Some(ObjectRef { namespace: self.agreed(object.namespace, beside)?, name: object.name })
    }

    /// What several fields say together.
    pub(crate) fn together<T>(&mut self, _: &str, read: fn(&mut Self) -> Option<T>) -> Option<T> {
        read(self)
    }

    /// The namespace before a name and that beside it, which are one.
    fn agreed(&self, within: Option<String>, beside: Option<String>) -> Option<Option<String>> {
        match (within, beside, self.key("namespace")) {
            (Some(within), Some(beside), Some(key)) if within != beside => {
                self.cx().error(key, format!("the name already has another namespace, `{within}`"))
            }
            (within, beside, _) => Some(beside.or(within)),
        }
    }
}

const BESIDE: &str = "Its namespace, if its name has none.";

/// What chooses pods, and the namespace before its name.
type Chosen = (PodsBy, Option<String>);

/// Which pods: by labels, name, Deployment or StatefulSet.
pub(crate) fn pods(fields: &mut Fields) -> Option<Pods> {
    fn named(cx: &Cx, node: &Node, by: fn(String) -> PodsBy) -> Option<Chosen> {
        object(cx, node).map(|ObjectRef { namespace, name }| (by(name), namespace))
    }
    let chosen = fields.one_of::<Chosen>(&[
        ("labels", |cx, node| labels(cx, node).map(|labels| (PodsBy::Labels(labels), None))),
        ("name", |cx, node| named(cx, node, PodsBy::Name)),
        ("deployment", |cx, node| named(cx, node, PodsBy::Deployment)),
        ("statefulSet", |cx, node| named(cx, node, PodsBy::StatefulSet)),
    ]);
    fields.about_field("labels", "Labels that all of the pods have.");
    fields.about_field("name", "The name of one pod.");
    fields.about_field("deployment", "The Deployment whose pods they are.");
    fields.about_field("statefulSet", "The StatefulSet whose pods they are.");
    let beside = fields
        .doc("Their namespace, if the name has none. Default: the experiment's.")
        .optional("namespace", dns_label);
    let ((by, within), beside) = (chosen?, beside?);
    Some(Pods { namespace: fields.agreed(within, beside)?, by })
}

/// Pods in the place of a value: the name of one, or a mapping.
pub(crate) fn pods_or_name(cx: &Cx, node: &Node) -> Option<Pods> {
    let mapping = || {
        let mut fields = Fields::of(cx, node, "a pod selector")?;
        fields.about("Pods of one namespace.");
        let pods = pods(&mut fields);
        fields.finish();
        pods
    };
    cx.reads_also(as_schema, mapping)?;
    if node.text().is_none() {
        return mapping();
    }
    let ObjectRef { namespace, name } = object(cx, node)?;
    Some(Pods { namespace, by: PodsBy::Name(name) })
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    fn named(yaml: &str) -> (Option<String>, String) {
        let (found, problems) = decoded(yaml, |cx, node| {
            let mut fields = Fields::of(cx, node, "a thing")?;
            let found = fields.named("service", service);
            fields.finish();
            found
        });
        (found.map(String::from), problems)
    }

    #[test]
    fn a_namespace_stands_before_a_name_or_beside_it() {
        for (yaml, read) in [
            ("{service: web}", "web"),
            ("{service: shop/web}", "shop/web"),
            ("{service: web, namespace: shop}", "shop/web"),
            ("{service: shop/web, namespace: shop}", "shop/web"),
        ] {
            assert_eq!(named(yaml), (Some(read.into()), String::new()), "{yaml}");
        }
        let wrong = |yaml: &str| named(yaml).1;
        assert!(
            wrong("{service: shop/web, namespace: other}").contains("another namespace, `shop`")
        );
        for bad in ["a/b/c", "Web", "shop/", "/web", "we.b"] {
            assert!(
                wrong(&format!("{{service: {bad}}}")).contains("expected a Service, found"),
                "{bad}"
            );
        }
        assert!(wrong("{namespace: shop}").contains("a thing needs `service`"));
    }

    #[test]
    fn a_typed_service_is_read_as_one_in_a_file() {
        assert_eq!(typed_service("shop/web"), Ok("shop/web".into()));
        for bad in ["", "shop/FRONT end", "shop/web/x", "/web", "shop/web?x=1"] {
            let why = typed_service(bad).unwrap_err();
            assert!(why.starts_with("expected a Service, found"), "{why}");
        }
    }

    #[test]
    fn pods_are_chosen_in_four_ways() {
        let pods = |yaml: &str| decoded(yaml, pods_or_name);
        let text = |yaml: &str| pods(yaml).0.map(|pods| pods.to_string());
        for (yaml, read) in [
            ("{labels: {app: web}}", "with app=web"),
            ("{labels: {app: web}, namespace: shop}", "with app=web in shop"),
            ("shop/db-0", "named db-0 in shop"),
            ("{name: db-0, namespace: shop}", "named db-0 in shop"),
            ("{deployment: shop/web}", "of Deployment web in shop"),
            ("{statefulSet: db}", "of StatefulSet db"),
        ] {
            assert_eq!(text(yaml).as_deref(), Some(read), "{:?}", pods(yaml));
        }
        assert!(pods("{labels: {a: b}, name: c}").1.contains("takes only one of"));
        assert!(pods("{namespace: shop}").1.contains("needs one of `labels`"));
    }
}

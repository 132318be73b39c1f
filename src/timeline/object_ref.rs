//! By what name an object is known: bare in the run's own namespace, with its namespace elsewhere.

use serde::{Deserialize, Serialize};

/// `web` of the run's own namespace, or `shop/web`. Files and timelines have it as that text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ObjectRef {
    /// `None`: the run's own, where its workload is.
    pub namespace: Option<String>,
    pub name: String,
}

impl ObjectRef {
    /// `None`: of the run's own namespace.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    /// Its namespace in a cluster where the run's own is `own`.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().unwrap_or(own)
    }

    /// Another object of its namespace: a pod behind a Service.
    pub fn sibling(&self, name: &str) -> Self {
        Self { namespace: self.namespace.clone(), name: name.to_owned() }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl From<&str> for ObjectRef {
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(Some(namespace), name),
            None => Self::new(None, text),
        }
    }
}

impl From<String> for ObjectRef {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<ObjectRef> for String {
    fn from(object: ObjectRef) -> Self {
        object.to_string()
    }
}

/// The name of a watch of a namespace: `pods`, or `pods of shop` elsewhere.
pub fn watch_of(what: &str, namespace: Option<&str>) -> String {
    namespace.map_or(what.to_owned(), |namespace| format!("{what} of {namespace}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_reference_is_read_again() {
        for text in ["web", "shop/web"] {
            let object = ObjectRef::from(text);
            assert_eq!(object.to_string(), text);
            let json = serde_json::to_string(&object).unwrap();
            assert_eq!(json, format!("{text:?}"), "as earlier timelines have it");
            assert_eq!(serde_json::from_str::<ObjectRef>(&json).unwrap(), object);
        }
        assert_eq!(ObjectRef::from("shop/web").namespace_or("outage-1"), "shop");
        assert_eq!(ObjectRef::from("web").namespace_or("outage-1"), "outage-1");
        assert_eq!(ObjectRef::from("shop/web").sibling("db").to_string(), "shop/db");
    }
}

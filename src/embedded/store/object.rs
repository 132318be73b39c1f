//! An object as JSON, and what every object has.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Kind;

/// An object as it was at one revision. Cheap to clone.
pub(crate) type Object = Arc<Value>;

/// A string of the metadata; empty where there is none.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// Its namespace; empty for what lies in none.
pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// The revision at which it was written last; 0 where it was never stored.
pub(crate) fn revision(object: &Value) -> u64 {
    meta(object, "resourceVersion").parse().unwrap_or(0)
}

pub(crate) fn is_deleted(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// The metadata, made where there is none.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_mut(object, "metadata")
}

/// A member that is a map, made where it is none.
pub(crate) fn map_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    let members = as_map(object);
    as_map(members.entry(field).or_insert_with(|| Value::Object(Map::new())))
}

/// Gives a member of one of an object's maps the value that it has in another object, or takes it
/// away where that has none.
pub(crate) fn keep(object: &mut Value, from: &Value, map: &str, field: &str) {
    let members = map_mut(object, map);
    match from[map].get(field) {
        Some(value) => drop(members.insert(field.to_owned(), value.clone())),
        None => drop(members.shift_remove(field)),
    }
}

/// A value as a map; what is none becomes an empty one.
pub(crate) fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made above")
}

/// Sets `apiVersion` and `kind`, in front.
pub(crate) fn set_type(object: &mut Value, kind: &Kind) {
    let members = as_map(object);
    members.shift_insert(0, "kind".to_owned(), kind.kind.into());
    members.shift_insert(0, "apiVersion".to_owned(), kind.api_version().into());
}

/// A moment in Kubernetes' whole seconds: `2026-11-22T06:23:41Z`.
pub(crate) fn timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A moment in Kubernetes' microseconds, as Leases have it: `2026-11-22T06:23:41.207000Z`.
pub(crate) fn micro_timestamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// A uid that nothing else has, in the form of a random UUID. The hasher's keys are the process's
/// randomness.
pub(super) fn new_uid(serial: u64) -> String {
    use std::hash::{BuildHasher, RandomState};
    let (high, low) = (RandomState::new().hash_one(serial), RandomState::new().hash_one(serial));
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0x0fff);
    format!(
        "{a:08x}-{b:04x}-4{c:03x}-{:04x}-{:012x}",
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// Five letters and digits that Kubernetes would make a name's end of: none that read as words or
/// as one another.
pub(crate) fn random_suffix() -> String {
    use std::hash::{BuildHasher, RandomState};
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = RandomState::new().hash_one(0);
    let mut letter = || {
        let letter = LETTERS[(rest % LETTERS.len() as u64) as usize];
        rest /= LETTERS.len() as u64;
        char::from(letter)
    };
    (0..5).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn uids_look_like_uuids_and_differ() {
        let (one, two) = (new_uid(7), new_uid(7));
        assert_ne!(one, two);
        let lengths: Vec<usize> = one.split('-').map(str::len).collect();
        assert_eq!((lengths, &one[14..15]), (vec![8, 4, 4, 4, 12], "4"));
    }

    #[test]
    fn times_are_kubernetes_own() {
        let at = "2026-11-22T06:23:41.2075Z".parse().unwrap();
        assert_eq!(timestamp(at), "2026-11-22T06:23:41Z");
        assert_eq!(micro_timestamp(at), "2026-11-22T06:23:41.207500Z");
    }

    #[test]
    fn the_type_stands_in_front() {
        let mut object = json!({"metadata": {"name": "a"}});
        set_type(&mut object, &super::super::kinds::DEPLOYMENTS);
        assert_eq!(
            object.to_string(),
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#
        );
    }
}

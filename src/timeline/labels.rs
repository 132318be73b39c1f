use std::collections::BTreeMap;

/// Whether an object with these labels has all of the wanted ones.
pub(crate) fn include_labels(
    have: &BTreeMap<String, String>,
    wanted: &BTreeMap<String, String>,
) -> bool {
    wanted.iter().all(|(name, value)| have.get(name) == Some(value))
}

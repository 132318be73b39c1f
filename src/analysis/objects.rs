//! Whether the cluster's objects outlived the run: two inventories, compared by uid, and by what their content is known by.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::ObjectsFinding;
use crate::timeline::{Event, ObjectName, Record, UnreadKind};

/// What became of the objects; `None`: no inventory was taken. Of a kind that could not be listed nothing is missing: nobody knows. What a
/// controller makes is replaced by it whenever it has to, and is not missing: its owner would be.
pub fn objects(records: &[Record]) -> Option<ObjectsFinding> {
    let (was, unread) = inventory(records, true)?;
    let now = inventory(records, false);
    let mut found =
        ObjectsFinding { before: was.len() as u32, missing: None, replaced: 0, changed: Vec::new(), unread: Vec::new() };
    if let Some((now, unread)) = now {
        compare(&mut found, was, now, unread);
    }
    let unread: BTreeSet<_> = unread.iter().chain(now.into_iter().flat_map(|(_, unread)| unread)).collect();
    found.unread = unread.into_iter().map(|unread| format!("{}: {}", unread.kind, unread.why)).collect();
    Some(found)
}

fn compare(found: &mut ObjectsFinding, was: &[ObjectName], now: &[ObjectName], unread: &[UnreadKind]) {
    let by_uid: BTreeMap<&str, &ObjectName> = now.iter().map(|object| (object.uid.as_str(), object)).collect();
    let read = |object: &&ObjectName| !unread.iter().any(|unread| unread.kind == object.kind);
    let mut missing = Vec::new();
    for object in was.iter().filter(read) {
        match by_uid.get(object.uid.as_str()) {
            _ if object.controlled => found.replaced += u32::from(!by_uid.contains_key(object.uid.as_str())),
            None => missing.push(object.to_string()),
            Some(now) if object.content.is_some() && now.content != object.content => found.changed.push(object.to_string()),
            Some(_) => {}
        }
    }
    found.missing = Some(missing);
}

fn inventory(records: &[Record], wanted: bool) -> Option<(&[ObjectName], &[UnreadKind])> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::Objects { before, objects, unread } if *before == wanted => Some((objects.as_slice(), unread.as_slice())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::at;

    fn taken(before: bool, uids: &[&str]) -> Record {
        let object = |uid: &&str| {
            let (kind, namespace, name) = ("Deployment.apps".into(), Some("ns".into()), uid.chars().take(1).collect());
            ObjectName { kind, namespace, name, uid: (*uid).to_owned(), controlled: false, content: None }
        };
        Record::at(at(0), Event::Objects { before, objects: uids.iter().map(object).collect(), unread: Vec::new() })
    }

    #[test]
    fn another_one_of_the_same_name_is_not_the_same() {
        let found = objects(&[taken(true, &["a1", "b1", "c1"]), taken(false, &["a1", "b2", "d1"])]).unwrap();
        assert_eq!(
            (found.before, found.missing.unwrap()),
            (3, vec!["Deployment.apps ns/b".to_owned(), "Deployment.apps ns/c".into()])
        );
        assert_eq!(objects(&[taken(true, &["a1"])]).unwrap().missing, None, "nobody looked again");
        assert_eq!(objects(&[taken(false, &["a1"])]), None);
    }

    #[test]
    fn what_a_controller_replaces_is_not_missing_and_a_change_is_told() {
        let taken = |before, objects: &[(&str, bool, Option<&str>)]| {
            let object = |(uid, controlled, content): &(&str, bool, Option<&str>)| {
                let (kind, content) = ("Deployment.apps".into(), content.map(str::to_owned));
                ObjectName { kind, namespace: None, name: uid[..1].into(), uid: (*uid).into(), controlled: *controlled, content }
            };
            let (objects, unread) = (objects.iter().map(object).collect(), Vec::new());
            Record::at(at(0), Event::Objects { before, objects, unread })
        };
        let was = taken(true, &[("a1", true, Some("1")), ("b1", true, Some("1")), ("c1", false, Some("1")), ("d1", false, None)]);
        let now = taken(false, &[("a2", true, Some("1")), ("b1", true, Some("2")), ("c1", false, Some("2")), ("d1", false, None)]);
        let found = objects(&[was, now]).unwrap();
        assert_eq!((found.before, found.missing, found.replaced), (4, Some(Vec::new()), 1));
        assert_eq!(found.changed, ["Deployment.apps c"]);
    }
}

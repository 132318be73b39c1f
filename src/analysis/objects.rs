//! Whether the cluster's objects outlived the run: two inventories, compared by uid.

use std::collections::BTreeSet;

use super::findings::ObjectsFinding;
use crate::timeline::{Event, ObjectName, Record, UnreadKind};

/// What became of the objects; `None`: no inventory was taken. Of a kind that could not be listed nothing is missing: nobody knows.
pub fn objects(records: &[Record]) -> Option<ObjectsFinding> {
    let (was, unread) = inventory(records, true)?;
    let now = inventory(records, false);
    let missing = now.map(|(now, unread)| {
        let uids: BTreeSet<&str> = now.iter().map(|object| object.uid.as_str()).collect();
        let read = |object: &&ObjectName| !unread.iter().any(|unread| unread.kind == object.kind);
        let gone = was.iter().filter(read).filter(|object| !uids.contains(object.uid.as_str()));
        gone.map(ToString::to_string).collect()
    });
    let unread: BTreeSet<_> = unread.iter().chain(now.into_iter().flat_map(|(_, unread)| unread)).collect();
    let unread = unread.into_iter().map(|unread| format!("{}: {}", unread.kind, unread.why)).collect();
    Some(ObjectsFinding { before: was.len() as u32, missing, unread })
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
            ObjectName { kind, namespace, name, uid: (*uid).to_owned() }
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
}

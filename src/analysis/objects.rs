//! Whether the cluster's objects outlived the run: two inventories, compared by uid, and by what
//! their content is known by.

use std::collections::{BTreeMap, BTreeSet};

use super::findings::ObjectsFinding;
use crate::timeline::{Event, ObjectName, Record, UnreadKind};

/// What a controller recreates whenever it has to, and what holds no data. Anything
/// else that has an owner can be lost.
const REPLACEABLE: [&str; 5] = [
    "Pod",
    "ReplicaSet.apps",
    "ControllerRevision.apps",
    "EndpointSlice.discovery.k8s.io",
    "Endpoints",
];

/// Which objects were kept; `None`: no inventory was taken. Nothing is missing of a kind that could
/// not be listed. What a controller replaces whenever it has to is not missing where there are as
/// many others of the same owner.
pub(super) fn objects(records: &[Record]) -> Option<ObjectsFinding> {
    let [was, now] = [true, false].map(|before| inventory(records, before));
    let (was, unread) = was?;
    let found = ObjectsFinding { before: was.len() as u32, ..ObjectsFinding::default() };
    let mut found = now.map_or(found.clone(), |(now, unread)| compare(found, was, now, unread));
    let unread: BTreeSet<_> =
        unread.iter().chain(now.into_iter().flat_map(|(_, unread)| unread)).collect();
    found.unread =
        unread.into_iter().map(|unread| format!("{}: {}", unread.kind, unread.why)).collect();
    Some(found)
}

fn compare(
    mut found: ObjectsFinding,
    was: &[ObjectName],
    now: &[ObjectName],
    unread: &[UnreadKind],
) -> ObjectsFinding {
    let by_uid: BTreeMap<&str, &ObjectName> =
        now.iter().map(|object| (object.uid.as_str(), object)).collect();
    let (unseen, seen): (Vec<_>, Vec<_>) =
        was.iter().partition(|object| unread.iter().any(|unread| unread.covers(&object.kind)));
    let (kept, gone): (Vec<_>, Vec<_>) =
        seen.into_iter().partition(|object| by_uid.contains_key(object.uid.as_str()));
    let (replaceable, missing): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|object| is_replaceable(object));
    let changed = |object: &&&ObjectName| {
        object.content.is_some() && by_uid[object.uid.as_str()].content != object.content
    };
    let changed = kept.iter().filter(|object| !is_replaceable(object)).filter(changed);
    (found.unseen, found.kept) = (unseen.len() as u32, kept.len() as u32);
    found.changed = changed.map(ToString::to_string).collect();
    found.missing = Some(missing.iter().map(ToString::to_string).collect());
    found.unreplaced = unreplaced(&replaceable, was, now);
    found.replaced = (replaceable.len() - found.unreplaced.len()) as u32;
    found
}

fn is_replaceable(object: &ObjectName) -> bool {
    object.controlled && REPLACEABLE.contains(&object.kind.as_str())
}

/// Those that have gone and in whose place nothing has come: one object is as good as another of
/// its kind and owner.
fn unreplaced(gone: &[&ObjectName], was: &[ObjectName], now: &[ObjectName]) -> Vec<String> {
    let known: BTreeSet<&str> = was.iter().map(|object| object.uid.as_str()).collect();
    let new =
        now.iter().filter(|object| is_replaceable(object) && !known.contains(object.uid.as_str()));
    let (mut new, mut left): (Vec<_>, Vec<String>) = (new.map(place).collect(), Vec::new());
    for object in gone {
        match new.iter().position(|new| *new == place(object)) {
            Some(at) => drop(new.swap_remove(at)),
            None => left.push(object.to_string()),
        }
    }
    left
}

fn place(object: &ObjectName) -> (&str, Option<&str>, Option<&str>) {
    (&object.kind, object.namespace.as_deref(), object.owner.as_deref())
}

/// The one before the first fault, or after the recovery.
fn inventory(records: &[Record], wanted: bool) -> Option<(&[ObjectName], &[UnreadKind])> {
    records.iter().rev().find_map(|record| match &record.event {
        Event::Objects { before, objects, unread } if *before == wanted => {
            Some((objects.as_slice(), unread.as_slice()))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::at;

    fn taken(before: bool, uids: &[&str]) -> Record {
        let object = |uid: &&str| {
            let (kind, namespace, name) =
                ("Deployment.apps".into(), Some("ns".into()), uid.chars().take(1).collect());
            ObjectName {
                kind,
                namespace,
                name,
                uid: (*uid).to_owned(),
                controlled: false,
                owner: None,
                content: None,
            }
        };
        Record::at(
            at(0),
            Event::Objects {
                before,
                objects: uids.iter().map(object).collect(),
                unread: Vec::new(),
            },
        )
    }

    #[test]
    fn another_one_of_the_same_name_is_not_the_same() {
        let found = objects(&[taken(true, &["a1", "b1", "c1"]), taken(false, &["a1", "b2", "d1"])])
            .unwrap();
        assert_eq!(
            (found.before, found.missing.unwrap()),
            (3, vec!["Deployment.apps ns/b".to_owned(), "Deployment.apps ns/c".into()])
        );
        assert_eq!(objects(&[taken(true, &["a1"])]).unwrap().missing, None, "nobody looked again");
        assert_eq!(objects(&[taken(false, &["a1"])]), None);
    }

    /// `pod 1 of a` has the uid 1 and the owner a; `=2` is its content.
    fn named(text: &&str) -> ObjectName {
        let (text, content) = text
            .split_once('=')
            .map_or((*text, None), |(text, content)| (text, Some(content.to_owned())));
        let (text, owner) = text
            .split_once(" of ")
            .map_or((text, None), |(text, owner)| (text, Some(owner.to_owned())));
        let (kind, uid) = text.split_once(' ').unwrap();
        ObjectName {
            kind: kind.into(),
            namespace: None,
            name: uid.into(),
            uid: uid.into(),
            controlled: owner.is_some(),
            owner,
            content,
        }
    }

    fn compared(was: &[&str], now: &[&str], unread: &[&str]) -> ObjectsFinding {
        let taken = |before, objects: &[&str], unread: &[&str]| {
            let unread = unread
                .iter()
                .map(|kind| UnreadKind { kind: (*kind).into(), why: "status 503".into() })
                .collect();
            Record::at(
                at(0),
                Event::Objects { before, objects: objects.iter().map(named).collect(), unread },
            )
        };
        objects(&[taken(true, was, &[]), taken(false, now, unread)]).unwrap()
    }

    #[test]
    fn what_a_controller_has_replaced_is_not_missing_and_a_change_is_reported() {
        let was = ["Pod 1 of a=1", "Pod 2 of a=1", "Deployment.apps 3=1", "Secret 4"];
        let found = compared(
            &was,
            &["Pod 5 of a=1", "Pod 2 of a=2", "Deployment.apps 3=2", "Secret 4"],
            &[],
        );
        assert_eq!(
            (found.before, found.missing, found.kept, found.replaced),
            (4, Some(Vec::new()), 3, 1)
        );
        assert_eq!(
            (found.changed, found.unreplaced),
            (vec!["Deployment.apps 3".to_owned()], Vec::new())
        );
    }

    #[test]
    fn objects_of_a_group_that_does_not_answer_are_not_missing() {
        let was = ["Tier.example.com 1", "Tier.other.example.com 2", "Secret 3"];
        let found = compared(&was, &["Secret 3"], &["*.example.com"]);
        assert_eq!(found.missing, Some(vec!["Tier.other.example.com 2".to_owned()]));
        assert_eq!((found.unseen, found.kept), (1, 1));
    }

    #[test]
    fn what_nobody_has_replaced_is_reported() {
        let left = |was: &[&str], now: &[&str]| {
            let found = compared(was, now, &[]);
            assert_eq!(found.missing, Some(Vec::new()));
            (found.replaced, found.unreplaced)
        };
        assert_eq!(left(&["Pod 1 of a", "Pod 2 of a"], &["Pod 3 of a"]), (1, vec!["Pod 2".into()]));
        assert_eq!(
            left(&["Pod 1 of a"], &["Pod 3 of b"]),
            (0, vec!["Pod 1".into()]),
            "that is another owner's"
        );
        assert_eq!(
            left(&["Pod 1 of a", "Pod 2 of a"], &["Pod 2 of a"]),
            (0, vec!["Pod 1".into()]),
            "it was there before"
        );
        assert_eq!(left(&["ReplicaSet.apps 1 of a"], &[]), (0, vec!["ReplicaSet.apps 1".into()]));
    }

    #[test]
    fn an_operators_objects_can_be_lost() {
        let kinds = ["Secret", "PersistentVolumeClaim", "Deployment.apps", "Pod.metrics.k8s.io"];
        for kind in kinds {
            let found = compared(&[&format!("{kind} 1 of a")], &[&format!("{kind} 2 of a")], &[]);
            assert_eq!((found.missing, found.replaced), (Some(vec![format!("{kind} 1")]), 0));
        }
    }

    #[test]
    fn what_could_not_be_listed_is_neither_kept_nor_missing() {
        let found = compared(
            &["Secret 1", "Pod 2 of a", "ConfigMap 3"],
            &["ConfigMap 3"],
            &["Secret", "Pod"],
        );
        assert_eq!(
            (found.kept, found.unseen, found.missing, found.unreplaced),
            (1, 2, Some(Vec::new()), Vec::new())
        );
    }
}

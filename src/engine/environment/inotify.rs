//! A limit of Linux that several kind clusters on one machine run into: each of their nodes needs
//! some inotify instances, and a node that gets none does not come up, or not come up again.

use std::fs;

/// The kernel's default is 128; kind's known issues ask for 512.
const FEW: u32 = 256;
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";

/// What a person should know before nodes are started beside those of so many other kind clusters.
/// The limit is this machine's: nothing is said where the engine's is another and this one has
/// none.
pub(crate) fn warning(others: usize) -> Option<String> {
    let limit = fs::read_to_string(LIMIT).ok()?.trim().parse().ok()?;
    said(limit, others)
}

fn said(limit: u32, others: usize) -> Option<String> {
    let clusters = if others == 1 {
        "another kind cluster is running".to_owned()
    } else {
        format!("{others} other kind clusters are running")
    };
    (limit < FEW && others > 0).then(|| {
        format!(
            "fs.inotify.max_user_instances is {limit} and {clusters}: nodes may fail to start or \
             restart; raise it with `sudo sysctl fs.inotify.max_user_instances=512`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_instances_and_many_clusters_are_worth_a_word() {
        assert_eq!(said(128, 0), None);
        assert_eq!(said(512, 3), None);
        let told = said(128, 1).unwrap();
        assert!(
            told.contains("is 128 and another kind cluster is running")
                && told.contains("`sudo sysctl"),
            "{told}"
        );
        assert!(said(128, 2).unwrap().contains("2 other kind clusters are running"));
    }
}

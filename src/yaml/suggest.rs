//! `did you mean`: the nearest of the words that would have been right.

/// The candidate that was probably meant, if one is near enough.
pub(crate) fn closest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    nearest(word, candidates, 1).pop()
}

/// Those that may have been meant, `most` at most, the nearest first.
pub(crate) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    most: usize,
) -> Vec<&'c str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = fold(word);
    let allowed = 1 + wanted.chars().count() / 4;
    // `scheduler` is `kube-scheduler`, without what all names of its kind begin with.
    let short =
        |candidate: &str| candidate.split_once('-').is_some_and(|(_, rest)| fold(rest) == wanted);
    let far = |candidate: &str| {
        if short(candidate) { 1 } else { strsim::osa_distance(&wanted, &fold(candidate)) }
    };
    let measured = candidates.into_iter().map(|candidate| (far(candidate), candidate));
    let mut near: Vec<_> = measured
        .filter(|(far, candidate)| *far <= allowed && *far < candidate.chars().count())
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(most).map(|(_, candidate)| candidate).collect()
}

/// Those of which a word is the beginning, then those that are near; `most` at most.
pub(crate) fn completed<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str> + Clone,
    most: usize,
) -> Vec<&'c str> {
    const SHORTEST: usize = 3;
    let is_begun = |candidate: &&str| word.len() >= SHORTEST && candidate.starts_with(word);
    let mut found: Vec<&str> = candidates.clone().into_iter().filter(is_begun).collect();
    let near = nearest(word, candidates, most);
    found.extend(near.into_iter().filter(|near| !is_begun(near)));
    found.truncate(most);
    found
}

/// Words for people: "`a`, `b` and `c`".
pub(crate) fn listed<S: AsRef<str>>(words: &[S], last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        _ => quoted.concat(),
    }
}

/// The hint after an unknown word: what was probably meant, else all that there is.
pub(crate) fn hint<S: AsRef<str>>(word: &str, known: &[S], noun: &str) -> Option<String> {
    const SHORTEST: usize = 3;
    let mut begun = known.iter().map(AsRef::as_ref).filter(|one| one.starts_with(word));
    let begun = match (begun.next(), begun.next()) {
        (Some(one), None) if word.len() >= SHORTEST => Some(one),
        _ => None,
    };
    match begun.or_else(|| closest(word, known.iter().map(AsRef::as_ref))) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("{noun} {}", listed(known, "and"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word() {
        let words = ["nodeStop", "nodeKill", "nodePause"];
        assert_eq!(closest("nodeStpo", words), Some("nodeStop"));
        assert_eq!(closest("node-kill", words), Some("nodeKill"));
        assert_eq!(closest("NODEPAUSE", words), Some("nodePause"));
    }

    #[test]
    fn a_short_form_finds_its_word() {
        let parts = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];
        let found = ["apiserver", "api-server", "controller-manager", "scheduler"]
            .map(|word| closest(word, parts));
        assert_eq!(found, [Some(parts[0]), Some(parts[0]), Some(parts[1]), Some(parts[2])]);
        assert_eq!(closest("manager", parts), None);
    }

    #[test]
    fn another_word_finds_none() {
        assert_eq!(closest("color", ["nodeStop", "for", "rate"]), None);
        assert_eq!(closest("x", ["y"]), None);
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(listed(&["a"], "or"), "`a`");
        assert_eq!(listed(&["a", "b", "c"], "or"), "`a`, `b` or `c`");
    }

    #[test]
    fn without_a_near_word_the_hint_lists_all() {
        assert_eq!(
            hint("color", &["for", "rate"], "the fields are").as_deref(),
            Some("the fields are `for` and `rate`")
        );
        assert_eq!(hint("color", &[] as &[&str], "the fields are"), None);
    }
}

//! Numbers with their nouns.

use std::fmt::Display;

/// `1 pod`, `2 pods`.
pub(crate) fn counted<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let s = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// So many names are listed where there are many.
const FEW: usize = 3;

/// `a, b, c`; of many the first three: `a, b, c and 87 more`.
pub(crate) fn few(names: impl IntoIterator<Item = impl Display>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    // One more takes no more room than its number.
    first_of(&names, if names.len() > FEW + 1 { FEW } else { names.len() })
}

/// At most so many names, and how many more there are: `a, b and 87 more`.
pub(crate) fn first_of(names: &[String], most: usize) -> String {
    let listed = names[..names.len().min(most)].join(", ");
    match names.len().saturating_sub(most) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_names_three_and_a_count_are_listed() {
        assert_eq!(few(0..4), "0, 1, 2, 3");
        assert_eq!(few(0..90), "0, 1, 2 and 87 more");
    }
}

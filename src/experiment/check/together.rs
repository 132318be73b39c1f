//! Expectations that no run can meet together.

use super::Check;
use crate::experiment::decode::known;
use crate::experiment::schema::Expectation;

pub(super) fn check(check: &Check) {
    let all: Vec<(usize, &Expectation)> = known(&check.draft.expect).collect();
    for (number, (index, one)) in all.iter().enumerate() {
        let Some((first, other)) =
            all[..number].iter().find(|(_, other)| excludes(one, other) || excludes(other, one))
        else {
            continue;
        };
        let message = format!("`{}` and `{}` cannot both be met", other.kind(), one.kind());
        let at = check.at(&format!("spec.expect[{first}].{}", other.kind()));
        check.report(
            check.error(&format!("spec.expect[{index}].{}", one.kind()), message).related(
                check.cx.file(),
                at,
                "the other one",
            ),
        );
    }
}

fn excludes(one: &Expectation, other: &Expectation) -> bool {
    match (one, other) {
        (Expectation::Detection { of: None, after: None, .. }, Expectation::NotDetected) => true,
        (Expectation::NoErrors { probe }, Expectation::NoSuccess { probe: other, .. }) => {
            probe == other
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::changed;

    #[test]
    fn what_excludes_another_is_reported() {
        let with = |more: &str| changed("  expect:\n", &format!("  expect:\n{more}"));
        assert!(
            with("  - notDetected: {}\n")
                .contains("error: `notDetected` and `detection` cannot both be met")
        );
        let both = "  - noErrors: {probe: web}\n  - noSuccess: {probe: web}\n";
        assert!(
            with(both).contains("error: `noErrors` and `noSuccess` cannot both be met"),
            "{}",
            with(both)
        );
        assert_eq!(with("  - noErrors: {probe: web}\n"), "");
    }
}

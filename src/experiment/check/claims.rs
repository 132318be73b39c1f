//! Claims: each once, and something that decides them.

use super::Check;
use crate::experiment::claim::means;
use crate::experiment::decode::known;
use crate::yaml::suggest;

pub(super) fn check(check: &Check) {
    twice(check);
    undecided(check);
    deciders(check);
}

fn twice(check: &Check) {
    let claims = known(&check.draft.claims);
    let ids = claims.map(|(index, claim)| (format!("spec.claims[{index}].id"), claim.id.as_str()));
    check.refuse_duplicates("claim", None, ids);
}

/// The verdict of a run that asserts nothing is a pass, which would decide any claim.
fn undecided(check: &Check) {
    if !check.draft.claims.is_empty() && check.draft.expect.is_empty() {
        let problem =
            check.error("spec.claims", "no expectations: the verdict cannot decide a claim");
        check.report(problem.hint("add what must be measured to `expect`"));
    }
}

/// An expectation that could not be read may have been meant.
fn deciders(check: &Check) {
    if check.draft.expect.is_empty() || check.draft.expect.iter().any(Option::is_none) {
        return;
    }
    let names: Vec<String> =
        known(&check.draft.expect).map(|(_, expectation)| expectation.name()).collect();
    for (index, claim) in known(&check.draft.claims) {
        for (number, name) in claim.by.iter().enumerate() {
            if names.iter().any(|known| means(name, known)) {
                continue;
            }
            let problem = check.error(
                &format!("spec.claims[{index}].by[{number}]"),
                format!("no expectation `{name}`"),
            );
            check.report(problem.hint_if(suggest::hint(name, &names, "the expectations are")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, changed, of};

    #[test]
    fn a_claim_is_decided_by_what_is_expected() {
        let by = |name: &str| {
            changed(
                "  cluster:\n",
                &format!("  claims: [{{id: A, says: one thing, by: [{name}]}}]\n  cluster:\n"),
            )
        };
        for name in ["recovery", "errorWindow", "errorWindow/web", "detection"] {
            assert_eq!(by(name), "", "{name}");
        }
        assert_eq!(
            by("recvery"),
            "6:42: error: no expectation `recvery` (did you mean `recovery`?)"
        );
        assert_eq!(
            by("errorWindow/wbe"),
            "6:42: error: no expectation `errorWindow/wbe` (did you mean `errorWindow/web`?)"
        );
        assert!(
            by("noErrors/web")
                .contains("(the expectations are `detection`, `errorWindow/web` and `recovery`)")
        );
    }

    #[test]
    fn a_claim_is_there_once() {
        let claims = "  claims:\n  - {id: A, says: one thing}\n  - {id: A, says: another thing}\n  cluster:\n";
        assert!(changed("  cluster:\n", claims).contains("duplicate claim `A`"));
        assert_eq!(
            changed("  cluster:\n", &claims.replace("id: A, says: an", "id: B, says: an")),
            ""
        );
    }

    #[test]
    fn a_claim_needs_something_that_decides_it() {
        let (before, _) = GOOD.split_once("  expect:\n").unwrap();
        let claims = "  claims: [{id: A, says: one thing}]\n  cluster:\n";
        assert!(
            of(&before.replace("  cluster:\n", claims))
                .contains("the verdict cannot decide a claim")
        );
        assert!(!of(before).contains("claim"));
    }
}

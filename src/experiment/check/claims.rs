//! Claims: each once, and something that decides them.

use super::Check;
use crate::experiment::decode::known;

pub fn check(check: &Check) {
    twice(check);
    undecided(check);
}

fn twice(check: &Check) {
    let claims: Vec<_> = known(&check.draft.claims).collect();
    for (number, (index, claim)) in claims.iter().enumerate() {
        if let Some((first, _)) = claims[..number].iter().find(|(_, other)| other.id == claim.id) {
            let problem = check.error(&format!("spec.claims[{index}].id"), format!("there are two claims `{}`", claim.id));
            let first = check.at(&format!("spec.claims[{first}].id"));
            check.tell(problem.related(check.cx.file(), first, "first here"));
        }
    }
}

/// The verdict of a run that asserts nothing is a pass, which would decide any claim.
fn undecided(check: &Check) {
    if !check.draft.claims.is_empty() && check.draft.expect.is_empty() {
        let problem = check.error("spec.claims", "nothing is expected, so that the verdict can't decide a claim");
        check.tell(problem.hint("`expect` says what must be measured"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, changed, of};

    #[test]
    fn a_claim_is_there_once() {
        let claims = "  claims:\n  - {id: A, says: one thing}\n  - {id: A, says: another thing}\n  cluster:\n";
        assert!(changed("  cluster:\n", claims).contains("there are two claims `A`"));
        assert_eq!(changed("  cluster:\n", &claims.replace("id: A, says: an", "id: B, says: an")), "");
    }

    #[test]
    fn a_claim_needs_something_that_decides_it() {
        let (before, _) = GOOD.split_once("  expect:\n").unwrap();
        let claims = "  claims: [{id: A, says: one thing}]\n  cluster:\n";
        assert!(of(&before.replace("  cluster:\n", claims)).contains("the verdict can't decide a claim"));
        assert!(!of(before).contains("claim"));
    }
}

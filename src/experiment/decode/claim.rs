//! Claims that the experiment's verdict decides, or some of its expectations.

use super::fields::{Cx, Fields};
use super::scalar::{choice, sentence, text};
use crate::experiment::claim::{Claim, FailMeans, PassMeans};
use crate::experiment::tree::{Node, quoted};

pub(crate) fn claim(cx: &Cx, node: &Node) -> Option<Claim> {
    let mut fields = Fields::of(cx, node, "a claim")?;
    fields.about("A published claim that the experiment tests.");
    let id = fields.doc("A short ID for tables, such as `B3`.").required("id", id);
    let says = fields.doc("What is claimed.").required("says", sentence);
    let source = fields.doc("Who claims it.").optional("source", sentence);
    let pass_means = fields.doc("What a pass means for the claim.").or(
        "passMeans",
        PassMeans::default(),
        pass_means,
    );
    let pass = pass_means.unwrap_or_default();
    let fail_means = fields
        .doc(
            "What a failure means for the claim. Default: `refuted` if a pass confirms it, `open` \
             if a pass refutes it.",
        )
        .optional("failMeans", |cx, node| fail_means(cx, node, pass));
    let by = fields
        .doc(
            "The expectations that decide it, such as `noErrors/web`, or `noErrors` for all of \
             that kind. Default: the whole verdict.",
        )
        .or("by", Vec::new(), by);
    fields.finish();
    Some(Claim {
        id: id?,
        says: says?,
        source: source?,
        pass_means: pass_means?,
        fail_means: fail_means?,
        by: by?,
    })
}

/// Short and without blanks: it stands in the narrow column of a table.
fn id(cx: &Cx, node: &Node) -> Option<String> {
    let text = sentence(cx, node)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= 16 && text.chars().all(allowed) {
        return Some(text);
    }
    let message = format!("{} is not a valid claim ID", quoted(&text));
    cx.error_hint(
        node.focus(),
        message,
        "an ID has only letters, digits, `-`, `_` and `.`, at most 16 characters: `B3`",
    )
}

fn pass_means(cx: &Cx, node: &Node) -> Option<PassMeans> {
    choice(
        cx,
        node,
        "meaning",
        &[("confirmed", PassMeans::Confirmed), ("refuted", PassMeans::Refuted)],
    )
}

/// A claim that is the same whatever is measured is not put to the test.
fn fail_means(cx: &Cx, node: &Node, pass: PassMeans) -> Option<FailMeans> {
    let known = [
        ("confirmed", FailMeans::Confirmed),
        ("refuted", FailMeans::Refuted),
        ("open", FailMeans::Open),
    ];
    let fail = choice(cx, node, "meaning", &known)?;
    match (pass, fail) {
        (PassMeans::Confirmed, FailMeans::Confirmed) | (PassMeans::Refuted, FailMeans::Refuted) => {
            cx.error_hint(
                node.focus(),
                "a fail cannot mean the same as a pass",
                "use `open` if a fail alone decides nothing",
            )
        }
        _ => Some(fail),
    }
}

/// What it names is looked up when all expectations are known.
fn by(cx: &Cx, node: &Node) -> Option<Vec<String>> {
    let names: Vec<String> = cx.items(node, text)?.into_iter().collect::<Option<_>>()?;
    if names.is_empty() {
        return cx.error_hint(
            node.focus(),
            "nothing decides this claim",
            "leave out `by` to let the whole verdict decide",
        );
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn a_claim_is_confirmed_by_a_pass_unless_it_says_otherwise() {
        let found = decoded("{id: B3, says: New pods stay Pending}", claim).0.unwrap();
        assert_eq!(
            (found.id.as_str(), found.source, found.pass_means),
            ("B3", None, PassMeans::Confirmed)
        );
        let found = decoded(
            "{id: B5, says: The state is gone, source: an article, passMeans: refuted}",
            claim,
        )
        .0
        .unwrap();
        assert_eq!(
            (found.source.as_deref(), found.pass_means),
            (Some("an article"), PassMeans::Refuted)
        );
    }

    #[test]
    fn a_fail_refutes_what_a_pass_confirms_and_confirms_only_where_that_is_reported() {
        let means = |yaml: &str| {
            decoded(&format!("{{id: B5, says: x y{yaml}}}"), claim).0.unwrap().fail_means()
        };
        assert_eq!([means(""), means(", failMeans: open")], [FailMeans::Refuted, FailMeans::Open]);
        let refuted = [", passMeans: refuted", ", passMeans: refuted, failMeans: confirmed"];
        assert_eq!(refuted.map(means), [FailMeans::Open, FailMeans::Confirmed]);
        for same in ["failMeans: confirmed", "passMeans: refuted, failMeans: refuted"] {
            let problems = decoded(&format!("{{id: B5, says: x y, {same}}}"), claim).1;
            assert!(problems.contains("a fail cannot mean the same as a pass"), "{problems}");
        }
    }

    #[test]
    fn a_claim_may_name_what_decides_it() {
        let by = |yaml: &str| decoded(&format!("{{id: B3, says: x y{yaml}}}"), claim);
        assert_eq!(by("").0.unwrap().by, [] as [String; 0]);
        assert_eq!(
            by(", by: [noErrors/web, recovery]").0.unwrap().by,
            ["noErrors/web", "recovery"]
        );
        assert!(by(", by: []").1.contains(
            "nothing decides this claim (leave out `by` to let the whole verdict decide)"
        ));
        assert!(by(", by: recovery").1.contains("a list of one is `[recovery]`"));
    }

    #[test]
    fn mistakes_are_reported() {
        let wrong = |yaml: &str| decoded(yaml, claim).1;
        assert!(wrong("{id: B3}").contains("a claim needs `says`"));
        assert!(wrong("{id: claim number three, says: x y}").contains("is not a valid claim ID"));
        assert!(
            wrong("{id: B3, says: x y, passMeans: confrimed}")
                .contains("did you mean `confirmed`?")
        );
        assert!(
            wrong("{id: B3, says: x y, passMean: refuted}").contains("did you mean `passMeans`?")
        );
    }
}

//! Checks across fields and files: what each field alone can't know. One file for each concern.

mod certificates;
mod claims;
mod faults;
mod fitting;
mod kind_config;
mod method;
mod objects;
mod radius;
mod references;
mod simultaneous;
mod steady_state;
mod timing;
mod together;

use std::collections::HashMap;

use super::decode::{Draft, fields::Cx, known};
use super::diagnostic::{Diagnostic, Span};
use super::files::Files;
use super::method::{Numbered, numbered};
use super::resolve::Names;
use super::schema::Fault;
use super::tree::Node;

/// Reports all that is wrong or odd. What could not be read is left out, so that one mistake is not
/// reported twice.
pub(super) fn check(cx: &Cx, root: &Node, draft: &Draft, files: &Files, names: &Names) {
    let check = Check { cx, root, draft, names };
    objects::check(cx, &files.workload);
    certificates::check(&check);
    references::check(&check, files);
    method::check(&check);
    claims::check(&check);
    faults::check(&check);
    timing::check(&check);
    steady_state::check(&check, files);
    together::check(&check);
    fitting::check(&check);
    simultaneous::check(&check);
    if let Some(config) = &files.kind_config {
        kind_config::check(&check, config);
    }
}

/// What is more than may be affected, as far as the file alone shows.
pub(super) fn radius(cx: &Cx, root: &Node, draft: &Draft, names: &Names) {
    radius::check(&Check { cx, root, draft, names });
}

struct Check<'a, 'f> {
    cx: &'a Cx<'f>,
    root: &'a Node,
    draft: &'a Draft,
    names: &'a Names<'a>,
}

impl Check<'_, '_> {
    fn at(&self, path: &str) -> Span {
        self.root.find(path).0.focus()
    }

    fn error(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(message).at(self.cx.file(), self.at(path))
    }

    fn warning(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(message).at(self.cx.file(), self.at(path))
    }

    fn report(&self, diagnostic: Diagnostic) {
        self.cx.report(diagnostic);
    }

    /// Refuses names, each with its place, that an earlier place has.
    fn refuse_duplicates<'n>(
        &self,
        what: &str,
        hint: Option<&str>,
        named: impl Iterator<Item = (String, &'n str)>,
    ) {
        let mut first = HashMap::new();
        for (place, name) in named {
            if let Some(earlier) = first.insert(name, place.clone()) {
                let problem = self.error(&place, format!("duplicate {what} `{name}`"));
                let problem = problem.related(self.cx.file(), self.at(&earlier), "first here");
                self.report(problem.hint_if(hint.map(str::to_owned)));
            }
        }
    }
}

impl<'a> Check<'a, '_> {
    /// All steps that could be read, those beside others too.
    fn steps(&self) -> Vec<Numbered<'a>> {
        numbered(known(&self.draft.method))
    }

    /// The faults among them.
    fn faults(&self) -> Vec<PlacedFault<'a>> {
        let placed = |step: Numbered<'a>| {
            let (fault, _) = step.fault()?;
            let place = format!("{}.fault.{}", step.place, fault.kind());
            Some(PlacedFault { step, fault, place, resolved: self.names.resolved(fault) })
        };
        self.steps().into_iter().filter_map(placed).collect()
    }
}

struct PlacedFault<'a> {
    step: Numbered<'a>,
    /// As it is written.
    fault: &'a Fault,
    /// Of its own fields.
    place: String,
    /// With the namespaces of what it names.
    resolved: Fault,
}

#[cfg(test)]
pub(super) mod tests {
    use crate::experiment::parsed::parse;
    use crate::experiment::source::Source;

    /// An experiment that is right, as a text to be changed.
    pub(crate) const GOOD: &str = include_str!("../testdata/good.yaml");
    pub(crate) const WORKLOAD: &str = include_str!("../testdata/web.yaml");
    pub(crate) const CONFIG: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes:\n- role: control-plane\n- role: worker\n";

    /// Parses `GOOD` after `from` became `to` in it, beside files that are right: all problems, one
    /// a line, without the file's name.
    pub(crate) fn changed(from: &str, to: &str) -> String {
        assert_eq!(GOOD.matches(from).count(), 1, "{from:?} is there once");
        problems(&GOOD.replace(from, to), WORKLOAD, CONFIG)
    }

    pub(crate) fn with_workload(from: &str, to: &str) -> String {
        assert_eq!(WORKLOAD.matches(from).count(), 1, "{from:?} is there once");
        problems(GOOD, &WORKLOAD.replace(from, to), CONFIG)
    }

    pub(crate) fn of(experiment: &str) -> String {
        problems(experiment, WORKLOAD, CONFIG)
    }

    /// The problems of another experiment whose workload has further objects.
    pub(crate) fn beside(experiment: &str, more: &str) -> String {
        problems(experiment, &format!("{WORKLOAD}{more}"), CONFIG)
    }

    /// The same with another kind config.
    pub(crate) fn with_config(config: &str) -> String {
        problems(GOOD, WORKLOAD, config)
    }

    pub(crate) fn both(experiment: &str, config: &str) -> String {
        problems(experiment, WORKLOAD, config)
    }

    pub(crate) fn problems(experiment: &str, workload: &str, config: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("web.yaml"), workload).unwrap();
        std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
        let diagnostics = match parse(Source::from_text("x.yaml", experiment, folder.path())) {
            Ok(parsed) => parsed.warnings.to_string(),
            Err(problems) => problems.to_string(),
        };
        diagnostics.replace(&format!("{}/", folder.path().display()), "").replace("x.yaml:", "")
    }

    #[test]
    fn what_is_right_has_no_problem() {
        assert_eq!(problems(GOOD, WORKLOAD, CONFIG), "");
    }

    #[test]
    fn mistakes_of_all_layers_are_reported_together() {
        let bad = GOOD
            .replace("rate: 50/s", "rat: 50/s")
            .replace("timeout: 200ms", "timeout: 200")
            .replace("atMost: 8s", "atMost: 8");
        let bad = bad
            .replace("mostEndpointsOf: web", "mostEndpointsOf: wbe")
            .replace("name: web, successRatio", "name: wbe, successRatio");
        let diagnostics = problems(&bad, WORKLOAD, CONFIG);
        for part in [
            "unknown field `rat`",
            "`200`, which has no unit",
            "`8`, which has no unit",
            "Service `wbe`",
            "no probe is named `wbe`",
        ] {
            assert!(diagnostics.contains(part), "{part} in {diagnostics}");
        }
        assert_eq!(diagnostics.lines().count(), 5, "{diagnostics}");
    }
}

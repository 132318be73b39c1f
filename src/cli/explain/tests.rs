use super::*;
use crate::cli::exit;

fn of(path: &str) -> String {
    let kinds = Kind::all();
    let (kind, field) = found(&kinds, path).unwrap();
    explained(kind, &field, false, 100)
}

fn refused(path: &str) -> String {
    let failure = found(&Kind::all(), path).err().expect("no such field");
    assert_eq!(failure.code, exit::USAGE);
    failure.text()
}

#[test]
fn a_fault_is_explained_as_kubectl_explains_a_field() {
    let text = "\
KIND:       Experiment
VERSION:    outage/v1alpha1

FIELD: spec.method.fault.nodeStop <Object>

DESCRIPTION:
    A node shuts down gracefully (`docker stop`).

FIELDS:
  target  <Object> -required-
    Which nodes are hit. They must match all fields that are set.

  grace  <duration>
    How long the node may take to shut down before it is killed. Default: 10s.

EXAMPLE (from the built-in experiment worker-stop-article-default):
    nodeStop:
      target:
        role: worker
        mostEndpointsOf: web
";
    assert_eq!(of("spec.method.fault.nodeStop"), text);
}

#[test]
fn lists_unions_words_and_limits_are_explained() {
    let has = |path: &str, texts: &[&str]| {
        let text = of(path);
        texts.iter().for_each(|one| assert!(text.contains(one), "no {one:?} in\n{text}"));
    };
    let probes =
        ["FIELD: spec.probes <[]Object> -required-\n", "\n\nEXACTLY ONE OF:\n  http  <Object>"];
    has("experiment.spec.probes", &probes);
    has(
        "spec.probes",
        &["  connection  <string>\n    enum: new, reused\n    Whether each attempt"],
    );
    has("spec.probes.http", &["enum: 1.1, 2\n", "  service  <objectName>\n"]);
    has("spec.steadyState", &["  nodesReady  <\"all\" or integer>\n"]);
    has(
        "partition.from",
        &["ENUM:\n    apiServer\n    peers\n    all\n\nDESC", "\n    Default: all.\n"],
    );
    has("spec.method.for", &["<duration or []duration>", "Required with `fault`."]);
    has("study.spec.matrix", &["<map[string][]any>"]);
    has(
        "study.spec.repeat",
        &["    How often each cell is run.\n    From 1 to 1000.\n    Default: 10.\n"],
    );
}

#[test]
fn all_fields_are_listed_and_a_step_within_a_step_ends() {
    let kinds = Kind::all();
    let (kind, field) = found(&kinds, "spec.method").unwrap();
    let text = explained(kind, &field, true, 100);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&"  fault  <Object> -one of these-"), "{text}");
    assert!(lines.contains(&"      grace  <duration>"), "{text}");
    assert_eq!(lines.iter().filter(|line| line.contains("meanwhile  <[]Object>")).count(), 1);
}

#[test]
fn a_path_may_be_an_end_or_have_an_index_or_a_slip() {
    assert_eq!(of("nodeStop"), of("spec.method.fault.nodeStop"));
    assert_eq!(of("spec.method[0].for"), of("experiment.spec.method.for"));
    assert_eq!(of("spec.matrix"), of("study.spec.matrix"));
    assert!(refused("nodeStpo").ends_with("did you mean `spec.method.fault.nodeStop`?"));
    assert!(refused("spec.methods.fault").ends_with("did you mean `spec.method.fault`?"));
    assert!(
        refused("spec.method.nodeStop").ends_with("did you mean `spec.method.fault.nodeStop`?")
    );
    assert!(refused("spec.probs.name").ends_with("did you mean `spec.probes.name`?"));
    assert!(refused("study.spec.repeats").ends_with("did you mean `study.spec.repeat`?"));
    assert!(refused("target").contains("several fields end in target"));
    assert!(refused("zzzzzzzzzzzz").contains("explain experiment --recursive"));
    assert!(refused("study.zzzzzzzzzzzz").contains("explain study --recursive"));
}

/// What nobody explains is of no use to whoever asks.
#[test]
fn every_field_is_described() {
    for kind in Kind::all() {
        let root = &kind.schema;
        let all = field::all(root);
        assert!(all.len() > 10);
        for field in all {
            let about = about(root, field.schema);
            assert!(!about.is_empty(), "{} has no description", field.path);
            for text in about {
                assert!(!text.contains("  ") && text.ends_with('.'), "{}: {text}", field.path);
            }
        }
    }
}

#[test]
fn a_report_is_explained_by_its_schema() {
    let text = of("report.verdict.outcome");
    let begin = "KIND:       Report\nVERSION:    outage.report/v1\n\nFIELD: verdict.outcome <Outcome> -required-\n";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("ENUM:\n    measured\n    pass\n    inconclusive\n    fail\n"), "{text}");
    assert!(of("report.findings.probes.windows").contains("  firstFailure  <Seconds> -required-"));
    assert!(
        of("compare.comparisons").starts_with("KIND:       Compare\nVERSION:    outage.compare/")
    );
    // A path without a kind is that of a file.
    assert!(refused("findings").contains("there is no field findings"));
}

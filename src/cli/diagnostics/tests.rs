use proptest::prelude::*;

use super::*;
use crate::cli::load;
use crate::cli::output::INK;
use crate::experiment::{Diagnostics, Source};
use crate::yaml::Span;

const GOOD: &str = include_str!("../../experiment/testdata/good.yaml");
const WEB: &str = include_str!("../../experiment/testdata/web.yaml");
const KIND: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: test\nnodes: [{role: control-plane}, {role: worker}]\n";

/// All problems of an experiment beside a workload and a kind config.
fn problems(experiment: &str, workload: &str, config: &str) -> (Diagnostics, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("web.yaml"), workload).unwrap();
    std::fs::write(folder.path().join("kind.yaml"), config).unwrap();
    let source = Source::from_text("x.yaml", experiment, folder.path());
    let problems = match load::accepted(source) {
        Ok(all) => all[0].warnings.clone(),
        Err(problems) => problems,
    };
    (problems, format!("{}/", folder.path().display()))
}

/// What is drawn after `from` became `to` in an experiment that is right.
fn drawn(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from:?} is there once");
    drawn_whole(&GOOD.replace(from, to), WEB, KIND)
}

fn drawn_whole(experiment: &str, workload: &str, config: &str) -> String {
    let (problems, folder) = problems(experiment, workload, config);
    render(&problems, None, 100).replace(&folder, "")
}

macro_rules! mistakes {
    ($($name:ident: $from:expr => $to:expr;)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(drawn($from, $to));
        })*
    };
}

mistakes! {
    unknown_field: "rate: 50/s" => "rat: 50/s";
    unknown_fault: "nodeStop:" => "nodeStpo:";
    unknown_role: "role: worker" => "role: wroker";
    unknown_probe: "errorWindow: {probe: web" => "errorWindow: {probe: wbe";
    unknown_service: "mostEndpointsOf: web" => "mostEndpointsOf: backend";
    missing_field: "    for: 15s\n" => "";
    two_members: "http: {service: web, path: /}" => "http: {service: web, path: /}\n    tcp: {service: web}";
    wrong_type: "workload: [web.yaml]" => "workload: web.yaml";
    duration_without_unit: "timeout: 200ms" => "timeout: 200";
    duration_misread: "for: 15s" => "for: soon";
    rate_without_unit: "rate: 50/s" => "rate: 50";
    rate_of_nothing: "rate: 50/s" => "rate: 0/s";
    rate_of_a_thousand_million: "rate: 50/s" => "rate: 1000000000";
    name_that_is_none: "metadata: {name: good}" => "metadata: {name: Not_Good}";
    url_that_is_none: "http: {service: web, path: /}" => "http: {url: \"ftp://example.com\"}";
    path_that_is_none: "path: /" => "path: index.html";
    duplicate_key: "    rate: 50/s\n" => "    rate: 50/s\n    rate: 60/s\n";
    duplicate_probe: "  steadyState:" => "  - {name: web, tcp: {service: web}}\n  steadyState:";
    tab: "    rate: 50/s" => "\trate: 50/s";
    bracket_never_closed: "role: control-plane}}" => "role: control-plane}";
    quote_never_closed: "question: Is" => "question: \"Is";
    indentation: "    rate: 50/s" => "   rate: 50/s";
    unknown_alias: "timeout: 200ms" => "timeout: *short";
    two_documents: "  expect:" => "---\n  expect:";
    other_kind: "kind: Experiment" => "kind: Deployment";
    other_version: "outage/v1alpha1" => "outage/v2";
    missing_workload: "[web.yaml]" => "[webb.yaml]";
    control_plane_not_allowed: "role: worker, mostEndpointsOf: web" => "role: control-plane";
    empty_selector: "target: {role: worker, mostEndpointsOf: web}" => "target: {}";
    predicted_misspelt: "within: 7s" => "within: predict";
    warning_about_timing: "atMost: 8s" => "atMost: 20s";
    missing_kind_config: "config: kind.yaml" => "config: fast.yaml";
    port_that_the_service_lacks: "service: web, path: /" => "service: web, port: 8080";
    percent_without_its_sign: "successRatio: 1.0" => "successRatio: 99";
    header_that_is_ours: "path: /}" => "headers: {Host: example.com}}";
    tag: "question: Is this right?" => "question: !vault Is this right?";
    too_many_under_way: "timeout: 200ms" => "timeout: 10m";
    context_named: "kind: {config: kind.yaml}" => "context: {name: production}";
}

#[test]
fn probe_on_the_target() {
    let text = GOOD
        .replace("{role: control-plane}", "{name: test-worker}")
        .replace("role: worker, mostEndpointsOf: web", "name: test-worker");
    insta::assert_snapshot!(drawn_whole(&text, WEB, KIND));
}

#[test]
fn no_steady_state() {
    let state =
        "  steadyState:\n  - nodesReady: all\n  - probe: {name: web, successRatio: 1.0, for: 5s}\n";
    insta::assert_snapshot!(drawn(state, ""));
}

#[test]
fn empty_file() {
    insta::assert_snapshot!(drawn_whole("# nothing yet\n", WEB, KIND));
}

#[test]
fn object_with_a_namespace() {
    let workload = WEB.replace(
        "kind: Service\nmetadata: {name: web}",
        "kind: Service\nmetadata: {name: web, namespace: prod}",
    );
    insta::assert_snapshot!(drawn_whole(GOOD, &workload, KIND));
}

#[test]
fn workload_that_is_no_yaml() {
    insta::assert_snapshot!(drawn_whole(
        GOOD,
        &WEB.replace("spec: {selector: {app: web}", "spec: {selector: {app: web"),
        KIND
    ));
}

#[test]
fn object_twice() {
    let again =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    insta::assert_snapshot!(drawn_whole(GOOD, &format!("{WEB}{again}"), KIND));
}

#[test]
fn cluster_scoped_object() {
    insta::assert_snapshot!(drawn_whole(
        GOOD,
        &WEB.replace("kind: Deployment", "kind: ClusterRole"),
        KIND
    ));
}

#[test]
fn kind_config_without_a_name() {
    insta::assert_snapshot!(drawn_whole(GOOD, WEB, &KIND.replace("name: test\n", "")));
}

#[test]
fn several_at_once() {
    let text = GOOD
        .replace("rate: 50/s", "rat: 50/s")
        .replace("for: 15s", "for: 15")
        .replace("atMost: 8s", "atMost: 8");
    insta::assert_snapshot!(drawn_whole(&text, WEB, KIND));
}

#[test]
fn without_a_place() {
    let problems = crate::experiment::load("worker-stop-fats").unwrap_err();
    insta::assert_snapshot!(render(&problems, None, 100));
}

#[test]
fn colour_is_only_there_when_it_is_asked_for() {
    let (problems, _) = problems(&GOOD.replace("rate: 50/s", "rat: 50/s"), WEB, KIND);
    assert!(!render(&problems, None, 80).contains('\u{1b}'));
    let coloured = render(&problems, Some(*INK), 80);
    assert!(coloured.contains('\u{1b}') && !coloured.contains("\u{1b}]8"), "colours, but no links");
}

#[test]
fn a_file_cannot_write_to_the_terminal() {
    let text = GOOD.replace("role: worker", "role: \"\\e[31mred\"").replace("rate:", "\"r\\ea\":");
    let (problems, _) = problems(&text, WEB, KIND);
    assert_eq!(problems.len(), 2);
    assert!(!render(&problems, None, 80).contains('\u{1b}'));
    let coloured = render(&problems, Some(*INK), 80);
    assert!(!visible(&coloured).contains("\u{1b}[31mred"));
}

#[test]
fn a_private_key_is_never_drawn() {
    let key = include_str!("../../experiment/testdata/client.key").trim();
    let block = key.replace('\n', "\n        ");
    let quoted = format!("\"{}\"", key.replace('\n', "\\n"));
    let folded = format!("\"{}\"", key.replace('\n', " "));
    let bare = key.lines().nth(1).unwrap();
    let body: Vec<&str> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let pieces = body.concat().into_bytes();
    let in_flow =
        |settings: &str| drawn("service: web, path: /}", &format!("service: web, {settings}}}"));
    let in_block = |field: &str| {
        let http = format!("http:\n      service: web\n      {field}: |\n        {block}\n");
        drawn("http: {service: web, path: /}\n", &http)
    };
    let mut all =
        vec![in_block("clientKey"), in_block("ca"), in_block("body"), in_block("clientkey")];
    for value in [&quoted, &folded, bare] {
        for field in ["clientKey", "ca", "clientCertificate", "body", "Clientkey", "path"] {
            all.push(in_flow(&format!("{field}: {value}")));
            all.push(in_flow(&format!("{field}: {{file: {value}}}")));
            all.push(in_flow(&format!("{field}: [{value}], unknown: 1")));
        }
    }
    all.push(drawn("rate: 50/s", &format!("rate: {quoted}")));
    all.push(in_flow("clientKey: secret-text"));
    for text in all {
        assert!(!text.is_empty() && !text.contains("secret-text"), "{text}");
        for piece in pieces.windows(12) {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(!text.contains(piece), "{piece}: {text}");
        }
    }
    let shown = in_block("clientKey");
    assert!(shown.contains("found a text") && shown.contains("`{file: client.key}`"), "{shown}");
}

#[test]
fn no_problem_draws_nothing() {
    assert_eq!(render(&[], Some(*INK), 80), "");
}

#[test]
fn a_flood_is_cut() {
    let flood: Vec<Diagnostic> =
        (0..170).map(|n| Diagnostic::error(format!("number {n}"))).collect();
    let text = render(&flood, None, 80);
    assert!(text.contains("... and 70 more") && text.ends_with("170 errors\n"), "{text}");
}

#[test]
fn the_width_is_kept() {
    let long = format!("question: {}", "why and how ".repeat(40));
    let text = GOOD.replace("question: Is this right?", &format!("{long}\n  question: again"));
    let (problems, folder) = problems(&text.replace("rate: 50/s", "color: red"), WEB, KIND);
    for width in [40, 60, 80, 132] {
        let text = render(&problems, None, width).replace(&folder, "");
        let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
        assert!(longest.chars().count() <= width, "{width}: {longest}");
    }
}

#[test]
fn a_file_from_windows_is_read_and_drawn_as_any_other() {
    let text = GOOD.replace("rate: 50/s", "rat: 50/s");
    let (unix, windows) =
        (drawn_whole(&text, WEB, KIND), drawn_whole(&text.replace('\n', "\r\n"), WEB, KIND));
    assert_eq!(unix, windows);
    let (none, _) = problems(
        &GOOD.replace('\n', "\r\n"),
        &WEB.replace('\n', "\r\n"),
        &KIND.replace('\n', "\r\n"),
    );
    assert_eq!(none.to_string(), "");
}

/// Draws all, and checks that each place lies in its file.
fn drawn_and_sound(problems: &Diagnostics) -> Result<String, TestCaseError> {
    for at in problems.iter().filter_map(|problem| problem.at.as_ref()) {
        let (text, span) = (&at.file.text, at.span);
        prop_assert!(text.get(span.start..span.end).is_some(), "{span:?} is not part of {text:?}");
        if !text.contains(['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']) {
            prop_assert_eq!(Span::of_bytes(text, span.start, span.end), span);
        }
    }
    let drawing = render(problems, Some(*INK), 80);
    prop_assert_eq!(drawing.is_empty(), problems.is_empty());
    Ok(drawing)
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        drawn_and_sound(&problems(&text, &text, &text).0)?;
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (problems, _) = problems(&String::from_utf8_lossy(&bytes), WEB, KIND);
        prop_assert!(problems.has_errors());
        drawn_and_sound(&problems)?;
    }

    #[test]
    fn no_mutation_panics(edits in proptest::collection::vec((0usize..700, 0usize..12, EDIT), 1..6)) {
        let text = edits.into_iter().fold(GOOD.to_owned(), |text, (at, length, with)| splice(&text, at, at + length, &with));
        drawn_and_sound(&problems(&text, WEB, KIND).0)?;
    }

    #[test]
    fn no_mutation_of_a_workload_panics(edits in proptest::collection::vec((0usize..400, 0usize..12, EDIT), 1..6)) {
        let text = edits.into_iter().fold(WEB.to_owned(), |text, (at, length, with)| splice(&text, at, at + length, &with));
        drawn_and_sound(&problems(GOOD, &text, &text).0)?;
    }
}

/// What YAML finds interesting.
const EDIT: &str = "[-:{}\\[\\]&*!|>'\"%@`?~, \\n\\t\\ra-z0-9é]{0,4}";

fn splice(text: &str, start: usize, end: usize, with: &str) -> String {
    let border =
        |at: usize| (0..=at.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    let (start, end) = (border(start), border(end));
    format!("{}{with}{}", &text[..start], &text[end.max(start)..])
}

//! Kubeconfigs as people have them: servers without a scheme, several files, credential plugins
//! that are missing, fail or hang.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::model::cluster;
use crate::program::{Home, Output};
use crate::{Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("kubeconfig::no_server_makes_it_panic", no_server_makes_it_panic),
        test("kubeconfig::the_file_that_is_meant_is_named", the_file_that_is_meant_is_named),
        test("kubeconfig::several_files_are_one", several_files_are_one),
        test("kubeconfig::a_missing_plugin_is_named", a_missing_plugin_is_named),
        test("kubeconfig::a_failing_plugin_is_quoted", a_failing_plugin_is_quoted),
        test("kubeconfig::a_plugin_may_be_interactive_only", a_plugin_may_be_interactive_only),
        test("kubeconfig::a_hanging_plugin_is_ended", a_hanging_plugin_is_ended),
        test("kubeconfig::credentials_are_never_printed", credentials_are_never_printed),
        test("kubeconfig::a_token_stays_in_its_file", a_token_stays_in_its_file),
    ]
}

/// A secret that must not be printed.
const SECRET: &str = "hunter2hunter2";

fn kubeconfig(home: &Home, name: &str, server: &str, user: &str) -> PathBuf {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: a, user: {{{user}}}}}]\n"
    );
    home.file(name, &text)
}

/// What a command that only reads says of the current context's cluster.
fn ask(home: &Home, files: &[PathBuf]) -> Output {
    let list = std::env::join_paths(files).unwrap();
    home.finish(home.command(&["lint", "--context", "a"]).env("KUBECONFIG", list))
}

/// It ends as documented, with words for people.
fn refused(output: Output) -> Output {
    let text = format!("{}{}", output.stdout, output.stderr);
    assert!(!text.contains("panicked") && !text.contains(SECRET), "{text}");
    output.exits(4);
    output
}

fn no_server_makes_it_panic() {
    let home = Home::new();
    for (server, says) in [
        ("localhost:1", "http://localhost:1 cannot be reached"),
        ("127.0.0.1:1", "http://127.0.0.1:1 cannot be reached"),
        ("localhost:1/k8s", "its server localhost:1/k8s is neither"),
        ("ftp://localhost:1", "its server ftp://localhost:1 is neither"),
        ("https://", "its server https:// is neither"),
        ("a b", "its server a b is neither"),
        ("", "its cluster has no `server`"),
    ] {
        refused(ask(&home, &[kubeconfig(&home, "k", server, "")])).says(says);
    }
}

fn the_file_that_is_meant_is_named() {
    let home = Home::new();
    let good = kubeconfig(&home, "good", "http://127.0.0.1:1", "");
    let bad =
        home.file("bad", &format!("users:\n- name: a\n  user:\n    token: {SECRET}\n   x: [\n"));
    let path = bad.to_string_lossy().into_owned();
    refused(ask(&home, &[good.clone(), bad])).says(&path).says("line 5, column 4");
    let folder = home.path().to_owned();
    let path = folder.to_string_lossy().into_owned();
    refused(ask(&home, &[good, folder])).says(&format!("{path} cannot be used: is a directory"));
    let user = "client-certificate: /nowhere/cert, client-key: /nowhere/key";
    refused(ask(&home, &[kubeconfig(&home, "k", "https://127.0.0.1:1", user)]))
        .says("client certificate /nowhere/cert cannot be read");
    refused(ask(
        &home,
        &[kubeconfig(&home, "k", "https://127.0.0.1:1", "tokenFile: /nowhere/token")],
    ))
    .says("token file /nowhere/token cannot be read");
}

fn several_files_are_one() {
    let home = Home::new();
    let first = kubeconfig(&home, "first", "http://127.0.0.1:1", "");
    let second = kubeconfig(&home, "second", "http://127.0.0.1:2", "");
    let missing = home.path().join("missing");
    refused(ask(&home, &[missing.clone(), first, second])).says("http://127.0.0.1:1 cannot");
    refused(ask(&home, &[missing])).says("no kubeconfig").says("missing");
}

/// A plugin that is a shell script, and a kubeconfig that names it.
fn with_plugin(home: &Home, script: &str) -> PathBuf {
    let script = home.file("plugin.sh", &format!("#!/bin/sh\n{script}\n"));
    let (program, script) = ("/bin/sh", script.to_string_lossy().into_owned());
    exec(home, &format!("command: {program}, args: ['{script}'], interactiveMode: IfAvailable"))
}

fn exec(home: &Home, fields: &str) -> PathBuf {
    let version = "client.authentication.k8s.io/v1";
    let user = format!("exec: {{apiVersion: {version}, provideClusterInfo: true, {fields}}}");
    kubeconfig(home, "plugin", "http://127.0.0.1:1", &user)
}

fn a_missing_plugin_is_named() {
    let home = Home::new();
    let hint = "interactiveMode: Never, installHint: 'brew install nothing-like-it'";
    let config = exec(&home, &format!("command: kubectl-no-such, {hint}"));
    refused(ask(&home, &[config]))
        .says("the credential plugin kubectl-no-such is not installed")
        .says("hint: brew install nothing-like-it");
    let config = exec(&home, "command: kubectl-no-such, interactiveMode: Never");
    refused(ask(&home, &[config])).says("hint: install it");
}

fn a_failing_plugin_is_quoted() {
    let home = Home::new();
    let config = with_plugin(&home, "echo one >&2; echo 'Error: log in first' >&2; exit 3");
    let output = refused(ask(&home, &[config]));
    output
        .says("the credential plugin /bin/sh failed: one; Error: log in first (exit code 3)")
        .says("kubectl auth whoami");
    assert!(!output.stderr.contains("KUBERNETES_EXEC_INFO"), "{}", output.stderr);
    for (script, says) in [
        ("exit 1", "failed without a message (exit code 1)"),
        ("echo no JSON", "printed no ExecCredential"),
        ("echo '{\"kind\": \"ExecCredential\"}'", "printed no ExecCredential with a `status`"),
        ("echo '{\"status\": {}}'", "printed neither a token nor a client certificate"),
    ] {
        refused(ask(&home, &[with_plugin(&home, script)])).says(says);
    }
}

fn a_plugin_may_be_interactive_only() {
    let home = Home::new();
    let config = exec(&home, "command: /bin/sh, interactiveMode: Always");
    refused(ask(&home, &[config])).says("needs a terminal");
}

fn a_hanging_plugin_is_ended() {
    let home = Home::new();
    let marker = home.path().join("late");
    let late = marker.to_string_lossy().into_owned();
    let script =
        format!("echo open https://login.example >&2; (sleep 75; touch {late}) & sleep 75");
    let began = Instant::now();
    let output = refused(ask(&home, &[with_plugin(&home, &script)]));
    let took = began.elapsed();
    assert!((59..74).contains(&took.as_secs()), "{took:?}");
    output
        .says("waiting for the credential plugin /bin/sh")
        .says("did not finish within 1m: open https://login.example");
    std::thread::sleep(Duration::from_secs(77).saturating_sub(took));
    assert!(!marker.exists(), "what it had started lives on");
}

fn credentials_are_never_printed() {
    let home = Home::new();
    let status = format!("{{\"token\": \"{SECRET}\", \"clientKeyData\": \"{SECRET}\"}}");
    let whole = format!("echo '{{\"kind\": \"ExecCredential\", \"status\": {status}}}'");
    for script in [
        whole.clone(),
        format!("{whole}; exit 1"),
        format!("echo '{{\"status\": {SECRET}'"),
        format!(
            "echo '{{\"status\": {{\"expirationTimestamp\": \"{SECRET}\", \"token\": \"x\"}}}}'"
        ),
        format!("echo token: eyJ{SECRET} >&2; exit 1"),
    ] {
        refused(ask(&home, &[with_plugin(&home, &script)]));
    }
    for user in [
        format!("token: {SECRET}"),
        format!("username: a, password: {SECRET}"),
        format!("client-certificate-data: {SECRET}, client-key-data: {SECRET}"),
        format!(
            "auth-provider: {{name: gcp, config: {{cmd-path: /bin/echo, cmd-args: {SECRET}, token-key: x}}}}"
        ),
        format!("auth-provider: {{name: oidc, config: {{refresh-token: {SECRET}}}}}"),
    ] {
        refused(ask(&home, &[kubeconfig(&home, "k", "https://127.0.0.1:1", &user)]));
    }
    let server = format!("https://me:{SECRET}@127.0.0.1:1");
    refused(ask(&home, &[kubeconfig(&home, "k", &server, "")])).says("127.0.0.1:1");
}

/// The embedded cluster's, which is in the server's URL, too.
fn a_token_stays_in_its_file() {
    let home = Home::new();
    let (running, kubeconfig) = cluster(&home);
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        line.trim().trim_matches('"').to_owned()
    };
    let (token, context) = (value("token:"), value("current-context:"));
    let copy = home.file("copy", &text).to_string_lossy().into_owned();
    let ask = || home.run(&["lint", "--context", &context, "--kubeconfig", &copy]);
    let found = ask();
    assert!(found.stdout.contains("Kubernetes") && found.code != 4, "{found:?}");
    let version = home.run(&["version", "--context", &context, "--kubeconfig", &copy]);
    version.exits(0).prints("Server Version: v1.").prints(&format!("(context {context})"));
    running.signal("INT");
    let ended = running.finish();
    let gone = ask();
    gone.exits(4).says("cannot be reached");
    for output in [found, version, ended, gone] {
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(token.len() > 20 && !text.contains(&token), "{text}");
    }
}

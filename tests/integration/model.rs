//! The program on the embedded cluster: it needs nothing of its machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::program::{Home, Started};

/// The program as on a machine that has nothing: no engine, no kind, no kubectl.
pub(crate) fn start(home: &Home, arguments: &[&str]) -> Started {
    home.start_with(arguments, |command| _ = without_tools(command))
}

/// No engine, no kind, no kubectl.
pub(crate) fn without_tools(command: &mut Command) -> &mut Command {
    command.env("PATH", "/nowhere").env("DOCKER_HOST", "unix:///nowhere.sock")
}

/// A cluster in the foreground, and its kubeconfig.
pub(crate) fn cluster(home: &Home) -> (Started, PathBuf) {
    let kubeconfig = home.path().join("kubeconfig");
    let running = start(home, &["cluster", "--kubeconfig-out", &kubeconfig.to_string_lossy()]);
    let began = Instant::now();
    while !kubeconfig.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", running.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    (running, kubeconfig)
}

/// Host and port of the server in a kubeconfig of ours; its path has the token.
pub(crate) fn address(kubeconfig: &str) -> &str {
    let server = kubeconfig.split("http://").nth(1).expect("a server over plain HTTP");
    server.split('/').next().unwrap()
}

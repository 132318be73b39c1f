//! The agent as a process of its own: what the program does when it is run as `kubectl-outage
//! agent`.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outage::agent::protocol::{Frames, FromAgent, Message, Start, ToAgent};
use outage::probe::control::header;

use libtest_mimic::Trial;

use super::test;

/// All tests of the agent.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("agent::it_removes_its_own_file_and_probes", it_removes_its_own_file_and_probes),
        test("agent::it_ends_with_its_input", it_ends_with_its_input),
        test("agent::it_ends_when_its_runner_falls_silent", it_ends_when_its_runner_falls_silent),
    ]
}

fn program() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    std::fs::copy(super::program::PROGRAM, &path).unwrap();
    (dir, path)
}

fn spawn(path: &std::path::Path) -> Child {
    let mut command = Command::new(path);
    command.args(["agent", "--unlink"]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Another test's fork may hold the copied file open for writing for a moment.
    for _ in 0..50 {
        match command.spawn() {
            Ok(child) => return child,
            Err(error) if error.raw_os_error() == Some(26) => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the file stays busy");
}

fn say(child: &mut Child, message: &ToAgent) {
    child.stdin.as_mut().unwrap().write_all(&message.encode()).unwrap();
}

fn start(heartbeat_timeout_ms: u64) -> ToAgent {
    ToAgent::Start(Box::new(Start::of_control(
        header("control", "here", None),
        heartbeat_timeout_ms,
    )))
}

/// Reads until `wanted` has come.
fn hear(child: &mut Child, mut wanted: impl FnMut(&FromAgent) -> bool) {
    let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
    loop {
        while let Some(message) = frames.message::<FromAgent>().unwrap() {
            if wanted(&message) {
                return;
            }
        }
        let length = child.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
        assert!(length > 0, "ended before it came");
        frames.push(&buffer[..length]);
    }
}

fn ends_within(child: &mut Child, limit: Duration) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < limit, "still there after {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn it_removes_its_own_file_and_probes() {
    let (_dir, path) = program();
    let mut child = spawn(&path);
    say(&mut child, &start(5000));
    hear(
        &mut child,
        |message| matches!(message, FromAgent::Attempts { probe, .. } if probe == "control"),
    );
    assert!(!path.exists(), "its file is gone");
    say(&mut child, &ToAgent::Stop);
    hear(&mut child, |message| matches!(message, FromAgent::Bye { error: None }));
    ends_within(&mut child, Duration::from_secs(2));
    assert!(child.wait().unwrap().success());
}

fn it_ends_with_its_input() {
    let (_dir, path) = program();
    let mut child = spawn(&path);
    say(&mut child, &start(60_000));
    hear(&mut child, |message| matches!(message, FromAgent::Span(_)));
    drop(child.stdin.take());
    ends_within(&mut child, Duration::from_secs(2));
}

fn it_ends_when_its_runner_falls_silent() {
    let (_dir, path) = program();
    let mut child = spawn(&path);
    say(&mut child, &start(400));
    hear(&mut child, |message| matches!(message, FromAgent::Span(_)));
    ends_within(&mut child, Duration::from_secs(4));
}

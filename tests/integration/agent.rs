//! The agent as a process of its own: what the program does when it is run as `kubectl-outage
//! agent`.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outage::agent::protocol::{AttachPoint, Frames, FromAgent, Message, Start, ToAgent};
use outage::probe::control::header;
use outage::timeline::{AttemptReader, Moment};

use super::{Test, test};

/// All tests of the agent.
pub(crate) fn tests() -> Vec<Test> {
    let mut tests = vec![
        test("agent::it_removes_its_own_file_and_probes", it_removes_its_own_file_and_probes),
        test("agent::it_ends_with_its_input", it_ends_with_its_input),
        test("agent::it_ends_when_its_runner_falls_silent", it_ends_when_its_runner_falls_silent),
    ];
    if cfg!(target_os = "linux") {
        tests.extend([
            test("agent::it_outlives_its_stream", it_outlives_its_stream),
            test("agent::a_deserted_one_ends_by_itself", a_deserted_one_ends_by_itself),
        ]);
    }
    tests
}

fn program() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    std::fs::copy(super::program::PROGRAM, &path).unwrap();
    (dir, path)
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
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

/// A process whose input and output lead to the agent, and what was heard of it.
struct Stream {
    process: Child,
    frames: Frames,
    received: u64,
}

impl Stream {
    /// Starts the agent.
    fn launch(path: &Path) -> Self {
        Self::of(Command::new(path).args(["agent", "--unlink"]).arg(path), 0)
    }

    /// Another way to one that runs.
    fn attach(pid: u32, point: &AttachPoint, received: u64) -> Self {
        let program = format!("/proc/{pid}/exe");
        let command = &mut Command::new(program);
        let mut stream =
            Self::of(command.arg0("attach").args(["agent", "--attach", &point.name]), received);
        stream.say(&ToAgent::Attach { token: point.token.clone(), received });
        stream
    }

    fn of(command: &mut Command, received: u64) -> Self {
        Self { process: spawn(command), frames: Frames::default(), received }
    }

    fn say(&mut self, message: &ToAgent) {
        self.process.stdin.as_mut().unwrap().write_all(&message.encode()).unwrap();
    }

    fn ping(&mut self) {
        self.say(&ToAgent::Ping { at: Moment::now(), received: self.received });
    }

    /// The next message; of what is kept, the next one in order.
    fn hear(&mut self) -> FromAgent {
        let mut buffer = [0; 4096];
        loop {
            match self.frames.message::<FromAgent>().unwrap() {
                Some(FromAgent::Kept(number, message)) => {
                    assert_eq!(number, self.received, "nothing twice, nothing lost");
                    self.received += 1;
                    return *message;
                }
                Some(message) => return message,
                None => {}
            }
            let length = self.process.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
            assert!(length > 0, "ended before it came");
            self.frames.push(&buffer[..length]);
        }
    }

    fn hear_until(&mut self, mut wanted: impl FnMut(&FromAgent) -> bool) {
        while !wanted(&self.hear()) {}
    }

    /// The agent's process.
    fn pid(&mut self) -> u32 {
        match self.hear() {
            FromAgent::Hello(hello) => hello.pid,
            other => panic!("{other:?}"),
        }
    }

    fn ends_within(&mut self, limit: Duration) {
        within(limit, || self.process.try_wait().unwrap().is_some());
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn within(limit: Duration, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < limit, "still there after {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn runs(pid: u32) -> bool {
    // Of a process that nobody has waited for, the link can't be read.
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn start(grace_ms: u64) -> ToAgent {
    ToAgent::Start(Box::new(Start::of_control(header("control", "here", None), grace_ms)))
}

fn start_at(point: &AttachPoint, grace_ms: u64) -> ToAgent {
    let start = Start::of_control(header("control", "here", None), grace_ms);
    ToAgent::Start(Box::new(Start { attach: Some(point.clone()), ..start }))
}

fn point(test: &str) -> AttachPoint {
    let name = format!("outage-test-{test}-{}", std::process::id());
    AttachPoint { name, token: "of this run".into() }
}

fn it_removes_its_own_file_and_probes() {
    let (_dir, path) = program();
    let mut stream = Stream::launch(&path);
    stream.say(&start(5000));
    stream.hear_until(
        |message| matches!(message, FromAgent::Attempts { probe, .. } if probe == "control"),
    );
    assert!(!path.exists(), "its file is gone");
    stream.say(&ToAgent::Stop);
    stream.hear_until(|message| matches!(message, FromAgent::Bye { error: None }));
    stream.ping();
    stream.ends_within(Duration::from_secs(2));
    assert!(stream.process.wait().unwrap().success());
}

fn it_ends_with_its_input() {
    let (_dir, path) = program();
    let mut stream = Stream::launch(&path);
    let pid = stream.pid();
    stream.say(&start(60_000));
    stream.hear_until(|message| matches!(message, FromAgent::Span(_)));
    drop(stream.process.stdin.take());
    stream.ends_within(Duration::from_secs(2));
    within(Duration::from_secs(2), || !runs(pid));
}

fn it_ends_when_its_runner_falls_silent() {
    let (_dir, path) = program();
    let mut stream = Stream::launch(&path);
    let pid = stream.pid();
    stream.say(&start(400));
    stream.hear_until(|message| matches!(message, FromAgent::Span(_)));
    stream.ends_within(Duration::from_secs(4));
    within(Duration::from_secs(4), || !runs(pid));
}

/// The slots that were sent, in order.
fn slots(records: &[u8]) -> Vec<u64> {
    let mut slots: Vec<_> = AttemptReader::records(records).map(|attempt| attempt.slot).collect();
    slots.sort_unstable();
    slots
}

fn it_outlives_its_stream() {
    let (_dir, path) = program();
    let (mut stream, point) = (Stream::launch(&path), point("outlives"));
    let pid = stream.pid();
    stream.say(&start_at(&point, 20_000));
    let mut records = Vec::new();
    for _ in 0..12 {
        for _ in 0..3 {
            if let FromAgent::Attempts { records: more, .. } = stream.hear() {
                records.extend(more);
            }
        }
        // Some are acknowledged, and some come again.
        stream.ping();
        let received = stream.received;
        stream.process.kill().unwrap();
        stream.process.wait().unwrap();
        assert!(runs(pid));
        stream = Stream::attach(pid, &point, received);
        assert_eq!(stream.pid(), pid);
    }
    stream.say(&ToAgent::Stop);
    stream.hear_until(|message| {
        if let FromAgent::Attempts { records: more, .. } = message {
            records.extend(more);
        }
        matches!(message, FromAgent::Bye { error: None })
    });
    stream.ping();
    stream.ends_within(Duration::from_secs(2));
    within(Duration::from_secs(2), || !runs(pid));
    let slots = slots(&records);
    assert!(slots.len() > 5);
    assert!(slots.iter().zip(slots[0]..).all(|(slot, expected)| *slot == expected), "{slots:?}");
}

fn a_deserted_one_ends_by_itself() {
    let (_dir, path) = program();
    let (mut stream, point) = (Stream::launch(&path), point("deserted"));
    let pid = stream.pid();
    stream.say(&start_at(&point, 1000));
    stream.hear_until(|message| matches!(message, FromAgent::Span(_)));
    drop(stream);
    assert!(runs(pid));
    within(Duration::from_secs(5), || !runs(pid));
}

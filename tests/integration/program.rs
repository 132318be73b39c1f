//! The program as a user starts it, in a home of its own.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{self, OpenptFlags};
use rustix::termios::Winsize;
use tempfile::TempDir;

use super::lab;

/// The program's file.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kubectl-outage");

const NODE_IMAGE: &str = "OUTAGE_NODE_IMAGE";

/// A home directory of its own: state, runs, nothing of the user's.
pub(crate) struct Home {
    dir: TempDir,
    /// More of the program's environment.
    environment: Vec<(&'static str, OsString)>,
}

/// What a finished program left.
#[derive(Debug)]
pub(crate) struct Output {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Home {
    /// A fresh home.
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// One for tests on kind clusters. New ones are made of the node image that the developer has
    /// chosen, if any. All but the first have a Docker network of their own: the address of a stopped
    /// machine may be given to any other of its network.
    pub(crate) fn for_kind() -> Self {
        let image = std::env::var_os(NODE_IMAGE).map(|image| (NODE_IMAGE, image));
        let cluster = lab::cluster();
        let network = (cluster != crate::CLUSTER)
            .then(|| ("KIND_EXPERIMENTAL_DOCKER_NETWORK", cluster.into()));
        Self { environment: image.into_iter().chain(network).collect(), ..Self::new() }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The runs directory.
    pub(crate) fn runs(&self) -> PathBuf {
        self.path().join("state/outage/runs")
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// An experiment on the cluster of `fast-detection.yaml`, with the rest of its `spec`: its file.
    pub(crate) fn experiment(&self, name: &str, spec: &str) -> String {
        self.experiment_on("fast-detection", name, spec)
    }

    /// One on the cluster of a kind config of this repository.
    pub(crate) fn experiment_on(&self, config: &str, name: &str, spec: &str) -> String {
        let text = format!(
            "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  cluster: {{kind: {{config: ../kind-configs/{config}.yaml}}}}
{spec}"
        );
        self.file(&format!("experiments/{name}.yaml"), &text).to_string_lossy().into_owned()
    }

    /// The files of some of the project's folders, each text as `change` makes it.
    pub(crate) fn copy(&self, folders: &[&str], change: impl Fn(String) -> String) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in folders {
            for entry in std::fs::read_dir(root.join(folder))
                .unwrap()
                .map(|e| e.unwrap().path())
                .filter(|p| p.is_file())
            {
                let text = change(std::fs::read_to_string(&entry).unwrap());
                self.file(
                    &format!("{folder}/{}", entry.file_name().unwrap().to_string_lossy()),
                    &text,
                );
            }
        }
    }

    /// The folder may be there: that it can be written is tried first.
    pub(crate) fn assert_nothing_recorded(&self) {
        assert_eq!(std::fs::read_dir(self.runs()).into_iter().flatten().count(), 0);
    }

    /// The program with these arguments, in the project's folder, with this home.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HOME", self.path())
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env_remove("KUBECONFIG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let ours = std::env::vars_os().map(|(name, _)| name);
        ours.filter(|name| name.to_string_lossy().starts_with("OUTAGE_"))
            .for_each(|name| _ = command.env_remove(name));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.finish(&mut self.command(arguments))
    }

    /// Runs a command of [`Self::command`] to its end.
    pub(crate) fn finish(&self, command: &mut Command) -> Output {
        finish(command.spawn().unwrap())
    }

    /// Starts the program, its standard error in a file.
    pub(crate) fn start(&self, arguments: &[&str]) -> Started {
        self.start_with(arguments, |_| {})
    }

    /// The same, with something else about it, its environment say.
    pub(crate) fn start_with(
        &self,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Started {
        let (stderr, file) = self.stderr();
        let mut command = self.command(arguments);
        change(&mut command);
        let child = command.stderr(file).spawn().unwrap();
        Started { child: Some(child), stderr, terminal: None }
    }

    /// Starts the program on a terminal of this size: what it writes there is its standard error.
    pub(crate) fn start_on_terminal(&self, arguments: &[&str], size: Winsize) -> Started {
        let (stderr, mut file) = self.stderr();
        let terminal = pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&terminal).unwrap();
        pty::unlockpt(&terminal).unwrap();
        rustix::termios::tcsetwinsize(&terminal, size).unwrap();
        let name = pty::ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let program_side = File::options().read(true).write(true).open(name).unwrap();
        let mut command = self.command(arguments);
        command.env("TERM", "xterm").env_remove("CI").stderr(program_side);
        let child = command.spawn().unwrap();
        // Reading fails once the program has ended, and `command` with its end of the terminal.
        drop(command);
        let terminal = std::thread::spawn(move || {
            let _ = std::io::copy(&mut File::from(terminal), &mut file);
        });
        Started { child: Some(child), stderr, terminal: Some(terminal) }
    }

    fn stderr(&self) -> (PathBuf, File) {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let path = self.path().join(format!("stderr-{number}"));
        let file = File::create(&path).unwrap();
        (path, file)
    }
}

/// A program that is running. When a test fails on the way, it is interrupted, so that it undoes, and waited for: the
/// cluster is shared.
pub(crate) struct Started {
    child: Option<Child>,
    stderr: PathBuf,
    /// Copies what is written to its terminal.
    terminal: Option<JoinHandle<()>>,
}

impl Started {
    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until it says something.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str, limit: Duration) {
        self.said_within(text, limit).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Waits until it says something; what it said instead.
    pub(crate) fn said_within(&mut self, text: &str, limit: Duration) -> Result<(), String> {
        let began = Instant::now();
        while !self.said().contains(text) {
            if began.elapsed() > limit {
                return Err(format!("never said {text:?}, but:\n{}", self.said()));
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                let said = self.said();
                return Err(format!("ended with {status} and never said {text:?}, but:\n{said}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its exit code, if it has ended; -1 when a signal ended it.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.as_mut().unwrap().try_wait().unwrap().map(code)
    }

    /// Sends it a signal: `INT`, `TERM`, `HUP`, `KILL`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").arg(format!("-{signal}")).arg(id).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end, but not for ever; what it said if it does not end.
    pub(crate) fn finish_within(mut self, limit: Duration) -> Result<Output, String> {
        let began = Instant::now();
        while self.ended().is_none() {
            if began.elapsed() > limit {
                return Err(format!("does not end within {limit:?}, and said:\n{}", self.said()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(self.finish())
    }

    /// Waits for its end; and the most memory that it had, in KiB.
    pub(crate) fn finish_measured(mut self) -> (Output, u64) {
        let child = self.child.as_mut().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let (began, mut most) = (Instant::now(), 0);
        while child.try_wait().unwrap().is_none() {
            // One that prints far too much waits for a reader.
            assert!(began.elapsed() < Duration::from_secs(300), "it does not end");
            most = most_memory(&status).unwrap_or(most);
            std::thread::sleep(Duration::from_millis(10));
        }
        (self.finish(), most)
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Output {
        let mut output = finish(self.child.take().unwrap());
        self.terminal.take().map_or(Ok(()), JoinHandle::join).unwrap();
        output.stderr = self.said();
        output
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let _ = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
        let began = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && began.elapsed() < Duration::from_secs(90) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = child.kill();
    }
}

/// `None`: the process has none any more.
fn most_memory(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    most.trim().strip_suffix(" kB")?.parse().ok()
}

fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Output { code: code(output.status), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or(-1)
}

impl Output {
    /// Asserts the exit code, showing what was said.
    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard error says something, and says it for people.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        assert!(
            unwrapped(&self.stderr).contains(&unwrapped(text)),
            "standard error does not say {text:?}:\n{}",
            self.stderr
        );
        for noise in ["panicked", "RUST_BACKTRACE", "Some(", "Err(", "Error {"] {
            assert!(!self.stderr.contains(noise), "{noise:?} is not for people:\n{}", self.stderr);
        }
        self
    }

    /// Asserts that the run was judged: passed, failed or inconclusive.
    #[track_caller]
    pub(crate) fn is_judged(&self) -> &Self {
        assert!([0, 1, 3].contains(&self.code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that this program reports no error; a log that it quotes may have some.
    #[track_caller]
    pub(crate) fn has_no_error(&self) -> &Self {
        let is_error = |line: &str| line.starts_with("error:");
        assert!(!self.stderr.lines().any(is_error), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that standard output prints something.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) -> &Self {
        assert!(
            unwrapped(&self.stdout).contains(&unwrapped(text)),
            "standard output does not print {text:?}:\n{}",
            self.stdout
        );
        self
    }
}

/// A text without its line breaks, which fit it to a width.
pub(crate) fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

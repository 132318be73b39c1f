//! A program of the user's, run on this machine without a shell, with a limit.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::error::FaultError;
use crate::cluster::ProcessGroup;
use crate::experiment::typed;
use crate::timeline::{format_duration, readable};

/// So much of what it prints is kept, its end.
const KEPT: usize = 16 << 10;
/// So many lines of its standard error are quoted.
const LINES: usize = 3;
/// What it has left running may keep its output open: so long is waited for the end of that.
const OUTPUT_END: Duration = Duration::from_millis(500);

/// Where programs are run, and what they are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Surroundings {
    /// The directory in which the run was started.
    pub directory: Option<PathBuf>,
    /// Beside the environment of the process that runs them.
    pub environment: BTreeMap<String, String>,
}

/// How a program has ended.
pub(super) struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// As a message quotes it: on one line, without what looks like a secret.
pub(super) fn shown(argv: &[String]) -> String {
    readable(&typed(argv))
}

impl Ended {
    pub(super) fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// What it printed, without the blanks around it.
    pub(super) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// `exited with 1: no such instance`, with the last lines of its standard error, or else of its
    /// output.
    pub(super) fn describe(&self) -> String {
        let end = match self.status.code() {
            Some(code) => format!("exited with {code}"),
            None => format!("ended by a signal ({})", self.status),
        };
        match Some(last_lines(&self.stderr)).filter(|text| !text.is_empty()) {
            Some(text) => format!("{end}: {text}"),
            None => match last_lines(&self.stdout) {
                empty if empty.is_empty() => end,
                text => format!("{end}: {text}"),
            },
        }
    }
}

fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    readable(&lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

impl Surroundings {
    /// The same, and one variable more.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.environment.insert(name.into(), value.into());
        with
    }

    /// Runs a program to its end. It has a process group of its own, which the terminal's Ctrl-C
    /// does not reach, and which is killed when the limit is over or this future is dropped.
    pub(super) async fn run(&self, argv: &[String], limit: Duration) -> Result<Ended, FaultError> {
        let failed = |why: String| FaultError::Program { command: shown(argv), why };
        let (program, arguments) =
            argv.split_first().ok_or_else(|| failed("no program is given".into()))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(&self.environment).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        ProcessGroup::own(&mut command);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => failed("no such program on PATH".into()),
            _ => failed(error.to_string()),
        })?;
        let mut group = ProcessGroup::of(&child);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let status = {
            let mut output = std::pin::pin!(async {
                tokio::join!(keep(out, &mut stdout), keep(err, &mut stderr))
            });
            let ended = timeout(limit, async {
                tokio::select! {
                    _ = &mut output => child.wait().await,
                    status = child.wait() => {
                        let _ = timeout(OUTPUT_END, &mut output).await;
                        status
                    }
                }
            });
            ended.await
        };
        match status {
            Ok(Ok(status)) => {
                group.ended();
                Ok(Ended { status, stdout, stderr })
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(match last_lines(&stderr) {
                empty if empty.is_empty() => {
                    format!("it did not end within {}", format_duration(limit))
                }
                text => format!("it did not end within {}: {text}", format_duration(limit)),
            })),
        }
    }

    /// Refuses a program that is not there, or may not be run.
    pub(super) async fn find(&self, argv: &[String], limit: Duration) -> Result<(), FaultError> {
        let script = ["sh", "-c", "command -v -- \"$1\"", "sh", &argv[0]].map(str::to_owned);
        match self.run(&script, limit).await?.succeeded() {
            true => Ok(()),
            false => Err(FaultError::Program {
                command: shown(argv),
                why: "no such program on PATH".into(),
            }),
        }
    }
}

/// Kills the group of a program that was given this variable and still runs, because whoever waited
/// for it was killed; ends when it is gone, or after so long. What the program has left running in
/// sessions or groups of its own is not meant. (Only Linux shows another process's environment.)
pub(super) async fn end_left(name: &str, value: &str) {
    let variable = format!("{name}={value}");
    for _ in 0..20 {
        let left = groups_with(&variable);
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(ProcessGroup::kill);
        sleep(Duration::from_millis(100)).await;
    }
}

/// The leaders of groups within a session, which is what a program of ours is.
fn groups_with(variable: &str) -> Vec<i32> {
    let is_one = |id: i32| {
        let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        // `7 (a program) S 1 7 5`: its parent, its group, its session.
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        let ids: Vec<i32> =
            behind.split(' ').skip(2).take(2).filter_map(|it| it.parse().ok()).collect();
        matches!(ids[..], [group, session] if group == id && session != id)
            && read("environ").split(|byte| *byte == 0).any(|it| it == variable.as_bytes())
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| is_one(*id)).collect()
}

/// Reads all, and keeps the end.
async fn keep(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut chunk = vec![0; 8 << 10];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Surroundings {
        let environment = [("OUTAGE_NODE".to_owned(), "w".to_owned())].into();
        Surroundings { directory: None, environment }
    }

    fn argv(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).into()
    }

    async fn run(script: &str) -> Result<Ended, FaultError> {
        here().run(&argv(script), Duration::from_secs(10)).await
    }

    #[tokio::test]
    async fn its_output_and_its_end_are_known() {
        let ended = run("echo \" on $OUTAGE_NODE \"").await.unwrap();
        assert!(ended.succeeded());
        assert_eq!(ended.printed(), "on w");
        let script =
            "seq 1 100000; for n in 1 2 3 4; do printf 'line %s\\033[31m\\n' $n >&2; done; exit 7";
        let ended = run(script).await.unwrap();
        assert!(ended.printed().ends_with("100000") && ended.stdout.len() <= KEPT);
        assert_eq!(ended.describe(), "exited with 7: line 2; line 3; line 4");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let script = format!("echo trying >&2; (sleep 2; touch {}) & sleep 60", file.display());
        let error = here().run(&argv(&script), Duration::from_secs(1)).await.err().unwrap();
        assert!(error.to_string().ends_with("it did not end within 1s: trying"), "{error}");
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(!file.exists());
    }

    /// As a run leaves it that was killed.
    #[tokio::test]
    async fn one_that_nobody_waits_for_is_ended_by_its_mark() {
        let mark = format!("r-0-w-{}", std::process::id());
        let marked = |group: bool, mark: &str| {
            let mut command = std::process::Command::new("sleep");
            command.arg("60").env("OUTAGE_INJECT", mark);
            if group {
                std::os::unix::process::CommandExt::process_group(&mut command, 0);
            }
            command.spawn().unwrap()
        };
        let (mut left, mut other, mut inside) =
            (marked(true, &mark), marked(true, "r-1-w"), marked(false, &mark));
        let waited = tokio::task::spawn_blocking(move || left.wait().unwrap());
        end_left("OUTAGE_INJECT", &mark).await;
        assert!(!waited.await.unwrap().success());
        for spared in [&mut other, &mut inside] {
            assert!(spared.try_wait().unwrap().is_none());
            spared.kill().unwrap();
            spared.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for() {
        let began = std::time::Instant::now();
        assert!(run("sleep 30 & echo done").await.unwrap().succeeded());
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_said() {
        let missing = ["no-such-program".to_owned(), "a b".into()];
        let error = here().run(&missing, Duration::from_secs(5)).await.err().unwrap().to_string();
        assert_eq!(error, "run `no-such-program 'a b'`: no such program on PATH");
        assert!(here().find(&missing, Duration::from_secs(5)).await.is_err());
        assert!(here().find(&argv(""), Duration::from_secs(5)).await.is_ok());
    }
}

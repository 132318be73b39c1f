//! The `kind` program: the life cycle of clusters whose nodes are containers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::kind_error::KindError;
use super::kind_output::KindOutput;
use super::process_group::ProcessGroup;

/// For questions that need no more than the engine's answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);
/// A cluster of many nodes on a slow disk.
const DELETE_TIMEOUT: Duration = Duration::from_secs(180);

#[derive(Clone, Debug)]
pub(crate) struct Kind {
    path: PathBuf,
    docker_host: Option<String>,
    certificates: Option<PathBuf>,
    podman: bool,
}

pub(crate) struct KindCreate<'a> {
    /// Its name. It overrides the config's.
    pub name: &'a str,
    pub config_text: &'a str,
    /// The node image. Default: the config's, else kind's own.
    pub image: Option<&'a str>,
    /// Where kind writes the cluster's kubeconfig: a file of ours, for kind would switch the
    /// current context of the user's.
    pub kubeconfig: &'a Path,
    /// Takes the lines with which kind says how far it has come.
    pub progress: &'a mut (dyn FnMut(&str) + Send),
}

impl Kind {
    /// Finds the program in a `PATH`. `docker_host` is handed to it, so that it speaks to the
    /// engine that we speak to. Errors when it is in none of the directories.
    pub(crate) fn find(path_env: &OsStr, docker_host: Option<String>) -> Result<Self, KindError> {
        let name = format!("kind{}", std::env::consts::EXE_SUFFIX);
        let found = std::env::split_paths(path_env)
            .map(|folder| folder.join(&name))
            .find(|path| is_program(path));
        found
            .map(|path| Self { path, docker_host, certificates: None, podman: false })
            .ok_or(KindError::NotInstalled)
    }

    /// Has it use Podman, at the same address, instead of Docker.
    pub(crate) fn with_podman(self) -> Self {
        Self { podman: true, ..self }
    }

    /// Has it use TLS, with the certificates in this directory.
    pub(crate) fn with_certificates(self, directory: Option<&Path>) -> Self {
        Self { certificates: directory.map(Path::to_owned), ..self }
    }

    pub(crate) async fn clusters(&self) -> Result<Vec<String>, KindError> {
        Ok(self
            .ask(&["get", "clusters"])
            .await?
            .lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect())
    }

    /// The text of a kubeconfig for a cluster. Touches no file.
    pub(crate) async fn kubeconfig(&self, name: &str) -> Result<String, KindError> {
        self.ask(&["get", "kubeconfig", "--name", name]).await.map_err(|error| match error {
            KindError::Failed { lines }
                if lines
                    .iter()
                    .any(|line| line.contains("could not locate any control plane nodes")) =>
            {
                KindError::NoSuchCluster { name: name.to_owned() }
            }
            other => other,
        })
    }

    /// Deletes a cluster; one that is not there is not an error. `kubeconfig` is the file that `create`
    /// was given: without it kind would edit the user's.
    pub(crate) async fn delete(&self, name: &str, kubeconfig: &Path) -> Result<(), KindError> {
        let mut command = self.command(&["delete", "cluster", "--name", name, "--kubeconfig"]);
        command.arg(kubeconfig);
        self.output(command, DELETE_TIMEOUT).await.map(drop)
    }

    /// Makes a cluster, which takes half a minute to several minutes, and has no time limit of its
    /// own.
    ///
    /// kind runs in its own process group, so that the terminal's Ctrl-C does not reach it.
    /// When this future is dropped, the group is killed, and what it had made so far stays: note
    /// the cluster's name before the call, and call [`delete`](Self::delete) after it was dropped
    /// or failed with anything but [`KindError::Exists`].
    pub(crate) async fn create(&self, create: KindCreate<'_>) -> Result<(), KindError> {
        let mut command = self.command(&[
            "create",
            "cluster",
            "--name",
            create.name,
            "--config",
            "-",
            "-v",
            "1",
            "--kubeconfig",
        ]);
        command.arg(create.kubeconfig);
        if let Some(image) = create.image {
            command.args(["--image", image]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(self.not_run())?;
        let mut group = ProcessGroup::of(&child);
        let mut stdin = child.stdin.take().expect("is piped");
        // A kind that ends before it has read everything says why itself.
        let _ = stdin.write_all(create.config_text.as_bytes()).await;
        drop(stdin);
        let mut stderr = KindOutput::default();
        let mut lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
        while let Some(line) = lines.next_line().await.map_err(self.not_run())? {
            if let Some(progress) = stderr.read_line(&line) {
                (create.progress)(progress);
            }
            if let Some(error) = stderr.failed_pull() {
                return Err(error);
            }
        }
        let status = child.wait().await.map_err(self.not_run())?;
        group.ended();
        if status.success() { Ok(()) } else { Err(stderr.error(create.name)) }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(host) = &self.docker_host {
            // The podman program has another name for it.
            command.env(if self.podman { "CONTAINER_HOST" } else { "DOCKER_HOST" }, host);
        }
        if let Some(directory) = &self.certificates {
            command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", directory);
        }
        if self.podman {
            command.env("KIND_EXPERIMENTAL_PROVIDER", "podman");
        }
        ProcessGroup::own(&mut command);
        command
    }

    async fn ask(&self, args: &[&str]) -> Result<String, KindError> {
        self.output(self.command(args), ASK_TIMEOUT).await
    }

    async fn output(&self, mut command: Command, within: Duration) -> Result<String, KindError> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(self.not_run())?;
        let mut group = ProcessGroup::of(&child);
        let output = tokio::time::timeout(within, child.wait_with_output())
            .await
            .map_err(|_| KindError::TooSlow { within })?;
        let output = output.map_err(self.not_run())?;
        group.ended();
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let mut stderr = KindOutput::default();
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            stderr.read_line(line);
        }
        Err(stderr.error(""))
    }

    fn not_run(&self) -> impl Fn(std::io::Error) -> KindError + use<> {
        let path = self.path.clone();
        move |source| KindError::NotRun { path: path.clone(), source }
    }
}

fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A kind that is a shell script, in a folder that serves as the PATH.
    fn script(text: &str) -> (tempfile::TempDir, Kind) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kind");
        // Written by a child, so that no other test's fork holds the file open for writing while it
        // is run.
        let quoted = format!("#!/bin/sh\n{text}\n");
        let status = std::process::Command::new("sh")
            .arg("-c")
            .arg("printf %s \"$1\" > \"$0\"")
            .arg(&path)
            .arg(quoted)
            .status();
        assert!(status.unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let kind = Kind::find(folder.path().as_os_str(), Some("unix:///x.sock".into())).unwrap();
        (folder, kind)
    }

    async fn create(kind: &Kind) -> (Result<(), KindError>, Vec<String>) {
        let mut seen = Vec::new();
        let mut progress = |line: &str| seen.push(line.to_owned());
        let kubeconfig = Path::new("ours");
        let wanted = KindCreate {
            name: "a",
            config_text: "kind: Cluster",
            image: Some("img"),
            kubeconfig,
            progress: &mut progress,
        };
        let result = kind.create(wanted).await;
        (result, seen)
    }

    #[test]
    fn a_machine_without_kind_is_told_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kind"), "not executable").unwrap();
        let error = Kind::find(folder.path().as_os_str(), None).unwrap_err();
        assert!(matches!(error, KindError::NotInstalled));
        assert!(error.hint().unwrap().contains("https://kind.sigs.k8s.io"));
    }

    #[tokio::test]
    async fn answers_are_read() {
        let (_folder, kind) = script("printf 'a\\nb\\n'");
        assert_eq!(kind.clusters().await.unwrap(), ["a", "b"]);
    }

    #[tokio::test]
    async fn kind_is_told_of_podman_and_where_it_is() {
        let (_folder, kind) = script("echo $KIND_EXPERIMENTAL_PROVIDER at $CONTAINER_HOST");
        assert_eq!(
            kind.clone().with_podman().clusters().await.unwrap(),
            ["podman at unix:///x.sock"]
        );
        assert_ne!(kind.clusters().await.unwrap(), ["podman at unix:///x.sock"]);
    }

    #[tokio::test]
    async fn kind_is_told_of_certificates() {
        let (_folder, kind) = script("echo $DOCKER_TLS_VERIFY $DOCKER_CERT_PATH");
        let kind = kind.with_certificates(Some(Path::new("/certs")));
        assert_eq!(kind.clusters().await.unwrap(), ["1 /certs"]);
    }

    #[tokio::test]
    async fn create_hands_over_what_it_was_given_and_shows_kinds_steps() {
        let (folder, kind) = script(
            "echo \"$@\" $DOCKER_HOST $(cat) > $(dirname $0)/seen; echo ' • Preparing nodes' >&2; echo noise >&2",
        );
        let (result, seen) = create(&kind).await;
        result.unwrap();
        assert_eq!(seen, ["Preparing nodes"]);
        let given = std::fs::read_to_string(folder.path().join("seen")).unwrap();
        let expected = "create cluster --name a --config - -v 1 --kubeconfig ours --image img unix:///x.sock kind: Cluster";
        assert_eq!(given.trim(), expected);
    }

    #[tokio::test]
    async fn a_pull_that_fails_is_not_tried_again() {
        let text = "echo ' • Ensuring node image (kindest/node:v9) x' >&2; echo 'DEBUG: docker/images.go:67] Pulling image: kindest/node:v9 ...' >&2; \
                    echo 'DEBUG: docker/images.go:73] Trying again to pull image: \"kindest/node:v9\" ... exit status 1' >&2; sleep 60";
        let (_folder, kind) = script(text);
        let began = std::time::Instant::now();
        let error = create(&kind).await.0.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the node image kindest/node:v9 is not present locally and cannot be pulled: exit \
             status 1"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_create_that_is_dropped_ends_all_that_kind_started() {
        let (folder, kind) = script("sleep 60 & echo $! > $(dirname $0)/pid; wait");
        let pid_file = folder.path().join("pid");
        tokio::select! {
            _ = create(&kind) => panic!("ended"),
            () = async { while std::fs::read_to_string(&pid_file).map_or(0, |text| text.len()) < 2 { tokio::time::sleep(Duration::from_millis(10)).await } } => {}
        }
        let pid = std::fs::read_to_string(&pid_file).unwrap().trim().to_owned();
        for _ in 0..200 {
            // A zombie that nobody waits for is dead, too.
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the child of kind still lives");
    }
}

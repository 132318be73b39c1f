//! A kubeconfig's credential plugin: a program that prints the user's credentials. kube's own way
//! of running one waits without end, and its errors quote the environment and the output.

use std::collections::VecDeque;
use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, InvalidHeaderValue};
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tower::BoxError;

use super::process_group::ProcessGroup;
use crate::timeline::bounded::io_problem;
use crate::timeline::{format_duration, readable};
use crate::yaml;

/// After which it is reported what is waited for.
const SLOW: Duration = Duration::from_secs(5);
/// A plugin that has not finished by then is killed.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The same of one that may ask a person to log in, in a browser or with a device's code.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(600);
/// What a plugin wrote before it ended is in the pipe.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// How many of its lines an error quotes.
const LAST_LINES: usize = 5;
/// Credentials that expire sooner than this are asked for again.
const EXPIRING: SignedDuration = SignedDuration::from_secs(60);

/// Takes what a person should know while something takes long.
pub(super) type Notify<'a> = &'a mut (dyn FnMut(&str) + Send);

/// Why a plugin gave no credentials.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the credential plugin {command} {problem}")]
pub(crate) struct PluginError {
    command: String,
    problem: String,
    pub(super) hint: Option<String>,
}

/// The plugin of a user, and what it printed last.
pub(super) struct ExecPlugin {
    exec: ExecConfig,
    held: Mutex<Option<Credentials>>,
}

#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) token: Option<SecretString>,
    identity: Option<Identity>,
    /// Default: they do not expire.
    expires: Option<Timestamp>,
}

/// A client certificate and its key, as PEM.
#[derive(Clone)]
struct Identity {
    certificate: String,
    key: SecretString,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Credentials {
    /// The user as who they are, without the plugin. A token is not entered: it may expire.
    pub(super) fn replace_plugin(&self, user: &mut AuthInfo) {
        user.exec = None;
        if let Some(Identity { certificate, key }) = &self.identity {
            user.client_certificate_data = Some(BASE64_STANDARD.encode(certificate));
            user.client_key_data = Some(BASE64_STANDARD.encode(key.expose_secret()).into());
        }
    }

    pub(super) fn certificate(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| identity.certificate.as_str())
    }

    fn is_expiring(&self) -> bool {
        self.expires.is_some_and(|at| at < Timestamp::now() + EXPIRING)
    }
}

impl ExecPlugin {
    /// The user's plugin, if there is one. Other credentials go before it.
    pub(super) fn of(user: &AuthInfo) -> Option<Arc<Self>> {
        Some(Arc::new(Self { exec: user.exec.clone()?, held: Mutex::default() }))
    }

    /// The credentials; the plugin runs when there are none, or when they are about to expire.
    pub(super) async fn credentials(&self, notify: Notify<'_>) -> Result<Credentials, PluginError> {
        let mut held = self.held.lock().await;
        if let Some(known) = held.as_ref().filter(|known| !known.is_expiring()) {
            return Ok(known.clone());
        }
        let printed = self.run(notify).await?;
        Ok(held.insert(self.read(&printed)?).clone())
    }

    /// The credentials, for a call. It has a shorter limit than the plugin: that ends the call, and
    /// not the plugin.
    pub(super) async fn current(self: Arc<Self>) -> Result<Credentials, BoxError> {
        let asked = tokio::spawn(async move { self.credentials(&mut |_| {}).await });
        Ok(asked.await??)
    }

    /// Puts the token into a request.
    pub(super) async fn authorize(
        self: Arc<Self>,
        mut request: Request<Body>,
    ) -> Result<Request<Body>, BoxError> {
        if let Some(token) = self.clone().current().await?.token {
            let value = bearer(token.expose_secret())
                .map_err(|_| self.error("printed a token that is not valid in a request"))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Nothing of what it printed is quoted: it may be a secret.
    fn read(&self, printed: &[u8]) -> Result<Credentials, PluginError> {
        let yaml = || yaml::json::read(std::str::from_utf8(printed).ok()?).ok();
        let status = serde_json::from_slice::<Value>(printed)
            .ok()
            .or_else(yaml)
            .and_then(|printed| ExecCredential::deserialize(printed).ok())
            .and_then(|printed| printed.status)
            .ok_or_else(|| self.error("printed no ExecCredential with a `status`"))?;
        let expires = status.expiration_timestamp.map(|text| text.parse()).transpose();
        let identity = status.client_certificate_data.zip(status.client_key_data);
        let credentials = Credentials {
            token: status.token.filter(|token| !token.is_empty()).map(SecretString::from),
            identity: identity.map(|(certificate, key)| Identity { certificate, key: key.into() }),
            expires: expires
                .map_err(|_| self.error("printed an `expirationTimestamp` that is not a time"))?,
        };
        if credentials.token.is_none() && credentials.identity.is_none() {
            return Err(self.error("printed neither a token nor a client certificate with its key"));
        }
        Ok(credentials)
    }

    async fn run(&self, notify: Notify<'_>) -> Result<Vec<u8>, PluginError> {
        let interactive = self.is_interactive()?;
        let mut child =
            self.command(interactive).spawn().map_err(|error| self.not_started(&error))?;
        let mut group = (!interactive).then(|| ProcessGroup::of(&child));
        let mut words = StderrLines::of(&mut child);
        let limit = limit(interactive);
        let finished = timeout(limit, self.listen(&mut child, &mut words, notify)).await;
        let (status, printed) = match finished {
            Ok(Ok(finished)) => finished,
            Ok(Err(error)) => return Err(self.not_started(&error)),
            Err(_) => {
                let within = format_duration(limit);
                let problem = match words.quoted() {
                    Some(words) => format!("did not finish within {within}: {words}"),
                    None => format!("did not finish within {within}"),
                };
                return Err(self.error(problem));
            }
        };
        group.iter_mut().for_each(ProcessGroup::ended);
        if status.success() {
            return Ok(printed);
        }
        let code = match status.code() {
            Some(code) => format!("exit code {code}"),
            None => status.to_string(),
        };
        let _ = timeout(DRAIN_TIMEOUT, words.drain()).await;
        let problem = match words.quoted() {
            Some(words) => format!("failed: {words} ({code})"),
            None if interactive => format!("failed, its own message is above ({code})"),
            None => format!("failed without a message ({code})"),
        };
        let hint = "`kubectl auth whoami` with the same context runs the same plugin";
        Err(PluginError { hint: Some(hint.into()), ..self.error(problem) })
    }

    /// Waits for its end; reports what is waited for when that takes long.
    async fn listen(
        &self,
        child: &mut Child,
        words: &mut StderrLines,
        notify: Notify<'_>,
    ) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let mut stdout = child.stdout.take().expect("is piped");
        let finished = async {
            let mut printed = Vec::new();
            stdout.read_to_end(&mut printed).await?;
            Ok((child.wait().await?, printed))
        };
        tokio::pin!(finished);
        let slow = sleep(SLOW);
        tokio::pin!(slow);
        let mut is_slow = false;
        loop {
            tokio::select! {
                finished = &mut finished => return finished,
                line = words.next() => if is_slow { notify(&line) },
                () = &mut slow, if !is_slow => {
                    is_slow = true;
                    notify(&format!("waiting for the credential plugin {}", self.name()));
                    words.last.iter().for_each(|line| notify(line));
                }
            }
        }
    }

    fn command(&self, interactive: bool) -> Command {
        let exec = &self.exec;
        let mut command = Command::new(self.name());
        command.args(exec.args.iter().flatten()).kill_on_drop(true).stdout(Stdio::piped());
        let pairs = exec.env.iter().flatten();
        command.envs(pairs.filter_map(|pair| Some((pair.get("name")?, pair.get("value")?))));
        let mut spec = serde_json::json!({"interactive": interactive});
        if exec.provide_cluster_info {
            spec["cluster"] = serde_json::to_value(&exec.cluster).unwrap_or_default();
        }
        let kind = "ExecCredential";
        let info = serde_json::json!({"apiVersion": exec.api_version, "kind": kind, "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        if interactive {
            // A login asks for a password, or shows where to go; it is ended by Ctrl-C as we are.
            command.stdin(Stdio::inherit()).stderr(Stdio::inherit());
        } else {
            command.stdin(Stdio::null()).stderr(Stdio::piped());
            ProcessGroup::own(&mut command);
        }
        command
    }

    fn is_interactive(&self) -> Result<bool, PluginError> {
        let terminal = std::io::stdin().is_terminal();
        match &self.exec.interactive_mode {
            Some(ExecInteractiveMode::Never) => Ok(false),
            Some(ExecInteractiveMode::Always) if !terminal => {
                Err(self.error("needs a terminal, and standard input is not one"))
            }
            _ => Ok(terminal),
        }
    }

    fn not_started(&self, error: &std::io::Error) -> PluginError {
        match error.kind() {
            // Not a script whose interpreter is missing.
            ErrorKind::NotFound if !Path::new(self.name()).exists() => {
                let hint = self.exec.install_hint.as_deref().map(readable);
                let hint = hint.filter(|hint| !hint.is_empty()).unwrap_or_else(|| {
                    "install it, or add its folder to PATH; kubectl needs it, too".to_owned()
                });
                PluginError { hint: Some(hint), ..self.error("is not installed") }
            }
            _ => self.error(format!("cannot be run: {}", io_problem(error))),
        }
    }

    fn name(&self) -> &str {
        self.exec.command.as_deref().unwrap_or_default()
    }

    fn error(&self, problem: impl Into<String>) -> PluginError {
        PluginError { command: readable(self.name()), problem: problem.into(), hint: None }
    }
}

pub(super) fn bearer(token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn limit(interactive: bool) -> Duration {
    if interactive { LOGIN_TIMEOUT } else { TIMEOUT }
}

/// A plugin's standard error, where it does not go to the terminal.
struct StderrLines {
    lines: Option<Lines<BufReader<ChildStderr>>>,
    last: VecDeque<String>,
}

impl StderrLines {
    fn of(child: &mut Child) -> Self {
        let lines = child.stderr.take().map(|stderr| BufReader::new(stderr).lines());
        Self { lines, last: VecDeque::new() }
    }

    /// The next line; never ends where there is none.
    async fn next(&mut self) -> String {
        while let Some(lines) = &mut self.lines {
            match lines.next_line().await {
                Ok(Some(line)) => return self.keep(&line),
                Ok(None) | Err(_) => self.lines = None,
            }
        }
        std::future::pending().await
    }

    async fn drain(&mut self) {
        while let Some(lines) = &mut self.lines
            && let Ok(Some(line)) = lines.next_line().await
        {
            self.keep(&line);
        }
    }

    fn keep(&mut self, line: &str) -> String {
        let line = readable(line);
        if !line.is_empty() {
            self.last.push_back(line.clone());
        }
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
        line
    }

    fn quoted(&self) -> Option<String> {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }
}

#[cfg(all(test, unix))]
pub(super) mod tests {
    use super::*;

    #[test]
    fn a_person_has_longer_than_a_program() {
        assert_eq!((limit(true), limit(false)), (LOGIN_TIMEOUT, TIMEOUT));
    }

    pub(in crate::cluster) fn plugin(script: &str) -> Arc<ExecPlugin> {
        let exec = serde_json::json!({"command": "/bin/sh", "args": ["-c", script],
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"});
        let user = AuthInfo { exec: serde_json::from_value(exec).unwrap(), ..AuthInfo::default() };
        ExecPlugin::of(&user).unwrap()
    }

    async fn token(plugin: &Arc<ExecPlugin>) -> String {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let request = plugin.clone().authorize(request).await.unwrap();
        request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_about_to_expire() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        let printed = |expires: &str| {
            format!(
                "echo >> {0}; echo '{{\"status\": {{\"token\": \"t'$(wc -l < {0} | tr -d ' ')'\", \
                 \"expirationTimestamp\": \"{expires}\"}}}}'",
                runs.display()
            )
        };
        let lasting = plugin(&printed("2099-01-01T00:00:00Z"));
        assert_eq!(
            (token(&lasting).await, token(&lasting).await),
            ("Bearer t1".into(), "Bearer t1".into())
        );
        let expired = plugin(&printed("2020-01-01T00:00:00Z"));
        assert_eq!(
            (token(&expired).await, token(&expired).await),
            ("Bearer t2".into(), "Bearer t3".into())
        );
    }

    #[tokio::test]
    async fn a_certificate_takes_the_plugins_place() {
        let status = "{\"status\": {\"clientCertificateData\": \"C\", \"clientKeyData\": \"K\"}}";
        let credentials =
            plugin(&format!("echo '{status}'")).credentials(&mut |_| {}).await.unwrap();
        let mut user = AuthInfo { exec: Some(ExecConfig::default()), ..AuthInfo::default() };
        credentials.replace_plugin(&mut user);
        assert!(user.exec.is_none() && user.token.is_none());
        assert_eq!(user.client_certificate_data.as_deref(), Some("Qw=="));
    }
}

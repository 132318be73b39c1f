//! An engine for tests: as much of Docker's API as we use, over a real socket, with containers that
//! can be switched and that take their time. Its answers are those that Docker 20.10 gave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast;
use tokio::task::{JoinHandle, JoinSet};

use super::{Docker, Endpoint};

/// What a command run in a container does: its code and what it says.
type Script = Box<dyn FnMut(&mut FakeContainer, &[String]) -> (i64, String) + Send>;

pub(crate) struct FakeEngine {
    dir: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

pub(crate) struct State {
    pub api: String,
    pub podman: bool,
    /// Requests are read and never answered.
    pub hung: bool,
    pub clock_ahead: Duration,
    pub containers: BTreeMap<String, FakeContainer>,
    /// How long a container takes to obey a stop.
    pub stop_takes: Duration,
    /// How long after `stop` arrived the container begins to shut down.
    pub stop_lag: Duration,
    /// The next call whose path contains this is answered with this status and message, and has no
    /// effect.
    pub refuse: Option<(String, u16, String)>,
    pub script: Script,
    pub calls: Vec<String>,
    pub last_body: Vec<u8>,
    execs: Vec<(String, Vec<String>, bool, Option<i64>)>,
    history: Vec<(i64, String)>,
    events: broadcast::Sender<String>,
}

pub(crate) struct FakeContainer {
    pub name: String,
    pub role: &'static str,
    pub running: bool,
    pub paused: bool,
    pub stopping: bool,
    pub exit_code: i64,
    pub ip: &'static str,
    pub boots: u32,
    /// What an inspection says of its state instead of Docker's words.
    pub reported_state: Option<Value>,
    /// For scripts: whatever is going on inside.
    pub inside: BTreeMap<String, String>,
}

impl FakeContainer {
    fn new(name: &str, role: &'static str, ip: &'static str) -> (String, Self) {
        let container = Self {
            name: name.into(),
            role,
            running: true,
            paused: false,
            stopping: false,
            exit_code: 0,
            ip,
            boots: 1,
            reported_state: None,
            inside: BTreeMap::new(),
        };
        (name.into(), container)
    }

    fn end(&mut self, code: i64) {
        (self.running, self.paused, self.stopping, self.exit_code) = (false, false, false, code);
        self.inside.clear();
    }
}

impl State {
    /// Something happens to a container by itself.
    pub(crate) fn happens(&mut self, container: &str, action: &str) {
        let ns = jiff::Timestamp::now().as_nanosecond() as i64;
        let event = json!({
            "Type": "container", "Action": action, "scope": "local", "time": ns / 1_000_000_000, "timeNano": ns,
            "Actor": {"ID": format!("id-{container}"), "Attributes": {"name": container}},
        })
        .to_string();
        self.history.push((ns, event.clone()));
        let _ = self.events.send(event);
    }
}

fn usual(container: &mut FakeContainer, argv: &[String]) -> (i64, String) {
    match argv.join(" ").as_str() {
        "false" => (1, "it is false".into()),
        "systemctl is-system-running" if container.stopping => (1, "stopping".into()),
        "systemctl is-system-running" => (0, "running".into()),
        "systemctl is-active kubelet" => (0, "active".into()),
        // The kubelet's process, and its state.
        text if text.contains("--property=MainPID") => (0, "7 S".into()),
        _ => (0, String::new()),
    }
}

impl FakeEngine {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let containers = [
            FakeContainer::new("c-control-plane", "control-plane", "172.18.0.2"),
            FakeContainer::new("c-worker", "worker", "172.18.0.3"),
        ];
        let state = State {
            api: "1.41".into(),
            podman: false,
            hung: false,
            clock_ahead: Duration::ZERO,
            containers: containers.into(),
            stop_takes: Duration::from_millis(50),
            stop_lag: Duration::ZERO,
            refuse: None,
            script: Box::new(usual),
            calls: Vec::new(),
            last_body: Vec::new(),
            execs: Vec::new(),
            history: Vec::new(),
            events: broadcast::channel(64).0,
        };
        let state = Arc::new(Mutex::new(state));
        let server = serve(&dir, state.clone());
        Self { dir, state, server }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: format!("unix://{}", self.dir.path().join("d.sock").display()),
            origin: "a test".into(),
        }
    }

    pub(crate) async fn connect(&self) -> Docker {
        Docker::connect(&self.endpoint()).await.unwrap()
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub(crate) fn worker<T>(&self, change: impl FnOnce(&mut FakeContainer) -> T) -> T {
        self.with(|state| change(state.containers.get_mut("c-worker").expect("is there")))
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.with(|state| state.calls.clone())
    }

    /// The engine's process ends; the containers go on.
    pub(crate) fn down(&mut self) {
        self.server.abort();
        std::fs::remove_file(self.dir.path().join("d.sock")).unwrap();
    }

    pub(crate) fn up(&mut self) {
        self.server = serve(&self.dir, self.state.clone());
    }
}

fn serve(dir: &tempfile::TempDir, state: Arc<Mutex<State>>) -> JoinHandle<()> {
    let listener = UnixListener::bind(dir.path().join("d.sock")).unwrap();
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            connections.spawn(connection(socket, state.clone()));
        }
    })
}

struct Request {
    method: String,
    path: String,
    query: String,
    body: Vec<u8>,
}

async fn read(socket: &mut UnixStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(httparse::Status::Complete(head)) = request.parse(&bytes) else { continue };
        let length = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
        let length: usize =
            length.map_or(0, |h| std::str::from_utf8(h.value).unwrap().parse().unwrap());
        let (method, target) =
            (request.method.unwrap().to_owned(), request.path.unwrap().to_owned());
        while bytes.len() < head + length {
            socket.read_buf(&mut bytes).await.ok()?;
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        return Some(Request {
            method,
            path: path.into(),
            query: query.into(),
            body: bytes[head..head + length].into(),
        });
    }
}

async fn connection(mut socket: UnixStream, state: Arc<Mutex<State>>) {
    let Some(request) = read(&mut socket).await else { return };
    let hung = {
        let mut state = state.lock().unwrap();
        let query =
            if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        state.calls.push(format!("{} {}{query}", request.method, request.path));
        state.last_body = request.body.clone();
        state.hung
    };
    if hung {
        std::future::pending::<()>().await;
    }
    let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["events"]) => return events(socket, state, &request.query).await,
        ("POST", ["exec", number, "start"]) => {
            return exec(socket, state, number.parse().unwrap()).await;
        }
        _ => {}
    }
    let (status, body) = answer(&state, &request, &parts).await;
    let body = if status == 204 || status == 304 { String::new() } else { body.to_string() };
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = socket.write_all((head + &body).as_bytes()).await;
}

fn message(status: u16, text: impl Into<String>) -> (u16, Value) {
    (status, json!({"message": text.into()}))
}

async fn answer(state: &Arc<Mutex<State>>, request: &Request, parts: &[&str]) -> (u16, Value) {
    {
        let mut state = state.lock().unwrap();
        if let Some((_, status, text)) =
            state.refuse.take_if(|(part, ..)| request.path.contains(part.as_str()))
        {
            return message(status, text);
        }
    }
    match (request.method.as_str(), parts) {
        ("GET", ["containers", "json"]) => (200, list(&state.lock().unwrap(), &request.query)),
        ("GET", ["exec", number, "json"]) => {
            let code = state.lock().unwrap().execs[number.parse::<usize>().unwrap()].3;
            (200, json!({"Running": code.is_none(), "ExitCode": code}))
        }
        (_, ["containers", id, rest @ ..]) => {
            let name = id.trim_start_matches("id-").to_owned();
            if !state.lock().unwrap().containers.contains_key(&name) {
                return message(404, format!("No such container: {id}"));
            }
            match rest {
                ["stop"] => stop(state, &name, &request.query).await,
                rest => container(&mut state.lock().unwrap(), &name, rest, &request.body),
            }
        }
        _ => about(&state.lock().unwrap(), parts),
    }
}

fn about(state: &State, parts: &[&str]) -> (u16, Value) {
    match parts {
        ["version"] => {
            let part = if state.podman { "Podman Engine" } else { "Engine" };
            (
                200,
                json!({"Version": "9.8.7", "ApiVersion": state.api, "Components": [{"Name": part, "Version": "9.8.7"}]}),
            )
        }
        ["_ping"] => (200, json!("OK")),
        ["info"] => {
            (200, json!({"SystemTime": (jiff::Timestamp::now() + state.clock_ahead).to_string()}))
        }
        _ => message(404, "page not found"),
    }
}

fn list(state: &State, query: &str) -> Value {
    let ours = !query.contains("cluster%3D") || query.contains("cluster%3Dc%22");
    let summary = |c: &FakeContainer| {
        json!({
            "Id": format!("id-{}", c.name), "Names": [format!("/{}", c.name)], "Image": "kindest/node",
            "State": match &c.reported_state {
                Some(state) => state["Status"].as_str().unwrap_or_default(),
                None if c.running => "running",
                None => "exited",
            },
            "Labels": {"io.x-k8s.kind.cluster": "c", "io.x-k8s.kind.role": c.role},
            "NetworkSettings": networks(c),
        })
    };
    state.containers.values().filter(|_| ours).map(summary).collect()
}

fn networks(c: &FakeContainer) -> Value {
    let v6 = c.ip.replace("172.18.0.", "fc00::");
    let (v4, v6) = if c.running { (c.ip, v6.as_str()) } else { ("", "") };
    json!({"Networks": {"kind": {"IPAddress": v4, "GlobalIPv6Address": v6}}})
}

fn container(state: &mut State, name: &str, call: &[&str], body: &[u8]) -> (u16, Value) {
    let execs = state.execs.len();
    let c = state.containers.get_mut(name).expect("was looked up");
    let not_running = || message(409, format!("Container {name} is not running"));
    let result = match call {
        ["json"] => return (200, inspect(c)),
        ["archive"] => return (200, json!({})),
        ["start"] if c.running => (304, json!({})),
        ["start"] => {
            (c.running, c.boots) = (true, c.boots + 1);
            (204, json!("start"))
        }
        ["kill"] | ["pause"] | ["unpause"] | ["exec"] if !c.running => not_running(),
        ["kill"] => {
            c.end(137);
            (204, json!("die"))
        }
        ["pause"] if c.paused => message(409, format!("Container {name} is already paused")),
        ["unpause"] if !c.paused => message(500, format!("Container {name} is not paused")),
        [call @ ("pause" | "unpause")] => {
            c.paused = *call == "pause";
            (204, json!(call))
        }
        ["exec"] if c.paused => {
            message(409, format!("Container {name} is paused, unpause the container before exec"))
        }
        ["exec"] => {
            let body: Value = serde_json::from_slice(body).unwrap();
            let argv = body["Cmd"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a.as_str().unwrap().to_owned())
                .collect();
            state.execs.push((name.into(), argv, body["AttachStdin"] == true, None));
            return (201, json!({"Id": execs.to_string()}));
        }
        _ => message(404, "page not found"),
    };
    if let (204, Value::String(action)) = &result {
        state.happens(name, action);
    }
    result
}

fn inspect(c: &FakeContainer) -> Value {
    let never = "0001-01-01T00:00:00Z".to_owned();
    let started = format!("2026-11-22T07:{:02}:00Z", c.boots);
    let ended = format!("2026-11-22T07:{:02}:30.123456789Z", c.boots - u32::from(c.running));
    let state = json!({
        "Status": if c.running { "running" } else { "exited" },
        "Running": c.running, "Paused": c.paused, "Pid": if c.running { 4242 } else { 0 }, "ExitCode": c.exit_code,
        "StartedAt": started, "FinishedAt": if c.exit_code == 0 { never } else { ended },
    });
    json!({
        "Id": format!("id-{}", c.name), "Name": format!("/{}", c.name), "RestartCount": 0,
        "State": c.reported_state.as_ref().unwrap_or(&state),
        "NetworkSettings": networks(c),
    })
}

/// Docker's stop goes on when its client has gone.
async fn stop(state: &Arc<Mutex<State>>, name: &str, query: &str) -> (u16, Value) {
    let (takes, lag, boot) = {
        let state = state.lock().unwrap();
        let c = &state.containers[name];
        if !c.running {
            return (304, json!({}));
        }
        (state.stop_takes, state.stop_lag, c.boots)
    };
    let grace = query
        .strip_prefix("t=")
        .and_then(|t| t.parse().ok())
        .map_or(Duration::from_secs(10), Duration::from_secs);
    let (state, name) = (state.clone(), name.to_owned());
    let stopping = tokio::spawn(async move {
        tokio::time::sleep(lag).await;
        state.lock().unwrap().containers.get_mut(&name).unwrap().stopping = true;
        tokio::time::sleep(takes.min(grace)).await;
        let mut state = state.lock().unwrap();
        let c = state.containers.get_mut(&name).unwrap();
        if c.running && c.boots == boot {
            c.end(if takes > grace { 137 } else { 130 });
            state.happens(&name, "die");
        }
    });
    let _ = stopping.await;
    (204, json!({}))
}

async fn exec(mut socket: UnixStream, state: Arc<Mutex<State>>, number: usize) {
    let head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let _ = socket.write_all(head).await;
    let (name, argv, stdin, _) = state.lock().unwrap().execs[number].clone();
    let mut buffer = [0; 4096];
    if stdin && argv == ["cat"] {
        while let Ok(n @ 1..) = socket.read(&mut buffer).await {
            frame(&mut socket, 1, &buffer[..n]).await;
        }
    }
    let (code, says) = {
        let mut state = state.lock().unwrap();
        let State { containers, script, .. } = &mut *state;
        containers.get_mut(&name).map_or((137, String::new()), |c| script(c, &argv))
    };
    if !says.is_empty() {
        frame(&mut socket, if code == 0 { 1 } else { 2 }, says.as_bytes()).await;
    }
    drop(socket);
    state.lock().unwrap().execs[number].3 = Some(code);
}

async fn frame(socket: &mut UnixStream, stream: u8, bytes: &[u8]) {
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend((bytes.len() as u32).to_be_bytes());
    frame.extend(bytes);
    let _ = socket.write_all(&frame).await;
}

async fn events(mut socket: UnixStream, state: Arc<Mutex<State>>, query: &str) {
    let since = query
        .split('&')
        .find_map(|part| part.strip_prefix("since="))
        .unwrap()
        .replace('.', "")
        .parse::<i64>()
        .unwrap();
    let (past, mut feed) = {
        let state = state.lock().unwrap();
        let past: Vec<String> =
            state.history.iter().filter(|(ns, _)| *ns >= since).map(|(_, e)| e.clone()).collect();
        (past, state.events.subscribe())
    };
    let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for event in past {
        chunk(&mut socket, &event).await;
    }
    while let Ok(event) = feed.recv().await {
        chunk(&mut socket, &event).await;
    }
}

async fn chunk(socket: &mut UnixStream, event: &str) {
    let _ = socket.write_all(format!("{:x}\r\n{event}\n\r\n", event.len() + 1).as_bytes()).await;
}

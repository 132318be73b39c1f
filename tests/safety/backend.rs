//! What runs are made on, and what must be whole afterwards.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::faults;
use super::whole::{self, Namespaces, State};
use crate::lab::{self, CONTEXT, IMAGE, Lab};
use crate::model;
use crate::program::{Home, Output, Started};

/// Everything that ends by itself does so sooner.
pub(crate) const LIMIT: Duration = Duration::from_secs(600);
/// A watchdog looks once a second whether something is left to undo.
const PROCESSES_END_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum On {
    Embedded,
    /// Through the container engine.
    Kind,
    /// The same kind cluster, through its API alone.
    Context,
}

impl On {
    pub(crate) const ALL: [(&'static str, Self); 3] =
        [("embedded", Self::Embedded), ("kind", Self::Kind), ("context", Self::Context)];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, on)| *on == self).map_or("", |(name, _)| name)
    }
}

pub(crate) struct Backend {
    pub on: On,
    lab: Lab,
    /// A run's embedded cluster ends with it. This one beside it, of another process and in the same
    /// state directory, must not notice: the process, and its kubeconfig.
    beside: Option<(Started, String)>,
    /// Of the cluster that is known by its context.
    kubeconfig: String,
    before: Option<State>,
}

impl Backend {
    pub(crate) fn new(on: On) -> Self {
        let lab = match on {
            On::Embedded => Lab::of_models(),
            On::Kind | On::Context => Lab::new(),
        };
        let mut backend = Self { on, lab, beside: None, kubeconfig: String::new(), before: None };
        if on == On::Embedded {
            let (beside, kubeconfig) = model::cluster(&backend.lab.home);
            backend.beside = Some((beside, std::fs::read_to_string(kubeconfig).unwrap()));
        } else {
            // The first run makes the cluster, if it is not there.
            let file = backend.experiment(faults::FAULTS[0]);
            backend.lab.home.run(&["run", "-f", &file]).exits(0);
            backend.kubeconfig = backend.lab.kubeconfig_of_context();
        }
        backend.before = State::read(&|path| backend.ask(path));
        assert!(backend.before.is_some(), "the cluster answers");
        backend
    }

    pub(crate) fn home(&self) -> &Home {
        &self.lab.home
    }

    /// An experiment with this fault: its file.
    pub(crate) fn experiment(&self, fault: &str) -> String {
        let name = faults::kind(fault).to_lowercase();
        self.home().experiment(&name, &faults::spec(fault))
    }

    /// The faults that this backend can inject: of the others the dry run is refused, and why.
    pub(crate) fn faults(&self) -> (Vec<&'static str>, Vec<String>) {
        let (mut can, mut cannot) = (Vec::new(), Vec::new());
        for fault in faults::FAULTS {
            let output = self.start(fault, &["--dry-run"]).finish();
            let why =
                output.stderr.lines().find(|line| line.starts_with("error")).map(str::to_owned);
            match output.code {
                0 => can.push(fault),
                _ => cannot.push(format!("{}: {}", faults::kind(fault), why.unwrap_or_default())),
            }
        }
        (can, cannot)
    }

    /// Starts a run of a fault.
    pub(crate) fn start(&self, fault: &str, more: &[&str]) -> Started {
        self.start_with(fault, more, |_| {})
    }

    pub(crate) fn start_with(
        &self,
        fault: &str,
        more: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Started {
        let file = self.experiment(fault);
        let cluster: &[&str] = match self.on {
            On::Embedded => &["--cluster", "embedded"],
            On::Kind => &[],
            On::Context => {
                &["--context", CONTEXT, "--allow-context", CONTEXT, "--helper-image", IMAGE]
            }
        };
        let arguments = [&["run", "-f", &file], cluster, more].concat();
        self.program(&arguments, change)
    }

    /// The program as it is used with this backend.
    pub(crate) fn program(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Started {
        match self.on {
            On::Embedded => self.home().start_with(arguments, |command| {
                change(model::without_tools(command));
            }),
            On::Kind => self.home().start_with(arguments, change),
            On::Context => self.home().start_with(arguments, |command| {
                change(lab::nowhere(command).env("KUBECONFIG", &self.kubeconfig));
            }),
        }
    }

    /// Undoes what is left: its output, where it could.
    pub(crate) fn recover(&self) -> Result<Output, String> {
        self.recover_with(|_| {})
    }

    pub(crate) fn recover_with(&self, change: impl FnOnce(&mut Command)) -> Result<Output, String> {
        let output = self.program(&["recover"], change).finish_within(LIMIT)?;
        match output.code {
            0 => Ok(output),
            code => Err(format!("recover exits {code}: {}{}", output.stdout, output.stderr)),
        }
    }

    /// Of the cluster that is known by its context: its text.
    pub(crate) fn kubeconfig(&self) -> String {
        std::fs::read_to_string(&self.kubeconfig).unwrap()
    }

    /// The last run's report.
    pub(crate) fn report(&self) -> Value {
        self.lab.report("latest")
    }

    /// Waits until the cluster is as it was, and nothing of a run is left anywhere.
    pub(crate) fn wait_until_whole(&self) -> Result<(), String> {
        self.wait_for_cluster(Namespaces::AsBefore, Duration::ZERO)?;
        let ours = usize::from(self.on == On::Embedded);
        let began = Instant::now();
        loop {
            match self.processes("") {
                left if left.len() == ours => break,
                left if began.elapsed() > PROCESSES_END_WITHIN => {
                    return Err(format!("these processes are left: {left:?}"));
                }
                _ => sleep(Duration::from_millis(200)),
            }
        }
        if self.on != On::Embedded {
            self.lab.assert_clean();
            return Ok(());
        }
        let folders = std::fs::read_dir(self.home().path().join("state/outage/embedded")).unwrap();
        match folders.count() {
            1 => Ok(()),
            more => Err(format!("{more} folders of embedded clusters, and one cluster")),
        }
    }

    /// Waits until the cluster is as it was.
    pub(crate) fn wait_for_cluster(
        &self,
        namespaces: Namespaces,
        longer: Duration,
    ) -> Result<(), String> {
        let before = self.before.as_ref().expect("was read first");
        whole::wait(&|path| self.ask(path), before, namespaces, longer)
    }

    fn ask(&self, path: &str) -> Option<Value> {
        match &self.beside {
            Some((_, kubeconfig)) => get(kubeconfig, path),
            None => {
                let answer = lab::asked(&["get", "--raw", path, "--request-timeout=5s"]).ok()?;
                serde_json::from_str(&answer).ok()
            }
        }
    }

    /// The program's processes of this home whose arguments have a text: id and command line.
    pub(crate) fn processes(&self, text: &str) -> Vec<(u32, String)> {
        let all = processes_of(self.home().path());
        all.into_iter().filter(|(_, command)| command.contains(text)).collect()
    }
}

/// The program's processes that have this folder among their arguments or in their environment.
fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let folder = folder.to_string_lossy();
    let of = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_string_lossy().parse().ok()?;
        let read = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let environment = read("environ");
        let all = format!("{command}{}", String::from_utf8_lossy(&environment));
        (command.contains("kubectl-outage") && all.contains(&*folder)).then_some((id, command))
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of).collect()
}

/// Asks the API server of a kubeconfig of ours, which speaks plain HTTP.
fn get(kubeconfig: &str, path: &str) -> Option<Value> {
    let address = model::address(kubeconfig);
    let token = kubeconfig.split("token: \"").nth(1)?.split('"').next()?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

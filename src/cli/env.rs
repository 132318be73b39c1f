//! The environment: read here and nowhere else.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::args::{Colour, Global};
use crate::docker::EngineEnv;

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Env {
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The directory of all state: locks, ledgers, and runs unless told otherwise.
    pub state_dir: PathBuf,
    /// Where runs are kept.
    pub runs_dir: PathBuf,
    /// `PATH`.
    pub path: OsString,
    /// `KUBECONFIG`.
    pub kubeconfig: Option<OsString>,
    /// What says where the container engine is.
    pub engine: EngineEnv,
    /// Whether standard output is to be coloured.
    pub colour: bool,
    /// Whether standard error is a terminal that can redraw, and is to be coloured.
    pub stderr: Terminal,
    /// The width of standard output, in columns; 100 where it is no terminal.
    pub width: usize,
}

/// What standard error can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether lines can be drawn again.
    pub live: bool,
    /// Whether to colour.
    pub colour: bool,
    /// The width in columns.
    pub width: usize,
}

impl Env {
    /// Reads it.
    pub fn read(global: &Global) -> Self {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = var("HOME").or_else(|| var("USERPROFILE")).map(PathBuf::from);
        let state_dir = state_dir(var("XDG_STATE_HOME").map(PathBuf::from), home.clone());
        let ci = var("CI").is_some();
        let coloured = |terminal: bool| match global.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && var("NO_COLOR").is_none() && var("TERM").is_none_or(|term| term != "dumb"),
        };
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Self {
            runs_dir: global.runs_dir.clone().unwrap_or_else(|| state_dir.join("runs")),
            state_dir,
            path: var("PATH").unwrap_or_default(),
            kubeconfig: var("KUBECONFIG"),
            engine: engine_env(home.clone()),
            home,
            colour: coloured(out),
            stderr: Terminal {
                live: err && !ci && var("TERM").is_none_or(|term| term != "dumb"),
                colour: coloured(err),
                width: width(err),
            },
            width: width(out),
        }
    }
}

fn state_dir(xdg: Option<PathBuf>, home: Option<PathBuf>) -> PathBuf {
    // A relative XDG_STATE_HOME is to be ignored (XDG Base Directory Specification).
    let base = xdg.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".local/state")));
    base.unwrap_or_else(std::env::temp_dir).join("outage")
}

fn width(terminal: bool) -> usize {
    if !terminal {
        return 100;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()));
    size.map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0).unwrap_or(100)
}

fn engine_env(home: Option<PathBuf>) -> EngineEnv {
    let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    EngineEnv {
        docker_host: text("DOCKER_HOST"),
        docker_context: text("DOCKER_CONTEXT"),
        docker_config: text("DOCKER_CONFIG").map(PathBuf::from),
        docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
        xdg_runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from),
        home,
        ..EngineEnv::default()
    }
}

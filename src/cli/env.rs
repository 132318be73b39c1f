//! The environment: read here and nowhere else.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, IsTerminal};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::args::{Colour, Global};
use super::failure::Failure;
use super::output::INK;
use crate::docker::EngineEnv;
use crate::engine::error::RunError;
use crate::report::{Ink, Style};

#[derive(Clone, Debug)]
pub(super) struct Env {
    pub home: Option<PathBuf>,
    /// The directory of all state: locks, ledgers, and runs unless --runs-dir is set.
    pub state_dir: PathBuf,
    pub runs_dir: PathBuf,
    pub path: OsString,
    pub kubeconfig: Option<OsString>,
    /// The node image where no flag names one.
    pub node_image: Option<String>,
    /// The image of helper pods where no flag names one.
    pub helper_image: Option<String>,
    /// The file of GitHub Actions for this step's summary.
    pub step_summary: Option<PathBuf>,
    /// What says where the container engine is.
    pub engine: EngineEnv,
    /// What standard output is coloured with, if it is.
    pub colour: Option<Ink>,
    /// Whether standard error is a terminal that can redraw, and is to be coloured.
    pub stderr: Terminal,
    /// The width of standard output, in columns: `COLUMNS`, else the terminal's, else 100.
    pub width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Whether lines can be drawn again.
    pub live: bool,
    pub colour: Option<Ink>,
    pub width: usize,
}

impl Env {
    /// Reads it. Errors: there is no place for the state.
    pub(super) fn read(global: &Global) -> Result<Self, Failure> {
        let home = var("HOME").or_else(|| var("USERPROFILE")).map(PathBuf::from);
        let state_dir = match state_dir(var("XDG_STATE_HOME").map(PathBuf::from), home.clone()) {
            Some(directory) => directory,
            None => shared(&std::env::temp_dir())?,
        };
        let ci = var("CI").is_some();
        let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        Ok(Self {
            runs_dir: (global.runs_dir.clone())
                .or_else(|| var("OUTAGE_RUNS_DIR").map(PathBuf::from))
                .unwrap_or_else(|| state_dir.join("runs")),
            state_dir,
            path: var("PATH").unwrap_or_default(),
            kubeconfig: var("KUBECONFIG"),
            node_image: text("OUTAGE_NODE_IMAGE"),
            helper_image: text("OUTAGE_HELPER_IMAGE"),
            step_summary: var("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            engine: engine_env(home.clone()),
            home,
            colour: ink(global.color, out),
            stderr: Terminal {
                live: err && !ci && var("TERM").is_none_or(|term| term != "dumb"),
                colour: ink(global.color, err),
                width: width(err),
            },
            width: width(out),
        })
    }
}

impl Env {
    /// How standard output is written to.
    pub(super) fn style(&self) -> Style {
        Style { width: self.width, colour: self.colour, ..Style::default() }
    }
}

/// A variable of the environment; one that is empty is not set.
fn var(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    var(name)?.into_string().ok()
}

pub(super) fn ink(choice: Colour, is_terminal: bool) -> Option<Ink> {
    let is_wanted = match choice {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            is_terminal
                && var("NO_COLOR").is_none()
                && var("TERM").is_none_or(|term| term != "dumb")
        }
    };
    is_wanted.then_some(*INK)
}

fn state_dir(xdg: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative XDG_STATE_HOME is to be ignored (XDG Base Directory Specification).
    let base = xdg
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| home.join(".local/state")));
    base.map(|base| base.join("outage"))
}

/// For one who has no home: a directory among those of others. Its ledger says what is done to
/// whom, so nobody else may have made it.
fn shared(temp: &Path) -> Result<PathBuf, Failure> {
    let path = temp.join(format!("outage-{}", rustix::process::geteuid().as_raw()));
    let refused = |why: String| {
        let error =
            RunError::refused(format!("cannot keep state in {}", path.display())).caused_by(why);
        Failure::from(error.hint("set HOME or XDG_STATE_HOME to a directory that belongs to you"))
    };
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(refused(error.to_string()));
        }
        _ => {}
    }
    let seen = std::fs::symlink_metadata(&path).map_err(|error| refused(error.to_string()))?;
    let own = seen.is_dir()
        && seen.uid() == rustix::process::geteuid().as_raw()
        && seen.mode() & 0o077 == 0;
    if own {
        Ok(path)
    } else {
        Err(refused("it belongs to another user, or others can access it".into()))
    }
}

/// No text is wrapped more narrowly than this.
pub(super) const NARROWEST: usize = 40;

fn width(terminal: bool) -> usize {
    let set = text("COLUMNS").and_then(|columns| columns.parse().ok());
    set.filter(|columns| *columns > 0).unwrap_or_else(|| measured_width(terminal)).max(NARROWEST)
}

fn measured_width(terminal: bool) -> usize {
    if !terminal {
        return 100;
    }
    let size = rustix::termios::tcgetwinsize(std::io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(std::io::stderr()));
    size.map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0).unwrap_or(100)
}

fn engine_env(home: Option<PathBuf>) -> EngineEnv {
    EngineEnv {
        docker_host: text("DOCKER_HOST"),
        docker_context: text("DOCKER_CONTEXT"),
        docker_config: text("DOCKER_CONFIG").map(PathBuf::from),
        docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
        docker_cert_path: text("DOCKER_CERT_PATH").map(PathBuf::from),
        xdg_runtime_dir: text("XDG_RUNTIME_DIR").map(PathBuf::from),
        home,
        ..EngineEnv::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn state_is_kept_at_home_where_there_is_one() {
        let at = |xdg: Option<&str>, home: Option<&str>| {
            state_dir(xdg.map(PathBuf::from), home.map(PathBuf::from))
        };
        assert_eq!(at(Some("/x"), Some("/h")), Some("/x/outage".into()));
        assert_eq!(at(Some("relative"), Some("/h")), Some("/h/.local/state/outage".into()));
        assert_eq!(at(None, None), None);
    }

    #[test]
    fn without_a_home_it_is_kept_where_nobody_else_can_write() {
        let temp = tempfile::tempdir().unwrap();
        let path = shared(temp.path()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(shared(temp.path()).unwrap(), path, "made once, found again");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = shared(temp.path()).unwrap_err();
        assert!(
            refused.code == exit::REFUSED
                && refused.text().contains("hint: set HOME or XDG_STATE_HOME"),
            "{}",
            refused.text()
        );
        std::fs::remove_dir(&path).unwrap();
        symlink(temp.path(), &path).unwrap();
        assert!(shared(temp.path()).is_err(), "where somebody else's link leads");
    }
}
